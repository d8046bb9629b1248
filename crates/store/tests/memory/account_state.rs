//! Signal state: a sealed map per account.

use crate::world::{Account, Backend, World};
use futures::future::join_all;
use sanasend_store::{Proof, SealKey, SignalChange, SignalKind, StoreError};
use std::time::Duration;

fn put(kind: SignalKind, key: &[u8], value: &[u8]) -> SignalChange {
    SignalChange::Put { kind, key: key.to_vec(), value: value.to_vec() }
}

async fn with_values<B: Backend>(w: &World<B>) -> Account {
    let account = w.account().await;
    let changes = [b"a1", b"a2", b"b1"].map(|key| put(SignalKind::Session, key, key));
    w.signal(account).apply(changes.to_vec()).await.expect("put");
    account
}

pub async fn values_are_put_found_listed_and_removed<B: Backend>(w: World<B>) {
    let account = with_values(&w).await;
    let signal = w.signal(account);
    let pairs = |keys: &[&str]| keys.iter().map(|key| (key.as_bytes().to_vec(), key.as_bytes().to_vec())).collect::<Vec<_>>();
    assert_eq!(signal.get(SignalKind::Session, b"a2").await, Ok(Some(b"a2".to_vec())));
    assert_eq!(signal.get(SignalKind::Identity, b"a2").await, Ok(None), "another kind is another place");
    assert_eq!(signal.list(SignalKind::Session, b"a").await, Ok(pairs(&["a1", "a2"])));
    assert_eq!(signal.list(SignalKind::Session, b"").await, Ok(pairs(&["a1", "a2", "b1"])));
    assert_eq!(signal.list_keys(SignalKind::Session, b"b").await, Ok(vec![b"b1".to_vec()]));
    assert_eq!(signal.max_key(SignalKind::Session).await, Ok(Some(b"b1".to_vec())));
    assert_eq!(signal.max_key(SignalKind::PreKey).await, Ok(None));
    let mut many = signal.get_many(SignalKind::Session, &[b"b1".to_vec(), b"no".to_vec(), b"a1".to_vec()]).await.expect("read");
    many.sort();
    assert_eq!(many, pairs(&["a1", "b1"]));
    let delete = SignalChange::DeletePrefix { kind: SignalKind::Session, prefix: b"a".to_vec() };
    signal.apply(vec![put(SignalKind::Session, b"a3", b"x"), delete, put(SignalKind::Session, b"a4", b"y")]).await.expect("applied");
    let kept = signal.list_keys(SignalKind::Session, b"").await;
    assert_eq!(kept, Ok(vec![b"a4".to_vec(), b"b1".to_vec()]), "changes are made in order");
    let all = SignalChange::DeletePrefix { kind: SignalKind::Session, prefix: Vec::new() };
    let one = SignalChange::Delete { kind: SignalKind::Session, key: b"b1".to_vec() };
    signal.apply(vec![one, all]).await.expect("applied");
    assert_eq!(signal.list_keys(SignalKind::Session, b"").await, Ok(Vec::new()));
    let eight_hundred: Vec<_> = (0..812_u32).map(|n| put(SignalKind::PreKey, &n.to_be_bytes(), &[7; 64])).collect();
    signal.apply(eight_hundred).await.expect("applied");
    assert_eq!(signal.max_key(SignalKind::PreKey).await, Ok(Some(811_u32.to_be_bytes().to_vec())));
}

pub async fn changes_are_made_all_or_none<B: Backend>(w: World<B>) {
    let account = with_values(&w).await;
    w.tamper(B::REFUSE_PREKEYS).await;
    let delete = SignalChange::Delete { kind: SignalKind::Session, key: b"a1".to_vec() };
    let changes = vec![delete, put(SignalKind::Session, b"a2", b"new"), put(SignalKind::PreKey, b"1", b"x")];
    assert!(matches!(w.signal(account).apply(changes).await, Err(StoreError::Unavailable(_))));
    assert_eq!(w.signal(account).get(SignalKind::Session, b"a1").await, Ok(Some(b"a1".to_vec())));
    assert_eq!(w.signal(account).get(SignalKind::Session, b"a2").await, Ok(Some(b"a2".to_vec())));
    // The same among others that share the transaction.
    let signal = w.signal(account);
    let many = join_all((0..40_u8).map(|n| {
        let kind = if n % 2 == 0 { SignalKind::PreKey } else { SignalKind::Identity };
        // The removal stands between them, so that they are two statements, of which the second is refused.
        let between = SignalChange::Delete { kind: SignalKind::Session, key: b"none".to_vec() };
        signal.apply(vec![put(SignalKind::SenderKey, &[n], b"first"), between, put(kind, &[n], b"second")])
    }));
    let refused = many.await.iter().filter(|answer| answer.is_err()).count();
    let kept = signal.list_keys(SignalKind::SenderKey, b"").await.expect("read");
    assert_eq!((refused, kept), (20, (0..40).filter(|n| n % 2 == 1).map(|n| vec![n]).collect::<Vec<_>>()));
}

pub async fn an_owner_sees_its_own_writes<B: Backend>(w: World<B>) {
    let accounts = [w.account().await, w.account().await, w.account().await];
    let work = accounts.map(|account| {
        let signal = w.signal(account);
        async move {
            for n in 0..50_u32 {
                let twice = vec![put(SignalKind::Session, b"k", b"first"), put(SignalKind::Session, b"k", &n.to_be_bytes())];
                signal.apply(twice).await.expect("put");
                assert_eq!(signal.get(SignalKind::Session, b"k").await, Ok(Some(n.to_be_bytes().to_vec())));
            }
        }
    });
    join_all(work).await;
}

pub async fn two_accounts_never_see_each_other<B: Backend>(w: World<B>) {
    let [one, two] = [with_values(&w).await, with_values(&w).await];
    w.signal(two).apply(vec![put(SignalKind::Session, b"a1", b"two")]).await.expect("put");
    let all = SignalChange::DeletePrefix { kind: SignalKind::Session, prefix: Vec::new() };
    assert_eq!(w.signal(one).get(SignalKind::Session, b"a1").await, Ok(Some(b"a1".to_vec())));
    w.signal(one).apply(vec![all]).await.expect("applied");
    assert_eq!(w.signal(two).list_keys(SignalKind::Session, b"").await.map(|keys| keys.len()), Ok(3));
}

pub async fn a_new_owner_in_the_same_commit_fences_the_old_one<B: Backend>(w: World<B>) {
    let account = with_values(&w).await;
    let (old, other) = (w.signal(account), w.account().await);
    // While this is written, the others come together, and share the next transaction.
    let long: Vec<_> = (0..812_u32).map(|n| put(SignalKind::PreKey, &n.to_be_bytes(), &[7; 64])).collect();
    let other = w.signal(other);
    // What is gathered over accounts goes first in a transaction; an update is run by itself, in its place behind the new owner.
    let (_, before, taken, after) = tokio::join!(
        other.apply(long),
        old.apply(vec![put(SignalKind::Session, b"a1", b"before")]),
        w.store.take_session(account.id),
        old.update(SignalKind::Session, b"a1", |_| Some(b"after".to_vec())),
    );
    assert_eq!((before, taken, after), (Ok(()), Ok(account.generation + 1), Err(StoreError::Fenced)));
    assert_eq!(old.get(SignalKind::Session, b"a1").await, Ok(Some(b"before".to_vec())));
}

pub async fn an_old_owner_writes_nothing<B: Backend>(w: World<B>) {
    let account = with_values(&w).await;
    let old = w.signal(account);
    w.store.take_session(account.id).await.expect("taken");
    assert_eq!(old.apply(vec![put(SignalKind::Session, b"a1", b"late")]).await, Err(StoreError::Fenced));
    assert_eq!(old.take(SignalKind::Session, b"a1").await, Err(StoreError::Fenced));
    assert_eq!(old.update(SignalKind::Session, b"a1", |_| None).await, Err(StoreError::Fenced));
    assert_eq!(old.get(SignalKind::Session, b"a1").await, Ok(Some(b"a1".to_vec())));
}

pub async fn a_value_is_taken_once<B: Backend>(w: World<B>) {
    let account = with_values(&w).await;
    let signal = w.signal(account);
    let takes = join_all((0..20).map(|_| signal.take(SignalKind::Session, b"a1"))).await;
    assert_eq!(takes.iter().filter(|take| **take == Ok(Some(b"a1".to_vec()))).count(), 1);
    assert_eq!(takes.iter().filter(|take| **take == Ok(None)).count(), 19);
}

pub async fn updates_at_once_lose_nothing<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let signal = w.signal(account);
    let add = |value: Option<Vec<u8>>| Some(value.map_or(vec![1], |value| vec![value[0] + 1]));
    let updates = join_all((0..50).map(|_| signal.update(SignalKind::TcToken, b"k", add))).await;
    assert!(updates.iter().all(Result::is_ok));
    assert_eq!(signal.get(SignalKind::TcToken, b"k").await, Ok(Some(vec![50])));
    signal.update(SignalKind::TcToken, b"k", |_| None).await.expect("removed");
    assert_eq!(signal.get(SignalKind::TcToken, b"k").await, Ok(None));
}

fn is_corrupt<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Corrupt { table: "signal", column, .. }) if column == "value")
}

pub async fn another_key_opens_nothing<B: Backend>(w: World<B>) {
    let account = with_values(&w).await;
    for key in [SealKey::new(1, [8; 32]), SealKey::new(2, [7; 32])] {
        let stranger = w.reopen_with(key, Vec::new()).await;
        let signal = stranger.signal(account.id, account.generation);
        assert!(is_corrupt(&signal.get(SignalKind::Session, b"a1").await));
        assert!(is_corrupt(&signal.list(SignalKind::Session, b"").await));
        assert_eq!(signal.list_keys(SignalKind::Session, b"").await.map(|keys| keys.len()), Ok(3));
    }
}

pub async fn a_changed_key_still_reads_what_the_old_one_sealed<B: Backend>(w: World<B>) {
    let account = with_values(&w).await;
    let renewed = w.reopen_with(SealKey::new(2, [9; 32]), vec![SealKey::new(1, [7; 32])]).await;
    let signal = renewed.signal(account.id, account.generation);
    assert_eq!(signal.get(SignalKind::Session, b"a1").await, Ok(Some(b"a1".to_vec())));
    signal.apply(vec![put(SignalKind::Session, b"a1", b"again")]).await.expect("put");
    assert!(is_corrupt(&w.signal(account).get(SignalKind::Session, b"a1").await), "it is under the new key now");
}

pub async fn a_moved_or_changed_row_is_corrupt_and_the_others_stay_readable<B: Backend>(w: World<B>) {
    let account = with_values(&w).await;
    let other = with_values(&w).await;
    let signal = w.signal(account);
    let [a1, a2, b1] = [b"a1", b"a2", b"b1"].map(|key| B::bytes(key));
    w.tamper(&format!("UPDATE signal SET value = (SELECT value FROM signal AS s WHERE s.key = {a2} LIMIT 1) WHERE key = {a1}")).await;
    let read = signal.get(SignalKind::Session, b"a1").await;
    assert!(is_corrupt(&read), "{read:?}");
    assert!(matches!(read, Err(StoreError::Corrupt { row, .. }) if row.contains("6131") && row.contains(&account.id.to_string())));
    assert_eq!(signal.get(SignalKind::Session, b"b1").await, Ok(Some(b"b1".to_vec())));
    // Moved between accounts: the same key, the same kind, another owner.
    let [from, to] = [account, other].map(|account| B::id(account.id.0));
    w.tamper(&format!(
        "UPDATE signal SET value = (SELECT value FROM signal AS s WHERE s.key = {b1} AND s.session_id = {from}) \
         WHERE key = {b1} AND session_id = {to}"
    ))
    .await;
    assert!(is_corrupt(&w.signal(other).get(SignalKind::Session, b"b1").await));
    for broken in [&b""[..], &[1], &[2, 0, 0, 0, 0, 1, 0, 0], &[0; 200], b"text"] {
        w.tamper(&format!("UPDATE signal SET value = {} WHERE key = {a2}", B::bytes(broken))).await;
        let read = signal.get(SignalKind::Session, b"a2").await;
        assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{broken:?}: {read:?}");
    }
}

pub async fn a_stolen_file_tells_nothing<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let secret = b"an identity key that must not be read";
    let changes = vec![put(SignalKind::Device, b"device", secret), put(SignalKind::Session, b"a", secret)];
    w.signal(account).apply(changes).await.expect("put");
    assert_eq!(w.signal(account).get(SignalKind::Device, b"device").await, Ok(Some(secret.to_vec())));
    for entry in std::fs::read_dir(w.folder.path()).expect("a folder") {
        let bytes = std::fs::read(entry.expect("a file").path()).expect("its bytes");
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        assert!(!bytes.windows(32).any(|window| window == [7; 32]), "the key");
    }
    assert_eq!(w.ask(&format!("SELECT COUNT(*) FROM signal WHERE {}", B::holds("value", secret))).await, 0);
    assert_eq!(w.ask("SELECT COUNT(DISTINCT value) FROM signal").await, 2, "equal values do not look equal");
}

pub async fn secrets_of_another_folder_are_found_out<B: Backend>(w: World<B>) {
    let fresh = || w.database.is_fresh(Duration::from_secs(5));
    assert_eq!(fresh().await, Ok(w.database.file().is_none()));
    assert_eq!(w.store.prove_secrets([1; 32]).await, Ok(Proof::Good), "the first to ask is right");
    assert_eq!(fresh().await, Ok(false));
    assert_eq!(w.reopen().await.prove_secrets([1; 32]).await, Ok(Proof::Good));
    assert_eq!(w.reopen().await.prove_secrets([2; 32]).await, Ok(Proof::OtherSecrets));
    let other = w.reopen_with(SealKey::new(1, [8; 32]), Vec::new()).await;
    assert_eq!(other.prove_secrets([1; 32]).await, Ok(Proof::OtherSealKey));
    let other = w.reopen_with(SealKey::new(2, [8; 32]), Vec::new()).await;
    assert_eq!(other.prove_secrets([1; 32]).await, Ok(Proof::OtherSealKey), "a new key comes beside the old one");
    let renewed = w.reopen_with(SealKey::new(2, [9; 32]), vec![SealKey::new(1, [7; 32])]).await;
    assert_eq!(renewed.prove_secrets([1; 32]).await, Ok(Proof::Good));
}

pub async fn old_values_of_a_kind_are_swept<B: Backend>(w: World<B>) {
    let [one, two] = [w.account().await, w.account().await];
    for account in [one, two] {
        let changes = vec![put(SignalKind::SentMessage, b"old", b"x"), put(SignalKind::MsgSecret, b"old", b"x")];
        w.signal(account).apply(changes).await.expect("put");
    }
    w.clock.advance(Duration::from_mins(1));
    w.signal(one).apply(vec![put(SignalKind::SentMessage, b"new", b"x")]).await.expect("put");
    let line = crate::world::START.plus(Duration::from_secs(30));
    assert_eq!(w.store.sweep_signal(SignalKind::SentMessage, line).await, Ok(2));
    assert_eq!(w.store.sweep_signal(SignalKind::SentMessage, line).await, Ok(0));
    assert_eq!(w.signal(one).list_keys(SignalKind::SentMessage, b"").await, Ok(vec![b"new".to_vec()]));
    assert_eq!(w.signal(two).list_keys(SignalKind::MsgSecret, b"").await, Ok(vec![b"old".to_vec()]));
}
