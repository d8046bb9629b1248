//! The API log: batches of rows and counts, and lists that stay fast.

use crate::world::{ANNA, Backend, START, TODAY, World};
use sanasend_model::{ApiKeyId, Clock, UserId};
use sanasend_store::{ApiLogFilter, COUNTED, LoggedRequest, MessageFilter, Page, RequestCounts, RequestHour};
use std::sync::Arc;
use std::time::Duration;

fn row<B: Backend>(w: &World<B>, user: Option<UserId>, status_code: u16) -> LoggedRequest {
    LoggedRequest {
        user_id: user,
        api_key_id: None,
        method: "GET".into(),
        endpoint: "/api/v1/messages/{id}/".into(),
        path: "/api/v1/messages/17/".into(),
        status_code,
        latency: Duration::from_micros(1234),
        ip: [192, 0, 2, 1].into(),
        request_id: format!("request-{}", w.number()),
        at: w.clock.now(),
    }
}

async fn log<B: Backend>(w: &World<B>, rows: Vec<LoggedRequest>) {
    w.store.log_requests(Arc::new((rows, RequestCounts::default()))).await.expect("written");
}

pub async fn rows_and_counts_are_written_together<B: Backend>(w: World<B>) {
    let (user, gone) = (w.user("anna").await.id, UserId::new(&*w.clock));
    let mut counts = RequestCounts::default();
    counts.users.insert((user, TODAY), 500);
    counts.users.insert((gone, TODAY), 3);
    counts.hours.insert((TODAY * 24, 2, 40), 400);
    counts.hours.insert((TODAY * 24 + 1, 5, 41), 100);
    let rows: Vec<LoggedRequest> = (0..500).map(|_| row(&w, Some(user), 200)).collect();
    let newest = rows.last().cloned();
    let batch = Arc::new((rows, counts));
    w.store.log_requests(batch.clone()).await.expect("written");
    w.store.log_requests(batch).await.expect("written");
    assert_eq!(w.ask("SELECT COUNT(*) FROM api_log").await, 1000);
    assert_eq!(w.store.usage(user, TODAY).await.map(|usage| usage.api_requests), Ok(1000));
    assert_eq!(w.store.usage(gone, TODAY).await.map(|usage| usage.api_requests), Ok(0), "a removed user has no days");
    let hour = |hour, status_class, step, requests| RequestHour { hour, status_class, step, requests };
    let hours = w.store.request_hours(TODAY * 24, TODAY * 24 + 24).await;
    assert_eq!(hours, Ok(vec![hour(TODAY * 24, 2, 40, 800), hour(TODAY * 24 + 1, 5, 41, 200)]));
    assert_eq!(w.store.request_days(TODAY, TODAY + 1).await, Ok(vec![(TODAY, 2, 40, 800), (TODAY, 5, 41, 200)]));
    let listed = w.store.list_requests(&ApiLogFilter::default(), Page { page: 1, page_size: 1 }).await.expect("listed");
    assert_eq!(listed.results.first(), newest.as_ref(), "read back whole");
}

pub async fn requests_are_filtered_by_everything_an_admin_would_want<B: Backend>(w: World<B>) {
    let (anna, ben, key) = (w.user("anna").await.id, w.user("ben").await.id, ApiKeyId::new(&*w.clock));
    let post = LoggedRequest {
        method: "POST".into(),
        endpoint: "/api/v1/users/".into(),
        path: "/api/v1/users/".into(),
        ..row(&w, Some(ben), 201)
    };
    let elsewhere = LoggedRequest { ip: "2001:db8::7".parse().expect("address"), path: "/api/v1/100%/".into(), ..row(&w, None, 404) };
    log(&w, vec![row(&w, Some(anna), 200), post, elsewhere]).await;
    w.clock.advance(Duration::from_secs(10));
    let with_key = LoggedRequest { api_key_id: Some(key), ..row(&w, Some(anna), 503) };
    log(&w, vec![with_key]).await;
    let count = async |filter: ApiLogFilter| {
        let listed = w.store.list_requests(&filter, Page::default()).await.expect("listed");
        assert_eq!((listed.count, listed.is_exact, listed.next), (listed.results.len() as u64, true, None));
        let (by_cursor, more) = w.store.list_requests_after(&filter, None, 50).await.expect("listed");
        assert_eq!((&by_cursor, more), (&listed.results, None));
        listed.count
    };
    let any = ApiLogFilter::default;
    assert_eq!(count(any()).await, 4);
    assert_eq!(count(ApiLogFilter { user_id: Some(anna), ..any() }).await, 2);
    assert_eq!(count(ApiLogFilter { api_key_id: Some(key), ..any() }).await, 1);
    for (class, found) in [(1, 0), (2, 2), (3, 0), (4, 1), (5, 1)] {
        assert_eq!(count(ApiLogFilter { status_class: Some(class), ..any() }).await, found, "{class}xx");
    }
    assert_eq!(count(ApiLogFilter { status_code: Some(404), ..any() }).await, 1);
    assert_eq!(count(ApiLogFilter { status_code: Some(403), ..any() }).await, 0);
    assert_eq!(count(ApiLogFilter { method: Some("POST".into()), ..any() }).await, 1);
    assert_eq!(count(ApiLogFilter { endpoint: Some("/api/v1/users/".into()), ..any() }).await, 1);
    assert_eq!(count(ApiLogFilter { ip: Some("2001:db8::7".parse().expect("address")), ..any() }).await, 1);
    assert_eq!(count(ApiLogFilter { from: Some(START.plus(Duration::from_secs(10))), ..any() }).await, 1);
    assert_eq!(count(ApiLogFilter { to: Some(START.plus(Duration::from_secs(10))), ..any() }).await, 3);
    for (text, found) in [("USERS", 1), ("100%", 1), ("1__%", 0), ("request-", 4), ("';--", 0)] {
        assert_eq!(count(ApiLogFilter { search: Some(text.into()), ..any() }).await, found, "{text}");
    }
    let all =
        ApiLogFilter { user_id: Some(anna), status_class: Some(5), method: Some("GET".into()), search: Some("messages".into()), ..any() };
    assert_eq!(count(all).await, 1);
}

pub async fn a_cursor_goes_through_the_log_while_it_grows<B: Backend>(w: World<B>) {
    log(&w, (0..7).map(|_| row(&w, None, 200)).collect()).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let (rows, next) = w.store.list_requests_after(&ApiLogFilter::default(), cursor, 3).await.expect("listed");
        seen.extend(rows.into_iter().map(|row| row.request_id));
        log(&w, vec![row(&w, None, 200)]).await;
        let Some(next) = next else { break };
        cursor = Some(next);
    }
    let expected: Vec<String> = (0..7).rev().map(|n| format!("request-{n}")).collect();
    assert_eq!(seen, expected, "none twice, none missing, none of the new ones");
}

pub async fn long_lists_are_counted_up_to_a_bound_and_say_so<B: Backend>(w: World<B>) {
    let one = row(&w, None, 200);
    let bound = usize::try_from(COUNTED).expect("small");
    log(&w, vec![one.clone(); bound]).await;
    let listed = async |page, page_size| w.store.list_requests(&ApiLogFilter::default(), Page { page, page_size }).await.expect("listed");
    let exact = listed(1, 20).await;
    assert_eq!((exact.count, exact.is_exact, exact.next.is_some()), (COUNTED, true, true));
    log(&w, vec![one]).await;
    let more = listed(1, 20).await;
    assert_eq!((more.count, more.is_exact), (COUNTED, false));
    let last = listed(500, 20).await;
    let (behind, end) = w.store.list_requests_after(&ApiLogFilter::default(), last.next, 20).await.expect("listed");
    assert_eq!((last.results.len(), behind.len(), end), (20, 1, None), "the cursor of the last page goes on where pages end");
    let account = w.account().await;
    for n in 0..3 {
        w.send(account, ANNA, &n.to_string()).await;
    }
    let messages = w.store.list_messages(&MessageFilter::default(), Page { page: 1, page_size: 2 }).await.expect("listed");
    assert_eq!((messages.count, messages.is_exact, messages.next.is_some()), (3, true, true));
    let (rest, _) = w.store.list_messages_after(&MessageFilter::default(), messages.next, 2).await.expect("listed");
    assert_eq!(rest.len(), 1);
    let nothing = w.store.list_messages(&MessageFilter::default(), Page { page: 9, page_size: 2 }).await.expect("listed");
    assert_eq!((nothing.count, nothing.results.len()), (3, 0));
}

pub async fn old_requests_go_and_counts_stay<B: Backend>(w: World<B>) {
    let mut counts = RequestCounts::default();
    counts.hours.insert((TODAY * 24, 2, 40), 2500);
    let rows = (0..2500).map(|_| row(&w, None, 200)).collect();
    w.store.log_requests(Arc::new((rows, counts))).await.expect("written");
    w.clock.advance(Duration::from_hours(48));
    log(&w, vec![row(&w, None, 200)]).await;
    let before = w.clock.now().minus(Duration::from_hours(24));
    assert_eq!(w.store.sweep_requests(before).await, Ok(2500));
    assert_eq!((w.store.sweep_requests(before).await, w.ask("SELECT COUNT(*) FROM api_log").await), (Ok(0), 1));
    assert_eq!(w.ask("SELECT CAST(SUM(requests) AS BIGINT) FROM api_hourly").await, 2500);
    assert_eq!(w.store.sweep_hours(before).await, Ok(1));
}
