//! Columns out of SQLite's own memory, read as the types of our tables.

use rusqlite::types::ValueRef;
use std::error::Error;
use uuid::Uuid;

type Failed = Box<dyn Error + Send + Sync>;

/// What a column of SQLite can be read as.
pub(crate) trait Cell: Sized {
    fn read(value: ValueRef<'_>) -> Result<Self, Failed>;
}

/// The column at this place, from 0.
pub(super) fn cell<T: Cell>(row: &rusqlite::Row<'_>, index: usize) -> Result<T, sqlx::Error> {
    let decode = |source| sqlx::Error::ColumnDecode { index: index.to_string(), source };
    let value = row.get_ref(index).map_err(|error| decode(error.into()))?;
    T::read(value).map_err(decode)
}

fn integer(value: ValueRef<'_>) -> Result<i64, Failed> {
    Ok(value.as_i64()?)
}

impl Cell for bool {
    fn read(value: ValueRef<'_>) -> Result<Self, Failed> {
        Ok(integer(value)? != 0)
    }
}

impl Cell for i16 {
    fn read(value: ValueRef<'_>) -> Result<Self, Failed> {
        Ok(integer(value)?.try_into()?)
    }
}

impl Cell for i32 {
    fn read(value: ValueRef<'_>) -> Result<Self, Failed> {
        Ok(integer(value)?.try_into()?)
    }
}

impl Cell for i64 {
    fn read(value: ValueRef<'_>) -> Result<Self, Failed> {
        integer(value)
    }
}

impl Cell for f64 {
    fn read(value: ValueRef<'_>) -> Result<Self, Failed> {
        match value {
            ValueRef::Real(value) => Ok(value),
            #[expect(clippy::cast_precision_loss, reason = "a whole number in a column of numbers, as SQLite itself turns it")]
            other => Ok(integer(other)? as Self),
        }
    }
}

impl Cell for String {
    fn read(value: ValueRef<'_>) -> Result<Self, Failed> {
        Ok(value.as_str()?.to_owned())
    }
}

impl Cell for Vec<u8> {
    fn read(value: ValueRef<'_>) -> Result<Self, Failed> {
        match value {
            ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Ok(bytes.to_vec()),
            _ => Err("neither bytes nor a text".into()),
        }
    }
}

impl Cell for Uuid {
    fn read(value: ValueRef<'_>) -> Result<Self, Failed> {
        Ok(Self::from_slice(value.as_blob()?)?)
    }
}

impl<T: Cell> Cell for Option<T> {
    fn read(value: ValueRef<'_>) -> Result<Self, Failed> {
        match value {
            ValueRef::Null => Ok(None),
            value => T::read(value).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_read_as_its_type_or_refused() {
        assert_eq!(i32::read(ValueRef::Integer(7)).expect("fits"), 7);
        assert!(i16::read(ValueRef::Integer(70_000)).is_err(), "cut off");
        assert!(i64::read(ValueRef::Text(b"7")).is_err());
        assert!(String::read(ValueRef::Text(b"\xff")).is_err());
        assert!(String::read(ValueRef::Null).is_err());
        assert_eq!(Option::<String>::read(ValueRef::Null).expect("nothing"), None);
        assert!(Uuid::read(ValueRef::Blob(&[1; 15])).is_err());
        assert_eq!(Uuid::read(ValueRef::Blob(&[1; 16])).expect("an id"), Uuid::from_bytes([1; 16]));
    }
}
