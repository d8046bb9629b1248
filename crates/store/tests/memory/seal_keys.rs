//! Changing the seal key: everything is sealed anew, at any moment everything can be read, and an old key goes only when nothing
//! needs it.

use crate::world::{ANNA, Account, Backend, World};
use sanasend_model::webhook::EventFilter;
use sanasend_model::{Clock, Content, Jid, Media, MediaKind, MediaState, MessageId, WebhookId};
use sanasend_store::{
    AuditCheck, AuditEntry, AuditStep, Incoming, IncomingMedia, KeyRetired, NewWebhook, Peer, Proof, ResealPlace, SealKey, SignalChange,
    SignalKind, Store, WebhookCreated, WebhookSecret,
};
use serde_json::json;
use std::time::Duration;

const FINGERPRINT: [u8; 32] = [5; 32];

fn first() -> SealKey {
    SealKey::new(1, [7; 32])
}

fn second() -> SealKey {
    SealKey::new(2, [9; 32])
}

/// What was sealed, to be read again.
struct Sealed {
    account: Account,
    message: MessageId,
    webhook: WebhookId,
}

async fn seal_everywhere<B: Backend>(w: &World<B>) -> Sealed {
    assert_eq!(w.store.prove_secrets(FINGERPRINT).await, Ok(Proof::Good));
    let account = w.account().await;
    let signal = w.signal(account);
    let put = |number: u32| SignalChange::Put { kind: SignalKind::Session, key: number.to_be_bytes().to_vec(), value: b"state".to_vec() };
    signal.apply((0..450).map(put).collect()).await.expect("written");
    let anna = Jid::parse("14155550101@s.whatsapp.net").expect("a jid");
    let about = Media::new(MediaKind::Image, "image/png", 7, [5; 32]);
    let incoming = Incoming {
        wa_message_id: "IN".into(),
        chat: anna.clone(),
        sender: Peer { phone: anna.phone(), jid: Some(anna), lid: None },
        sender_name: None,
        from_me: false,
        content: Content::Media(Box::new(Media { state: MediaState::Remote, ..about })),
        quoted: None,
        media: Some(IncomingMedia { remote: b"the way to it".to_vec(), thumbnail: None, fetch: false }),
        at: crate::world::START,
        raw: Some(b"as it came".to_vec()),
    };
    let message = w.store.receive(account.id, account.generation, vec![incoming]).await.expect("received")[0];
    w.store.note_upload(message, b"where it was handed over".to_vec()).await.expect("noted");
    let events = EventFilter::parse(&[]).expect("sound");
    let secret = || WebhookSecret::new(b"a secret of an endpoint, long enough".to_vec());
    let new = NewWebhook {
        user_id: account.user,
        url: "https://example.com/".into(),
        description: String::new(),
        events,
        is_active: true,
        secret: secret(),
    };
    let WebhookCreated::Done(webhook) = w.store.create_webhook(new, 10).await.expect("written") else { panic!("ten are allowed") };
    let until = w.clock.now().plus(Duration::from_hours(24));
    w.store.rotate_webhook_secret(webhook.id, secret(), until).await.expect("rotated");
    Sealed { account, message, webhook: webhook.id }
}

/// Everything opens, and the audit log is whole.
async fn reads_all(store: &Store, sealed: &Sealed) {
    let signal = store.signal(sealed.account.id, sealed.account.generation);
    for number in [0_u32, 200, 449] {
        assert_eq!(signal.get(SignalKind::Session, &number.to_be_bytes()).await, Ok(Some(b"state".to_vec())));
    }
    let part = store.media_part(sealed.message).await.expect("read").expect("a part");
    assert_eq!((part.remote.as_deref(), part.uploaded.as_deref()), (Some(&b"the way to it"[..]), Some(&b"where it was handed over"[..])));
    assert_eq!(store.raw_message(sealed.message).await, Ok(Some(b"as it came".to_vec())));
    let mut check = AuditCheck::default();
    loop {
        match store.check_audit(&mut check).await.expect("read") {
            AuditStep::SoFar => {}
            AuditStep::Whole { .. } => break,
            AuditStep::Broken(broken) => panic!("{broken:?}"),
        }
    }
}

async fn total(store: &Store, key: u32) -> u64 {
    store.sealed_with(key).await.expect("counted").iter().map(|(_, count)| count).sum()
}

pub async fn everything_is_sealed_anew_through_kills_and_then_the_old_key_goes<B: Backend>(w: World<B>) {
    let sealed = seal_everywhere(&w).await;
    assert_eq!(total(&w.store, 1).await, 450 + 5, "and nothing is sealed that is not in the list");
    w.store.close().await;
    // A sweep is cut again and again, and begins from the start each time.
    for round in 0..2 {
        let store = w.reopen_with(second(), vec![first()]).await;
        assert_eq!(store.prove_secrets(FINGERPRINT).await, Ok(Proof::Good));
        assert_eq!(total(&store, 1).await, 455 - round * 200);
        let refused = store.retire_key(1).await.expect("answered");
        assert!(matches!(&refused, KeyRetired::Needed(columns) if columns[0].0 == "signal.value"), "{refused:?}");
        let mut place = ResealPlace::default();
        assert_eq!(store.reseal_some(&mut place).await, Ok(true));
        assert_eq!(place.so_far.done, 200);
        reads_all(&store, &sealed).await;
        store.close().await;
    }
    let store = w.reopen_with(second(), vec![first()]).await;
    let done = store.reseal().await.expect("sealed anew");
    assert_eq!((done.done, done.stuck), (55, 0));
    assert_eq!((total(&store, 1).await, total(&store, 2).await), (0, 455));
    assert_eq!(store.reseal().await.map(|done| done.done), Ok(0), "nothing is left to do");
    reads_all(&store, &sealed).await;
    for _ in 0..2 {
        assert_eq!(store.retire_key(1).await, Ok(KeyRetired::Done));
    }
    store.close().await;
    // What is left of the old key proves the old entries of the audit log, and opens nothing.
    let store = w.reopen_with(second(), vec![SealKey::for_macs(1, first().mac_part())]).await;
    assert_eq!(store.prove_secrets(FINGERPRINT).await, Ok(Proof::Good));
    reads_all(&store, &sealed).await;
    assert!(store.webhook(sealed.webhook).await.expect("read").is_some());
    let entries = w.ask("SELECT COUNT(*) FROM audit_log WHERE action = 'secrets.retired'").await;
    assert_eq!(entries, 1);
    store.close().await;
    let store = w.reopen_with(first(), vec![]).await;
    assert_eq!(store.prove_secrets(FINGERPRINT).await, Ok(Proof::OtherSealKey), "a node without the new key does not start");
}

pub async fn a_node_without_the_new_key_undoes_nothing_and_keeps_the_old_one_from_going<B: Backend>(w: World<B>) {
    let sealed = seal_everywhere(&w).await;
    // It has the new key and does not seal with it yet.
    let behind = w.reopen_with(first(), vec![second()]).await;
    let ahead = w.reopen_with(second(), vec![first()]).await;
    assert_eq!(ahead.prove_secrets(FINGERPRINT).await, Ok(Proof::Good));
    ahead
        .audit(AuditEntry { actor: None, action: "secrets.rotated", target: "secrets".into(), ip: None, detail: json!({}) })
        .await
        .expect("noted");
    let node = w.clock.uuid();
    behind.renew_node(node, Duration::from_mins(1)).await.expect("lives");
    ahead.reseal().await.expect("sealed anew");
    assert_eq!(behind.reseal().await.map(|done| done.done), Ok(0));
    reads_all(&behind, &sealed).await;
    let signal = behind.signal(sealed.account.id, sealed.account.generation);
    let put = SignalChange::Put { kind: SignalKind::Session, key: 0_u32.to_be_bytes().to_vec(), value: b"state".to_vec() };
    signal.apply(vec![put]).await.expect("written");
    behind
        .audit(AuditEntry { actor: None, action: "secrets.prepared", target: "secrets".into(), ip: None, detail: json!({}) })
        .await
        .expect("noted");
    assert_eq!(total(&ahead, 1).await, 1);
    reads_all(&ahead, &sealed).await;
    assert_eq!(ahead.retire_key(1).await, Ok(KeyRetired::InUse(1)));
    behind.leave_node(node).await.expect("left");
    assert_eq!(ahead.retire_key(1).await, Ok(KeyRetired::Needed(vec![("signal.value".into(), 1)])));
    ahead.reseal().await.expect("sealed anew");
    assert_eq!(ahead.retire_key(1).await, Ok(KeyRetired::Done));
}

pub async fn what_is_damaged_is_counted_and_written_meanwhile_is_kept<B: Backend>(w: World<B>) {
    let sealed = seal_everywhere(&w).await;
    w.send(sealed.account, ANNA, "nothing sealed").await;
    let key = B::bytes(&7_u32.to_be_bytes());
    let moved = format!(
        "UPDATE signal SET value = (SELECT value FROM signal AS s WHERE s.key = {}) WHERE key = {key}",
        B::bytes(&8_u32.to_be_bytes())
    );
    w.tamper(&moved).await;
    let store = w.reopen_with(second(), vec![first()]).await;
    let done = store.reseal().await.expect("sealed anew");
    assert_eq!((done.done, done.stuck), (454, 1));
    assert_eq!(store.retire_key(1).await, Ok(KeyRetired::Needed(vec![("signal.value".into(), 1)])));
}

pub async fn a_node_that_comes_back_after_a_crash_tells_its_new_key<B: Backend>(w: World<B>) {
    const LEASE: Duration = Duration::from_mins(10);
    let node = w.clock.uuid();
    w.store.enter_node(node, LEASE).await.expect("lives");
    assert_eq!(w.store.nodes_sealing_below(1).await, Ok(1));
    // It does not leave: it dies, gets a new key, and starts under its old id before its lease is over.
    let store = w.reopen_with(second(), vec![first()]).await;
    w.tamper("UPDATE nodes SET started_at = 1").await;
    store.enter_node(node, LEASE).await.expect("lives again");
    assert_eq!(store.nodes_sealing_below(1).await, Ok(0), "it keeps the old key from going no longer");
    assert!(w.ask("SELECT MAX(started_at) FROM nodes").await > 1);
    w.tamper("UPDATE nodes SET started_at = 1").await;
    store.renew_node(node, LEASE).await.expect("lives on");
    assert_eq!(w.ask("SELECT MAX(started_at) FROM nodes").await, 1, "no other start");
}
