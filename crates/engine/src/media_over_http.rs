//! The media host of a sandbox that runs in another process of this machine, reached by plain HTTP.
//!
//! Only for tests that kill the product while the network lives on; only loopback addresses.

use crate::MediaDoor;
use crate::stream::{Head, exchange};
use std::io::{self, Read};
use std::net::SocketAddr;

/// A media host at a loopback address.
#[derive(Debug)]
pub struct MediaOverHttp {
    client: reqwest::Client,
    address: SocketAddr,
}

impl MediaOverHttp {
    /// The host at `address`.
    ///
    /// # Errors
    /// When it is no loopback address, or no HTTP client can be made.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::other("only loopback addresses are allowed"));
        }
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self { client: client.map_err(io::Error::other)?, address })
    }
}

impl MediaDoor for MediaOverHttp {
    fn exchange(
        &self,
        method: &str,
        path_and_query: &str,
        headers: &[(String, String)],
        body: &mut dyn Read,
    ) -> io::Result<(u16, Box<dyn Read + Send>)> {
        let url = format!("http://{}{path_and_query}", self.address).parse().map_err(io::Error::other)?;
        let method: reqwest::Method = method.parse().map_err(io::Error::other)?;
        let head = Head { method: method.clone(), url, headers };
        // The length of the body is not known here; an upload of unknown length goes in chunks.
        let body = (method != reqwest::Method::GET).then_some(body);
        exchange(&self.client, head, body.map(|body| (body, None)))
    }
}
