//! A campaign over days: thousands of people, two accounts of which WhatsApp limits one, kills and restarts, people who want
//! no messages. What counts is what stands on the phones.
//!
//! The product is a process of its own and is killed by `kill -9`; its clock is the story's, so that days pass in a minute.
//! Everything else is real: each recipient is a phone of the sandbox with keys and sessions of its own.

use crate::world::{Database, Timed, Transcript, qr_text};
use futures::{StreamExt as _, stream};
use sanasend_model::Timestamp;
use sanasend_sandbox::Fault;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// Who is written to on SQLite.
const RECIPIENTS: usize = 1_000;
/// Killed at these moments after a start, in milliseconds, while messages are accepted, written and acknowledged.
const MOMENTS: [u64; 8] = [350, 900, 120, 1_700, 600, 60, 1_200, 250];

/// Who is written to.
struct Cast {
    /// Phones that get the message, in the order of the list.
    friends: Vec<String>,
    /// Phones whose owners opted out before the campaign began.
    opted_out: Vec<String>,
    /// Phones whose owners opt out under way, at the end of the list.
    leaving: Vec<String>,
    /// Numbers that are not on WhatsApp.
    nobody: Vec<String>,
}

impl Cast {
    async fn make(timed: &Timed, count: usize) -> Self {
        let few = (count / 100).max(2);
        let control = timed.control();
        let phones = stream::iter(0..count + 2 * few).map(|at| {
            let control = control.clone();
            async move { control.add_modest_phone(Some(&format!("+49151{:08}", 10_000_000 + at)), None).await.expect("a phone").phone }
        });
        let mut friends: Vec<String> = phones.buffered(8).collect().await;
        let leaving = friends.split_off(count + few);
        let opted_out = friends.split_off(count);
        let nobody = (0..few).map(|at| format!("+49152{:08}", 10_000_000 + at)).collect();
        Self { friends, opted_out, leaving, nobody }
    }

    /// The list: who opted out and who is not there stand among the others, who leaves at the end; some stand twice.
    fn list(&self) -> Vec<Value> {
        let mut list: Vec<&String> = self.friends.iter().collect();
        let others: Vec<&String> = self.opted_out.iter().zip(&self.nobody).flat_map(|(one, other)| [one, other]).collect();
        let apart = list.len() / others.len().max(1);
        for (at, number) in others.into_iter().enumerate() {
            list.insert(at * (apart + 1), number);
        }
        list.extend(&self.leaving);
        list.extend(self.friends.iter().take(3));
        list.into_iter().map(|number| json!({"phone": number, "variables": {"n": number}})).collect()
    }
}

/// Links two accounts; answers their numbers.
async fn accounts(timed: &Timed) -> [String; 2] {
    let mut numbers = Vec::new();
    for name in ["default", "second"] {
        let made = timed.shop().api.post("/sessions/init/", &json!({"name": name})).await;
        let code = qr_text(&made.body["data"]);
        numbers.push(timed.control().scan(&code, None).await.expect("the phone scans").phone);
    }
    numbers.try_into().expect("two")
}

/// Plays it through with so many recipients; answers the report.
async fn play(count: usize) -> Value {
    let began = Instant::now();
    let mut timed = Timed::start().await;
    let [first, second] = accounts(&timed).await;
    let cast = Cast::make(&timed, count).await;
    eprintln!("{} phones after {:?}", cast.friends.len(), began.elapsed());
    for number in &cast.opted_out {
        timed.shop().api.post("/opt-outs/", &json!({"phone": number})).await.expect(201);
    }
    // Each account sends a quarter of the list in a day: two of them would need two days, one alone needs four.
    let (cap, per_day) = (count / 5, count / 4 + 1);
    let pacing = json!({"gap_min_seconds": 0, "gap_max_seconds": 0, "per_hour": 1_000_000, "per_day": per_day, "warm_up": [cap],
        "cold_per_day": 1_000_000});
    let body = json!({"content": "For {{n}}", "recipients": cast.list(), "sessions": ["default", "second"], "pacing": pacing});
    let made = timed.shop().api.post_with("/messages/send-bulk/", &body, &[("Idempotency-Key", "spring")]).await;
    let id = made.expect(202)["id"].as_str().expect("an id").to_owned();
    let mut way = Way { days: BTreeSet::new(), limited: false, left: false, moments: MOMENTS.iter().cycle() };
    let report = loop {
        let report = timed.shop().api.get(&format!("/campaigns/{id}/")).await.expect(200).clone();
        if report["state"] != "running" {
            break report;
        }
        assert!(began.elapsed() < Duration::from_mins(30), "it ends: {report}\n{}", timed.journal());
        way.go_on(&mut timed, &cast, &report, &second, count).await;
    };
    eprintln!("{count} recipients: {:?}, {} kills, {} days\n{report}", began.elapsed(), timed.kills, way.days.len());
    assert!(way.limited && way.left && way.days.len() >= 3 && timed.kills >= 8, "{} kills, {:?}", timed.kills, way.days);
    check(&timed, &cast, &id, &report).await;
    for number in [&first, &second] {
        Transcript::of(&timed.control(), number).no_counter_is_reused();
    }
    report
}

/// What happened so far.
struct Way<I> {
    days: BTreeSet<i32>,
    limited: bool,
    left: bool,
    moments: I,
}

impl<'a, I: Iterator<Item = &'a u64>> Way<I> {
    async fn go_on(&mut self, timed: &mut Timed, cast: &Cast, report: &Value, second: &str, count: usize) {
        self.days.insert(timed.now().day());
        let accepted = report["accepted"].as_u64().and_then(|count| usize::try_from(count).ok()).expect("a number");
        if accepted >= count / 2 && !self.limited {
            self.limited = true;
            timed.control().fault(second, Fault::Nack { code: 463, count: u32::MAX }).expect("planted");
        }
        if accepted >= count / 3 && !self.left {
            self.left = true;
            for number in &cast.leaving {
                timed.shop().api.post("/opt-outs/", &json!({"phone": number})).await.expect(201);
            }
        }
        let held =
            report["held_until"].as_str().and_then(Timestamp::parse).filter(|until| until.since(timed.now()) > Duration::from_mins(1));
        match held {
            // The day is over when nothing is on its way any more.
            Some(until) if report["outcomes"]["pending"] == 0 => {
                timed.pass(until.since(timed.now()) + Duration::from_secs(1));
                timed.kill_and_run().await;
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            None => {
                tokio::time::sleep(Duration::from_millis(*self.moments.next().expect("endless"))).await;
                // Most of the time it works; kills are spread over its way.
                if accepted * 12 / count >= timed.kills {
                    timed.kill_and_run().await;
                }
            }
        }
    }
}

/// Each recipient has the message once, or the reason why not; who opted out has nothing; and everything adds up.
async fn check(timed: &Timed, cast: &Cast, id: &str, report: &Value) {
    assert_eq!(report["state"], "finished", "{report}");
    let number = |value: &Value| value.as_u64().expect("a number");
    let total = number(&report["total"]);
    let sum: u64 = report["outcomes"].as_object().expect("fields").values().map(number).sum();
    assert_eq!((sum, number(&report["left"]), number(&report["outcomes"]["pending"])), (total, 0, 0), "{report}");
    let wanted_none = (cast.opted_out.len() + cast.leaving.len()) as u64;
    assert_eq!(report["skipped_by_reason"], json!({"DUPLICATE": 3, "RECIPIENT_OPTED_OUT": wanted_none}), "{report}");
    let failed = &report["failed_by_code"];
    let refused = failed["REACHOUT_LIMITED"].as_u64().unwrap_or(0);
    assert_eq!(number(&failed["NOT_ON_WHATSAPP"]), cast.nobody.len() as u64, "{report}");
    assert!((1..=100).contains(&refused) && number(&report["outcomes"]["failed"]) == refused + cast.nobody.len() as u64, "{report}");
    let left: Vec<&str> = report["accounts"].as_array().expect("a list").iter().filter_map(|one| one["left_why"].as_str()).collect();
    assert!(left.len() == 1 && left[0].contains("463"), "{report}");
    let by_account: u64 = report["accounts"].as_array().expect("a list").iter().map(|one| number(&one["accepted"])).sum();
    assert_eq!(by_account, number(&report["accepted"]), "{report}");
    let rows = rows(timed, id).await;
    let messages: HashSet<&str> = rows.values().flatten().filter_map(|row| row["message"].as_str()).collect();
    assert_eq!(messages.len() as u64, number(&report["accepted"]), "a message each");
    let shows = |phone: &String| -> Vec<String> {
        let shown = timed.control().messages(phone).expect("the phone");
        shown.into_iter().filter(|message| !message.from_me).map(|message| message.text).collect()
    };
    let mut shown = 0;
    for phone in &cast.friends {
        let row = rows.get(phone).and_then(|rows| rows.first()).expect("a row");
        let expected: &[String] = if row["error_code"] == "REACHOUT_LIMITED" { &[] } else { &[format!("For {phone}")] };
        assert_eq!(shows(phone), expected, "{row}");
        shown += expected.len() as u64;
    }
    assert_eq!(shown + refused, cast.friends.len() as u64);
    for phone in cast.opted_out.iter().chain(&cast.leaving) {
        assert_eq!(shows(phone), Vec::<String>::new(), "{phone} wanted none");
    }
}

/// The recipients by number.
async fn rows(timed: &Timed, id: &str) -> BTreeMap<String, Vec<Value>> {
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for page in 1.. {
        let answer = timed.shop().api.get(&format!("/campaigns/{id}/recipients/?page_size=100&page={page}")).await;
        let data = answer.expect(200);
        for row in data["results"].as_array().expect("a list") {
            rows.entry(row["phone"].as_str().unwrap_or_default().to_owned()).or_default().push(row.clone());
        }
        if data["next"].is_null() {
            return rows;
        }
    }
    rows
}

/// So many; by `STORY_RECIPIENTS` others.
async fn recipients() -> usize {
    let wanted = std::env::var("STORY_RECIPIENTS").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(if Database::of_this_story().await.is_postgres() { 400 } else { RECIPIENTS })
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_a_campaign_with_kills_and_a_limited_account_write_to_each_once() {
    play(recipients().await).await;
}

crate::world::also_on_postgres! { days_of_a_campaign_with_kills_and_a_limited_account_write_to_each_once }
