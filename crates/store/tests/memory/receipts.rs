//! Receipts of groups: each member tells for itself, once and never back; a message to one person has none.

use crate::opt_outs::{both, by_lid, by_phone};
use crate::webhooks::count_commits;
use crate::world::{ANNA, Account, BEN, Backend, CARL, START, World};
use sanasend_model::{ContactSource, EventKind, Jid, MessageStatus, PhoneNumber, Timestamp};
use sanasend_store::{NewContact, NewMessage, News, Page, Peer, Receipt, ReceiptCounts};
use std::sync::atomic::Ordering;
use std::time::Duration;

const GROUP: &str = "120363021033254949@g.us";
const HIDDEN: &str = "77000000000009@lid";

fn at(secs: u64) -> Timestamp {
    START.plus(Duration::from_secs(secs))
}

fn jid(text: &str) -> Jid {
    PhoneNumber::parse(text).map_or_else(|_| Jid::parse(text).expect("an id"), |phone| phone.jid())
}

/// A person by one id.
fn one(id: &str) -> Peer {
    if jid(id).is_lid() { by_lid(id) } else { by_phone(id) }
}

fn told_by(message: &NewMessage, by: Peer, status: MessageStatus, secs: u64) -> News {
    let wa_message_ids = vec!["unheard of".into(), message.wa_message_id.clone()];
    News::Receipt { wa_message_ids, chat: message.recipient.jid(), by: Some(by), status, at: at(secs) }
}

fn told(message: &NewMessage, by: &str, status: MessageStatus, secs: u64) -> News {
    told_by(message, one(by), status, secs)
}

/// A message that was sent to a group.
async fn sent<B: Backend>(w: &World<B>, account: Account) -> NewMessage {
    let sent = w.send(account, GROUP, "to all").await;
    w.claim(account).await;
    w.apply(account, vec![News::Acked { wa_message_id: sent.wa_message_id.clone(), at: at(1) }]).await;
    sent
}

async fn listed<B: Backend>(w: &World<B>, account: Account, message: &NewMessage) -> Vec<Receipt> {
    let listed = w.store.list_receipts(account.user, message.id, Page::default()).await.expect("read");
    assert_eq!(listed.count, listed.results.len() as u64);
    listed.results
}

/// Who told what, in seconds.
async fn times<B: Backend>(w: &World<B>, account: Account, message: &NewMessage) -> Vec<(String, i64, Option<i64>, Option<i64>)> {
    let secs = |at: Timestamp| (at.0 - START.0) / 1000;
    let row = |told: Receipt| (told.participant.to_string(), secs(told.delivered_at), told.read_at.map(secs), told.played_at.map(secs));
    listed(w, account, message).await.into_iter().map(row).collect()
}

pub async fn each_member_of_a_group_tells_for_itself_once_and_never_back<B: Backend>(w: World<B>) {
    use MessageStatus::{Delivered, Played, Read};
    let account = w.account().await;
    let message = sent(&w, account).await;
    let batch = vec![
        told(&message, ANNA, Delivered, 2),
        told(&message, BEN, Delivered, 3),
        told(&message, BEN, Read, 4),
        told(&message, CARL, Read, 5),
    ];
    assert_eq!(w.apply(account, batch.clone()).await, [(message.id, Delivered), (message.id, Read)], "the first moves the status");
    let (anna, ben, carl) = (jid(ANNA).to_string(), jid(BEN).to_string(), jid(CARL).to_string());
    let expected = vec![(anna.clone(), 2, None, None), (ben.clone(), 3, Some(4), None), (carl.clone(), 5, Some(5), None)];
    assert_eq!(times(&w, account, &message).await, expected);
    assert_eq!(w.store.receipt_counts(account.user, message.id).await, Ok(ReceiptCounts { delivered: 3, read: 2 }));
    // The same again, late, and in another order.
    let again = vec![told(&message, CARL, Delivered, 9), told(&message, BEN, Read, 9), told(&message, ANNA, Delivered, 9)];
    assert_eq!(w.apply(account, again).await, []);
    assert_eq!(w.apply(account, batch).await, []);
    assert_eq!(times(&w, account, &message).await, expected);
    // Who read it in the very second in which it arrived did not read it before.
    w.apply(account, vec![told(&message, ANNA, Played, 1), told(&message, CARL, Played, 8)]).await;
    let expected = vec![(anna, 2, Some(2), Some(2)), (ben, 3, Some(4), None), (carl, 5, Some(5), Some(8))];
    assert_eq!(times(&w, account, &message).await, expected);
    let events = w.store.events_after(account.user, 0, 100).await.expect("read");
    let count = |kind| events.iter().filter(|event| event.kind == kind).count();
    assert_eq!((count(EventKind::MessageDelivered), count(EventKind::MessageRead), count(EventKind::MessagePlayed)), (1, 1, 1));
}

pub async fn what_is_no_receipt_of_a_member_leaves_none<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let message = w.send(account, ANNA, "to one").await;
    let group = sent(&w, account).await;
    let of_one = News::Receipt {
        wa_message_ids: vec![message.wa_message_id.clone()],
        chat: jid(ANNA),
        by: None,
        status: MessageStatus::Read,
        at: at(2),
    };
    w.apply(account, vec![of_one, told(&message, ANNA, MessageStatus::Read, 2)]).await;
    // Another account's driver has no say, nor has a receipt of another kind.
    let other = w.account().await;
    w.apply(other, vec![told(&group, BEN, MessageStatus::Read, 2)]).await;
    w.apply(account, vec![told(&group, BEN, MessageStatus::Failed, 2)]).await;
    assert_eq!(w.ask("SELECT COUNT(*) FROM receipts").await, 0);
    assert_eq!(listed(&w, account, &message).await, []);
    assert_eq!(w.store.receipt_counts(account.user, group.id).await, Ok(ReceiptCounts::default()));
}

pub async fn many_members_come_in_one_batch_and_are_paged<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let message = sent(&w, account).await;
    let member = |n: u64| format!("{}@lid", 77_000_000_000_000 + n);
    w.apply(account, (0..150).map(|n| told(&message, &member(n), MessageStatus::Delivered, n + 2)).collect()).await;
    w.apply(account, (0..70).map(|n| told(&message, &member(n), MessageStatus::Read, n + 200)).collect()).await;
    assert_eq!(w.store.receipt_counts(account.user, message.id).await, Ok(ReceiptCounts { delivered: 150, read: 70 }));
    let page = w.store.list_receipts(account.user, message.id, Page { page: 2, page_size: 100 }).await.expect("read");
    assert_eq!((page.count, page.results.len()), (150, 50));
    assert_eq!(page.results[0].participant, jid(&member(100)));
}

pub async fn members_have_the_names_that_their_users_contacts_have<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let message = sent(&w, account).await;
    let hidden = sanasend_store::Peer { lid: Some(jid(HIDDEN)), ..by_phone(BEN) };
    let new = |person, name: &str| NewContact { person, name: name.into(), ..NewContact::default() };
    w.store.create_contact(account.user, new(hidden, "Ben"), ContactSource::Api).await.expect("made");
    let stranger = w.account().await;
    w.store.create_contact(stranger.user, new(by_phone(ANNA), "not yours"), ContactSource::Api).await.expect("made");
    let news = [HIDDEN, ANNA, "77000000000010@lid"].map(|by| told(&message, by, MessageStatus::Delivered, 2));
    w.apply(account, news.into()).await;
    let mut known: Vec<(Option<String>, Option<String>)> =
        listed(&w, account, &message).await.into_iter().map(|told| (told.phone.map(|phone| phone.to_string()), told.name)).collect();
    known.sort();
    assert_eq!(known, [(None, None), (Some(ANNA.into()), None), (Some(BEN.into()), Some("Ben".into()))]);
}

pub async fn a_member_who_is_known_by_two_ids_counts_once<B: Backend>(w: World<B>) {
    use MessageStatus::{Delivered, Played, Read};
    let account = w.account().await;
    let only = |by: &str, delivered: i64, read: Option<i64>, played: Option<i64>| vec![(jid(by).to_string(), delivered, read, played)];
    // Hidden at first, and then by number, as soon as WhatsApp has said who it is.
    let message = sent(&w, account).await;
    w.apply(account, vec![told(&message, HIDDEN, Delivered, 2)]).await;
    w.apply(account, vec![told_by(&message, both(BEN, HIDDEN), Read, 4)]).await;
    assert_eq!(times(&w, account, &message).await, only(BEN, 2, Some(4), None));
    assert_eq!(w.store.receipt_counts(account.user, message.id).await, Ok(ReceiptCounts { delivered: 1, read: 1 }));
    // By number at first, where the hidden id is heard of later, and then hidden.
    let message = sent(&w, account).await;
    w.apply(account, vec![told(&message, BEN, Delivered, 2), told_by(&message, both(BEN, HIDDEN), Delivered, 3)]).await;
    w.apply(account, vec![told(&message, HIDDEN, Played, 5)]).await;
    assert_eq!(times(&w, account, &message).await, only(BEN, 2, Some(5), Some(5)));
    // Nobody said it, until the user's contacts do.
    let message = sent(&w, account).await;
    let hidden = "77000000000010@lid";
    w.apply(account, vec![told(&message, CARL, Delivered, 2), told(&message, hidden, Read, 3), told(&message, ANNA, Read, 4)]).await;
    assert_eq!(w.store.receipt_counts(account.user, message.id).await, Ok(ReceiptCounts { delivered: 3, read: 2 }));
    let new = NewContact { person: both(CARL, hidden), name: "Carl".into(), ..NewContact::default() };
    w.store.create_contact(account.user, new, ContactSource::Api).await.expect("made");
    assert_eq!(w.store.receipt_counts(account.user, message.id).await, Ok(ReceiptCounts { delivered: 2, read: 2 }));
    let listed = listed(&w, account, &message).await;
    assert_eq!((&listed[0].participant, listed[0].read_at, listed[0].name.as_deref()), (&jid(CARL), Some(at(3)), Some("Carl")));
    // Or until a message to the person finds out who it is.
    let message = sent(&w, account).await;
    let dora = ("+14155550177", "77000000000011@lid");
    w.apply(account, vec![told(&message, dora.0, Delivered, 2), told(&message, dora.1, Read, 3), told(&message, HIDDEN, Read, 3)]).await;
    assert_eq!(w.store.receipt_counts(account.user, message.id).await, Ok(ReceiptCounts { delivered: 3, read: 2 }));
    let direct = w.send(account, dora.0, "to dora").await;
    let news = News::Resolved { message_id: direct.id, peer: both(dora.0, dora.1), chat: jid(dora.1) };
    w.apply(account, vec![news]).await;
    assert_eq!(w.store.receipt_counts(account.user, message.id).await, Ok(ReceiptCounts { delivered: 2, read: 2 }));
}

pub async fn receipts_go_with_their_message<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let second = w.account().await;
    for account in [account, second] {
        let old = sent(&w, account).await;
        w.apply(account, vec![told(&old, ANNA, MessageStatus::Read, 2)]).await;
    }
    w.clock.advance(Duration::from_hours(240));
    let new = sent(&w, second).await;
    w.apply(second, vec![told(&new, ANNA, MessageStatus::Read, 2)]).await;
    assert_eq!(w.ask("SELECT COUNT(*) FROM receipts").await, 3);
    assert_eq!(w.store.sweep_messages(START.plus(Duration::from_hours(24))).await, Ok(2));
    assert_eq!(w.ask("SELECT COUNT(*) FROM receipts").await, 1);
    let first = sent(&w, account).await;
    w.apply(account, vec![told(&first, ANNA, MessageStatus::Read, 2)]).await;
    assert_eq!(w.store.delete_session(second.id).await, Ok(true));
    assert_eq!(w.ask("SELECT COUNT(*) FROM receipts").await, 1);
    assert!(w.store.delete_user(account.user).await.is_ok());
    assert_eq!(w.ask("SELECT COUNT(*) FROM receipts").await, 0);
}

pub async fn receipts_of_old_messages_go_in_pieces<B: Backend>(w: World<B>) {
    let account = w.account().await;
    for _ in 0..2 {
        sent(&w, account).await;
    }
    w.tamper(
        "INSERT INTO receipts (message_id, participant, delivered_at) \
         WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 1200) \
         SELECT messages.id, CAST(n AS TEXT) || '@lid', 1 FROM many, messages",
    )
    .await;
    w.clock.advance(Duration::from_hours(240));
    let young = sent(&w, account).await;
    w.apply(account, vec![told(&young, ANNA, MessageStatus::Read, 2)]).await;
    let commits = count_commits(&w);
    assert_eq!(w.store.sweep_messages(START.plus(Duration::from_hours(24))).await, Ok(2));
    assert_eq!(commits.load(Ordering::SeqCst), 4, "three times a thousand receipts at most, and then the messages");
    assert_eq!(w.ask("SELECT COUNT(*) FROM receipts").await, 1);
    assert_eq!(w.store.sweep_messages(START.plus(Duration::from_hours(24))).await, Ok(0));
    assert_eq!(commits.load(Ordering::SeqCst), 4, "nothing is old, nothing is written");
}

pub async fn erasing_a_person_takes_what_they_told_of_messages_to_groups<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let other = w.account().await;
    let (message, others) = (sent(&w, account).await, sent(&w, other).await);
    for (account, message) in [(account, &message), (other, &others)] {
        let news = [ANNA, HIDDEN, BEN].map(|by| told(message, by, MessageStatus::Read, 2));
        w.apply(account, news.into()).await;
    }
    w.store.erase_traces(account.user, &[jid(ANNA), jid(HIDDEN)]).await.expect("erased");
    let left: Vec<Jid> = listed(&w, account, &message).await.into_iter().map(|told| told.participant).collect();
    assert_eq!(left, [jid(BEN)]);
    assert_eq!(listed(&w, other, &others).await.len(), 3, "another user's are another user's");
    w.store.erase_traces(account.user, &[jid(ANNA), jid(HIDDEN)]).await.expect("erased again");
}
