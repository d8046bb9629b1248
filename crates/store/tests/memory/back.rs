//! The way back: acknowledgements, receipts, and what other people write.

use crate::world::{ANNA, Account, BEN, Backend, START, TODAY, World};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use sanasend_model::{Clock, Content, Direction, EventKind, Failure, Jid, MessageStatus, PhoneNumber, Step, Timestamp};
use sanasend_store::{Incoming, MessageFilter, NewMessage, News, Page, Peer, Quoted, SignalChange, SignalKind, StoreError};
use std::collections::BTreeSet;
use std::time::Duration;

fn chat(of: &str) -> Jid {
    PhoneNumber::parse(of).expect("a number").jid()
}

fn at(secs: u64) -> Timestamp {
    START.plus(Duration::from_secs(secs))
}

fn acked(message: &NewMessage, secs: u64) -> News {
    News::Acked { wa_message_id: message.wa_message_id.clone(), at: at(secs) }
}

fn receipt(message: &NewMessage, status: MessageStatus, secs: u64) -> News {
    let wa_message_ids = vec!["unheard of".into(), message.wa_message_id.clone()];
    News::Receipt { wa_message_ids, chat: message.recipient.jid(), by: None, status, at: at(secs) }
}

pub async fn a_message_goes_its_way_and_the_timeline_tells_it<B: Backend>(w: World<B>) {
    use EventKind::{MessageAccepted, MessageDelivered, MessagePlayed, MessageRead, MessageSent};
    use Step::{Accepted, Acknowledged, Claimed, Delivered, Played, Read, Retrying, Written};
    let account = w.account().await;
    let sent = w.send(account, ANNA, "hello").await;
    w.claim(account).await;
    w.apply(account, vec![News::Retry { message_id: sent.id, at: at(1), due_at: Some(at(0)), reason: "offline".into() }]).await;
    w.claim(account).await;
    let news = vec![News::Written { message_id: sent.id, at: at(2) }, acked(&sent, 3), receipt(&sent, MessageStatus::Delivered, 4)];
    let steps = w.apply(account, news).await;
    assert_eq!(steps, [(sent.id, MessageStatus::Sent), (sent.id, MessageStatus::Delivered)]);
    w.apply(account, vec![receipt(&sent, MessageStatus::Read, 5), receipt(&sent, MessageStatus::Played, 6)]).await;
    let message = w.store.message(None, sent.id).await.expect("read").expect("there");
    assert_eq!((message.status, message.attempts), (MessageStatus::Played, 2));
    assert_eq!((message.sent_at, message.delivered_at, message.read_at), (Some(at(3)), Some(at(4)), Some(at(5))));
    let timeline = w.store.timeline(sent.id).await.expect("read");
    let told: Vec<_> = timeline.iter().map(|entry| (entry.step, entry.attempt)).collect();
    let expected =
        [(Accepted, 0), (Claimed, 1), (Retrying, 1), (Claimed, 2), (Written, 2), (Acknowledged, 2), (Delivered, 2), (Read, 2), (Played, 2)];
    assert_eq!(told, expected);
    assert_eq!(timeline[2].detail.as_deref(), Some("offline"));
    let kinds: Vec<_> = w.store.events_after(account.user, 0, 10).await.expect("read").iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [MessageAccepted, MessageSent, MessageDelivered, MessageRead, MessagePlayed]);
    assert_eq!(w.store.usage(account.user, TODAY).await.map(|usage| (usage.accepted, usage.sent, usage.failed)), Ok((1, 1, 0)));
    assert_eq!(w.store.outbox_depth().await, Ok(0));
}

pub async fn a_receipt_before_the_acknowledgement_counts<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "hello").await;
    w.claim(account).await;
    assert_eq!(w.apply(account, vec![receipt(&sent, MessageStatus::Delivered, 2)]).await, [(sent.id, MessageStatus::Delivered)]);
    assert_eq!(w.store.outbox_depth().await, Ok(0), "it needs no second try");
    assert_eq!(w.apply(account, vec![acked(&sent, 3)]).await, []);
    w.apply(account, vec![News::Written { message_id: sent.id, at: at(3) }]).await;
    let message = w.store.message(None, sent.id).await.expect("read").expect("there");
    assert_eq!((message.status, message.sent_at), (MessageStatus::Delivered, Some(at(2))));
    assert_eq!(w.store.usage(account.user, TODAY).await.map(|usage| usage.sent), Ok(1));
}

pub async fn the_same_news_again_changes_nothing<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "hello").await;
    let lost = w.send(account, BEN, "lost").await;
    w.claim(account).await;
    let failed = News::Failed { message_id: lost.id, at: at(1), failure: Failure::Rejected, text: "no".into() };
    let rounds = vec![
        vec![News::Written { message_id: sent.id, at: at(1) }],
        vec![News::Retry { message_id: sent.id, at: at(1), due_at: None, reason: "unanswered".into() }],
        vec![acked(&sent, 2)],
        vec![receipt(&sent, MessageStatus::Read, 3)],
        vec![failed],
    ];
    for news in rounds {
        w.apply(account, news.clone()).await;
        let before = snapshot(&w, account).await;
        assert_eq!(w.apply(account, news.clone()).await, [], "{news:?}");
        assert_eq!(snapshot(&w, account).await, before, "{news:?}");
    }
}

async fn snapshot<B: Backend>(w: &World<B>, account: Account) -> String {
    let messages = w.store.list_messages(&MessageFilter::default(), Page::default()).await.expect("listed");
    let mut told = Vec::new();
    for message in &messages.results {
        told.push(format!("{message:?} {:?}", w.store.timeline(message.id).await));
    }
    let events = w.store.events_after(account.user, 0, 1000).await.map(|events| events.len());
    format!("{told:?} {events:?} {:?} {:?}", w.store.usage(account.user, TODAY).await, w.store.outbox_depth().await)
}

/// Any order of acknowledgements, receipts, failures and retries, against the one rule of the model.
pub async fn no_sequence_of_news_takes_a_message_back<B: Backend>(w: World<B>) {
    use MessageStatus::{Delivered, Failed, Pending, Played, Read, Sent};
    let account = w.account().await;
    let strategy = proptest::collection::vec(proptest::sample::select(vec![Pending, Sent, Delivered, Read, Played, Failed]), 1..12);
    let runtime = tokio::runtime::Handle::current();
    let case = async |sequence: Vec<MessageStatus>| -> Result<(), TestCaseError> {
        let sent = w.send(account, ANNA, "hello").await;
        let mut expected = Pending;
        for (secs, to) in (0..).zip(sequence) {
            let news = match to {
                Sent => acked(&sent, secs),
                Failed => News::Failed { message_id: sent.id, at: at(secs), failure: Failure::Rejected, text: "no".into() },
                Pending => News::Retry { message_id: sent.id, at: at(secs), due_at: None, reason: "again".into() },
                receipted => receipt(&sent, receipted, secs),
            };
            let step = expected.advance(to);
            let told = w.apply(account, vec![news.clone(), news]).await;
            proptest::prop_assert_eq!(told, step.map(|to| (sent.id, to)).into_iter().collect::<Vec<_>>());
            expected = step.unwrap_or(expected);
            let message = w.store.message(None, sent.id).await.expect("read").expect("there");
            proptest::prop_assert_eq!(message.status, expected);
            proptest::prop_assert_eq!(message.error_code.is_some(), expected == Failed);
        }
        Ok(())
    };
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let run = || TestRunner::new(config).run(&strategy.boxed(), |sequence| runtime.block_on(case(sequence)));
    tokio::task::block_in_place(run).expect("the rule holds");
    let usage = w.store.usage(account.user, TODAY).await.expect("read");
    let failed = w.ask("SELECT COUNT(*) FROM messages WHERE status = 'failed'").await;
    let sent = w.ask("SELECT COUNT(*) FROM messages WHERE sent_at IS NOT NULL").await;
    assert_eq!((usage.failed, usage.sent), (failed, sent));
}

pub async fn an_acknowledgement_lifts_a_failure<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "hello").await;
    w.claim(account).await;
    w.apply(account, vec![News::Written { message_id: sent.id, at: START }]).await;
    assert_eq!(w.store.expire(at(3600)).await.map(|changes| changes.len()), Ok(1));
    assert_eq!(w.apply(account, vec![receipt(&sent, MessageStatus::Delivered, 9)]).await, [(sent.id, MessageStatus::Delivered)]);
    let message = w.store.message(None, sent.id).await.expect("read").expect("there");
    assert_eq!((message.status, message.error_code, message.error_message), (MessageStatus::Delivered, None, None));
}

pub async fn news_from_an_old_owner_is_fenced<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "hello").await;
    w.store.take_session(account.id).await.expect("taken");
    assert_eq!(w.store.apply(account.id, account.generation, vec![acked(&sent, 1)]).await, Err(StoreError::Fenced));
    assert_eq!(w.store.receive(account.id, account.generation, vec![incoming(ANNA, "1", "hi")]).await, Err(StoreError::Fenced));
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages WHERE status <> 'pending'").await, 0);
}

pub async fn news_about_another_accounts_message_is_ignored<B: Backend>(w: World<B>) {
    let [account, other] = [w.account().await, w.account().await];
    let sent = w.send(account, ANNA, "hello").await;
    w.claim(account).await;
    let news = vec![
        News::Written { message_id: sent.id, at: START },
        News::Retry { message_id: sent.id, at: START, due_at: None, reason: "x".into() },
        News::Failed { message_id: sent.id, at: START, failure: Failure::Rejected, text: "no".into() },
        News::Resolved { message_id: sent.id, peer: Peer::default(), chat: chat(BEN) },
        acked(&sent, 1),
    ];
    assert_eq!(w.apply(other, news).await, []);
    let message = w.store.message(None, sent.id).await.expect("read").expect("there");
    assert_eq!((message.status, message.chat), (MessageStatus::Pending, chat(ANNA)));
}

fn incoming(from: &str, id: &str, body: &str) -> Incoming {
    let phone = PhoneNumber::parse(from).expect("a number");
    Incoming {
        wa_message_id: id.into(),
        chat: phone.jid(),
        sender: Peer { jid: Some(phone.jid()), lid: Jid::parse("42@lid"), phone: Some(phone) },
        sender_name: Some("Anna".into()),
        from_me: false,
        content: Content::text(body).expect("a text"),
        quoted: Some(Quoted { wa_message_id: "Q".into(), participant: Some(chat(BEN)), text: Some("what?".into()) }),
        at: at(1),
        media: None,
        raw: Some(b"the whole protobuf".to_vec()),
    }
}

pub async fn a_message_comes_in_once<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let batch = vec![incoming(ANNA, "1", "one"), incoming(ANNA, "2", "two"), incoming(ANNA, "1", "one")];
    let ids = w.store.receive(account.id, account.generation, batch.clone()).await.expect("received");
    assert_eq!((ids.len(), ids[0]), (3, ids[2]));
    let before = snapshot(&w, account).await;
    assert_eq!(w.store.receive(account.id, account.generation, batch.clone()).await, Ok(ids.clone()));
    assert_eq!(snapshot(&w, account).await, before);
    let message = w.store.message(Some(account.user), ids[0]).await.expect("read").expect("there");
    assert_eq!((message.direction, message.status, message.sent_at), (Direction::Inbound, MessageStatus::Received, Some(at(1))));
    assert_eq!((&message.peer, message.peer_name.as_deref()), (&batch[0].sender, Some("Anna")));
    assert_eq!(message.quoted, batch[0].quoted);
    let events = w.store.events_after(account.user, 0, 10).await.expect("read");
    assert_eq!(events.len(), 2);
    assert_eq!((events[0].kind, &events[0].data["message"]["content"]), (EventKind::MessageReceived, &"one".into()));
    assert_eq!(events[0].data["message"]["sender"]["phone"], ANNA);
    assert_eq!(w.store.usage(account.user, TODAY).await.map(|usage| (usage.received, usage.accepted)), Ok((2, 0)));
    assert_eq!(w.store.timeline(ids[0]).await.map(|timeline| timeline[0].step), Ok(Step::Received));
    let other = Incoming { content: Content::Other { kind: "image".into() }, raw: None, ..incoming(ANNA, "3", "x") };
    let ids = w.store.receive(account.id, account.generation, vec![other]).await.expect("received");
    let message = w.store.message(None, ids[0]).await.expect("read").expect("there");
    assert_eq!(message.content, Content::Other { kind: "image".into() });
}

pub async fn the_same_id_from_another_sender_is_another_message<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let group = Jid::parse("120363021033254949@g.us").expect("a group");
    let in_group = |from| Incoming { chat: group.clone(), ..incoming(from, "1", "in the group") };
    let batch = vec![incoming(ANNA, "1", "one"), incoming(BEN, "1", "one"), in_group(ANNA), in_group(BEN)];
    let ids = w.store.receive(account.id, account.generation, batch).await.expect("received");
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), 4);
    let other = w.account().await;
    let theirs = w.store.receive(other.id, other.generation, vec![incoming(ANNA, "1", "one")]).await.expect("received");
    assert!(!ids.contains(&theirs[0]));
}

pub async fn what_the_owner_wrote_elsewhere_is_outbound<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let mine = Incoming { from_me: true, ..incoming(ANNA, "phone-1", "from my phone") };
    let ids = w.store.receive(account.id, account.generation, vec![mine]).await.expect("received");
    let message = w.store.message(None, ids[0]).await.expect("read").expect("there");
    assert_eq!((message.direction, message.status), (Direction::Outbound, MessageStatus::Sent));
    assert_eq!((message.peer.jid, message.chat), (Some(chat(ANNA)), chat(ANNA)));
    let sent = w.send(account, ANNA, "over the API").await;
    let echo = Incoming { from_me: true, ..incoming(ANNA, &sent.wa_message_id, "over the API") };
    assert_eq!(w.store.receive(account.id, account.generation, vec![echo]).await, Ok(vec![sent.id]), "our own, not a new one");
    assert_eq!(w.store.usage(account.user, TODAY).await.map(|usage| usage.received), Ok(0));
}

pub async fn the_original_of_an_incoming_message_is_sealed<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let ids =
        w.store.receive(account.id, account.generation, vec![incoming(ANNA, "1", "x"), incoming(ANNA, "2", "y")]).await.expect("received");
    assert_eq!(w.store.raw_message(ids[0]).await, Ok(Some(b"the whole protobuf".to_vec())));
    assert_eq!(w.ask(&format!("SELECT COUNT(*) FROM message_raw WHERE {}", B::holds("raw", b"protobuf"))).await, 0);
    let [first, second] = [ids[0], ids[1]].map(|id| B::id(id.0));
    let moved = format!("SELECT raw FROM message_raw WHERE message_id = {second}");
    w.tamper(&format!("UPDATE message_raw SET raw = ({moved}) WHERE message_id = {first}")).await;
    assert!(matches!(w.store.raw_message(ids[0]).await, Err(StoreError::Corrupt { table: "message_raw", .. })));
}

pub async fn a_crash_between_commit_and_acknowledgement_doubles_nothing<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let batch = vec![incoming(ANNA, "1", "one")];
    let first = w.store.receive(account.id, account.generation, batch.clone()).await.expect("received");
    // The process died before WhatsApp was told: the stanza comes again to the next owner.
    let next = w.reopen().await;
    let generation = next.take_session(account.id).await.expect("taken");
    assert_eq!(next.receive(account.id, generation, batch).await, Ok(first));
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, 1);
    assert_eq!(w.ask("SELECT COUNT(*) FROM events").await, 1);
}

pub async fn what_may_not_have_arrived_is_sent_again_first_and_once<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let lost = w.send(account, ANNA, "lost").await;
    let here = w.send(account, BEN, "here").await;
    w.claim(account).await;
    w.apply(account, vec![acked(&lost, 1), receipt(&here, MessageStatus::Delivered, 1)]).await;
    let waiting = w.send(account, ANNA, "waiting").await;
    assert_eq!(w.store.send_again(account.id, START.plus(Duration::from_hours(1))).await, Ok(0), "too old");
    assert_eq!(w.store.send_again(account.id, START).await, Ok(1), "what was delivered is left alone");
    assert_eq!(w.store.send_again(account.id, START).await, Ok(0), "once is enough");
    let again = w.claimed(account).await;
    assert_eq!(again.iter().map(|claimed| claimed.message.id).collect::<Vec<_>>(), [lost.id], "before what waits in its chat");
    assert_eq!((again[0].message.status, again[0].written_before), (MessageStatus::Sent, true));
    assert_eq!(w.apply(account, vec![acked(&lost, 9)]).await, [], "it was known to be sent");
    let next = w.claimed(account).await;
    assert_eq!(next.iter().map(|claimed| claimed.message.id).collect::<Vec<_>>(), [waiting.id], "its chat goes on");
}

pub async fn what_waited_for_a_connection_goes_after_what_is_sent_again_before_it<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let late = |to, body| NewMessage { expires_at: at(500_000), ..w.text(account, to, body) };
    for (to, first, second) in [(ANNA, "a1", "a2"), (BEN, "b1", "b2")] {
        let sent = w.send(account, to, first).await;
        w.claim(account).await;
        w.apply(account, vec![acked(&sent, 1)]).await;
        let behind = late(to, second);
        w.store.accept(behind.clone()).await.expect("accepted");
        w.claim(account).await;
        let lost = News::Retry { message_id: behind.id, at: at(2), due_at: None, reason: "offline".into() };
        w.apply(account, vec![lost]).await;
    }
    // The process was restarted in this moment.
    assert_eq!(w.store.send_again(account.id, START).await, Ok(2));
    w.store.wake_offline(account.id).await.expect("connected");
    let again = w.claimed(account).await;
    assert_eq!(again.iter().filter_map(|claimed| claimed.message.content.body()).collect::<BTreeSet<_>>(), BTreeSet::from(["a1", "b1"]));
    // One is answered, the other reaches the end of its time.
    let a1 = again.iter().find(|claimed| claimed.message.content.body() == Some("a1")).expect("claimed");
    w.apply(account, vec![News::Acked { wa_message_id: a1.message.wa_message_id.clone(), at: at(9) }]).await;
    w.store.expire(at(7200)).await.expect("looked at");
    assert_eq!(w.claim(account).await, ["a2", "b2"], "their chats go on");
}

pub async fn a_wish_for_a_message_is_answered_at_the_next_start_whatever_its_age<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let (wished, other) = (w.send(account, ANNA, "wished for").await, w.send(account, BEN, "not wished for").await);
    w.claim(account).await;
    w.apply(account, vec![acked(&wished, 1), acked(&other, 1)]).await;
    let wish = |id: &str| SignalChange::Put { kind: SignalKind::ResendAsked, key: id.as_bytes().to_vec(), value: Vec::new() };
    w.signal(account).apply(vec![wish(&wished.wa_message_id), wish("of nobody")]).await.expect("written down");
    w.clock.advance(Duration::from_hours(48));
    assert_eq!(w.store.send_again(account.id, w.clock.now()).await, Ok(1), "past its own deadline");
    let again = w.claimed(account).await;
    assert_eq!(again.iter().map(|claimed| claimed.message.id).collect::<Vec<_>>(), [wished.id]);
    assert_eq!(again[0].expires_at, w.clock.now().plus(Duration::from_hours(1)), "it gets time for this try");
    w.apply(account, vec![acked(&wished, 9)]).await;
    assert_eq!(w.store.send_again(account.id, w.clock.now()).await, Ok(0), "a wish is answered once");
}

pub async fn a_wish_is_forgotten_when_it_was_answered_or_is_old<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "hello").await;
    w.claim(account).await;
    w.apply(account, vec![acked(&sent, 1)]).await;
    let wishes = || async {
        let change = SignalChange::Put { kind: SignalKind::ResendAsked, key: sent.wa_message_id.as_bytes().to_vec(), value: Vec::new() };
        w.signal(account).apply(vec![change]).await.expect("written down");
    };
    wishes().await;
    assert_eq!(w.apply(account, vec![acked(&sent, 5)]).await, [], "the library sent it once more");
    w.clock.advance(Duration::from_secs(1));
    assert_eq!(w.store.send_again(account.id, w.clock.now()).await, Ok(0), "answered");
    wishes().await;
    let other = w.account().await;
    w.clock.advance(Duration::from_hours(2));
    let hour_ago = w.clock.now().minus(Duration::from_hours(1));
    assert_eq!(w.store.forget_wishes(&[other.id], hour_ago).await, Ok(0), "an account that was not brought back keeps its own");
    assert_eq!(w.store.forget_wishes(&[other.id, account.id], hour_ago).await, Ok(1));
    assert_eq!(w.store.send_again(account.id, w.clock.now()).await, Ok(0), "forgotten");
    wishes().await;
    w.clock.advance(Duration::from_hours(24 * 15));
    assert_eq!(w.store.send_again(account.id, w.clock.now()).await, Ok(0), "of long ago");
}
