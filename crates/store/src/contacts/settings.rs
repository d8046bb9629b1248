//! What a user wants of contacts and opt-outs.

use crate::dialect::{On, query, query_as, refused};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::UserId;

/// What a user wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactSettings {
    /// Messages go only to people who agreed, or who wrote first.
    pub requires_consent: bool,
    /// Whoever writes to an account becomes a contact.
    pub from_conversations: bool,
    /// What somebody who opts out by a word is answered.
    pub stop_answer: Option<String>,
    /// What somebody who opts in by a word is answered.
    pub start_answer: Option<String>,
}

async fn read(on: impl Into<On<'_>>, user: UserId) -> Result<ContactSettings, StoreError> {
    let sql = "SELECT requires_consent, from_conversations, stop_answer, start_answer FROM contact_settings WHERE user_id = ?";
    let row = query_as::<_, (bool, bool, Option<String>, Option<String>)>(sql).bind(user.0).fetch_optional(on);
    Ok(row.await.map_err(refused)?.map_or_else(ContactSettings::default, |row| {
        let (requires_consent, from_conversations, stop_answer, start_answer) = row;
        ContactSettings { requires_consent, from_conversations, stop_answer, start_answer }
    }))
}

/// The same as the transaction sees it.
pub(crate) async fn settings_of(tx: &mut Tx, user: UserId) -> Result<ContactSettings, StoreError> {
    read(&mut tx.conn, user).await
}

async fn write(tx: &mut Tx, user: UserId, wanted: ContactSettings) -> Result<(), StoreError> {
    // Before anything is written: what changes is told by the difference.
    let mut guard = tx.guard(user).await?;
    let sql = "INSERT INTO contact_settings (user_id, requires_consent, from_conversations, stop_answer, start_answer, updated_at) \
               VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (user_id) DO UPDATE SET requires_consent = excluded.requires_consent, \
               from_conversations = excluded.from_conversations, stop_answer = excluded.stop_answer, \
               start_answer = excluded.start_answer, updated_at = excluded.updated_at";
    let insert = query(sql).bind(user.0).bind(wanted.requires_consent).bind(wanted.from_conversations);
    let insert = insert.bind(wanted.stop_answer).bind(wanted.start_answer).bind(tx.clock.now().0);
    insert.execute(&mut tx.conn).await.map_err(refused)?;
    (guard.requires_consent, guard.from_conversations) = (wanted.requires_consent, wanted.from_conversations);
    tx.set_guard(user, guard).await
}

impl Store {
    /// What a user wants of contacts and opt-outs.
    pub async fn contact_settings(&self, user: UserId) -> Result<ContactSettings, StoreError> {
        read(&self.inner.readers, user).await
    }

    /// Changes that; in force when this returns. `Conflict` on `owner` when the user is gone.
    pub async fn set_contact_settings(&self, user: UserId, wanted: ContactSettings) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(write(tx, user, wanted))).await
    }
}
