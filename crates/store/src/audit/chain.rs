//! The chain: what is hashed, under which key, and the head that says where it ends.
//!
//! A MAC is HMAC-SHA-256 over every field, each with its length before it, so that no two rows have the same bytes. The
//! key is derived from a seal key, whose number stands in the row: seal keys can be changed without touching old rows.

use crate::StoreError;
use crate::dialect::{Conn, On, query, query_as, refused};
use crate::seal::Sealer;
use uuid::Uuid;

/// Length of a MAC.
pub(super) const MAC_BYTES: usize = 32;

/// What a row says.
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) at: i64,
    pub(super) actor: Option<Uuid>,
    pub(super) action: String,
    pub(super) target: String,
    pub(super) ip: Option<String>,
    pub(super) detail: String,
}

type Fields = (i64, i64, Option<Uuid>, String, String, Option<String>, String);

impl Row {
    /// Every row, oldest first; only for the few that were written before there was a chain.
    pub(super) async fn all(conn: &mut Conn) -> Result<Vec<Self>, StoreError> {
        let sql = "SELECT seq, at, actor, action, target, ip, detail FROM audit_log ORDER BY seq";
        let rows = query_as::<_, Fields>(sql).fetch_all(conn).await.map_err(refused)?;
        Ok(rows.into_iter().map(Self::from).collect())
    }

    /// The MAC of this row behind the one whose MAC is `before`; `None` when the key is not there.
    pub(super) fn mac(&self, sealer: &Sealer, key: u32, before: &[u8; MAC_BYTES]) -> Option<[u8; MAC_BYTES]> {
        let mut bytes = Bytes::new("entry", key);
        bytes.add(before);
        bytes.add(&self.seq.to_be_bytes());
        bytes.add(&self.at.to_be_bytes());
        bytes.maybe(self.actor.as_ref().map(|id| &id.as_bytes()[..]));
        bytes.add(self.action.as_bytes());
        bytes.add(self.target.as_bytes());
        bytes.maybe(self.ip.as_deref().map(str::as_bytes));
        bytes.add(self.detail.as_bytes());
        sealer.mac(key, &bytes.0)
    }
}

impl From<Fields> for Row {
    fn from((seq, at, actor, action, target, ip, detail): Fields) -> Self {
        Self { seq, at, actor, action, target, ip, detail }
    }
}

/// Where the chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    /// The last row; 0 before the first.
    pub(super) seq: i64,
    /// Its MAC.
    pub(super) mac: [u8; MAC_BYTES],
}

impl Head {
    /// The head; `None` when there is none.
    ///
    /// # Errors
    /// `Corrupt` when it was forged.
    pub(super) async fn find<'c>(conn: impl Into<On<'c>>, sealer: &Sealer) -> Result<Option<Self>, StoreError> {
        let sql = "SELECT seq, mac, key_id, proof FROM audit_head WHERE id = 1";
        let row = query_as::<_, (i64, Vec<u8>, i64, Vec<u8>)>(sql).fetch_optional(conn).await.map_err(refused)?;
        let Some((seq, mac, key, proof)) = row else { return Ok(None) };
        let head = Self { seq, mac: mac.try_into().map_err(|_| forged())? };
        let expected = u32::try_from(key).ok().and_then(|key| head.proof(sealer, key)).ok_or_else(forged)?;
        if expected[..] == proof[..] { Ok(Some(head)) } else { Err(forged()) }
    }

    /// Writes the head.
    pub(super) async fn put(self, conn: &mut Conn, sealer: &Sealer) -> Result<(), StoreError> {
        let key = sealer.current();
        let proof = self.proof(sealer, key).ok_or_else(forged)?;
        let sql = "INSERT INTO audit_head (id, seq, mac, key_id, proof) VALUES (1, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET \
                   seq = excluded.seq, mac = excluded.mac, key_id = excluded.key_id, proof = excluded.proof";
        let put = query(sql).bind(self.seq).bind(self.mac.to_vec()).bind(i64::from(key)).bind(proof.to_vec());
        put.execute(conn).await.map(drop).map_err(refused)
    }

    fn proof(self, sealer: &Sealer, key: u32) -> Option<[u8; MAC_BYTES]> {
        let mut bytes = Bytes::new("head", key);
        bytes.add(&self.seq.to_be_bytes());
        bytes.add(&self.mac);
        sealer.mac(key, &bytes.0)
    }
}

/// The head is not ours.
pub(super) fn forged() -> StoreError {
    StoreError::Corrupt { table: "audit_head", row: "1".into(), column: "proof".into() }
}

/// What is hashed: each part with its length before it.
struct Bytes(Vec<u8>);

impl Bytes {
    fn new(what: &str, key: u32) -> Self {
        let mut bytes = Self(Vec::with_capacity(512));
        bytes.add(b"sanasend audit 1");
        bytes.add(what.as_bytes());
        bytes.add(&key.to_be_bytes());
        bytes
    }

    fn add(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(part);
    }

    fn maybe(&mut self, part: Option<&[u8]>) {
        self.add(&[u8::from(part.is_some())]);
        self.add(part.unwrap_or_default());
    }
}
