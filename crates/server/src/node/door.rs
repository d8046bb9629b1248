//! The door: how many connections are open at once, and how long each may keep this server waiting.
//!
//! A socket that is open and says nothing costs memory and a file, and whoever likes can open very many. So there are places,
//! of which one address has half at most, and a caller that neither asks nor reads loses its place: the head of a request has
//! to come within a time from its first byte (however slowly bytes drip in), the next request within another, and an answer has
//! to be read. While a request is worked on nobody is hurried here: that time has its own bound.

use crate::config::{Cidr, Config};
use crate::http::line::{Line, Peer};
use crate::turns::{Share, Shares};
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use ipnet::IpNet;
use sanasend_store::limits::Counted;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Places that there are in any case.
const FEWEST: usize = 16;
/// How a connection begins that wants to speak HTTP/2 without being asked for it; no method of HTTP/1.1 is called so. It is not
/// spoken here, whatever the libraries would do: one connection could have hundreds of answers open that nobody reads, each with
/// its file.
const HTTP2: &[u8] = b"PRI ";
/// That all places are taken is logged at most so often.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// How long the other side may keep a connection waiting.
#[derive(Debug, Clone, Copy)]
struct Patience {
    head: Duration,
    idle: Duration,
}

/// A place at the door, and whose it is.
struct Place {
    _of_address: Option<Share<Counted>>,
    _of_all: OwnedSemaphorePermit,
}

/// A listener with places. Who finds none waits in the kernel's queue until one is free; who has its share of them is sent away.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    shares: Shares<Counted>,
    /// Those who bring the connections of many others, and have no share: proxies, and this machine.
    many: Vec<IpNet>,
    patience: Patience,
    told: Option<Instant>,
}

impl Door {
    /// As configured. Of the files that the process may open, connections take half at most: the others are for the database,
    /// linked accounts and media.
    pub(super) fn new(listener: TcpListener, config: &Config) -> Self {
        let settings = &config.http;
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let room = files.map_or(usize::MAX, |files| usize::try_from(files / 2).unwrap_or(usize::MAX));
        let patience = Patience { head: Duration::from_secs(settings.head_seconds), idle: Duration::from_secs(settings.idle_seconds) };
        let many = Cidr::loopback().iter().chain(&config.general.trusted_proxies).map(|network| network.0).collect();
        Self::with(listener, settings.connections.min(room).max(FEWEST), patience, many)
    }

    fn with(listener: TcpListener, places: usize, patience: Patience, many: Vec<IpNet>) -> Self {
        let (places, shares) = (Arc::new(Semaphore::new(places)), Shares::new(places.div_ceil(2)));
        Self { listener, places, shares, many, patience, told: None }
    }

    /// The share that a connection is taken of, where its address has one; an error when it has as much as it may.
    fn share(&self, address: IpAddr) -> Result<Option<Share<Counted>>, ()> {
        let address = address.to_canonical();
        if self.many.iter().any(|network| network.contains(&address)) {
            return Ok(None);
        }
        self.shares.take(Counted::address(address)).map(Some).ok_or(())
    }

    async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Some(place);
        }
        let now = Instant::now();
        if self.told.is_none_or(|told| now.duration_since(told) >= TOLD_EVERY) {
            self.told = Some(now);
            tracing::warn!("as many connections are open as may be (`http.connections`, or half of the open files); others wait");
        }
        self.places.clone().acquire_owned().await.ok()
    }
}

impl Listener for Door {
    type Io = Watched<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let Some(of_all) = self.place().await else {
            // Nobody closes the places.
            return std::future::pending().await;
        };
        let (socket, address, of_address) = loop {
            let (socket, address) = Listener::accept(&mut self.listener).await;
            if let Ok(share) = self.share(address.ip()) {
                break (socket, address, share);
            }
            tracing::debug!(%address, "an address has half of the connections that may be open; one more was closed");
        };
        let place = Place { _of_address: of_address, _of_all: of_all };
        // Answers are small and written whole: waiting for more to send would only add 40 ms.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a connection closed before it was served");
        }
        (Watched::new(socket, self.patience, place), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self { address: *stream.remote_addr(), line: stream.io().line.clone() }
    }
}

/// A socket that loses patience: to read or write it is an error then, and with that the connection ends.
pub(super) struct Watched<S> {
    socket: S,
    line: Arc<Line>,
    patience: Patience,
    /// Requests that were seen to have come.
    begun: usize,
    /// Whether a request has begun to come.
    in_head: bool,
    /// How much of [`HTTP2`] it began with; `None` when it began with something else.
    preface: Option<usize>,
    /// By when the other side has to send something; found anew when it is `None`.
    until: Option<Instant>,
    /// By when it has to take something of what is written; `None` when it takes it.
    stuck: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    _place: Place,
}

impl<S> Watched<S> {
    fn new(socket: S, patience: Patience, place: Place) -> Self {
        let until = Instant::now() + patience.head;
        let timer = Box::pin(tokio::time::sleep_until(until));
        let line = Arc::new(Line::default());
        let (begun, in_head, preface) = (0, false, Some(0));
        Self { socket, line, patience, begun, in_head, preface, until: Some(until), stuck: None, timer, _place: place }
    }

    /// Notes that a request is whole, and what is to be waited for after it is the next one.
    fn note_requests(&mut self) {
        let begun = self.line.begun();
        if begun != self.begun {
            (self.begun, self.in_head, self.until) = (begun, false, None);
        }
    }

    fn heard(&mut self) {
        self.note_requests();
        // Only the first byte counts: who sends one now and then is no better than who sends none.
        if !self.in_head && !self.line.is_busy() {
            (self.in_head, self.until) = (true, Some(Instant::now() + self.patience.head));
        }
    }

    /// Whether the connection begins as [`HTTP2`] does, with these bytes that came next.
    fn is_http2(&mut self, bytes: &[u8]) -> bool {
        let Some(seen) = self.preface else { return false };
        let rest = HTTP2.get(seen..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        self.preface = (rest.get(..count) == bytes.get(..count)).then_some(seen + count);
        self.preface == Some(HTTP2.len())
    }

    fn wrote(&mut self) {
        self.stuck = None;
        if !self.line.is_busy() {
            (self.in_head, self.until) = (false, None);
        }
    }

    /// Whether the other side has kept this one waiting for too long. If not, the task is woken when it may have.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.note_requests();
        let idle = self.patience.idle;
        let silent = (!self.line.is_busy()).then(|| *self.until.get_or_insert_with(|| Instant::now() + idle));
        let Some(due) = silent.into_iter().chain(self.stuck).min() else { return false };
        // The timer is not set anew for each request: it may wake too early, never too late.
        loop {
            if self.timer.is_elapsed() || self.timer.deadline() > due {
                self.timer.as_mut().reset(due);
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return false;
            }
            if due <= Instant::now() {
                return true;
            }
        }
    }

    /// What comes of a write.
    fn written<T>(&mut self, done: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.wrote();
            return done;
        }
        let idle = self.patience.idle;
        self.stuck.get_or_insert_with(|| Instant::now() + idle);
        if self.is_late(context) { Poll::Ready(Err(late())) } else { Poll::Pending }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the other side kept the connection waiting for too long")
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.socket).poll_read(context, buffer) {
            Poll::Ready(read) => {
                let new = buffer.filled().get(before..).unwrap_or_default();
                if this.is_http2(new) {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::Unsupported, "HTTP/2 is not spoken here")));
                }
                if !new.is_empty() {
                    this.heard();
                }
                Poll::Ready(read)
            }
            Poll::Pending if this.is_late(context) => Poll::Ready(Err(late())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.socket).poll_write(context, bytes);
        this.written(done, context)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.socket).poll_write_vectored(context, slices);
        this.written(done, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::poll;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_mins(1);

    /// A connection that takes 8 bytes at once: the other side, and this one.
    fn line(head: Duration, idle: Duration) -> (DuplexStream, Watched<DuplexStream>) {
        let (other, here) = tokio::io::duplex(8);
        let of_all = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place");
        let place = Place { _of_address: None, _of_all: of_all };
        (other, Watched::new(here, Patience { head, idle }, place))
    }

    async fn lateness(here: &mut Watched<DuplexStream>) -> Option<io::ErrorKind> {
        here.read_u8().await.err().map(|error| error.kind())
    }

    #[tokio::test]
    async fn a_head_that_drips_in_is_not_waited_for() {
        let (_other, mut here) = line(SHORT, LONG);
        assert_eq!(lateness(&mut here).await, Some(io::ErrorKind::TimedOut), "nothing came");
        let (mut other, mut here) = line(SHORT, LONG);
        let drip = async {
            while other.write_all(b"x").await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        let read = async {
            let late = loop {
                if let Some(late) = lateness(&mut here).await {
                    break late;
                }
            };
            drop(here);
            late
        };
        let (late, ()) = tokio::join!(read, drip);
        assert_eq!(late, io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn between_requests_another_time_counts_and_during_one_none() {
        let (mut other, mut here) = line(LONG, SHORT);
        other.write_all(b"head").await.expect("sent");
        here.read_exact(&mut [0; 4]).await.expect("read");
        let busy = here.line.clone().begin();
        assert!(tokio::time::timeout(SHORT * 3, here.read_u8()).await.is_err(), "it waits for as long as it likes");
        drop(busy);
        assert_eq!(lateness(&mut here).await, Some(io::ErrorKind::TimedOut), "no other request came");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_is_given_up_also_while_it_is_made() {
        let (_other, mut here) = line(LONG, SHORT);
        let _busy = here.line.clone().begin();
        let given_up = here.write_all(b"more than is taken").await.expect_err("nobody reads");
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn http_2_is_not_spoken() {
        for (said, is_spoken) in [("PRI * HT", false), ("PRIVATE ", true), ("POST / H", true), ("GET / HT", true)] {
            let (mut other, mut here) = line(LONG, LONG);
            other.write_all(said.as_bytes()).await.expect("sent");
            assert_eq!(here.read_exact(&mut [0; 8]).await.is_ok(), is_spoken, "{said}");
        }
        let (mut other, mut here) = line(LONG, LONG);
        other.write_all(b"PRI * HT").await.expect("sent");
        for letter in b"PRI" {
            assert_eq!(here.read_u8().await.expect("a letter"), *letter);
        }
        assert!(here.read_u8().await.is_err(), "however it comes in");
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_until_one_is_free() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut door = Door::with(listener, 1, Patience { head: LONG, idle: LONG }, Vec::new());
        let _one = TcpStream::connect(address).await.expect("connected");
        let (first, _) = door.accept().await;
        let two = TcpStream::connect(address).await.expect("connected");
        let mut next = Box::pin(door.accept());
        assert!(poll!(&mut next).is_pending());
        drop(first);
        let (_, from) = next.await;
        assert_eq!(from, two.local_addr().expect("an address"));
    }

    #[tokio::test]
    async fn an_address_leaves_places_to_others() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut door = Door::with(listener, 2, Patience { head: LONG, idle: LONG }, Vec::new());
        let _one = TcpStream::connect(address).await.expect("connected");
        let (first, _) = door.accept().await;
        let mut two = TcpStream::connect(address).await.expect("connected");
        let mut next = Box::pin(door.accept());
        tokio::select! {
            _ = &mut next => panic!("it has its half already"),
            read = two.read_u8() => assert!(read.is_err(), "it is closed"),
        }
        drop(first);
        let three = TcpStream::connect(address).await.expect("connected");
        let (_, from) = next.await;
        assert_eq!(from, three.local_addr().expect("an address"));
    }

    #[tokio::test]
    async fn who_brings_the_connections_of_many_has_all_places() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let proxies = Cidr::loopback().iter().map(|network| network.0).collect();
        let mut door = Door::with(listener, 2, Patience { head: LONG, idle: LONG }, proxies);
        let _lines = [TcpStream::connect(address).await.expect("connected"), TcpStream::connect(address).await.expect("connected")];
        let _all = [door.accept().await, door.accept().await];
    }
}
