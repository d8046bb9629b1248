//! Opting out: nothing is accepted for, and nothing leaves to, somebody who wants no messages.

use crate::world::{ANNA, Account, BEN, Backend, CARL, START, World, key};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use sanasend_model::opt_out::Words;
use sanasend_model::{Clock, Consent, Content, EventKind, Failure, Jid, MessageId, MessageStatus, OptOutSource, PhoneNumber, UserId};
use sanasend_store::{
    ANSWER_JOB, Accepted, ContactPatch, ContactSettings, Incoming, JobFilter, NewContact, NewMessage, NewOptOut, News, OptOutCause,
    OptOutFilter, Page, Peer, Store,
};
use std::collections::BTreeSet;
use std::time::Duration;

const HIDDEN: &str = "77000000000001@lid";

pub fn by_phone(phone: &str) -> Peer {
    let phone = PhoneNumber::parse(phone).expect("a number");
    Peer { jid: Some(phone.jid()), phone: Some(phone), lid: None }
}

pub fn by_lid(lid: &str) -> Peer {
    Peer { lid: Jid::parse(lid), ..Peer::default() }
}

/// Both ids of one person.
pub fn both(phone: &str, lid: &str) -> Peer {
    Peer { lid: Jid::parse(lid), ..by_phone(phone) }
}

fn cause() -> OptOutCause {
    OptOutCause { source: OptOutSource::Api, message_id: None, note: Some("by letter".into()) }
}

/// Somebody opts out; whether that is new.
pub async fn opt_out(store: &Store, user: UserId, person: Peer) -> bool {
    let new = NewOptOut { person, cause: cause() };
    store.opt_out(user, vec![new]).await.expect("written")[0].is_some()
}

async fn accept<B: Backend>(w: &World<B>, account: Account, to: &str) -> Accepted {
    w.store.accept(w.text(account, to, "hello")).await.expect("answered")
}

/// Somebody writes to an account.
pub async fn writes<B: Backend>(w: &World<B>, account: Account, from: Peer, text: &str) -> MessageId {
    let chat = from.jid.clone().or_else(|| from.lid.clone()).expect("an id");
    let incoming = Incoming {
        wa_message_id: format!("IN{}", w.number()),
        chat,
        sender: from,
        sender_name: Some("Anna Müller".into()),
        from_me: false,
        content: Content::text(text).expect("a text"),
        quoted: None,
        at: w.clock.now(),
        media: None,
        raw: None,
    };
    w.store.receive(account.id, account.generation, vec![incoming]).await.expect("stored")[0]
}

async fn kinds<B: Backend>(w: &World<B>, user: UserId) -> Vec<EventKind> {
    w.store.events_after(user, 0, 100).await.expect("read").iter().map(|event| event.kind).collect()
}

pub async fn who_opted_out_is_refused_by_number_and_by_hidden_id<B: Backend>(w: World<B>) {
    let (account, other) = (w.account().await, w.account().await);
    w.store.put_contacts(account.user, vec![(contact(both(ANNA, HIDDEN)), false)], sanasend_model::ContactSource::Api).await.expect("put");
    assert!(opt_out(&w.store, account.user, by_phone(ANNA)).await);
    assert!(!opt_out(&w.store, account.user, by_lid(HIDDEN)).await, "the same person");
    for to in [ANNA, HIDDEN, "14155550101@c.us"] {
        assert_eq!(accept(&w, account, to).await, Accepted::OptedOut, "{to}");
    }
    assert!(matches!(accept(&w, account, BEN).await, Accepted::Created { .. }));
    assert!(matches!(accept(&w, account, "120363021033254949@g.us").await, Accepted::Created { .. }), "a group is nobody");
    assert!(matches!(accept(&w, other, ANNA).await, Accepted::Created { .. }), "another user's people are others");
    assert_eq!(w.store.opted_out(account.user, &[by_phone(BEN), by_lid(HIDDEN), by_phone(ANNA)]).await, Ok(vec![false, true, true]));
    // Refused is not remembered: after START the same request with the same key is good.
    let keyed = NewMessage { idempotency: key("k", 1, "first"), ..w.text(account, ANNA, "hello") };
    assert_eq!(w.store.accept(keyed.clone()).await, Ok(Accepted::OptedOut));
    let ended = w.store.opt_in(account.user, by_lid(HIDDEN), cause()).await.expect("written").expect("it was in force");
    assert_eq!((ended.person.phone.map(|phone| phone.to_string()).as_deref(), ended.source), (Some(ANNA), OptOutSource::Api));
    assert!(matches!(w.store.accept(keyed).await, Ok(Accepted::Created { .. })));
    assert_eq!(w.store.opt_in(account.user, by_phone(ANNA), cause()).await, Ok(None));
    // A refusal counts for nothing.
    assert_eq!(w.store.usage(account.user, crate::world::TODAY).await.map(|usage| usage.accepted), Ok(3));
}

fn contact(person: Peer) -> NewContact {
    NewContact { person, ..NewContact::default() }
}

pub async fn what_was_sent_before_is_replayed_and_not_refused<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let first = NewMessage { idempotency: key("k", 1, "first"), ..w.text(account, ANNA, "hello") };
    assert!(matches!(w.store.accept(first).await, Ok(Accepted::Created { .. })));
    opt_out(&w.store, account.user, by_phone(ANNA)).await;
    let again = NewMessage { idempotency: key("k", 1, "again"), ..w.text(account, ANNA, "hello") };
    assert_eq!(w.store.accept(again).await, Ok(Accepted::Replayed { status: 202, body: "first".into() }));
}

pub async fn an_opt_out_wins_against_what_was_accepted_before<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let mut waiting = Vec::new();
    for body in ["one", "two", "three"] {
        waiting.push(w.send(account, ANNA, body).await);
    }
    let others = w.send(account, BEN, "for ben").await;
    opt_out(&w.store, account.user, by_phone(ANNA)).await;
    assert_eq!(w.claim(account).await, ["for ben"]);
    for message in &waiting {
        let message = w.store.message(None, message.id).await.expect("read").expect("there");
        assert_eq!((message.status, message.error_code), (MessageStatus::Failed, Some(Failure::RecipientOptedOut)));
        assert!(message.error_message.is_some_and(|text| text.contains("nothing was sent")));
    }
    w.ack(account, &others).await;
    assert_eq!(w.store.outbox_depth().await, Ok(0));
    // Also when a caller puts one back on its way, and when an attempt before may have left.
    w.store.retry_message(account.user, waiting[0].id, START.plus(Duration::from_hours(2))).await.expect("written");
    assert!(w.claim(account).await.is_empty());
    let carl = w.send(account, CARL, "for carl").await;
    assert_eq!(w.claim(account).await, ["for carl"]);
    opt_out(&w.store, account.user, by_phone(CARL)).await;
    assert!(w.claim(account).await.is_empty());
    let carl = w.store.message(None, carl.id).await.expect("read").expect("there");
    assert_eq!(carl.error_code, Some(Failure::RecipientOptedOut));
    assert!(carl.error_message.is_some_and(|text| text.contains("may have arrived")));
}

pub async fn who_is_found_to_be_somebody_who_opted_out_is_refused_too<B: Backend>(w: World<B>) {
    let account = w.account().await;
    opt_out(&w.store, account.user, by_lid(HIDDEN)).await;
    let sent = w.send(account, ANNA, "who are you").await;
    assert_eq!(w.claim(account).await, ["who are you"], "nobody knows yet who that is");
    assert_eq!(w.store.is_opted_out(account.user, sent.id, &both(ANNA, HIDDEN)).await, Ok(true), "whoever sends it asks once more");
    let chat = by_phone(ANNA).jid.expect("an id");
    w.apply(account, vec![News::Resolved { message_id: sent.id, peer: both(ANNA, HIDDEN), chat }]).await;
    assert_eq!(accept(&w, account, ANNA).await, Accepted::OptedOut);
    // The same by a message that names both.
    let other = w.account().await;
    opt_out(&w.store, other.user, by_phone(BEN)).await;
    writes(&w, other, both(BEN, "88@lid"), "hello").await;
    assert_eq!(accept(&w, other, "88@lid").await, Accepted::OptedOut);
}

pub async fn stop_and_start_are_heard_with_proof_and_told<B: Backend>(w: World<B>) {
    let account = w.account().await;
    w.store.set_words(Words::of(&["en".into()], &["genug".into()], &[]).expect("sound"));
    for harmless in ["please don't stop", "start", "Stopp"] {
        writes(&w, account, by_phone(ANNA), harmless).await;
    }
    assert!(matches!(accept(&w, account, ANNA).await, Accepted::Created { .. }));
    let stop = writes(&w, account, both(ANNA, HIDDEN), " Genug! ").await;
    writes(&w, account, by_lid(HIDDEN), "STOP").await;
    assert_eq!(accept(&w, account, HIDDEN).await, Accepted::OptedOut);
    let listed = w.store.list_opt_outs(&of(account.user, Some(true)), Page::default()).await.expect("read").results;
    assert_eq!(listed.len(), 1, "the second was no news");
    assert_eq!((listed[0].source, listed[0].message_id), (OptOutSource::Word, Some(stop)));
    assert_eq!(listed[0].person.lid.as_ref().map(Jid::as_str), Some(HIDDEN));
    let start = writes(&w, account, by_lid(HIDDEN), "START").await;
    assert!(matches!(accept(&w, account, ANNA).await, Accepted::Created { .. }));
    let ended = w.store.list_opt_outs(&of(account.user, Some(false)), Page::default()).await.expect("read").results;
    let end = ended[0].ended.clone().expect("it ended");
    assert_eq!((end.source, end.message_id, ended[0].message_id), (OptOutSource::Word, Some(start), Some(stop)), "the proof stays");
    let told: Vec<EventKind> = kinds(&w, account.user).await.into_iter().filter(|kind| kind.as_str().starts_with("contact.")).collect();
    assert_eq!(told, [EventKind::ContactOptedOut, EventKind::ContactOptedIn]);
    let events = w.store.events_after(account.user, 0, 100).await.expect("read");
    let out = events.iter().find(|event| event.kind == EventKind::ContactOptedOut).expect("told");
    assert_eq!((&out.data["contact"]["phone"], out.message_id, out.session_id), (&serde_json::json!(ANNA), Some(stop), Some(account.id)));
    assert!(!out.data.to_string().contains("Genug"));
    // In a group nobody speaks to the user alone.
    let group = Incoming { chat: Jid::parse("120363021033254949@g.us").expect("a group"), ..in_group(&w) };
    w.store.receive(account.id, account.generation, vec![group]).await.expect("stored");
    assert!(matches!(accept(&w, account, BEN).await, Accepted::Created { .. }));
}

fn in_group<B: Backend>(w: &World<B>) -> Incoming {
    Incoming {
        wa_message_id: "G1".into(),
        chat: Jid::parse("1@g.us").expect("a group"),
        sender: by_phone(BEN),
        sender_name: None,
        from_me: false,
        content: Content::text("STOP").expect("a text"),
        quoted: None,
        at: w.clock.now(),
        media: None,
        raw: None,
    }
}

fn of(user: UserId, in_force: Option<bool>) -> OptOutFilter {
    OptOutFilter { user_id: Some(user), in_force, phone: None }
}

pub async fn a_message_replayed_by_whatsapp_is_no_second_wish<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let stop = Incoming { chat: by_phone(BEN).jid.expect("an id"), ..in_group(&w) };
    w.store.receive(account.id, account.generation, vec![stop.clone()]).await.expect("stored");
    w.store.opt_in(account.user, by_phone(BEN), cause()).await.expect("written").expect("it was in force");
    w.store.receive(account.id, account.generation, vec![stop]).await.expect("known");
    assert!(matches!(accept(&w, account, BEN).await, Accepted::Created { .. }));
}

pub async fn a_start_that_comes_behind_a_later_stop_is_not_the_last_word<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let word = |id: &str, text: &str, second: u64| Incoming {
        wa_message_id: id.into(),
        chat: by_phone(BEN).jid.expect("an id"),
        content: Content::text(text).expect("a text"),
        at: w.clock.now().plus(Duration::from_secs(second)),
        ..in_group(&w)
    };
    let receive = async |incoming| w.store.receive(account.id, account.generation, vec![incoming]).await.expect("stored");
    opt_out(&w.store, account.user, by_phone(BEN)).await;
    receive(word("S2", "STOP", 2)).await;
    receive(word("S1", "START", 1)).await;
    assert_eq!(accept(&w, account, BEN).await, Accepted::OptedOut, "STOP was said after it");
    receive(word("S3", "START", 3)).await;
    assert!(matches!(accept(&w, account, BEN).await, Accepted::Created { .. }));
}

pub async fn the_answer_is_the_one_message_that_still_goes<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let settings = ContactSettings { stop_answer: Some("You will hear no more of us.".into()), ..ContactSettings::default() };
    w.store.set_contact_settings(account.user, settings).await.expect("written");
    let waiting = w.send(account, ANNA, "waiting").await;
    writes(&w, account, by_phone(ANNA), "stop").await;
    let jobs =
        w.store.list_jobs(&JobFilter { kind: Some(ANSWER_JOB.into()), ..JobFilter::default() }, Page::default()).await.expect("read");
    let payload = &jobs.results[0].payload;
    assert_eq!((jobs.count, &payload["wish"], &payload["session"]), (1, &serde_json::json!("stop"), &serde_json::json!(account.id)));
    assert!(!payload.to_string().contains("hear no more"), "admins read jobs");
    let id: MessageId = payload["message"].as_str().expect("an id").parse().expect("an id");
    let answer = NewMessage { id, ..w.text(account, ANNA, "You will hear no more of us.") };
    assert!(matches!(w.store.accept(answer.clone()).await, Ok(Accepted::Created { .. })));
    assert!(w.store.accept(NewMessage { wa_message_id: "other".into(), ..answer.clone() }).await.is_err(), "once");
    assert_eq!(accept(&w, account, ANNA).await, Accepted::OptedOut);
    // What waited in front of it is given up, and does not take it along.
    assert!(w.claim(account).await.is_empty());
    assert_eq!(w.claim(account).await, ["You will hear no more of us."]);
    let waiting = w.store.message(None, waiting.id).await.expect("read").expect("there");
    assert_eq!(waiting.error_code, Some(Failure::RecipientOptedOut));
    w.ack(account, &answer).await;
    // Who says it again is not answered again.
    writes(&w, account, by_phone(ANNA), "stop").await;
    let jobs =
        w.store.list_jobs(&JobFilter { kind: Some(ANSWER_JOB.into()), ..JobFilter::default() }, Page::default()).await.expect("read");
    assert_eq!(jobs.count, 1);
}

pub async fn where_consent_is_needed_only_who_agreed_or_wrote_is_written_to<B: Backend>(w: World<B>) {
    let account = w.account().await;
    assert!(matches!(accept(&w, account, ANNA).await, Accepted::Created { .. }));
    let needs = ContactSettings { requires_consent: true, ..ContactSettings::default() };
    w.store.set_contact_settings(account.user, needs).await.expect("written");
    assert_eq!(accept(&w, account, ANNA).await, Accepted::ConsentRequired);
    assert!(matches!(accept(&w, account, "120363021033254949@g.us").await, Accepted::Created { .. }));
    let new = NewContact { consent: Some(Consent::Granted), ..contact(by_phone(ANNA)) };
    let made = w.store.create_contact(account.user, new, sanasend_model::ContactSource::Api).await.expect("made");
    assert!(matches!(accept(&w, account, ANNA).await, Accepted::Created { .. }));
    let patch = ContactPatch { consent: Some((Consent::Withdrawn, "api".into(), None)), ..ContactPatch::default() };
    w.store.update_contact(account.user, made.id, patch).await.expect("written");
    assert_eq!(accept(&w, account, ANNA).await, Accepted::ConsentRequired);
    assert_eq!(accept(&w, account, BEN).await, Accepted::ConsentRequired);
    writes(&w, account, by_phone(BEN), "hello").await;
    assert!(matches!(accept(&w, account, BEN).await, Accepted::Created { .. }), "who wrote first is in a conversation");
    assert_eq!(w.store.lacks_consent(account.user, &[by_phone(ANNA), by_phone(BEN)]).await, Ok(vec![true, false]));
    w.store.set_contact_settings(account.user, ContactSettings::default()).await.expect("written");
    assert!(matches!(accept(&w, account, ANNA).await, Accepted::Created { .. }));
    assert_eq!(w.store.lacks_consent(account.user, &[by_phone(ANNA)]).await, Ok(vec![false]));
}

pub async fn what_another_node_wrote_holds_here_at_once<B: Backend>(w: World<B>) {
    if !w.store.is_shared() {
        return;
    }
    let account = w.account().await;
    assert!(matches!(accept(&w, account, ANNA).await, Accepted::Created { .. }));
    let there = w.reopen().await;
    opt_out(&there, account.user, by_phone(ANNA)).await;
    assert_eq!(accept(&w, account, ANNA).await, Accepted::OptedOut);
    let needs = ContactSettings { requires_consent: true, ..ContactSettings::default() };
    there.set_contact_settings(account.user, needs).await.expect("written");
    assert_eq!(accept(&w, account, BEN).await, Accepted::ConsentRequired);
}

pub async fn what_was_undone_guards_nothing_and_what_was_done_guards_after_a_restart<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let nobody = UserId(account.id.0);
    let new = || NewOptOut { person: by_phone(ANNA), cause: cause() };
    assert!(w.store.opt_out(nobody, vec![new()]).await.is_err(), "there is no such user");
    assert!(matches!(accept(&w, account, ANNA).await, Accepted::Created { .. }));
    opt_out(&w.store, account.user, by_phone(ANNA)).await;
    assert!(w.store.opt_out(nobody, vec![new()]).await.is_err());
    assert_eq!(accept(&w, account, ANNA).await, Accepted::OptedOut);
    let again = w.reopen().await;
    assert_eq!(again.accept(w.text(account, ANNA, "hello")).await, Ok(Accepted::OptedOut));
}

pub async fn opt_outs_are_listed_newest_first_by_pages_and_cursors<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let numbers: Vec<String> = (0..25).map(|number| format!("+141555502{number:02}")).collect();
    let people = numbers.iter().map(|number| NewOptOut { person: by_phone(number), cause: cause() }).collect();
    let made = w.store.opt_out(account.user, people).await.expect("written");
    assert!(made.iter().all(Option::is_some));
    w.store.opt_in(account.user, by_phone(&numbers[3]), cause()).await.expect("written").expect("in force");
    let filter = of(account.user, Some(true));
    let first = w.store.list_opt_outs(&filter, Page { page: 1, page_size: 10 }).await.expect("read");
    assert_eq!((first.count, first.is_exact, first.results.len()), (24, true, 10));
    let (mut seen, mut cursor) = (first.results, first.next);
    while cursor.is_some() {
        let (more, next) = w.store.list_opt_outs_after(&filter, cursor, 10).await.expect("read");
        seen.extend(more);
        cursor = next;
    }
    let phones: Vec<String> = seen.iter().filter_map(|one| one.person.phone.as_ref().map(ToString::to_string)).collect();
    let expected: Vec<String> = numbers.iter().rev().filter(|number| **number != numbers[3]).cloned().collect();
    assert_eq!(phones, expected);
    let one = OptOutFilter { phone: PhoneNumber::parse(&numbers[3]).ok(), ..of(account.user, None) };
    let found = w.store.list_opt_outs(&one, Page::default()).await.expect("read").results;
    assert_eq!(found.len(), 1);
    assert_eq!(w.store.find_opt_out(account.user, found[0].id).await, Ok(Some(found[0].clone())));
    let other = w.account().await;
    assert_eq!(w.store.find_opt_out(other.user, found[0].id).await, Ok(None));
}

/// A step in the life of one person who has a number and a hidden id.
#[derive(Debug, Clone, Copy)]
enum Happens {
    /// A message to them is handed in; by the hidden id or by the number.
    Send { hidden: bool },
    /// They say that they want no more.
    Stop { hidden: bool },
    /// They say that they want more.
    Start { hidden: bool },
    /// It becomes known that both are one.
    Linked,
    /// The account takes up what is due, and sends it.
    Claim,
}

/// An opt-out always wins against a message that was accepted before it and is not written yet.
pub async fn no_order_of_things_lets_a_message_leave_to_somebody_who_opted_out<B: Backend>(w: World<B>) {
    use Happens::{Claim, Linked, Send, Start, Stop};
    let mut all = vec![Linked, Claim, Claim, Claim];
    for hidden in [false, true] {
        all.extend([Send { hidden }, Send { hidden }, Stop { hidden }, Start { hidden }]);
    }
    let strategy = proptest::collection::vec(proptest::sample::select(all), 1..25);
    let runtime = tokio::runtime::Handle::current();
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let run = || TestRunner::new(config).run(&strategy.boxed(), |steps| runtime.block_on(live(&w, steps)));
    tokio::task::block_in_place(run).expect("nothing left");
}

async fn live<B: Backend>(w: &World<B>, steps: Vec<Happens>) -> Result<(), TestCaseError> {
    let account = w.account().await;
    let handle = |hidden: bool| if hidden { HIDDEN } else { ANNA };
    let (mut out, mut linked) = (BTreeSet::new(), false);
    for step in steps {
        match step {
            Happens::Send { hidden } => {
                let accepted = accept(w, account, handle(hidden)).await;
                proptest::prop_assert_eq!(accepted == Accepted::OptedOut, out.contains(&hidden));
            }
            Happens::Stop { hidden } => {
                writes(w, account, if hidden { by_lid(HIDDEN) } else { by_phone(ANNA) }, "stop").await;
                out.insert(hidden);
                if linked {
                    out.extend([true, false]);
                }
            }
            Happens::Start { hidden } => {
                writes(w, account, if hidden { by_lid(HIDDEN) } else { by_phone(ANNA) }, "start").await;
                out.remove(&hidden);
                if linked {
                    out.clear();
                }
            }
            Happens::Linked => {
                writes(w, account, both(ANNA, HIDDEN), "it is me").await;
                let known = vec![(contact(both(ANNA, HIDDEN)), false)];
                w.store.put_contacts(account.user, known, sanasend_model::ContactSource::Api).await.expect("put");
                linked = true;
                if !out.is_empty() {
                    out.extend([true, false]);
                }
            }
            Happens::Claim => {
                for claimed in w.claimed(account).await {
                    let hidden = claimed.message.chat.is_lid();
                    proptest::prop_assert!(!out.contains(&hidden), "a message left");
                    w.apply(account, vec![News::Acked { wa_message_id: claimed.message.wa_message_id, at: w.clock.now() }]).await;
                }
            }
        }
    }
    Ok(())
}
