//! The audit log: only added to, and whoever changes it behind the store's back is found out.

use crate::world::{Backend, START, World};
use sanasend_model::{Timestamp, UserId};
use sanasend_store::{AuditBreak, AuditCheck, AuditEntry, AuditFilter, AuditStep, Page, SealKey, Store, StoreError};
use std::time::Duration;

fn entry(action: &'static str, actor: Option<UserId>, target: &str) -> AuditEntry {
    let ip = Some("192.0.2.7".parse().expect("an address"));
    AuditEntry { actor, action, target: target.into(), ip, detail: serde_json::json!({"why": target}) }
}

pub async fn verdict(store: &Store) -> Result<(u64, String), AuditBreak> {
    let mut check = AuditCheck::default();
    loop {
        match store.check_audit(&mut check).await.expect("a check") {
            AuditStep::SoFar => {}
            AuditStep::Whole { entries, head } => return Ok((entries, head)),
            AuditStep::Broken(broken) => return Err(broken),
        }
    }
}

/// Six entries: the beginning of the chain and five more.
async fn six<B: Backend>(w: &World<B>) -> UserId {
    let user = w.user("anna").await.id;
    for n in 2..=6 {
        w.store.audit(entry("user.changed", Some(user), &format!("user {n}"))).await.expect("written");
        w.clock.advance(Duration::from_secs(1));
    }
    user
}

/// Somebody with all rights on the database, who takes its refusals away first.
async fn burgle<B: Backend>(w: &World<B>) {
    w.tamper(if B::NAME == "sqlite" {
        "DROP TRIGGER audit_log_keeps; DROP TRIGGER audit_log_stays; DROP TRIGGER audit_log_chains; DROP TRIGGER audit_head_stays"
    } else {
        "ALTER TABLE audit_log DISABLE TRIGGER USER; ALTER TABLE audit_head DISABLE TRIGGER USER"
    })
    .await;
    w.tamper("CREATE TABLE kept AS SELECT * FROM audit_log; CREATE TABLE kept_head AS SELECT * FROM audit_head").await;
}

pub async fn a_log_that_nobody_touched_is_whole<B: Backend>(w: World<B>) {
    let (entries, first) = verdict(&w.store).await.expect("whole");
    assert_eq!(entries, 1, "the beginning of the chain is its first entry");
    six(&w).await;
    let (entries, head) = verdict(&w.store).await.expect("whole");
    assert_eq!(entries, 6);
    assert!(head.starts_with("6:") && head.len() == 2 + 64, "{head}");
    for known in [&first, &head] {
        assert_eq!(w.store.audit_holds(known).await, Ok(true));
    }
    for unknown in [head.replace("6:", "5:"), "6:00".to_owned(), "nonsense".to_owned()] {
        assert_eq!(w.store.audit_holds(&unknown).await, Ok(false));
    }
    let again = w.reopen().await;
    again.migrate().await.expect("nothing to do");
    assert_eq!(verdict(&again).await, Ok((6, head)), "a chain is begun once");
}

pub async fn the_first_entry_that_was_changed_is_named<B: Backend>(w: World<B>) {
    six(&w).await;
    burgle(&w).await;
    let copy = "INSERT INTO audit_log (seq, at, actor, action, target, ip, detail, key_id, mac) SELECT 7, at, actor, action, target, ip, \
                detail, key_id, mac FROM audit_log WHERE seq = 6";
    let cases: &[(&str, i64)] = &[
        ("UPDATE audit_log SET detail = '{}' WHERE seq = 3", 3),
        ("UPDATE audit_log SET action = 'user.created' WHERE seq = 3", 3),
        ("UPDATE audit_log SET target = 'user 9' WHERE seq = 4", 4),
        ("UPDATE audit_log SET ip = NULL WHERE seq = 2", 2),
        ("UPDATE audit_log SET actor = NULL WHERE seq = 6", 6),
        ("UPDATE audit_log SET at = at + 1 WHERE seq = 5", 5),
        ("UPDATE audit_log SET mac = NULL WHERE seq = 5", 5),
        ("UPDATE audit_log SET key_id = 9 WHERE seq = 5", 5),
        ("DELETE FROM audit_log WHERE seq = 3", 4),
        ("DELETE FROM audit_log WHERE seq = 6", 6),
        ("DELETE FROM audit_log WHERE seq > 3", 4),
        ("DELETE FROM audit_log", 1),
        ("UPDATE audit_log SET seq = 17 WHERE seq = 3", 4),
        (copy, 7),
        ("DELETE FROM audit_head", 6),
        ("DELETE FROM audit_log WHERE seq = 6; UPDATE audit_head SET seq = 5, mac = (SELECT mac FROM audit_log WHERE seq = 5)", 5),
    ];
    for (sql, broken) in cases {
        w.tamper(sql).await;
        assert_eq!(verdict(&w.store).await.expect_err(sql).seq, *broken, "{sql}");
        w.tamper("DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM kept").await;
        w.tamper("DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM kept_head").await;
        verdict(&w.store).await.expect("whole again");
    }
}

pub async fn nothing_is_added_behind_a_forged_end<B: Backend>(w: World<B>) {
    six(&w).await;
    burgle(&w).await;
    w.tamper("DELETE FROM audit_log WHERE seq = 6; UPDATE audit_head SET seq = 5, mac = (SELECT mac FROM audit_log WHERE seq = 5)").await;
    let refused = w.store.audit(entry("user.created", None, "user 7")).await;
    assert!(matches!(refused, Err(StoreError::Corrupt { table: "audit_head", .. })), "{refused:?}");
    w.tamper("DELETE FROM audit_head").await;
    assert!(w.store.audit(entry("user.created", None, "user 7")).await.is_err());
    w.store.migrate().await.expect("nothing to do");
    assert!(w.store.audit(entry("user.created", None, "user 7")).await.is_err(), "a lost end is not made anew");
}

pub async fn a_thief_of_the_database_can_not_forge<B: Backend>(w: World<B>) {
    six(&w).await;
    let other = w.reopen_with(SealKey::new(1, [8; 32]), Vec::new()).await;
    assert!(other.audit(entry("user.created", None, "user 7")).await.is_err());
    assert_eq!(verdict(&other).await.expect_err("another key").seq, 1);
    let newer = w.reopen_with(SealKey::new(2, [9; 32]), vec![SealKey::new(1, [7; 32])]).await;
    newer.audit(entry("user.created", None, "user 7")).await.expect("a changed key goes on");
    assert_eq!(verdict(&newer).await.expect("whole under both keys").0, 7);
    assert_eq!(verdict(&w.store).await.expect_err("the new key is not there").seq, 7);
}

pub async fn the_database_itself_refuses_to_change_the_log<B: Backend>(w: World<B>) {
    six(&w).await;
    for sql in [
        "UPDATE audit_log SET target = 'x' WHERE seq = 3",
        "DELETE FROM audit_log WHERE seq = 3",
        "DELETE FROM audit_log",
        "DELETE FROM audit_head",
        "INSERT INTO audit_log (seq, at, action, target, detail) VALUES (99, 0, 'user.created', 'x', '{}')",
    ] {
        let (backend, database) = (w.backend.clone(), w.database.clone());
        let tampering = tokio::spawn(async move { backend.tamper(&database, sql).await });
        assert!(tampering.await.is_err(), "{sql} was let through");
    }
    assert_eq!(verdict(&w.store).await.expect("whole").0, 6);
}

pub async fn entries_from_before_the_chain_are_chained<B: Backend>(w: World<B>) {
    burgle(&w).await;
    w.tamper("DELETE FROM audit_log; DELETE FROM audit_head").await;
    w.tamper("INSERT INTO audit_log (seq, at, action, target, detail) VALUES (3, 5, 'user.created', 'x', '{}'), (9, 6, 'user.created', 'y', '{}')")
        .await;
    w.store.migrate().await.expect("chained");
    let (entries, head) = verdict(&w.store).await.expect("whole");
    assert!(entries == 3 && head.starts_with("10:"), "{entries} {head}");
    let newest = w.store.list_audit(&AuditFilter::default(), Page::default()).await.expect("listed").results.swap_remove(0);
    assert_eq!((newest.action.as_str(), &newest.detail), ("audit.begun", &serde_json::json!({"entries_before": 2})));
}

pub async fn the_log_is_listed_by_who_what_and_when<B: Backend>(w: World<B>) {
    let anna = six(&w).await;
    w.store.audit(entry("user_like.thing", None, "api_key A%7")).await.expect("written");
    let listed = async |filter: AuditFilter| {
        let listed = w.store.list_audit(&filter, Page::default()).await.expect("listed");
        assert_eq!(listed.count, listed.results.len() as u64);
        listed.results.iter().map(|record| record.seq).collect::<Vec<_>>()
    };
    let all = AuditFilter::default();
    let at = |seconds: i64| Some(Timestamp(START.0 + seconds * 1000));
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(listed(all.clone()).await, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(listed(AuditFilter { actor: Some(anna), ..all.clone() }).await, [6, 5, 4, 3, 2]);
    assert_eq!(listed(AuditFilter { action: text("user"), ..all.clone() }).await, [6, 5, 4, 3, 2]);
    assert_eq!(listed(AuditFilter { action: text("audit.begun"), ..all.clone() }).await, [1]);
    assert_eq!(listed(AuditFilter { target: text("a%"), ..all.clone() }).await, [7]);
    assert_eq!(listed(AuditFilter { from: at(1), to: at(3), ..all.clone() }).await, [4, 3]);
    let (first, more) = w.store.list_audit_before(&all, None, 3).await.expect("listed");
    assert_eq!((first.iter().map(|record| record.seq).collect::<Vec<_>>(), more), (vec![7, 6, 5], true));
    let (rest, more) = w.store.list_audit_before(&all, Some(5), 10).await.expect("listed");
    assert_eq!((rest.len(), more), (4, false));
}
