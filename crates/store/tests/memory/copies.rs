//! Copies of PostgreSQL: taken of one moment while others write, and put into an empty database whole or not at all.

use crate::backend::{Backend, Postgres};
use crate::world::{ANNA, Account, World, options};
use sanasend_store::{Copied, Database, Fillable, SealKey, SignalChange, SignalKind, Store, StoreError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const FINGERPRINT: [u8; 32] = [9; 32];

async fn with_secrets() -> (World<Postgres>, Account) {
    let w = World::<Postgres>::new().await;
    w.store.prove_secrets(FINGERPRINT).await.expect("proved");
    let account = w.account().await;
    (w, account)
}

/// A copy, and what was told of it.
async fn copy(w: &World<Postgres>) -> (PathBuf, Copied) {
    let (folder, told) = (w.folder.path().join("copy"), AtomicU64::new(0));
    std::fs::create_dir_all(&folder).expect("a folder");
    let copied = w.store.copy_tables_to(&folder, &|bytes| _ = told.fetch_add(bytes, Ordering::Relaxed)).await.expect("copied");
    let bytes: u64 = copied.tables.iter().map(|table| size(&folder.join(Copied::file_of(&table.name)))).sum();
    assert_eq!(told.load(Ordering::Relaxed), bytes, "progress is told of every byte");
    (folder, copied)
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).expect("a file").len()
}

/// An empty database, and its store.
async fn empty(w: &World<Postgres>, seal_key: SealKey) -> (Postgres, Database, Store) {
    let (backend, database) = Postgres::fresh(w.folder.path()).await;
    let store = Store::open(sanasend_store::Options { seal_key, ..options(&database) }, w.clock.clone()).await.expect("opened");
    (backend, database, store)
}

fn key() -> SealKey {
    options(&Database::Sqlite { path: PathBuf::new() }).seal_key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_of_one_moment_and_fills_an_empty_database() {
    let (w, account) = with_secrets().await;
    w.send(account, ANNA, "tab\there, line\nbreak, back\\slash, \\N and \u{1f600}").await;
    w.signal(account)
        .apply(vec![SignalChange::Put { kind: SignalKind::Device, key: vec![0, 255, 10, 92], value: b"v".to_vec() }])
        .await
        .expect("put");
    for n in 0..200 {
        w.send(account, ANNA, &format!("before {n}")).await;
    }
    // Whoever writes goes on: each accept is one transaction over several tables.
    let more = async {
        for n in 0..60 {
            w.send(account, ANNA, &format!("meanwhile {n}")).await;
        }
    };
    let ((folder, copied), ()) = tokio::join!(copy(&w), more);
    let (backend, database, store) = empty(&w, key()).await;
    assert_eq!(store.make_fillable(&w.store.migrations().await.expect("read")).await, Ok(Fillable::Ready));
    assert_eq!(store.make_fillable(&w.store.migrations().await.expect("read")).await, Ok(Fillable::Ready), "a second try");
    let poured = Arc::new(AtomicU64::new(0));
    let told = {
        let poured = poured.clone();
        Arc::new(move |bytes| _ = poured.fetch_add(bytes, Ordering::Relaxed))
    };
    store.fill(&folder, copied.clone(), (FINGERPRINT, false), told).await.expect("filled");
    assert!(poured.load(Ordering::Relaxed) > 0);
    store.migrate().await.expect("up to date");
    for table in &copied.tables {
        let rows = backend.ask(&database, &format!("SELECT COUNT(*) FROM {}", table.name)).await;
        assert_eq!(u64::try_from(rows), Ok(table.rows), "{}", table.name);
    }
    let count = async |sql: &str| backend.ask(&database, sql).await;
    let messages = count("SELECT COUNT(*) FROM messages").await;
    assert!((201..=261).contains(&messages), "{messages}");
    assert_eq!(count("SELECT COUNT(*) FROM outbox").await, messages, "one moment");
    assert_eq!(count("SELECT COUNT(*) FROM events WHERE message_id IS NOT NULL").await, messages, "one moment");
    let state = store.signal(account.id, account.generation);
    assert_eq!(state.get(SignalKind::Device, &[0, 255, 10, 92]).await, Ok(Some(b"v".to_vec())), "a moved server keeps its keys");
    assert_eq!(
        crate::audit::verdict(&store).await.map(|(entries, _)| entries),
        Ok(2),
        "the chain is whole: the secrets' beginning and what the test noted"
    );
    // Numbers that were given once are not given again.
    let last = count("SELECT MAX(seq) FROM messages").await;
    assert!(count("SELECT nextval(pg_get_serial_sequence('messages', 'seq'))").await > last);
    assert_eq!(store.make_fillable(&w.store.migrations().await.expect("read")).await, Ok(Fillable::NotEmpty));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_copy_holds_no_key_from_the_first_moment_on() {
    let (w, account) = with_secrets().await;
    w.signal(account).apply(vec![SignalChange::Put { kind: SignalKind::Device, key: vec![1], value: b"v".to_vec() }]).await.expect("put");
    w.tamper("UPDATE sessions SET linked = TRUE, wanted = TRUE").await;
    let (folder, copied) = copy(&w).await;
    let (backend, database, store) = empty(&w, key()).await;
    store.make_fillable(&w.store.migrations().await.expect("read")).await.expect("ready");
    store.fill(&folder, copied, (FINGERPRINT, true), Arc::new(|_| ())).await.expect("filled");
    assert_eq!(backend.ask(&database, "SELECT COUNT(*) FROM signal").await, 0);
    assert_eq!(backend.ask(&database, "SELECT COUNT(*) FROM sessions WHERE wanted").await, 0);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_whole_or_of_other_secrets_fills_nothing() {
    let (w, account) = with_secrets().await;
    w.send(account, ANNA, "one").await;
    let (folder, copied) = copy(&w).await;
    let migrations = w.store.migrations().await.expect("read");
    let users = async |backend: &Postgres, database: &Database| backend.ask(database, "SELECT COUNT(*) FROM users").await;
    let (backend, database, other) = empty(&w, SealKey::new(1, [8; 32])).await;
    other.make_fillable(&migrations).await.expect("ready");
    let refused = other.fill(&folder, copied.clone(), (FINGERPRINT, false), Arc::new(|_| ())).await;
    assert_eq!(refused, Err(StoreError::Conflict { what: "secrets" }));
    assert_eq!(users(&backend, &database).await, 0);
    other.close().await;
    let (backend, database, store) = empty(&w, key()).await;
    let refused = store.make_fillable(&[migrations, vec!["m9999_of_tomorrow".into()]].concat()).await;
    assert_eq!(refused, Ok(Fillable::Newer("m9999_of_tomorrow".into())));
    store.make_fillable(&w.store.migrations().await.expect("read")).await.expect("ready");
    let mut short = copied.clone();
    short.tables.iter_mut().filter(|table| table.name == "messages").for_each(|table| table.rows += 1);
    let mut strange = copied.clone();
    strange.tables[0].columns.push("x\") FROM PROGRAM 'false' --".into());
    for bad in [short, strange] {
        let refused = store.fill(&folder, bad, (FINGERPRINT, false), Arc::new(|_| ())).await;
        assert!(matches!(refused, Err(StoreError::Corrupt { table: "copy", .. })), "{refused:?}");
        assert_eq!(users(&backend, &database).await, 0);
    }
    store.fill(&folder, copied, (FINGERPRINT, false), Arc::new(|_| ())).await.expect("the whole one is taken after all");
    assert_eq!(users(&backend, &database).await, 1);
    store.close().await;
}
