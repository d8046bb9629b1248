//! Backups: one file that holds all of a server, and the way back.
//!
//! The file is a gzipped tar: a head, the database as it was at one moment (SQLite's file, or PostgreSQL's tables), media, the
//! secrets (sealed under a passphrase), and at its end the manifest with a checksum of everything before it. `pack` writes it, `unpack` reads it into an empty
//! place and believes nothing that the manifest does not confirm, `restore` puts it in order and in place.
//!
//! What must never happen is that a message key is used twice. A backup that is put back is older than what WhatsApp has
//! seen, so a restore unlinks every account, unless the backup was taken while no server ran on the folder and the operator
//! says that none has run since (`--move`).

pub mod key;
pub mod pack;
pub mod restore;
pub mod unpack;

use sanasend_store::{Copied, Database};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Who hears of every piece of long work, in bytes.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// Number of this form of the file.
pub const FORMAT: u32 = 1;
/// Name of the first entry.
pub const HEAD: &str = "sanasend-backup.json";
/// Name of the last entry.
pub const MANIFEST: &str = "manifest.json";
/// Name of SQLite's database inside.
pub const DATABASE: &str = "sanasend.db";
/// Folder of PostgreSQL's tables inside.
pub const TABLES: &str = "tables";
/// Name of the sealed secrets inside.
pub const SECRETS: &str = "secrets.sealed";
/// Folder of media, inside and in the data folder.
pub const MEDIA: &str = "media";

/// The first entry: enough to refuse what can't be read before it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// That program's version.
    pub program: String,
    /// Which kind of database is in it.
    pub database: Kind,
}

/// A kind of database. A backup of one can't become one of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// SQLite's file.
    Sqlite,
    /// PostgreSQL's tables.
    Postgresql,
}

impl Kind {
    /// The kind of a database.
    #[must_use]
    pub const fn of(database: &Database) -> Self {
        match database {
            Database::Sqlite { .. } => Self::Sqlite,
            Database::Postgres { .. } => Self::Postgresql,
        }
    }
}

/// The last entry: what the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Head of the file, repeated.
    pub head: Head,
    /// When it was made, RFC 3339.
    pub made_at: String,
    /// The tables of PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<Copied>,
    /// Migrations that made its tables.
    pub migrations: Vec<String>,
    /// Linked accounts in it.
    pub linked_accounts: u64,
    /// Whether no server had the folder open, and no node used the database, from the beginning to the end of the backup. Only such a backup can be moved.
    pub offline: bool,
    /// How the secrets were sealed; `None` when they were left out.
    pub secrets: Option<key::Recipe>,
    /// Everything inside but the head and this.
    pub files: Vec<File>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name inside.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

impl Head {
    /// What this program writes.
    #[must_use]
    pub fn ours(database: Kind) -> Self {
        Self { format: FORMAT, program: env!("CARGO_PKG_VERSION").to_owned(), database }
    }
}
