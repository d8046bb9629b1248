//! The server's side of the Noise handshake: XX for a client that does not know us,
//! IK for one that pinned our key.
//!
//! Apart from the connection that uses it because it is pure: bytes in, bytes out.

use crate::Error;
use crate::clock::Clock;
use crate::keys::{Keys, public_bytes};
use wacore_binary::consts::{NOISE_PATTERN_IK, NOISE_PATTERN_XX, WA_CONN_HEADER};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{NoiseCipher, NoiseHandshake};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp::handshake_message::{ClientHello, ServerHello};
use waproto::whatsapp::{ClientPayload, HandshakeMessage};

/// A finished handshake.
pub struct Established {
    /// Decrypts what the client sends.
    pub read: NoiseCipher,
    /// Encrypts what we send.
    pub write: NoiseCipher,
    /// The client's static key: who it is, cryptographically.
    pub client: [u8; 32],
    /// What the client says about itself.
    pub payload: ClientPayload,
}

/// What the first message of a client leads to.
pub enum Greeting {
    /// It knew our key: one answer and the connection stands.
    Resumed(Vec<u8>, Box<Established>),
    /// It did not: an answer with our certificates, and one more message to come.
    Introduced(Vec<u8>, Box<Halfway>),
}

/// An XX handshake that waits for the client's last message.
pub struct Halfway {
    noise: NoiseHandshake,
    ephemeral: KeyPair,
}

/// Answers a client's first message.
///
/// # Errors
/// `Error::Protocol` when it is no hello or does not decrypt; then the connection must
/// be closed without an answer: whatever we said, a resuming client would throw its
/// pinned key away.
pub fn greet(keys: &Keys, clock: Clock, first: &[u8]) -> Result<Greeting, Error> {
    let message = HandshakeMessage::decode_from_slice(first).map_err(broken)?;
    let hello = message.client_hello.into_option().ok_or_else(|| Error::Protocol("the first message is no hello".into()))?;
    let theirs = fixed(hello.ephemeral.as_deref())?;
    if hello.r#static.is_some() && hello.payload.is_some() { resume(keys, clock, &theirs, &hello) } else { introduce(keys, clock, &theirs) }
}

/// XX: `-> e`, `<- e, ee, s, es` with the certificate chain as payload.
fn introduce(keys: &Keys, clock: Clock, theirs: &[u8; 32]) -> Result<Greeting, Error> {
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_XX, &WA_CONN_HEADER).map_err(broken)?;
    noise.authenticate(theirs);
    let ephemeral = KeyPair::generate(&mut clock.random());
    let public = public_bytes(&ephemeral);
    noise.authenticate(&public);
    mix(&mut noise, &ephemeral, theirs)?;
    let fixed = noise.encrypt(&public_bytes(&keys.noise)).map_err(broken)?;
    mix(&mut noise, &keys.noise, theirs)?;
    let chain = noise.encrypt(&keys.chain).map_err(broken)?;
    let answer = server_hello(public, Some(fixed), chain);
    Ok(Greeting::Introduced(answer, Box::new(Halfway { noise, ephemeral })))
}

impl Halfway {
    /// XX: `-> s, se` with the client's payload.
    ///
    /// # Errors
    /// `Error::Protocol` when the message does not decrypt or decode.
    pub fn finish(mut self, last: &[u8]) -> Result<Established, Error> {
        let finish = HandshakeMessage::decode_from_slice(last)
            .map_err(broken)?
            .client_finish
            .into_option()
            .ok_or_else(|| Error::Protocol("the second message is no finish".into()))?;
        let client = finish.r#static.unwrap_or_default();
        let client = fixed(Some(&self.noise.decrypt(&client).map_err(broken)?))?;
        mix(&mut self.noise, &self.ephemeral, &client)?;
        let payload = finish.payload.unwrap_or_default();
        let payload = self.noise.decrypt(&payload).map_err(broken)?;
        established(self.noise, client, &payload)
    }
}

/// IK: `<- s` known before, `-> e, es, s, ss` with the payload, `<- e, ee, se`.
fn resume(keys: &Keys, clock: Clock, theirs: &[u8; 32], hello: &ClientHello) -> Result<Greeting, Error> {
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &WA_CONN_HEADER).map_err(broken)?;
    noise.authenticate(&public_bytes(&keys.noise));
    noise.authenticate(theirs);
    mix(&mut noise, &keys.noise, theirs)?;
    let client = hello.r#static.as_deref().unwrap_or_default();
    let client = fixed(Some(&noise.decrypt(client).map_err(broken)?))?;
    mix(&mut noise, &keys.noise, &client)?;
    let payload = hello.payload.as_deref().unwrap_or_default();
    let payload = noise.decrypt(payload).map_err(broken)?;

    let ephemeral = KeyPair::generate(&mut clock.random());
    let public = public_bytes(&ephemeral);
    noise.authenticate(&public);
    mix(&mut noise, &ephemeral, theirs)?;
    mix(&mut noise, &ephemeral, &client)?;
    let chain = noise.encrypt(&keys.chain).map_err(broken)?;
    // No `static` here: a client takes its presence for "I do not know your pin".
    let answer = server_hello(public, None, chain);
    let established = established(noise, client, &payload)?;
    Ok(Greeting::Resumed(answer, Box::new(established)))
}

fn established(noise: NoiseHandshake, client: [u8; 32], payload: &[u8]) -> Result<Established, Error> {
    let payload = ClientPayload::decode_from_slice(payload).map_err(broken)?;
    let (theirs, ours) = noise.finish().map_err(broken)?;
    Ok(Established { read: theirs, write: ours, client, payload })
}

fn server_hello(ephemeral: [u8; 32], fixed: Option<Vec<u8>>, payload: Vec<u8>) -> Vec<u8> {
    HandshakeMessage {
        server_hello: MessageField::some(ServerHello {
            ephemeral: Some(ephemeral.to_vec()),
            r#static: fixed,
            payload: Some(payload),
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

fn mix(noise: &mut NoiseHandshake, ours: &KeyPair, theirs: &[u8; 32]) -> Result<(), Error> {
    noise.mix_shared_secret(ours.private_key.serialize(), theirs).map_err(broken)
}

fn fixed(bytes: Option<&[u8]>) -> Result<[u8; 32], Error> {
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| Error::Protocol("a key is not 32 bytes".into()))
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Protocol(format!("handshake: {error}"))
}
