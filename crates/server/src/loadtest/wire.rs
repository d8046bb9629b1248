//! The smallest HTTP/1.1 client that can load a server: one kept-alive connection, one request at a time.
//!
//! A general client costs as much processor time per request as the server does, and both run on one machine: the
//! figure would say more about the client. It reads only what our own server writes: a status line, headers with
//! `content-length`, a body.

use anyhow::{Context, bail};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than any answer that is read here.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// One connection to the server.
pub struct Connection {
    socket: TcpStream,
    address: SocketAddr,
    received: Vec<u8>,
    request: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
    /// The first cookie that it sets, as `name=value`.
    pub cookie: Option<String>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("status {} without JSON", self.status))
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// What the system says.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await.with_context(|| format!("can't connect to {address}"))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, address, received: Vec::with_capacity(4096), request: Vec::with_capacity(1024) })
    }

    /// Sends a request and waits for its answer. `headers` are whole lines, each ended by CR LF.
    ///
    /// # Errors
    /// When the connection breaks or the answer can't be read.
    pub async fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> anyhow::Result<Answer> {
        use std::io::Write;
        self.request.clear();
        write!(self.request, "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n{headers}\r\n", self.address, body.len())?;
        self.request.extend_from_slice(body);
        self.socket.write_all(&self.request).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> anyhow::Result<Answer> {
        let Head { status, start, length, cookie } = loop {
            if let Some(head) = Head::read(&self.received)? {
                break head;
            }
            self.receive().await?;
        };
        while self.received.len() < start + length {
            self.receive().await?;
        }
        let body = self.received[start..start + length].to_vec();
        self.received.drain(..start + length);
        Ok(Answer { status, body, cookie })
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        if self.socket.read_buf(&mut self.received).await? == 0 {
            bail!("the server closed the connection");
        }
        if self.received.len() > LARGEST_ANSWER {
            bail!("the answer is larger than {LARGEST_ANSWER} bytes");
        }
        Ok(())
    }
}

/// What stands before a body.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Where the body starts.
    start: usize,
    /// How long it is.
    length: usize,
    cookie: Option<String>,
}

impl Head {
    /// Reads it; `None` while it is not whole.
    fn read(received: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&received[..end]).context("the head of the answer is no text")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let (mut length, mut cookie) = (None, None);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            } else if cookie.is_none() && name.eq_ignore_ascii_case("set-cookie") {
                cookie = value.trim().split(';').next().map(str::to_owned);
            }
        }
        let status = status.context("no status line")?;
        let length = length.context("an answer without content-length")?;
        Ok(Some(Self { status, start: end + 4, length, cookie }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        assert_eq!(Head::read(b"HTTP/1.1 201 Created\r\nContent-").expect("part"), None);
        let whole = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\nset-cookie: a=b; Path=/\r\nset-cookie: c=d\r\n\r\nhello";
        let head = Head { status: 201, start: whole.len() - 5, length: 5, cookie: Some("a=b".into()) };
        assert_eq!(Head::read(whole).expect("whole"), Some(head));
        assert!(Head::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
