//! Signal state: a sealed key-value store per account, on which the engine builds the client library's storage.
//!
//! Hand-written SQL, apart from the lists: it is read and written for every message. Values are sealed with the
//! row's address as associated data, so that a stolen file tells nothing and a moved row can't be opened.

use crate::dialect::{AssertSqlSafe, Rows, pieces, query, query_as, query_scalar, refused};
use crate::seal::{Sealer, address};
use crate::together::{AnswerTo, Asked, Together};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{SessionId, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// What a value is. The number is in the table: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the client library's stores")]
pub enum SignalKind {
    Device = 1,
    Identity = 2,
    Session = 3,
    PreKey = 4,
    SignedPreKey = 5,
    SenderKey = 6,
    SyncKey = 7,
    SyncVersion = 8,
    MutationMac = 9,
    SenderKeyDevice = 10,
    LidMapping = 11,
    PnMapping = 12,
    BaseKey = 13,
    DeviceList = 14,
    GroupMetadata = 15,
    TcToken = 16,
    SentMessage = 17,
    PendingInbound = 18,
    MsgSecret = 19,
    /// Not the library's: a sent message that a recipient could not read; the key is WhatsApp's id.
    ResendAsked = 20,
    /// Not the library's: a message that was read and lost by a kill, and was asked for again; the key as of PendingInbound.
    Missed = 21,
}

/// One change of an account's Signal state. Debug never shows values.
#[derive(Clone, PartialEq, Eq)]
pub enum SignalChange {
    /// Write a value, new or in place of another.
    Put {
        /// Kind.
        kind: SignalKind,
        /// Key within the kind.
        key: Vec<u8>,
        /// The value, in the clear; it is sealed on its way to the disk.
        value: Vec<u8>,
    },
    /// Remove one value, if it is there.
    Delete {
        /// Kind.
        kind: SignalKind,
        /// Key within the kind.
        key: Vec<u8>,
    },
    /// Remove all values whose key begins so; an empty prefix removes the whole kind.
    DeletePrefix {
        /// Kind.
        kind: SignalKind,
        /// Beginning of the keys.
        prefix: Vec<u8>,
    },
}

impl std::fmt::Debug for SignalChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, kind, key) = match self {
            Self::Put { kind, key, .. } => ("Put", kind, key),
            Self::Delete { kind, key } => ("Delete", kind, key),
            Self::DeletePrefix { kind, prefix } => ("DeletePrefix", kind, prefix),
        };
        write!(f, "{name}({kind:?}, {} bytes of key)", key.len())
    }
}

/// A key and its opened value.
pub type SignalEntry = (Vec<u8>, Vec<u8>);

/// One account's Signal state in the hands of one owner. Cheap to clone.
///
/// Reading sees everything that this owner's earlier writes, once returned, have written.
#[derive(Clone)]
pub struct SignalState {
    store: Store,
    session_id: SessionId,
    generation: i64,
}

/// The first key behind all that begin with `prefix`; `None` when there is none.
fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let end = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix.get(..=end)?.to_vec();
    *next.last_mut()? += 1;
    Some(next)
}

/// Address of a row for sealing.
fn address_of(session: SessionId, kind: SignalKind, key: &[u8]) -> Vec<u8> {
    raw_address(session, kind as i16, key)
}

/// The address of a row, whose kind may be one that this program does not know.
pub(crate) fn raw_address(session: SessionId, kind: i16, key: &[u8]) -> Vec<u8> {
    address("signal", &[&session.0.as_bytes()[..], &[u8::try_from(kind).unwrap_or(0)], key])
}

/// Opens a value read from the row of `key`.
fn open(sealer: &Sealer, session: SessionId, kind: SignalKind, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreError> {
    sealer.open(&address_of(session, kind, key), value).ok_or_else(|| {
        let row = format!("{session}/{kind:?}/{}", hex::encode(key));
        StoreError::Corrupt { table: "signal", row, column: "value".into() }
    })
}

static GET_MANY: Rows = Rows::new("SELECT key, value FROM signal WHERE session_id = ? AND kind = ? AND key IN (", "?", ")");

static PUT: Rows = Rows::new(
    "INSERT INTO signal (session_id, kind, key, value, updated_at) VALUES ",
    "(?, ?, ?, ?, ?)",
    " ON CONFLICT (session_id, kind, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
);

/// Where a value is.
type Place = (SessionId, SignalKind, Vec<u8>);

/// A value that is to be written, sealed; `None` when it is to be removed.
type Last = HashMap<Place, Option<Vec<u8>>>;

async fn put(tx: &mut Tx, puts: &[(Place, Vec<u8>)]) -> Result<(), StoreError> {
    let now = tx.clock.now();
    for piece in pieces(puts) {
        let mut insert = query(PUT.sql(piece.len()));
        for ((session, kind, key), sealed) in piece {
            insert = insert.bind(session.0).bind(*kind as u8).bind(key).bind(sealed).bind(now.0);
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

async fn delete(tx: &mut Tx, session: SessionId, kind: SignalKind, key: &[u8]) -> Result<(), StoreError> {
    let sql = "DELETE FROM signal WHERE session_id = ? AND kind = ? AND key = ?";
    let delete = query(sql).bind(session.0).bind(kind as u8).bind(key);
    delete.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

async fn delete_prefix(tx: &mut Tx, session: SessionId, kind: SignalKind, prefix: &[u8]) -> Result<(), StoreError> {
    let sql = "DELETE FROM signal WHERE session_id = ? AND kind = ? AND key >= ?";
    let bounded = "DELETE FROM signal WHERE session_id = ? AND kind = ? AND key >= ? AND key < ?";
    let done = match behind(prefix) {
        Some(end) => query(bounded).bind(session.0).bind(kind as u8).bind(prefix).bind(end).execute(&mut tx.conn).await,
        None => query(sql).bind(session.0).bind(kind as u8).bind(prefix).execute(&mut tx.conn).await,
    };
    done.map(drop).map_err(refused)
}

static DELETE: Rows = Rows::new("DELETE FROM signal WHERE session_id = ? AND kind = ? AND key IN (", "?", ")");

/// Writes what waits: of several changes of one value the last counts.
async fn flush(tx: &mut Tx, last: &mut Last) -> Result<(), StoreError> {
    let (mut puts, mut gone) = (Vec::with_capacity(last.len()), HashMap::<_, Vec<Vec<u8>>>::new());
    for ((session, kind, key), value) in last.drain() {
        match value {
            Some(sealed) => puts.push(((session, kind, key), sealed)),
            None => gone.entry((session, kind)).or_default().push(key),
        }
    }
    put(tx, &puts).await?;
    for ((session, kind), keys) in gone {
        delete_all(tx, session, kind, &keys).await?;
    }
    Ok(())
}

/// Removes those values that are there.
pub(crate) async fn delete_all(tx: &mut Tx, session: SessionId, kind: SignalKind, keys: &[Vec<u8>]) -> Result<(), StoreError> {
    for piece in pieces(keys) {
        let mut delete = query(DELETE.sql(piece.len())).bind(session.0).bind(kind as u8);
        for key in piece {
            delete = delete.bind(key);
        }
        delete.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

/// Changes that the owner of an account makes, all or none; values are sealed.
pub(crate) struct Writing {
    session_id: SessionId,
    generation: i64,
    changes: Vec<SignalChange>,
}

impl Together for Writing {
    type Answer = ();

    async fn run(tx: &mut Tx, asked: &[Self]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let answers = tx.fence_all(asked.iter().map(|writing| (writing.session_id, writing.generation)).collect()).await?;
        let mut last = Last::new();
        for (writing, fenced) in asked.iter().zip(&answers) {
            if fenced.is_err() {
                continue;
            }
            let session = writing.session_id;
            for change in &writing.changes {
                match change {
                    SignalChange::Put { kind, key, value } => drop(last.insert((session, *kind, key.clone()), Some(value.clone()))),
                    SignalChange::Delete { kind, key } => drop(last.insert((session, *kind, key.clone()), None)),
                    SignalChange::DeletePrefix { kind, prefix } => {
                        flush(tx, &mut last).await?;
                        delete_prefix(tx, session, *kind, prefix).await?;
                    }
                }
            }
        }
        flush(tx, &mut last).await?;
        Ok(answers)
    }

    fn with(self, answer: AnswerTo<Self>) -> Asked {
        Asked::Write(self, answer)
    }
}

async fn read(tx: &mut Tx, session: SessionId, kind: SignalKind, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let row = query_scalar::<_, Vec<u8>>(GET).bind(session.0).bind(kind as u8).bind(key).fetch_optional(&mut tx.conn);
    let value = row.await.map_err(refused)?;
    value.map(|value| open(&tx.sealer, session, kind, key, &value)).transpose()
}

const GET: &str = "SELECT value FROM signal WHERE session_id = ? AND kind = ? AND key = ?";

impl SignalState {
    pub(crate) fn new(store: Store, session_id: SessionId, generation: i64) -> Self {
        Self { store, session_id, generation }
    }

    /// The account.
    pub fn session_id(&self) -> SessionId {
        self.session_id
    }

    /// The value of a key.
    pub async fn get(&self, kind: SignalKind, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let row = query_scalar::<_, Vec<u8>>(GET).bind(self.session_id.0).bind(kind as u8).bind(key);
        let value = row.fetch_optional(&self.store.inner.readers).await.map_err(refused)?;
        value.map(|value| open(&self.store.inner.sealer, self.session_id, kind, key, &value)).transpose()
    }

    /// The values of those keys that are there, in any order.
    pub async fn get_many(&self, kind: SignalKind, keys: &[Vec<u8>]) -> Result<Vec<SignalEntry>, StoreError> {
        let mut entries = Vec::with_capacity(keys.len());
        for piece in pieces(keys) {
            let mut select = query_as::<_, SignalEntry>(GET_MANY.sql(piece.len())).bind(self.session_id.0).bind(kind as u8);
            for key in piece {
                select = select.bind(key);
            }
            entries.extend(select.fetch_all(&self.store.inner.readers).await.map_err(refused)?);
        }
        self.opened(kind, entries)
    }

    /// All values whose key begins so, by key.
    pub async fn list(&self, kind: SignalKind, prefix: &[u8]) -> Result<Vec<SignalEntry>, StoreError> {
        let sql = "SELECT key, value FROM signal WHERE session_id = ? AND kind = ? AND key >= ? AND (? IS NULL OR key < ?) ORDER BY key";
        let select = query_as::<_, SignalEntry>(sql).bind(self.session_id.0).bind(kind as u8).bind(prefix);
        let select = select.bind(behind(prefix)).bind(behind(prefix));
        self.opened(kind, select.fetch_all(&self.store.inner.readers).await.map_err(refused)?)
    }

    fn opened(&self, kind: SignalKind, entries: Vec<SignalEntry>) -> Result<Vec<SignalEntry>, StoreError> {
        let opened = entries.into_iter().map(|(key, value)| {
            let value = open(&self.store.inner.sealer, self.session_id, kind, &key, &value)?;
            Ok((key, value))
        });
        opened.collect()
    }

    /// All keys that begin so, in order, without opening any value.
    pub async fn list_keys(&self, kind: SignalKind, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        let sql = "SELECT key FROM signal WHERE session_id = ? AND kind = ? AND key >= ? AND (? IS NULL OR key < ?) ORDER BY key";
        let select = query_scalar(sql).bind(self.session_id.0).bind(kind as u8).bind(prefix);
        let select = select.bind(behind(prefix)).bind(behind(prefix));
        select.fetch_all(&self.store.inner.readers).await.map_err(refused)
    }

    /// Whether a message of this account with WhatsApp's id is in the database.
    pub async fn has_message(&self, wa_message_id: &str) -> Result<bool, StoreError> {
        let sql = "SELECT COUNT(*) > 0 FROM messages WHERE session_id = ? AND wa_message_id = ?";
        let row = query_scalar::<_, bool>(sql).bind(self.session_id.0).bind(wa_message_id);
        row.fetch_one(&self.store.inner.readers).await.map_err(refused)
    }

    /// The largest key of a kind in byte order.
    pub async fn max_key(&self, kind: SignalKind) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT key FROM signal WHERE session_id = ? AND kind = ? ORDER BY key DESC LIMIT 1";
        let select = query_scalar(sql).bind(self.session_id.0).bind(kind as u8);
        select.fetch_optional(&self.store.inner.readers).await.map_err(refused)
    }

    /// Makes all changes or none, in order; they are on disk when this returns. `Fenced` when the account has another owner.
    pub async fn apply(&self, changes: Vec<SignalChange>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (session_id, generation, sealer) = (self.session_id, self.generation, &self.store.inner.sealer);
        // Sealed here and not by the writer: it has enough to do.
        let sealed = changes.into_iter().map(|change| match change {
            SignalChange::Put { kind, key, value } => {
                let value = sealer.seal(&address_of(session_id, kind, &key), &value)?;
                Ok(SignalChange::Put { kind, key, value })
            }
            other => Ok(other),
        });
        let changes = sealed.collect::<Result<_, StoreError>>()?;
        self.store.inner.writer.together(Writing { session_id, generation, changes }).await
    }

    /// Reads and removes a value in one step.
    pub async fn take(&self, kind: SignalKind, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let (session, generation, key) = (self.session_id, self.generation, key.to_vec());
        let work = self.store.write(move |tx| {
            Box::pin(async move {
                tx.fence(session, generation).await?;
                let value = read(tx, session, kind, &key).await?;
                if value.is_some() {
                    delete(tx, session, kind, &key).await?;
                }
                Ok(value)
            })
        });
        work.await
    }

    /// Replaces a value by what `change` makes of it, in one step; `None` removes it. `change` runs on the writer: it must be quick.
    pub async fn update<F>(&self, kind: SignalKind, key: &[u8], change: F) -> Result<(), StoreError>
    where
        F: FnOnce(Option<Vec<u8>>) -> Option<Vec<u8>> + Send + 'static,
    {
        let (session, generation, key) = (self.session_id, self.generation, key.to_vec());
        let work = self.store.write(move |tx| {
            Box::pin(async move {
                tx.fence(session, generation).await?;
                match change(read(tx, session, kind, &key).await?) {
                    Some(value) => {
                        let sealed = tx.sealer.seal(&address_of(session, kind, &key), &value)?;
                        put(tx, &[((session, kind, key), sealed)]).await
                    }
                    None => delete(tx, session, kind, &key).await,
                }
            })
        });
        work.await
    }
}

impl Store {
    /// Removes values of a kind, of all accounts, that were last written before `older_than`; answers how many. In pieces,
    /// so that other writers get their turn.
    pub async fn sweep_signal(&self, kind: SignalKind, older_than: Timestamp) -> Result<u64, StoreError> {
        let number = kind as u8;
        // The number is written into the text: only so can the database use the index over the swept kinds.
        let sql: Arc<str> = format!(
            "DELETE FROM signal WHERE (session_id, kind, key) IN \
             (SELECT session_id, kind, key FROM signal WHERE kind = {number} AND updated_at < ? LIMIT 1000)"
        )
        .into();
        let mut gone = 0;
        loop {
            let sql = sql.clone();
            let delete = self.write(move |tx| {
                Box::pin(async move {
                    let delete = query(AssertSqlSafe(sql)).bind(older_than.0).execute(&mut tx.conn).await;
                    delete.map(|done| done.rows_affected()).map_err(refused)
                })
            });
            match delete.await? {
                0 => return Ok(gone),
                some => gone += some,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn the_end_of_a_prefix_lies_behind_all_its_keys_and_before_the_next() {
        for (prefix, end) in [(&b"a"[..], Some(&b"b"[..])), (b"a\xff", Some(b"b")), (b"\xff\xff", None), (b"", None)] {
            assert_eq!(behind(prefix).as_deref(), end);
        }
    }
}
