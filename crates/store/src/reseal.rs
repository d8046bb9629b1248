//! Changing the seal key: every sealed value is opened and sealed anew with the present key, in pieces, while the server works.
//!
//! The number of its key stands in each value, so what is left to do is what the rows say: a sweep that is killed begins
//! again and finds less to do, and any node may do it. A value is replaced only if it is still the one that was read. Only
//! values of lower numbers are touched: in a cluster a node that has not taken up the new key does not undo what others do.
//!
//! MACs of the audit log can't be made anew, because its rows never change. When a key is retired, what its MACs were derived
//! from stays (see [`crate::SealKey::mac_part`]), which opens nothing.

use crate::dialect::{AssertSqlSafe, query, query_as, query_scalar, refused};
use crate::writer::Tx;
use crate::{AuditEntry, Store, StoreError, inbox, media, signal, webhooks};
use sanasend_model::{MessageId, SessionId, WebhookId};
use serde_json::json;
use uuid::Uuid;

/// Values that are sealed anew in one transaction.
const PIECE: i64 = 200;
/// Every column that holds sealed values, and by what its rows are told apart. Questions between nodes (`node_calls`) live for
/// seconds, and proofs (`proofs`) are of one key each.
const SEALED: [(&str, &str, &str); 6] = [
    ("signal", "value", ""),
    ("message_raw", "raw", "message_id"),
    ("message_media", "remote", "message_id"),
    ("message_media", "uploaded", "message_id"),
    ("webhook_endpoints", "secret", "id"),
    ("webhook_endpoints", "previous_secret", "id"),
];

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// Values that have the present key now.
    pub done: u64,
    /// Values that could not be opened: damaged, or moved from elsewhere. They stay as they are.
    pub stuck: u64,
}

/// How far a sweep is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResealPlace {
    column: usize,
    behind: (Uuid, i16, Vec<u8>),
    /// What it did so far.
    pub so_far: Resealed,
}

impl Default for ResealPlace {
    fn default() -> Self {
        Self { column: 0, behind: (Uuid::nil(), i16::MIN, Vec::new()), so_far: Resealed::default() }
    }
}

/// What came of retiring a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRetired {
    /// Nothing needs it any more.
    Done,
    /// So many values of these columns need it.
    Needed(Vec<(String, u64)>),
    /// So many nodes that run have no newer key.
    InUse(u64),
}

/// A sealed value: what tells its row apart, its address, and the value.
struct Value {
    row: (Uuid, i16, Vec<u8>),
    address: Vec<u8>,
    sealed: Vec<u8>,
}

fn address_of(table: &str, column: &str, (id, kind, key): &(Uuid, i16, Vec<u8>)) -> Vec<u8> {
    match (table, column) {
        ("signal", _) => signal::raw_address(SessionId(*id), *kind, key),
        ("message_raw", _) => inbox::address_of(MessageId(*id)),
        ("message_media", column) => media::address_of(column, MessageId(*id)),
        (_, "secret") => webhooks::present_secret(WebhookId(*id)),
        _ => webhooks::previous_secret(WebhookId(*id)),
    }
}

async fn replace(
    tx: &mut Tx,
    table: &'static str,
    column: &'static str,
    id: &'static str,
    values: Vec<Value>,
) -> Result<Resealed, StoreError> {
    let mut resealed = Resealed::default();
    for Value { row, address, sealed } in values {
        let Some(plain) = tx.sealer.open(&address, &sealed).map(zeroize::Zeroizing::new) else {
            resealed.stuck += 1;
            continue;
        };
        let fresh = tx.sealer.seal(&address, &plain)?;
        let done = if table == "signal" {
            let update = query("UPDATE signal SET value = ? WHERE session_id = ? AND kind = ? AND key = ? AND value = ?");
            update.bind(fresh).bind(row.0).bind(row.1).bind(row.2).bind(sealed).execute(&mut tx.conn).await
        } else {
            let sql = format!("UPDATE {table} SET {column} = ? WHERE {id} = ? AND {column} = ?");
            query(AssertSqlSafe(sql)).bind(fresh).bind(row.0).bind(sealed).execute(&mut tx.conn).await
        };
        resealed.done += done.map_err(refused)?.rows_affected();
    }
    Ok(resealed)
}

impl Store {
    /// Number of the key that new values are sealed with here.
    pub fn seal_key(&self) -> u32 {
        self.inner.sealer.current()
    }

    /// Seals the next values anew; false when there are no more.
    pub async fn reseal_some(&self, place: &mut ResealPlace) -> Result<bool, StoreError> {
        let Some((table, column, id)) = SEALED.get(place.column).copied() else { return Ok(false) };
        let values = self.older_values(table, column, id, &place.behind).await?;
        match values.last() {
            None => *place = ResealPlace { column: place.column + 1, so_far: place.so_far, ..ResealPlace::default() },
            Some(last) => {
                place.behind = last.row.clone();
                let did = self.write(move |tx| Box::pin(replace(tx, table, column, id, values))).await?;
                place.so_far.done += did.done;
                place.so_far.stuck += did.stuck;
            }
        }
        Ok(true)
    }

    /// Seals everything anew that has a key of a lower number.
    pub async fn reseal(&self) -> Result<Resealed, StoreError> {
        let mut place = ResealPlace::default();
        while self.reseal_some(&mut place).await? {}
        Ok(place.so_far)
    }

    async fn older_values(
        &self,
        table: &'static str,
        column: &'static str,
        id: &'static str,
        behind: &(Uuid, i16, Vec<u8>),
    ) -> Result<Vec<Value>, StoreError> {
        let below = self.inner.sealer.current().to_be_bytes().to_vec();
        if table == "signal" {
            let sql = "SELECT session_id, kind, key, value FROM signal WHERE (session_id, kind, key) > (?, ?, ?) AND substr(value, 2, 4) < ? \
                       ORDER BY session_id, kind, key LIMIT ?";
            let rows = query_as::<_, (Uuid, i16, Vec<u8>, Vec<u8>)>(sql).bind(behind.0).bind(behind.1).bind(behind.2.clone());
            let rows = rows.bind(below).bind(PIECE).fetch_all(&self.inner.readers).await.map_err(refused)?;
            let value = |(id, kind, key, sealed)| {
                let row = (id, kind, key);
                Value { address: address_of(table, column, &row), row, sealed }
            };
            return Ok(rows.into_iter().map(value).collect());
        }
        let sql = format!("SELECT {id}, {column} FROM {table} WHERE {id} > ? AND substr({column}, 2, 4) < ? ORDER BY {id} LIMIT ?");
        let rows = query_as::<_, (Uuid, Vec<u8>)>(AssertSqlSafe(sql)).bind(behind.0).bind(below).bind(PIECE);
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let value = |(id, sealed)| {
            let row = (id, 0, Vec::new());
            Value { address: address_of(table, column, &row), row, sealed }
        };
        Ok(rows.into_iter().map(value).collect())
    }

    /// How many values of each column are sealed with this key; columns without any are left out.
    pub async fn sealed_with(&self, key: u32) -> Result<Vec<(String, u64)>, StoreError> {
        let mut found = Vec::new();
        for (table, column, _) in SEALED {
            let sql = format!("SELECT COUNT(*) FROM {table} WHERE substr({column}, 2, 4) = ?");
            let count = query_scalar::<_, i64>(AssertSqlSafe(sql)).bind(key.to_be_bytes().to_vec());
            let count = count.fetch_one(&self.inner.readers).await.map_err(refused)?;
            if count > 0 {
                found.push((format!("{table}.{column}"), u64::try_from(count).unwrap_or(0)));
            }
        }
        Ok(found)
    }

    /// Nodes that run and seal with a key of this number or a lower one.
    pub async fn nodes_sealing_below(&self, key: u32) -> Result<u64, StoreError> {
        let now = self.shared_now().await?;
        let sql = "SELECT COUNT(*) FROM nodes WHERE lease_until > ? AND (seal_key IS NULL OR seal_key <= ?)";
        let count: i64 = query_scalar(sql).bind(now).bind(i64::from(key)).fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Notes that a key of an earlier time is not needed any more, unless it is; the caller removes it afterwards. Doing it
    /// twice does no harm.
    pub async fn retire_key(&self, key: u32) -> Result<KeyRetired, StoreError> {
        let nodes = self.nodes_sealing_below(key).await?;
        if nodes > 0 {
            return Ok(KeyRetired::InUse(nodes));
        }
        let needed = self.sealed_with(key).await?;
        if !needed.is_empty() {
            return Ok(KeyRetired::Needed(needed));
        }
        self.write(move |tx| {
            Box::pin(async move {
                let proof = query("DELETE FROM proofs WHERE key_id = ?").bind(i64::from(key)).execute(&mut tx.conn);
                if proof.await.map_err(refused)?.rows_affected() > 0 {
                    let (target, detail) = ("secrets".to_owned(), json!({"seal_key": key}));
                    tx.audit(&AuditEntry { actor: None, action: "secrets.retired", target, ip: None, detail }).await?;
                }
                Ok(KeyRetired::Done)
            })
        })
        .await
    }
}
