//! Sweeps: what is old goes, what is young or still needed stays, and the tables do not grow for ever.

use crate::world::{ANNA, BEN, Backend, World};
use sanasend_model::{Clock, Content, Jid, LoginId};
use sanasend_store::{Incoming, NewLogin, NewMessage, News, Peer, SessionPatch, SignalChange, SignalKind};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

fn incoming<B: Backend>(w: &World<B>) -> Incoming {
    Incoming {
        wa_message_id: format!("IN{}", w.number()),
        chat: Jid::parse("14155550101@s.whatsapp.net").expect("a jid"),
        sender: Peer { phone: None, jid: None, lid: None },
        sender_name: None,
        from_me: false,
        content: Content::text("hello").expect("a text"),
        quoted: None,
        media: None,
        at: w.clock.now(),
        raw: Some(vec![7; 100]),
    }
}

async fn rows<B: Backend>(w: &World<B>, table: &str) -> i64 {
    w.ask(&format!("SELECT COUNT(*) FROM {table}")).await
}

pub async fn old_messages_go_with_all_they_have_and_what_waits_stays<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "old and sent").await;
    w.claim(account).await;
    w.ack(account, &sent).await;
    let long = w.clock.now().plus(DAY * 100);
    let waits = NewMessage { expires_at: long, ..w.text(account, BEN, "old and waiting") };
    w.store.accept(waits.clone()).await.expect("accepted");
    w.store.receive(account.id, account.generation, (0..2500).map(|_| incoming(&w)).collect()).await.expect("received");
    w.clock.advance(DAY * 10);
    w.store.receive(account.id, account.generation, vec![incoming(&w)]).await.expect("received");
    let before = w.clock.now().minus(DAY * 5);
    assert_eq!(w.store.sweep_originals(before).await, Ok(2500));
    assert_eq!((rows(&w, "message_raw").await, rows(&w, "messages").await), (1, 2503), "the messages stay");
    assert_eq!(w.store.sweep_messages(before).await, Ok(2501));
    assert_eq!((rows(&w, "messages").await, rows(&w, "outbox").await), (2, 1));
    assert_eq!(w.ask("SELECT COUNT(*) FROM timeline WHERE message_id NOT IN (SELECT id FROM messages)").await, 0);
    assert!(w.store.message(None, waits.id).await.expect("read").is_some());
    assert_eq!((w.store.sweep_messages(before).await, w.store.sweep_originals(before).await), (Ok(0), Ok(0)), "nothing is left to do");
}

pub async fn old_events_go_and_cursors_stay_good<B: Backend>(w: World<B>) {
    let account = w.account().await;
    w.store.receive(account.id, account.generation, (0..2100).map(|_| incoming(&w)).collect()).await.expect("received");
    let cursor = w.store.events_after(account.user, 0, 10).await.expect("read")[4].seq;
    w.clock.advance(DAY * 31);
    w.store.receive(account.id, account.generation, vec![incoming(&w)]).await.expect("received");
    assert_eq!(w.store.sweep_events(w.clock.now().minus(DAY * 30)).await, Ok(2100));
    let left = w.store.events_after(account.user, cursor, 10).await.expect("read");
    assert_eq!((left.len(), left[0].at), (1, w.clock.now()));
    assert_eq!(*w.store.events_written().borrow(), left[0].seq);
}

pub async fn keys_logins_and_signal_state_past_their_time_go<B: Backend>(w: World<B>) {
    let account = w.account().await;
    for n in 0..1100_u32 {
        let idempotency = crate::world::key(&format!("k{n}"), 1, "{}");
        w.store.accept(NewMessage { idempotency, ..w.text(account, ANNA, "with a key") }).await.expect("accepted");
    }
    let login = NewLogin {
        id: LoginId::new(&*w.clock),
        user_id: account.user,
        refresh_digest: [9; 32],
        expires_at: w.clock.now().plus(DAY),
        user_agent: None,
        ip: None,
    };
    w.store.create_login(login).await.expect("a login");
    let kinds = [SignalKind::SentMessage, SignalKind::Session];
    let puts = kinds.map(|kind| SignalChange::Put { kind, key: b"k".to_vec(), value: b"v".to_vec() });
    w.signal(account).apply(puts.to_vec()).await.expect("put");
    let now = w.clock.now();
    assert_eq!(w.store.delete_expired_idempotency(now).await, Ok(0));
    assert_eq!(w.store.delete_expired_logins(now).await, Ok(0));
    w.clock.advance(DAY * 2);
    let now = w.clock.now();
    assert_eq!(w.store.delete_expired_idempotency(now).await, Ok(1100));
    assert_eq!(w.store.delete_expired_logins(now).await, Ok(2), "the token and the login");
    assert_eq!(w.store.sweep_signal(SignalKind::SentMessage, now).await, Ok(1));
    let left = (rows(&w, "idempotency").await, rows(&w, "logins").await, rows(&w, "refresh_tokens").await, rows(&w, "signal").await);
    assert_eq!(left, (0, 0, 0, 1), "the ratchet stays");
}

pub async fn only_sessions_that_were_never_linked_are_found<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    let never = w.account_of(user.id, "never").await;
    let linked = w.account_of(user.id, "linked").await;
    let once = w.account_of(user.id, "once").await;
    let jid = Jid::parse("14155550101@s.whatsapp.net").expect("a jid");
    let patch = SessionPatch { linked: Some(true), jid: Some(Some(jid)), ..SessionPatch::default() };
    w.store.update_session(linked.id, linked.generation, patch.clone()).await.expect("changed");
    w.store.update_session(once.id, once.generation, patch).await.expect("changed");
    w.store.erase_credentials(once.id, once.generation).await.expect("erased");
    assert_eq!(w.store.never_linked(w.clock.now()).await, Ok(Vec::new()), "it is young");
    w.clock.advance(DAY);
    w.account_of(user.id, "young").await;
    assert_eq!(w.store.never_linked(w.clock.now()).await, Ok(vec![never.id]));
}

pub async fn old_aliases_go_unless_something_waits_for_them<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let other = |to: &str| Jid::parse(&format!("{}@lid", to.trim_start_matches('+'))).expect("a jid");
    for (to, body) in [(ANNA, "to Anna"), (BEN, "to Ben")] {
        let sent = w.send(account, to, body).await;
        let resolved = News::Resolved { message_id: sent.id, peer: Peer { phone: None, jid: None, lid: None }, chat: other(to) };
        w.apply(account, vec![resolved]).await;
        if to == ANNA {
            w.claim(account).await;
            w.ack(account, &sent).await;
        }
    }
    assert_eq!(w.store.sweep_aliases(w.clock.now().minus(DAY)).await, Ok(0), "they are young");
    w.clock.advance(DAY * 2);
    assert_eq!(w.store.sweep_aliases(w.clock.now().minus(DAY)).await, Ok(1), "nothing waits for Anna");
    assert_eq!(rows(&w, "chat_aliases").await, 1);
    let later = w.send(account, BEN, "once more to Ben").await;
    let chat = w.store.message(None, later.id).await.expect("read").expect("there").chat;
    assert_eq!(chat, other(BEN), "the order of his chat holds");
}
