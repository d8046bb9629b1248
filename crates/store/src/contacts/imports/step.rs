//! One step of an import: some lines are taken in, and the place moves behind them, in one transaction.

use super::{ImportFault, ImportPlace, ImportState, MOST_FAULTS, end, of};
use crate::contacts::put::put;
use crate::contacts::{NewContact, Put};
use crate::dialect::{Rows, query, query_scalar, refused};
use crate::opt_outs::{NewOptOut, OptOutCause, opt_out_all};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{ContactSource, ImportId, OptOutSource, UserId};

/// Faults of one line are told apart by it.
const FAULTS_OF_A_LINE: u64 = 1000;

static FAULTS: Rows = Rows::insert("INSERT INTO import_faults (import_id, number, line, field, message) VALUES ", "(?, ?, ?, ?, ?)", "");

/// Some lines of a file.
#[derive(Debug, Clone)]
pub struct ImportStep {
    /// The import.
    pub import: ImportId,
    /// Whose it is.
    pub user: UserId,
    /// The place from which they were read: somebody else's step is no place for this one.
    pub from: ImportPlace,
    /// The place behind them.
    pub to: ImportPlace,
    /// How many lines they are, refused ones included.
    pub lines: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// What is wrong with those.
    pub faults: Vec<ImportFault>,
    /// Contacts to put in; those marked are opted out as well.
    pub contacts: Vec<(NewContact, bool)>,
    /// People to opt out.
    pub opt_outs: Vec<NewOptOut>,
    /// How the import ends with it, and why when it breaks off.
    pub end: Option<(ImportState, Option<String>)>,
}

/// Puts the people in; how many of them were new, and how many were not.
async fn people(tx: &mut Tx, user: UserId, contacts: Vec<(NewContact, bool)>, outs: Vec<NewOptOut>) -> Result<(u64, u64), StoreError> {
    let cause = OptOutCause { source: OptOutSource::Import, message_id: None, note: None };
    let marked = contacts.iter().filter(|(_, out)| *out).map(|(new, _)| NewOptOut { person: new.person.clone(), cause: cause.clone() });
    let marked: Vec<NewOptOut> = marked.collect();
    let done = put(tx, user, contacts.into_iter().map(|(new, _)| new).collect(), ContactSource::Import).await?;
    if !marked.is_empty() {
        opt_out_all(tx, user, None, marked).await?;
    }
    let made = if outs.is_empty() { Vec::new() } else { opt_out_all(tx, user, None, outs).await? };
    tx.finish().await?;
    let new = done.iter().filter(|put| matches!(put, Put::Created(_))).count() + made.iter().filter(|made| made.is_some()).count();
    let all = done.len() + made.len();
    Ok((new as u64, (all - new) as u64))
}

async fn add_faults(tx: &mut Tx, id: ImportId, faults: &[ImportFault]) -> Result<(), StoreError> {
    let kept = query_scalar::<_, i64>("SELECT COUNT(*) FROM import_faults WHERE import_id = ?").bind(id.0);
    let kept = u64::try_from(kept.fetch_one(&mut tx.conn).await.map_err(refused)?).unwrap_or(0);
    let room = usize::try_from(MOST_FAULTS.saturating_sub(kept)).unwrap_or(usize::MAX);
    let (mut line, mut again) = (0, 0);
    let numbered: Vec<(u64, &ImportFault)> = faults
        .iter()
        .take(room)
        .map(|fault| {
            again = if fault.line == line { again + 1 } else { 0 };
            line = fault.line;
            (line.saturating_mul(FAULTS_OF_A_LINE).saturating_add(again), fault)
        })
        .collect();
    for piece in tx.conn.pieces(&numbered) {
        let mut insert = query(FAULTS.sql(piece.len()));
        for (number, fault) in piece {
            insert = insert.bind(id.0).bind(of(*number)).bind(of(fault.line)).bind(&fault.field).bind(&fault.message);
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

async fn take(tx: &mut Tx, step: ImportStep) -> Result<bool, StoreError> {
    let ImportStep { import, user, from, to, lines, refused: bad, faults, contacts, opt_outs, end: ends } = step;
    let now = tx.clock.now();
    // First, so that of two that work on one import only one writes.
    let sql = "UPDATE contact_imports SET read_bytes = ?, breaks = ?, lines = lines + ?, refused = refused + ?, updated_at = ? \
               WHERE id = ? AND state = 0 AND read_bytes = ?";
    let update = query(sql).bind(of(to.bytes)).bind(of(to.breaks)).bind(of(lines)).bind(of(bad)).bind(now.0).bind(import.0);
    if update.bind(of(from.bytes)).execute(&mut tx.conn).await.map_err(refused)?.rows_affected() == 0 {
        return Ok(false);
    }
    if !faults.is_empty() {
        add_faults(tx, import, &faults).await?;
    }
    let (created, merged) = people(tx, user, contacts, opt_outs).await?;
    let counted = query("UPDATE contact_imports SET created = created + ?, merged = merged + ? WHERE id = ?");
    counted.bind(of(created)).bind(of(merged)).bind(import.0).execute(&mut tx.conn).await.map_err(refused)?;
    if let Some((state, reason)) = ends {
        end(tx, import, state, reason.as_deref()).await?;
        return Ok(true);
    }
    // What was read is not needed any more: everything before the piece in which the place is.
    let read = "DELETE FROM import_pieces WHERE import_id = ? AND begins < (SELECT MAX(begins) FROM import_pieces WHERE import_id = ? AND \
                begins <= ?)";
    let read = query(read).bind(import.0).bind(import.0).bind(of(to.bytes));
    read.execute(&mut tx.conn).await.map_err(refused)?;
    Ok(true)
}

impl Store {
    /// Takes lines of a file in. False when the import was ended, or somebody else went on with it: nothing was written then.
    pub async fn take_import(&self, step: ImportStep) -> Result<bool, StoreError> {
        self.write(move |tx| Box::pin(take(tx, step))).await
    }
}
