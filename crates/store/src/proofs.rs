//! Proof that a process has the secrets that the database was written with.
//!
//! One row per seal key holds, sealed by it, a fingerprint of the other secrets. A process with another key of the same number
//! can't open the row; one with other secrets finds another fingerprint. Either would otherwise be noticed only when an
//! account does not come up, or an API key is refused.

use crate::dialect::{Pool, query, query_as, query_scalar, refused};
use crate::seal::address;
use crate::writer::Tx;
use crate::{AuditEntry, Store, StoreError};
use serde_json::json;

/// Whether secrets fit a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// They do.
    Good,
    /// The seal key is another one.
    OtherSealKey,
    /// The seal key is the right one, but other secrets are not.
    OtherSecrets,
}

fn address_of(key_id: i64) -> Vec<u8> {
    address("proofs", &[&key_id.to_be_bytes()])
}

/// Whether neither a proof nor a user is in the database.
pub(crate) async fn nothing_made(readers: &Pool) -> Result<bool, StoreError> {
    for (table, sql) in [("proofs", "SELECT COUNT(*) FROM proofs"), ("users", "SELECT COUNT(*) FROM users")] {
        if readers.has_table(table).await? && query_scalar::<_, i64>(sql).fetch_one(readers).await.map_err(refused)? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) async fn prove(tx: &mut Tx, fingerprint: [u8; 32]) -> Result<Proof, StoreError> {
    let rows = query_as::<_, (i64, Vec<u8>)>("SELECT key_id, proof FROM proofs ORDER BY key_id DESC").fetch_all(&mut tx.conn);
    let rows = rows.await.map_err(refused)?;
    let current = i64::from(tx.sealer.current());
    // Others seal with a newer key already: what they wrote could not be read here.
    let unknown = |id: i64| id > current && !u32::try_from(id).is_ok_and(|id| tx.sealer.knows(id));
    if rows.first().is_some_and(|(id, _)| unknown(*id)) {
        return Ok(Proof::OtherSealKey);
    }
    let known = rows.iter().any(|(id, _)| *id == current);
    // A row of the present key must open; before it has one, a row of an older key must.
    let opened = rows.iter().filter(|(id, _)| *id == current || !known).find_map(|(id, proof)| tx.sealer.open(&address_of(*id), proof));
    match opened {
        None if !rows.is_empty() => return Ok(Proof::OtherSealKey),
        Some(written) if written != fingerprint => return Ok(Proof::OtherSecrets),
        _ => {}
    }
    if !known {
        let proof = tx.sealer.seal(&address_of(current), &fingerprint)?;
        let insert = query("INSERT INTO proofs (key_id, proof) VALUES (?, ?)").bind(current).bind(proof);
        insert.execute(&mut tx.conn).await.map_err(refused)?;
        let (target, detail) = ("secrets".to_owned(), json!({"seal_key": current}));
        tx.audit(&AuditEntry { actor: None, action: "secrets.begun", target, ip: None, detail }).await?;
    }
    Ok(Proof::Good)
}

impl Store {
    /// Compares this process's secrets with those that the database was written with; the first process to ask writes its
    /// own, and notes in the audit log that the database is written with them from now on. `fingerprint` is of those secrets that
    /// the store does not know.
    pub async fn prove_secrets(&self, fingerprint: [u8; 32]) -> Result<Proof, StoreError> {
        self.write(move |tx| Box::pin(prove(tx, fingerprint))).await
    }
}
