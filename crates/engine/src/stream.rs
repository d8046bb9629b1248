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
use whatsapp_rust::futures::stream;

/// Bytes of one chunk on its way up.
const CHUNK: usize = 64 * 1024;
/// Chunks that wait in one direction.
const WAITING: usize = 4;
/// Longest time for one transfer as a whole.
const TRANSFER_LIMIT: Duration = Duration::from_mins(30);
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
/// that may wait, inside a runtime.
pub(crate) fn exchange(
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
        None => runtime.block_on(call.send()),
        Some((body, length)) => {
            let (chunks, mut sent) = mpsc::channel::<io::Result<Bytes>>(WAITING);
            let body_stream = stream::poll_fn(move |context| sent.poll_recv(context));
            call = call.body(reqwest::Body::wrap_stream(body_stream));
            if let Some(length) = length {
                call = call.header(header::CONTENT_LENGTH, length);
            }
            let answer = runtime.spawn(call.send());
            pump(body, &chunks);
            drop(chunks);
            runtime.block_on(answer).map_err(io::Error::other)?
        }
    };
    let response = response.map_err(|error| io::Error::other(error.without_url()))?;
    Ok((response.status().as_u16(), Box::new(answer_of(&runtime, response))))
}

/// Reads an answer that is words for us, not a file.
pub(crate) fn short(answer: impl Read) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    answer.take(MAX_WORDS).read_to_end(&mut body)?;
    Ok(body)
}

/// Reads the body to its end, or until the other side wants no more of it (it may answer early).
fn pump(body: &mut dyn Read, chunks: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        match body.read(&mut chunk) {
            Ok(0) => return,
            Ok(read) => {
                chunk.truncate(read);
                if chunks.blocking_send(Ok(chunk.into())).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let _ = chunks.blocking_send(Err(error));
                return;
            }
        }
    }
}

/// The body of an answer as a reader.
struct Answer {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

fn answer_of(runtime: &Handle, mut response: reqwest::Response) -> Answer {
    let (chunks, received) = mpsc::channel(WAITING);
    runtime.spawn(async move {
        let mut total = 0_u64;
        loop {
            let chunk = match response.chunk().await {
                Ok(None) => return,
                Ok(Some(chunk)) => {
                    total += chunk.len() as u64;
                    if total > MAX_ANSWER { Err(io::Error::other("the answer is larger than any file")) } else { Ok(chunk) }
                }
                Err(error) => Err(io::Error::other(error.without_url())),
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
