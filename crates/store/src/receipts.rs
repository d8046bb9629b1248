//! What the members of a group told of a message: that it reached them, that they read it, that they played it.
//!
//! One row for each member, written in the transaction of the news. A message to one person has none: its own row says all
//! there is to say, and it costs no statement here. The first that is told of a member stays; what comes again, late or in
//! another order changes nothing.

use crate::dialect::{Rows, pieces, query, query_as, query_scalar, refused};
use crate::messages::Message;
use crate::opt_outs::limit;
use crate::rows::Place;
use crate::writer::Tx;
use crate::{Listed, Page, Store, StoreError};
use sanasend_model::{Direction, Jid, MessageId, MessageStatus, PhoneNumber, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What one member of a group told of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Who: the id by number where WhatsApp tells it, else the one that hides it.
    pub participant: Jid,
    /// The number, where it is known.
    pub phone: Option<PhoneNumber>,
    /// The name of the user's contact, where there is one.
    pub name: Option<String>,
    /// When it reached a device of the member.
    pub delivered_at: Timestamp,
    /// When the member read it.
    pub read_at: Option<Timestamp>,
    /// When the member played it, of sound and film.
    pub played_at: Option<Timestamp>,
}

/// How many members of a group told of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceiptCounts {
    /// Whom it reached.
    pub delivered: u64,
    /// Who read it.
    pub read: u64,
}

impl Message {
    /// Whether members tell of it one by one: it was sent to a group.
    #[must_use]
    pub fn has_receipts(&self) -> bool {
        self.direction == Direction::Outbound && self.chat.is_group()
    }
}

/// What a batch of news tells of members, each member of a message once.
#[derive(Default)]
pub(crate) struct Members(BTreeMap<(Uuid, String), Times>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    delivered: Timestamp,
    read: Option<Timestamp>,
    played: Option<Timestamp>,
}

/// WhatsApp's times are whole seconds: without the comparison a member could have read what had not arrived yet.
static SAVE: Rows = Rows::new(
    "INSERT INTO receipts (message_id, participant, delivered_at, read_at, played_at) VALUES ",
    "(?, ?, ?, ?, ?)",
    " ON CONFLICT (message_id, participant) DO UPDATE SET \
     read_at = COALESCE(receipts.read_at, CASE WHEN excluded.read_at < receipts.delivered_at THEN receipts.delivered_at \
     ELSE excluded.read_at END), \
     played_at = COALESCE(receipts.played_at, CASE WHEN excluded.played_at < COALESCE(receipts.read_at, receipts.delivered_at) \
     THEN COALESCE(receipts.read_at, receipts.delivered_at) ELSE excluded.played_at END) \
     WHERE (receipts.read_at IS NULL AND excluded.read_at IS NOT NULL) \
     OR (receipts.played_at IS NULL AND excluded.played_at IS NOT NULL)",
);
static OF_PERSON: Rows = Rows::new("SELECT message_id FROM receipts WHERE participant = ? AND message_id IN (", "?", ")");

impl Members {
    /// A member tells of a message. What was read was delivered, what was played was read.
    pub(crate) fn add(&mut self, message: MessageId, by: &Jid, status: MessageStatus, at: Timestamp) {
        let key = (message.0, by.as_str().to_owned());
        let times = self.0.entry(key).or_insert(Times { delivered: at, read: None, played: None });
        let at = at.max(times.read.unwrap_or(times.delivered));
        if matches!(status, MessageStatus::Read | MessageStatus::Played) {
            times.read.get_or_insert(at);
        }
        if status == MessageStatus::Played {
            times.played.get_or_insert(at);
        }
    }

    /// Writes them; no statement when there are none.
    pub(crate) async fn write(self, tx: &mut Tx) -> Result<(), StoreError> {
        let rows: Vec<_> = self.0.into_iter().collect();
        for piece in pieces(&rows) {
            let mut insert = query(SAVE.sql(piece.len()));
            for ((message, member), times) in piece {
                insert = insert.bind(*message).bind(member).bind(times.delivered.0);
                insert = insert.bind(times.read.map(|at| at.0)).bind(times.played.map(|at| at.0));
            }
            insert.execute(&mut tx.conn).await.map_err(refused)?;
        }
        Ok(())
    }
}

/// A receipt with the number and the name that are known of its member.
type Row = (String, Option<String>, Option<String>, i64, Option<i64>, Option<i64>);

fn read(id: MessageId, (participant, phone, name, delivered, read, played): Row) -> Result<Receipt, StoreError> {
    let place = Place { table: "receipts", row: &id };
    let participant = Jid::parse(&participant).ok_or_else(|| place.corrupt("participant"))?;
    let phone = match participant.phone() {
        Some(phone) => Some(phone),
        None => Place { table: "contacts", row: &participant }.phone("phone", phone.as_deref())?,
    };
    Ok(Receipt {
        participant,
        phone,
        name: name.filter(|name| !name.is_empty()),
        delivered_at: Timestamp(delivered),
        read_at: read.map(Timestamp),
        played_at: played.map(Timestamp),
    })
}

impl Store {
    /// How many members told of a message; nobody of one that was not sent to a group.
    pub async fn receipt_counts(&self, id: MessageId) -> Result<ReceiptCounts, StoreError> {
        let sql = "SELECT COUNT(*), COUNT(read_at) FROM receipts WHERE message_id = ?";
        let (delivered, read) = query_as::<_, (i64, i64)>(sql).bind(id.0).fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(ReceiptCounts { delivered: u64::try_from(delivered).unwrap_or(0), read: u64::try_from(read).unwrap_or(0) })
    }

    /// A page of the members who told of a message, in the order in which it reached them; `user` is whose message it is, and
    /// whose contacts have the names. Whether it is that user's message is for the caller to see.
    pub async fn list_receipts(&self, user: UserId, id: MessageId, page: Page) -> Result<Listed<Receipt>, StoreError> {
        let count = self.receipt_counts(id).await?.delivered;
        let sql = "SELECT receipts.participant, contacts.phone, contacts.name, receipts.delivered_at, receipts.read_at, receipts.played_at \
                   FROM receipts LEFT JOIN contact_handles ON contact_handles.user_id = ? AND contact_handles.handle = receipts.participant \
                   LEFT JOIN contacts ON contacts.seq = contact_handles.contact_seq \
                   WHERE receipts.message_id = ? ORDER BY receipts.delivered_at, receipts.participant LIMIT ? OFFSET ?";
        let rows = query_as::<_, Row>(sql).bind(user.0).bind(id.0).bind(limit(page.page_size)).bind(limit(page.offset()));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let results = rows.into_iter().map(|row| read(id, row)).collect::<Result<_, _>>()?;
        Ok(Listed { count, results })
    }

    /// Removes what a person, given by all ids, told of these messages.
    pub(crate) async fn erase_receipts(&self, messages: &[Uuid], handles: &BTreeSet<String>) -> Result<(), StoreError> {
        let mut told = Vec::new();
        for handle in handles {
            for piece in pieces(messages) {
                let mut select = query_scalar::<_, Uuid>(OF_PERSON.sql(piece.len())).bind(handle);
                for id in piece {
                    select = select.bind(*id);
                }
                let found = select.fetch_all(&self.inner.readers).await.map_err(refused)?;
                told.extend(found.into_iter().map(|id| (id, handle.clone())));
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        self.write(move |tx| {
            Box::pin(async move {
                for (id, handle) in told {
                    let delete = query("DELETE FROM receipts WHERE message_id = ? AND participant = ?").bind(id).bind(handle);
                    delete.execute(&mut tx.conn).await.map_err(refused)?;
                }
                Ok(())
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MessageStatus::{Delivered, Played, Read};

    #[test]
    fn what_a_member_tells_in_any_order_is_one_row_that_never_goes_back() {
        let (message, by) = (MessageId(Uuid::nil()), Jid::parse("14155550101@s.whatsapp.net").expect("an id"));
        let told = |news: &[(MessageStatus, i64)]| {
            let mut members = Members::default();
            for (status, at) in news {
                members.add(message, &by, *status, Timestamp(*at));
            }
            let times: Vec<Times> = members.0.into_values().collect();
            (times.len(), times[0].delivered.0, times[0].read.map(|at| at.0), times[0].played.map(|at| at.0))
        };
        assert_eq!(told(&[(Delivered, 1)]), (1, 1, None, None));
        assert_eq!(told(&[(Delivered, 1), (Read, 2), (Played, 3)]), (1, 1, Some(2), Some(3)));
        assert_eq!(told(&[(Read, 2), (Delivered, 3), (Read, 4)]), (1, 2, Some(2), None));
        assert_eq!(told(&[(Played, 2), (Read, 3)]), (1, 2, Some(2), Some(2)));
        assert_eq!(told(&[(Delivered, 5), (Read, 4)]), (1, 5, Some(5), None), "a second is a long time");
    }
}
