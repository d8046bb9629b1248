//! Erasing one person everywhere: what was written with them, what was told of it, and what is noted about them.
//!
//! What stays is the bare number or id of somebody who opted out, because without it the wish could not be honoured: a hash
//! of a number would hide nothing, since there are so few numbers that all of them can be tried. The contact goes at once,
//! together with the job that does the rest in pieces and bears being done twice.

use super::change::find;
use crate::dialect::{query, query_as, query_scalar, refused};
use crate::jobs::NewJob;
use crate::opt_outs::whole;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{ContactId, Jid, MessageId, UserId};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Kind of the jobs that erase; the payload is `{"user": id, "handles": [ids of WhatsApp], "imports": whether some were under
/// way}`, and is gone with the job.
pub const ERASE_JOB: &str = "contact.erase";

/// Rows that are looked at in one piece.
const PIECE: i64 = 1000;
/// Kinds of Signal state that hold what was written: sent messages, incoming ones under way, and what opens edits of them.
const WRITTEN: [i16; 3] = [17, 18, 19];

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Messages.
    pub messages: u64,
    /// Entries of the event log.
    pub events: u64,
}

/// A message as far as it tells who it is with.
type Looked = (i64, i64, Uuid, String, Option<String>, Option<String>, Option<String>, Option<String>);

/// The ids of one person, for finding them in what was written.
pub(super) struct Person {
    handles: BTreeSet<String>,
    phones: BTreeSet<String>,
    /// What is the same in every way of writing an id.
    digits: BTreeSet<String>,
}

impl Person {
    pub(super) fn of(handles: &[Jid]) -> Self {
        let phones: BTreeSet<String> = handles.iter().filter_map(|handle| handle.phone().map(|phone| phone.to_string())).collect();
        let handles: BTreeSet<String> = handles.iter().map(|handle| handle.as_str().to_owned()).collect();
        let user = |handle: &String| handle.split(['@', ':']).next().unwrap_or_default().to_owned();
        // Shorter ones would be found in what is no id at all.
        let digits = handles.iter().map(user).filter(|user| user.len() >= 6 && user.bytes().all(|byte| byte.is_ascii_digit())).collect();
        Self { handles, phones, digits }
    }

    /// The ids of WhatsApp.
    pub(super) fn handles(&self) -> BTreeSet<String> {
        self.handles.clone()
    }

    pub(super) fn digits(&self) -> impl Iterator<Item = &str> {
        self.digits.iter().map(String::as_str)
    }

    /// Whether an id stands anywhere in a text, as a whole number; or only where a value of JSON begins.
    fn stands_in(&self, text: &str, begins: bool) -> bool {
        self.digits.iter().any(|digits| {
            text.match_indices(digits.as_str()).any(|(at, _)| {
                let before = text.as_bytes().get(..at).unwrap_or_default();
                let after = text.as_bytes().get(at + digits.len());
                let whole = !before.last().is_some_and(u8::is_ascii_digit) && !after.is_some_and(u8::is_ascii_digit);
                whole && (!begins || before.ends_with(b"\"") || before.ends_with(b"\"+"))
            })
        })
    }

    /// Whether a text names this person.
    pub(super) fn is_mentioned(&self, text: &str) -> bool {
        self.stands_in(text, false)
    }

    /// Whether a message is with this person, or from them in a group.
    fn is_in(&self, (_, _, _, chat, phone, jid, lid, _): &Looked) -> bool {
        let known = |text: &Option<String>| text.as_ref().is_some_and(|text| self.handles.contains(text));
        self.handles.contains(chat) || known(jid) || known(lid) || phone.as_ref().is_some_and(|phone| self.phones.contains(phone))
    }

    /// Whether a message to others quotes this person.
    fn is_quoted(&self, (.., quoted): &Looked) -> bool {
        let quoted = quoted.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        quoted.is_some_and(|quoted| quoted["participant"].as_str().is_some_and(|who| self.handles.contains(who)))
    }

    /// Whether a JSON text is about this person: what is written in a sentence to others does not count.
    pub(super) fn is_told(&self, text: &str) -> bool {
        self.stands_in(text, true)
    }
}

/// Removes the contact and what is noted of its opt-outs, and makes the job that does the rest.
async fn begin(tx: &mut Tx, user: UserId, id: ContactId) -> Result<bool, StoreError> {
    let Some((seq, contact)) = find(tx, user, id).await? else { return Ok(false) };
    let handles = whole(&mut tx.conn, user, vec![contact.person.handles()]).await?.pop().unwrap_or_default();
    query("DELETE FROM contacts WHERE seq = ?").bind(seq).execute(&mut tx.conn).await.map_err(refused)?;
    for handle in &handles {
        let column = if handle.is_lid() { "lid" } else { "jid" };
        let strip = format!("UPDATE opt_outs SET note = NULL, message_id = NULL WHERE user_id = ? AND ended_at IS NULL AND {column} = ?");
        let strip = query(crate::dialect::AssertSqlSafe(strip)).bind(user.0).bind(handle.as_str());
        strip.execute(&mut tx.conn).await.map_err(refused)?;
        let ended = format!("DELETE FROM opt_outs WHERE user_id = ? AND ended_at IS NOT NULL AND ({column} = ? OR phone = ?)");
        let phone = handle.phone().map(|phone| phone.as_str().to_owned());
        let ended = query(crate::dialect::AssertSqlSafe(ended)).bind(user.0).bind(handle.as_str()).bind(phone);
        ended.execute(&mut tx.conn).await.map_err(refused)?;
    }
    let handles: Vec<&str> = handles.iter().map(Jid::as_str).collect();
    // Files that are being taken in may hold the person, and make the contact again.
    let importing = query_scalar::<_, i64>("SELECT COUNT(*) FROM contact_imports WHERE user_id = ? AND state IN (0, 4)").bind(user.0);
    let importing = importing.fetch_one(&mut tx.conn).await.map_err(refused)? > 0;
    let payload = json!({"user": user, "handles": handles, "imports": importing});
    let due_at = tx.clock.now();
    let bundle = Some(format!("{user}/erase"));
    tx.enqueue(&[NewJob { kind: ERASE_JOB, lane: None, bundle, user_id: Some(user), payload, due_at }]).await?;
    Ok(true)
}

/// Removes messages, and makes their files due for the next sweep where nothing else carries them.
async fn remove_messages(tx: &mut Tx, gone: Vec<Uuid>, unquote: Vec<Uuid>) -> Result<(), StoreError> {
    for id in gone {
        tx.leave_outbox(MessageId(id)).await?;
        let file = "UPDATE files SET used_at = 0 WHERE id IN (SELECT file_id FROM message_media WHERE message_id = ?)";
        query(file).bind(id).execute(&mut tx.conn).await.map_err(refused)?;
        query("DELETE FROM messages WHERE id = ?").bind(id).execute(&mut tx.conn).await.map_err(refused)?;
    }
    for id in unquote {
        query("UPDATE messages SET quoted = NULL WHERE id = ?").bind(id).execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

async fn remove_events(tx: &mut Tx, user: UserId, seqs: Vec<i64>) -> Result<(), StoreError> {
    for seq in seqs {
        let deliveries =
            "DELETE FROM webhook_deliveries WHERE event_seq = ? AND endpoint_id IN (SELECT id FROM webhook_endpoints WHERE user_id = ?)";
        query(deliveries).bind(seq).bind(user.0).execute(&mut tx.conn).await.map_err(refused)?;
        query("DELETE FROM events WHERE seq = ?").bind(seq).execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

/// Removes what Signal state keeps of messages in a chat; `begin` is how their keys begin: its id and a NUL.
async fn forget_written(tx: &mut Tx, session: Uuid, begin: &[u8]) -> Result<(), StoreError> {
    let mut end = begin.to_vec();
    end.pop();
    end.push(1);
    for kind in WRITTEN {
        let delete = query("DELETE FROM signal WHERE session_id = ? AND kind = ? AND key >= ? AND key < ?").bind(session).bind(kind);
        delete.bind(begin).bind(end.as_slice()).execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

impl Store {
    /// Removes a contact, and has everything else of that person erased by a job; false when it is not there.
    pub async fn erase_contact(&self, user: UserId, id: ContactId) -> Result<bool, StoreError> {
        self.write(move |tx| Box::pin(begin(tx, user, id))).await
    }

    /// Erases what a user has of a person: messages with their files, events and deliveries, remembered answers, and what
    /// was kept for sending again. In pieces; doing it twice does no harm.
    pub async fn erase_traces(&self, user: UserId, handles: &[Jid]) -> Result<Erased, StoreError> {
        let person = Person::of(handles);
        let messages = self.erase_messages(user, &person).await?;
        let events = self.erase_events(user, &person).await?;
        self.erase_recipients(user, handles).await?;
        self.erase_rest(user, &person, handles).await?;
        let sql = "SELECT key, body FROM idempotency WHERE user_id = ?";
        let answers = query_as::<_, (String, String)>(sql).bind(user.0).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let keys: Vec<String> = answers.into_iter().filter(|(_, body)| person.is_told(body)).map(|(key, _)| key).collect();
        let sessions = query_scalar::<_, Uuid>("SELECT id FROM sessions WHERE user_id = ?").bind(user.0);
        let sessions = sessions.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let beginnings: Vec<Vec<u8>> = handles.iter().map(|handle| [handle.as_str().as_bytes(), b"\0"].concat()).collect();
        self.write(move |tx| {
            Box::pin(async move {
                for key in keys {
                    let delete = query("DELETE FROM idempotency WHERE user_id = ? AND key = ?").bind(user.0).bind(key);
                    delete.execute(&mut tx.conn).await.map_err(refused)?;
                }
                for session in sessions {
                    for begin in &beginnings {
                        forget_written(tx, session, begin).await?;
                    }
                }
                Ok(())
            })
        })
        .await?;
        Ok(Erased { messages, events })
    }

    async fn erase_messages(&self, user: UserId, person: &Person) -> Result<u64, StoreError> {
        let sql = "SELECT seq, created_at, id, chat, peer_phone, peer_jid, peer_lid, quoted FROM messages \
                   WHERE user_id = ? AND (created_at, seq) > (?, ?) ORDER BY created_at, seq LIMIT ?";
        let (mut behind, mut erased, handles) = ((i64::MIN, i64::MIN), 0, person.handles());
        loop {
            let rows = query_as::<_, Looked>(sql).bind(user.0).bind(behind.0).bind(behind.1).bind(PIECE);
            let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
            let Some(last) = rows.last() else { break };
            behind = (last.1, last.0);
            let in_groups = rows.iter().filter(|row| Jid::parse(&row.3).is_some_and(|chat| chat.is_group()));
            self.erase_receipts(&in_groups.map(|row| row.2).collect::<Vec<_>>(), &handles).await?;
            let (gone, others): (Vec<&Looked>, Vec<&Looked>) = rows.iter().partition(|row| person.is_in(row));
            let unquote: Vec<Uuid> = others.into_iter().filter(|row| person.is_quoted(row)).map(|row| row.2).collect();
            let gone: Vec<Uuid> = gone.into_iter().map(|row| row.2).collect();
            erased += gone.len() as u64;
            if !gone.is_empty() || !unquote.is_empty() {
                self.write(move |tx| Box::pin(remove_messages(tx, gone, unquote))).await?;
                // No event tells of them.
                self.inner.counts.forget(user);
            }
        }
        Ok(erased)
    }

    async fn erase_events(&self, user: UserId, person: &Person) -> Result<u64, StoreError> {
        let sql = "SELECT seq, data FROM events WHERE user_id = ? AND seq > ? ORDER BY seq LIMIT ?";
        let (mut behind, mut erased) = (0, 0);
        loop {
            let rows = query_as::<_, (i64, String)>(sql).bind(user.0).bind(behind).bind(PIECE);
            let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
            let Some((last, _)) = rows.last() else { break };
            behind = *last;
            let gone: Vec<i64> = rows.iter().filter(|(_, data)| person.is_told(data)).map(|(seq, _)| *seq).collect();
            erased += gone.len() as u64;
            if !gone.is_empty() {
                self.write(move |tx| Box::pin(remove_events(tx, user, gone))).await?;
            }
        }
        Ok(erased)
    }
}
