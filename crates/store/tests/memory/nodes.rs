//! Nodes: leases, owners, and what one node asks of another.

use crate::world::{Backend, World};
use sanasend_model::Clock;
use sanasend_store::{SessionPatch, SignalChange, SignalKind, StoreError};
use serde_json::json;
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
