//! `kill -9` around the moment at which something is due: a recurring send between its message and the record of the run,
//! dated messages while they are let go. Nothing is lost, nothing is doubled.

use crate::world::{Friend, Timed, eventually, shown_once, shown_once_in_order, text_of};
use chrono::Timelike as _;
use serde_json::{Value, json};
use std::time::Duration;

/// Killed so many milliseconds after the date, each time anew.
const MOMENTS: [u64; 8] = [0, 30, 80, 5, 150, 50, 300, 15];

/// Runs a statement on the product's SQLite file as another process would.
async fn tamper(timed: &Timed, sql: &'static str) {
    use sqlx::ConnectOptions as _;
    let path = sanasend::data_dir::database(&timed.folder().join("data"));
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(10));
    let mut connection = options.connect().await.expect("a second connection");
    sqlx::query(sql).execute(&mut connection).await.expect("done");
}

/// A schedule that runs once, at this number of minutes from now; answers its address.
async fn schedule(timed: &Timed, friend: &Friend, minutes: u64, text: &str) -> String {
    let due = timed.now().plus(Duration::from_secs(minutes * 60));
    let due = chrono::DateTime::from_timestamp_millis(due.0).expect("a time");
    let body = json!({"name": text, "cron": format!("{} {} * * *", due.minute(), due.hour()), "timezone": "UTC",
        "recipient": friend.number, "content": text, "max_runs": 1});
    let made = timed.shop().api.post("/schedules/", &body).await;
    format!("/schedules/{}/", made.expect(201)["id"].as_str().expect("an id"))
}

async fn runs(timed: &Timed, schedule: &str) -> Value {
    timed.shop().api.get(schedule).await.expect(200)["runs"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_message_of_a_run_and_its_record() {
    let mut timed = Timed::start().await;
    timed.shop().link().await;
    let friend = Friend::new(timed.control(), "Friend").await;
    let schedule = schedule(&timed, &friend, 90, "good morning").await;
    // The message can be accepted, the run can't be recorded.
    tamper(&timed, "CREATE TRIGGER stuck BEFORE UPDATE ON recurring BEGIN SELECT RAISE(ABORT, 'stuck'); END").await;
    timed.pass(Duration::from_mins(90));
    friend.sees("good morning").await;
    assert_eq!(runs(&timed, &schedule).await, 0, "it is not recorded");
    timed.kill_and_run().await;
    assert_eq!(runs(&timed, &schedule).await, 0);
    tamper(&timed, "DROP TRIGGER stuck").await;
    eventually("the record", || async { (runs(&timed, &schedule).await == 1).then_some(()) }).await;
    let told = timed.shop().api.get(&schedule).await.expect(200).clone();
    let messages = timed.shop().listed("direction=outbound").await;
    assert_eq!((messages.len(), &told["last_message"]), (1, &messages[0]["id"]), "{told}");
    timed.shop().message_becomes(&messages[0], "delivered").await;
    assert_eq!(friend.shows(), ["good morning"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_runs_and_dated_messages_are_let_go() {
    let mut timed = Timed::start().await;
    timed.shop().link().await;
    let friends = [Friend::new(timed.control(), "Ann").await, Friend::new(timed.control(), "Ben").await];
    let (mut dated, mut recurring) = (Vec::new(), Vec::new());
    for (at, friend) in friends.iter().enumerate() {
        for number in 0..15 {
            recurring.push(format!("run {number} for {at}"));
            schedule(&timed, friend, 61, &recurring[recurring.len() - 1]).await;
        }
    }
    let due = timed.now().plus(Duration::from_mins(61)).0 / 60_000 * 60_000;
    for (at, friend) in friends.iter().enumerate() {
        for number in 0..40 {
            let text = format!("dated {number} for {at}");
            let at = sanasend_model::Timestamp(due + number).to_string();
            let body = json!({"recipient": friend.number, "content": text, "scheduled_at": at});
            timed.shop().api.post("/messages/send-text/", &body).await.expect(202);
            dated.push(text);
        }
    }
    timed.pass(Duration::from_mins(61));
    for moment in MOMENTS {
        tokio::time::sleep(Duration::from_millis(moment)).await;
        timed.kill_and_run().await;
    }
    for (at, friend) in friends.iter().enumerate() {
        friend.shows_at_least(55).await;
        let of = |texts: &[String]| -> Vec<String> { texts.iter().filter(|text| text.ends_with(&format!("for {at}"))).cloned().collect() };
        let shown = friend.shows();
        let kind = |word: &str| -> Vec<String> { shown.iter().filter(|text| text.starts_with(word)).cloned().collect() };
        shown_once_in_order(&of(&dated), &kind("dated"));
        shown_once(&of(&recurring), &kind("run"));
    }
    let outbound = timed.shop().listed("direction=outbound").await;
    let mut texts: Vec<&str> = outbound.iter().map(text_of).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!((outbound.len(), texts.len()), (110, 110), "a message each");
    eventually("the records", || async {
        let all = timed.shop().api.get("/schedules/?page_size=100").await.expect(200)["results"].as_array().expect("a list").clone();
        (all.len() == 30 && all.iter().all(|one| one["runs"] == 1)).then_some(())
    })
    .await;
}

crate::world::also_on_postgres! { killed_while_runs_and_dated_messages_are_let_go }
