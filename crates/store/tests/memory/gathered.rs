//! Requests of many accounts that are made at once: they share their statements, and nothing else.

use crate::world::{ANNA, Account, Backend, World};
use futures::future::join_all;
use sanasend_model::{Clock, MessageStatus};
use sanasend_store::{Incoming, NewMessage, News, Peer, SignalChange, SignalKind, StoreError};

/// More than one statement holds.
const ACCOUNTS: usize = 70;

async fn accounts<B: Backend>(w: &World<B>) -> Vec<Account> {
    let user = w.user("many").await.id;
    let mut accounts = Vec::new();
    for number in 0..ACCOUNTS {
        accounts.push(w.account_of(user, &format!("account{number}")).await);
    }
    accounts
}

fn told<B: Backend>(w: &World<B>, message: &NewMessage) -> Vec<News> {
    let at = w.clock.now();
    vec![News::Written { message_id: message.id, at }, News::Acked { wa_message_id: message.wa_message_id.clone(), at }]
}

pub async fn accounts_that_ask_at_once_get_their_own<B: Backend>(w: World<B>) {
    let accounts = accounts(&w).await;
    let mut first = Vec::new();
    for account in &accounts {
        first.push(w.send(*account, ANNA, &format!("first of {}", account.id)).await);
        w.send(*account, ANNA, &format!("second of {}", account.id)).await;
    }
    let claimed = join_all(accounts.iter().map(|account| w.claim(*account))).await;
    for (account, claimed) in accounts.iter().zip(claimed) {
        assert_eq!(claimed, [format!("first of {}", account.id)]);
    }
    let news = accounts.iter().zip(&first).map(|(account, message)| w.apply(*account, told(&w, message)));
    for (changes, message) in join_all(news).await.into_iter().zip(&first) {
        assert_eq!(changes, [(message.id, MessageStatus::Sent)]);
    }
    let claimed = join_all(accounts.iter().map(|account| w.claim(*account))).await;
    for (account, claimed) in accounts.iter().zip(claimed) {
        assert_eq!(claimed, [format!("second of {}", account.id)], "the next of its chat");
    }
    let step = |step: &str| format!("SELECT COUNT(*) FROM timeline WHERE step = '{step}'");
    let steps = [w.ask(&step("written")).await, w.ask(&step("acknowledged")).await, w.ask(&step("claimed")).await];
    let all = i64::try_from(ACCOUNTS).expect("few");
    assert_eq!(steps, [all, all, 2 * all]);
}

pub async fn one_that_lost_its_account_spoils_no_other<B: Backend>(w: World<B>) {
    let accounts = accounts(&w).await;
    let mut messages = Vec::new();
    for account in &accounts {
        messages.push(w.send(*account, ANNA, "hello").await);
    }
    join_all(accounts.iter().map(|account| w.claim(*account))).await;
    w.store.take_session(accounts[7].id).await.expect("taken");
    let apply = |(account, message): (&Account, &NewMessage)| w.store.apply(account.id, account.generation, told(&w, message));
    let answers = join_all(accounts.iter().zip(&messages).map(apply)).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.map(|changes| changes.len()), if number == 7 { Err(StoreError::Fenced) } else { Ok(1) });
    }
    let put = |account: &Account| {
        let (signal, key) = (w.signal(*account), b"k".to_vec());
        async move { signal.apply(vec![SignalChange::Put { kind: SignalKind::Session, key, value: b"v".to_vec() }]).await }
    };
    for (number, answer) in join_all(accounts.iter().map(put)).await.into_iter().enumerate() {
        assert_eq!(answer, if number == 7 { Err(StoreError::Fenced) } else { Ok(()) });
    }
    assert_eq!(w.ask("SELECT COUNT(*) FROM signal").await, i64::try_from(ACCOUNTS - 1).expect("few"));
}

pub async fn the_same_message_twice_at_once_comes_in_once<B: Backend>(w: World<B>) {
    let accounts = accounts(&w).await;
    let chat = sanasend_model::Jid::parse("12025550177@s.whatsapp.net").expect("a jid");
    let incoming = |id: &str| Incoming {
        wa_message_id: id.to_owned(),
        chat: chat.clone(),
        sender: Peer { phone: chat.phone(), jid: Some(chat.clone()), lid: None },
        sender_name: None,
        from_me: false,
        content: sanasend_model::Content::text("hi").expect("a text"),
        quoted: None,
        at: w.clock.now(),
        media: None,
        raw: None,
    };
    let receive = |account: &Account| w.store.receive(account.id, account.generation, vec![incoming("A"), incoming("B"), incoming("A")]);
    for ids in join_all(accounts.iter().chain(&accounts).map(receive)).await {
        let ids = ids.expect("received");
        assert!(ids.len() == 3 && ids[0] == ids[2] && ids[0] != ids[1], "{ids:?}");
    }
    let all = i64::try_from(ACCOUNTS).expect("few") * 2;
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, all);
    assert_eq!(w.ask("SELECT received FROM usage_daily").await, all);
}

pub async fn of_two_changes_of_a_value_at_once_the_last_counts<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let signal = w.signal(account);
    let put = |value: &[u8]| SignalChange::Put { kind: SignalKind::Session, key: b"k".to_vec(), value: value.to_vec() };
    let delete = SignalChange::Delete { kind: SignalKind::Session, key: b"k".to_vec() };
    let all = SignalChange::DeletePrefix { kind: SignalKind::Session, prefix: Vec::new() };
    let calls = [vec![put(b"1")], vec![delete.clone(), put(b"2")], vec![put(b"3"), all, put(b"4")], vec![delete, put(b"5")]];
    // Handed in in this order: each waits in the queue behind the one before.
    for answer in join_all(calls.map(|changes| signal.apply(changes))).await {
        assert_eq!(answer, Ok(()));
    }
    assert_eq!(signal.get(SignalKind::Session, b"k").await, Ok(Some(b"5".to_vec())));
}
