//! Rows of contacts, and what belongs to them.

use super::Contact;
use super::labels::LabelKind;
use crate::StoreError;
use crate::dialect::{On, Rows, pieces, query_as, refused};
use crate::messages::Peer;
use crate::rows::{Place, from_row};
use sanasend_model::{ContactId, Timestamp, UserId};
use std::collections::HashMap;
use uuid::Uuid;

/// The columns of [`Row`] out of a table that is called `c`, without the place in the list.
pub(super) const COLUMNS: &str = "c.seq, c.id, c.user_id, c.phone, c.jid, c.lid, c.name, c.notes, c.fields, c.source, c.consent, \
    c.consent_at, c.consent_source, c.consent_note, c.on_whatsapp, c.checked_at, c.check_due, c.opted_out_at, c.created_at, c.updated_at";

pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) phone: Option<String>,
    pub(super) jid: Option<String>,
    pub(super) lid: Option<String>,
    pub(super) name: String,
    pub(super) notes: String,
    pub(super) fields: String,
    pub(super) source: String,
    pub(super) consent: String,
    pub(super) consent_at: Option<i64>,
    pub(super) consent_source: Option<String>,
    pub(super) consent_note: Option<String>,
    pub(super) on_whatsapp: Option<bool>,
    pub(super) checked_at: Option<i64>,
    pub(super) check_due: bool,
    pub(super) opted_out_at: Option<i64>,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    /// By what the list is sorted that it was read for.
    pub(super) place: Vec<u8>,
}

from_row!("contacts": Row {
    seq,
    id,
    user_id,
    phone,
    jid,
    lid,
    name,
    notes,
    fields,
    source,
    consent,
    consent_at,
    consent_source,
    consent_note,
    on_whatsapp,
    checked_at,
    check_due,
    opted_out_at,
    created_at,
    updated_at,
    place
});

static LABELS: Rows = Rows::new("SELECT contact_seq, kind, label FROM contact_labels WHERE contact_seq IN (", "?", ")");
static BY_SEQ: Rows = Rows::new(
    "SELECT c.seq, c.id, c.user_id, c.phone, c.jid, c.lid, c.name, c.notes, c.fields, c.source, c.consent, c.consent_at, \
     c.consent_source, c.consent_note, c.on_whatsapp, c.checked_at, c.check_due, c.opted_out_at, c.created_at, c.updated_at, \
     c.name_key AS place FROM contacts AS c WHERE c.seq IN (",
    "?",
    ")",
);

impl Row {
    fn read(self) -> Result<Contact, StoreError> {
        let id = ContactId(self.id);
        let place = Place { table: "contacts", row: &id };
        Ok(Contact {
            id,
            user_id: UserId(self.user_id),
            person: Peer {
                phone: place.phone("phone", self.phone.as_deref())?,
                jid: place.jid("jid", self.jid.as_deref())?,
                lid: place.jid("lid", self.lid.as_deref())?,
            },
            name: self.name,
            tags: std::collections::BTreeSet::new(),
            groups: std::collections::BTreeSet::new(),
            fields: place.json("fields", Some(&self.fields))?.unwrap_or_default(),
            notes: self.notes,
            source: place.name("source", &self.source)?,
            consent: place.name("consent", &self.consent)?,
            consent_at: self.consent_at.map(Timestamp),
            consent_source: self.consent_source,
            consent_note: self.consent_note,
            on_whatsapp: self.on_whatsapp,
            checked_at: self.checked_at.map(Timestamp),
            check_due: self.check_due,
            opted_out_at: self.opted_out_at.map(Timestamp),
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
        })
    }
}

/// Where something is read, again and again.
pub(super) enum From<'c> {
    Tx(&'c mut crate::dialect::Conn),
    Readers(&'c crate::dialect::Pool),
}

impl From<'_> {
    fn on(&mut self) -> On<'_> {
        match self {
            Self::Tx(conn) => On::Conn(conn),
            Self::Readers(pool) => On::Pool(pool),
        }
    }
}

/// The contacts of rows, in their order, with their tags and groups.
pub(super) async fn read_all(mut from: From<'_>, rows: Vec<Row>) -> Result<Vec<Contact>, StoreError> {
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let mut contacts = rows.into_iter().map(|row| Ok((row.seq, row.read()?))).collect::<Result<Vec<_>, StoreError>>()?;
    let places: HashMap<i64, usize> = contacts.iter().enumerate().map(|(place, (seq, _))| (*seq, place)).collect();
    for piece in pieces(&seqs) {
        let mut select = query_as::<_, (i64, i16, String)>(LABELS.sql(piece.len()));
        for seq in piece {
            select = select.bind(*seq);
        }
        for (seq, kind, label) in select.fetch_all(from.on()).await.map_err(refused)? {
            let contact = places.get(&seq).and_then(|place| contacts.get_mut(*place));
            match (contact, LabelKind::of(kind)) {
                (Some((_, contact)), Some(LabelKind::Tag)) => drop(contact.tags.insert(label)),
                (Some((_, contact)), Some(LabelKind::Group)) => drop(contact.groups.insert(label)),
                _ => {}
            }
        }
    }
    Ok(contacts.into_iter().map(|(_, contact)| contact).collect())
}

/// Contacts by their numbers in the table.
pub(super) async fn by_seq(conn: &mut crate::dialect::Conn, seqs: &[i64]) -> Result<Vec<(i64, Contact)>, StoreError> {
    let mut rows = Vec::with_capacity(seqs.len());
    for piece in pieces(seqs) {
        let mut select = query_as::<_, Row>(BY_SEQ.sql(piece.len()));
        for seq in piece {
            select = select.bind(*seq);
        }
        rows.extend(select.fetch_all(&mut *conn).await.map_err(refused)?);
    }
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let contacts = read_all(From::Tx(conn), rows).await?;
    Ok(seqs.into_iter().zip(contacts).collect())
}
