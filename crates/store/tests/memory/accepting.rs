//! Accepting messages: durability, idempotency, the daily limit.

use crate::world::{ANNA, BEN, Backend, START, TODAY, World, key};
use futures::future::join_all;
use sanasend_model::{EventKind, MessageStatus, SessionId, Step};
use sanasend_store::{Accepted, NewMessage, StoreError};
use std::time::Duration;

pub async fn an_accepted_message_is_pending_told_and_counted<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let new = NewMessage { metadata: Some(serde_json::json!({"order": 7})), ..w.text(account, ANNA, "hello") };
    let Ok(Accepted::Created { seq }) = w.store.accept(new.clone()).await else { panic!("accepted") };
    let message = w.store.message(Some(account.user), new.id).await.expect("read").expect("there");
    assert_eq!((message.status, message.attempts, message.expires_at), (MessageStatus::Pending, 0, Some(new.expires_at)));
    assert_eq!(message.wa_message_id, new.wa_message_id);
    assert_eq!(message.peer.phone.as_ref().map(ToString::to_string).as_deref(), Some(ANNA));
    assert_eq!(message.metadata, new.metadata);
    let events = w.store.events_after(account.user, 0, 10).await.expect("read");
    assert_eq!((events.len(), events[0].seq, events[0].kind), (1, seq, EventKind::MessageAccepted));
    let told = &events[0].data["message"];
    assert_eq!((&told["id"], &told["metadata"]["order"]), (&serde_json::json!(new.id), &serde_json::json!(7)));
    assert_eq!(told["recipient"]["phone"], ANNA);
    assert!(told.get("content").is_none(), "who sent it knows what it says");
    let timeline = w.store.timeline(new.id).await.expect("read");
    assert_eq!(timeline.iter().map(|entry| entry.step).collect::<Vec<_>>(), [Step::Accepted]);
    assert_eq!(w.store.usage(account.user, TODAY).await.map(|usage| usage.accepted), Ok(1));
}

pub async fn the_same_key_and_request_is_replayed<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let first = NewMessage { idempotency: key("k", 1, "first"), ..w.text(account, ANNA, "hello") };
    assert!(matches!(w.store.accept(first).await, Ok(Accepted::Created { .. })));
    let replayed = Accepted::Replayed { status: 202, body: "first".into() };
    let second = NewMessage { idempotency: key("k", 1, "second"), ..w.text(account, ANNA, "hello") };
    assert_eq!(w.store.idempotent_answer(account.user, "k", [1; 32]).await, Ok(Some(replayed.clone())));
    assert_eq!(w.store.accept(second.clone()).await, Ok(replayed));
    assert_eq!(w.store.message(None, second.id).await, Ok(None));
    assert_eq!(w.store.usage(account.user, TODAY).await.map(|usage| usage.accepted), Ok(1));
    assert_eq!(w.store.events_after(account.user, 0, 10).await.map(|events| events.len()), Ok(1));
    let other = w.account().await;
    let theirs = NewMessage { idempotency: key("k", 1, "theirs"), ..w.text(other, ANNA, "hello") };
    assert!(matches!(w.store.accept(theirs).await, Ok(Accepted::Created { .. })), "keys belong to their user");
}

pub async fn the_same_key_with_another_request_is_refused<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let first = NewMessage { idempotency: key("k", 1, "first"), ..w.text(account, ANNA, "hello") };
    w.store.accept(first).await.expect("accepted");
    let other = NewMessage { idempotency: key("k", 2, "other"), ..w.text(account, BEN, "goodbye") };
    assert_eq!(w.store.accept(other).await, Ok(Accepted::KeyReused));
    assert_eq!(w.store.idempotent_answer(account.user, "k", [2; 32]).await, Ok(Some(Accepted::KeyReused)));
    assert_eq!(w.store.idempotent_answer(account.user, "unheard", [2; 32]).await, Ok(None));
    assert_eq!(w.store.outbox_depth().await, Ok(1));
}

pub async fn fifty_at_once_with_one_key_make_one_message<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let news: Vec<_> = (0..50).map(|_| NewMessage { idempotency: key("k", 1, "same"), ..w.text(account, ANNA, "hello") }).collect();
    let answers = join_all(news.into_iter().map(|new| {
        tokio::spawn({
            let store = w.store.clone();
            async move { store.accept(new).await.expect("answered") }
        })
    }))
    .await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("joined")).collect();
    let created = answers.iter().filter(|answer| matches!(answer, Accepted::Created { .. })).count();
    let replayed = answers.iter().filter(|answer| matches!(answer, Accepted::Replayed { body, .. } if body == "same")).count();
    assert_eq!((created, replayed), (1, 49));
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, 1);
}

pub async fn a_key_holds_through_a_crash<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let first = NewMessage { idempotency: key("k", 1, "first"), ..w.text(account, ANNA, "hello") };
    w.store.accept(first).await.expect("accepted");
    let again = w.reopen().await;
    let second = NewMessage { idempotency: key("k", 1, "second"), ..w.text(account, ANNA, "hello") };
    assert_eq!(again.accept(second).await, Ok(Accepted::Replayed { status: 202, body: "first".into() }));
}

pub async fn a_key_is_forgotten_at_its_end<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let new = |body| NewMessage { idempotency: key("k", 1, body), ..w.text(account, ANNA, "hello") };
    w.store.accept(new("first")).await.expect("accepted");
    w.clock.advance(Duration::from_hours(24));
    assert_eq!(w.store.idempotent_answer(account.user, "k", [1; 32]).await, Ok(None));
    assert!(matches!(w.store.accept(new("second")).await, Ok(Accepted::Created { .. })));
    let end = START.plus(Duration::from_hours(24));
    assert_eq!(w.store.delete_expired_idempotency(end).await, Ok(1));
    assert_eq!(w.store.delete_expired_idempotency(end).await, Ok(0));
}

pub async fn a_replaced_answer_is_replayed<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let new = |body| NewMessage { idempotency: key("k", 1, body), ..w.text(account, ANNA, "hello") };
    w.store.accept(new("accepted")).await.expect("accepted");
    w.store.replace_answer(account.user, "k", 200, "the outcome".into()).await.expect("replaced");
    assert_eq!(w.store.accept(new("x")).await, Ok(Accepted::Replayed { status: 200, body: "the outcome".into() }));
}

pub async fn the_daily_limit_is_exact_under_load<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let news = |count: u8| {
        (0..count)
            .map(|n| NewMessage { daily_limit: 30, idempotency: key(&format!("k{n}"), n, "x"), ..w.text(account, ANNA, "hello") })
            .collect::<Vec<_>>()
    };
    let answers = join_all(news(80).into_iter().map(|new| w.store.accept(new))).await;
    let count = |wanted: &Accepted| {
        answers.iter().filter(|answer| answer.as_ref().is_ok_and(|a| std::mem::discriminant(a) == std::mem::discriminant(wanted))).count()
    };
    assert_eq!((count(&Accepted::Created { seq: 0 }), count(&Accepted::DailyLimitReached)), (30, 50));
    assert_eq!(w.store.usage(account.user, TODAY).await.map(|usage| usage.accepted), Ok(30));
    // A replay works beyond the limit, a refused request left no key behind, and tomorrow is another day.
    let replays = join_all(news(80).into_iter().map(|new| w.store.accept(new))).await;
    assert_eq!(replays.iter().filter(|answer| matches!(answer, Ok(Accepted::Replayed { .. }))).count(), 30);
    assert_eq!(replays.iter().filter(|answer| matches!(answer, Ok(Accepted::DailyLimitReached))).count(), 50);
    let tomorrow = NewMessage { day: TODAY + 1, daily_limit: 30, ..w.text(account, ANNA, "good morning") };
    assert!(matches!(w.store.accept(tomorrow).await, Ok(Accepted::Created { .. })));
    assert_eq!(w.store.usage(account.user, TODAY).await.map(|usage| usage.accepted), Ok(30));
}

pub async fn a_message_for_a_deleted_account_spoils_no_other<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let gone = crate::world::Account { id: SessionId(uuid::Uuid::nil()), ..account };
    let news: Vec<_> = (0..60).map(|n| w.text(if n % 7 == 3 { gone } else { account }, ANNA, "hello")).collect();
    let answers = join_all(news.iter().map(|new| w.store.accept(new.clone()))).await;
    for (new, answer) in news.iter().zip(&answers) {
        if new.session_id == gone.id {
            assert_eq!(*answer, Err(StoreError::Conflict { what: "owner" }));
        } else {
            assert!(matches!(answer, Ok(Accepted::Created { .. })), "{answer:?}");
        }
    }
    let good = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, i64::try_from(good).expect("a count"));
    assert_eq!(w.store.usage(account.user, TODAY).await.map(|usage| usage.accepted), Ok(i64::try_from(good).expect("a count")));
    let twice = NewMessage { id: sanasend_model::MessageId::new(&*w.clock), ..news[0].clone() };
    assert_eq!(w.store.accept(twice).await, Err(StoreError::Conflict { what: "wa_message_id" }));
}

pub async fn hundreds_at_once_keep_their_order_per_chat<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let send = |to: &'static str| {
        let w = &w;
        async move {
            for n in 0..60 {
                w.send(account, to, &format!("{to} {n:03}")).await;
            }
        }
    };
    tokio::join!(send(ANNA), send(BEN));
    for to in [ANNA, BEN] {
        let mut told = Vec::new();
        for _ in 0..60 {
            let claimed = w.claimed(account).await;
            let ours = claimed.into_iter().find(|claimed| claimed.message.peer.phone.as_ref().is_some_and(|phone| phone.as_str() == to));
            let message = ours.expect("one of this chat").message;
            told.push(message.content.body().unwrap_or_default().to_owned());
            let acked = sanasend_store::News::Acked { wa_message_id: message.wa_message_id, at: START };
            w.apply(account, vec![acked]).await;
        }
        assert_eq!(told, (0..60).map(|n| format!("{to} {n:03}")).collect::<Vec<_>>());
    }
}
