//! What can go wrong with memory: one type for the whole wall, so that callers need to know no database.

/// Why the store could not do what it was asked. "Not found" is no error: it is `None` or a variant of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Something of the same name is there already, or what it belongs to is gone.
    #[error("{what} is already taken or refers to something that is gone")]
    Conflict {
        /// The field or thing in conflict, like `username`.
        what: &'static str,
    },
    /// The database did not answer or did not take the write: nothing of it was remembered. Trying later may help.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A row holds what this program can't read. The rest of the database stays usable.
    #[error("{table}.{column} of row {row} can't be read")]
    Corrupt {
        /// Table of the row.
        table: &'static str,
        /// The row's key, as people can look it up.
        row: String,
        /// The column that can't be read.
        column: String,
    },
    /// The generation is old: somebody else owns the account now. Stop at once, write nothing.
    #[error("another owner has taken over the account")]
    Fenced,
}
