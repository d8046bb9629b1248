//! `kill -9` of the product while the network lives on: nothing lost, nothing shown twice, order kept, no message key
//! used for two messages, and nothing acknowledged that is not in the database.

use crate::world::{PATIENCE, Split, Transcript, eventually, settled_within, shown_once, shown_once_in_order, text_of};
use sanasend_sandbox::{Direction, Fault, StanzaFilter};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_accept_and_send() {
    let mut split = Split::linked().await;
    let (shop, friend) = (split.shop(), split.friend("Friend").await);
    split.control().fault(&shop.number, Fault::Failure { code: 503, count: 1_000 }).expect("no login works");
    split.control().fault(&shop.number, Fault::Disconnect).expect("cut");
    eventually("the loss to be seen", || async { (shop.session().await["status"] != "connected").then_some(()) }).await;
    let texts: Vec<String> = (0..10).map(|number| format!("accepted {number}")).collect();
    let mut sent = Vec::new();
    for text in &texts {
        sent.push(shop.send_text(&friend, text).await);
    }
    split.kill().await;
    assert!(friend.shows().is_empty(), "nothing had left");
    split.control().clear_faults();
    split.run().await;
    friend.shows_at_least(texts.len()).await;
    let shop = split.shop();
    for message in &sent {
        shop.message_becomes(message, "delivered").await;
    }
    shown_once_in_order(&texts, &friend.shows());
    Transcript::of(&split.control(), &shop.number).no_counter_is_reused();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_send_and_ack() {
    let mut split = Split::linked().await;
    let (shop, friend) = (split.shop(), split.friend("Friend").await);
    // The friend is away: not even a delivery receipt can tell that it arrived.
    friend.goes_offline().await;
    split.control().fault(&shop.number, Fault::HoldAcks).expect("acks are held");
    let sent = shop.send_text(&friend, "did it leave?").await;
    let id = sent["wa_message_id"].as_str().expect("an id").to_owned();
    let written = StanzaFilter::tag("message").of(&shop.number).direction(Direction::In).id(&id);
    split.control().wait_for_stanza(&written, PATIENCE).await.expect("written");
    assert_eq!(shop.message(&sent["id"]).await["status"], "pending", "no acknowledgement came");
    split.kill().await;
    split.control().clear_faults();
    let again = written.after(split.control().transcript_end());
    split.run().await;
    split.control().wait_for_stanza(&again, PATIENCE).await.expect("written again under the same id");
    friend.comes_back().await;
    let shop = split.shop();
    shop.message_becomes(&sent, "delivered").await;
    shop.send_text(&friend, "the next").await;
    friend.sees("the next").await;
    assert_eq!(friend.shows(), ["did it leave?", "the next"], "shown once");
    let transcript = Transcript::of(&split.control(), &shop.number);
    assert_eq!(transcript.writes_of(&id), 2, "written twice, shown once");
    transcript.no_counter_is_reused();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_receive_and_commit() {
    let mut split = Split::linked().await;
    let (shop, friend) = (split.shop(), split.friend("Friend").await);
    friend.says(&shop, "hello").await;
    shop.receives("hello").await;
    // Frozen, it can read nothing: what the friend says now waits in the socket.
    split.process().signal("STOP").await;
    let said: Vec<String> = (0..20).map(|number| format!("said {number}")).collect();
    let mut ids = Vec::new();
    for text in &said {
        ids.push(friend.says(&shop, text).await);
    }
    let last = StanzaFilter::tag("message").of(&shop.number).direction(Direction::Out).id(ids.last().expect("an id"));
    split.control().wait_for_stanza(&last, PATIENCE).await.expect("handed to the socket");
    let mark = split.control().transcript_end();
    // It wakes, begins to read and to commit, and is killed with the first acknowledgement, or before.
    split.process().signal("CONT").await;
    let any = StanzaFilter::default().of(&shop.number).direction(Direction::In).after(mark);
    split.control().wait_for_stanza(&any, PATIENCE).await.expect("it works again");
    split.kill_and_run().await;
    let shop = split.shop();
    for text in &said {
        shop.receives(text).await;
    }
    let incoming: Vec<String> = shop.incoming().await.iter().map(|message| text_of(message).to_owned()).collect();
    shown_once_in_order(&said, &incoming);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_committed_is_not_acknowledged() {
    let mut split = Split::linked().await;
    let (shop, friend) = (split.shop(), split.friend("Friend").await);
    friend.says(&shop, "hello").await;
    shop.receives("hello").await;
    let lock = WriteLock::take(&split.data_dir()).await;
    let id = friend.says(&shop, "while the database is locked").await;
    let delivered = StanzaFilter::tag("message").of(&shop.number).direction(Direction::Out).id(&id);
    split.control().wait_for_stanza(&delivered, PATIENCE).await.expect("delivered to the device");
    // Reads are answered: it is alive, and it had time to acknowledge if it were going to.
    for _ in 0..50 {
        shop.session().await;
    }
    assert!(!Transcript::of(&split.control(), &shop.number).acknowledged().contains(&id), "acknowledged before it was on disk");
    split.kill().await;
    lock.release().await;
    split.run().await;
    let shop = split.shop();
    shop.receives("while the database is locked").await;
    assert_eq!(shop.incoming().await.len(), 2, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_have_arrived_is_sent_again_although_the_database_failed_at_the_start() {
    let mut split = Split::linked().await;
    let (shop, friend) = (split.shop(), split.friend("Friend").await);
    friend.goes_offline().await;
    let sent = shop.send_text(&friend, "did it arrive?").await;
    let id = shop.message_becomes(&sent, "sent").await["wa_message_id"].as_str().expect("an id").to_owned();
    split.kill().await;
    tamper(&split, "CREATE TRIGGER away BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'away'); END").await;
    let again = StanzaFilter::tag("message").of(&shop.number).direction(Direction::In).id(&id).after(split.control().transcript_end());
    split.run().await;
    split.shop().status_becomes("connected").await;
    tamper(&split, "DROP TRIGGER away").await;
    split.control().wait_for_stanza(&again, PATIENCE).await.expect("written again under the same id");
    friend.comes_back().await;
    friend.sees("did it arrive?").await;
    assert_eq!(friend.shows(), ["did it arrive?"], "shown once");
}

/// Runs a statement on the product's database as another process would.
async fn tamper(split: &Split, sql: &'static str) {
    use sqlx::ConnectOptions as _;
    let database = sanasend::data_dir::database(&split.data_dir());
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database).busy_timeout(Duration::from_secs(30));
    let mut connection = options.connect().await.expect("the database opens");
    sqlx::query(sql).execute(&mut connection).await.expect("done");
}

/// The write lock of the product's database, held by somebody else.
struct WriteLock(sqlx::SqliteConnection);

impl WriteLock {
    async fn take(data_dir: &std::path::Path) -> Self {
        use sqlx::{ConnectOptions as _, Executor as _};
        let database = std::fs::read_dir(data_dir).expect("the data folder").filter_map(Result::ok).map(|entry| entry.path());
        let database =
            database.into_iter().find(|path| path.extension().is_some_and(|end| end == "db" || end == "sqlite3")).expect("a database");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database).busy_timeout(Duration::from_secs(30));
        let mut connection = options.connect().await.expect("the database opens");
        connection.execute("BEGIN IMMEDIATE").await.expect("the lock");
        Self(connection)
    }

    async fn release(mut self) {
        use sqlx::{Connection as _, Executor as _};
        self.0.execute("ROLLBACK").await.expect("released");
        self.0.close().await.expect("closed");
    }
}

/// Kills in a row, while a shop writes to two friends and both write back. The customer's program repeats a request
/// under its idempotency key until it has an answer, as programs do.
#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_at_any_moment() {
    const KILLS: u64 = 20;
    let mut split = Split::linked().await;
    let friends = [split.friend("Ann").await, split.friend("Ben").await];
    let (mut there, mut back) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let mut accepted = Vec::new();
    let said = Arc::new(Mutex::new(HashMap::new()));
    for round in 0..KILLS {
        let shop = split.shop();
        // Moments from "at once" to "a while later", the same in every run of the test.
        let moment = Duration::from_millis(round * round * 7 % 400);
        let work = async {
            for number in 0.. {
                let at = number % 2;
                let text = format!("round {round} there {number}");
                let body = json!({"recipient": friends[at].number, "content": text});
                let key = format!("key {text}");
                there[at].push((text, key.clone(), body.clone()));
                let sent =
                    shop.api.try_call(reqwest::Method::POST, "/messages/send-text/", Some(&body), &[("Idempotency-Key", &key)]).await;
                accepted.extend(sent.filter(|answer| answer.status == 202).map(|answer| answer.body["data"].clone()));
                let text = format!("round {round} back {number}");
                back[at].push(text.clone());
                // A task of its own: the friend finishes his sentence although the shop is killed.
                let (friend, shop, said) = (friends[at].clone(), shop.clone(), said.clone());
                let said = tokio::spawn(async move {
                    let id = friend.says(&shop, &text).await;
                    said.lock().expect("whole").insert(text, id);
                });
                said.await.expect("said");
            }
        };
        tokio::select! {
            () = work => {}
            () = tokio::time::sleep(moment) => {}
        }
        split.kill_and_run().await;
        repeat_the_last(&split, &mut there, &mut accepted).await;
    }
    let shop = split.shop();
    for message in &accepted {
        // A delivery receipt that came in the moment of a kill is not repeated by WhatsApp; the acknowledgement is.
        shop.message_leaves(message, &["pending"]).await;
    }
    for (friend, texts) in friends.iter().zip(&there) {
        let texts: Vec<String> = texts.iter().map(|(text, ..)| text.clone()).collect();
        friend.shows_at_least(texts.len()).await;
        for text in texts.iter().filter(|text| !friend.shows().contains(text)) {
            let id = accepted.iter().find(|message| text_of(message) == text).and_then(|message| message["wa_message_id"].as_str());
            println!("not shown: {text:?}\n{}", split.history_of(id.unwrap_or_default()));
        }
        // What can't be read after a kill is asked for again and shown late: in order is what was written.
        shown_once(&texts, &friend.shows());
        written_in_order(&split, &shop.number, &texts, &accepted);
    }
    for (friend, texts) in friends.iter().zip(&back) {
        for text in texts {
            let received =
                settled_within(PATIENCE, || async { (shop.incoming().await.iter().any(|message| text_of(message) == text), ()) }).await;
            let id = said.lock().expect("whole").get(text).cloned().unwrap_or_default();
            assert!(received.is_ok(), "never came: {text:?} {id}\n{}", split.history_of(&id));
        }
        let from_friend = shop.incoming().await.into_iter().filter(|message| message["sender"]["phone"] == friend.number.as_str());
        let incoming: Vec<String> = from_friend.map(|message| text_of(&message).to_owned()).collect();
        // A text that could not be decrypted after a kill is asked for again and comes later: each once, not in order.
        shown_once(texts, &incoming);
    }
    let checked = Transcript::of(&split.control(), &shop.number).no_counter_is_reused();
    assert!(checked >= accepted.len(), "the transcript was read: {checked}");
}

type Asked = (String, String, serde_json::Value);

/// The request that was cut off is asked again under its key: it may have been accepted or not.
async fn repeat_the_last(split: &Split, there: &mut [Vec<Asked>; 2], accepted: &mut Vec<serde_json::Value>) {
    let shop = split.shop();
    for asked in there.iter().filter_map(|texts| texts.last()) {
        let (text, key, body) = asked;
        let answer = shop.api.post_with("/messages/send-text/", body, &[("Idempotency-Key", key)]).await;
        let message = answer.expect(202);
        assert_eq!(text_of(message), text);
        if !accepted.iter().any(|known| known["id"] == message["id"]) {
            accepted.push(message.clone());
        }
    }
}

/// The account's companion wrote these texts for the first time in this order.
fn written_in_order(split: &Split, number: &str, texts: &[String], accepted: &[Value]) {
    let id = |text: &String| accepted.iter().find(|message| text_of(message) == text).and_then(|message| message["wa_message_id"].as_str());
    let ids: Vec<&str> = texts.iter().filter_map(id).collect();
    let written = Transcript::of(&split.control(), number).first_writes();
    let written: Vec<&str> = written.iter().map(String::as_str).filter(|id| ids.contains(id)).collect();
    assert_eq!(written, ids, "written out of order");
}

crate::world::also_on_postgres! { killed_between_accept_and_send, killed_between_send_and_ack, killed_between_receive_and_commit }
