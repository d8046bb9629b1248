//! Media over HTTP: requests of the ports become exchanges with the media host.
//!
//! The host blocks, the ports must not: each exchange runs on a thread for blocking work, with a short channel of
//! chunks on either side, so that a file of any size passes through little memory.

use crate::media::{MediaAnswer, MediaHost};
use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::{Buf, Bytes};
use futures::{StreamExt, stream};
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Exchanges at once; more wait.
const AT_ONCE: usize = 32;
/// Chunks that wait between a connection and the host.
const CHUNKS: usize = 4;
/// Bytes of a chunk that the host gives.
const CHUNK: usize = 64 * 1024;

/// The media hosts, and how many may be busy.
#[derive(Clone)]
struct Door {
    media: MediaHost,
    places: Arc<Semaphore>,
}

/// Everything under `/mms/` and `/v/`.
pub(crate) fn router(media: MediaHost) -> Router {
    let door = Door { media, places: Arc::new(Semaphore::new(AT_ONCE)) };
    Router::new()
        .route("/mms/{*rest}", any(exchange))
        .route("/v/{*rest}", any(exchange))
        .layer(DefaultBodyLimit::disable())
        .with_state(door)
}

async fn exchange(State(door): State<Door>, request: Request) -> Response {
    let Ok(place) = door.places.acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let method = request.method().to_string();
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let named =
        |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    let headers: Vec<_> = request.headers().iter().filter_map(named).collect();
    let mut body = BodyReader::over(request.into_body().into_data_stream());
    let (head, answered) = oneshot::channel();
    let (chunks, given) = mpsc::channel(CHUNKS);
    let media = door.media;
    tokio::task::spawn_blocking(move || {
        let _place = place;
        match media.exchange(&method, &path, &headers, &mut body) {
            Ok(MediaAnswer { status, headers, body }) => {
                if head.send((status, headers)).is_ok() {
                    give(body, &chunks);
                }
            }
            // The client hears nothing but the end of the connection.
            Err(error) => drop(chunks.blocking_send(Err(error))),
        }
    });
    let (status, headers) = answered.await.unwrap_or((200, Vec::new()));
    let chunks = stream::unfold(given, |mut given| async { given.recv().await.map(|chunk| (chunk, given)) });
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(name, value);
    }
    answer.body(Body::from_stream(chunks)).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// Hands a body over in chunks until it ends or nobody listens.
fn give(mut body: Box<dyn Read + Send>, chunks: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        let chunk = match body.read(&mut chunk) {
            Ok(0) => return,
            Ok(read) => {
                chunk.truncate(read);
                Ok(Bytes::from(chunk))
            }
            Err(error) => Err(error),
        };
        let broken = chunk.is_err();
        if chunks.blocking_send(chunk).is_err() || broken {
            return;
        }
    }
}

/// The body of a request, for whoever reads it on a thread that may block.
pub(crate) struct BodyReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl BodyReader {
    /// Reads `body` ahead a little, in a task of its own.
    pub fn over(mut body: BodyDataStream) -> BodyReader {
        let (into, chunks) = mpsc::channel(CHUNKS);
        tokio::spawn(async move {
            while let Some(chunk) = body.next().await {
                if into.send(chunk.map_err(io::Error::other)).await.is_err() {
                    return;
                }
            }
        });
        BodyReader { chunks, rest: Bytes::new() }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(0),
            }
        }
        let read = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}
