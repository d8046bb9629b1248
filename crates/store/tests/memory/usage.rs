//! Usage: what is counted, how it is reported, and that the daily limit is exact whatever happens.

use crate::world::{ANNA, Account, Backend, TODAY, World};
use sanasend_model::{Clock, Failure, day};
use sanasend_store::{Accepted, NewMessage, News, Page, Store, Usage, UsagePeriod, UsageReport};
use std::time::Duration;

fn day_report(from: i32, to: i32) -> UsageReport {
    UsageReport { user_id: None, from, to, by: UsagePeriod::Day }
}

pub async fn a_day_is_counted_by_what_happened_on_it<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "one").await;
    let failed = w.send(account, ANNA, "two").await;
    w.ack(account, &sent).await;
    w.apply(account, vec![News::Failed { message_id: failed.id, at: w.clock.now(), failure: Failure::Rejected, text: "no".into() }]).await;
    let expected = Usage { accepted: 2, sent: 1, failed: 1, ..Usage::default() };
    assert_eq!(w.store.usage(account.user, TODAY).await, Ok(expected));
    let hours = w.store.usage_hours(TODAY * 24, TODAY * 24 + 24).await.expect("read");
    assert_eq!(hours.iter().map(|hour| (hour.hour, hour.usage)).collect::<Vec<_>>(), [(TODAY * 24, expected)]);
    assert_eq!(w.store.usage(account.user, TODAY + 1).await, Ok(Usage::default()));
}

pub async fn reports_are_by_day_or_month_and_user<B: Backend>(w: World<B>) {
    let (anna, ben) = (w.user("anna").await.id, w.user("ben").await.id);
    let put = async |user: sanasend_model::UserId, day: i32, sent: i64| {
        let sql = format!(
            "INSERT INTO usage_daily (user_id, day, accepted, sent, received, failed, media_sent, api_requests) \
             SELECT id, {day}, {sent}, {sent}, 0, 0, 1, 7 FROM users WHERE username = '{}'",
            if user == anna { "anna" } else { "ben" }
        );
        w.tamper(&sql).await;
    };
    let october = day::parse_day("2026-10-31").expect("a day");
    for (user, day, sent) in [(anna, TODAY, 5), (anna, TODAY - 1, 3), (ben, TODAY, 1), (anna, october, 10), (ben, october - 400, 9)] {
        put(user, day, sent).await;
    }
    let rows = async |report: UsageReport, page: Page| {
        let listed = w.store.list_usage(&report, page).await.expect("listed");
        let rows: Vec<_> =
            listed.results.into_iter().map(|row| (row.username, row.first_day, row.usage.sent, row.usage.api_requests)).collect();
        (listed.count, rows)
    };
    let (a, b) = ("anna".to_owned(), "ben".to_owned());
    let all = rows(day_report(TODAY - 1, TODAY + 1), Page::default()).await;
    assert_eq!(all, (3, vec![(a.clone(), TODAY, 5, 7), (b.clone(), TODAY, 1, 7), (a.clone(), TODAY - 1, 3, 7)]));
    let second = rows(day_report(TODAY - 1, TODAY + 1), Page { page: 2, page_size: 2 }).await;
    assert_eq!(second, (3, vec![(a.clone(), TODAY - 1, 3, 7)]));
    let (november, first_of_october) = (day::month_of(TODAY, 0), day::month_of(october, 0));
    let by_month = UsageReport { user_id: Some(anna), from: first_of_october, to: TODAY + 1, by: UsagePeriod::Month };
    assert_eq!(rows(by_month, Page::default()).await, (2, vec![(a.clone(), november, 8, 14), (a, first_of_october, 10, 7)]));
    assert_eq!(by_month.periods(), [november, first_of_october]);
    assert_eq!(rows(by_month.only(november), Page::default()).await.0, 1);
    assert_eq!(rows(day_report(5, 5), Page::default()).await.0, 0);
}

/// Hands in `count` texts of a user with a limit, eight at a time; how many were accepted.
async fn hand_in<B: Backend>(w: &World<B>, store: &Store, account: Account, count: usize, daily_limit: i64) -> usize {
    let news: Vec<NewMessage> = (0..count).map(|n| NewMessage { daily_limit, ..w.text(account, ANNA, &n.to_string()) }).collect();
    let tasks = news.chunks(count.div_ceil(8)).map(|chunk| {
        let (store, chunk) = (store.clone(), chunk.to_vec());
        tokio::spawn(async move {
            let mut accepted = 0;
            for new in chunk {
                match store.accept(new).await.expect("answered") {
                    Accepted::Created { .. } => accepted += 1,
                    Accepted::DailyLimitReached => {}
                    other => panic!("{other:?}"),
                }
            }
            accepted
        })
    });
    let mut accepted = 0;
    for task in tasks.collect::<Vec<_>>() {
        accepted += task.await.expect("handed in");
    }
    accepted
}

pub async fn two_stores_on_one_database_keep_the_daily_limit_together<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let second = w.reopen().await;
    let (one, two) = tokio::join!(hand_in(&w, &w.store, account, 80, 100), hand_in(&w, &second, account, 80, 100));
    assert_eq!(one + two, 100);
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, 100);
    assert_eq!(w.store.usage(account.user, TODAY).await.map(|usage| usage.accepted), Ok(100));
    second.close().await;
}

pub async fn the_daily_limit_holds_through_a_restart<B: Backend>(w: World<B>) {
    let account = w.account().await;
    assert_eq!(hand_in(&w, &w.store, account, 30, 40).await, 30);
    w.store.close().await;
    let again = w.reopen().await;
    assert_eq!(hand_in(&w, &again, account, 30, 40).await, 10);
    w.clock.advance(Duration::from_hours(24));
    let tomorrow = NewMessage { day: TODAY + 1, daily_limit: 40, ..w.text(account, ANNA, "tomorrow") };
    assert!(matches!(again.accept(tomorrow).await, Ok(Accepted::Created { .. })));
    again.close().await;
}
