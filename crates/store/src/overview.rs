//! Counts over everybody, for the admin's first look.

use crate::dialect::{Rows, pieces, query_as, refused};
use crate::rows::Place;
use crate::{Store, StoreError};
use sanasend_model::{SessionStatus, Timestamp, UserId};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// How many users there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserCounts {
    /// All.
    pub total: u64,
    /// Those who may do anything.
    pub active: u64,
}

/// When those that are here now came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Newcomers {
    /// How many were here before the first day that was asked for.
    pub before: i64,
    /// How many came on each day since; days without any are left out.
    pub days: HashMap<i32, i64>,
}

/// The growth of the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Growth {
    /// Users.
    pub users: Newcomers,
    /// Accounts, from when they were linked first.
    pub sessions: Newcomers,
}

static NAMES: Rows = Rows::new("SELECT id, username FROM users WHERE id IN (", "?", ")");

impl Store {
    /// The names of those users that exist.
    pub async fn usernames(&self, users: impl Iterator<Item = UserId>) -> Result<HashMap<UserId, String>, StoreError> {
        let asked: Vec<Uuid> = users.map(|user| user.0).collect::<HashSet<_>>().into_iter().collect();
        let mut names = HashMap::with_capacity(asked.len());
        for piece in pieces(&asked) {
            let mut select = query_as::<_, (Uuid, String)>(NAMES.sql(piece.len()));
            for user in piece {
                select = select.bind(*user);
            }
            let rows = select.fetch_all(&self.inner.readers).await.map_err(refused)?;
            names.extend(rows.into_iter().map(|(id, name)| (UserId(id), name)));
        }
        Ok(names)
    }

    /// Counts the users.
    pub async fn user_counts(&self) -> Result<UserCounts, StoreError> {
        let sql = "SELECT COUNT(*), COUNT(*) FILTER (WHERE is_active) FROM users";
        let (total, active) = query_as::<_, (i64, i64)>(sql).fetch_one(&self.inner.readers).await.map_err(refused)?;
        let number = |count| u64::try_from(count).unwrap_or(0);
        Ok(UserCounts { total: number(total), active: number(active) })
    }

    /// When users and accounts came, day by day from UTC day `first` on.
    pub async fn newcomers(&self, first: i32) -> Result<Growth, StoreError> {
        let users = "SELECT CASE WHEN created_at < ? THEN -1 ELSE created_at / 86400000 END AS day, COUNT(*) FROM users GROUP BY 1";
        let sessions = "SELECT CASE WHEN linked_at < ? THEN -1 ELSE linked_at / 86400000 END AS day, COUNT(*) FROM sessions \
                        WHERE linked AND linked_at IS NOT NULL GROUP BY 1";
        Ok(Growth { users: self.came(users, first).await?, sessions: self.came(sessions, first).await? })
    }

    async fn came(&self, sql: &'static str, first: i32) -> Result<Newcomers, StoreError> {
        let begin = Timestamp::of_day(first).0;
        let rows = query_as::<_, (i64, i64)>(sql).bind(begin).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let mut came = Newcomers::default();
        for (day, count) in rows {
            match i32::try_from(day) {
                Ok(day) if day >= 0 => {
                    came.days.insert(day, count);
                }
                _ => came.before += count,
            }
        }
        Ok(came)
    }

    /// How many sessions there are in each status; those without any are left out.
    pub async fn session_counts(&self) -> Result<Vec<(SessionStatus, u64)>, StoreError> {
        let sql = "SELECT status, COUNT(*) FROM sessions GROUP BY status ORDER BY status";
        let rows = query_as::<_, (String, i64)>(sql).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let place = Place { table: "sessions", row: &"any" };
        rows.into_iter().map(|(status, count)| Ok((place.name("status", &status)?, u64::try_from(count).unwrap_or(0)))).collect()
    }
}
