//! The writer: group commit, durability, refusals, events.

use crate::world::{ANNA, Backend, World};
use futures::future::join_all;
use sanasend_model::EventKind;
use sanasend_store::{Accepted, NewUser, SignalKind, StoreError};
use std::os::unix::fs::PermissionsExt;

pub async fn everything_waiting_is_committed_and_answered<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let news: Vec<_> = (0..300).map(|n| w.text(account, ANNA, &format!("text {n}"))).collect();
    let answers = join_all(news.iter().map(|new| w.store.accept(new.clone()))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Accepted::Created { .. }))), "{answers:?}");
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, 300);
    assert_eq!(w.store.outbox_depth().await, Ok(300));
}

pub async fn what_was_answered_is_there_after_reopening<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "remember me").await;
    let again = w.reopen().await;
    let message = again.message(None, sent.id).await.expect("read").expect("there");
    assert_eq!(message.content, sent.content);
    assert_eq!(*again.events_written().borrow(), *w.store.events_written().borrow());
}

pub async fn a_failed_commit_answers_unavailable_and_the_writer_goes_on<B: Backend>(w: World<B>) {
    w.tamper(B::POISON).await;
    let account = w.account().await;
    let poison = w.store.create_user(w.new_user("poison"));
    let (poisoned, innocent) = tokio::join!(poison, w.store.accept(w.text(account, ANNA, "caught in the middle")));
    assert!(matches!(poisoned, Err(StoreError::Unavailable(_))), "{poisoned:?}");
    // The innocent one shared the transaction or did not; either way the answer is the truth.
    let written = w.ask("SELECT COUNT(*) FROM messages").await;
    assert_eq!(written, i64::from(innocent.is_ok()), "{innocent:?}");
    assert_eq!(w.ask("SELECT COUNT(*) FROM users WHERE username = 'poison'").await, 0);
    w.send(account, ANNA, "afterwards").await;
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, written + 1);
}

pub async fn one_refused_request_spoils_no_other<B: Backend>(w: World<B>) {
    w.user("taken").await;
    let names: Vec<String> = (0..40).map(|n| if n % 2 == 0 { "taken".into() } else { format!("fresh{n}") }).collect();
    let new = |name: &String| NewUser { email: format!("{}@example.com", w.number()), ..w.new_user(name) };
    let answers = join_all(names.iter().map(|name| w.store.create_user(new(name)))).await;
    for (name, answer) in names.iter().zip(answers) {
        if name == "taken" {
            assert_eq!(answer, Err(StoreError::Conflict { what: "username" }));
        } else {
            assert_eq!(answer.map(|user| user.username), Ok(name.clone()));
        }
    }
    assert_eq!(w.store.count_users().await, Ok(21));
}

pub async fn a_panic_in_a_request_ends_only_that_request<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let signal = w.signal(account);
    let broken = signal.update(SignalKind::Session, b"k", |_| panic!("a bug in the caller's closure")).await;
    assert!(matches!(broken, Err(StoreError::Unavailable(_))), "{broken:?}");
    w.send(account, ANNA, "still alive").await;
}

pub async fn events_are_told_after_their_commit_and_in_order<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let mut changes = w.store.changes();
    let written = w.store.events_written();
    let news: Vec<_> = (0..100).map(|n| w.text(account, ANNA, &format!("{n}"))).collect();
    join_all(news.iter().map(|new| w.store.accept(new.clone()))).await;
    let mut last = 0;
    for _ in 0..100 {
        let event = changes.try_recv().expect("told before the answer");
        assert_eq!(event.kind, EventKind::MessageAccepted);
        assert!(event.seq > last);
        last = event.seq;
    }
    assert_eq!(*written.borrow(), last);
    assert_eq!(w.ask("SELECT MAX(seq) FROM events").await, last);
}

pub async fn a_closed_store_answers_unavailable<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let last = w.text(account, ANNA, "last words");
    let (accepted, ()) = tokio::join!(w.store.accept(last.clone()), w.store.close());
    assert!(matches!(accepted, Ok(Accepted::Created { .. })), "{accepted:?}");
    assert!(matches!(w.store.accept(w.text(account, ANNA, "too late")).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(w.store.ping().await, Err(StoreError::Unavailable(_))));
    if w.database.file().is_some() {
        let files = std::fs::read_dir(w.folder.path()).expect("a folder").count();
        assert_eq!(files, 1, "one file holds all");
    }
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, 1);
    w.store.close().await;
}

pub async fn migrations_are_named_and_applied_once<B: Backend>(w: World<B>) {
    assert_eq!(w.store.pending_migrations().await, Ok(Vec::new()));
    assert_eq!(w.store.newer_migrations().await, Ok(Vec::new()));
    assert_eq!(w.store.migrate().await, Ok(Vec::new()));
    w.tamper("INSERT INTO seaql_migrations VALUES ('m2999_of_a_newer_program', 1)").await;
    assert_eq!(w.store.newer_migrations().await, Ok(vec!["m2999_of_a_newer_program".to_owned()]));
    let folder = tempfile::tempdir().expect("a folder");
    let (_backend, database) = B::fresh(folder.path()).await;
    let fresh = w.open_at(&database).await;
    assert_eq!(fresh.ping().await, Ok(()), "also without tables");
    let pending = fresh.pending_migrations().await.expect("names");
    assert!(pending.iter().all(|name| name.starts_with("m2026")), "{pending:?}");
    if database.file().is_none() {
        // Two nodes that start at once do not get in each other's way.
        let twin = w.open_at(&database).await;
        let (one, other) = tokio::join!(fresh.migrate(), twin.migrate());
        assert_eq!((one, other), (Ok(pending.clone()), Ok(pending)));
    } else {
        assert_eq!(fresh.migrate().await, Ok(pending));
    }
    assert_eq!(fresh.ping().await, Ok(()));
}

pub async fn the_file_is_for_its_owner_only<B: Backend>(w: World<B>) {
    for entry in std::fs::read_dir(w.folder.path()).expect("a folder") {
        let entry = entry.expect("a file");
        let mode = entry.metadata().expect("its mode").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
    }
}
