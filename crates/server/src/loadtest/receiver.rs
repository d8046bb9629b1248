//! A webhook receiver: notes when each message's text arrived, answers 200, and can be told to keep everybody waiting.

use anyhow::Context;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Begins the texts that are looked for; a number of digits follows.
pub const MARK: &str = "parcel ";
/// What is answered.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// More than any delivery of a load test.
const LARGEST: usize = 1 << 20;

/// A receiver on a port of its own, until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    seen: Mutex<Seen>,
    /// How many came.
    count: watch::Sender<u64>,
    /// Answers are given.
    open: watch::Sender<bool>,
}

#[derive(Default)]
struct Seen {
    first: HashMap<u64, Instant>,
}

impl Receiver {
    /// Listens.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for a webhook receiver")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { seen: Mutex::default(), count: watch::Sender::new(0), open: watch::Sender::new(true) });
        let of_task = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, of_task.clone()));
            }
        });
        Ok(Self { address, shared, task })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Gives answers, or keeps everybody waiting.
    pub fn answers(&self, open: bool) {
        self.shared.open.send_replace(open);
    }

    /// When the text of this number came first.
    #[must_use]
    pub fn arrival(&self, number: u64) -> Option<Instant> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).first.get(&number).copied()
    }

    /// How many deliveries came so far, those that came again included.
    #[must_use]
    pub fn count(&self) -> u64 {
        *self.shared.count.borrow()
    }

    /// Waits until `count` deliveries came.
    ///
    /// # Errors
    /// When they did not by `deadline`.
    pub async fn wait_for(&self, count: u64, deadline: Instant) -> anyhow::Result<()> {
        let mut counted = self.shared.count.subscribe();
        let arrived = tokio::time::timeout_at(deadline, counted.wait_for(|now| *now >= count)).await;
        arrived.with_context(|| format!("{} of {count} deliveries came in time", self.count()))??;
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: TcpStream, shared: Arc<Shared>) {
    let _ = socket.set_nodelay(true);
    let mut received = Vec::with_capacity(4096);
    let mut open = shared.open.subscribe();
    while let Some(body) = request(&mut socket, &mut received).await {
        let now = Instant::now();
        if let Some(number) = number_in(&body) {
            shared.seen.lock().unwrap_or_else(PoisonError::into_inner).first.entry(number).or_insert(now);
        }
        let closed = open.wait_for(|open| *open).await.is_err();
        if closed || socket.write_all(ANSWER).await.is_err() {
            return;
        }
        shared.count.send_modify(|count| *count += 1);
    }
}

/// The body of the next request; `None` when there is none any more.
async fn request(socket: &mut TcpStream, received: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse::<usize>().ok()?;
            let whole = end + 4 + length;
            if received.len() >= whole {
                let body = received[end + 4..whole].to_vec();
                received.drain(..whole);
                return Some(body);
            }
        }
        if received.len() > LARGEST || socket.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
}

fn number_in(body: &[u8]) -> Option<u64> {
    let mark = MARK.as_bytes();
    let start = body.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let digits: String = body[start..].iter().map(|byte| char::from(*byte)).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_text_is_found() {
        assert_eq!(number_in(br#"{"content":"parcel 17 is here"}"#), Some(17));
        assert_eq!(number_in(br#"{"content":"hello"}"#), None);
    }

    #[tokio::test]
    async fn deliveries_are_counted_when_they_are_answered() {
        let receiver = Receiver::start().await.expect("a port");
        receiver.answers(false);
        let mut one = crate::loadtest::wire::Connection::open(receiver.address).await.expect("there");
        let asking = tokio::spawn(async move { one.ask("POST", "/hook", "", b"parcel 4").await.map(|answer| answer.status) });
        while receiver.arrival(4).is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(receiver.count(), 0);
        receiver.answers(true);
        assert_eq!(asking.await.expect("ran").expect("answered"), 200);
        receiver.wait_for(1, Instant::now() + std::time::Duration::from_secs(10)).await.expect("counted");
    }
}
