//! The way out: order, retries, deadlines, taking back, sending again.

use crate::world::{ANNA, Account, BEN, Backend, CARL, START, World};
use sanasend_model::{Clock, EventKind, Failure, Jid, MessageId, MessageStatus, PhoneNumber, Step, Timestamp, UserId};
use sanasend_store::{Held, NewMessage, News, Peer, Settled, StoreError};
use std::time::Duration;

fn retry(message: &NewMessage, due_at: Option<Timestamp>) -> News {
    News::Retry { message_id: message.id, at: START, due_at, reason: "the network".into() }
}

fn later(secs: u64) -> Timestamp {
    START.plus(Duration::from_secs(secs))
}

async fn status<B: Backend>(w: &World<B>, id: MessageId) -> (MessageStatus, Option<Failure>) {
    let message = w.store.message(None, id).await.expect("read").expect("there");
    (message.status, message.error_code)
}

pub async fn a_chat_is_served_in_order_and_one_at_a_time<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let a1 = w.send(account, ANNA, "a1").await;
    for (to, body) in [(ANNA, "a2"), (BEN, "b1"), (BEN, "b2"), (CARL, "c1")] {
        w.send(account, to, body).await;
    }
    assert_eq!(w.claim(account).await, ["a1", "b1", "c1"]);
    let chat = |to: &str| PhoneNumber::parse(to).expect("a number").jid();
    let busy = [chat(ANNA), chat(CARL)];
    let free = w.store.claim(account.id, account.generation, START, &busy, 10).await.expect("claimed");
    assert_eq!(free.iter().map(|claimed| claimed.message.content.body()).collect::<Vec<_>>(), [Some("b1")]);
    assert_eq!(w.store.claim(account.id, account.generation, START, &busy, 0).await.map(|claimed| claimed.len()), Ok(0));
    let limited = w.store.claim(account.id, account.generation, START, &[chat(ANNA)], 1).await.expect("claimed");
    assert_eq!(limited[0].message.content.body(), Some("b1"));
    w.ack(account, &a1).await;
    assert_eq!(w.claim(account).await, ["a2", "b1", "c1"]);
    let all = [chat(ANNA), chat(BEN), chat(CARL)];
    assert_eq!(w.store.next_due(account.id, &all).await, Ok(None));
    assert_eq!(w.store.next_due(account.id, &busy).await, Ok(Some(START)));
    let other = w.account().await;
    assert!(w.claim(other).await.is_empty(), "another account has nothing to do");
}

pub async fn what_was_held_for_long_says_so_in_its_timeline<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let first = w.send(account, ANNA, "before it was held").await;
    w.clock.advance(Duration::from_secs(30));
    let since = w.clock.now();
    let held = || Some(Held { since, why: "account pacing".into() });
    let second = w.send(account, BEN, "while it was held").await;
    w.clock.advance(Duration::from_millis(3500));
    let third = w.send(account, CARL, "a moment ago").await;
    w.clock.advance(Duration::from_millis(900));
    let now = w.clock.now();
    let claimed = w.store.claim_after(held(), account.id, account.generation, now, &[], 10).await.expect("claimed");
    assert_eq!(claimed.len(), 3);
    let told = |step: Step, at: Timestamp, detail: Option<&str>| (step, at, i32::from(step != Step::Accepted), detail.map(str::to_owned));
    for (message, accepted, wait) in [(&first, START, Some("5")), (&second, since, Some("5")), (&third, third.created_at, None)] {
        let timeline = w.store.timeline(message.id).await.expect("read");
        let steps: Vec<_> = timeline.into_iter().map(|entry| (entry.step, entry.at, entry.attempt, entry.detail)).collect();
        let sentence = wait.map(|seconds| format!("held {seconds} s: account pacing"));
        let mut expected = vec![told(Step::Accepted, accepted, None)];
        expected.extend(sentence.as_deref().map(|sentence| told(Step::Held, since, Some(sentence))));
        expected.push(told(Step::Claimed, now, None));
        assert_eq!(steps, expected);
    }
}

pub async fn a_retry_holds_up_its_own_chat_only<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let a1 = w.send(account, ANNA, "a1").await;
    w.send(account, ANNA, "a2").await;
    let b1 = w.send(account, BEN, "b1").await;
    w.send(account, BEN, "b2").await;
    assert_eq!(w.claim(account).await, ["a1", "b1"]);
    w.apply(account, vec![retry(&a1, Some(later(10)))]).await;
    w.ack(account, &b1).await;
    assert_eq!(w.claim(account).await, ["b2"]);
    let chat = PhoneNumber::parse(BEN).expect("a number").jid();
    assert_eq!(w.store.next_due(account.id, &[chat]).await, Ok(Some(later(10))));
    w.clock.advance(Duration::from_secs(10));
    let again = w.claimed(account).await;
    let a1_again = again.iter().find(|claimed| claimed.message.id == a1.id).expect("due again");
    assert_eq!((a1_again.attempts, a1_again.written_before, &a1_again.message.wa_message_id), (2, false, &a1.wa_message_id));
    assert!(again.iter().all(|claimed| claimed.message.content.body() != Some("a2")));
}

pub async fn what_waits_for_a_connection_is_due_when_it_is_there<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let a1 = w.send(account, ANNA, "a1").await;
    w.send(account, ANNA, "a2").await;
    w.claim(account).await;
    w.apply(account, vec![retry(&a1, None)]).await;
    assert!(w.claim(account).await.is_empty());
    assert_eq!(w.store.next_due(account.id, &[]).await, Ok(None));
    assert_eq!(w.store.wake_offline(account.id).await, Ok(1));
    assert_eq!(w.store.wake_offline(account.id).await, Ok(0));
    assert_eq!(w.claim(account).await, ["a1"]);
}

pub async fn a_claim_that_was_never_reported_may_have_left<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "a1").await;
    assert!(!w.claimed(account).await[0].written_before);
    // The process died here. The next owner takes up the same message under the same WhatsApp id.
    let next = w.reopen().await;
    let generation = next.take_session(account.id).await.expect("taken");
    let claimed = next.claim(account.id, generation, START, &[], 10).await.expect("claimed");
    assert_eq!((claimed[0].written_before, claimed[0].attempts), (true, 2));
    assert_eq!(claimed[0].message.wa_message_id, sent.wa_message_id);
    // Whoever reports that nothing left clears the doubt only for attempts that were reported.
    let b = w.send(account, BEN, "b1").await;
    let account = Account { generation, ..account };
    w.claimed(account).await;
    w.apply(account, vec![News::Written { message_id: b.id, at: START }, retry(&b, Some(START))]).await;
    let again = w.claimed(account).await;
    assert!(again.iter().any(|claimed| claimed.message.id == b.id && claimed.written_before));
}

pub async fn a_doubt_outlives_the_attempts_that_follow<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "a1").await;
    w.claim(account).await;
    // The process died here. The next owner's attempt comes to nothing, and is reported.
    let generation = w.store.take_session(account.id).await.expect("taken");
    let account = Account { generation, ..account };
    assert!(w.claimed(account).await[0].written_before);
    w.apply(account, vec![retry(&sent, Some(START))]).await;
    assert!(w.claimed(account).await[0].written_before, "the first one may have left all the same");
    w.apply(account, vec![retry(&sent, None)]).await;
    assert_eq!(w.store.cancel_message(account.user, sent.id).await, Ok(Settled::WrongState(MessageStatus::Pending)));
    w.store.expire(later(3600)).await.expect("expired");
    assert_eq!(status(&w, sent.id).await, (MessageStatus::Failed, Some(Failure::OutcomeUnknown)));
}

pub async fn an_old_owner_claims_nothing<B: Backend>(w: World<B>) {
    let account = w.account().await;
    w.send(account, ANNA, "a1").await;
    w.store.take_session(account.id).await.expect("taken");
    let claim = w.store.claim(account.id, account.generation, START, &[], 10).await;
    assert_eq!(claim.map(|claimed| claimed.len()), Err(StoreError::Fenced));
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages WHERE attempts > 0").await, 0);
}

pub async fn a_resolved_recipient_keeps_the_order<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let real = PhoneNumber::parse(BEN).expect("a number");
    let b0 = w.send(account, BEN, "b0, to the number as it is").await;
    let a1 = w.send(account, ANNA, "a1").await;
    w.send(account, ANNA, "a2").await;
    w.claim(account).await;
    let lid = Jid::parse("777@lid");
    let peer = Peer { phone: Some(real.clone()), jid: Some(real.jid()), lid: lid.clone() };
    w.apply(account, vec![News::Resolved { message_id: a1.id, peer: peer.clone(), chat: real.jid() }]).await;
    // Three messages of what turned out to be one chat: the oldest first, whatever was asked for.
    w.send(account, ANNA, "a3").await;
    let mut told = Vec::new();
    for _ in 0..4 {
        let claimed = w.claimed(account).await;
        assert_eq!(claimed.len(), 1, "one chat");
        let message = &claimed[0].message;
        assert_eq!(message.chat, real.jid());
        told.push(message.content.body().unwrap_or_default().to_owned());
        w.apply(account, vec![News::Acked { wa_message_id: message.wa_message_id.clone(), at: START }]).await;
    }
    assert_eq!(told, ["b0, to the number as it is", "a1", "a2", "a3"]);
    let resolved = w.store.message(None, a1.id).await.expect("read").expect("there");
    assert_eq!(resolved.peer, peer);
    assert_eq!(w.store.message(None, b0.id).await.expect("read").expect("there").peer.phone, Some(real));
}

pub async fn what_is_late_expires_by_what_is_known_of_it<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let never = w.send(account, ANNA, "never left").await;
    let written = w.send(account, BEN, "written").await;
    let doubtful = w.send(account, CARL, "claimed, and then the process died").await;
    let behind = w.send(account, BEN, "behind the written one").await;
    w.claim(account).await;
    w.apply(account, vec![retry(&never, Some(later(5))), News::Written { message_id: written.id, at: START }]).await;
    assert_eq!(w.store.expire(later(3599)).await, Ok(Vec::new()));
    let expired = w.store.expire(later(3600)).await.expect("expired");
    assert_eq!(expired.len(), 4);
    assert!(expired.iter().all(|change| (change.from, change.to) == (MessageStatus::Pending, MessageStatus::Failed)));
    for (message, failure) in
        [(&never, Failure::Expired), (&written, Failure::OutcomeUnknown), (&doubtful, Failure::OutcomeUnknown), (&behind, Failure::Expired)]
    {
        assert_eq!(status(&w, message.id).await, (MessageStatus::Failed, Some(failure)));
    }
    assert_eq!(w.store.expire(later(9999)).await, Ok(Vec::new()));
    assert_eq!(w.store.outbox_depth().await, Ok(0));
    let events = w.store.events_after(account.user, 0, 100).await.expect("read");
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::MessageFailed).count(), 4);
    assert_eq!(events.last().map(|event| event.data["message"]["status"].clone()), Some("failed".into()));
}

pub async fn a_late_head_does_not_hold_up_its_chat<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let short = NewMessage { expires_at: later(5), ..w.text(account, ANNA, "short-lived") };
    let id = short.id;
    w.store.accept(short).await.expect("accepted");
    w.send(account, ANNA, "patient").await;
    w.clock.advance(Duration::from_secs(5));
    assert_eq!(w.claim(account).await, ["patient"]);
    assert_eq!(status(&w, id).await, (MessageStatus::Failed, Some(Failure::Expired)));
}

pub async fn an_unlinked_account_fails_what_waits<B: Backend>(w: World<B>) {
    let [account, other] = [w.account().await, w.account().await];
    for n in 0..5 {
        w.send(account, [ANNA, BEN][n % 2], "x").await;
    }
    let kept = w.send(other, ANNA, "kept").await;
    let failed = w.store.fail_all(account.id, Failure::AccountUnlinked, "Unlinked on the phone.").await.expect("failed");
    assert_eq!(failed.len(), 5);
    let message = w.store.message(None, failed[0].message_id).await.expect("read").expect("there");
    assert_eq!(message.error_code, Some(Failure::AccountUnlinked));
    assert_eq!(message.error_message.as_deref(), Some("Unlinked on the phone."));
    assert_eq!(status(&w, kept.id).await, (MessageStatus::Pending, None));
    assert_eq!(w.store.fail_all(account.id, Failure::AccountUnlinked, "again").await, Ok(Vec::new()));
}

pub async fn what_may_have_left_an_unlinked_account_is_not_said_to_be_unsent<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let unsent = w.send(account, ANNA, "never left").await;
    let written = w.send(account, BEN, "written").await;
    let doubtful = w.send(account, CARL, "written once, and waiting").await;
    w.claim(account).await;
    let wrote = |message: &NewMessage| News::Written { message_id: message.id, at: START };
    w.apply(account, vec![retry(&unsent, None), wrote(&written), wrote(&doubtful), retry(&doubtful, None)]).await;
    w.store.fail_all(account.id, Failure::AccountUnlinked, "It was not sent: unlinked.").await.expect("failed");
    for (message, failure) in
        [(&unsent, Failure::AccountUnlinked), (&written, Failure::OutcomeUnknown), (&doubtful, Failure::OutcomeUnknown)]
    {
        let told = w.store.message(None, message.id).await.expect("read").expect("there");
        assert_eq!((told.status, told.error_code), (MessageStatus::Failed, Some(failure)));
        let unsent = told.error_message.is_some_and(|text| text.starts_with("It was not sent"));
        assert_eq!(unsent, failure == Failure::AccountUnlinked);
    }
}

pub async fn only_what_has_not_left_is_canceled<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let a1 = w.send(account, ANNA, "a1").await;
    let a2 = w.send(account, ANNA, "a2").await;
    let stranger = UserId(uuid::Uuid::nil());
    assert_eq!(w.store.cancel_message(stranger, a2.id).await, Ok(Settled::Missing));
    assert!(
        matches!(w.store.cancel_message(account.user, a2.id).await, Ok(Settled::Done(message)) if message.status == MessageStatus::Canceled)
    );
    assert_eq!(w.store.cancel_message(account.user, a2.id).await, Ok(Settled::WrongState(MessageStatus::Canceled)));
    w.claim(account).await;
    assert_eq!(w.store.cancel_message(account.user, a1.id).await, Ok(Settled::WrongState(MessageStatus::Pending)), "being sent");
    w.apply(account, vec![retry(&a1, Some(later(9)))]).await;
    assert!(matches!(w.store.cancel_message(account.user, a1.id).await, Ok(Settled::Done(_))), "nothing had left");
    let b1 = w.send(account, BEN, "b1").await;
    w.claim(account).await;
    w.apply(account, vec![News::Written { message_id: b1.id, at: START }, retry(&b1, Some(later(9)))]).await;
    assert_eq!(w.store.cancel_message(account.user, b1.id).await, Ok(Settled::WrongState(MessageStatus::Pending)), "it was written");
    w.ack(account, &b1).await;
    assert_eq!(w.store.cancel_message(account.user, b1.id).await, Ok(Settled::WrongState(MessageStatus::Sent)));
    let events = w.store.events_after(account.user, 0, 100).await.expect("read");
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::MessageCanceled).count(), 2);
}

pub async fn a_failed_message_goes_again_with_the_same_whatsapp_id<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let a1 = w.send(account, ANNA, "a1").await;
    let a2 = w.send(account, ANNA, "a2").await;
    assert_eq!(w.store.retry_message(account.user, a1.id, later(9)).await, Ok(Settled::WrongState(MessageStatus::Pending)));
    w.claim(account).await;
    let failed = News::Failed { message_id: a1.id, at: START, failure: Failure::Rejected, text: "no".into() };
    assert_eq!(w.apply(account, vec![failed]).await, [(a1.id, MessageStatus::Failed)]);
    assert_eq!(w.store.usage(account.user, crate::world::TODAY).await.map(|usage| usage.failed), Ok(1));
    assert_eq!(w.store.retry_message(UserId(uuid::Uuid::nil()), a1.id, later(9)).await, Ok(Settled::Missing));
    let Ok(Settled::Done(again)) = w.store.retry_message(account.user, a1.id, later(9)).await else { panic!("requeued") };
    assert_eq!((again.status, again.error_code, again.expires_at), (MessageStatus::Pending, None, Some(later(9))));
    assert_eq!(again.wa_message_id, a1.wa_message_id);
    assert_eq!(w.claim(account).await, ["a2"], "it takes its place at the end");
    w.ack(account, &a2).await;
    assert_eq!(w.claim(account).await, ["a1"]);
    w.ack(account, &a1).await;
    assert_eq!(status(&w, a1.id).await, (MessageStatus::Sent, None));
    let steps: Vec<_> = w.store.timeline(a1.id).await.expect("read").into_iter().map(|entry| entry.step.as_str()).collect();
    assert_eq!(steps, ["accepted", "claimed", "failed", "requeued", "claimed", "acknowledged"]);
}

pub async fn a_message_that_is_tried_again_does_not_count_as_failed<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let message = w.send(account, ANNA, "hello").await;
    let failed = || vec![News::Failed { message_id: message.id, at: START, failure: Failure::Rejected, text: "no".into() }];
    w.claim(account).await;
    w.apply(account, failed()).await;
    let counted = async || {
        let days = w.store.usage_days(account.user, 0, i32::MAX).await.expect("read");
        let of_user: Vec<i64> = days.iter().map(|(_, usage)| usage.failed).collect();
        let of_account = w.ask("SELECT CAST(SUM(failed) AS BIGINT) FROM account_hours").await;
        (of_user, of_account, w.ask("SELECT CAST(SUM(failed) AS BIGINT) FROM usage_hourly").await)
    };
    assert_eq!(counted().await, (vec![1], 1, 1));
    // On another day it is taken out of the one on which it failed.
    w.clock.advance(Duration::from_hours(30));
    let deadline = w.clock.now().plus(Duration::from_hours(1));
    assert!(matches!(w.store.retry_message(account.user, message.id, deadline).await, Ok(Settled::Done(_))));
    assert_eq!(counted().await, (vec![0], 0, 0));
    w.claim(account).await;
    w.ack(account, &message).await;
    assert_eq!(counted().await, (vec![0, 0], 0, 0));
}

pub async fn a_message_that_can_not_be_read_does_not_hold_up_its_chat<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let broken = w.send(account, ANNA, "broken").await;
    let late = w.send(account, BEN, "broken too").await;
    w.send(account, ANNA, "whole").await;
    w.tamper("UPDATE messages SET direction = 'sideways' WHERE body LIKE 'broken%'").await;
    assert!(w.claim(account).await.is_empty());
    assert_eq!(w.claim(account).await, ["whole"]);
    assert!(
        matches!(w.store.message(None, broken.id).await, Err(StoreError::Corrupt { table: "messages", column, .. }) if column == "direction")
    );
    w.tamper("UPDATE messages SET direction = 'outbound'").await;
    assert_eq!(status(&w, late.id).await, (MessageStatus::Failed, Some(Failure::NotSendable)));
    assert_eq!(w.store.expire(later(9999)).await.map(|changes| changes.len()), Ok(1));
}

/// A long mixed run, and after each step the invariant that claiming stands on.
pub async fn every_chat_has_exactly_one_head<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let mut sent = Vec::new();
    let wrong = "SELECT COUNT(*) FROM (SELECT chat, SUM(CASE WHEN head THEN 1 ELSE 0 END) AS heads, MIN(seq) AS first, MIN(CASE WHEN head THEN seq END) AS head \
                 FROM outbox GROUP BY session_id, chat) AS chats WHERE heads <> 1 OR first <> head";
    for n in 0..90_usize {
        let to = [ANNA, BEN, CARL][n * 7 % 3];
        sent.push(w.send(account, to, &format!("{n}")).await);
        match n % 6 {
            1 => drop(w.claim(account).await),
            2 => w.ack(account, &sent[n / 2]).await,
            3 => drop(w.store.cancel_message(account.user, sent[n * 5 % sent.len()].id).await.expect("answered")),
            4 => drop(w.apply(account, vec![retry(&sent[n / 3], Some(START))]).await),
            5 => {
                let failed = News::Failed { message_id: sent[n / 4].id, at: START, failure: Failure::Rejected, text: "no".into() };
                w.apply(account, vec![failed]).await;
                w.store.retry_message(account.user, sent[n / 4].id, later(3600)).await.expect("answered");
            }
            _ => {}
        }
        assert_eq!(w.ask(wrong).await, 0, "after step {n}");
    }
}
