//! Whether people are on WhatsApp: what is still to be asked, and what was answered.

use super::unite::unite;
use super::{CHECK_JOB, put};
use crate::dialect::{query, query_as, query_scalar, refused};
use crate::jobs::NewJob;
use crate::messages::Peer;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{ContactId, Jid, PhoneNumber, Timestamp, UserId};
use serde_json::json;
use uuid::Uuid;

/// Contacts that are marked in one transaction.
const PIECE: i64 = 2000;

/// A contact whose number is to be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToCheck {
    /// The contact.
    pub id: ContactId,
    /// Its number.
    pub phone: PhoneNumber,
}

/// What WhatsApp answered about a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// The number as it was asked for.
    pub phone: PhoneNumber,
    /// The id by number, of somebody who is there.
    pub jid: Option<Jid>,
    /// The id that hides the number.
    pub lid: Option<Jid>,
}

impl CheckResult {
    /// Whether somebody is there.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.jid.is_some() || self.lid.is_some()
    }
}

/// Makes the job that asks, unless one waits or works.
async fn begin(tx: &mut Tx, user: UserId, due_at: Timestamp) -> Result<(), StoreError> {
    let sql = "SELECT COUNT(*) FROM jobs WHERE kind = ? AND user_id = ? AND state = 0";
    let waits = query_scalar::<_, i64>(sql).bind(CHECK_JOB).bind(user.0).fetch_one(&mut tx.conn).await.map_err(refused)?;
    if waits > 0 {
        return Ok(());
    }
    let job = NewJob {
        kind: CHECK_JOB,
        lane: Some(format!("{CHECK_JOB} {user}")),
        bundle: Some(format!("{user}/check")),
        user_id: Some(user),
        payload: json!({"user": user}),
        due_at,
    };
    tx.enqueue(&[job]).await.map(drop)
}

/// Takes in what WhatsApp told of somebody it was asked about, where that is a contact.
pub(crate) async fn learn(tx: &mut Tx, user: UserId, person: &Peer, asked: &[Jid], on_whatsapp: bool) -> Result<(), StoreError> {
    let mut handles = person.handles();
    handles.extend(asked.iter().filter(|asked| !asked.is_group()).cloned());
    handles.sort_unstable();
    handles.dedup();
    if put::known(tx, user, &handles).await?.is_empty() {
        return Ok(());
    }
    let Some(seq) = unite(tx, user, &handles).await? else { return Ok(()) };
    let sql = "UPDATE contacts SET on_whatsapp = ?, checked_at = ?, check_due = FALSE, jid = COALESCE(?, jid), lid = COALESCE(?, lid) WHERE seq = ?";
    let text = |jid: Option<&Jid>| jid.map(|jid| jid.as_str().to_owned());
    let update = query(sql).bind(on_whatsapp).bind(tx.clock.now().0).bind(text(person.jid.as_ref())).bind(text(person.lid.as_ref()));
    update.bind(seq).execute(&mut tx.conn).await.map(drop).map_err(refused)
}

async fn note(tx: &mut Tx, user: UserId, results: Vec<CheckResult>) -> Result<(), StoreError> {
    for result in results {
        let there = result.is_there();
        let asked = [result.phone.jid()];
        let person = if there { Peer { phone: None, jid: result.jid, lid: result.lid } } else { Peer::default() };
        learn(tx, user, &person, &asked, there).await?;
    }
    Ok(())
}

impl Store {
    /// Marks these contacts of a user to be asked about; answers how many there are.
    pub async fn ask_for_check(&self, user: UserId, ids: Vec<ContactId>) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut marked = 0;
                for id in ids {
                    let mark = query("UPDATE contacts SET check_due = TRUE WHERE id = ? AND user_id = ? AND phone IS NOT NULL");
                    let done = mark.bind(id.0).bind(user.0).execute(&mut tx.conn).await.map_err(refused)?;
                    marked += done.rows_affected();
                }
                if marked > 0 {
                    begin(tx, user, tx.clock.now()).await?;
                }
                Ok(marked)
            })
        })
        .await
    }

    /// Marks every contact of a user to be asked about that was not since `before`; answers how many there are.
    pub async fn ask_for_all_checks(&self, user: UserId, before: Timestamp) -> Result<u64, StoreError> {
        let sql = "UPDATE contacts SET check_due = TRUE WHERE seq IN (SELECT seq FROM contacts WHERE user_id = ? AND seq > ? AND seq <= ? \
                   AND NOT check_due AND phone IS NOT NULL AND (checked_at IS NULL OR checked_at < ?))";
        let (mut marked, mut behind) = (0, i64::MIN);
        loop {
            let end = "SELECT MAX(seq) FROM (SELECT seq FROM contacts WHERE user_id = ? AND seq > ? ORDER BY seq LIMIT ?) AS piece";
            let end = query_scalar::<_, Option<i64>>(end).bind(user.0).bind(behind).bind(PIECE).fetch_one(&self.inner.readers);
            let Some(end) = end.await.map_err(refused)? else { break };
            let from = behind;
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let mark = query(sql).bind(user.0).bind(from).bind(end).bind(before.0);
                    mark.execute(&mut tx.conn).await.map(|done| done.rows_affected()).map_err(refused)
                })
            });
            marked += piece.await?;
            behind = end;
        }
        if marked > 0 {
            let now = self.inner.clock.now();
            self.write(move |tx| Box::pin(begin(tx, user, now))).await?;
        }
        Ok(marked)
    }

    /// The next contacts of a user to be asked about, the oldest first.
    pub async fn to_check(&self, user: UserId, most: u64) -> Result<Vec<ToCheck>, StoreError> {
        let sql = "SELECT id, phone FROM contacts WHERE user_id = ? AND check_due ORDER BY seq LIMIT ?";
        let rows = query_as::<_, (Uuid, Option<String>)>(sql).bind(user.0).bind(crate::opt_outs::limit(most));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let read = |(id, phone): (Uuid, Option<String>)| {
            let phone = PhoneNumber::from_wa_user(phone.as_deref()?.trim_start_matches('+'))?;
            Some(ToCheck { id: ContactId(id), phone })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Has the next contacts of a user asked about then, where some are left.
    pub async fn continue_checks(&self, user: UserId, due_at: Timestamp) -> Result<(), StoreError> {
        if self.checks_left(user).await? == 0 {
            return Ok(());
        }
        self.write(move |tx| Box::pin(begin(tx, user, due_at))).await
    }

    /// How many contacts of a user are still to be asked about.
    pub async fn checks_left(&self, user: UserId) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) FROM contacts WHERE user_id = ? AND check_due";
        let count = query_scalar::<_, i64>(sql).bind(user.0).fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Remembers what WhatsApp answered about numbers of a user's contacts.
    pub async fn note_checks(&self, user: UserId, results: Vec<CheckResult>) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                note(tx, user, results).await?;
                tx.finish().await
            })
        })
        .await
    }
}
