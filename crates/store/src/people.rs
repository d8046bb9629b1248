//! What a list of users shows of each beside its row: accounts, messages, keys. A few statements for a whole page of it.

use crate::dialect::{FromRow, Rows, pieces, query_as, refused};
use crate::rows::Place;
use crate::{Store, StoreError};
use sanasend_model::{SessionStatus, UserId};
use std::collections::HashMap;
use uuid::Uuid;

/// Figures of one user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserFigures {
    /// Its sessions by status; those without any are left out.
    pub sessions: Vec<(SessionStatus, u64)>,
    /// Messages handed in on the day asked for.
    pub messages_today: i64,
    /// Messages handed in ever.
    pub messages_total: i64,
    /// API keys that are not revoked.
    pub keys: u64,
}

static SESSIONS: Rows = Rows::new(
    "SELECT user_id, status, COUNT(*) FROM sessions WHERE user_id IN (",
    "?",
    ") GROUP BY user_id, status ORDER BY user_id, status",
);

static MESSAGES: Rows =
    Rows::new("SELECT user_id, CAST(SUM(accepted) AS BIGINT) FROM usage_daily WHERE user_id IN (", "?", ") GROUP BY user_id");

static TODAY: Rows = Rows::new("SELECT user_id, accepted FROM usage_daily WHERE user_id IN (", "?", ") AND day = ?");

static KEYS: Rows = Rows::new("SELECT user_id, COUNT(*) FROM api_keys WHERE user_id IN (", "?", ") AND is_active GROUP BY user_id");

impl Store {
    /// The figures of these users; `day` is the UTC day that counts as today. Users without any are there as well.
    pub async fn user_figures(&self, users: &[UserId], day: i32) -> Result<HashMap<UserId, UserFigures>, StoreError> {
        let mut figures: HashMap<UserId, UserFigures> = users.iter().map(|user| (*user, UserFigures::default())).collect();
        for piece in pieces(users) {
            for (user, status, count) in self.of_users::<(Uuid, String, i64)>(&SESSIONS, piece, None).await? {
                let status = Place { table: "sessions", row: &"any" }.name("status", &status)?;
                figures.entry(UserId(user)).or_default().sessions.push((status, u64::try_from(count).unwrap_or(0)));
            }
            for (user, messages) in self.of_users::<(Uuid, i64)>(&MESSAGES, piece, None).await? {
                figures.entry(UserId(user)).or_default().messages_total = messages;
            }
            for (user, messages) in self.of_users::<(Uuid, i64)>(&TODAY, piece, Some(day)).await? {
                figures.entry(UserId(user)).or_default().messages_today = messages;
            }
            for (user, keys) in self.of_users::<(Uuid, i64)>(&KEYS, piece, None).await? {
                figures.entry(UserId(user)).or_default().keys = u64::try_from(keys).unwrap_or(0);
            }
        }
        Ok(figures)
    }

    /// Runs a statement over a piece of users, with the day behind them where it asks for one.
    async fn of_users<T: FromRow>(&self, rows: &'static Rows, piece: &[UserId], day: Option<i32>) -> Result<Vec<T>, StoreError> {
        let mut select = query_as::<_, T>(rows.sql(piece.len()));
        for user in piece {
            select = select.bind(user.0);
        }
        if let Some(day) = day {
            select = select.bind(day);
        }
        select.fetch_all(&self.inner.readers).await.map_err(refused)
    }
}
