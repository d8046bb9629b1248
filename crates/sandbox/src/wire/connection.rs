//! One connection from its first byte to its last: greeting, frames, ciphers.
//!
//! Apart from where the bytes come from, so that the in-process pipe and the WebSocket
//! run the same code.

use super::noise::{Established, Greeting, greet};
use crate::Error;
use crate::keys::Keys;
use crate::network::{Connection, Item, Network, Out, decode};
use crate::transcript::Direction;
use bytes::{Buf, Bytes, BytesMut};
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_binary::util::unpack_bytes;
use wacore_noise::NoiseCipher;
use wacore_noise::framing::{FrameDecoder, append_frame_header_into, encode_frame};

/// A client has this long to finish the handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(20);
/// How many buffers an in-process pipe holds before its writer waits.
const PIPE_BUFFERS: usize = 256;
/// How many stanzas are written before the transport is flushed.
const AT_ONCE: usize = 64;
/// Bytes that the cipher adds to a frame.
const TAG: usize = 16;
/// What a client may put before its hello to name a region: marker and length.
const ROUTING_MARK: &[u8] = b"ED\x00\x01";

/// A byte transport in the same process: each buffer is what one binary WebSocket
/// message would carry. A closed channel means disconnected.
#[derive(Debug)]
pub struct Pipe {
    /// From the client to the network.
    pub outgoing: mpsc::Sender<Bytes>,
    /// From the network to the client.
    pub incoming: mpsc::Receiver<Bytes>,
}

/// Where a connection's bytes come from.
pub(crate) trait Source: Send {
    /// The next buffer; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// Where a connection's bytes go to. `false` means that nobody is there any more.
pub(crate) trait Drain: Send {
    /// Writes a buffer, perhaps without sending it yet.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = bool> + Send;
    /// Sends what was written.
    fn flush(&mut self) -> impl Future<Output = bool> + Send;
}

impl Source for mpsc::Receiver<Bytes> {
    async fn next(&mut self) -> Option<Bytes> {
        self.recv().await
    }
}

impl Drain for mpsc::Sender<Bytes> {
    async fn write(&mut self, bytes: Bytes) -> bool {
        self.send(bytes).await.is_ok()
    }

    async fn flush(&mut self) -> bool {
        true
    }
}

/// A pipe, and the network's ends of it.
pub(crate) fn pipe() -> (Pipe, mpsc::Receiver<Bytes>, mpsc::Sender<Bytes>) {
    let (outgoing, from_client) = mpsc::channel(PIPE_BUFFERS);
    let (to_client, incoming) = mpsc::channel(PIPE_BUFFERS);
    let pipe = Pipe { outgoing, incoming };
    (pipe, from_client, to_client)
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve<S: Source, D: Drain>(network: &Network, keys: &Keys, source: S, mut drain: D) {
    let mut frames = Frames::new(source);
    let greeted = tokio::time::timeout(HANDSHAKE_WITHIN, shake_hands(network, keys, &mut frames, &mut drain));
    let established = match greeted.await {
        Ok(Ok(established)) => established,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a connection was not greeted");
            return;
        }
        Err(_) => return,
    };
    let (connection, items) = network.admit(established.client, &established.payload);
    // Both halves run in one task, each waiting for itself alone: a client that writes
    // without reading, or the reverse, cannot lock them together.
    tokio::select! {
        ended = hear(network, &connection, &mut frames, &established.read) => {
            if let Err(error) = ended {
                tracing::debug!(connection = connection.number, %error, "cut off");
            }
        }
        () = tell(network, &connection, items, &mut drain, &established.write) => {}
    }
}

async fn shake_hands<S: Source, D: Drain>(
    network: &Network,
    keys: &Keys,
    frames: &mut Frames<S>,
    drain: &mut D,
) -> Result<Established, Error> {
    frames.skip_header().await?;
    let hello = frames.next().await.ok_or_else(gone)?;
    match greet(keys, network.clock(), &hello)? {
        Greeting::Resumed(answer, established) => {
            answer_with(drain, &answer).await?;
            Ok(*established)
        }
        Greeting::Introduced(answer, halfway) => {
            answer_with(drain, &answer).await?;
            let last = frames.next().await.ok_or_else(gone)?;
            halfway.finish(&last)
        }
    }
}

async fn answer_with<D: Drain>(drain: &mut D, message: &[u8]) -> Result<(), Error> {
    let frame = encode_frame(message, None).map_err(|e| Error::Protocol(e.to_string()))?;
    let sent = drain.write(Bytes::from(frame)).await && drain.flush().await;
    if sent { Ok(()) } else { Err(gone()) }
}

/// What the client sends, until it ends or breaks the rules.
async fn hear<S: Source>(network: &Network, connection: &Connection, frames: &mut Frames<S>, cipher: &NoiseCipher) -> Result<(), Error> {
    let mut counter = 0_u32;
    while let Some(mut frame) = frames.next().await {
        cipher.decrypt_in_place_with_counter(counter, &mut frame).map_err(|e| Error::Protocol(e.to_string()))?;
        counter = next_counter(counter)?;
        let stanza = unpack_bytes(frame).map_err(|e| Error::Protocol(e.to_string()))?;
        network.record(connection, Direction::In, stanza.clone());
        let node = decode(&stanza)?;
        if !connection.receive(&node) {
            break;
        }
    }
    Ok(())
}

/// What the network sends, until it closes or nobody is there.
async fn tell<D: Drain>(
    network: &Network,
    connection: &Connection,
    mut items: UnboundedReceiver<Item>,
    drain: &mut D,
    cipher: &NoiseCipher,
) {
    let mut counter = 0_u32;
    let mut batch = Vec::with_capacity(AT_ONCE);
    while items.recv_many(&mut batch, AT_ONCE).await > 0 {
        for item in batch.drain(..) {
            let Item::Stanza(out) = item else {
                drain.flush().await;
                return;
            };
            if let Some(moment) = out.not_before
                && moment > tokio::time::Instant::now()
            {
                if !drain.flush().await {
                    return;
                }
                tokio::time::sleep_until(moment).await;
            }
            let Ok(frame) = seal(cipher, counter, &out) else {
                return;
            };
            let Ok(next) = next_counter(counter) else {
                return;
            };
            counter = next;
            network.record(connection, Direction::Out, out.bytes.slice(1..));
            if !drain.write(frame).await {
                return;
            }
        }
        if !drain.flush().await {
            return;
        }
    }
}

/// A stanza as an encrypted frame.
fn seal(cipher: &NoiseCipher, counter: u32, out: &Out) -> Result<Bytes, Error> {
    let broken = |e: &dyn std::fmt::Display| Error::Protocol(e.to_string());
    let mut frame = BytesMut::new();
    append_frame_header_into(out.bytes.len() + TAG, None, &mut frame).map_err(|e| broken(&e))?;
    let mut body = frame.split_off(frame.len());
    body.extend_from_slice(&out.bytes);
    cipher.encrypt_in_place_with_counter(counter, &mut body).map_err(|e| broken(&e))?;
    frame.unsplit(body);
    Ok(frame.freeze())
}

/// A counter is never used twice: a connection that used them all has to end.
fn next_counter(counter: u32) -> Result<u32, Error> {
    counter.checked_add(1).ok_or_else(|| Error::Protocol("too many frames".into()))
}

fn gone() -> Error {
    Error::Protocol("gone during the handshake".into())
}

/// Frames out of a stream of buffers that may be cut anywhere.
struct Frames<S> {
    source: S,
    decoder: FrameDecoder,
}

impl<S: Source> Frames<S> {
    fn new(source: S) -> Self {
        let decoder = FrameDecoder::new();
        Frames { source, decoder }
    }

    /// The next frame; `None` when the transport has ended.
    async fn next(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(frame) = self.decoder.decode_frame() {
                return Some(frame);
            }
            let bytes = self.source.next().await?;
            self.decoder.feed(&bytes);
        }
    }

    /// Reads what comes before the first frame.
    async fn skip_header(&mut self) -> Result<(), Error> {
        let mut start = BytesMut::new();
        self.fill(&mut start, ROUTING_MARK.len()).await?;
        if start.starts_with(ROUTING_MARK) {
            start.advance(ROUTING_MARK.len());
            self.fill(&mut start, 3).await?;
            let length = start.get_uint(3);
            let length = usize::try_from(length).map_err(|e| Error::Protocol(e.to_string()))?;
            self.fill(&mut start, length).await?;
            start.advance(length);
        }
        self.fill(&mut start, WA_CONN_HEADER.len()).await?;
        if !start.starts_with(&WA_CONN_HEADER) {
            return Err(Error::Protocol("not the header of this protocol".into()));
        }
        start.advance(WA_CONN_HEADER.len());
        self.decoder.feed(&start);
        Ok(())
    }

    async fn fill(&mut self, start: &mut BytesMut, length: usize) -> Result<(), Error> {
        while start.len() < length {
            start.extend_from_slice(&self.source.next().await.ok_or_else(gone)?);
        }
        Ok(())
    }
}
