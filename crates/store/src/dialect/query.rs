//! Statements: the text, its values, and what is read from the answer. They look like sqlx's own and run on either database.

use super::inline::Inline;
use super::postgres::{PgConn, Readers};
use super::readers::FileReaders;
use super::rows::Rows;
use super::value::{Bind, Column, DbRow, FromRow, Value, by_columns, for_postgres};
use super::{Conn, Pool};
use futures::future::BoxFuture;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// The text of a statement, with bare `?` for its values.
#[derive(Clone)]
pub(crate) enum Sql {
    Static(&'static str),
    Rows(&'static Rows, usize),
    Made(Arc<str>),
    /// Made for the database that it will run on, with values marked as that does.
    Ready(String),
}

impl From<&'static str> for Sql {
    fn from(sql: &'static str) -> Self {
        Self::Static(sql)
    }
}

impl From<AssertSqlSafe<Arc<str>>> for Sql {
    fn from(sql: AssertSqlSafe<Arc<str>>) -> Self {
        Self::Made(sql.0)
    }
}

impl From<AssertSqlSafe<String>> for Sql {
    fn from(sql: AssertSqlSafe<String>) -> Self {
        Self::Made(sql.0.into())
    }
}

impl Sql {
    /// The text for SQLite: as it was written.
    pub(super) fn plain(self) -> SqlStr {
        match self {
            Self::Static(sql) => SqlStr::from_static(sql),
            Self::Rows(rows, count) => AssertSqlSafe(rows.plain(count)).into_sql_str(),
            Self::Made(sql) => AssertSqlSafe(sql).into_sql_str(),
            Self::Ready(sql) => AssertSqlSafe(sql).into_sql_str(),
        }
    }

    /// The text for PostgreSQL: with numbered values.
    fn numbered(&self) -> SqlStr {
        let numbered = match self {
            Self::Static(sql) => known(sql),
            Self::Rows(rows, count) => rows.numbered(*count),
            Self::Made(sql) => numbered(sql).into(),
            Self::Ready(sql) => sql.as_str().into(),
        };
        AssertSqlSafe(numbered).into_sql_str()
    }
}

/// Numbered texts of statements that stand in the program, by their place in it: a look there costs less than the work.
fn known(sql: &'static str) -> Arc<str> {
    type Texts = HashMap<(usize, usize), Arc<str>>;
    static KNOWN: LazyLock<RwLock<Texts>> = LazyLock::new(RwLock::default);
    let place = (sql.as_ptr().addr(), sql.len());
    if let Some(known) = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(&place) {
        return known.clone();
    }
    let made: Arc<str> = numbered(sql).into();
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).insert(place, made.clone());
    made
}

/// Writes `$1`, `$2`, ... for each `?` outside of quotes.
pub(super) fn numbered(sql: &str) -> String {
    let mut made = String::with_capacity(sql.len() + 16);
    let (mut quote, mut number) = (None, 0_u32);
    for letter in sql.chars() {
        match (letter, quote) {
            ('?', None) => {
                number += 1;
                made.push('$');
                made.push_str(&number.to_string());
                continue;
            }
            ('\'' | '"', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            _ => {}
        }
        made.push(letter);
    }
    made
}

/// Where a statement runs: on a connection at hand, or on one of the readers.
pub(crate) enum On<'c> {
    Conn(&'c mut Conn),
    Pool(&'c Pool),
}

impl<'c> From<&'c mut Conn> for On<'c> {
    fn from(conn: &'c mut Conn) -> Self {
        Self::Conn(conn)
    }
}

impl<'c> From<&'c Pool> for On<'c> {
    fn from(pool: &'c Pool) -> Self {
        Self::Pool(pool)
    }
}

/// Who runs a statement: a thread of [`FileReaders`], whoever calls, or sqlx.
enum Way<'c> {
    File(&'c FileReaders),
    Inline(&'c mut Inline),
    Driver(Driver<'c>),
}

/// Connections of sqlx, which are PostgreSQL's.
enum Driver<'c> {
    Writer(&'c mut PgConn),
    Readers(&'c Readers),
}

impl<'c> On<'c> {
    /// The same place, for one of several statements.
    pub(crate) fn again(&mut self) -> On<'_> {
        match self {
            Self::Conn(conn) => On::Conn(conn),
            Self::Pool(pool) => On::Pool(pool),
        }
    }

    fn way(self) -> Way<'c> {
        match self {
            Self::Pool(Pool::Sqlite(readers)) => Way::File(readers),
            Self::Pool(Pool::Postgres(readers)) => Way::Driver(Driver::Readers(readers)),
            Self::Conn(Conn::Sqlite(conn)) => Way::Inline(conn),
            Self::Conn(Conn::Postgres(conn)) => Way::Driver(Driver::Writer(conn)),
        }
    }
}

/// What is wanted of a statement.
#[derive(Clone, Copy)]
pub(super) enum Want {
    Done,
    All,
    First,
}

/// What a statement gave.
pub(super) enum Answer {
    Done(u64),
    Rows(Vec<PgRow>),
}

/// What a statement did that answers no rows.
#[derive(Debug)]
pub(crate) struct Done {
    rows: u64,
}

impl Done {
    /// Rows that were written, changed or removed.
    pub(crate) const fn rows_affected(&self) -> u64 {
        self.rows
    }
}

/// A statement with its values.
pub(crate) struct Query {
    pub(super) sql: Sql,
    pub(super) values: Vec<Value>,
}

/// A statement made by SeaORM for the database that it will run on.
pub(super) fn ready<T: FromRow>(sql: String, values: Vec<Value>) -> QueryAs<T> {
    QueryAs { query: Query { sql: Sql::Ready(sql), values }, read: PhantomData }
}

/// A statement whose rows are read as `T`.
pub(crate) struct QueryAs<T> {
    query: Query,
    read: PhantomData<fn() -> T>,
}

/// A statement whose rows are read by their first column.
pub(crate) struct QueryScalar<T> {
    inner: QueryAs<(T,)>,
}

/// A statement that answers no rows.
pub(crate) fn query<S: Into<Sql>>(sql: S) -> Query {
    Query { sql: sql.into(), values: Vec::new() }
}

/// A statement that answers rows.
pub(crate) fn query_as<S: Into<Sql>, T: FromRow>(sql: S) -> QueryAs<T> {
    QueryAs { query: query(sql), read: PhantomData }
}

/// A statement that answers rows of one column.
pub(crate) fn query_scalar<S: Into<Sql>, T: Column>(sql: S) -> QueryScalar<T> {
    QueryScalar { inner: query_as(sql) }
}

impl Query {
    /// Adds the next value.
    pub(crate) fn bind(mut self, value: impl Bind) -> Self {
        self.values.push(value.value());
        self
    }

    /// Runs it.
    pub(crate) async fn execute<'c>(self, on: impl Into<On<'c>>) -> Result<Done, sqlx::Error> {
        let rows = match on.into().way() {
            Way::File(readers) => readers.count_rows(self).await?,
            Way::Inline(conn) => conn.execute(self)?,
            Way::Driver(driver) => match self.run(driver, Want::Done).await? {
                Answer::Done(rows) => rows,
                Answer::Rows(rows) => rows.len() as u64,
            },
        };
        Ok(Done { rows })
    }

    /// Boxed, each for itself: PostgreSQL's way is long, and must not make every caller's future as large.
    fn run(self, driver: Driver<'_>, want: Want) -> BoxFuture<'_, Result<Answer, sqlx::Error>> {
        match driver {
            Driver::Writer(conn) => Box::pin(async move { conn.run(&self, want).await }),
            Driver::Readers(readers) => Box::pin(async move { readers.run(&self, want).await }),
        }
    }
}

impl<T: FromRow> QueryAs<T> {
    #[cfg(test)]
    pub(super) fn inner(self) -> Query {
        self.query
    }

    /// Adds the next value.
    pub(crate) fn bind(mut self, value: impl Bind) -> Self {
        self.query = self.query.bind(value);
        self
    }

    /// All rows.
    pub(crate) async fn fetch_all<'c>(self, on: impl Into<On<'c>>) -> Result<Vec<T>, sqlx::Error> {
        let driver = match on.into().way() {
            Way::File(readers) => return readers.all(self.query).await,
            Way::Inline(conn) => return conn.all(self.query),
            Way::Driver(driver) => driver,
        };
        match self.query.run(driver, Want::All).await? {
            Answer::Done(_) => Ok(Vec::new()),
            Answer::Rows(rows) => rows.iter().map(|row| T::from_row(DbRow::Postgres(row))).collect(),
        }
    }

    /// The first row, where there is one.
    pub(crate) async fn fetch_optional<'c>(self, on: impl Into<On<'c>>) -> Result<Option<T>, sqlx::Error> {
        let driver = match on.into().way() {
            Way::File(readers) => return readers.first(self.query).await,
            Way::Inline(conn) => return conn.first(self.query),
            Way::Driver(driver) => driver,
        };
        match self.query.run(driver, Want::First).await? {
            Answer::Done(_) => Ok(None),
            Answer::Rows(rows) => rows.first().map(|row| T::from_row(DbRow::Postgres(row))).transpose(),
        }
    }

    /// The first row.
    pub(crate) async fn fetch_one<'c>(self, on: impl Into<On<'c>>) -> Result<T, sqlx::Error> {
        self.fetch_optional(on).await?.ok_or(sqlx::Error::RowNotFound)
    }
}

impl<T: Column> QueryScalar<T> {
    /// Adds the next value.
    pub(crate) fn bind(mut self, value: impl Bind) -> Self {
        self.inner = self.inner.bind(value);
        self
    }

    /// The first column of all rows.
    pub(crate) async fn fetch_all<'c>(self, on: impl Into<On<'c>>) -> Result<Vec<T>, sqlx::Error> {
        Ok(self.inner.fetch_all(on).await?.into_iter().map(|(value,)| value).collect())
    }

    /// The first column of the first row, where there is one.
    pub(crate) async fn fetch_optional<'c>(self, on: impl Into<On<'c>>) -> Result<Option<T>, sqlx::Error> {
        Ok(self.inner.fetch_optional(on).await?.map(|(value,)| value))
    }

    /// The first column of the first row.
    pub(crate) async fn fetch_one<'c>(self, on: impl Into<On<'c>>) -> Result<T, sqlx::Error> {
        Ok(self.inner.fetch_one(on).await?.0)
    }
}

pub(super) async fn on_postgres(conn: &mut PgConnection, query: &Query, want: Want) -> Result<Answer, sqlx::Error> {
    let columns = if let Sql::Rows(rows, _) = &query.sql { rows.columns() } else { None };
    let arguments = columns.map_or_else(|| for_postgres(&query.values), |columns| by_columns(&query.values, columns));
    let statement = sqlx::query_with(query.sql.numbered(), arguments.map_err(sqlx::Error::Encode)?);
    Ok(match want {
        Want::Done => Answer::Done(statement.execute(conn).await?.rows_affected()),
        Want::All => Answer::Rows(statement.fetch_all(conn).await?),
        Want::First => Answer::Rows(statement.fetch_optional(conn).await?.into_iter().collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_and_question_marks_in_quotes_are_not() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("a = ? AND b = ?", "a = $1 AND b = $2"),
            ("a = '?' AND \"b?\" = ? AND c = 'it''s ?' AND d IN (?, ?)", "a = '?' AND \"b?\" = $1 AND c = 'it''s ?' AND d IN ($2, $3)"),
        ] {
            assert_eq!(numbered(sql), expected);
        }
    }

    #[test]
    fn a_statement_of_the_program_is_numbered_once() {
        let sql = "SELECT ?";
        assert!(Arc::ptr_eq(&known(sql), &known(sql)));
    }
}
