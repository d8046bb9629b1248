//! Tags and groups: names under which a user gathers contacts.

use crate::dialect::{Rows, query, query_as, refused};
use crate::opt_outs::limit;
use crate::writer::Tx;
use crate::{Listed, Page, Store, StoreError};
use sanasend_model::UserId;
use std::collections::BTreeSet;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabelKind {
    /// A tag.
    Tag,
    /// A group.
    Group,
}

impl LabelKind {
    pub(super) const fn number(self) -> i16 {
        match self {
            Self::Tag => 0,
            Self::Group => 1,
        }
    }

    pub(super) const fn of(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Tag),
            1 => Some(Self::Group),
            _ => None,
        }
    }
}

/// A tag or group, and how many contacts have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCount {
    /// Its name.
    pub name: String,
    /// Contacts that have it.
    pub contacts: u64,
}

static INSERT: Rows = Rows::insert(
    "INSERT INTO contact_labels (user_id, kind, label, contact_seq) VALUES ",
    "(?, ?, ?, ?)",
    " ON CONFLICT (user_id, kind, label, contact_seq) DO NOTHING",
);

/// A name and the contact that is to have it.
pub(super) type Label = (LabelKind, String, i64);

/// Gives contacts names, where they do not have them.
pub(super) async fn add(tx: &mut Tx, user: UserId, labels: &[Label]) -> Result<(), StoreError> {
    for piece in tx.conn.pieces(labels) {
        let mut insert = query(INSERT.sql(piece.len()));
        for (kind, label, seq) in piece {
            insert = insert.bind(user.0).bind(kind.number()).bind(label).bind(*seq);
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

/// Makes these the only names of a kind that a contact has.
pub(super) async fn replace(tx: &mut Tx, user: UserId, seq: i64, kind: LabelKind, names: &BTreeSet<String>) -> Result<(), StoreError> {
    let delete = query("DELETE FROM contact_labels WHERE contact_seq = ? AND kind = ?").bind(seq).bind(kind.number());
    delete.execute(&mut tx.conn).await.map_err(refused)?;
    add(tx, user, &names.iter().map(|name| (kind, name.clone(), seq)).collect::<Vec<_>>()).await
}

/// Rows of a name that are changed in one transaction.
const PIECE: i64 = 1000;

async fn move_some(tx: &mut Tx, user: UserId, kind: LabelKind, from: &str, to: Option<&str>) -> Result<u64, StoreError> {
    let sql = "SELECT contact_seq FROM contact_labels WHERE user_id = ? AND kind = ? AND label = ? LIMIT ?";
    let rows = query_as::<_, (i64,)>(sql).bind(user.0).bind(kind.number()).bind(from).bind(PIECE).fetch_all(&mut tx.conn);
    let seqs: Vec<i64> = rows.await.map_err(refused)?.into_iter().map(|(seq,)| seq).collect();
    for seq in &seqs {
        let delete = query("DELETE FROM contact_labels WHERE user_id = ? AND kind = ? AND label = ? AND contact_seq = ?");
        let delete = delete.bind(user.0).bind(kind.number()).bind(from).bind(*seq);
        delete.execute(&mut tx.conn).await.map_err(refused)?;
    }
    if let Some(to) = to {
        add(tx, user, &seqs.iter().map(|seq| (kind, to.to_owned(), *seq)).collect::<Vec<_>>()).await?;
    }
    Ok(seqs.len() as u64)
}

impl Store {
    /// A page of the tags or groups of a user, by name.
    pub async fn list_labels(&self, user: UserId, kind: LabelKind, page: Page) -> Result<Listed<LabelCount>, StoreError> {
        let sql = "SELECT COUNT(*) FROM (SELECT DISTINCT label FROM contact_labels WHERE user_id = ? AND kind = ?) AS labels";
        let count = query_as::<_, (i64,)>(sql).bind(user.0).bind(kind.number()).fetch_one(&self.inner.readers).await.map_err(refused)?;
        let sql =
            "SELECT label, COUNT(*) FROM contact_labels WHERE user_id = ? AND kind = ? GROUP BY label ORDER BY label LIMIT ? OFFSET ?";
        let rows =
            query_as::<_, (String, i64)>(sql).bind(user.0).bind(kind.number()).bind(limit(page.page_size)).bind(limit(page.offset()));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let number = |count| u64::try_from(count).unwrap_or(0);
        let results = rows.into_iter().map(|(name, count)| LabelCount { name, contacts: number(count) }).collect();
        Ok(Listed { count: number(count.0), results })
    }

    /// Takes a tag or group off all contacts of a user, or gives it another name; answers how many had it.
    pub async fn move_label(&self, user: UserId, kind: LabelKind, from: String, to: Option<String>) -> Result<u64, StoreError> {
        if to.as_ref() == Some(&from) {
            return Ok(0);
        }
        let mut moved = 0;
        loop {
            let (from, to) = (from.clone(), to.clone());
            let piece = self.write(move |tx| Box::pin(async move { move_some(tx, user, kind, &from, to.as_deref()).await }));
            match piece.await? {
                0 => return Ok(moved),
                some => moved += some,
            }
        }
    }
}
