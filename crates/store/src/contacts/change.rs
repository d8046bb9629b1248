//! One contact: looking at it, changing and removing it.

use super::labels::LabelKind;
use super::put::{insert_words, written};
use super::row::{From, Row, by_seq, read_all};
use super::{Contact, ContactPatch, NewContact, labels};
use crate::dialect::{query, query_as, query_scalar, refused};
use crate::messages::Peer;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{Consent, ContactId, ContactSource, Jid, PhoneNumber, UserId, contact};

/// A contact of this user as the transaction sees it, with its number in the table.
pub(super) async fn find(tx: &mut Tx, user: UserId, id: ContactId) -> Result<Option<(i64, Contact)>, StoreError> {
    let sql = "SELECT seq FROM contacts WHERE id = ? AND user_id = ?";
    let seq = query_scalar::<_, i64>(sql).bind(id.0).bind(user.0).fetch_optional(&mut tx.conn).await.map_err(refused)?;
    let Some(seq) = seq else { return Ok(None) };
    Ok(by_seq(&mut tx.conn, &[seq]).await?.pop())
}

/// Gives a contact another name.
pub(super) async fn rename(tx: &mut Tx, user: UserId, seq: i64, name: &str, phone: Option<&PhoneNumber>) -> Result<(), StoreError> {
    let update = query("UPDATE contacts SET name = ?, name_key = ? WHERE seq = ?").bind(name).bind(contact::sort_key(name)).bind(seq);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    rewrite_words(tx, user, seq, name, phone).await
}

/// Writes anew the words by which a contact is found.
pub(super) async fn rewrite_words(tx: &mut Tx, user: UserId, seq: i64, name: &str, phone: Option<&PhoneNumber>) -> Result<(), StoreError> {
    query("DELETE FROM contact_words WHERE contact_seq = ?").bind(seq).execute(&mut tx.conn).await.map_err(refused)?;
    let words: Vec<(String, i64)> = contact::words(name, phone).into_iter().map(|word| (word, seq)).collect();
    insert_words(tx, user, &words).await
}

/// Notes whether the person agreed.
pub(super) async fn set_consent(tx: &mut Tx, seq: i64, consent: Consent, source: &str, note: Option<&str>) -> Result<(), StoreError> {
    let sql = "UPDATE contacts SET consent = ?, consent_at = ?, consent_source = ?, consent_note = ? WHERE seq = ?";
    let update = query(sql).bind(consent.as_str()).bind(tx.clock.now().0).bind(source).bind(note).bind(seq);
    update.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

async fn update(tx: &mut Tx, user: UserId, id: ContactId, patch: ContactPatch) -> Result<Option<Contact>, StoreError> {
    let Some((seq, old)) = find(tx, user, id).await? else { return Ok(None) };
    if let Some(name) = patch.name.filter(|name| *name != old.name) {
        rename(tx, user, seq, &name, old.person.phone.as_ref()).await?;
    }
    for (kind, names) in [(LabelKind::Tag, patch.tags), (LabelKind::Group, patch.groups)] {
        if let Some(names) = names {
            labels::replace(tx, user, seq, kind, &names).await?;
        }
    }
    if let Some((consent, source, note)) = patch.consent {
        set_consent(tx, seq, consent, &source, note.as_deref()).await?;
    }
    let sql = "UPDATE contacts SET notes = COALESCE(?, notes), fields = COALESCE(?, fields), updated_at = ? WHERE seq = ?";
    let update = query(sql).bind(patch.notes).bind(patch.fields.as_ref().map(written)).bind(tx.clock.now().0).bind(seq);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    Ok(find(tx, user, id).await?.map(|(_, contact)| contact))
}

/// All that can be written of a contact becomes what `new` says. Of somebody who opted out the consent stays as it is, and so
/// does a consent that says the same: its date and its source are the proof.
async fn replace(tx: &mut Tx, user: UserId, id: ContactId, new: NewContact, source: ContactSource) -> Result<Option<Contact>, StoreError> {
    let Some((seq, old)) = find(tx, user, id).await? else { return Ok(None) };
    let own = old.person.handles();
    if !new.person.handles().iter().all(|handle| own.contains(handle)) {
        return Err(StoreError::Conflict { what: "phone" });
    }
    let NewContact { name, tags, groups, fields, notes, consent, consent_note, .. } = new;
    let consent = consent.unwrap_or(Consent::Unknown);
    let is_new = old.opted_out_at.is_none() && (consent, &consent_note) != (old.consent, &old.consent_note);
    if is_new && consent == Consent::Unknown {
        let sql = "UPDATE contacts SET consent = ?, consent_at = NULL, consent_source = NULL, consent_note = ? WHERE seq = ?";
        query(sql).bind(consent.as_str()).bind(&consent_note).bind(seq).execute(&mut tx.conn).await.map_err(refused)?;
    }
    let patch = ContactPatch {
        name: Some(name),
        tags: Some(tags),
        groups: Some(groups),
        fields: Some(fields),
        notes: Some(notes),
        consent: (is_new && consent != Consent::Unknown).then(|| (consent, source.as_str().to_owned(), consent_note)),
    };
    update(tx, user, id, patch).await
}

impl Store {
    /// One contact of a user.
    pub async fn contact(&self, user: UserId, id: ContactId) -> Result<Option<Contact>, StoreError> {
        let sql = format!("SELECT {}, c.name_key AS place FROM contacts AS c WHERE c.id = ? AND c.user_id = ?", super::row::COLUMNS);
        let row = query_as::<_, Row>(crate::dialect::AssertSqlSafe(sql)).bind(id.0).bind(user.0).fetch_optional(&self.inner.readers);
        let rows = row.await.map_err(refused)?.into_iter().collect();
        Ok(read_all(From::Readers(&self.inner.readers), rows).await?.pop())
    }

    /// The contact of a user that is this person.
    pub async fn contact_of(&self, user: UserId, person: &Peer) -> Result<Option<Contact>, StoreError> {
        for handle in person.handles() {
            let sql = "SELECT contacts.id FROM contact_handles JOIN contacts ON contacts.seq = contact_seq \
                       WHERE contact_handles.user_id = ? AND handle = ?";
            let id = query_scalar::<_, uuid::Uuid>(sql).bind(user.0).bind(handle.as_str()).fetch_optional(&self.inner.readers);
            if let Some(id) = id.await.map_err(refused)? {
                return self.contact(user, ContactId(id)).await;
            }
        }
        Ok(None)
    }

    /// Changes a contact; `None` when it is not there.
    pub async fn update_contact(&self, user: UserId, id: ContactId, patch: ContactPatch) -> Result<Option<Contact>, StoreError> {
        self.write(move |tx| Box::pin(update(tx, user, id, patch))).await
    }

    /// Replaces a contact with what `new` says; `None` when it is not there. `Conflict` on `phone` when `new` is another person.
    pub async fn replace_contact(
        &self,
        user: UserId,
        id: ContactId,
        new: NewContact,
        source: ContactSource,
    ) -> Result<Option<Contact>, StoreError> {
        self.write(move |tx| Box::pin(replace(tx, user, id, new, source))).await
    }

    /// Removes a contact; false when it is not there. Messages stay, and who opted out stays so.
    pub async fn delete_contact(&self, user: UserId, id: ContactId) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let delete = query("DELETE FROM contacts WHERE id = ? AND user_id = ?").bind(id.0).bind(user.0);
                delete.execute(&mut tx.conn).await.map(|done| done.rows_affected() > 0).map_err(refused)
            })
        })
        .await
    }
}

/// The first of some ids that is a number's, for a contact that had none.
pub(super) fn number_in(handles: &[Jid]) -> Option<PhoneNumber> {
    handles.iter().find_map(Jid::phone)
}
