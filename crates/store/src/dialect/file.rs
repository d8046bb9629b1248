//! A statement on a connection to SQLite, for whoever writes and for those who read: values go in, rows are read where SQLite
//! has them, and errors look like sqlx's.

use super::query::Query;
use super::value::Value;
use rusqlite::types::{Null, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql, ffi};
use sqlx::error::{DatabaseError, ErrorKind};
use std::borrow::Cow;
use std::fmt;

/// Statements that stay prepared on each connection: every statement of the program in every size.
pub(super) const STATEMENTS: usize = 256;

/// Prepares a statement, binds its values, and has it read. `fields` are looked for among its columns once, not once a row.
pub(super) fn ask<T>(
    conn: &Connection,
    query: Query,
    read: impl FnOnce(&mut CachedStatement<'_>, &[usize]) -> Result<T, sqlx::Error>,
    fields: &'static [&'static str],
) -> Result<T, sqlx::Error> {
    let sql = query.sql.plain();
    let mut statement = conn.prepare_cached(sql.as_str()).map_err(failed)?;
    let places = if let Ok(places) = places(&statement, fields) {
        places
    } else {
        // The connection knows the tables as they were before a migration, and would learn of it with the first row only.
        statement.discard();
        conn.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(())).map_err(failed)?;
        statement = conn.prepare_cached(sql.as_str()).map_err(failed)?;
        places(&statement, fields)?
    };
    for (index, value) in query.values.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value).map_err(failed)?;
    }
    read(&mut statement, &places)
}

/// Where these fields are among the columns of a statement.
fn places(statement: &CachedStatement<'_>, fields: &'static [&'static str]) -> Result<Vec<usize>, sqlx::Error> {
    let place = |(index, name): (usize, &&'static str)| {
        // Nearly always in the order of the table; otherwise it is searched for.
        if statement.column_name(index).is_ok_and(|column| column == *name) {
            return Ok(index);
        }
        statement.column_index(name).map_err(|_| sqlx::Error::ColumnNotFound((*name).to_owned()))
    };
    fields.iter().enumerate().map(place).collect()
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        fn or_null(value: Option<ValueRef<'_>>) -> ToSqlOutput<'_> {
            value.map_or_else(|| ToSqlOutput::from(Null), ToSqlOutput::Borrowed)
        }
        Ok(match self {
            Self::Bool(value) => or_null(value.map(|value| ValueRef::Integer(value.into()))),
            Self::Small(value) => or_null(value.map(|value| ValueRef::Integer(value.into()))),
            Self::Int(value) => or_null(value.map(|value| ValueRef::Integer(value.into()))),
            Self::Big(value) => or_null(value.map(ValueRef::Integer)),
            Self::Real(value) => or_null(value.map(ValueRef::Real)),
            Self::Text(value) => or_null(value.as_deref().map(|value| ValueRef::Text(value.as_bytes()))),
            Self::Bytes(value) => or_null(value.as_deref().map(ValueRef::Blob)),
            Self::Id(value) => or_null(value.as_ref().map(|value| ValueRef::Blob(value.as_bytes()))),
        })
    }
}

/// What SQLite said, in the form that sqlx's errors have: both databases are judged by the same rules.
#[derive(Debug)]
struct Said {
    code: i32,
    message: String,
}

pub(super) fn failed(error: rusqlite::Error) -> sqlx::Error {
    let (code, message) = match error {
        rusqlite::Error::SqliteFailure(error, message) => (error.extended_code, message.unwrap_or_else(|| error.to_string())),
        other => return sqlx::Error::Protocol(other.to_string()),
    };
    sqlx::Error::Database(Box::new(Said { code, message }))
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.code, self.message)
    }
}

impl std::error::Error for Said {}

impl DatabaseError for Said {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => ErrorKind::UniqueViolation,
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ErrorKind::ForeignKeyViolation,
            ffi::SQLITE_CONSTRAINT_NOTNULL => ErrorKind::NotNullViolation,
            ffi::SQLITE_CONSTRAINT_CHECK => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}
