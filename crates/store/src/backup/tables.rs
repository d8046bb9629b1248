//! PostgreSQL copied table by table: out of one moment of a running database into files, and from there into an empty one.
//!
//! Which tables and columns there are is asked of the database, so that a new table is never forgotten; names out of a copy
//! are only compared with those of the database that is filled, never put into a statement.

use crate::dialect::{Snapshot, Source, query, query_as, query_scalar, refused};
use crate::migrations::Migrator;
use crate::proofs::{self, Proof};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sea_orm_migration::MigratorTrait;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What belongs to the processes of a moment, or is made anew by the migrations.
const NOT_COPIED: [&str; 3] = ["seaql_migrations", "nodes", "node_calls"];

/// What a copy of PostgreSQL's tables holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The tables; each is a file of its name with the ending `.copy`.
    pub tables: Vec<CopiedTable>,
    /// The counters behind columns that number themselves.
    pub sequences: Vec<CopiedSequence>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedTable {
    /// Its name.
    pub name: String,
    /// Its columns in the order of the file.
    pub columns: Vec<String>,
    /// How many rows.
    pub rows: u64,
}

/// One counter: a number that was given once is not given again, even when its row is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedSequence {
    /// Table of the column.
    pub table: String,
    /// The column.
    pub column: String,
    /// The last number that was given; 0 for none.
    pub last: i64,
}

/// Whether a copy can be put into a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fillable {
    /// It is empty, and has the tables that the copy was made of.
    Ready,
    /// Something is in it.
    NotEmpty,
    /// The copy was made by a newer program: this migration is not known here.
    Newer(String),
}

impl Copied {
    /// The file of a table.
    #[must_use]
    pub fn file_of(table: &str) -> String {
        format!("{table}.copy")
    }
}

const COLUMNS: &str = "SELECT CAST(t.relname AS TEXT), CAST(a.attname AS TEXT) FROM pg_class t \
    JOIN pg_attribute a ON a.attrelid = t.oid WHERE t.relnamespace = CAST(current_schema() AS regnamespace) AND t.relkind = 'r' \
    AND a.attnum > 0 AND NOT a.attisdropped ORDER BY t.relname, a.attnum";

const SEQUENCES: &str = "SELECT CAST(t.relname AS TEXT), CAST(a.attname AS TEXT), COALESCE(pg_sequence_last_value(s.oid), 0) \
    FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.classid = CAST('pg_class' AS regclass) \
    AND d.refclassid = CAST('pg_class' AS regclass) AND d.deptype IN ('a', 'i') JOIN pg_class t ON t.oid = d.refobjid \
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid \
    WHERE s.relkind = 'S' AND s.relnamespace = CAST(current_schema() AS regnamespace) ORDER BY t.relname, a.attname";

const PARENTS: &str = "SELECT CAST(child.relname AS TEXT), CAST(parent.relname AS TEXT) FROM pg_constraint c \
    JOIN pg_class child ON child.oid = c.conrelid JOIN pg_class parent ON parent.oid = c.confrelid \
    WHERE c.contype = 'f' AND c.connamespace = CAST(current_schema() AS regnamespace)";

/// Columns by table, without what is not copied.
fn by_table(rows: Vec<(String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, column) in rows {
        if !NOT_COPIED.contains(&table.as_str()) {
            tables.entry(table).or_default().push(column);
        }
    }
    tables
}

/// Names as they stand in a statement.
fn quoted<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let quote = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// Tables so that each comes after those that its rows point at.
fn in_order(mut open: BTreeSet<String>, points: &[(String, String)]) -> Vec<String> {
    let mut order = Vec::with_capacity(open.len());
    while !open.is_empty() {
        let waits = |table: &String| points.iter().any(|(child, parent)| child == table && parent != table && open.contains(parent));
        let free: Vec<String> = open.iter().filter(|table| !waits(table)).cloned().collect();
        // Tables that point at each other in a circle: none is before the other, and the database will say so.
        let next = if free.is_empty() { open.iter().cloned().collect() } else { free };
        open.retain(|table| !next.contains(table));
        order.extend(next);
    }
    order
}

fn disk(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.display().to_string();
    move |error| StoreError::Unavailable(format!("{path}: {error}"))
}

/// A reader that tells how much passed.
struct Told<R> {
    from: R,
    told: Arc<dyn Fn(u64) + Send + Sync>,
}

impl<R: Read> Read for Told<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        (self.told)(count as u64);
        Ok(count)
    }
}

async fn copy_table(
    snapshot: &mut Snapshot,
    (name, columns): (String, Vec<String>),
    folder: &Path,
    told: &(dyn Fn(u64) + Send + Sync),
) -> Result<CopiedTable, StoreError> {
    let path = folder.join(Copied::file_of(&name));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(disk(&path))?;
    let (mut out, mut rows) = (BufWriter::new(file), 0);
    let sql = format!("COPY {} ({}) TO STDOUT", quoted([&name]), quoted(&columns));
    let take = |piece: &[u8]| {
        // A line break within a value is written as two letters, so each one ends a row.
        rows += piece.split(|byte| *byte == b'\n').count() as u64 - 1;
        told(piece.len() as u64);
        out.write_all(piece)
    };
    snapshot.copy_out(&sql, take).await.map_err(refused)?;
    out.into_inner().map_err(|error| disk(&path)(error.into_error()))?.sync_all().map_err(disk(&path))?;
    Ok(CopiedTable { name, columns, rows })
}

async fn copy_all(snapshot: &mut Snapshot, folder: &Path, told: &(dyn Fn(u64) + Send + Sync)) -> Result<Copied, StoreError> {
    let mut tables = Vec::new();
    for table in by_table(snapshot.rows(COLUMNS).await.map_err(refused)?) {
        tables.push(copy_table(snapshot, table, folder, told).await?);
    }
    // Counters know no moment: read last, they are at or behind whatever the tables hold.
    let sequences: Vec<(String, String, i64)> = snapshot.rows(SEQUENCES).await.map_err(refused)?;
    let sequences = sequences.into_iter().filter(|(table, ..)| !NOT_COPIED.contains(&table.as_str()));
    let sequences = sequences.map(|(table, column, last)| CopiedSequence { table, column, last }).collect();
    Ok(Copied { tables, sequences })
}

/// What is put into a database.
struct Filling {
    folder: PathBuf,
    copied: Copied,
    fingerprint: [u8; 32],
    fence: bool,
    told: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Filling {
    async fn pour(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let ours = by_table(query_as(COLUMNS).fetch_all(&mut tx.conn).await.map_err(refused)?);
        let points: Vec<(String, String)> = query_as(PARENTS).fetch_all(&mut tx.conn).await.map_err(refused)?;
        if let Some(strange) = self.copied.tables.iter().find(|table| !ours.contains_key(&table.name)) {
            return Err(damaged(&strange.name, "the table"));
        }
        for name in in_order(ours.keys().cloned().collect(), &points) {
            let (Some(table), Some(columns)) = (self.copied.tables.iter().find(|table| table.name == name), ours.get(&name)) else {
                return Err(damaged(&name, "the table"));
            };
            self.pour_table(tx, &name, columns, table).await?;
        }
        for CopiedSequence { table, column, last } in self.copied.sequences.iter().filter(|sequence| sequence.last > 0) {
            let set = query("SELECT setval(CAST(pg_get_serial_sequence(?, ?) AS regclass), ?)").bind(table).bind(column).bind(*last);
            set.execute(&mut tx.conn).await.map_err(refused)?;
        }
        Ok(())
    }

    /// `name` and `columns` are the database's own, `table` is the copy's.
    async fn pour_table(&self, tx: &mut Tx, name: &String, columns: &[String], table: &CopiedTable) -> Result<(), StoreError> {
        let known: BTreeSet<&String> = columns.iter().collect();
        if known != table.columns.iter().collect() || columns.len() != table.columns.len() {
            return Err(damaged(name, "columns"));
        }
        let path = self.folder.join(Copied::file_of(name));
        let mut from = Told { from: File::open(&path).map_err(disk(&path))?, told: self.told.clone() };
        let sql = format!("COPY {} ({}) FROM STDIN", quoted([name]), quoted(&table.columns));
        let rows = tx.conn.copy_in(&sql, &mut from).await.map_err(refused)?;
        if rows == table.rows { Ok(()) } else { Err(damaged(name, "rows")) }
    }

    async fn run(self, tx: &mut Tx) -> Result<(), StoreError> {
        self.pour(tx).await?;
        if proofs::prove(tx, self.fingerprint).await? != Proof::Good {
            return Err(StoreError::Conflict { what: "secrets" });
        }
        if self.fence {
            // Only what every version of the tables has; the rest is `fence_restored`'s. What matters is that there is no
            // moment in which the old keys could be used.
            query("DELETE FROM signal").execute(&mut tx.conn).await.map_err(refused)?;
            query("UPDATE sessions SET wanted = FALSE").execute(&mut tx.conn).await.map_err(refused)?;
        }
        Ok(())
    }
}

fn damaged(table: &str, what: &str) -> StoreError {
    StoreError::Corrupt { table: "copy", row: table.to_owned(), column: what.to_owned() }
}

impl Store {
    /// Writes every table of one moment into files of `folder`, while others read and write. PostgreSQL only. `told` hears of
    /// every piece, in bytes. The files are for their owner only; nothing of them is sealed that the database does not seal.
    pub async fn copy_tables_to(&self, folder: &Path, told: &(dyn Fn(u64) + Send + Sync)) -> Result<Copied, StoreError> {
        let Source::Postgres(address) = &self.inner.source else {
            return Err(StoreError::Unavailable("SQLite is copied as a file".into()));
        };
        let mut snapshot = Snapshot::open(address).await.map_err(refused)?;
        let copied = copy_all(&mut snapshot, folder, told).await;
        snapshot.close().await;
        copied
    }

    /// Makes the tables that a copy was made of, by its list of migrations, in an empty PostgreSQL database.
    pub async fn make_fillable(&self, migrations: &[String]) -> Result<Fillable, StoreError> {
        let known: Vec<String> = Migrator::migrations().into_iter().map(|migration| migration.name().to_owned()).collect();
        let (mut wanted, mut applied) = (migrations.to_vec(), self.applied_migrations().await?);
        wanted.sort_unstable();
        applied.sort_unstable();
        if let Some(newer) = wanted.iter().enumerate().find(|(at, name)| known.get(*at) != Some(name)) {
            return Ok(Fillable::Newer(newer.1.clone()));
        }
        // The same tables may be there, of a restore that was cut off before its rows.
        if !(applied.is_empty() || applied == wanted) || !proofs::nothing_made(&self.inner.readers).await? {
            return Ok(Fillable::NotEmpty);
        }
        if applied.is_empty() {
            let steps = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
            self.inner.source.migrate(Some(steps)).await?;
        }
        Ok(Fillable::Ready)
    }

    /// Puts a copy into a database that [`Store::make_fillable`] found ready, all of it or nothing. With `fence` no account can
    /// be opened with what is in it; [`Store::fence_restored`] must follow when the tables are up to date.
    ///
    /// # Errors
    /// `Conflict` of `secrets` when the copy was written with others, `Corrupt` when it is not whole.
    pub async fn fill(
        &self,
        folder: &Path,
        copied: Copied,
        (fingerprint, fence): ([u8; 32], bool),
        told: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Result<(), StoreError> {
        let filling = Filling { folder: folder.to_owned(), copied, fingerprint, fence, told };
        self.write(move |tx| Box::pin(filling.run(tx))).await
    }

    /// Bytes that the database takes, for people who wait; 0 on SQLite.
    pub async fn bytes_used(&self) -> Result<u64, StoreError> {
        if !self.is_shared() {
            return Ok(0);
        }
        let bytes: i64 =
            query_scalar("SELECT pg_database_size(current_database())").fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_after_those_that_they_point_at() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let points = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
        let order = in_order(set(&["a", "b", "c", "d"]), &points(&[("a", "c"), ("c", "d"), ("d", "d")]));
        assert_eq!(order, ["b", "d", "c", "a"]);
        assert_eq!(in_order(set(&["a", "b"]), &points(&[("a", "b"), ("b", "a")])).len(), 2, "a circle ends too");
    }

    #[test]
    fn a_name_can_not_end_its_quotes() {
        assert_eq!(quoted(&["a".to_owned(), "b\"; DROP".to_owned()]), "\"a\", \"b\"\"; DROP\"");
    }
}
