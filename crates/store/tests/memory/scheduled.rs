//! Messages that wait for their date, and recurring sends.

use crate::world::{ANNA, Account, BEN, Backend, CARL, START, World, key};
use sanasend_model::{Clock, EventKind, Failure, Jid, MessageStatus, PhoneNumber, Timestamp};
use sanasend_store::{
    Accepted, NewMessage, News, Page, Peer, Recurring, RecurringContent, RecurringCreated, RecurringPlan, RecurringRun, Reschedule,
    SessionPatch, Settled, StoreError, UserPatch,
};
use std::time::Duration;

fn later(secs: u64) -> Timestamp {
    START.plus(Duration::from_secs(secs))
}

/// A user with an account that is linked.
async fn linked<B: Backend>(w: &World<B>) -> Account {
    let account = w.account().await;
    let patch = SessionPatch { linked: Some(true), ..SessionPatch::default() };
    w.store.update_session(account.id, account.generation, patch).await.expect("linked");
    account
}

/// A text that is due so many seconds from the start.
fn dated<B: Backend>(w: &World<B>, account: Account, to: &str, body: &str, secs: u64) -> NewMessage {
    let due = later(secs);
    NewMessage { scheduled_at: Some(due), expires_at: due.plus(Duration::from_hours(1)), ..w.text(account, to, body) }
}

async fn hand_in<B: Backend>(w: &World<B>, new: &NewMessage) {
    assert!(matches!(w.store.accept(new.clone()).await, Ok(Accepted::Created { .. })));
}

async fn told<B: Backend>(w: &World<B>, new: &NewMessage) -> (MessageStatus, Option<Failure>, Vec<String>) {
    let message = w.store.message(None, new.id).await.expect("read").expect("there");
    let timeline = w.store.timeline(new.id).await.expect("read");
    (message.status, message.error_code, timeline.iter().map(|entry| entry.step.as_str().to_owned()).collect())
}

pub async fn a_dated_message_waits_outside_the_outbox_and_goes_when_it_is_due<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    let mut changes = w.store.changes();
    let first = dated(&w, account, ANNA, "tomorrow", 100);
    hand_in(&w, &first).await;
    w.send(account, ANNA, "now").await;
    assert_eq!(w.claim(account).await, ["now"], "what waits for its date holds up nothing");
    assert_eq!(w.store.next_scheduled().await, Ok(Some(later(100))));
    assert_eq!(w.store.release_due(later(99)).await.map(|released| released.released), Ok(0));
    let released = w.store.release_due(later(100)).await.expect("released");
    assert_eq!((released.released, released.failed, released.sessions.len()), (1, 0, 1));
    assert_eq!(w.store.release_due(later(100)).await.map(|released| released.released), Ok(0), "once");
    assert_eq!(told(&w, &first).await, (MessageStatus::Pending, None, vec!["accepted".into(), "scheduled".into(), "released".into()]));
    let mut kinds = Vec::new();
    while let Ok(event) = changes.try_recv() {
        kinds.push(event.kind);
    }
    assert_eq!(kinds, [EventKind::MessageScheduled, EventKind::MessageAccepted, EventKind::MessageReleased]);
    assert_eq!(w.ask("SELECT COUNT(*) FROM outbox WHERE head").await, 1, "one head in the chat of both");
}

pub async fn what_is_due_goes_in_the_order_of_the_dates<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    for (body, secs) in [("third", 30), ("first", 10), ("second", 20), ("not yet", 99)] {
        hand_in(&w, &dated(&w, account, ANNA, body, secs)).await;
    }
    w.clock.advance(Duration::from_secs(40));
    w.store.release_due(later(40)).await.expect("released");
    let mut order = Vec::new();
    loop {
        let claimed = w.claimed(account).await;
        let Some(next) = claimed.first() else { break };
        order.push(next.message.content.body().unwrap_or_default().to_owned());
        let wa_message_id = next.message.wa_message_id.clone();
        w.apply(account, vec![News::Acked { wa_message_id, at: w.clock.now() }]).await;
    }
    assert_eq!(order, ["first", "second", "third"]);
}

pub async fn ten_thousand_that_are_due_at_once_go_once<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    let news: Vec<NewMessage> = (0..10_000).map(|n| dated(&w, account, ANNA, &format!("m{n}"), 60)).collect();
    for piece in news.chunks(500) {
        let accepted = futures::future::join_all(piece.iter().map(|new| w.store.accept(new.clone()))).await;
        assert!(accepted.iter().all(|accepted| matches!(accepted, Ok(Accepted::Created { .. }))));
    }
    let other = w.reopen().await;
    let (one, two) = tokio::join!(w.store.release_due(later(60)), other.release_due(later(60)));
    assert_eq!(one.expect("released").released + two.expect("released").released, 10_000);
    assert_eq!(w.ask("SELECT COUNT(*) FROM outbox").await, 10_000);
    assert_eq!(w.ask("SELECT COUNT(*) FROM outbox WHERE head").await, 1);
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages WHERE status = 'scheduled'").await, 0);
}

pub async fn what_was_missed_past_its_deadline_fails_and_says_why<B: Backend>(w: World<B>) {
    let (account, other, gone) = (linked(&w).await, w.account().await, linked(&w).await);
    let late = dated(&w, account, ANNA, "late", 10);
    let missed = NewMessage { expires_at: later(20), ..dated(&w, account, ANNA, "missed", 10) };
    let held = NewMessage { expires_at: later(5), ..dated(&w, account, ANNA, "held", 10) };
    let unlinked = dated(&w, other, ANNA, "unlinked", 10);
    let inactive = dated(&w, gone, ANNA, "inactive", 10);
    for new in [&late, &missed, &held, &unlinked, &inactive] {
        hand_in(&w, new).await;
    }
    let off = UserPatch { is_active: Some(false), ..UserPatch::default() };
    w.store.update_user(gone.user, off).await.expect("changed");
    let released = w.store.release_due(later(600)).await.expect("released");
    assert_eq!((released.released, released.failed), (1, 4));
    assert_eq!(told(&w, &late).await.0, MessageStatus::Pending);
    let timeline = w.store.timeline(late.id).await.expect("read");
    assert!(timeline.last().and_then(|entry| entry.detail.clone()).is_some_and(|detail| detail.contains("was due at")));
    assert_eq!(told(&w, &missed).await.1, Some(Failure::Expired));
    assert_eq!(told(&w, &unlinked).await.1, Some(Failure::AccountUnlinked));
    assert_eq!(told(&w, &inactive).await.1, Some(Failure::UserInactive));
    for (new, why) in [(&missed, "due at"), (&held, "held until")] {
        let message = w.store.message(None, new.id).await.expect("read").expect("there");
        assert!(message.error_message.is_some_and(|text| text.contains(why)));
    }
}

pub async fn what_is_held_past_its_deadline_goes_when_its_date_is_set_before_that<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    let held = NewMessage { expires_at: later(50), ..dated(&w, account, ANNA, "held", 100) };
    hand_in(&w, &held).await;
    let change = Reschedule { scheduled_at: Some(later(20)), body: None };
    let Ok(Settled::Done(moved)) = w.store.reschedule_message(account.user, held.id, change).await else { panic!("rescheduled") };
    assert_eq!((moved.scheduled_at, moved.expires_at), (Some(later(20)), Some(later(50))));
    assert_eq!(w.store.release_due(later(20)).await.map(|released| (released.released, released.failed)), Ok((1, 0)));
}

pub async fn a_date_and_a_text_can_be_changed_until_it_goes<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    let new = dated(&w, account, ANNA, "draft", 100);
    hand_in(&w, &new).await;
    let change = |secs: Option<u64>, body: Option<&str>| Reschedule { scheduled_at: secs.map(later), body: body.map(str::to_owned) };
    let Ok(Settled::Done(moved)) = w.store.reschedule_message(account.user, new.id, change(Some(50), Some("final"))).await else {
        panic!("rescheduled")
    };
    assert_eq!((moved.scheduled_at, moved.content.body()), (Some(later(50)), Some("final")));
    assert_eq!(moved.expires_at, Some(later(50).plus(Duration::from_hours(1))), "the deadline moves along");
    assert_eq!(w.store.next_scheduled().await, Ok(Some(later(50))));
    let stranger = w.account().await;
    assert_eq!(w.store.reschedule_message(stranger.user, new.id, change(Some(9), None)).await, Ok(Settled::Missing));
    assert_eq!(w.store.cancel_message(stranger.user, new.id).await, Ok(Settled::Missing));
    w.store.release_due(later(50)).await.expect("released");
    let refused = w.store.reschedule_message(account.user, new.id, change(Some(90), None)).await;
    assert_eq!(refused, Ok(Settled::WrongState(MessageStatus::Pending)));
    let canceled = dated(&w, account, BEN, "never", 100);
    hand_in(&w, &canceled).await;
    assert!(matches!(w.store.cancel_message(account.user, canceled.id).await, Ok(Settled::Done(_))));
    assert_eq!(w.store.release_due(later(900)).await.map(|released| (released.released, released.failed)), Ok((0, 0)));
    assert_eq!(told(&w, &canceled).await.2, ["accepted", "scheduled", "canceled"]);
}

pub async fn a_dated_message_finds_the_chat_that_its_recipient_has_by_now<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    let waits = dated(&w, account, ANNA, "later", 100);
    hand_in(&w, &waits).await;
    let now = w.send(account, ANNA, "now").await;
    w.claim(account).await;
    let real = PhoneNumber::parse(CARL).expect("a number");
    let peer = Peer { phone: Some(real.clone()), jid: Some(real.jid()), lid: Jid::parse("777@lid") };
    w.apply(account, vec![News::Resolved { message_id: now.id, peer: peer.clone(), chat: real.jid() }]).await;
    w.store.release_due(later(100)).await.expect("released");
    let message = w.store.message(None, waits.id).await.expect("read").expect("there");
    assert_eq!((message.chat, message.peer), (real.jid(), peer));
    assert_eq!(w.ask("SELECT COUNT(*) FROM outbox WHERE head").await, 1, "both are in one chat");
}

pub async fn a_dated_message_is_counted_keyed_and_listed<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    let first = NewMessage { idempotency: key("k", 1, "first"), daily_limit: 2, ..dated(&w, account, ANNA, "a", 200) };
    hand_in(&w, &first).await;
    let again = NewMessage { idempotency: key("k", 1, "again"), ..dated(&w, account, ANNA, "a", 200) };
    assert_eq!(w.store.accept(again).await, Ok(Accepted::Replayed { status: 202, body: "first".into() }));
    hand_in(&w, &NewMessage { daily_limit: 2, ..dated(&w, account, BEN, "b", 100) }).await;
    let third = NewMessage { daily_limit: 2, ..dated(&w, account, BEN, "c", 100) };
    assert_eq!(w.store.accept(third).await, Ok(Accepted::DailyLimitReached), "it counts on the day of its acceptance");
    let other = w.account().await;
    hand_in(&w, &dated(&w, other, BEN, "d", 50)).await;
    let listed = w.store.list_scheduled(Some(account.user), None, Page::default()).await.expect("listed");
    let bodies: Vec<_> = listed.results.iter().map(|message| message.content.body().unwrap_or_default().to_owned()).collect();
    assert_eq!((listed.count, bodies), (2, vec!["b".to_owned(), "a".to_owned()]));
    let of_other = w.store.list_scheduled(None, Some(other.id), Page { page: 1, page_size: 1 }).await.expect("listed");
    assert_eq!((of_other.count, of_other.results.len()), (1, 1));
}

pub async fn old_messages_are_swept_but_not_those_that_wait_for_their_date<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    let waits = dated(&w, account, ANNA, "in a year", 365 * 86_400);
    hand_in(&w, &waits).await;
    let went = dated(&w, account, BEN, "in a month", 30 * 86_400);
    hand_in(&w, &went).await;
    w.store.release_due(later(30 * 86_400)).await.expect("released");
    w.clock.advance(Duration::from_hours(31 * 24));
    w.claimed(account).await;
    w.ack(account, &went).await;
    assert_eq!(w.store.sweep_messages(later(20 * 86_400)).await, Ok(0), "it is as old as its date");
    assert_eq!(w.store.sweep_messages(later(40 * 86_400)).await, Ok(1));
    assert_eq!(told(&w, &waits).await.0, MessageStatus::Scheduled);
}

fn plan(account: Account, name: &str) -> RecurringPlan {
    RecurringPlan {
        name: name.into(),
        session_id: account.id,
        cron: "0 9 * * *".into(),
        timezone: "Europe/Berlin".into(),
        recipient: ANNA.into(),
        content: RecurringContent::Text("Good morning".into()),
        quiet_hours: None,
        ends_at: None,
        most_runs: None,
        is_active: true,
    }
}

async fn recurring<B: Backend>(w: &World<B>, account: Account, name: &str, next: u64) -> Recurring {
    match w.store.create_recurring(account.user, plan(account, name), Some(later(next)), 2).await {
        Ok(RecurringCreated::Done(made)) => *made,
        other => panic!("{other:?}"),
    }
}

pub async fn a_run_moves_its_schedule_on_once<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    let made = recurring(&w, account, "morning", 100).await;
    assert_eq!((w.store.next_recurring().await, made.runs), (Ok(Some(later(100))), 0));
    assert_eq!(w.store.due_recurring(later(99), 10).await, Ok(Vec::new()));
    assert_eq!(w.store.due_recurring(later(100), 10).await, Ok(vec![made.clone()]));
    let message = w.send(account, ANNA, "Good morning").await.id;
    let run = |due: u64, outcome| RecurringRun { id: made.id, due_at: later(due), next_at: Some(later(200)), outcome };
    assert_eq!(w.store.end_recurring_run(run(100, Ok(message))).await, Ok(true));
    assert_eq!(w.store.end_recurring_run(run(100, Ok(message))).await, Ok(false), "another node was quicker");
    let mut changes = w.store.changes();
    assert_eq!(w.store.end_recurring_run(run(200, Err("The account is not linked.".into()))).await, Ok(true));
    let event = changes.try_recv().expect("told");
    assert_eq!((event.kind, event.data["schedule"]["name"].as_str()), (EventKind::ScheduleFailed, Some("morning")));
    let now = w.store.recurring(made.id).await.expect("read").expect("there");
    assert_eq!((now.runs, now.last_message, now.last_error.as_deref()), (2, Some(message), Some("The account is not linked.")));
}

pub async fn recurring_sends_have_names_limits_and_owners<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    let made = recurring(&w, account, "b", 100).await;
    let again = w.store.create_recurring(account.user, plan(account, "b"), None, 9).await;
    assert_eq!(again, Err(StoreError::Conflict { what: "name" }));
    recurring(&w, account, "a", 50).await;
    let third = w.store.create_recurring(account.user, plan(account, "c"), None, 2).await;
    assert_eq!(third, Ok(RecurringCreated::LimitReached));
    let paused = RecurringPlan { is_active: false, most_runs: Some(3), ..plan(account, "b") };
    let changed = w.store.replace_recurring(made.id, paused.clone(), Some(later(70))).await.expect("changed").expect("there");
    assert_eq!((changed.plan, changed.next_at), (paused, Some(later(70))));
    assert_eq!(w.store.due_recurring(later(500), 10).await.map(|due| due.len()), Ok(1), "what is paused is not due");
    let listed = w.store.list_recurring(Some(account.user), Page::default()).await.expect("listed");
    assert_eq!(listed.results.iter().map(|one| one.plan.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(w.store.delete_recurring(made.id).await, Ok(true));
    assert_eq!(w.store.delete_recurring(made.id).await, Ok(false));
    w.store.delete_session(account.id).await.expect("deleted");
    assert_eq!(w.store.list_recurring(None, Page::default()).await.map(|listed| listed.count), Ok(0), "they go with their account");
}

pub async fn a_dated_message_is_sent_again_after_a_restart_by_its_date<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    let dated = dated(&w, account, ANNA, "in a week", 7 * 86_400);
    hand_in(&w, &dated).await;
    w.clock.advance(Duration::from_hours(7 * 24));
    let now = w.clock.now();
    w.store.release_due(now).await.expect("released");
    w.claimed(account).await;
    w.ack(account, &dated).await;
    // It was accepted a week ago, and left just before the end of the process.
    assert_eq!(w.store.send_again(account.id, now.minus(Duration::from_mins(10))).await, Ok(1));
    assert_eq!(w.store.send_again(account.id, now.minus(Duration::from_mins(10))).await, Ok(0), "it is on its way already");
}

pub async fn a_recurring_send_that_can_not_be_read_stops_no_other<B: Backend>(w: World<B>) {
    let account = linked(&w).await;
    let (broken, sound) = (recurring(&w, account, "broken", 10).await, recurring(&w, account, "sound", 20).await);
    w.tamper("UPDATE recurring SET content = NULL WHERE name = 'broken'").await;
    let due = w.store.due_recurring(later(30), 10).await.expect("read");
    assert_eq!(due.iter().map(|one| one.id).collect::<Vec<_>>(), [sound.id]);
    assert!(w.store.recurring(broken.id).await.is_err());
    assert_eq!(w.store.next_recurring().await, Ok(Some(later(20))), "what can't be read is due no more");
}
