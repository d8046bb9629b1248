//! What the members of a group told of a message: that it reached them, that they read it, that they played it.
//!
//! One row for each member, written in the transaction of the news. A message to one person has none: its own row says all
//! there is to say, and it costs no statement here. The first that is told of a member stays; what comes again, late or in
//! another order changes nothing.
//!
//! A member who is known by a hidden id at first and by number later may have two rows. Who is who may be learnt long after
//! them, so rows are brought together when they are read: by what the news said, and by what is known of the user's people.

use crate::dialect::{Rows, pieces, query, query_as, query_scalar, refused};
use crate::messages::{Message, Peer};
use crate::opt_outs::whole;
use crate::rows::Place;
use crate::writer::Tx;
use crate::{Listed, Page, Store, StoreError};
use sanasend_model::{Direction, Jid, MessageId, MessageStatus, PhoneNumber, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
pub(crate) struct Members(BTreeMap<(Uuid, Jid), Told>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    delivered: Timestamp,
    read: Option<Timestamp>,
    played: Option<Timestamp>,
}

/// What is written of a member of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    /// The hidden id, of a member who goes by number.
    other: Option<Jid>,
    times: Times,
}

/// WhatsApp's times are whole seconds: without the comparison a member could have read what had not arrived yet.
static SAVE: Rows = Rows::new(
    "INSERT INTO receipts (message_id, participant, other, delivered_at, read_at, played_at) VALUES ",
    "(?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (message_id, participant) DO UPDATE SET \
     other = COALESCE(receipts.other, excluded.other), \
     read_at = COALESCE(receipts.read_at, CASE WHEN excluded.read_at < receipts.delivered_at THEN receipts.delivered_at \
     ELSE excluded.read_at END), \
     played_at = COALESCE(receipts.played_at, CASE WHEN excluded.played_at < COALESCE(receipts.read_at, receipts.delivered_at) \
     THEN COALESCE(receipts.read_at, receipts.delivered_at) ELSE excluded.played_at END) \
     WHERE (receipts.read_at IS NULL AND excluded.read_at IS NOT NULL) \
     OR (receipts.played_at IS NULL AND excluded.played_at IS NOT NULL) \
     OR (receipts.other IS NULL AND excluded.other IS NOT NULL)",
);
static OF_PERSON: Rows = Rows::new("SELECT message_id FROM receipts WHERE (participant = ? OR other = ?) AND message_id IN (", "?", ")");

impl Members {
    /// A member tells of a message. What was read was delivered, what was played was read.
    pub(crate) fn add(&mut self, message: MessageId, by: &Peer, status: MessageStatus, at: Timestamp) {
        let (participant, other) = match (&by.jid, &by.lid) {
            (Some(jid), lid) => (jid, lid.as_ref()),
            (None, Some(lid)) => (lid, None),
            (None, None) => return,
        };
        let new = || Told { other: None, times: Times { delivered: at, read: None, played: None } };
        let Told { other: known, times } = self.0.entry((message.0, participant.clone())).or_insert_with(new);
        if known.is_none() {
            *known = other.cloned();
        }
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
            for ((message, member), Told { other, times }) in piece {
                insert = insert.bind(*message).bind(member.as_str()).bind(other.as_ref().map(Jid::as_str)).bind(times.delivered.0);
                insert = insert.bind(times.read.map(|at| at.0)).bind(times.played.map(|at| at.0));
            }
            insert.execute(&mut tx.conn).await.map_err(refused)?;
        }
        Ok(())
    }
}

/// A receipt with the number and the name that are known of its member.
type Row = (String, Option<String>, Option<String>, Option<String>, i64, Option<i64>, Option<i64>);

/// A receipt, and the other id of its member where the news said it.
type Listing = (Receipt, Option<Jid>);

fn read(id: MessageId, (participant, other, phone, name, delivered, read, played): Row) -> Result<Listing, StoreError> {
    let place = Place { table: "receipts", row: &id };
    let participant = Jid::parse(&participant).ok_or_else(|| place.corrupt("participant"))?;
    let phone = match participant.phone() {
        Some(phone) => Some(phone),
        None => Place { table: "contacts", row: &participant }.phone("phone", phone.as_deref())?,
    };
    let receipt = Receipt {
        participant,
        phone,
        name: name.filter(|name| !name.is_empty()),
        delivered_at: Timestamp(delivered),
        read_at: read.map(Timestamp),
        played_at: played.map(Timestamp),
    };
    Ok((receipt, other.as_deref().and_then(Jid::parse)))
}

/// The earlier of two times, where there are any.
fn first(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// Brings the rows of each member together; each of `people` are ids of one person. In the order in which the message reached
/// them.
fn united(rows: Vec<Listing>, people: &[BTreeSet<Jid>]) -> Vec<Receipt> {
    let told: BTreeSet<Jid> = rows.iter().map(|(receipt, _)| receipt.participant.clone()).collect();
    let mut names: HashMap<Jid, Jid> = HashMap::new();
    for ids in people {
        // A number says more than a hidden id.
        let mut there: Vec<&Jid> = ids.iter().filter(|id| told.contains(*id)).collect();
        there.sort_by_key(|id| id.is_lid());
        let Some((name, others)) = there.split_first() else { continue };
        names.extend(others.iter().map(|other| ((*other).clone(), (*name).clone())));
    }
    let mut members: BTreeMap<Jid, Receipt> = BTreeMap::new();
    for (receipt, _) in rows {
        // Each step leads to an id that comes before, so this ends.
        let mut name = &receipt.participant;
        while let Some(better) = names.get(name) {
            name = better;
        }
        let name = name.clone();
        let Some(known) = members.get_mut(&name) else {
            let phone = name.phone().or_else(|| receipt.phone.clone());
            members.insert(name.clone(), Receipt { participant: name, phone, ..receipt });
            continue;
        };
        known.phone = known.phone.take().or(receipt.phone);
        known.name = known.name.take().or(receipt.name);
        known.delivered_at = known.delivered_at.min(receipt.delivered_at);
        known.read_at = first(known.read_at, receipt.read_at);
        known.played_at = first(known.played_at, receipt.played_at);
    }
    let mut members: Vec<Receipt> = members.into_values().collect();
    // Stable: those whom it reached at the same time stay in the order of their ids.
    members.sort_by_key(|receipt| receipt.delivered_at);
    members
}

impl Store {
    /// How many members told of a message; nobody of one that was not sent to a group. `user` is whose message it is.
    pub async fn receipt_counts(&self, user: UserId, id: MessageId) -> Result<ReceiptCounts, StoreError> {
        let members = self.members(user, id).await?;
        let read = members.iter().filter(|receipt| receipt.read_at.is_some()).count();
        Ok(ReceiptCounts { delivered: members.len() as u64, read: read as u64 })
    }

    /// A page of the members who told of a message, in the order in which it reached them; `user` is whose message it is, and
    /// whose contacts have the names. Whether it is that user's message is for the caller to see.
    pub async fn list_receipts(&self, user: UserId, id: MessageId, page: Page) -> Result<Listed<Receipt>, StoreError> {
        let members = self.members(user, id).await?;
        let place = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let count = members.len() as u64;
        let results = members.into_iter().skip(place(page.offset())).take(place(page.page_size)).collect();
        Ok(Listed { count, results })
    }

    /// All members who told of a message, each once. WhatsApp's groups are small enough for all of one to be looked at.
    async fn members(&self, user: UserId, id: MessageId) -> Result<Vec<Receipt>, StoreError> {
        let sql = "SELECT receipts.participant, receipts.other, contacts.phone, contacts.name, receipts.delivered_at, receipts.read_at, \
                   receipts.played_at FROM receipts \
                   LEFT JOIN contact_handles ON contact_handles.user_id = ? AND contact_handles.handle = receipts.participant \
                   LEFT JOIN contacts ON contacts.seq = contact_handles.contact_seq WHERE receipts.message_id = ?";
        let rows = query_as::<_, Row>(sql).bind(user.0).bind(id.0).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let rows: Vec<Listing> = rows.into_iter().map(|row| read(id, row)).collect::<Result<_, _>>()?;
        // One person has two rows only under a hidden id and a number: where all members go by one of them, nobody is asked for.
        let (hidden, open): (Vec<&Listing>, Vec<&Listing>) = rows.iter().partition(|(receipt, _)| receipt.participant.is_lid());
        let fewer = if hidden.len() < open.len() { hidden } else { open };
        let asked = fewer.into_iter().map(|(receipt, _)| vec![receipt.participant.clone()]).collect();
        let mut people = whole(&self.inner.readers, user, asked).await?;
        people.extend(rows.iter().filter_map(|(receipt, other)| Some(BTreeSet::from([receipt.participant.clone(), other.clone()?]))));
        Ok(united(rows, &people))
    }

    /// Removes what a person, given by all ids, told of these messages.
    pub(crate) async fn erase_receipts(&self, messages: &[Uuid], handles: &BTreeSet<String>) -> Result<(), StoreError> {
        let mut told = Vec::new();
        for handle in handles {
            for piece in pieces(messages) {
                let mut select = query_scalar::<_, Uuid>(OF_PERSON.sql(piece.len())).bind(handle).bind(handle);
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
                    let delete = query("DELETE FROM receipts WHERE message_id = ? AND (participant = ? OR other = ?)").bind(id);
                    delete.bind(handle.as_str()).bind(handle.as_str()).execute(&mut tx.conn).await.map_err(refused)?;
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
        let jid = Jid::parse("14155550101@s.whatsapp.net");
        let (message, by) = (MessageId(Uuid::nil()), Peer { phone: None, jid, lid: None });
        let told = |news: &[(MessageStatus, i64)]| {
            let mut members = Members::default();
            for (status, at) in news {
                members.add(message, &by, *status, Timestamp(*at));
            }
            let times: Vec<Times> = members.0.into_values().map(|told| told.times).collect();
            (times.len(), times[0].delivered.0, times[0].read.map(|at| at.0), times[0].played.map(|at| at.0))
        };
        assert_eq!(told(&[(Delivered, 1)]), (1, 1, None, None));
        assert_eq!(told(&[(Delivered, 1), (Read, 2), (Played, 3)]), (1, 1, Some(2), Some(3)));
        assert_eq!(told(&[(Read, 2), (Delivered, 3), (Read, 4)]), (1, 2, Some(2), None));
        assert_eq!(told(&[(Played, 2), (Read, 3)]), (1, 2, Some(2), Some(2)));
        assert_eq!(told(&[(Delivered, 5), (Read, 4)]), (1, 5, Some(5), None), "a second is a long time");
    }
}
