//! The audit log: what admins did and what touched security. Rows are only ever added.
//!
//! Each row carries a MAC over itself and over the MAC of the row before it, under a key that is not in the database
//! (`chain`); a row beside the table, the head, says under the same key which row is the last. So a thief of the
//! database can forge nothing, and who changes, removes or adds rows behind our back is found out by `check`. Triggers
//! keep everybody else from changing rows at all.

mod chain;
mod check;

pub use check::{AuditBreak, AuditCheck, AuditStep};

use crate::dialect::{fetch, query, query_scalar, refused};
use crate::page::{found_in, listed};
use crate::rows::audit;
use crate::writer::Tx;
use crate::{Listed, Page, Store, StoreError};
use chain::{Head, Row};
use sanasend_model::{Timestamp, UserId};
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select};
use serde_json::{Value, json};
use std::net::IpAddr;

/// One entry to add; its time is that of the write.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Who did it; `None` for the system and for strangers.
    pub actor: Option<UserId>,
    /// `<noun>.<past participle>`, like `user.deactivated`.
    pub action: &'static str,
    /// What it was done to, like `user 0190...`.
    pub target: String,
    /// From where.
    pub ip: Option<IpAddr>,
    /// More, without secrets.
    pub detail: Value,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// Place in the log, from 1.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Who did it; `None` for the system and for strangers.
    pub actor: Option<UserId>,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// From where.
    pub ip: Option<IpAddr>,
    /// More.
    pub detail: Value,
}

/// Which entries to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only by this user.
    pub actor: Option<UserId>,
    /// Only this action, or all of a noun (`user` finds `user.created` and `user.deleted`).
    pub action: Option<String>,
    /// Part of what it was done to, without case.
    pub target: Option<String>,
    /// At or after.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

fn narrow(filter: &AuditFilter) -> Select<audit::Entity> {
    use audit::Column;
    let mut rows = audit::Entity::find();
    if let Some(actor) = filter.actor {
        rows = rows.filter(Column::Actor.eq(actor.0));
    }
    if let Some(action) = &filter.action {
        let whole = Column::Action.eq(action.as_str());
        rows = rows.filter(if action.contains('.') { whole } else { Column::Action.starts_with(format!("{action}.")) });
    }
    if let Some(target) = &filter.target {
        rows = rows.filter(found_in(&[Column::Target], target));
    }
    if let Some(from) = filter.from {
        rows = rows.filter(Column::At.gte(from.0));
    }
    if let Some(to) = filter.to {
        rows = rows.filter(Column::At.lt(to.0));
    }
    rows.order_by(Column::Seq, Order::Desc)
}

impl Tx {
    /// Adds an entry in the transaction of what it tells.
    ///
    /// # Errors
    /// `Corrupt` when the head of the chain is missing or forged: to go on from it would make it look true.
    pub(crate) async fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        let head = Head::find(&mut self.conn, &self.sealer).await?.ok_or_else(chain::forged)?;
        let row = Row {
            seq: head.seq + 1,
            at: self.clock.now().0,
            actor: entry.actor.map(|id| id.0),
            action: entry.action.to_owned(),
            target: entry.target.clone(),
            ip: entry.ip.map(|ip| ip.to_string()),
            detail: entry.detail.to_string(),
        };
        let key = self.sealer.current();
        let mac = row.mac(&self.sealer, key, &head.mac).ok_or_else(chain::forged)?;
        let sql = "INSERT INTO audit_log (seq, at, actor, action, target, ip, detail, key_id, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let insert = query(sql).bind(row.seq).bind(row.at).bind(row.actor).bind(row.action).bind(row.target);
        let insert = insert.bind(row.ip).bind(row.detail).bind(i64::from(key)).bind(mac.to_vec());
        insert.execute(&mut self.conn).await.map_err(refused)?;
        Head { seq: row.seq, mac }.put(&mut self.conn, &self.sealer).await
    }

    /// Begins the chain, over what was written before there was one. Does nothing when there is a head.
    async fn begin_chain(&mut self) -> Result<(), StoreError> {
        let heads: i64 = query_scalar("SELECT COUNT(*) FROM audit_head").fetch_one(&mut self.conn).await.map_err(refused)?;
        let chained = "SELECT COUNT(*) FROM audit_log WHERE mac IS NOT NULL";
        let chained: i64 = query_scalar(chained).fetch_one(&mut self.conn).await.map_err(refused)?;
        if heads > 0 || chained > 0 {
            return Ok(());
        }
        let (mut head, key) = (Head::default(), self.sealer.current());
        let older = Row::all(&mut self.conn).await?;
        let entries = older.len();
        for row in older {
            let mac = row.mac(&self.sealer, key, &head.mac).ok_or_else(chain::forged)?;
            let update = query("UPDATE audit_log SET key_id = ?, mac = ? WHERE seq = ?").bind(i64::from(key));
            update.bind(mac.to_vec()).bind(row.seq).execute(&mut self.conn).await.map_err(refused)?;
            head = Head { seq: row.seq, mac };
        }
        head.put(&mut self.conn, &self.sealer).await?;
        // A chain that begins anew in the middle of a server's life is worth a question.
        let detail = json!({ "entries_before": entries });
        let begun = AuditEntry { actor: None, action: "audit.begun", target: "audit log".into(), ip: None, detail };
        self.audit(&begun).await
    }
}

impl Store {
    /// Adds an entry.
    pub async fn audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { tx.audit(&entry).await })).await
    }

    /// Begins the chain where there is none; part of bringing the tables up to date.
    pub(crate) async fn begin_audit_chain(&self) -> Result<(), StoreError> {
        self.write(|tx| Box::pin(tx.begin_chain())).await
    }

    /// A page of the log, newest first.
    pub async fn list_audit(&self, filter: &AuditFilter, page: Page) -> Result<Listed<AuditRecord>, StoreError> {
        let Listed { count, results } = listed(narrow(filter), page, &self.inner.readers).await?;
        Ok(Listed { count, results: results.into_iter().map(audit::Model::read).collect::<Result<_, _>>()? })
    }

    /// The next `limit` entries older than the one at `before` (from the newest without one), and whether more follow.
    pub async fn list_audit_before(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<(Vec<AuditRecord>, bool), StoreError> {
        let mut rows = narrow(filter);
        if let Some(seq) = before {
            rows = rows.filter(audit::Column::Seq.lt(seq));
        }
        let mut rows = fetch(rows.limit(limit.saturating_add(1)), &self.inner.readers).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok((rows.into_iter().map(audit::Model::read).collect::<Result<_, _>>()?, more))
    }
}
