//! Lists, cursors, and rows that can't be read.

use crate::world::{ANNA, Account, BEN, Backend, CARL, START, TODAY, World};
use futures::future::join_all;
use sanasend_model::{Clock, Content, Direction, EventKind, Failure, MessageStatus, PhoneNumber};
use sanasend_store::{ChatFilter, Cursor, Incoming, MessageFilter, NewEvent, News, Page, Peer, StoreError, UNANSWERED};
use std::time::Duration;

pub async fn messages_are_filtered_by_everything_a_person_would_want<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let second = w.account_of(account.user, "second").await;
    let a = w.send(account, ANNA, "Order 7 is 100% ready").await;
    w.clock.advance(Duration::from_secs(10));
    w.send(account, BEN, "Something else").await;
    w.send(second, BEN, "From the second account").await;
    w.ack(account, &a).await;
    let ben = PhoneNumber::parse(BEN).expect("a number");
    let reply = Incoming {
        wa_message_id: "R".into(),
        chat: ben.jid(),
        sender: Peer { phone: Some(ben.clone()), jid: Some(ben.jid()), lid: None },
        sender_name: Some("Benjamin".into()),
        from_me: false,
        content: Content::Other { kind: "image".into() },
        quoted: None,
        at: START,
        media: None,
        raw: None,
    };
    w.store.receive(account.id, account.generation, vec![reply]).await.expect("received");
    w.send(w.account().await, ANNA, "somebody else's").await;
    let count = async |filter: MessageFilter| {
        let filter = MessageFilter { user_id: Some(account.user), ..filter };
        let listed = w.store.list_messages(&filter, Page::default()).await.expect("listed");
        assert_eq!(listed.count, listed.results.len() as u64);
        let (by_cursor, more) = w.store.list_messages_after(&filter, None, 50).await.expect("listed");
        assert_eq!((by_cursor, more), (listed.results, None));
        listed.count
    };
    let any = MessageFilter::default;
    assert_eq!(count(any()).await, 4);
    assert_eq!(count(MessageFilter { session_id: Some(second.id), ..any() }).await, 1);
    assert_eq!(count(MessageFilter { status: Some(MessageStatus::Sent), ..any() }).await, 1);
    assert_eq!(count(MessageFilter { kind: Some("image".into()), ..any() }).await, 1);
    assert_eq!(count(MessageFilter { direction: Some(Direction::Inbound), ..any() }).await, 1);
    for spelling in [BEN, "1 415 555-0102", "14155550102@s.whatsapp.net", "14155550102@c.us"] {
        assert_eq!(count(MessageFilter { recipient: Some(spelling.into()), ..any() }).await, 3, "{spelling}");
    }
    assert_eq!(count(MessageFilter { recipient: Some("nobody".into()), ..any() }).await, 0);
    assert_eq!(count(MessageFilter { from: Some(START.plus(Duration::from_secs(10))), ..any() }).await, 3);
    assert_eq!(count(MessageFilter { to: Some(START.plus(Duration::from_secs(10))), ..any() }).await, 1);
    for (text, found) in [("ORDER", 1), ("100%", 1), ("1__% ", 0), ("benja", 1), ("5550102", 3), ("';--", 0)] {
        assert_eq!(count(MessageFilter { search: Some(text.into()), ..any() }).await, found, "{text}");
    }
    let counts = w.store.message_counts(Some(account.user)).await.expect("counted");
    assert_eq!(counts, [(MessageStatus::Pending, 2), (MessageStatus::Received, 1), (MessageStatus::Sent, 1)]);
}

async fn comes_in<B: Backend>(w: &World<B>, account: Account, from: &str) {
    let phone = PhoneNumber::parse(from).expect("a number");
    let incoming = Incoming {
        wa_message_id: format!("I{}", w.number()),
        chat: phone.jid(),
        sender: Peer { jid: Some(phone.jid()), lid: None, phone: Some(phone) },
        sender_name: None,
        from_me: false,
        content: Content::text("a question").expect("a text"),
        quoted: None,
        at: w.clock.now(),
        media: None,
        raw: None,
    };
    w.store.receive(account.id, account.generation, vec![incoming]).await.expect("received");
}

/// A page of chats: with whom, and how many messages wait for an answer.
async fn chats<B: Backend>(w: &World<B>, filter: ChatFilter, cursor: Option<Cursor>) -> (Vec<(String, u64)>, Option<Cursor>) {
    let (chats, next) = w.store.chats(filter, cursor, 2).await.expect("listed");
    let with = |chat: &sanasend_store::Chat| chat.last.chat.phone().map_or_else(|| chat.last.chat.to_string(), |phone| phone.to_string());
    (chats.iter().map(|chat| (with(chat), chat.unanswered)).collect(), next)
}

pub async fn chats_are_listed_by_their_newest_message<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let second = w.account_of(account.user, "second").await;
    let all = ChatFilter { user_id: account.user, session_id: None, unanswered: false };
    assert_eq!(chats(&w, all, None).await, (Vec::new(), None));
    w.send(account, ANNA, "one").await;
    w.send(account, BEN, "two").await;
    w.send(second, ANNA, "from the second account").await;
    w.send(w.account().await, CARL, "somebody else's").await;
    w.clock.advance(Duration::from_secs(1));
    comes_in(&w, account, ANNA).await;
    comes_in(&w, account, ANNA).await;
    let (first, next) = chats(&w, all, None).await;
    assert_eq!(first, [(ANNA.to_owned(), 2), (ANNA.to_owned(), 0)], "a chat of each account");
    assert!(next.is_some());
    assert_eq!(chats(&w, all, next).await, (vec![(BEN.to_owned(), 0)], None));
    let of_first = ChatFilter { session_id: Some(account.id), ..all };
    assert_eq!(chats(&w, of_first, None).await, (vec![(ANNA.to_owned(), 2), (BEN.to_owned(), 0)], None));
    let waiting = ChatFilter { unanswered: true, ..all };
    assert_eq!(chats(&w, waiting, None).await, (vec![(ANNA.to_owned(), 2)], None));
    assert_eq!(chats(&w, ChatFilter { session_id: Some(second.id), ..waiting }, None).await, (Vec::new(), None));
    w.clock.advance(Duration::from_secs(1));
    w.send(account, ANNA, "an answer").await;
    assert_eq!(chats(&w, waiting, None).await, (Vec::new(), None));
    for _ in 0..UNANSWERED + 3 {
        comes_in(&w, account, BEN).await;
    }
    assert_eq!(chats(&w, waiting, None).await, (vec![(BEN.to_owned(), UNANSWERED)], None), "counted so far");
}

pub async fn a_talkative_chat_costs_a_page_and_hides_nobody<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let all = ChatFilter { user_id: account.user, session_id: None, unanswered: false };
    w.send(account, ANNA, "long ago").await;
    w.clock.advance(Duration::from_secs(1));
    // One more than a page looks at.
    for _ in 0..10 {
        join_all((0..500).map(|_| w.send(account, BEN, "on and on"))).await;
    }
    w.send(account, BEN, "and on").await;
    let (first, next) = chats(&w, all, None).await;
    assert_eq!(first, [(BEN.to_owned(), 0)]);
    assert!(next.is_some(), "there may be more");
    assert_eq!(chats(&w, all, next).await, (vec![(ANNA.to_owned(), 0)], None));
}

pub async fn pages_count_all_and_show_some<B: Backend>(w: World<B>) {
    let account = w.account().await;
    for n in 0..7 {
        w.send(account, ANNA, &format!("{n}")).await;
    }
    let page = async |page: u64, ordering: &str| {
        let filter = MessageFilter { ordering: ordering.parse().expect("an order"), ..MessageFilter::default() };
        let listed = w.store.list_messages(&filter, Page { page, page_size: 3 }).await.expect("listed");
        assert_eq!(listed.count, 7);
        listed.results.iter().map(|message| message.content.body().unwrap_or_default().to_owned()).collect::<Vec<_>>().concat()
    };
    assert_eq!(page(1, "-created_at").await, "654", "of one moment, the last accepted first");
    assert_eq!(page(3, "-created_at").await, "0");
    assert_eq!(page(4, "-created_at").await, "");
    assert_eq!(page(2, "created_at").await, "345");
}

pub async fn a_remembered_count_is_never_behind_what_was_answered<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let second = w.account_of(account.user, "second").await;
    let mine = MessageFilter { user_id: Some(account.user), ..MessageFilter::default() };
    let count = async |filter: &MessageFilter| {
        // A full page: only then is anything counted. Twice, so that the second may be a remembered one.
        let page = Page { page: 1, page_size: 1 };
        let [first, again] = [w.store.list_messages(filter, page).await, w.store.list_messages(filter, page).await];
        assert_eq!(first, again);
        first.expect("listed").count
    };
    let sent = w.send(account, ANNA, "one").await;
    for more in 2..5 {
        w.send(second, BEN, "more").await;
        assert_eq!(count(&mine).await, more, "a message was accepted");
    }
    let pending = MessageFilter { status: Some(MessageStatus::Pending), ..mine.clone() };
    let ben = MessageFilter { recipient: Some(BEN.into()), ..mine.clone() };
    let of_second = MessageFilter { session_id: Some(second.id), ..mine.clone() };
    assert_eq!((count(&pending).await, count(&ben).await, count(&of_second).await), (4, 3, 3));
    w.ack(account, &sent).await;
    assert_eq!(count(&pending).await, 3, "a message was acknowledged");
    let chat = PhoneNumber::parse("+14155550199").expect("a number").jid();
    let moved = w.claimed(second).await.first().map(|claimed| claimed.message.id).expect("claimed");
    w.apply(second, vec![News::Resolved { message_id: moved, peer: Peer { jid: Some(chat.clone()), ..Peer::default() }, chat }]).await;
    assert_eq!(count(&MessageFilter { recipient: Some("+14155550199".into()), ..mine.clone() }).await, 3, "a chat has moved");
    w.store.delete_session(second.id).await.expect("deleted");
    assert_eq!((count(&mine).await, count(&of_second).await), (1, 0), "an account was deleted");
    w.clock.advance(Duration::from_hours(48));
    w.store.sweep_messages(w.clock.now()).await.expect("swept");
    assert_eq!(count(&mine).await, 0, "old messages were swept");
}

pub async fn a_cursor_misses_and_repeats_nothing_while_messages_arrive<B: Backend>(w: World<B>) {
    let account = w.account().await;
    for n in 0..25 {
        if n % 4 == 0 {
            w.clock.advance(Duration::from_millis(1));
        }
        w.send(account, ANNA, &format!("{n}")).await;
    }
    let filter = MessageFilter { user_id: Some(account.user), ..MessageFilter::default() };
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let (messages, next) = w.store.list_messages_after(&filter, cursor, 4).await.expect("listed");
        seen.extend(messages.into_iter().map(|message| message.content.body().unwrap_or_default().to_owned()));
        w.send(account, ANNA, "newer").await;
        let Some(next) = next else { break };
        assert_eq!(next.to_string().parse::<Cursor>(), Ok(next), "it survives being written out");
        cursor = Some(next);
    }
    assert_eq!(seen, (0..25).rev().map(|n| n.to_string()).collect::<Vec<_>>());
    assert!("".parse::<Cursor>().is_err() && "1-x".parse::<Cursor>().is_err() && "1".parse::<Cursor>().is_err());
}

pub async fn everybodys_messages_go_on_behind_a_cursor<B: Backend>(w: World<B>) {
    for number in 0..7 {
        w.send(w.account().await, ANNA, &format!("text {number}")).await;
    }
    let all = MessageFilter::default();
    let first = w.store.list_messages(&all, Page { page: 1, page_size: 3 }).await.expect("listed");
    let (second, next) = w.store.list_messages_after(&all, first.next, 3).await.expect("listed");
    let (third, end) = w.store.list_messages_after(&all, next, 3).await.expect("listed");
    let found: Vec<_> =
        first.results.iter().chain(&second).chain(&third).map(|message| message.content.body().map(str::to_owned)).collect();
    let expected: Vec<_> = (0..7).rev().map(|number| Some(format!("text {number}"))).collect();
    assert_eq!((found, end), (expected, None));
    let found = async |search: &str| {
        let filter = MessageFilter { search: Some(search.into()), ..MessageFilter::default() };
        let found = w.store.list_messages_after(&filter, None, 9).await.expect("listed");
        assert_eq!(w.store.glance_at_messages(&filter, None, 9).await, Ok(found.clone()), "few rows are looked at as a whole");
        found.0.len()
    };
    assert_eq!((found("TEXT").await, found("t 3").await, found(&ANNA[1..6]).await, found("nothing").await), (7, 1, 7, 0));
}

pub async fn who_came_is_counted_by_day<B: Backend>(w: World<B>) {
    w.user("anna").await;
    w.user("ben").await;
    w.clock.advance(Duration::from_hours(48));
    w.user("carl").await;
    let came = w.store.newcomers(TODAY).await.expect("counted").users;
    assert_eq!((came.before, came.days.get(&TODAY), came.days.get(&(TODAY + 2))), (0, Some(&2), Some(&1)));
    let came = w.store.newcomers(TODAY + 1).await.expect("counted").users;
    assert_eq!((came.before, came.days.len()), (2, 1));
}

pub async fn another_users_message_is_not_there<B: Backend>(w: World<B>) {
    let [account, other] = [w.account().await, w.account().await];
    let sent = w.send(account, ANNA, "private").await;
    assert!(w.store.message(Some(account.user), sent.id).await.is_ok_and(|message| message.is_some()));
    assert_eq!(w.store.message(Some(other.user), sent.id).await, Ok(None));
    assert_eq!(w.store.events_after(other.user, 0, 10).await, Ok(Vec::new()));
}

pub async fn events_follow_a_cursor_without_gaps<B: Backend>(w: World<B>) {
    let [account, other] = [w.account().await, w.account().await];
    for _ in 0..5 {
        w.send(account, ANNA, "mine").await;
        w.send(other, ANNA, "theirs").await;
    }
    let new = NewEvent {
        user_id: account.user,
        session_id: Some(account.id),
        kind: EventKind::SessionCodeIssued,
        message_id: None,
        data: serde_json::json!({"session": {"id": account.id}}),
        at: START,
    };
    let recorded = w.store.record_event(new).await.expect("recorded");
    let (mut cursor, mut seen) = (0, Vec::new());
    loop {
        let events = w.store.events_after(account.user, cursor, 2).await.expect("read");
        let Some(last) = events.last() else { break };
        cursor = last.seq;
        seen.extend(events);
    }
    assert_eq!(seen.len(), 6);
    assert_eq!(seen.last(), Some(&recorded));
    assert!(seen.iter().all(|event| event.user_id == account.user));
    assert_eq!(*w.store.events_written().borrow(), recorded.seq);
}

pub async fn a_corrupt_row_is_named<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "hello").await;
    let failed = News::Failed { message_id: sent.id, at: START, failure: Failure::Rejected, text: "no".into() };
    w.apply(account, vec![failed]).await;
    for (column, value) in
        [("status", "'gone'"), ("error_code", "'X'"), ("chat", "''"), ("metadata", "'{'"), ("quoted", "'{}'"), ("peer_phone", "'12'")]
    {
        w.tamper(&format!("CREATE TABLE kept AS SELECT {column} AS value FROM messages; UPDATE messages SET {column} = {value}")).await;
        let read = w.store.message(None, sent.id).await;
        let expected = StoreError::Corrupt { table: "messages", row: sent.id.to_string(), column: column.into() };
        assert_eq!(read, Err(expected));
        assert!(matches!(w.store.list_messages(&MessageFilter::default(), Page::default()).await, Err(StoreError::Corrupt { .. })));
        w.tamper(&format!("UPDATE messages SET {column} = (SELECT value FROM kept); DROP TABLE kept")).await;
    }
    if w.database.file().is_some() {
        // Only SQLite takes a word where a number belongs.
        w.tamper("UPDATE messages SET created_at = 'yesterday'").await;
        let read = w.store.message(None, sent.id).await;
        assert!(matches!(&read, Err(StoreError::Corrupt { table: "messages", column, .. }) if column == "created_at"), "{read:?}");
    }
    assert!(w.store.user(account.user).await.is_ok(), "the rest stays usable");
}
