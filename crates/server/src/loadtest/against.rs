//! Any other HTTP server under the same client: what comparisons are made with (`bench/run`).

use super::fire::{Fired, Plan, Shot, measure};
use anyhow::{Context, bail};
use clap::Args;
use std::net::SocketAddr;
use std::sync::Arc;

/// Flags that name another server.
#[derive(Debug, Clone, Args)]
pub struct Against {
    /// Measure this URL (`http://127.0.0.1:8000/messages/`) and nothing else.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// A header of its requests (`Name: value`), as often as needed.
    #[arg(long = "header", value_name = "LINE", requires = "url")]
    pub headers: Vec<String>,
    /// The JSON body of its requests, which are then `POST`; `{n}` in it becomes a number of four digits.
    #[arg(long, value_name = "JSON", requires = "url")]
    pub body: Option<String>,
}

impl Against {
    /// Asks that server as planned.
    ///
    /// # Errors
    /// When the URL is no address of this machine, or an answer is no success.
    pub async fn measure(&self, url: &str, plan: Plan) -> anyhow::Result<Fired> {
        let rest = url.strip_prefix("http://").context("the URL must begin with http://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address: SocketAddr = authority.parse().with_context(|| format!("{authority} is no address like 127.0.0.1:8000"))?;
        if !address.ip().is_loopback() {
            bail!("only servers of this machine are measured: {address} is another");
        }
        let mut headers: String = self.headers.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
        let (method, bodies) = match &self.body {
            Some(body) => {
                headers.push_str("Content-Type: application/json\r\n");
                ("POST", (1000..9999).map(|number: u32| body.replace("{n}", &number.to_string())).collect())
            }
            None => ("GET", vec![String::new()]),
        };
        measure(&Shot { address, method, path: format!("/{path}"), headers, bodies: Arc::new(bodies) }, plan).await
    }
}
