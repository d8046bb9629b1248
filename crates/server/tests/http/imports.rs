//! Imports of files that are too large to be taken in while the caller waits.

use crate::contacts::Caller;
use crate::world::{As, Reply, becomes, text};
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A file with so many people; every hundredth line has no number.
fn people(count: u32) -> String {
    let mut file = String::from("phone,name,city\n");
    for number in 0..count {
        let phone = if number % 100 == 99 { "nobody".to_owned() } else { format!("+491520{number:07}") };
        writeln!(file, "{phone},Person with a rather long name {number},Köln").expect("memory");
    }
    file
}

async fn over(anna: &Caller, id: &str) -> Value {
    let import = async || anna.get(&format!("/contacts/imports/{id}/")).await.is(200, "").body["data"].clone();
    becomes("over", import, |import| !["receiving", "running"].contains(&text(&import["state"]).as_str())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_taken_in_behind_the_answer() {
    let anna = Caller::start().await;
    let file = people(6_000);
    assert!(file.len() > 256 * 1024);
    let begun = anna.import("/contacts/import/", &[], file.clone()).await;
    let report = &begun.is(202, "").body["data"];
    assert_eq!((&report["state"], &report["dry_run"], &report["preview"]), (&json!("running"), &json!(false), &json!([])));
    assert_eq!(report["columns"][2], json!({"heading": "city", "holds": "field:city"}));
    let id = text(&report["id"]);
    let done = over(&anna, &id).await;
    assert_eq!(
        (&done["state"], &done["lines"], &done["created"], &done["merged"]),
        (&json!("done"), &json!(6000), &json!(5940), &json!(0))
    );
    assert_eq!((&done["refused"], &done["total_bytes"], &done["read_bytes"]), (&json!(60), &json!(file.len()), &json!(file.len())));
    assert_eq!(done["faults"][0]["line"], 101, "the headings are line 1");
    let path = format!("/contacts/imports/{id}/faults/");
    let page = anna.get(&format!("{path}?page=2&page_size=50")).await;
    assert_eq!((&page.is(200, "").body["data"]["count"], page.body["data"]["results"].as_array().map(Vec::len)), (&json!(60), Some(10)));
    let all =
        As::Key(&anna.key).sign(anna.world.request(Method::GET, &format!("/api/v1{path}?format=csv"))).send().await.expect("an answer");
    let all = all.text().await.expect("text");
    assert_eq!((all.lines().count(), all.lines().next()), (61, Some("line,column,problem")));
    assert!(all.lines().nth(60).is_some_and(|line| line.starts_with("6001,phone,\"must be ")), "{all}");
    anna.call(Method::POST, &format!("/contacts/imports/{id}/cancel/"), Value::Null).await.is(409, "WRONG_STATE");
    // The same file again changes nothing.
    let again = anna.import("/contacts/import/", &[], file).await;
    let again = over(&anna, &text(&again.is(202, "").body["data"]["id"])).await;
    assert_eq!((&again["created"], &again["merged"]), (&json!(0), &json!(5940)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_opt_outs_is_taken_in_the_same_way_and_can_be_canceled() {
    let anna = Caller::start().await;
    let list: String = (0..40_000).fold(String::new(), |mut list, number| {
        writeln!(list, "+491520{number:07}").expect("memory");
        list
    });
    let begun = anna.import("/opt-outs/import/", &[], list).await;
    let id = text(&begun.is(202, "").body["data"]["id"]);
    let canceled = anna.call(Method::POST, &format!("/contacts/imports/{id}/cancel/"), Value::Null).await;
    canceled.is(200, "");
    assert_eq!((&canceled.body["data"]["state"], &canceled.body["data"]["kind"]), (&json!("canceled"), &json!("opt_outs")));
    let over = over(&anna, &id).await;
    assert!(over["lines"].as_u64().is_some_and(|lines| lines < 40_000), "{over}");
    let count = anna.get("/opt-outs/").await.body["data"]["count"].as_u64();
    assert_eq!(count.map(|count| count.min(10_000)), over["created"].as_u64().map(|count| count.min(10_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_says_why_and_a_large_file_with_wrong_headings_is_refused_at_once() {
    let anna = Caller::start().await;
    let mut file = people(6_000);
    file.push_str("+4915201234567,\"");
    file.push_str(&"x".repeat(600_000));
    let begun = anna.import("/contacts/import/", &[], file).await;
    let broken = over(&anna, &text(&begun.is(202, "").body["data"]["id"])).await;
    assert_eq!((&broken["state"], &broken["created"]), (&json!("broken"), &json!(5940)));
    assert!(text(&broken["reason"]).contains("no end of line 6002"), "{broken}");
    let listed: Reply = anna.get("/contacts/imports/").await;
    assert_eq!((&listed.body["data"]["count"], &listed.body["data"]["results"][0]["state"]), (&json!(1), &json!("broken")));
    let wrong = people(6_000).replacen("phone", "colour", 1);
    anna.import("/contacts/import/", &[], wrong).await.is(400, "VALIDATION_ERROR").names(&["mapping"]);
}
