//! Webhooks: deliveries are made with their events, once for each who listens, and what became of them is kept.

use crate::world::{Account, Backend, START, World};
use sanasend_model::webhook::{DeliveryState, EventFilter};
use sanasend_model::{Clock, EventKind, Timestamp, UserId, WebhookId};
use sanasend_store::{
    AttemptOutcome, AttemptReport, AuditEntry, Delivery, DeliveryFilter, JobFilter, NewAttempt, NewEvent, NewUser, NewWebhook, Page,
    REMOVE_USER_JOB, REMOVE_WEBHOOK_JOB, Replay, ReplayOnly, Replayed, Updated, Webhook, WebhookCreated, WebhookPatch, WebhookSecret,
};
use serde_json::{Map, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_hours(24 * 5);
const SECRET: &[u8] = b"canary: a secret of an endpoint";

pub async fn endpoint<B: Backend>(w: &World<B>, user: UserId, events: &[&str]) -> Webhook {
    let events = EventFilter::parse(&events.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("sound");
    let (url, description) = ("https://example.com/".to_owned(), "till".to_owned());
    let new = NewWebhook { user_id: user, url, description, events, is_active: true, secret: WebhookSecret::new(SECRET.to_vec()) };
    match w.store.create_webhook(new, 10).await.expect("written") {
        WebhookCreated::Done(webhook) => *webhook,
        WebhookCreated::LimitReached => panic!("ten are allowed"),
    }
}

async fn happens<B: Backend>(w: &World<B>, user: UserId, kind: EventKind) -> i64 {
    let data = json!({"message": {"chat": "a"}});
    let new = NewEvent { user_id: user, session_id: None, kind, message_id: None, data, at: w.clock.now() };
    w.store.record_event(new).await.expect("written").seq
}

pub async fn deliveries<B: Backend>(w: &World<B>, webhook: WebhookId) -> Vec<Delivery> {
    w.store.list_deliveries(webhook, &DeliveryFilter::default(), Page { page: 1, page_size: 100 }).await.expect("read").results
}

async fn jobs<B: Backend>(w: &World<B>) -> u64 {
    let filter = JobFilter { kind: Some("webhook.deliver".into()), ..JobFilter::default() };
    w.store.list_jobs(&filter, Page::default()).await.expect("read").count
}

pub fn report(delivery: &Delivery, outcome: AttemptOutcome, at: Timestamp) -> AttemptReport {
    let attempt = NewAttempt {
        at,
        request_headers: Map::new(),
        response_status: Some(if outcome == AttemptOutcome::Succeeded { 200 } else { 500 }),
        response_headers: Some(Map::new()),
        response_body: Some("noted".into()),
        latency_ms: 7,
    };
    let error = (outcome != AttemptOutcome::Succeeded).then(|| "it failed".to_owned());
    let (delivery, round) = (delivery.id, delivery.round);
    AttemptReport { delivery, round, attempt: Some(attempt), outcome, error, gone: false, patience: Some(PATIENCE) }
}

pub async fn deliveries_are_made_with_their_event_for_those_who_listen<B: Backend>(w: World<B>) {
    let (anna, ben) = (w.user("anna").await.id, w.user("ben").await.id);
    // Nobody listens yet: what the writer concludes from that must not outlive the first endpoint.
    happens(&w, anna, EventKind::MessageSent).await;
    assert_eq!(jobs(&w).await, 0);
    let all = endpoint(&w, anna, &[]).await;
    let sessions = endpoint(&w, anna, &["session.*"]).await;
    let off = endpoint(&w, anna, &[]).await;
    w.store.update_webhook(off.id, WebhookPatch { is_active: Some(false), ..WebhookPatch::default() }).await.expect("written");
    let bens = endpoint(&w, ben, &[]).await;
    let seq = happens(&w, anna, EventKind::MessageSent).await;
    let made = deliveries(&w, all.id).await;
    assert_eq!(made.iter().map(|made| (made.event_seq, made.state)).collect::<Vec<_>>(), [(seq, DeliveryState::Pending)]);
    for quiet in [&sessions, &off, &bens] {
        assert!(deliveries(&w, quiet.id).await.is_empty());
    }
    assert_eq!(jobs(&w).await, 1);
    happens(&w, anna, EventKind::WebhookTested).await;
    assert_eq!(jobs(&w).await, 1, "a test is for one endpoint only, and posted by who asked for it");
    for webhook in [&all, &sessions] {
        assert!(w.store.delete_webhook(webhook.id).await.expect("written"));
    }
    happens(&w, anna, EventKind::MessageSent).await;
    happens(&w, ben, EventKind::MessageSent).await;
    assert_eq!(deliveries(&w, bens.id).await.len(), 1);
}

pub async fn a_message_and_its_deliveries_are_one_write<B: Backend>(w: World<B>) {
    let account: Account = w.account().await;
    let webhook = endpoint(&w, account.user, &["message.accepted"]).await;
    for text in ["one", "two", "three"] {
        w.send(account, "+4915123456789", text).await;
    }
    // Refused as a whole: the account is of nobody.
    let stranger = Account { id: sanasend_model::SessionId::new(&*w.clock), ..account };
    assert!(w.store.accept(w.text(stranger, "+4915123456789", "x")).await.is_err());
    let events = w.store.events_after(account.user, 0, 100).await.expect("read");
    let of_events: Vec<i64> = events.iter().rev().map(|event| event.seq).collect();
    assert_eq!(deliveries(&w, webhook.id).await.iter().map(|made| made.event_seq).collect::<Vec<_>>(), of_events);
    assert_eq!(jobs(&w).await, 3);
    let jobs = w.store.list_jobs(&JobFilter::default(), Page::default()).await.expect("read").results;
    assert!(jobs.iter().all(|job| job.lane == jobs[0].lane && job.lane.is_some()), "one chat, one lane");
    let bundle = format!("{}/{}", account.user, webhook.id);
    assert!(jobs.iter().all(|job| job.bundle.as_deref() == Some(bundle.as_str())), "{bundle}");
}

pub async fn what_became_of_a_delivery_is_kept<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let webhook = endpoint(&w, anna, &[]).await;
    happens(&w, anna, EventKind::MessageSent).await;
    let made = deliveries(&w, webhook.id).await.remove(0);
    let later = START.plus(Duration::from_secs(5));
    w.store.settle_delivery(report(&made, AttemptOutcome::Retry(later), START)).await.expect("written");
    let waiting = deliveries(&w, webhook.id).await.remove(0);
    assert_eq!((waiting.state, waiting.attempts, waiting.next_at), (DeliveryState::Pending, 1, Some(later)));
    assert_eq!((waiting.last_status, waiting.last_error.as_deref()), (Some(500), Some("it failed")));
    assert!(w.store.webhook(webhook.id).await.expect("read").expect("there").failing.is_some());
    w.store.settle_delivery(report(&made, AttemptOutcome::Succeeded, later)).await.expect("written");
    // The same attempt reported late by a node that slept: it takes nothing back.
    w.store.settle_delivery(report(&made, AttemptOutcome::Dead, later)).await.expect("written");
    let done = deliveries(&w, webhook.id).await.remove(0);
    assert_eq!((done.state, done.attempts), (DeliveryState::Succeeded, 2));
    let attempts = w.store.attempts(made.id).await.expect("read");
    assert_eq!(attempts.iter().map(|attempt| attempt.response_status).collect::<Vec<_>>(), [Some(500), Some(200), Some(500)]);
    assert_eq!(attempts[0].error.as_deref(), Some("it failed"));
}

pub async fn a_replay_is_another_round_of_the_same_delivery<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let before = happens(&w, anna, EventKind::MessageSent).await;
    let webhook = endpoint(&w, anna, &["message.*"]).await;
    for kind in [EventKind::MessageSent, EventKind::MessageRead, EventKind::SessionChanged] {
        happens(&w, anna, kind).await;
    }
    let made = deliveries(&w, webhook.id).await;
    w.store.settle_delivery(report(&made[0], AttemptOutcome::Dead, START)).await.expect("written");
    w.store.settle_delivery(report(&made[1], AttemptOutcome::Succeeded, START)).await.expect("written");
    let range = |only| Replay { since: START, until: START.plus(Duration::from_secs(1)), only };
    let failed = w.store.replay_deliveries(&webhook, range(ReplayOnly::Failed)).await.expect("written");
    assert_eq!(failed, Replayed { count: 1, complete: true });
    let again = deliveries(&w, webhook.id).await;
    assert_eq!((again[0].id, again[0].round, again[0].attempts, again[0].state), (made[0].id, 1, 0, DeliveryState::Pending));
    assert_eq!(again[1].state, DeliveryState::Succeeded);
    // A report of the round before goes into the log only.
    w.store.settle_delivery(report(&made[0], AttemptOutcome::Succeeded, START)).await.expect("written");
    assert_eq!(deliveries(&w, webhook.id).await[0].state, DeliveryState::Pending);
    let all = w.store.replay_deliveries(&webhook, range(ReplayOnly::All)).await.expect("written");
    assert_eq!(all.count, 3, "the one from before the endpoint as well, the session's not");
    let seqs: Vec<i64> = deliveries(&w, webhook.id).await.iter().map(|delivery| delivery.event_seq).collect();
    assert_eq!((seqs.len(), seqs[2]), (3, before));
    let nothing = Replay { since: START.minus(Duration::from_secs(9)), until: START, only: ReplayOnly::All };
    assert_eq!(w.store.replay_deliveries(&webhook, nothing).await.expect("written").count, 0);
    let one = w.store.replay_delivery(webhook.id, made[1].id).await.expect("written").expect("there");
    assert_eq!((one.round, one.state), (2, DeliveryState::Pending));
    let other = endpoint(&w, anna, &[]).await;
    assert_eq!(w.store.replay_delivery(other.id, made[1].id).await.expect("read"), None);
}

pub async fn an_endpoint_that_keeps_failing_is_switched_off_and_told<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let failing = endpoint(&w, anna, &["message.*"]).await;
    let other = endpoint(&w, anna, &["webhook.disabled"]).await;
    happens(&w, anna, EventKind::MessageSent).await;
    let made = deliveries(&w, failing.id).await.remove(0);
    for day in 0..=5 {
        assert!(w.store.webhook(failing.id).await.expect("read").expect("there").is_active, "day {day}");
        w.store.settle_delivery(report(&made, AttemptOutcome::Retry(START), w.clock.now())).await.expect("written");
        w.clock.advance(Duration::from_hours(24));
    }
    let off = w.store.webhook(failing.id).await.expect("read").expect("there");
    assert!(!off.is_active && off.disabled_at.is_some() && off.disabled_reason.is_some());
    assert_eq!(deliveries(&w, other.id).await.iter().map(|told| told.kind).collect::<Vec<_>>(), [EventKind::WebhookDisabled]);
    // Another late failure tells nobody again.
    w.store.settle_delivery(report(&made, AttemptOutcome::Dead, w.clock.now())).await.expect("written");
    assert_eq!(deliveries(&w, other.id).await.len(), 1);
    let on = w.store.update_webhook(failing.id, WebhookPatch { is_active: Some(true), ..WebhookPatch::default() }).await.expect("written");
    let on = on.expect("there");
    assert_eq!((on.is_active, on.failing, on.disabled_at, on.disabled_reason), (true, None, None, None));
}

pub async fn secrets_of_endpoints_are_sealed_and_rotate<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let webhook = endpoint(&w, anna, &[]).await;
    happens(&w, anna, EventKind::MessageSent).await;
    let delivery = deliveries(&w, webhook.id).await.remove(0).id;
    let secrets = async || w.store.delivering(delivery).await.expect("read").expect("there").secrets;
    assert_eq!(secrets().await, [WebhookSecret::new(SECRET.to_vec())]);
    let new = WebhookSecret::new(vec![9; 32]);
    let until = START.plus(Duration::from_hours(1));
    w.store.rotate_webhook_secret(webhook.id, new.clone(), until).await.expect("written").expect("there");
    assert_eq!(secrets().await, [new.clone(), WebhookSecret::new(SECRET.to_vec())]);
    w.clock.advance(Duration::from_hours(1));
    assert_eq!(secrets().await, [new]);
    let open = w.ask("SELECT COUNT(*) FROM webhook_endpoints WHERE CAST(secret AS TEXT) LIKE '%canary%'").await;
    assert_eq!(open, 0);
    // A sealed value in another place does not open.
    w.tamper("UPDATE webhook_endpoints SET secret = previous_secret").await;
    assert!(w.store.delivering(delivery).await.is_err());
}

pub async fn old_deliveries_are_swept_and_endpoints_take_theirs_along<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let webhook = endpoint(&w, anna, &[]).await;
    for _ in 0..3 {
        happens(&w, anna, EventKind::MessageSent).await;
    }
    let made = deliveries(&w, webhook.id).await;
    w.store.settle_delivery(report(&made[0], AttemptOutcome::Succeeded, START)).await.expect("written");
    w.store.settle_delivery(report(&made[1], AttemptOutcome::Dead, START)).await.expect("written");
    w.clock.advance(Duration::from_hours(2));
    happens(&w, anna, EventKind::MessageSent).await;
    assert_eq!(w.store.sweep_deliveries(START).await, Ok(0));
    assert_eq!(w.store.sweep_deliveries(START.plus(Duration::from_hours(1))).await, Ok(2), "what is under way stays");
    assert_eq!(deliveries(&w, webhook.id).await.len(), 2);
    assert!(w.store.delete_webhook(webhook.id).await.expect("written"));
    assert_eq!(w.ask("SELECT (SELECT COUNT(*) FROM webhook_deliveries) + (SELECT COUNT(*) FROM webhook_attempts)").await, 0);
}

/// Counts transactions from now on. Once in a world.
pub fn count_commits<B: Backend>(w: &World<B>) -> Arc<AtomicUsize> {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    w.store.watch_commits(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    seen
}

/// Makes an endpoint of a user with a long log.
async fn much_posted<B: Backend>(w: &World<B>, user: UserId) -> Webhook {
    let webhook = endpoint(w, user, &[]).await;
    futures::future::join_all((0..1200).map(|_| happens(w, user, EventKind::MessageSent))).await;
    assert_eq!(w.ask("SELECT COUNT(*) FROM webhook_deliveries").await, 1200);
    webhook
}

pub async fn an_endpoint_with_a_long_log_goes_in_pieces<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let webhook = much_posted(&w, anna).await;
    let job = w.store.begin_webhook_removal(webhook.id).await.expect("written").expect("there");
    let switched = w.store.webhook(webhook.id).await.expect("read").expect("not gone yet");
    assert!(!switched.is_active && switched.disabled_reason.is_some());
    happens(&w, anna, EventKind::MessageSent).await;
    assert_eq!(w.ask("SELECT COUNT(*) FROM webhook_deliveries").await, 1200, "nothing more is posted");
    let job = w.store.job(job).await.expect("read").expect("written down");
    assert_eq!((job.kind.as_str(), &job.payload["webhook"]), (REMOVE_WEBHOOK_JOB, &json!(webhook.id)));
    let commits = count_commits(&w);
    assert_eq!(w.store.delete_webhook(webhook.id).await, Ok(true));
    assert!(commits.load(Ordering::SeqCst) >= 4, "others had their turn in between");
    assert_eq!(w.ask("SELECT COUNT(*) FROM webhook_deliveries").await, 0);
    assert_eq!((w.store.webhook(webhook.id).await, w.store.delete_webhook(webhook.id).await), (Ok(None), Ok(false)));
    assert_eq!(w.store.begin_webhook_removal(webhook.id).await, Ok(None));
}

pub async fn a_user_with_much_goes_in_pieces_and_to_the_end<B: Backend>(w: World<B>) {
    let (admin, ip) = (w.store.create_user(NewUser { is_admin: true, ..w.new_user("admin") }).await.expect("admin").id, [127_u8, 0, 0, 1]);
    assert_eq!(w.store.begin_user_removal(admin, admin, ip.into()).await, Ok(Updated::LastAdmin));
    let anna = w.user("anna").await.id;
    much_posted(&w, anna).await;
    let Ok(Updated::Done((user, job))) = w.store.begin_user_removal(anna, admin, ip.into()).await else { panic!("it may go") };
    assert!(!user.is_active);
    // The process dies here: what is left to do is written down.
    let store = w.reopen().await;
    let job = store.job(job).await.expect("read").expect("written down");
    let told = json!({"user": anna, "username": "anna", "actor": admin, "ip": "127.0.0.1"});
    assert_eq!((job.kind.as_str(), &job.payload, job.user_id), (REMOVE_USER_JOB, &told, None));
    assert!(matches!(store.begin_user_removal(anna, admin, ip.into()).await, Ok(Updated::Done(_))), "asked once more");
    let commits = count_commits(&w);
    let entry = || AuditEntry { actor: Some(admin), action: "user.deleted", target: format!("user {anna}"), ip: None, detail: json!({}) };
    assert_eq!(w.store.delete_user_noting(anna, Some(entry())).await, Ok(Updated::Done(())));
    assert!(commits.load(Ordering::SeqCst) >= 16, "others had their turn in between");
    assert_eq!(w.store.delete_user_noting(anna, Some(entry())).await, Ok(Updated::Missing));
    assert_eq!(w.ask("SELECT COUNT(*) FROM audit_log WHERE action = 'user.deleted'").await, 1, "noted once");
    for table in ["webhook_deliveries", "webhook_endpoints", "events"] {
        assert_eq!(w.ask(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    assert!(w.store.job(job.id).await.expect("read").is_some(), "the job itself is of nobody, and ends by itself");
}

pub async fn a_user_has_as_many_endpoints_as_allowed<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let new = || NewWebhook {
        user_id: anna,
        url: "https://example.com/".into(),
        description: String::new(),
        events: EventFilter::default(),
        is_active: true,
        secret: WebhookSecret::new(SECRET.to_vec()),
    };
    let answers = futures::future::join_all((0..4).map(|_| w.store.create_webhook(new(), 2))).await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(WebhookCreated::Done(_)))).count(), 2);
    let ben = w.user("ben").await.id;
    endpoint(&w, ben, &[]).await;
    assert_eq!(w.store.list_webhooks(Some(anna), Page::default()).await.expect("read").count, 2);
    assert_eq!(w.store.list_webhooks(None, Page { page: 2, page_size: 2 }).await.expect("read").results.len(), 1);
}

pub async fn an_endpoint_that_another_node_made_is_told_at_once<B: Backend>(mut w: World<B>) {
    if !w.store.is_shared() {
        return;
    }
    let anna = w.user("anna").await.id;
    for _ in 0..2 {
        happens(&w, anna, EventKind::MessageSent).await;
    }
    assert_eq!(jobs(&w).await, 0);
    let there = w.reopen().await;
    let here = std::mem::replace(&mut w.store, there);
    endpoint(&w, anna, &[]).await;
    w.store = here;
    happens(&w, anna, EventKind::MessageSent).await;
    assert_eq!(jobs(&w).await, 1);
}

pub async fn an_attempt_reported_twice_at_once_is_logged_twice_and_counts_as_it_should<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let webhook = endpoint(&w, anna, &[]).await;
    for _ in 0..3 {
        happens(&w, anna, EventKind::MessageSent).await;
    }
    let waiting = deliveries(&w, webhook.id).await;
    let retry = AttemptOutcome::Retry(w.clock.now().plus(Duration::from_mins(1)));
    let (good, bad) = (report(&waiting[0], AttemptOutcome::Succeeded, w.clock.now()), report(&waiting[1], retry, w.clock.now()));
    let reports = [&good, &bad, &good].map(|report| w.store.settle_delivery(report.clone()));
    assert!(futures::future::join_all(reports).await.into_iter().all(|answer| answer.is_ok()));
    let after = deliveries(&w, webhook.id).await;
    let stand = |delivery: &Delivery| (delivery.state, delivery.attempts);
    let expected = [(DeliveryState::Succeeded, 1), (DeliveryState::Pending, 1), (DeliveryState::Pending, 0)];
    assert_eq!(after.iter().map(stand).collect::<Vec<_>>(), expected);
    assert_eq!(w.ask("SELECT COUNT(*) FROM webhook_attempts").await, 3);
}
