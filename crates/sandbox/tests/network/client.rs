//! A small client at the level of stanzas: it shakes hands, frames and numbers, and
//! leaves everything else to the test. It does not know the server's code.

use bytes::Bytes;
use sanasend_sandbox::{Pipe, Sandbox};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::consts::{NOISE_PATTERN_XX, WA_CONN_HEADER};
use wacore_binary::{Node, SERVER_JID};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::framing::{FrameDecoder, encode_frame};
use wacore_noise::{HandshakeUtils, IkHandshakeState, IkServerHelloOutcome, NoiseCipher, NoiseHandshake};
use waproto::buffa::Message;
use waproto::whatsapp::ClientPayload;

/// Nothing in these tests takes longer, unless it never comes.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The transport under a client: a pipe of the same process, or whatever feeds two channels.
pub struct Wire {
    pub out: mpsc::Sender<Bytes>,
    pub inn: mpsc::Receiver<Bytes>,
    decoder: FrameDecoder,
}

impl From<Pipe> for Wire {
    fn from(pipe: Pipe) -> Wire {
        Wire { out: pipe.outgoing, inn: pipe.incoming, decoder: FrameDecoder::new() }
    }
}

impl Wire {
    pub fn new(out: mpsc::Sender<Bytes>, inn: mpsc::Receiver<Bytes>) -> Wire {
        Wire { out, inn, decoder: FrameDecoder::new() }
    }

    pub async fn write(&self, payload: &[u8], header: Option<&[u8]>) {
        let frame = encode_frame(payload, header).unwrap();
        // A closed wire shows itself when it is read.
        let _ = self.out.send(Bytes::from(frame)).await;
    }

    /// The next frame; `None` when the server closed.
    pub async fn read(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.decoder.decode_frame() {
                return Some(frame.to_vec());
            }
            let bytes = tokio::time::timeout(PATIENCE, self.inn.recv()).await.expect("something in time")?;
            self.decoder.feed(&bytes);
        }
    }
}

/// A connection with finished handshake.
pub struct Client {
    wire: Wire,
    write: (NoiseCipher, u32),
    read: (NoiseCipher, u32),
    next_id: u32,
    /// Stanzas that came while the answer to a question was awaited.
    aside: VecDeque<Node>,
}

/// The public half, without type byte.
pub fn public(pair: &KeyPair) -> [u8; 32] {
    pair.public_key.public_key_bytes().try_into().unwrap()
}

pub fn new_key() -> KeyPair {
    KeyPair::generate(&mut rand::make_rng::<rand::rngs::StdRng>())
}

/// What a linked device says about itself at login.
pub fn login_payload(user: &str, device: u16) -> ClientPayload {
    ClientPayload { username: Some(user.parse().unwrap()), device: Some(device.into()), passive: Some(true), ..ClientPayload::default() }
}

impl Client {
    /// Noise XX. Also answers the certificate chain and the server's static key.
    pub async fn introduce(mut wire: Wire, noise: &KeyPair, payload: &ClientPayload) -> (Client, Vec<u8>, [u8; 32]) {
        let mut handshake = NoiseHandshake::new(NOISE_PATTERN_XX, &WA_CONN_HEADER).unwrap();
        let ephemeral = new_key();
        handshake.authenticate(&public(&ephemeral));
        let hello = HandshakeUtils::build_client_hello(&public(&ephemeral));
        wire.write(&hello.encode_to_vec(), Some(&WA_CONN_HEADER)).await;

        let answer = wire.read().await.expect("a server hello");
        let (theirs, fixed, chain) = HandshakeUtils::parse_server_hello(&answer).unwrap();
        handshake.authenticate(&theirs);
        handshake.mix_shared_secret(ephemeral.private_key.serialize(), &theirs).unwrap();
        let fixed = handshake.decrypt(&fixed).unwrap();
        handshake.mix_shared_secret(ephemeral.private_key.serialize(), &fixed).unwrap();
        let chain = handshake.decrypt(&chain).unwrap();

        let own = handshake.encrypt(&public(noise)).unwrap();
        handshake.mix_shared_secret(noise.private_key.serialize(), &theirs).unwrap();
        let payload = handshake.encrypt(&payload.encode_to_vec()).unwrap();
        let finish = HandshakeUtils::build_client_finish(own, payload);
        wire.write(&finish.encode_to_vec(), None).await;
        let (write, read) = handshake.finish().unwrap();
        (Client::new(wire, write, read), chain, fixed.try_into().unwrap())
    }

    /// Noise IK with a pinned server key; `None` when the server closes.
    pub async fn resume(mut wire: Wire, pin: [u8; 32], noise: &KeyPair, payload: &ClientPayload) -> Option<Client> {
        let mut handshake = IkHandshakeState::new(noise.clone(), pin, payload.encode_to_vec(), &WA_CONN_HEADER).unwrap();
        let hello = handshake.build_client_hello().unwrap();
        wire.write(&hello, Some(&WA_CONN_HEADER)).await;
        let answer = wire.read().await?;
        match handshake.read_server_hello(&answer).unwrap() {
            IkServerHelloOutcome::Continue(done) => Some(Client::new(wire, done.write_cipher, done.read_cipher)),
            IkServerHelloOutcome::Fallback(_) => panic!("the server asked to fall back to XX"),
        }
    }

    fn new(wire: Wire, write: NoiseCipher, read: NoiseCipher) -> Client {
        Client { wire, write: (write, 0), read: (read, 0), next_id: 0, aside: VecDeque::new() }
    }

    pub async fn send(&mut self, node: &Node) {
        let plain = wacore_binary::marshal(node).unwrap();
        let sealed = self.write.0.encrypt_with_counter(self.write.1, &plain).unwrap();
        self.write.1 += 1;
        self.wire.write(&sealed, None).await;
    }

    /// Sends bytes that decrypt to nothing.
    pub async fn send_garbage(&mut self) {
        self.wire.write(&[7; 64], None).await;
    }

    /// The next stanza; `None` when the server closed.
    pub async fn next(&mut self) -> Option<Node> {
        if let Some(node) = self.aside.pop_front() {
            return Some(node);
        }
        self.read().await
    }

    async fn read(&mut self) -> Option<Node> {
        let mut frame = self.wire.read().await?;
        self.read.0.decrypt_in_place_with_counter(self.read.1, &mut frame).unwrap();
        self.read.1 += 1;
        let plain = wacore_binary::util::unpack(&frame).unwrap();
        Some(wacore_binary::marshal::unmarshal_ref(&plain).unwrap().to_owned())
    }

    /// The next stanza with this tag; others before it are dropped.
    pub async fn expect(&mut self, tag: &str) -> Node {
        loop {
            let node = self.next().await.unwrap_or_else(|| panic!("closed before a <{tag}>"));
            if node.tag == tag {
                return node;
            }
        }
    }

    /// Sends an iq and answers what the server says to it.
    pub async fn ask(&mut self, namespace: &'static str, kind: &'static str, content: Vec<Node>) -> Node {
        self.next_id += 1;
        let id = format!("q{}", self.next_id);
        let iq = NodeBuilder::new("iq")
            .attr("id", id.as_str())
            .attr("xmlns", namespace)
            .attr("type", kind)
            .attr("to", SERVER_JID)
            .children(content)
            .build();
        self.send(&iq).await;
        loop {
            let node = self.read().await.expect("an answer");
            if node.tag == "iq" && attr(&node, "id") == id {
                return node;
            }
            self.aside.push_back(node);
        }
    }

    /// Everything that has come by the time a ping is answered.
    pub async fn settled(&mut self) -> Vec<Node> {
        self.ask("w:p", "get", vec![]).await;
        self.aside.drain(..).collect()
    }

    /// Says that it is ready for what waits; answers that, in order.
    pub async fn activate(&mut self) -> Vec<Node> {
        self.ask("passive", "set", vec![NodeBuilder::new("active").build()]).await;
        let mut backlog = Vec::new();
        loop {
            let node = self.next().await.expect("the end of the backlog");
            if node.tag == "ib" && node.get_optional_child("offline").is_some() {
                return backlog;
            }
            backlog.push(node);
        }
    }

    /// Acknowledges a stanza.
    pub async fn ack(&mut self, node: &Node) {
        let ack =
            NodeBuilder::new("ack").attr("class", node.tag.to_string()).attr("id", attr(node, "id")).attr("to", attr(node, "from")).build();
        self.send(&ack).await;
    }
}

/// An attribute as text; empty when absent.
pub fn attr(node: &Node, key: &str) -> String {
    node.attrs.get(key).map(ToString::to_string).unwrap_or_default()
}

/// A connection with pinned key, as an in-process client dials.
pub async fn dial_pinned(sandbox: &Sandbox, noise: &KeyPair, payload: &ClientPayload) -> Client {
    Client::resume(sandbox.dial().into(), sandbox.static_key(), noise, payload).await.expect("a greeting")
}
