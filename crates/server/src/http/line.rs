//! What a connection and its requests know of each other: whether one is being worked on.
//!
//! Apart, because the socket alone can't tell a caller that keeps it waiting from one that waits for an answer: only the
//! function around all requests knows.

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::ConnectInfo;
use axum::http::{Extensions, StatusCode};
use axum::response::Response;
use futures::{Stream, StreamExt as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// The other side of a connection: told with each of its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address; a proxy's, where there is one.
    pub address: SocketAddr,
    /// The connection.
    pub line: Arc<Line>,
}

impl Peer {
    /// The address that a request came from.
    #[must_use]
    pub fn ip_of(request: &Extensions) -> IpAddr {
        let ours = request.get::<ConnectInfo<Self>>().map(|info| info.0.address);
        // A service that is served by something else than our listener.
        let address = ours.or_else(|| request.get::<ConnectInfo<SocketAddr>>().map(|info| info.0));
        address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
    }
}

/// One connection.
#[derive(Debug, Default)]
pub struct Line {
    begun: AtomicUsize,
    busy: AtomicUsize,
}

impl Line {
    /// How many requests came so far.
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Whether a request is worked on, or its answer is still being made.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst) > 0
    }

    /// A request has come, with its whole head.
    pub fn begin(self: Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        Busy(self)
    }
}

/// A request that is worked on. It is over when this is dropped.
#[derive(Debug)]
pub struct Busy(Arc<Line>);

impl Busy {
    /// Of the connection that a request came by.
    #[must_use]
    pub fn with(request: &Extensions) -> Option<Self> {
        request.get::<ConnectInfo<Peer>>().map(|info| info.0.line.clone().begin())
    }

    /// Ends with the answer: at once when all of it is there, else with its last piece. What becomes another protocol (a
    /// WebSocket) keeps its own time from now on.
    #[must_use]
    pub fn until_sent(self, answer: Response) -> Response {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.0.busy.fetch_add(1, Ordering::SeqCst);
            return answer;
        }
        if answer.body().size_hint().exact().is_some() {
            return answer;
        }
        answer.map(|body| Body::from_stream(Sending { body: body.into_data_stream(), _busy: self }))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An answer that is made while it is sent.
struct Sending {
    body: BodyDataStream,
    _busy: Busy,
}

impl Stream for Sending {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.body.poll_next_unpin(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answer: Response) -> (Arc<Line>, Response) {
        let line = Arc::new(Line::default());
        let busy = line.clone().begin();
        assert!(line.is_busy());
        let answer = busy.until_sent(answer);
        (line, answer)
    }

    #[tokio::test]
    async fn a_connection_is_busy_until_the_last_piece_of_an_answer_was_made() {
        let (line, _answer) = after(Response::new(Body::from("whole")));
        assert!(!line.is_busy());
        let pieces = futures::stream::iter(["one", "two"].map(Ok::<_, axum::Error>));
        let (line, answer) = after(Response::new(Body::from_stream(pieces)));
        assert!(line.is_busy());
        assert_eq!(axum::body::to_bytes(answer.into_body(), 100).await.expect("a body"), "onetwo");
        assert!(!line.is_busy());
        let mut switched = Response::new(Body::empty());
        *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let (line, _answer) = after(switched);
        assert!(line.is_busy(), "for as long as it is open");
        assert_eq!(line.begun(), 1);
    }
}
