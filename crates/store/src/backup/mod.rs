//! Copies for backups, and what must be done to a database that was put back.
//!
//! A database that was put back is older than the world: WhatsApp and the recipients' devices have seen message keys that it
//! believes unused, and messages that it believes unsent. [`Store::fence_restored`] makes sure that none is used twice.
//! SQLite is copied as a file, PostgreSQL table by table, see `tables`.

use crate::dialect::{query, query_scalar, refused};
use crate::events::NewEvent;
use crate::seal::{Sealer, address};
use crate::writer::Tx;
use crate::{SealKey, Store, StoreError};
use sanasend_model::{Clock, Failure, ReasonCode, SessionId, SessionStatus};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

mod tables;

pub use tables::{Copied, CopiedSequence, CopiedTable, Fillable};

/// What was done to a database that was put back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fenced {
    /// Accounts that must be linked again.
    pub accounts: u64,
    /// Messages that waited and are given up.
    pub messages: u64,
}

/// Who works with the accounts of a database. As long as two looks see the same and nobody lives, nobody used a message key
/// between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owners {
    /// Nodes whose lease is not over; always 0 on SQLite, where the lock of the data folder tells.
    pub living: u64,
    /// Sum of all generations: each taking of an account raises it.
    pub generations: i64,
}

/// Takes every account's Signal state away and moves its generation on; answers the accounts that had one.
async fn unlink_all(tx: &mut Tx, reason: &str) -> Result<Vec<SessionId>, StoreError> {
    let now = tx.clock.now();
    let linked: Vec<Uuid> = query_scalar("SELECT id FROM sessions WHERE linked").fetch_all(&mut tx.conn).await.map_err(refused)?;
    query("DELETE FROM signal").execute(&mut tx.conn).await.map_err(refused)?;
    tx.generations.clear();
    query("UPDATE sessions SET generation = generation + 1").execute(&mut tx.conn).await.map_err(refused)?;
    let sql = "UPDATE sessions SET linked = FALSE, wanted = FALSE, status = ?, reason_code = ?, reason = ?, last_error_code = ?, \
               last_error = ?, updated_at = ? WHERE linked";
    let code = ReasonCode::Restored.as_str();
    let update = query(sql).bind(SessionStatus::LoggedOut.as_str()).bind(code).bind(reason).bind(code).bind(reason).bind(now.0);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    // Whoever was logged out after the copy was taken must not be logged in again.
    query("DELETE FROM logins").execute(&mut tx.conn).await.map_err(refused)?;
    let mut events: Vec<NewEvent> = Vec::with_capacity(linked.len());
    let linked: Vec<SessionId> = linked.into_iter().map(SessionId).collect();
    for id in &linked {
        events.extend(crate::sessions::find(&mut tx.conn, *id).await?.map(|session| session.event(now)));
    }
    tx.record(events).await?;
    Ok(linked)
}

impl Store {
    /// Writes a consistent copy of the database into a new file, while others read and write. SQLite only.
    pub async fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        let path = file.to_str().ok_or_else(|| StoreError::Unavailable("the name of the copy is no text".into()))?;
        query("VACUUM INTO ?").bind(path).execute(&self.inner.readers).await.map(drop).map_err(refused)
    }

    /// Who works with the accounts now.
    pub async fn owners(&self) -> Result<Owners, StoreError> {
        let living = if self.is_shared() { self.living_nodes().await? } else { 0 };
        // A sum of integers is no integer on PostgreSQL.
        let sql = "SELECT CAST(COALESCE(SUM(generation), 0) AS BIGINT) FROM sessions";
        let generations = query_scalar(sql).fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(Owners { living, generations })
    }

    /// Names of the migrations that made the tables as they are.
    pub async fn migrations(&self) -> Result<Vec<String>, StoreError> {
        self.applied_migrations().await
    }

    /// How many accounts are linked.
    pub async fn count_linked(&self) -> Result<u64, StoreError> {
        let count: i64 =
            query_scalar("SELECT COUNT(*) FROM sessions WHERE linked").fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Makes a database safe that was put back from a copy: all accounts must be linked again, their waiting messages are given
    /// up (they may have been sent since), and every login ends. Must run before anybody opens an account.
    pub async fn fence_restored(&self, reason: &str) -> Result<Fenced, StoreError> {
        let text = reason.to_owned();
        let linked = self.write(move |tx| Box::pin(async move { unlink_all(tx, &text).await })).await?;
        let mut messages = 0;
        let said = format!("It may have been sent or not: {reason}");
        let sessions: Vec<Uuid> = query_scalar("SELECT id FROM sessions").fetch_all(&self.inner.readers).await.map_err(refused)?;
        for session in sessions {
            messages += self.fail_all(SessionId(session), Failure::OutcomeUnknown, &said).await?.len() as u64;
        }
        Ok(Fenced { accounts: linked.len() as u64, messages })
    }
}

/// Seals a file's content under a key that is not the database's, for the file named `name` alone.
pub fn seal_file(key: &SealKey, clock: Arc<dyn Clock>, name: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    Sealer::new(key, &[], clock).seal(&address("file", &[name.as_bytes()]), plain)
}

/// Opens what [`seal_file`] sealed; `None` with another key, another name, or when it was changed.
pub fn open_file(key: &SealKey, clock: Arc<dyn Clock>, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    Sealer::new(key, &[], clock).open(&address("file", &[name.as_bytes()]), sealed)
}
