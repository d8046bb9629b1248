//! Who gets in, and how it is told who we are.

use crate::client::{Client, attr, dial_pinned, login_payload, new_key};
use crate::world::{Companion, sandbox_in};
use sanasend_sandbox::{Fault, RESERVED_NUMBER};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_libsignal::protocol::PublicKey;
use wacore_noise::XxHandshakeState;
use waproto::buffa::Message;
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::noise_certificate::Details;

#[tokio::test]
async fn a_new_client_gets_a_chain_that_the_root_signed() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let payload = login_payload(RESERVED_NUMBER, 0);
    let (_client, chain, fixed) = Client::introduce(sandbox.dial().into(), &new_key(), &payload).await;
    assert_eq!(fixed, sandbox.static_key());

    let chain = CertChain::decode_from_slice(&chain).unwrap();
    let (leaf, middle) = (chain.leaf.into_option().unwrap(), chain.intermediate.into_option().unwrap());
    let details = |bytes: &Option<Vec<u8>>| Details::decode_from_slice(bytes.as_deref().unwrap()).unwrap();
    let signed = |by: &[u8], what: &Option<Vec<u8>>, signature: &Option<Vec<u8>>| {
        let key = PublicKey::from_djb_public_key_bytes(by).unwrap();
        key.verify_signature(what.as_deref().unwrap(), signature.as_deref().unwrap())
    };
    assert!(signed(&sandbox.root_key(), &middle.details, &middle.signature));
    let middle_key = details(&middle.details).key.unwrap();
    assert!(signed(&middle_key, &leaf.details, &leaf.signature));
    assert!(!signed(&sandbox.root_key(), &leaf.details, &leaf.signature));
    assert_eq!(details(&middle.details).issuer_serial, Some(0));
    assert_eq!(details(&leaf.details).issuer_serial, details(&middle.details).serial);
    assert_eq!(details(&leaf.details).key.unwrap(), fixed);
}

/// The wall between the sandbox and the real network, from this side: nobody who checks
/// WhatsApp's own root takes us for WhatsApp.
#[tokio::test]
async fn a_client_with_the_real_root_refuses_us() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let payload = login_payload(RESERVED_NUMBER, 0).encode_to_vec();
    let mut handshake = XxHandshakeState::new(new_key(), payload, &WA_CONN_HEADER).unwrap();
    let mut wire = crate::client::Wire::from(sandbox.dial());
    wire.write(&handshake.build_client_hello().unwrap(), Some(&WA_CONN_HEADER)).await;
    let answer = wire.read().await.unwrap();
    assert!(handshake.read_server_hello_and_build_client_finish(&answer).is_err());
}

#[tokio::test]
async fn a_wrong_pin_is_answered_with_silence() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let payload = login_payload(RESERVED_NUMBER, 0);
    let wrong = crate::client::public(&new_key());
    let client = Client::resume(sandbox.dial().into(), wrong, &new_key(), &payload).await;
    assert!(client.is_none());
}

#[tokio::test]
async fn what_cannot_be_decrypted_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let mut client = dial_pinned(&sandbox, &new_key(), &login_payload(RESERVED_NUMBER, 0)).await;
    client.expect("iq").await;
    client.send_garbage().await;
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn a_header_of_another_protocol_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let mut wire = crate::client::Wire::from(sandbox.dial());
    wire.write(b"GET / HTTP/1.1", Some(b"WA\x05\x03")).await;
    assert!(wire.read().await.is_none());
}

#[tokio::test]
async fn only_the_key_that_was_linked_logs_in() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let mut companion = Companion::new();
    companion.link(&sandbox, "+12025550142").await;
    companion.log_in(&sandbox).await;

    let mut stranger = dial_pinned(&sandbox, &new_key(), &login_payload("12025550142", companion.jid.device)).await;
    assert_eq!(attr(&stranger.expect("failure").await, "reason"), "401");
    assert!(stranger.next().await.is_none());
    let mut other = dial_pinned(&sandbox, &companion.noise, &login_payload("12025550142", 99)).await;
    assert_eq!(attr(&other.expect("failure").await, "reason"), "401");
}

#[tokio::test]
async fn the_newer_of_two_connections_wins() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (companion, mut older) = Companion::ready(&sandbox, "+12025550142", 1).await;
    let mut newer = companion.log_in(&sandbox).await;
    let error = older.expect("stream:error").await;
    assert_eq!(attr(error.get_optional_child("conflict").unwrap(), "type"), "replaced");
    assert!(older.next().await.is_none());
    newer.activate().await;
    assert!(newer.settled().await.is_empty());
}

#[tokio::test]
async fn an_unknown_question_is_refused_and_a_ping_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (_companion, mut client) = Companion::ready(&sandbox, "+12025550142", 1).await;
    let answer = client.ask("w:nonsense", "get", vec![NodeBuilder::new("what").build()]).await;
    assert_eq!(attr(&answer, "type"), "error");
    assert_eq!(attr(answer.get_optional_child("error").unwrap(), "code"), "501");
    assert_eq!(attr(&client.ask("w:p", "get", vec![]).await, "type"), "result");
}

#[tokio::test]
async fn planted_failures_and_stream_errors_come_when_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (companion, mut client) = Companion::ready(&sandbox, "+12025550142", 1).await;
    let control = sandbox.control();
    control.fault("+12025550142", Fault::StreamError(503)).unwrap();
    assert_eq!(attr(&client.expect("stream:error").await, "code"), "503");
    assert!(client.next().await.is_none());

    control.fault("+12025550142", Fault::Failure { code: 403, count: 1 }).unwrap();
    let mut refused = companion.dial(&sandbox).await;
    assert_eq!(attr(&refused.expect("failure").await, "reason"), "403");
    let mut client = companion.log_in(&sandbox).await;
    control.fault("+12025550142", Fault::Disconnect).unwrap();
    assert!(client.next().await.is_none());
}
