//! Linked accounts: limits, ownership, events of their status.

use crate::world::{ANNA, Backend, START, World};
use sanasend_model::{EventKind, Failure, Jid, MessageStatus, Network, PhoneNumber, Reason, ReasonCode, SessionId, SessionStatus};
use sanasend_store::{Created, NewSession, Page, SessionFilter, SessionPatch, SignalChange, SignalKind, StoreError};
use std::collections::HashSet;
use std::time::Duration;

pub async fn a_user_has_as_many_sessions_as_allowed<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    let new = |name: &str| NewSession { id: SessionId::new(&*w.clock), user_id: user.id, name: name.into(), network: Network::Live };
    let answers = futures::future::join_all(["a", "b", "c", "d"].map(|name| w.store.create_session(new(name), 2))).await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(Created::Done(_)))).count(), 2);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(Created::LimitReached))).count(), 2);
    let Ok(Created::Exists(session)) = w.store.create_session(new("a"), 2).await else { panic!("there already") };
    assert_eq!((session.network, session.status, session.linked), (Network::Live, SessionStatus::Disconnected, false));
    assert_eq!(w.store.session_of(user.id, "a").await, Ok(Some(session.clone())));
    assert_eq!(w.store.session(session.id).await, Ok(Some(session)));
    assert_eq!(w.store.session_of(user.id, "nothing").await, Ok(None));
}

pub async fn a_new_owner_fences_the_old_one<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let newer = w.store.take_session(account.id).await.expect("taken");
    assert_eq!(newer, account.generation + 1);
    let patch = || SessionPatch { linked: Some(true), ..SessionPatch::default() };
    assert_eq!(w.store.update_session(account.id, account.generation, patch()).await, Err(StoreError::Fenced));
    assert_eq!(w.store.erase_credentials(account.id, account.generation).await, Err(StoreError::Fenced));
    assert!(w.store.update_session(account.id, newer, patch()).await.is_ok_and(|session| session.linked));
    let gone = SessionId(uuid::Uuid::nil());
    assert_eq!(w.store.take_session(gone).await, Err(StoreError::Conflict { what: "session" }));
    assert_eq!(w.store.update_session(gone, 1, patch()).await, Err(StoreError::Conflict { what: "session" }));
}

pub async fn a_change_of_status_is_an_event_and_the_same_again_is_none<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let connected = SessionPatch { status: Some(SessionStatus::Connected), ..SessionPatch::default() };
    for _ in 0..3 {
        w.store.update_session(account.id, account.generation, connected.clone()).await.expect("changed");
    }
    let named = SessionPatch { push_name: Some(Some("Anna's shop".into())), ..SessionPatch::default() };
    w.store.update_session(account.id, account.generation, named).await.expect("changed");
    let because = SessionPatch { reason: Some(Some(Reason::new(ReasonCode::Silent, "Because."))), ..SessionPatch::default() };
    w.store.update_session(account.id, account.generation, because).await.expect("changed");
    let events = w.store.events_after(account.user, 0, 10).await.expect("read");
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events.iter().all(|event| event.kind == EventKind::SessionChanged && event.session_id == Some(account.id)));
    assert_eq!(events[0].data["session"]["status"], "connected");
    assert_eq!(events[1].data["session"]["reason"], "Because.");
    assert_eq!(events[1].data["session"]["reason_code"], "silent");
    assert_eq!(events[1].data["session"]["push_name"], "Anna's shop");
}

pub async fn what_can_be_empty_can_be_emptied<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let phone = PhoneNumber::parse(ANNA).expect("a number");
    let full = SessionPatch {
        phone: Some(Some(phone.clone())),
        jid: Some(Some(phone.jid())),
        lid: Some(Jid::parse("1234@lid")),
        connected_at: Some(Some(START)),
        limited_until: Some(Some(START)),
        reason: Some(Some(Reason::reachout_limited(Some(START)))),
        last_error: Some(Some(Reason::banned(None, "spam"))),
        ..SessionPatch::default()
    };
    let session = w.store.update_session(account.id, account.generation, full).await.expect("changed");
    assert_eq!(w.store.session(account.id).await, Ok(Some(session.clone())));
    assert_eq!((session.phone, session.connected_at), (Some(phone), Some(START)));
    let codes = [&session.reason, &session.last_error].map(|reason| reason.as_ref().map(|reason| reason.code));
    assert_eq!(codes, [Some(ReasonCode::ReachoutLimited), Some(ReasonCode::Banned)]);
    let empty = SessionPatch {
        connected_at: Some(None),
        limited_until: Some(None),
        reason: Some(None),
        last_error: Some(None),
        ..SessionPatch::default()
    };
    let session = w.store.update_session(account.id, account.generation, empty).await.expect("changed");
    assert_eq!(w.store.session(account.id).await, Ok(Some(session.clone())));
    assert_eq!((session.connected_at, session.limited_until, session.reason, session.last_error), (None, None, None, None));
    assert_eq!(w.ask("SELECT COUNT(*) FROM sessions WHERE reason_code IS NOT NULL OR last_error_code IS NOT NULL").await, 0);
    assert!(session.jid.is_some(), "what was not named stays");
}

pub async fn sentences_from_before_there_were_codes_get_theirs<B: Backend>(w: World<B>) {
    let sentences = [
        ("WhatsApp banned the account until tomorrow: spam.", ReasonCode::Banned),
        ("WhatsApp limits messages to people who never wrote to this account (463).", ReasonCode::ReachoutLimited),
        ("WhatsApp limits connections from here; waiting.", ReasonCode::RateLimited),
        ("WhatsApp''s server is in trouble (code 503); waiting.", ReasonCode::ServerTrouble),
        ("Connection lost (WhatsApp banned the account); reconnecting.", ReasonCode::ConnectionLost),
        ("Put back.", ReasonCode::Other),
    ];
    let mut accounts = Vec::new();
    for (sentence, code) in sentences {
        let account = w.account().await;
        let id = B::id(account.id.0);
        w.tamper(&format!("UPDATE sessions SET reason = '{sentence}', last_error = '{sentence}' WHERE id = {id}")).await;
        accounts.push((account, sentence.replace("''", "'"), code));
    }
    let silent = w.account().await;
    w.tamper("ALTER TABLE sessions DROP COLUMN reason_code; ALTER TABLE sessions DROP COLUMN last_error_code").await;
    w.tamper("DELETE FROM seaql_migrations WHERE version = 'm20261127_000026_reason_codes'").await;
    let store = w.reopen().await;
    assert_eq!(store.migrate().await, Ok(vec!["m20261127_000026_reason_codes".to_owned()]));
    for (account, sentence, code) in accounts {
        let session = store.session(account.id).await.expect("read").expect("there");
        let reason = Some(Reason::new(code, sentence));
        assert_eq!((&session.reason, &session.last_error), (&reason, &reason));
    }
    let session = store.session(silent.id).await.expect("read").expect("there");
    assert_eq!((session.reason, session.last_error), (None, None));
}

pub async fn linked_and_wanted_sessions_start<B: Backend>(w: World<B>) {
    let accounts = [w.account().await, w.account().await, w.account().await, w.account().await];
    for (account, (linked, wanted)) in accounts.iter().zip([(true, true), (true, false), (false, true), (true, true)]) {
        let patch = SessionPatch { linked: Some(linked), wanted: Some(wanted), ..SessionPatch::default() };
        w.store.update_session(account.id, account.generation, patch).await.expect("changed");
    }
    // One that can't be read must not keep the others from starting.
    w.tamper(&format!("UPDATE sessions SET status = 'nonsense' WHERE id = {}", B::id(accounts[3].id.0))).await;
    let ids: Vec<_> = w.store.wanted_sessions().await.expect("read").into_iter().map(|session| session.id).collect();
    assert_eq!(ids, [accounts[0].id]);
}

pub async fn erasing_credentials_unlinks<B: Backend>(w: World<B>) {
    let [account, other] = [w.account().await, w.account().await];
    for account in [account, other] {
        let patch = SessionPatch { linked: Some(true), ..SessionPatch::default() };
        w.store.update_session(account.id, account.generation, patch).await.expect("changed");
        let put = SignalChange::Put { kind: SignalKind::Device, key: b"d".to_vec(), value: b"v".to_vec() };
        w.signal(account).apply(vec![put]).await.expect("put");
    }
    w.store.erase_credentials(account.id, account.generation).await.expect("erased");
    assert_eq!(w.signal(account).get(SignalKind::Device, b"d").await, Ok(None));
    assert!(w.store.session(account.id).await.is_ok_and(|session| session.is_some_and(|session| !session.linked)));
    assert_eq!(w.signal(other).get(SignalKind::Device, b"d").await, Ok(Some(b"v".to_vec())));
}

pub async fn a_database_that_was_put_back_uses_nothing_of_before<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let patch = SessionPatch { linked: Some(true), wanted: Some(true), ..SessionPatch::default() };
    w.store.update_session(account.id, account.generation, patch).await.expect("changed");
    let put = || SignalChange::Put { kind: SignalKind::Device, key: b"d".to_vec(), value: b"v".to_vec() };
    w.signal(account).apply(vec![put()]).await.expect("put");
    let waiting = w.send(account, ANNA, "waiting").await;
    let done = w.store.fence_restored("Put back.").await.expect("fenced");
    assert_eq!((done.accounts, done.messages), (1, 1));
    assert_eq!(w.signal(account).get(SignalKind::Device, b"d").await, Ok(None));
    assert_eq!(w.signal(account).apply(vec![put()]).await, Err(StoreError::Fenced), "whoever owned it before");
    let session = w.store.session(account.id).await.expect("read").expect("there");
    assert!(!session.linked && !session.wanted, "{session:?}");
    let put_back = Some(Reason::new(ReasonCode::Restored, "Put back."));
    assert_eq!((session.status, &session.reason, &session.last_error), (SessionStatus::LoggedOut, &put_back, &put_back));
    let message = w.store.message(None, waiting.id).await.expect("read").expect("there");
    assert_eq!((message.status, message.error_code), (MessageStatus::Failed, Some(Failure::OutcomeUnknown)));
    assert_eq!(w.store.fence_restored("Put back.").await.map(|done| done.accounts), Ok(0), "once is enough");
}

pub async fn deleting_a_session_takes_its_messages_along<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let other = w.account_of(account.user, "second").await;
    for n in 0..3 {
        w.send(account, ANNA, &format!("{n}")).await;
    }
    let kept = w.send(other, ANNA, "kept").await;
    assert_eq!(w.store.delete_session(account.id).await, Ok(true));
    assert_eq!(w.store.delete_session(account.id).await, Ok(false));
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, 1);
    assert_eq!(w.store.outbox_depth().await, Ok(1));
    assert!(w.store.message(None, kept.id).await.is_ok_and(|message| message.is_some()));
    let put = SignalChange::Put { kind: SignalKind::Device, key: b"d".to_vec(), value: b"v".to_vec() };
    assert_eq!(w.signal(account).apply(vec![put]).await, Err(StoreError::Fenced));
}

pub async fn sessions_are_listed_by_status_and_name<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    for (name, status) in [("b", SessionStatus::Connected), ("a", SessionStatus::Failed), ("c", SessionStatus::Connected)] {
        w.clock.advance(Duration::from_secs(1));
        let account = w.account_of(user.id, name).await;
        let patch = SessionPatch { status: Some(status), ..SessionPatch::default() };
        w.store.update_session(account.id, account.generation, patch).await.expect("changed");
    }
    w.account().await;
    let names = async |filter: SessionFilter| {
        let listed = w.store.list_sessions(&filter, Page::default()).await.expect("listed");
        listed.results.into_iter().map(|session| session.name).collect::<Vec<_>>()
    };
    let hers = SessionFilter { user_id: Some(user.id), ..SessionFilter::default() };
    assert_eq!(names(hers.clone()).await, ["c", "a", "b"]);
    assert_eq!(names(SessionFilter { ordering: "name".parse().expect("an order"), ..hers.clone() }).await, ["a", "b", "c"]);
    assert_eq!(names(SessionFilter { status: Some(SessionStatus::Failed), ..hers.clone() }).await, ["a"]);
    assert_eq!(names(SessionFilter { search: Some("C".into()), ..hers }).await, ["c"]);
}

pub async fn all_that_is_left_in_motion_is_found<B: Backend>(w: World<B>) {
    const MOVING: [SessionStatus; 4] =
        [SessionStatus::QrPending, SessionStatus::PasskeyRequired, SessionStatus::Connecting, SessionStatus::Connected];
    let user = w.user("anna").await;
    let mut left = HashSet::new();
    for n in 0..90 {
        let account = w.account_of(user.id, &format!("account {n}")).await;
        let wanted = n % 2 == 0;
        let patch = SessionPatch { status: Some(MOVING[n % 4]), linked: Some(wanted), wanted: Some(wanted), ..SessionPatch::default() };
        w.store.update_session(account.id, account.generation, patch).await.expect("changed");
        if !wanted {
            left.insert(account.id);
        }
    }
    let (mut found, mut behind) = (HashSet::new(), Some(SessionId(uuid::Uuid::nil())));
    while let Some(last) = behind {
        let (rows, next) = w.store.sessions_left_in(MOVING, Network::Sandbox, last, 20).await.expect("read");
        found.extend(rows.into_iter().map(|row| row.id));
        behind = next;
    }
    assert_eq!((found.len(), found), (45, left));
    let all = w.store.sessions_left_in(MOVING, Network::Live, SessionId(uuid::Uuid::nil()), 1000).await.expect("read");
    assert_eq!((all.0.len(), all.1), (90, None), "those of another network come back by nobody");
}
