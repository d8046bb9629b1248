//! A process that is killed while it writes: this test starts itself again as the victim.

use crate::world::{ANNA, Account, BEN, Backend, World};
use sanasend_model::{MessageId, SessionId, UserId};
use sanasend_store::{Accepted, Database, NewMessage};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Tells the victim where to write: database, user, session.
const VICTIM: &str = "SANASEND_TEST_VICTIM";

pub async fn what_was_answered_survives_a_killed_process<B: Backend>(w: World<B>) {
    if let Ok(orders) = std::env::var(VICTIM) {
        return write_until_killed(w, &orders).await;
    }
    let account = w.account().await;
    let mut told: Vec<String> = Vec::new();
    for lines in [1, 7, 40, 150] {
        told.extend(kill_after(&w, account, lines));
        let store = w.reopen().await;
        for line in &told {
            let (id, key) = line.split_once(' ').expect("an id and a key");
            let id: MessageId = id.parse().expect("an id");
            assert!(store.message(None, id).await.expect("readable").is_some(), "{id} was answered and is gone");
            let replayed = store.idempotent_answer(account.user, key, [1; 32]).await.expect("readable");
            assert_eq!(replayed, Some(Accepted::Replayed { status: 202, body: id.to_string() }));
        }
        store.close().await;
        // Nothing is there by half: every message has its event and its outbox row, and the day's figure counts them.
        let messages = w.ask("SELECT COUNT(*) FROM messages").await;
        assert!(messages >= i64::try_from(told.len()).expect("a count"));
        for other in ["COUNT(*) FROM events", "COUNT(*) FROM outbox", "COUNT(*) FROM idempotency", "accepted FROM usage_daily"] {
            assert_eq!(w.ask(&format!("SELECT {other}")).await, messages, "{other}");
        }
    }
}

/// A database as one word.
fn place(database: &Database) -> String {
    match database {
        Database::Sqlite { path } => format!("sqlite://{}", path.display()),
        Database::Postgres { url } => url.clone(),
    }
}

/// Runs the victim, kills it when it has told so many answers, and gives back all that it told.
fn kill_after<B: Backend>(w: &World<B>, account: Account, lines: usize) -> Vec<String> {
    let test = format!("{}::crash::what_was_answered_survives_a_killed_process", B::NAME);
    let mut victim = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &test, "--nocapture"])
        .env(VICTIM, format!("{} {} {}", place(&w.database), account.user, account.id))
        .stdout(Stdio::piped())
        .spawn()
        .expect("a second process");
    let mut answers = BufReader::new(victim.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let is_answer = |line: String| line.split_once("answered ").map(|(_, told)| told.to_owned());
    let mut told: Vec<String> = answers.by_ref().filter_map(is_answer).take(lines).collect();
    victim.kill().expect("killed");
    told.extend(answers.filter_map(is_answer));
    victim.wait().expect("gone");
    assert!(told.len() >= lines, "it ended by itself");
    told
}

/// The victim: several tasks that hand messages in and tell every answer.
async fn write_until_killed<B: Backend>(w: World<B>, orders: &str) {
    let [place, user, session] = orders.split(' ').collect::<Vec<_>>()[..] else { panic!("three orders") };
    let store = w.open_at(&Database::parse(place, Path::new("/")).expect("a database")).await;
    let (user, id): (UserId, SessionId) = (user.parse().expect("a user"), session.parse().expect("a session"));
    let generation = store.take_session(id).await.expect("taken");
    // Not the world's own numbers and ids: a victim before this one used them.
    w.set_seed(u64::try_from(generation).expect("a number"));
    let account = Account { user, id, generation };
    let hand_in = |to: &'static str| {
        let (w, store) = (&w, &store);
        async move {
            loop {
                let new = w.text(account, to, "written before the end");
                let key = new.id.to_string();
                let new = NewMessage { idempotency: crate::world::key(&key, 1, &key), ..new };
                store.accept(new).await.expect("accepted");
                let mut out = std::io::stdout().lock();
                // One write per line, so that a kill leaves no half of one.
                out.write_all(format!("answered {key} {key}\n").as_bytes()).expect("told");
                out.flush().expect("told");
            }
        }
    };
    tokio::join!(hand_in(ANNA), hand_in(BEN), hand_in(ANNA), hand_in(BEN));
}
