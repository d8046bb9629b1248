//! Checking the chain from its beginning, in pieces, so that whoever asks can show how far it has come and so that a log
//! of millions of entries takes no more memory than one piece.

use super::chain::{Head, MAC_BYTES, Row};
use crate::dialect::{query_as, query_scalar, refused};
use crate::{Store, StoreError};
use uuid::Uuid;

/// Entries of one piece.
const PIECE: i64 = 1000;

/// How far a check has come.
#[derive(Debug, Clone, Default)]
pub struct AuditCheck {
    /// The last entry that was found sound.
    seq: i64,
    mac: [u8; MAC_BYTES],
    checked: u64,
}

/// The first entry that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditBreak {
    /// Its place in the log.
    pub seq: i64,
    /// What is wrong, in a sentence.
    pub why: &'static str,
}

/// What a piece of the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditStep {
    /// What was looked at is sound; more follows.
    SoFar,
    /// The log is whole.
    Whole {
        /// Its entries.
        entries: u64,
        /// Place and MAC of the last one, as `place:hexadecimal`. Kept elsewhere, it proves later that nothing before
        /// it was taken away.
        head: String,
    },
    /// It is not.
    Broken(AuditBreak),
}

type Fields = (i64, i64, Option<Uuid>, String, String, Option<String>, String, Option<i64>, Option<Vec<u8>>);

impl AuditCheck {
    /// How many entries were found sound so far.
    #[must_use]
    pub fn sound(&self) -> u64 {
        self.checked
    }

    /// Takes the next entry; the break, when it is none of ours.
    fn take(&mut self, store: &Store, fields: Fields) -> Option<AuditBreak> {
        let (seq, at, actor, action, target, ip, detail, key, found) = fields;
        let broken = |why| Some(AuditBreak { seq, why });
        let (Some(key), Some(found)) = (key.and_then(|key| u32::try_from(key).ok()), found) else {
            return broken("it was added by something else than this program: it has no MAC");
        };
        let row = Row { seq, at, actor, action, target, ip, detail };
        match row.mac(&store.inner.sealer, key, &self.mac) {
            None => broken("the seal key that it was written under is not there"),
            Some(mac) if mac[..] == found[..] => {
                (self.seq, self.mac, self.checked) = (seq, mac, self.checked + 1);
                None
            }
            Some(_) => broken("it was changed, or entries before it were removed or added"),
        }
    }
}

impl Store {
    /// How many entries the log has.
    pub async fn count_audit(&self) -> Result<u64, StoreError> {
        let count: i64 = query_scalar("SELECT COUNT(*) FROM audit_log").fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Checks the next piece of the log. Entries that are added meanwhile are checked too.
    pub async fn check_audit(&self, check: &mut AuditCheck) -> Result<AuditStep, StoreError> {
        let sql = "SELECT seq, at, actor, action, target, ip, detail, key_id, mac FROM audit_log WHERE seq > ? ORDER BY seq LIMIT ?";
        let rows = query_as::<_, Fields>(sql).bind(check.seq).bind(PIECE).fetch_all(&self.inner.readers);
        let rows = rows.await.map_err(refused)?;
        if rows.is_empty() {
            return self.check_end(check).await;
        }
        for row in rows {
            if let Some(broken) = check.take(self, row) {
                return Ok(AuditStep::Broken(broken));
            }
        }
        Ok(AuditStep::SoFar)
    }

    /// Nothing follows: is this where the log ended when it was last written?
    async fn check_end(&self, check: &AuditCheck) -> Result<AuditStep, StoreError> {
        let broken = |seq, why| Ok(AuditStep::Broken(AuditBreak { seq, why }));
        let head = match Head::find(&self.inner.readers, &self.inner.sealer).await {
            Ok(Some(head)) => head,
            Ok(None) => return broken(check.seq, "the mark of the log's end is gone; entries may be missing behind it"),
            Err(StoreError::Corrupt { .. }) => {
                return broken(check.seq, "the mark of the log's end was forged; entries may be missing behind it");
            }
            Err(other) => return Err(other),
        };
        if head.seq > check.seq {
            // Either it was written just now, or it was taken away: the next look tells.
            let there = query_scalar("SELECT COUNT(*) > 0 FROM audit_log WHERE seq > ?").bind(check.seq);
            let there: bool = there.fetch_one(&self.inner.readers).await.map_err(refused)?;
            return if there { Ok(AuditStep::SoFar) } else { broken(check.seq + 1, "it is missing, and what followed it") };
        }
        if (head.seq, head.mac) != (check.seq, check.mac) {
            return broken(check.seq, "it is behind the end of the log: an older end was put back");
        }
        Ok(AuditStep::Whole { entries: check.checked, head: format!("{}:{}", head.seq, hex::encode(head.mac)) })
    }

    /// Whether the entry that a head of an earlier check names is still there, with the same MAC.
    pub async fn audit_holds(&self, head: &str) -> Result<bool, StoreError> {
        let Some((seq, mac)) = head.split_once(':').and_then(|(seq, mac)| Some((seq.parse::<i64>().ok()?, hex::decode(mac).ok()?))) else {
            return Ok(false);
        };
        let found = query_scalar("SELECT COUNT(*) > 0 FROM audit_log WHERE seq = ? AND mac = ?").bind(seq).bind(mac);
        found.fetch_one(&self.inner.readers).await.map_err(refused)
    }
}
