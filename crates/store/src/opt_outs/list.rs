//! Looking at opt-outs: in force and ended, newest first.

use super::{OptOut, Row};
use crate::dialect::{AssertSqlSafe, FromRow, query_as, refused};
use crate::page::COUNTED;
use crate::{Cursor, LongList, Page, Store, StoreError};
use sanasend_model::{OptOutId, PhoneNumber, UserId};
use uuid::Uuid;

/// Which opt-outs to list.
#[derive(Debug, Clone, Default)]
pub struct OptOutFilter {
    /// Of whose messages.
    pub user_id: Option<UserId>,
    /// Only those in force, or only those that ended.
    pub in_force: Option<bool>,
    /// Only this person's.
    pub phone: Option<PhoneNumber>,
}

impl OptOutFilter {
    fn condition(&self) -> String {
        let mut sql = String::from("user_id = ?");
        match self.in_force {
            Some(true) => sql.push_str(" AND ended_at IS NULL"),
            Some(false) => sql.push_str(" AND ended_at IS NOT NULL"),
            None => {}
        }
        if self.phone.is_some() {
            sql.push_str(" AND phone = ?");
        }
        sql
    }

    fn ask<T: FromRow>(&self, sql: String) -> crate::dialect::QueryAs<T> {
        let select = query_as::<_, T>(AssertSqlSafe(sql)).bind(self.user_id.map_or(Uuid::nil(), |user| user.0));
        match &self.phone {
            Some(phone) => select.bind(phone.as_str()),
            None => select,
        }
    }
}

impl Store {
    /// One opt-out of a user.
    pub async fn find_opt_out(&self, user: UserId, id: OptOutId) -> Result<Option<OptOut>, StoreError> {
        Ok(self.opt_out_of_anybody(id).await?.filter(|opt_out| opt_out.user_id == user))
    }

    /// One opt-out, whosever it is; the caller looks at that.
    pub async fn opt_out_of_anybody(&self, id: OptOutId) -> Result<Option<OptOut>, StoreError> {
        let row = query_as::<_, Row>("SELECT * FROM opt_outs WHERE id = ?").bind(id.0);
        row.fetch_optional(&self.inner.readers).await.map_err(refused)?.map(Row::read).transpose()
    }

    /// A page of a user's opt-outs, newest first.
    pub async fn list_opt_outs(&self, filter: &OptOutFilter, page: Page) -> Result<LongList<OptOut>, StoreError> {
        let condition = filter.condition();
        let sql = format!("SELECT * FROM opt_outs WHERE {condition} ORDER BY seq DESC LIMIT ? OFFSET ?");
        let rows = filter.ask::<Row>(sql).bind(limit(page.page_size)).bind(limit(page.offset()));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let known = page.known_count(rows.len());
        let count = if let Some(count) = known { count } else { self.count_opt_outs(filter).await? };
        let next = rows.last().filter(|_| known.is_none()).map(|row| Cursor { created_at: row.created_at, seq: row.seq });
        let results = rows.into_iter().map(Row::read).collect::<Result<_, _>>()?;
        Ok(LongList { count: count.min(COUNTED), is_exact: count <= COUNTED, results, next })
    }

    /// How many opt-outs a filter leaves, up to one more than [`COUNTED`].
    async fn count_opt_outs(&self, filter: &OptOutFilter) -> Result<u64, StoreError> {
        let sql = format!("SELECT COUNT(*) FROM (SELECT 1 AS one FROM opt_outs WHERE {} LIMIT ?) AS counted", filter.condition());
        let (count,) = filter.ask::<(i64,)>(sql).bind(limit(COUNTED + 1)).fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The next `most` opt-outs behind `cursor`, newest first, and the cursor behind them when more follow.
    pub async fn list_opt_outs_after(
        &self,
        filter: &OptOutFilter,
        cursor: Option<Cursor>,
        most: u64,
    ) -> Result<(Vec<OptOut>, Option<Cursor>), StoreError> {
        let sql = format!("SELECT * FROM opt_outs WHERE {} AND seq < ? ORDER BY seq DESC LIMIT ?", filter.condition());
        let rows = filter.ask::<Row>(sql).bind(cursor.map_or(i64::MAX, |cursor| cursor.seq)).bind(limit(most.saturating_add(1)));
        let mut rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|row| Cursor { created_at: row.created_at, seq: row.seq });
        Ok((rows.into_iter().map(Row::read).collect::<Result<_, _>>()?, next))
    }
}

pub(crate) fn limit(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
