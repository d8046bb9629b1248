//! The two databases behind the SQL, and everything that one spells differently from the other.
//!
//! Statements elsewhere are written once, with `?` for values in their order, and keep to what SQLite and PostgreSQL
//! both know: `ON CONFLICT`, `RETURNING`, row values, partial indexes. SQLite gets bare `?` and not `?1`, because
//! it finds a numbered parameter's name by a linear search, which makes big statements quadratic; PostgreSQL gets `$1`.
//! [`query`], [`query_as`] and [`query_scalar`] look like sqlx's own. sqlx's `Any` driver is not used: it knows no UUIDs,
//! no typed NULLs, and copies every row.

mod cell;
mod copy;
mod errors;
mod file;
mod inline;
mod lists;
mod postgres;
mod query;
mod readers;
mod rows;
mod sqlite;
mod value;

pub(crate) use copy::Snapshot;
pub(crate) use errors::{named, refused, refused_orm, unavailable};
pub(crate) use lists::{count, fetch};
pub(crate) use postgres::{Address, Heard, Looked};
pub(crate) use query::{On, QueryAs, query, query_as, query_scalar};
pub(crate) use rows::{Rows, pieces};
pub(crate) use sqlx::AssertSqlSafe;
pub(crate) use value::{DbRow, FromRow};

use crate::migrations::Migrator;
use crate::{Database, StoreError};
use inline::Inline;
use postgres::{PgConn, Readers};
use readers::FileReaders;
use sea_orm::{SqlxPostgresConnector, SqlxSqliteConnector};
use sea_orm_migration::MigratorTrait;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One connection, for writing.
pub(crate) enum Conn {
    Sqlite(Inline),
    Postgres(PgConn),
}

/// Several connections, for reading.
#[derive(Clone)]
pub(crate) enum Pool {
    Sqlite(Arc<FileReaders>),
    Postgres(Arc<Readers>),
}

/// Where connections are made.
#[derive(Clone)]
pub(crate) enum Source {
    Sqlite(PathBuf),
    Postgres(Box<Address>),
}

impl Source {
    /// The place of a database. SQLite's file is made here, for its owner only.
    pub(crate) fn new(database: &Database, limit: Duration) -> Result<Self, StoreError> {
        Ok(match database {
            Database::Sqlite { path } => {
                sqlite::create_file(path)?;
                Self::Sqlite(path.clone())
            }
            Database::Postgres { url } => {
                let options = url.parse().map_err(unavailable)?;
                Self::Postgres(Box::new(Address::new(options, limit)))
            }
        })
    }

    /// The connection that writes.
    pub(crate) async fn connect_writer(&self) -> Result<Conn, StoreError> {
        match self {
            Self::Sqlite(path) => sqlite::connect_writer(path),
            Self::Postgres(address) => address.connect_writer().await,
        }
    }

    /// The connections that read.
    pub(crate) fn connect_readers(&self, count: u32) -> Result<Pool, StoreError> {
        match self {
            Self::Sqlite(path) => sqlite::connect_readers(path, count),
            Self::Postgres(address) => Ok(Pool::Postgres(Arc::new(address.readers(count)))),
        }
    }

    /// Applies the migrations that are missing (or only so many of them), one at a time even when several nodes start at once.
    pub(crate) async fn migrate(&self, steps: Option<u32>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(path) => {
                let pool = sqlite::connect_for_migration(path).await?;
                let done = Migrator::up(&SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone()), steps).await;
                pool.close().await;
                done.map_err(refused_orm)
            }
            Self::Postgres(address) => {
                let pool = address.connect_for_migration().await?;
                let done = Migrator::up(&SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone()), steps).await;
                pool.close().await;
                done.map_err(refused_orm)
            }
        }
    }
}

impl Conn {
    /// Opens a transaction that writes: nobody else writes until it ends. With `look`, on a database that others write
    /// too, answers what they may have changed.
    pub(crate) async fn begin(&mut self, look: bool) -> Result<Option<Looked>, sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.command(sqlite::BEGIN).await.map(|()| None),
            Self::Postgres(conn) => conn.begin(look).await,
        }
    }

    /// Ends the transaction; what was written is on disk then. With a cursor other nodes are told of events up to there, and
    /// with `jobs` that there may be something to do.
    pub(crate) async fn commit(&mut self, told: Option<i64>, jobs: bool) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.command("COMMIT").await,
            Self::Postgres(conn) => conn.commit(told, jobs).await,
        }
    }

    /// Runs a statement that takes no values and answers no rows.
    pub(crate) async fn command(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(conn) => conn.command(sql),
            Self::Postgres(conn) => conn.command(sql).await,
        }
    }

    /// Cuts rows into pieces for a statement of [`Rows::insert`].
    pub(crate) fn pieces<'r, T>(&self, rows: &'r [T]) -> Vec<&'r [T]> {
        match self {
            Self::Sqlite(_) => pieces(rows).collect(),
            Self::Postgres(_) => rows.chunks(postgres::MOST_ROWS).collect(),
        }
    }

    /// Ends the connection in good order.
    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(conn) => conn.close(),
            Self::Postgres(conn) => conn.close().await,
        }
    }
}

impl Pool {
    /// Whether a table is there.
    pub(crate) async fn has_table(&self, name: &str) -> Result<bool, StoreError> {
        let sql = match self {
            Self::Sqlite(_) => "SELECT COUNT(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = ?",
            Self::Postgres(_) => "SELECT to_regclass(?) IS NOT NULL",
        };
        query_scalar(sql).bind(name).fetch_one(self).await.map_err(refused)
    }

    /// Ends the connections in good order.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(readers) => readers.close().await,
            Self::Postgres(readers) => readers.close().await,
        }
    }
}

/// A pattern that finds `text` anywhere by `LIKE ... ESCAPE '\'`, in lower case.
pub(crate) fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_text_is_no_pattern() {
        assert_eq!(like("5%_\\A"), "%5\\%\\_\\\\a%");
    }
}
