//! Making contacts: one, or thousands of a file; whoever is known already gets what is new.

use super::labels::{Label, LabelKind};
use super::row::by_seq;
use super::{Contact, NewContact, labels};
use crate::dialect::{Rows, pieces, query, query_as, refused};
use crate::messages::{Message, Peer};
use crate::opt_outs::{NewOptOut, OptOutCause, opt_out_all, relink};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{Consent, ContactId, ContactSource, Jid, OptOutSource, PhoneNumber, Timestamp, UserId, contact};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// What came of a contact that was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Created(ContactId),
    /// The person was a contact already, which got what was new.
    Merged(ContactId),
}

impl Put {
    /// The contact.
    #[must_use]
    pub const fn id(self) -> ContactId {
        match self {
            Self::Created(id) | Self::Merged(id) => id,
        }
    }
}

static INSERT: Rows = Rows::insert(
    "INSERT INTO contacts (id, user_id, phone, jid, lid, name, name_key, notes, fields, source, consent, consent_at, consent_source, \
     consent_note, check_due, opted_out_at, created_at, updated_at) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, FALSE, ?, ?, ?)",
    " RETURNING seq, id",
);
static HANDLES: Rows = Rows::insert("INSERT INTO contact_handles (user_id, handle, contact_seq) VALUES ", "(?, ?, ?)", "");
static WORDS: Rows = Rows::insert(
    "INSERT INTO contact_words (user_id, word, contact_seq) VALUES ",
    "(?, ?, ?)",
    " ON CONFLICT (user_id, word, contact_seq) DO NOTHING",
);
static KNOWN: Rows = Rows::new(
    "SELECT handle, contact_seq FROM (VALUES ",
    "(?, ?)",
    ") AS wanted JOIN contact_handles ON contact_handles.user_id = wanted.column1 AND handle = wanted.column2",
);
static NAMES: Rows = Rows::new(
    "SELECT handle, contacts.name FROM (VALUES ",
    "(?, ?)",
    ") AS wanted JOIN contact_handles ON contact_handles.user_id = wanted.column1 AND handle = wanted.column2 \
     JOIN contacts ON contacts.seq = contact_seq",
);

/// The contacts that have these ids.
pub(super) async fn known(tx: &mut Tx, user: UserId, handles: &[Jid]) -> Result<HashMap<Jid, i64>, StoreError> {
    let mut found = HashMap::new();
    for piece in pieces(handles) {
        let mut select = query_as::<_, (String, i64)>(KNOWN.sql(piece.len()));
        for handle in piece {
            select = select.bind(user.0).bind(handle.as_str());
        }
        let rows = select.fetch_all(&mut tx.conn).await.map_err(refused)?;
        found.extend(rows.into_iter().filter_map(|(handle, seq)| Some((Jid::parse(&handle)?, seq))));
    }
    Ok(found)
}

/// Writes which ids a contact has.
pub(super) async fn insert_handles(tx: &mut Tx, user: UserId, rows: &[(Jid, i64)]) -> Result<(), StoreError> {
    for piece in tx.conn.pieces(rows) {
        let mut insert = query(HANDLES.sql(piece.len()));
        for (handle, seq) in piece {
            insert = insert.bind(user.0).bind(handle.as_str()).bind(*seq);
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

/// Writes the words by which contacts are found.
pub(super) async fn insert_words(tx: &mut Tx, user: UserId, rows: &[(String, i64)]) -> Result<(), StoreError> {
    for piece in tx.conn.pieces(rows) {
        let mut insert = query(WORDS.sql(piece.len()));
        for (word, seq) in piece {
            insert = insert.bind(user.0).bind(word.as_bytes()).bind(*seq);
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

/// Adds what `more` knows to `one`; whether that changed anything.
fn add(one: &mut NewContact, more: NewContact) {
    let NewContact { person, name, tags, groups, fields, notes, consent, consent_note } = more;
    one.person.phone = one.person.phone.take().or(person.phone);
    one.person.jid = one.person.jid.take().or(person.jid);
    one.person.lid = one.person.lid.take().or(person.lid);
    if !name.is_empty() {
        one.name = name;
    }
    if !notes.is_empty() {
        one.notes = notes;
    }
    one.tags.extend(tags);
    one.groups.extend(groups);
    one.fields.extend(fields);
    if consent.is_some() {
        (one.consent, one.consent_note) = (consent, consent_note);
    }
}

/// Puts contacts of a user in, in one transaction; what came of each. Two of the same person are one.
pub(super) async fn put(tx: &mut Tx, user: UserId, new: Vec<NewContact>, source: ContactSource) -> Result<Vec<Put>, StoreError> {
    let handles: BTreeSet<Jid> = new.iter().flat_map(|new| new.person.handles()).collect();
    let known = known(tx, user, &handles.iter().cloned().collect::<Vec<_>>()).await?;
    // By the contact that is there, else by the first of this batch that is the same person.
    let mut first: HashMap<Jid, usize> = HashMap::new();
    let (mut fresh, mut there): (Vec<NewContact>, HashMap<i64, NewContact>) = (Vec::new(), HashMap::new());
    let mut places = Vec::with_capacity(new.len());
    for new in new {
        let handles = new.person.handles();
        if let Some(seq) = handles.iter().find_map(|handle| known.get(handle)) {
            places.push(Place::There(*seq));
            add(there.entry(*seq).or_default(), new);
        } else if let Some(place) = handles.iter().find_map(|handle| first.get(handle)).copied() {
            places.push(Place::Again(place));
            for handle in handles {
                first.entry(handle).or_insert(place);
            }
            if let Some(one) = fresh.get_mut(place) {
                add(one, new);
            }
        } else {
            places.push(Place::Fresh(fresh.len()));
            first.extend(handles.into_iter().map(|handle| (handle, fresh.len())));
            fresh.push(new);
        }
    }
    let ids = insert(tx, user, &fresh, source).await?;
    let mut merged = HashMap::with_capacity(there.len());
    let seqs: Vec<i64> = there.keys().copied().collect();
    for (seq, contact) in by_seq(&mut tx.conn, &seqs).await? {
        merged.insert(seq, contact.id);
        if let Some(more) = there.remove(&seq) {
            let handles = more.person.handles();
            merge(tx, seq, contact, more, source).await?;
            if handles.len() > 1 {
                super::unite::unite(tx, user, &handles).await?;
            }
        }
    }
    let lost = || StoreError::Unavailable("a contact was not written".into());
    let outcome = |place| match place {
        Place::Fresh(place) => ids.get(place).copied().map(Put::Created),
        Place::Again(place) => ids.get(place).copied().map(Put::Merged),
        Place::There(seq) => merged.get(&seq).copied().map(Put::Merged),
    };
    places.into_iter().map(|place| outcome(place).ok_or_else(lost)).collect()
}

/// Where a contact of a batch went.
enum Place {
    Fresh(usize),
    Again(usize),
    There(i64),
}

async fn insert(tx: &mut Tx, user: UserId, new: &[NewContact], source: ContactSource) -> Result<Vec<ContactId>, StoreError> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let now = tx.clock.now();
    let opted_out = opted_out_at(tx, user, new, now).await?;
    let rows: Vec<(ContactId, &NewContact, Option<Timestamp>)> =
        new.iter().zip(opted_out).map(|(new, out)| (ContactId::new(&*tx.clock), new, out)).collect();
    let mut seqs: HashMap<Uuid, i64> = HashMap::with_capacity(rows.len());
    for piece in tx.conn.pieces(&rows) {
        let mut insert = query_as::<_, (i64, Uuid)>(INSERT.sql(piece.len()));
        for (id, new, out) in piece {
            let consent = if out.is_some() { Consent::Withdrawn } else { new.consent.unwrap_or(Consent::Unknown) };
            let said = (consent != Consent::Unknown).then_some(now.0);
            insert = insert.bind(id.0).bind(user.0).bind(new.person.phone.as_ref().map(PhoneNumber::as_str));
            insert = insert.bind(new.person.jid.as_ref().map(Jid::as_str)).bind(new.person.lid.as_ref().map(Jid::as_str));
            insert = insert.bind(&new.name).bind(contact::sort_key(&new.name)).bind(&new.notes).bind(written(&new.fields));
            insert = insert.bind(source.as_str()).bind(consent.as_str()).bind(said).bind(said.map(|_| source.as_str()));
            insert = insert.bind(&new.consent_note).bind(out.map(|at| at.0)).bind(now.0).bind(now.0);
        }
        seqs.extend(insert.fetch_all(&mut tx.conn).await.map_err(refused)?.into_iter().map(|(seq, id)| (id, seq)));
    }
    let mut handles: Vec<(Jid, i64)> = Vec::new();
    let mut words: Vec<(String, i64)> = Vec::new();
    let mut names: Vec<Label> = Vec::new();
    for (id, new, _) in &rows {
        let seq = seqs.get(&id.0).copied().ok_or_else(|| StoreError::Unavailable("a contact was not written".into()))?;
        handles.extend(new.person.handles().into_iter().map(|handle| (handle, seq)));
        words.extend(contact::words(&new.name, new.person.phone.as_ref()).into_iter().map(|word| (word, seq)));
        names.extend(new.tags.iter().map(|name| (LabelKind::Tag, name.clone(), seq)));
        names.extend(new.groups.iter().map(|name| (LabelKind::Group, name.clone(), seq)));
    }
    insert_handles(tx, user, &handles).await?;
    insert_words(tx, user, &words).await?;
    labels::add(tx, user, &names).await?;
    for (_, new, out) in &rows {
        let handles = new.person.handles();
        if out.is_some() && handles.len() > 1 {
            relink(tx, user, handles).await?;
        }
    }
    Ok(rows.into_iter().map(|(id, ..)| id).collect())
}

/// Which of these opted out before they were contacts.
async fn opted_out_at(tx: &mut Tx, user: UserId, new: &[NewContact], now: Timestamp) -> Result<Vec<Option<Timestamp>>, StoreError> {
    if !tx.guard(user).await?.opted_out {
        return Ok(vec![None; new.len()]);
    }
    let people: Vec<(UserId, Jid)> = new.iter().flat_map(|new| new.person.handles()).map(|handle| (user, handle)).collect();
    let standing = tx.standing(&people).await?;
    let out = |new: &NewContact| new.person.handles().into_iter().any(|handle| standing.contains_key(&(user, handle)));
    Ok(new.iter().map(|new| out(new).then_some(now)).collect())
}

/// Fields as they stand in their column.
pub(super) fn written(fields: &std::collections::BTreeMap<String, String>) -> String {
    serde_json::to_string(fields).unwrap_or_else(|_| "{}".into())
}

/// Gives a contact what is new.
async fn merge(tx: &mut Tx, seq: i64, old: Contact, more: NewContact, source: ContactSource) -> Result<(), StoreError> {
    let (user, now) = (old.user_id, tx.clock.now());
    let mut names: Vec<Label> = more.tags.difference(&old.tags).map(|name| (LabelKind::Tag, name.clone(), seq)).collect();
    names.extend(more.groups.difference(&old.groups).map(|name| (LabelKind::Group, name.clone(), seq)));
    // Whoever opted out is not made to agree by a file.
    let consent = more.consent.filter(|consent| *consent != old.consent && old.opted_out_at.is_none());
    let name = Some(more.name).filter(|name| !name.is_empty() && *name != old.name);
    let notes = Some(more.notes).filter(|notes| !notes.is_empty() && *notes != old.notes);
    let mut fields = old.fields.clone();
    fields.extend(more.fields);
    if names.is_empty() && consent.is_none() && name.is_none() && notes.is_none() && fields == old.fields {
        return Ok(());
    }
    labels::add(tx, user, &names).await?;
    if let Some(name) = &name {
        super::change::rename(tx, user, seq, name, old.person.phone.as_ref()).await?;
    }
    let sql = "UPDATE contacts SET notes = COALESCE(?, notes), fields = ?, updated_at = ? WHERE seq = ?";
    let update = query(sql).bind(notes).bind(written(&fields)).bind(now.0).bind(seq);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    if let Some(consent) = consent {
        super::change::set_consent(tx, seq, consent, source.as_str(), more.consent_note.as_deref()).await?;
    }
    Ok(())
}

/// Whoever wrote becomes a contact, with the name that they go by.
pub(crate) async fn from_conversation(tx: &mut Tx, message: &Message) -> Result<(), StoreError> {
    let mut person = message.peer.clone();
    person.phone = person.phone.or_else(|| person.jid.as_ref().and_then(Jid::phone));
    let handles = person.handles();
    if handles.is_empty() || !known(tx, message.user_id, &handles).await?.is_empty() {
        return Ok(());
    }
    let name = message.peer_name.as_deref().and_then(|name| contact::name(name).ok()).unwrap_or_default();
    insert(tx, message.user_id, &[NewContact { person, name, ..NewContact::default() }], ContactSource::Conversation).await.map(drop)
}

impl Store {
    /// Makes a contact. `Conflict` on `phone` when the person is one already, on `owner` when the user is gone.
    pub async fn create_contact(&self, user: UserId, new: NewContact, source: ContactSource) -> Result<Contact, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if !known(tx, user, &new.person.handles()).await?.is_empty() {
                    return Err(StoreError::Conflict { what: "phone" });
                }
                let id = insert(tx, user, &[new], source).await?.pop();
                let made = super::change::find(tx, user, id.unwrap_or(ContactId(Uuid::nil()))).await?;
                made.map(|(_, contact)| contact).ok_or_else(|| StoreError::Unavailable("the contact was not written".into()))
            })
        })
        .await
    }

    /// Puts many contacts of a user in, in one transaction; what came of each. Those marked are opted out as well. The caller
    /// bounds the number.
    pub async fn put_contacts(&self, user: UserId, new: Vec<(NewContact, bool)>, source: ContactSource) -> Result<Vec<Put>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let cause = OptOutCause { source: OptOutSource::Import, message_id: None, note: None };
                let out = |person: &Peer| NewOptOut { person: person.clone(), cause: cause.clone() };
                let outs: Vec<NewOptOut> = new.iter().filter(|(_, opted_out)| *opted_out).map(|(new, _)| out(&new.person)).collect();
                let done = put(tx, user, new.into_iter().map(|(new, _)| new).collect(), source).await?;
                if !outs.is_empty() {
                    opt_out_all(tx, user, None, outs).await?;
                }
                tx.finish().await?;
                Ok(done)
            })
        })
        .await
    }

    /// Which of these people are contacts already, in their order: for a look before an import.
    pub async fn are_contacts(&self, user: UserId, people: &[Peer]) -> Result<Vec<bool>, StoreError> {
        let handles: BTreeSet<Jid> = people.iter().flat_map(Peer::handles).collect();
        let handles: Vec<Jid> = handles.into_iter().collect();
        let mut found = BTreeSet::new();
        for piece in pieces(&handles) {
            let mut select = query_as::<_, (String, i64)>(KNOWN.sql(piece.len()));
            for handle in piece {
                select = select.bind(user.0).bind(handle.as_str());
            }
            found.extend(select.fetch_all(&self.inner.readers).await.map_err(refused)?.into_iter().map(|(handle, _)| handle));
        }
        Ok(people.iter().map(|person| person.handles().iter().any(|handle| found.contains(handle.as_str()))).collect())
    }

    /// What the user calls these people, in their order; `None` for whoever is no contact, or one without a name.
    pub async fn contact_names(&self, user: UserId, people: &[Peer]) -> Result<Vec<Option<String>>, StoreError> {
        let handles: BTreeSet<Jid> = people.iter().flat_map(Peer::handles).collect();
        let handles: Vec<Jid> = handles.into_iter().collect();
        let mut names: HashMap<String, String> = HashMap::new();
        for piece in pieces(&handles) {
            let mut select = query_as::<_, (String, String)>(NAMES.sql(piece.len()));
            for handle in piece {
                select = select.bind(user.0).bind(handle.as_str());
            }
            names.extend(select.fetch_all(&self.inner.readers).await.map_err(refused)?);
        }
        let named = |handle: &Jid| names.get(handle.as_str()).filter(|name| !name.is_empty()).cloned();
        Ok(people.iter().map(|person| person.handles().iter().find_map(named)).collect())
    }
}
