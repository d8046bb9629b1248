//! What is left of a person beside messages and events: jobs, recurring sends, logs of requests, imports.
//!
//! Found by the digits of their ids, because such rows hold them in texts of many shapes: `"+14155550101"`, a path, a sentence.

use super::erase::Person;
use crate::dialect::{AssertSqlSafe, query, query_as, query_scalar, refused};
use crate::jobs::raise;
use crate::marks::forget;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{ContactId, Jid, Timestamp, UserId};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Rows that are looked at in one piece.
const PIECE: i64 = 1000;

/// A pattern of `LIKE` for a text that may hold these digits; they have nothing that such a pattern knows.
fn like(digits: &str) -> String {
    format!("%{digits}%")
}

async fn remove_jobs(tx: &mut Tx, jobs: Vec<(Uuid, Option<String>)>) -> Result<(), StoreError> {
    let mut lanes = BTreeSet::new();
    for (id, lane) in jobs {
        query("DELETE FROM jobs WHERE id = ?").bind(id).execute(&mut tx.conn).await.map_err(refused)?;
        lanes.extend(lane);
    }
    raise(tx, lanes).await
}

async fn remove_aliases(tx: &mut Tx, user: UserId, handles: &[Jid]) -> Result<(), StoreError> {
    for handle in handles {
        let aliases = "DELETE FROM chat_aliases WHERE session_id IN (SELECT id FROM sessions WHERE user_id = ?) \
                       AND (asked = ? OR chat = ? OR jid = ? OR lid = ?)";
        let text = handle.as_str();
        let aliases = query(aliases).bind(user.0).bind(text).bind(text).bind(text).bind(text);
        aliases.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

/// A job as far as it may tell of somebody.
type JobTexts = (i64, Uuid, Option<String>, String, Option<String>);

impl Store {
    /// Whether files of a user that were handed in before this time are still being taken in: they may hold anybody.
    pub async fn is_importing(&self, user: UserId, before: Timestamp) -> Result<bool, StoreError> {
        let count =
            query_scalar::<_, i64>("SELECT COUNT(*) FROM contact_imports WHERE user_id = ? AND state IN (0, 4) AND started_at <= ?");
        let count = count.bind(user.0).bind(before.0).fetch_one(&self.inner.readers);
        Ok(count.await.map_err(refused)? > 0)
    }

    /// Removes contacts that have one of these ids: made again by an import that was under way when the person was erased.
    pub async fn erase_imported(&self, user: UserId, handles: &[Jid]) -> Result<(), StoreError> {
        for handle in handles {
            let sql = "SELECT contacts.id FROM contact_handles JOIN contacts ON contacts.seq = contact_seq \
                       WHERE contact_handles.user_id = ? AND handle = ? AND source = 'import'";
            let id = query_scalar::<_, Uuid>(sql).bind(user.0).bind(handle.as_str()).fetch_optional(&self.inner.readers);
            if let Some(id) = id.await.map_err(refused)? {
                self.delete_contact(user, ContactId(id)).await?;
            }
        }
        Ok(())
    }

    /// Erases all of that; doing it twice does no harm.
    pub(super) async fn erase_rest(&self, user: UserId, person: &Person, handles: &[Jid]) -> Result<(), StoreError> {
        let known = handles.to_vec();
        self.write(move |tx| Box::pin(async move { remove_aliases(tx, user, &known).await })).await?;
        self.erase_recurring(user, person).await?;
        for digits in person.digits() {
            self.erase_jobs(user, person, digits).await?;
            self.erase_requests(user, person, digits).await?;
            self.erase_answers(user, digits).await?;
            self.erase_headings(user, digits).await?;
            self.erase_marks(user, person, digits).await?;
        }
        Ok(())
    }

    /// Jobs that name the person, dead ones above all; but not the one that is at work here.
    async fn erase_jobs(&self, user: UserId, person: &Person, digits: &str) -> Result<(), StoreError> {
        let sql = "SELECT seq, id, lane, payload, last_error FROM jobs WHERE user_id = ? AND seq > ? AND (kind <> ? OR state = 2) \
                   AND (payload LIKE ? OR lane LIKE ? OR last_error LIKE ?) ORDER BY seq LIMIT ?";
        let mut behind = i64::MIN;
        loop {
            let rows = query_as::<_, JobTexts>(sql).bind(user.0).bind(behind).bind(super::ERASE_JOB);
            let rows = rows.bind(like(digits)).bind(like(digits)).bind(like(digits)).bind(PIECE);
            let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
            let Some(last) = rows.last() else { return Ok(()) };
            behind = last.0;
            let named = |(_, _, lane, payload, error): &JobTexts| {
                let texts = [lane.as_deref(), Some(payload), error.as_deref()];
                texts.into_iter().flatten().any(|text| person.is_mentioned(text))
            };
            let gone: Vec<_> = rows.into_iter().filter(|row| named(row)).map(|(_, id, lane, ..)| (id, lane)).collect();
            if !gone.is_empty() {
                self.write(move |tx| Box::pin(remove_jobs(tx, gone))).await?;
            }
        }
    }

    /// Recurring sends to the person.
    async fn erase_recurring(&self, user: UserId, person: &Person) -> Result<(), StoreError> {
        let rows = query_as::<_, (Uuid, String)>("SELECT id, recipient FROM recurring WHERE user_id = ?").bind(user.0);
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        for (id, _) in rows.into_iter().filter(|(_, recipient)| person.is_mentioned(recipient)) {
            self.delete_recurring(sanasend_model::ScheduleId(id)).await?;
        }
        Ok(())
    }

    /// Paths of requests that name the person: the route stays.
    async fn erase_requests(&self, user: UserId, person: &Person, digits: &str) -> Result<(), StoreError> {
        let sql = "SELECT seq, path FROM api_log WHERE user_id = ? AND seq > ? AND path LIKE ? ORDER BY seq LIMIT ?";
        let mut behind = i64::MIN;
        loop {
            let rows = query_as::<_, (i64, String)>(sql).bind(user.0).bind(behind).bind(like(digits)).bind(PIECE);
            let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            behind = *last;
            let named: Vec<i64> = rows.into_iter().filter(|(_, path)| person.is_mentioned(path)).map(|(seq, _)| seq).collect();
            self.write(move |tx| {
                Box::pin(async move {
                    for seq in named {
                        let strip = query("UPDATE api_log SET path = endpoint WHERE seq = ?").bind(seq);
                        strip.execute(&mut tx.conn).await.map_err(refused)?;
                    }
                    Ok(())
                })
            })
            .await?;
        }
    }

    /// What receivers of webhooks answered, and why they failed, where that names the person: their deliveries went with
    /// their events, but a receiver may say anything.
    async fn erase_answers(&self, user: UserId, digits: &str) -> Result<(), StoreError> {
        let of_user = "SELECT d.id FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id WHERE e.user_id = ?";
        let attempts = format!(
            "UPDATE webhook_attempts SET request_headers = '{{}}', response_headers = NULL, response_body = NULL, error = NULL \
             WHERE delivery_id IN ({of_user}) AND (request_headers LIKE ? OR response_headers LIKE ? OR response_body LIKE ? OR error LIKE ?)"
        );
        let deliveries = format!("UPDATE webhook_deliveries SET last_error = NULL WHERE id IN ({of_user}) AND last_error LIKE ?");
        let pattern = like(digits);
        self.write(move |tx| {
            Box::pin(async move {
                let strip = query(AssertSqlSafe(attempts)).bind(user.0).bind(pattern.as_str()).bind(pattern.as_str());
                strip.bind(pattern.as_str()).bind(pattern.as_str()).execute(&mut tx.conn).await.map_err(refused)?;
                let strip = query(AssertSqlSafe(deliveries)).bind(user.0).bind(pattern.as_str());
                strip.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// What the person did to messages of others in a group, which is shown there, and the person as the author of what such a
    /// message is about.
    async fn erase_marks(&self, user: UserId, person: &Person, digits: &str) -> Result<(), StoreError> {
        let sql = "SELECT seq, id FROM messages WHERE user_id = ? AND seq > ? AND (marks LIKE ? OR details LIKE ?) \
                   ORDER BY seq LIMIT ?";
        let mut behind = i64::MIN;
        loop {
            let rows = query_as::<_, (i64, Uuid)>(sql).bind(user.0).bind(behind).bind(like(digits)).bind(like(digits));
            let rows = rows.bind(PIECE).fetch_all(&self.inner.readers).await.map_err(refused)?;
            let Some(last) = rows.last() else { return Ok(()) };
            behind = last.0;
            let handles = person.handles();
            self.write(move |tx| {
                Box::pin(async move {
                    for (_, id) in rows {
                        forget(tx, id, &handles).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        }
    }

    /// Headings of imported files, which are a person where a file had none and its columns were named.
    async fn erase_headings(&self, user: UserId, digits: &str) -> Result<(), StoreError> {
        let pattern = like(digits);
        self.write(move |tx| {
            Box::pin(async move {
                let over = "UPDATE contact_imports SET columns = '[]' WHERE user_id = ? AND state NOT IN (0, 4) AND columns LIKE ?";
                let over = query(over).bind(user.0).bind(pattern.as_str());
                over.execute(&mut tx.conn).await.map_err(refused)?;
                let faults =
                    "DELETE FROM import_faults WHERE field LIKE ? AND import_id IN (SELECT id FROM contact_imports WHERE user_id = ?)";
                let faults = query(faults).bind(pattern.as_str()).bind(user.0);
                faults.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_found_by_whole_numbers_only() {
        let person = Person::of(&["14155550101@s.whatsapp.net", "77000000000001@lid"].map(|jid| Jid::parse(jid).expect("an id")));
        for text in ["/x/+14155550101/", "14155550101:3@s.whatsapp.net", "no 77000000000001", "14155550101"] {
            assert!(person.is_mentioned(text), "{text}");
        }
        for text in ["/x/+141555501012/", "214155550101", "", "7700000000000"] {
            assert!(!person.is_mentioned(text), "{text}");
        }
        for text in [r#"{"to":"+14155550101"}"#, r#"{"chat":"77000000000001@lid"}"#, r#"{"chat":"14155550101:3@s.whatsapp.net"}"#] {
            assert!(person.is_told(text), "{text}");
        }
        assert!(!person.is_told(r#"{"body":"call +14155550101"}"#), "what is written to others about them is others'");
    }
}
