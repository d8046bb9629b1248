//! `sanasend health`: asks a running server whether it can work, with an exit code for scripts and containers.
//!
//! It is a command of its own so that an image needs no shell and no other client for its health check, and so that an
//! upgrade can wait for a server instead of for a while.

use super::{Places, out};
use crate::node::listen;
use anyhow::Context;
use clap::Args;
use reqwest::StatusCode;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// How long one answer may take; the server itself looks at the database for two seconds at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two questions of `--wait`: a server that starts is ready within tens of milliseconds.
const PAUSE: Duration = Duration::from_millis(100);

/// Flags of `health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The server's address. [default: where the configuration says that it listens]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Ask only whether the process answers, not whether it can work.
    #[arg(long)]
    pub live: bool,
    /// Ask again and again for so many seconds, until it is well.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u64,
}

/// Asks. The exit code is 0 when the server is well, 1 when it is not or does not answer.
///
/// # Errors
/// When the configuration is not sound, or no question can be asked at all.
pub async fn run(args: &HealthArgs, places: &Places) -> anyhow::Result<ExitCode> {
    let base = match &args.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => listen::local_url(places.load(Vec::new())?.config.general.listen),
    };
    let url = format!("{base}/health/{}/", if args.live { "live" } else { "ready" });
    reqwest::Url::parse(&url).with_context(|| format!("{base} is no URL"))?;
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
    let end = Instant::now() + Duration::from_secs(args.wait);
    loop {
        match ask(&client, &url).await {
            Ok(sentence) => {
                out::line(&sentence);
                return Ok(ExitCode::SUCCESS);
            }
            Err(why) if Instant::now() >= end => {
                out::problem(&why);
                return Ok(ExitCode::FAILURE);
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The server's own sentence, as good or as bad news.
async fn ask(client: &reqwest::Client, url: &str) -> Result<String, String> {
    let answer = client.get(url).send().await.map_err(|_| format!("{url} does not answer; is the server running?"))?;
    let status = answer.status();
    let body: Value = answer.json().await.map_err(|_| format!("{url} answered {status} and no JSON; is that a SanaSend server?"))?;
    let sentence = body.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    if status == StatusCode::OK { Ok(sentence) } else { Err(format!("{sentence} ({status})")) }
}
