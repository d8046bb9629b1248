//! A server is lost and comes back from a backup: nothing is in two places at once, and no message key is used twice.

use crate::world::{Database, Shop, Split, Transcript, also_on_postgres, qr_text};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Output;
use tokio::process::Command;

const PASSPHRASE: &str = "a passphrase for the safe";

async fn sanasend(split: &Split, data: &Path, arguments: &[&str], passphrase: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sanasend"));
    command.arg("--data-dir").arg(data).args(arguments).env("SANASEND_BACKUP_PASSPHRASE", passphrase);
    command.envs(split.database().environment()).output().await.expect("the binary")
}

async fn done_in(split: &Split, data: &Path, arguments: &[&str]) -> String {
    let output = sanasend(split, data, arguments, PASSPHRASE).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn done(split: &Split, arguments: &[&str]) -> String {
    done_in(split, &split.data_dir(), arguments).await
}

async fn refused_in(split: &Split, data: &Path, arguments: &[&str], passphrase: &str) -> String {
    let output = sanasend(split, data, arguments, passphrase).await;
    assert!(!output.status.success(), "{arguments:?} succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn refused(split: &Split, arguments: &[&str]) -> String {
    refused_in(split, &split.data_dir(), arguments, PASSPHRASE).await
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// The phone of the account scans a new code.
async fn link_again(split: &Split, shop: &Shop) {
    let answer = shop.api.post("/sessions/init/", &json!({})).await;
    split.control().scan(&qr_text(&answer.body["data"]), Some(&shop.number)).await.expect("the phone scans");
    shop.status_becomes("connected").await;
}

fn file(split: &Split) -> PathBuf {
    split.folder().join("backup.tar.gz")
}

/// The texts of all messages, in their order.
async fn texts(shop: &Shop) -> Vec<String> {
    let answer = shop.api.get("/messages/list/?ordering=created_at&page_size=100").await;
    let listed = answer.expect(200)["results"].as_array().expect("a list").clone();
    listed.iter().filter_map(|message| message["content"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_backup_asks_for_new_links_and_uses_no_message_key_twice() {
    let mut split = Split::linked().await;
    let shop = split.shop();
    let friend = split.friend("Friend").await;
    shop.send_text(&friend, "one").await;
    friend.sees("one").await;
    shop.api.post("/sessions/disconnect/", &json!({"logout": false})).await.expect(200);
    shop.status_becomes("disconnected").await;
    let waiting = shop.send_text(&friend, "sent after the backup").await;
    let made = done(&split, &["backup", text(&file(&split))]).await;
    assert!(made.contains("1 linked accounts"), "{made}");
    shop.api.post("/sessions/reconnect/", &json!({})).await.expect(200);
    friend.sees("sent after the backup").await;
    for number in 0..5 {
        let more = format!("more {number}");
        shop.send_text(&friend, &more).await;
        friend.sees(&more).await;
    }
    split.kill().await;
    let full = refused(&split, &["restore", text(&file(&split))]).await;
    assert!(full.contains("is not empty") && full.contains("--force"), "{full}");
    let moved = refused(&split, &["restore", "--force", "--move", text(&file(&split))]).await;
    assert!(moved.contains("while a server was running"), "{moved}");
    if split.database().is_postgres() {
        let full = refused(&split, &["restore", "--force", text(&file(&split))]).await;
        assert!(full.contains("is not empty") && full.contains("CREATE DATABASE"), "{full}");
    }
    split.take_another_database().await;
    let told = done(&split, &["restore", "--force", text(&file(&split))]).await;
    assert!(told.contains("1 accounts must be linked again; 1 waiting messages were given up"), "{told}");
    split.run().await;
    let shop = split.shop();
    let session = shop.status_becomes("logged_out").await;
    assert!(session["reason"].as_str().is_some_and(|reason| reason.contains("restored from a backup")), "{session}");
    assert_eq!(session["reason_code"], "restored", "{session}");
    let given_up = shop.message(&waiting["id"]).await;
    assert_eq!((&given_up["status"], &given_up["error_code"]), (&json!("failed"), &json!("OUTCOME_UNKNOWN")), "{given_up}");
    assert_eq!(texts(&shop).await, ["one", "sent after the backup"], "what was there when it was saved, and nothing else");
    link_again(&split, &shop).await;
    shop.send_text(&friend, "after the restore").await;
    friend.sees("after the restore").await;
    assert_eq!(friend.shows().iter().filter(|text| *text == "sent after the backup").count(), 1);
    assert!(Transcript::of(&split.control(), &shop.number).no_counter_is_reused() > 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_stopped_moves_with_its_accounts() {
    let mut split = Split::linked().await;
    let shop = split.shop();
    let friend = split.friend("Friend").await;
    shop.send_text(&friend, "from the old server").await;
    friend.sees("from the old server").await;
    assert!(split.stop().await, "a clean stop");
    done(&split, &["backup", text(&file(&split))]).await;
    std::fs::remove_dir_all(split.data_dir()).expect("the old server is gone");
    split.take_another_database().await;
    let told = done(&split, &["restore", "--move", text(&file(&split))]).await;
    assert!(told.contains("1 accounts stay linked"), "{told}");
    split.run().await;
    let shop = split.shop();
    shop.status_becomes("connected").await;
    shop.send_text(&friend, "from the new server").await;
    friend.sees("from the new server").await;
    assert_eq!(friend.shows(), ["from the old server", "from the new server"]);
    assert!(Transcript::of(&split.control(), &shop.number).no_counter_is_reused() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_locked_is_refused_and_leaves_nothing() {
    let mut split = Split::start().await;
    split.stop().await;
    let (good, bad, new) = (file(&split), split.folder().join("bad.tar.gz"), split.folder().join("new"));
    let weak = refused_in(&split, &split.data_dir(), &["backup", text(&good)], "short").await;
    assert!(weak.contains("at least 12 characters") && !good.exists(), "{weak}");
    done(&split, &["backup", text(&good)]).await;
    let there = refused(&split, &["backup", text(&good)]).await;
    assert!(there.contains("is there already"), "{there}");
    let wrong = refused_in(&split, &new, &["restore", text(&good)], "another passphrase").await;
    assert!(wrong.contains("the passphrase is wrong"), "{wrong}");
    let whole = std::fs::read(&good).expect("read");
    for (cut, why) in [(&whole[..whole.len() / 2], "ends too early"), (&b"no backup"[..], "no backup of SanaSend")] {
        std::fs::write(&bad, cut).expect("written");
        let said = refused_in(&split, &new, &["restore", text(&bad)], PASSPHRASE).await;
        assert!(said.contains(why), "{said}");
    }
    let left: Vec<_> = std::fs::read_dir(&new).expect("the folder").filter_map(|entry| entry.ok().map(|entry| entry.file_name())).collect();
    assert_eq!(left, ["lock"], "nothing is left of a restore that failed");
    // The folder is still good for a sound one.
    split.take_another_database().await;
    done_in(&split, &new, &["restore", text(&good)]).await;
    assert!(new.join("sanasend.db").exists() != split.database().is_postgres() && new.join("secrets/jwt_hmac").exists());
}

/// A backup of one kind of database is refused by the other, in either direction, and nothing is touched.
async fn is_refused_by(mut split: Split, other: Database, why: &str) {
    split.stop().await;
    done(&split, &["backup", text(&file(&split))]).await;
    let new = split.folder().join("new");
    split.take_database(other);
    let said = refused_in(&split, &new, &["restore", text(&file(&split))], PASSPHRASE).await;
    assert!(said.contains(why) && said.contains("database_url"), "{said}");
    assert!(!new.exists(), "the folder was not even made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_sqlite_does_not_become_postgresql() {
    is_refused_by(Split::start().await, Database::postgres().await, "this is a backup of SQLite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_postgresql_does_not_become_sqlite() {
    is_refused_by(Split::start_on(Database::postgres().await).await, Database::sqlite(), "this is a backup of PostgreSQL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_another_node_can_not_be_moved() {
    let mut split = Split::start_on(Database::postgres().await).await;
    let (other, _) = split.another_node().await;
    split.stop().await;
    done(&split, &["backup", text(&file(&split))]).await;
    other.kill().await;
    split.take_another_database().await;
    let new = split.folder().join("new");
    let said = refused_in(&split, &new, &["restore", "--move", text(&file(&split))], PASSPHRASE).await;
    assert!(said.contains("while a server was running"), "{said}");
}

also_on_postgres! {
    an_old_backup_asks_for_new_links_and_uses_no_message_key_twice,
    a_server_that_was_stopped_moves_with_its_accounts,
    what_is_damaged_or_locked_is_refused_and_leaves_nothing,
}
