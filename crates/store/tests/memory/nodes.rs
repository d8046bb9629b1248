//! Nodes: leases, owners, and what one node asks of another.

use crate::backend::WRITE_LOCK;
use crate::world::{ANNA, Account, Backend, World};
use sanasend_model::{Clock, SessionId};
use sanasend_store::{Accepted, SessionPatch, SignalChange, SignalKind, StoreError};
use serde_json::json;
use std::pin::pin;
use std::time::Duration;

const LONG: Duration = Duration::from_mins(10);

pub async fn an_account_has_one_living_owner<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let patch = SessionPatch { linked: Some(true), wanted: Some(true), ..SessionPatch::default() };
    w.store.update_session(account.id, account.generation, patch).await.expect("changed");
    let [(one, first), (two, second)] = [(w.clock.uuid(), w.reopen().await), (w.clock.uuid(), w.reopen().await)];
    first.join(one);
    second.join(two);
    assert_eq!(first.take_session(account.id).await, Err(StoreError::Fenced), "who does not live takes nothing");
    first.renew_node(one, LONG).await.expect("lives");
    second.renew_node(two, LONG).await.expect("lives");
    let generation = first.take_session(account.id).await.expect("free");
    assert_eq!(second.take_session(account.id).await, Err(StoreError::Fenced));
    assert_eq!(second.free_sessions(two, true).await.map(|free| free.len()), Ok(0));
    assert_eq!(first.free_sessions(one, true).await.map(|free| free.len()), Ok(1), "its own");
    assert_eq!(first.free_sessions(one, false).await.map(|free| free.len()), Ok(0));
    assert_eq!(second.node_is_alive(one).await, Ok(true));
    // A lease that ends, by the time of the database.
    first.renew_node(one, Duration::from_millis(1)).await.expect("renewed");
    w.clock.advance(Duration::from_secs(1));
    while second.free_sessions(two, false).await.expect("read").is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(second.take_session(account.id).await.expect("taken over") > generation);
    let put = SignalChange::Put { kind: SignalKind::Device, key: b"d".to_vec(), value: b"v".to_vec() };
    assert_eq!(first.signal(account.id, generation).apply(vec![put]).await, Err(StoreError::Fenced), "the dead one writes nothing");
    first.renew_node(one, LONG).await.expect("lives again");
    assert_eq!(first.take_session(account.id).await, Err(StoreError::Fenced), "too late");
    second.leave_node(two).await.expect("left");
    assert!(first.take_session(account.id).await.is_ok(), "free at once");
}

pub async fn a_node_is_asked_once_and_answers_sealed<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let (one, other) = (w.clock.uuid(), w.clock.uuid());
    let there = w.reopen().await;
    let id = w.store.call_node(one, account.id, json!({"do": "a secret question"})).await.expect("asked");
    assert_eq!(there.take_node_calls(other).await.map(|calls| calls.len()), Ok(0), "not for this one");
    let calls = there.take_node_calls(one).await.expect("read");
    assert_eq!((calls.len(), calls[0].session_id, &calls[0].asked), (1, account.id, &json!({"do": "a secret question"})));
    assert_eq!(there.take_node_calls(one).await.map(|calls| calls.len()), Ok(0), "once");
    assert_eq!(w.store.node_answer(id).await, Ok(None));
    there.answer_node_call(id, json!({"code": "a secret answer"})).await.expect("answered");
    assert_eq!(w.store.node_answer(id).await, Ok(Some(json!({"code": "a secret answer"}))));
    for column in ["asked", "answer"] {
        assert_eq!(w.ask(&format!("SELECT COUNT(*) FROM node_calls WHERE {}", B::holds(column, b"secret"))).await, 0);
    }
}

/// Waits until so many writers stand in line. On SQLite nobody can see that line.
async fn in_line<B: Backend>(w: &World<B>, count: i64) {
    let sql = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while B::NAME == "postgres" && w.ask(sql).await < count {
        tokio::task::yield_now().await;
    }
}

/// Another node writes an event as soon as it may; nobody is notified of it. Answers its cursor.
async fn event_of_another_node<B: Backend>(w: &World<B>) -> i64 {
    let id = B::id(w.clock.uuid());
    w.tamper(&format!(
        "SELECT pg_advisory_xact_lock({WRITE_LOCK}); INSERT INTO events (id, user_id, session_id, kind, message_id, data, at) \
         SELECT {id}, user_id, session_id, kind, message_id, data, at FROM events ORDER BY seq LIMIT 1"
    ))
    .await;
    w.ask(&format!("SELECT seq FROM events WHERE id = {id}")).await
}

pub async fn a_refused_accept_hides_no_event_of_another_node<B: Backend>(w: World<B>) {
    let is_shared = B::NAME == "postgres";
    let account = w.account().await;
    let gone = Account { id: SessionId::new(&*w.clock), ..account };
    w.send(account, ANNA, "before").await;
    let mut changes = w.store.changes();
    let first = w.backend.hold(&w.database).await;
    // While one waits for its turn to write, two more wait for it, and share the transaction after it.
    let mut ahead = pin!(w.store.accept(w.text(account, ANNA, "ahead")));
    assert!(futures::poll!(&mut ahead).is_pending());
    in_line(&w, 1).await;
    let mut refused = pin!(w.store.accept(w.text(gone, ANNA, "refused")));
    let mut good = pin!(w.store.accept(w.text(account, ANNA, "good")));
    assert!(futures::poll!(&mut refused).is_pending() && futures::poll!(&mut good).is_pending());
    let theirs = if is_shared {
        let (backend, database) = (w.backend.clone(), w.database.clone());
        let second = tokio::spawn(async move { backend.hold(&database).await });
        in_line(&w, 2).await;
        drop(first);
        let second = second.await.expect("held again");
        in_line(&w, 1).await;
        // Between the ROLLBACK for the one that is refused and the second try it is this one's turn.
        let (theirs, ()) = tokio::join!(event_of_another_node(&w), async {
            in_line(&w, 2).await;
            drop(second);
        });
        Some(theirs)
    } else {
        drop(first);
        None
    };
    assert!(matches!(ahead.await, Ok(Accepted::Created { .. })));
    assert!(matches!(refused.await, Err(StoreError::Conflict { .. })));
    let Ok(Accepted::Created { seq }) = good.await else { panic!("it spoils no other") };
    let mut told = Vec::new();
    while told.last() != Some(&seq) {
        told.push(changes.recv().await.expect("told").seq);
    }
    assert_eq!(told.len(), if is_shared { 3 } else { 2 }, "{told:?}");
    assert!(theirs.is_none_or(|theirs| theirs < seq && told.contains(&theirs)), "{theirs:?} of {told:?}");
    assert!(told.is_sorted());
}
