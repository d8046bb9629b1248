//! Values on their way into a statement, and columns on their way out, alike for both databases.

use super::cell::{Cell, cell};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, Decode, Postgres, Row, Type};
use std::borrow::Cow;
use uuid::Uuid;

/// One bound value. The variant is the column's type also where there is no value: PostgreSQL has to know it.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Bool(Option<bool>),
    Small(Option<i16>),
    Int(Option<i32>),
    Big(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Id(Option<Uuid>),
}

/// What can be bound.
pub(crate) trait Bind {
    /// The value; text and bytes that were borrowed are copied.
    fn value(self) -> Value;
    /// No value of this type.
    fn null() -> Value;
}

macro_rules! bind {
    ($($type:ty => $variant:ident, |$value:ident| $made:expr;)*) => {$(
        impl Bind for $type {
            fn value(self) -> Value {
                let $value = self;
                Value::$variant(Some($made))
            }
            fn null() -> Value {
                Value::$variant(None)
            }
        }
    )*};
}

bind! {
    bool => Bool, |value| value;
    u8 => Small, |value| i16::from(value);
    i16 => Small, |value| value;
    i32 => Int, |value| value;
    i64 => Big, |value| value;
    f64 => Real, |value| value;
    &str => Text, |value| value.to_owned();
    String => Text, |value| value;
    &[u8] => Bytes, |value| value.to_vec();
    Vec<u8> => Bytes, |value| value;
    Uuid => Id, |value| value;
}

impl<const N: usize> Bind for [u8; N] {
    fn value(self) -> Value {
        Value::Bytes(Some(self.to_vec()))
    }

    fn null() -> Value {
        Value::Bytes(None)
    }
}

impl<T: Bind> Bind for Option<T> {
    fn value(self) -> Value {
        self.map_or_else(T::null, T::value)
    }

    fn null() -> Value {
        T::null()
    }
}

impl<T: Bind + Clone> Bind for &T {
    fn value(self) -> Value {
        self.clone().value()
    }

    fn null() -> Value {
        T::null()
    }
}

type Failed = sqlx::error::BoxDynError;

/// The values as PostgreSQL takes them; they stay, since a statement may have to be sent again.
pub(super) fn for_postgres(values: &[Value]) -> Result<PgArguments, Failed> {
    let mut arguments = PgArguments::default();
    arguments.reserve(values.len(), values.len() * 16);
    for value in values {
        match value {
            Value::Bool(value) => arguments.add(*value),
            Value::Small(value) => arguments.add(*value),
            Value::Int(value) => arguments.add(*value),
            Value::Big(value) => arguments.add(*value),
            Value::Real(value) => arguments.add(*value),
            Value::Text(value) => arguments.add(value.as_deref().map(storable).as_deref()),
            Value::Bytes(value) => arguments.add(value.as_deref()),
            Value::Id(value) => arguments.add(*value),
        }?;
    }
    Ok(arguments)
}

/// The same for rows of so many `columns`: one array for each, whose type is that of the first row's value.
pub(super) fn by_columns(values: &[Value], columns: usize) -> Result<PgArguments, Failed> {
    let mut arguments = PgArguments::default();
    arguments.reserve(columns, values.len() * 16);
    for (column, first) in values.iter().enumerate().take(columns) {
        let cells = values.iter().skip(column).step_by(columns);
        macro_rules! array {
            ($variant:ident, $value:ident => $read:expr) => {
                arguments.add(
                    cells
                        .map(|cell| if let Value::$variant($value) = cell { Ok($read) } else { Err("a column has values of two types") })
                        .collect::<Result<Vec<_>, _>>()?,
                )
            };
        }
        match first {
            Value::Bool(_) => array!(Bool, value => *value),
            Value::Small(_) => array!(Small, value => *value),
            Value::Int(_) => array!(Int, value => *value),
            Value::Big(_) => array!(Big, value => *value),
            Value::Real(_) => array!(Real, value => *value),
            Value::Text(_) => array!(Text, value => value.as_deref().map(storable)),
            Value::Bytes(_) => array!(Bytes, value => value.as_deref()),
            Value::Id(_) => array!(Id, value => *value),
        }?;
    }
    Ok(arguments)
}

/// PostgreSQL refuses a NUL in a text, which anybody may send to an account: it is replaced by the sign for what can't
/// be shown, so that nobody can stop an account by it.
fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// A row of an answer.
#[derive(Clone, Copy)]
pub(crate) enum DbRow<'r> {
    /// Of SQLite, read where it lies, with the places of the fields of a struct.
    File(&'r rusqlite::Row<'r>, &'r [usize]),
    Postgres(&'r PgRow),
}

/// What a column can be read as: whatever both databases can.
pub(crate) trait Column: Cell + Type<Postgres> + for<'r> Decode<'r, Postgres> + Send + 'static {}

impl<T> Column for T where T: Cell + Type<Postgres> + for<'r> Decode<'r, Postgres> + Send + 'static {}

impl DbRow<'_> {
    /// The column at this place, from 0.
    pub(crate) fn at<T: Column>(self, index: usize) -> Result<T, sqlx::Error> {
        match self {
            Self::File(row, _) => cell(row, index),
            Self::Postgres(row) => row.try_get(index),
        }
    }

    /// The column of this name, looked for in the answer: for what a join adds to the fields of a struct.
    pub(crate) fn named<T: Column>(self, name: &str) -> Result<T, sqlx::Error> {
        match self {
            Self::File(row, _) => {
                let index = row.as_ref().column_index(name).map_err(|_| sqlx::Error::ColumnNotFound(name.to_owned()))?;
                cell(row, index)
            }
            Self::Postgres(row) => row.try_get(name),
        }
    }

    /// The column of this name, which is the field of this number of its struct.
    pub(crate) fn get<T: Column>(self, field: usize, name: &str) -> Result<T, sqlx::Error> {
        match self {
            Self::File(row, places) => {
                let index = places.get(field).copied().ok_or_else(|| sqlx::Error::ColumnNotFound(name.to_owned()))?;
                cell(row, index).map_err(|error| match error {
                    sqlx::Error::ColumnDecode { source, .. } => sqlx::Error::ColumnDecode { index: name.to_owned(), source },
                    other => other,
                })
            }
            Self::Postgres(row) => row.try_get(name),
        }
    }
}

/// What a row can be read as: a tuple by places, or a struct by names (see `rows::from_row!`).
pub(crate) trait FromRow: Sized + Send + 'static {
    /// Names of a struct's columns, in the order of its fields.
    const FIELDS: &'static [&'static str] = &[];

    fn from_row(row: DbRow<'_>) -> Result<Self, sqlx::Error>;
}

macro_rules! tuples {
    ($($($name:ident $index:literal),+;)*) => {$(
        impl<$($name: Column),+> FromRow for ($($name,)+) {
            fn from_row(row: DbRow<'_>) -> Result<Self, sqlx::Error> {
                Ok(($(row.at::<$name>($index)?,)+))
            }
        }
    )*};
}

tuples! {
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
    A 0, B 1, C 2, D 3, E 4, F 5;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_still_has_a_type() {
        assert!(matches!(None::<&str>.value(), Value::Text(None)));
        assert!(matches!((&None::<Uuid>).value(), Value::Id(None)));
        assert!(matches!(Some(7_u8).value(), Value::Small(Some(7))));
    }

    #[test]
    fn a_text_that_postgresql_refuses_is_made_storable() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert!(matches!(storable("plain"), Cow::Borrowed("plain")));
    }
}
