//! Rows as the database holds them, and how they are read into the types of this crate.
//!
//! One struct per table serves both ways of reading: SeaORM's lists and hand-written SQL. What can't be read is
//! `Corrupt` with the place, never a panic.

pub(crate) mod api_key;
pub(crate) mod api_log;
pub(crate) mod audit;
pub(crate) mod event;
pub(crate) mod job;
pub(crate) mod message;
pub(crate) mod session;
pub(crate) mod user;

use crate::StoreError;
use sanasend_model::{Jid, PhoneNumber, Reason, ReasonCode};
use std::fmt::Display;
use std::str::FromStr;

/// Reads a struct from a row, each field from the column of its name.
macro_rules! from_row {
    ($table:literal: $type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::dialect::FromRow for $type {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn from_row(row: $crate::dialect::DbRow<'_>) -> Result<Self, sqlx::Error> {
                let mut fields = 0..;
                Ok(Self {
                    $($field: row.get(fields.next().unwrap_or(usize::MAX), stringify!($field))
                        .map_err(|error| $crate::dialect::named($table, error))?),*
                })
            }
        }
    };
}
pub(crate) use from_row;

/// Where a value was read, for saying so when it can't be.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'static str,
    pub(crate) row: &'a dyn Display,
}

impl Place<'_> {
    pub(crate) fn corrupt(self, column: &str) -> StoreError {
        StoreError::Corrupt { table: self.table, row: self.row.to_string(), column: column.to_owned() }
    }

    /// A value with a name of the model.
    pub(crate) fn name<T: FromStr>(self, column: &str, text: &str) -> Result<T, StoreError> {
        text.parse().map_err(|_| self.corrupt(column))
    }

    /// A value that may be missing, read by `read`.
    pub(crate) fn optional<T>(
        self,
        column: &str,
        text: Option<&str>,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        text.map(|text| read(text).ok_or_else(|| self.corrupt(column))).transpose()
    }

    pub(crate) fn jid(self, column: &str, text: Option<&str>) -> Result<Option<Jid>, StoreError> {
        self.optional(column, text, Jid::parse)
    }

    /// Numbers were checked before they were written: the numbering plan is not asked again.
    pub(crate) fn phone(self, column: &str, text: Option<&str>) -> Result<Option<PhoneNumber>, StoreError> {
        self.optional(column, text, |text| text.strip_prefix('+').and_then(PhoneNumber::from_wa_user))
    }

    /// A sentence with its code.
    pub(crate) fn reason(self, column: &str, code: Option<&str>, text: Option<String>) -> Result<Option<Reason>, StoreError> {
        let code = code.map(|code| self.name(column, code)).transpose()?.unwrap_or(ReasonCode::Other);
        Ok(text.map(|text| Reason::new(code, text)))
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(self, column: &str, text: Option<&str>) -> Result<Option<T>, StoreError> {
        self.optional(column, text, |text| serde_json::from_str(text).ok())
    }
}
