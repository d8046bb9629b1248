//! The audit log: what admins did and what touched security. Rows are only ever added.

use crate::dialect::refused;
use crate::{Store, StoreError};
use sanasend_model::UserId;
use serde_json::Value;
use std::net::IpAddr;

/// One entry; its time is that of the write.
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

impl Store {
    /// Adds an entry.
    pub async fn audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "INSERT INTO audit_log (at, actor, action, target, ip, detail) VALUES (?, ?, ?, ?, ?, ?)";
                let insert = sqlx::query(sql).bind(tx.clock.now().0).bind(entry.actor.map(|id| id.0)).bind(entry.action);
                let insert = insert.bind(entry.target).bind(entry.ip.map(|ip| ip.to_string())).bind(entry.detail.to_string());
                insert.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }
}
