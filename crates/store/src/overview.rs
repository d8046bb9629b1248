//! Counts over everybody, for the admin's first look.

use crate::dialect::{Rows, pieces, query_as, refused};
use crate::rows::Place;
use crate::{Store, StoreError};
use sanasend_model::{SessionStatus, UserId};
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

    /// How many sessions there are in each status; those without any are left out.
    pub async fn session_counts(&self) -> Result<Vec<(SessionStatus, u64)>, StoreError> {
        let sql = "SELECT status, COUNT(*) FROM sessions GROUP BY status ORDER BY status";
        let rows = query_as::<_, (String, i64)>(sql).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let place = Place { table: "sessions", row: &"any" };
        rows.into_iter().map(|(status, count)| Ok((place.name("status", &status)?, u64::try_from(count).unwrap_or(0)))).collect()
    }
}
