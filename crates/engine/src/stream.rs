//! HTTP whose bodies are streams, for the client library's synchronous side: it reads and writes media on threads that may
//! wait, and wants plain readers there.
//!
//! The exchange itself runs on the async runtime; a few chunks in a channel are all that is ever in memory.

use bytes::Bytes;
use reqwest::{Client, Method, Url, header};
use std::io::{self, Read};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::time::timeout;
use whatsapp_rust::futures::stream;

/// Bytes of one chunk on its way up.
const CHUNK: usize = 64 * 1024;
/// Chunks that wait in one direction.
const WAITING: usize = 4;
/// Longest time for one transfer as a whole.
const TRANSFER_LIMIT: Duration = Duration::from_mins(30);
/// Longest time in which no byte moves. Bounds of the client itself are of no use for this: its `read_timeout` runs while a body
/// goes up, too, and would cut off whatever needs longer for it.
const SILENCE: Duration = Duration::from_mins(1);
/// Most bytes of an answer to an upload.
const MAX_WORDS: u64 = 1 << 20;
/// Most bytes of an answer: WhatsApp takes no larger file.
const MAX_ANSWER: u64 = (2 << 30) + (1 << 20);

/// A request without its body.
pub(crate) struct Head<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: &'a [(String, String)],
}

/// Sends `head` with a body of the given length (in chunks when it is not known), and answers status and body. Every status is `Ok`. Only for threads
/// that may wait, inside a runtime. A host that is silent for long is given up.
pub(crate) fn exchange(
    client: &Client,
    head: Head<'_>,
    body: Option<(&mut dyn Read, Option<u64>)>,
) -> io::Result<(u16, Box<dyn Read + Send>)> {
    within(SILENCE, client, head, body)
}

fn within(
    silence: Duration,
    client: &Client,
    head: Head<'_>,
    body: Option<(&mut dyn Read, Option<u64>)>,
) -> io::Result<(u16, Box<dyn Read + Send>)> {
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let mut call = client.request(head.method, head.url).timeout(TRANSFER_LIMIT);
    for (name, value) in head.headers {
        call = call.header(name, value);
    }
    let response = match body {
        None => runtime.block_on(async { timeout(silence, call.send()).await }).map_err(|_| silent())?,
        Some((body, length)) => {
            let (chunks, mut sent) = mpsc::channel::<io::Result<Bytes>>(WAITING);
            let body_stream = stream::poll_fn(move |context| sent.poll_recv(context));
            call = call.body(reqwest::Body::wrap_stream(body_stream));
            if let Some(length) = length {
                call = call.header(header::CONTENT_LENGTH, length);
            }
            let mut answer = runtime.spawn(call.send());
            let pumped = pump(&runtime, silence, body, &chunks);
            drop(chunks);
            // Twice as long: the last chunks may lie in the socket, still on their way.
            let answered = match pumped {
                Ok(()) => runtime.block_on(async { timeout(silence * 2, &mut answer).await }).map_err(|_| silent()),
                Err(error) => Err(error),
            };
            answer.abort();
            answered?.map_err(io::Error::other)?
        }
    };
    let response = response.map_err(|error| io::Error::other(error.without_url()))?;
    Ok((response.status().as_u16(), Box::new(answer_of(&runtime, silence, response))))
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the host was silent for too long")
}

/// Reads an answer that is words for us, not a file.
pub(crate) fn short(answer: impl Read) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    answer.take(MAX_WORDS).read_to_end(&mut body)?;
    Ok(body)
}

/// Reads the body to its end, or until the other side wants no more of it (it may answer early).
fn pump(runtime: &Handle, silence: Duration, body: &mut dyn Read, chunks: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; CHUNK];
        let chunk = match body.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                bytes.truncate(read);
                Ok(Bytes::from(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = chunk.is_err();
        match runtime.block_on(async { chunks.send_timeout(chunk, silence).await }) {
            Ok(()) if !is_last => {}
            Ok(()) | Err(SendTimeoutError::Closed(_)) => return Ok(()),
            Err(SendTimeoutError::Timeout(_)) => return Err(silent()),
        }
    }
}

/// The body of an answer as a reader.
struct Answer {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

fn answer_of(runtime: &Handle, silence: Duration, mut response: reqwest::Response) -> Answer {
    let (chunks, received) = mpsc::channel(WAITING);
    runtime.spawn(async move {
        let mut total = 0_u64;
        loop {
            let chunk = match timeout(silence, response.chunk()).await {
                Ok(Ok(None)) => return,
                Ok(Ok(Some(chunk))) => {
                    total += chunk.len() as u64;
                    if total > MAX_ANSWER { Err(io::Error::other("the answer is larger than any file")) } else { Ok(chunk) }
                }
                Ok(Err(error)) => Err(io::Error::other(error.without_url())),
                Err(_) => Err(silent()),
            };
            let ended = chunk.is_err();
            // Nobody may be listening any more.
            if chunks.send(chunk).await.is_err() || ended {
                return;
            }
        }
    });
    Answer { chunks: received, rest: Bytes::new() }
}

impl Read for Answer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.rest = chunk?,
            }
        }
        let count = into.len().min(self.rest.len());
        let taken = self.rest.split_to(count);
        into.iter_mut().zip(taken.iter()).for_each(|(to, from)| *to = *from);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    const SHORT: Duration = Duration::from_millis(400);

    /// A host that has one caller.
    fn host(talk: impl FnOnce(TcpStream) + Send + 'static) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address")).parse().expect("a URL");
        std::thread::spawn(move || talk(listener.accept().expect("a caller").0));
        url
    }

    /// Status and body, asked for on a thread that may wait.
    async fn ask(url: Url, body: Option<u64>) -> io::Result<(u16, Vec<u8>)> {
        let work = move || {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = Client::builder().no_proxy().build().map_err(io::Error::other)?;
            let method = if body.is_some() { Method::POST } else { Method::GET };
            let mut bytes = io::repeat(7).take(body.unwrap_or(0));
            let reader: &mut dyn Read = &mut bytes;
            let (status, mut answer) =
                within(SHORT, &client, Head { method, url, headers: &[] }, body.map(|length| (reader, Some(length))))?;
            let mut told = Vec::new();
            answer.read_to_end(&mut told)?;
            Ok((status, told))
        };
        tokio::task::spawn_blocking(work).await.expect("no panic")
    }

    #[tokio::test]
    async fn a_host_that_is_silent_keeps_no_thread() {
        let mut lines = Vec::new();
        let mut held = || {
            let (line, end) = std::sync::mpsc::channel::<()>();
            lines.push(line);
            end
        };
        let (nothing, half) = (held(), held());
        let never_answers = host(|mut stream| drop(io::copy(&mut stream, &mut io::sink())));
        let takes_nothing = host(move |stream| drop((nothing.recv(), stream)));
        let breaks_off = host(move |mut stream| {
            assert!(stream.read(&mut [0; 1024]).expect("a request") > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nbread").expect("written");
            drop((half.recv(), stream));
        });
        for (url, body) in [(never_answers, Some(5)), (takes_nothing, Some(256 << 20)), (breaks_off, None)] {
            let late = ask(url.clone(), body).await.expect_err("silence");
            assert_eq!(late.kind(), io::ErrorKind::TimedOut, "{url}: {late}");
        }
        drop(lines);
    }

    #[tokio::test]
    async fn what_takes_longer_than_any_silence_goes_through() {
        let slow = host(|mut stream| {
            // As slow as a line can be that is not silent: each piece comes late, and none too late.
            assert!(stream.read(&mut [0; 1024]).expect("a request") > 0);
            let (_open, never) = std::sync::mpsc::channel::<()>();
            for piece in ["HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n", "one ", "two ", "four"] {
                let _ = never.recv_timeout(SHORT / 2);
                stream.write_all(piece.as_bytes()).expect("written");
            }
        });
        assert_eq!(ask(slow, None).await.expect("an answer"), (200, b"one two four".to_vec()));
    }
}
