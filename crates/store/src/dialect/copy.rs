//! Whole tables out of PostgreSQL and into it, by `COPY` in the server's text form, which is the same in all its versions.

use super::postgres::Address;
use super::query::{Answer, Query, Want, on_postgres};
use super::value::{DbRow, FromRow};
use super::{Conn, query};
use futures::TryStreamExt;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use std::io::{self, Read};

/// Bytes that are sent at once.
const PIECE: usize = 256 * 1024;

/// One moment of a database: whatever is written meanwhile, it is not seen. Takes as long as it needs.
pub(crate) struct Snapshot {
    conn: PgConnection,
}

impl Snapshot {
    /// Begins; everything that is asked from now on is of this moment.
    pub(crate) async fn open(address: &Address) -> Result<Self, sqlx::Error> {
        let mut conn = address.connect_unhurried().await?;
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut conn).await?;
        Ok(Self { conn })
    }

    /// All rows of a statement.
    pub(crate) async fn rows<T: FromRow>(&mut self, sql: &'static str) -> Result<Vec<T>, sqlx::Error> {
        let asked: Query = query(sql);
        match on_postgres(&mut self.conn, &asked, Want::All).await? {
            Answer::Rows(rows) => rows.iter().map(|row| T::from_row(DbRow::Postgres(row))).collect(),
            Answer::Done(_) => Ok(Vec::new()),
        }
    }

    /// Runs a `COPY ... TO STDOUT` and hands over what comes, in pieces.
    pub(crate) async fn copy_out(&mut self, sql: &str, mut take: impl FnMut(&[u8]) -> io::Result<()> + Send) -> Result<(), sqlx::Error> {
        let mut pieces = self.conn.copy_out_raw(sql).await?;
        while let Some(piece) = pieces.try_next().await? {
            take(&piece)?;
        }
        Ok(())
    }

    /// Ends the connection in good order.
    pub(crate) async fn close(self) {
        let _ = self.conn.close().await;
    }
}

impl Conn {
    /// Runs a `COPY ... FROM STDIN` with what is read; answers the rows. PostgreSQL only.
    pub(crate) async fn copy_in(&mut self, sql: &str, from: &mut (dyn Read + Send)) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(_) => Err(sqlx::Error::Protocol("SQLite knows no COPY".into())),
            Self::Postgres(conn) => conn.copy_in(sql, from).await,
        }
    }
}

/// Sends what is read; a reader that fails ends it, and nothing of it stays.
pub(super) async fn fill(conn: &mut PgConnection, sql: &str, from: &mut (dyn Read + Send)) -> Result<u64, sqlx::Error> {
    let mut copy = conn.copy_in_raw(sql).await?;
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return copy.finish().await,
            Ok(count) => {
                copy.send(piece.get(..count).unwrap_or_default()).await?;
            }
            Err(error) => {
                copy.abort("the copy can't be read").await?;
                return Err(error.into());
            }
        }
    }
}
