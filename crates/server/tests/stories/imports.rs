//! Imports of whole address books: little memory, and a kill neither loses nor doubles a line.

use crate::world::{Api, Split, eventually, settled_within};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// A file of people whose numbers begin so; each thousandth has none.
fn people(prefix: &str, count: u32) -> String {
    let mut file = String::from("phone,name,tags\n");
    for number in 0..count {
        let phone = if number % 1000 == 999 { "nobody".to_owned() } else { format!("{prefix}{number:06}") };
        writeln!(file, "{phone},Person {number},book").expect("memory");
    }
    file
}

fn lines_of(file: &[u8]) -> usize {
    std::str::from_utf8(file).expect("UTF-8").lines().count()
}

fn api(split: &Split) -> Api {
    split.process().api().with_key(&split.key())
}

async fn hand_in(split: &Split, file: String) -> Value {
    let part = Part::bytes(file.into_bytes()).file_name("people.csv");
    let answer = api(split).upload("/contacts/import/", Form::new().part("file", part)).await;
    assert!([200, 202].contains(&answer.status), "{}", answer.body);
    answer.body["data"].clone()
}

async fn import(split: &Split, id: &Value) -> Option<Value> {
    let path = format!("/contacts/imports/{}/", id.as_str().expect("an id"));
    api(split).try_call(Method::GET, &path, None, &[]).await.map(|answer| answer.expect(200).clone())
}

async fn done(split: &Split, id: &Value) -> Value {
    let over = settled_within(Duration::from_mins(10), || async {
        let import = import(split, id).await.expect("an answer");
        (import["state"] != "running", import)
    });
    over.await.unwrap_or_else(|last| panic!("never over: {last}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_lines_cost_little_memory_in_and_out() {
    const LINES: u32 = 100_000;
    let split = Split::linked().await;
    // What a first import and export cost once.
    assert_eq!(hand_in(&split, people("+4915111", 500)).await["state"], "done");
    api(&split).bytes("/contacts/export/").await;
    let before = split.process().peak_kib();
    let (file, begun) = (people("+4915201", LINES), Instant::now());
    let bytes = file.len();
    let report = hand_in(&split, file).await;
    assert_eq!(report["state"], "running");
    let handed_in = begun.elapsed();
    let import = done(&split, &report["id"]).await;
    let took = begun.elapsed();
    assert_eq!((&import["state"], &import["lines"], &import["refused"]), (&json!("done"), &json!(LINES), &json!(LINES / 1000)));
    assert_eq!((&import["created"], &import["read_bytes"]), (&json!(LINES - LINES / 1000), &json!(bytes)));
    let grown = split.process().peak_kib() - before;
    let begun = Instant::now();
    let out = api(&split).bytes("/contacts/export/?tag=book").await;
    assert_eq!(lines_of(&out), 1 + 500 + (LINES - LINES / 1000) as usize);
    let grown_out = split.process().peak_kib() - before;
    let kind = if split.database().is_postgres() { "PostgreSQL" } else { "SQLite" };
    println!(
        "{kind}: {LINES} lines, {bytes} bytes: handed in after {handed_in:?}, all in after {took:?}, {grown} KiB more at the peak; out again \
         in {:?}, {grown_out} KiB",
        begun.elapsed()
    );
    assert!(grown < 40 * 1024 && grown_out < 40 * 1024, "the peak grew by {grown} and {grown_out} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_goes_on_and_doubles_nobody() {
    const LINES: u32 = 20_000;
    let mut split = Split::linked().await;
    let report = hand_in(&split, people("+4915201", LINES)).await;
    let id = &report["id"];
    for part in [1, LINES / 4, LINES / 2] {
        eventually("some lines to be in", || async {
            let import = import(&split, id).await?;
            assert_eq!(import["state"], "running", "{import}");
            import["lines"].as_u64().filter(|lines| *lines >= u64::from(part))
        })
        .await;
        split.kill_and_run().await;
    }
    let import = done(&split, id).await;
    assert_eq!((&import["state"], &import["lines"], &import["merged"]), (&json!("done"), &json!(LINES), &json!(0)));
    assert_eq!((&import["created"], &import["refused"]), (&json!(LINES - LINES / 1000), &json!(LINES / 1000)));
    let out = api(&split).bytes("/contacts/export/").await;
    assert_eq!(lines_of(&out), 1 + (LINES - LINES / 1000) as usize);
}

crate::world::also_on_postgres! { a_hundred_thousand_lines_cost_little_memory_in_and_out, a_killed_import_goes_on_and_doubles_nobody }
