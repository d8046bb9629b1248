//! Which database: SQLite in a file, or PostgreSQL. Said as a URL by the operator, checked before anything is opened.

use crate::StoreError;
use crate::dialect::Source;
use sqlx::postgres::PgConnectOptions;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Where to remember. Debug and Display show no password.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file, made with mode 600 when it is not there.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A server, which several nodes may share.
    Postgres {
        /// `postgres://user:password@host:port/name?sslmode=verify-full`.
        url: String,
    },
}

impl Database {
    /// Reads `sqlite:///absolute/file`, `sqlite://file` (in the folder `base`) or `postgres://...`.
    ///
    /// # Errors
    /// A sentence for the operator, without anything of the URL that could be a password.
    pub fn parse(url: &str, base: &Path) -> Result<Self, String> {
        if let Some(file) = url.strip_prefix("sqlite://") {
            let file = file.split_once('?').map_or(file, |(file, _)| file);
            if file.is_empty() || file.ends_with('/') {
                return Err("`sqlite://` must be followed by the path of a file: sqlite:///var/lib/sanasend/sanasend.db".into());
            }
            return Ok(Self::Sqlite { path: base.join(file) });
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err("must begin with sqlite:// or postgres://".into());
        }
        let options = PgConnectOptions::from_str(url).map_err(|error| format!("is no address of a PostgreSQL database: {error}"))?;
        if options.get_database().is_none() {
            return Err("must name a database: postgres://user:password@host/name".into());
        }
        Ok(Self::Postgres { url: url.to_owned() })
    }

    /// Whether nothing is in it yet that was made with secrets; a server may take `limit` to answer.
    ///
    /// # Errors
    /// `Unavailable` when it can't be opened.
    pub async fn is_fresh(&self, limit: Duration) -> Result<bool, StoreError> {
        if let Self::Sqlite { path } = self {
            return Ok(!path.exists());
        }
        let readers = Source::new(self, limit)?.connect_readers(1)?;
        let fresh = crate::proofs::nothing_made(&readers).await;
        readers.close().await;
        fresh
    }

    /// The file, when it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite { path } => Some(path),
            Self::Postgres { .. } => None,
        }
    }
}

/// For people: the file, or host, port and name.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => path.display().fmt(f),
            Self::Postgres { url } => match PgConnectOptions::from_str(url) {
                Ok(options) => {
                    write!(f, "PostgreSQL at {}:{}/{}", options.get_host(), options.get_port(), options.get_database().unwrap_or_default())
                }
                Err(_) => f.write_str("PostgreSQL"),
            },
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Database, String> {
        Database::parse(url, Path::new("/data"))
    }

    #[test]
    fn files_are_absolute_or_in_the_data_folder() {
        for (url, path) in
            [("sqlite:///srv/s.db", "/srv/s.db"), ("sqlite://s.db", "/data/s.db"), ("sqlite://a/s.db?mode=rwc", "/data/a/s.db")]
        {
            assert_eq!(parse(url), Ok(Database::Sqlite { path: path.into() }), "{url}");
        }
    }

    #[test]
    fn what_is_no_database_is_refused_with_a_sentence() {
        for url in
            ["", "mysql://a/b", "sqlite://", "sqlite:///srv/", "postgres://", "postgres://host:port/db", "postgres://h/db?sslmode=maybe"]
        {
            let refusal = parse(url).expect_err(url);
            assert!(refusal.contains(' '), "{url}: {refusal}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let database = parse("postgres://me:canary-secret@db.example.com:5433/sanasend?sslmode=require").expect("an address");
        assert_eq!(database.to_string(), "PostgreSQL at db.example.com:5433/sanasend");
        assert!(!format!("{database:?} {database}").contains("canary"));
        let refusal = parse("postgres://me:canary-secret@host:port/db").expect_err("no port");
        assert!(!refusal.contains("canary"), "{refusal}");
    }
}
