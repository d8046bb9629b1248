//! Looking at jobs: what is due for the runner, lists and figures for people, and the removal of old dead ones.

use super::{Job, PIECE};
use crate::dialect::{query, query_as, refused};
use crate::page::{found_in, listed, order_fields};
use crate::rows::job::{self, number, state};
use crate::{Listed, Ordering, Page, Store, StoreError};
use sanasend_model::{JobId, JobState, Timestamp, UserId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use std::collections::BTreeMap;

order_fields! {
    /// What jobs can be sorted by.
    JobOrder {
        /// When the job was made.
        CreatedAt = "created_at",
        /// When it may run.
        DueAt = "due_at",
        /// Attempts begun.
        Attempts = "attempts",
    }
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only those in this state.
    pub state: Option<JobState>,
    /// Only those for this user.
    pub user_id: Option<UserId>,
    /// Part of the kind, bundle, lane or last error, without case.
    pub search: Option<String>,
    /// Order of the list.
    pub ordering: Ordering<JobOrder>,
}

/// When the first job of a kind and bundle may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueJobs {
    /// The kind.
    pub kind: String,
    /// The bundle; empty for none.
    pub bundle: String,
    /// When; `None` when there is nothing to claim, not even later.
    pub due_at: Option<Timestamp>,
}

/// Figures of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobCount {
    /// The kind.
    pub kind: String,
    /// Jobs that wait.
    pub waiting: u64,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that were given up.
    pub dead: u64,
    /// The earliest time at which one that waits may run: in the past, it is late.
    pub oldest_due: Option<Timestamp>,
}

// Hops from bundle to bundle over the index, so that the cost is that of the bundles, not of what waits in them.
const DUE: &str = "WITH RECURSIVE bundles (bundle) AS (\
                   SELECT MIN(bundle) FROM jobs WHERE head AND kind = ? UNION ALL \
                   SELECT (SELECT MIN(jobs.bundle) FROM jobs WHERE head AND kind = ? AND jobs.bundle > bundles.bundle) \
                   FROM bundles WHERE bundles.bundle IS NOT NULL) \
                   SELECT bundle, (SELECT MIN(due_at) FROM jobs WHERE head AND kind = ? AND jobs.bundle = bundles.bundle) \
                   FROM bundles WHERE bundle IS NOT NULL";

impl Store {
    /// When the first job of each bundle of a kind may run. Reads only.
    pub async fn due_jobs(&self, kind: &str) -> Result<Vec<DueJobs>, StoreError> {
        let rows = query_as::<_, (String, Option<i64>)>(DUE).bind(kind).bind(kind).bind(kind).fetch_all(&self.inner.readers);
        let due = |(bundle, due_at): (String, Option<i64>)| DueJobs { kind: kind.to_owned(), bundle, due_at: due_at.map(Timestamp) };
        Ok(rows.await.map_err(refused)?.into_iter().map(due).collect())
    }

    /// One job.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let row = query_as::<_, job::Model>("SELECT * FROM jobs WHERE id = ?").bind(id.0).fetch_optional(&self.inner.readers);
        row.await.map_err(refused)?.map(job::Model::read).transpose()
    }

    /// A page of the jobs.
    pub async fn list_jobs(&self, filter: &JobFilter, page: Page) -> Result<Listed<Job>, StoreError> {
        let mut rows = job::Entity::find();
        if let Some(kind) = &filter.kind {
            rows = rows.filter(job::Column::Kind.eq(kind.as_str()));
        }
        if let Some(state) = filter.state {
            rows = rows.filter(job::Column::State.eq(number(state)));
        }
        if let Some(user) = filter.user_id {
            rows = rows.filter(job::Column::UserId.eq(user.0));
        }
        if let Some(text) = &filter.search {
            let columns = [job::Column::Kind, job::Column::Bundle, job::Column::Lane, job::Column::LastError];
            rows = rows.filter(found_in(&columns, text));
        }
        let (by, direction) = (filter.ordering.by, filter.ordering.direction());
        let rows = match by {
            // The order of making is that of the primary key.
            JobOrder::CreatedAt => rows,
            JobOrder::DueAt => rows.order_by(job::Column::DueAt, direction.clone()),
            JobOrder::Attempts => rows.order_by(job::Column::Attempts, direction.clone()),
        };
        let Listed { count, results } = listed(rows.order_by(job::Column::Seq, direction), page, &self.inner.readers).await?;
        let results = results.into_iter().map(job::Model::read).collect::<Result<_, _>>()?;
        Ok(Listed { count, results })
    }

    /// Figures of every kind that has jobs, by name.
    pub async fn count_jobs(&self) -> Result<Vec<JobCount>, StoreError> {
        let sql = "SELECT kind, state, COUNT(*) FROM jobs GROUP BY state, kind";
        let counts = query_as::<_, (String, i16, i64)>(sql).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let sql = "SELECT kind, MIN(due_at) FROM jobs WHERE head AND state = 0 GROUP BY kind";
        let oldest = query_as::<_, (String, i64)>(sql).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let mut kinds: BTreeMap<String, JobCount> = BTreeMap::new();
        for (kind, number, count) in counts {
            let entry = kinds.entry(kind).or_default();
            let count = u64::try_from(count).unwrap_or(0);
            match state(number) {
                Some(JobState::Running) => entry.running += count,
                Some(JobState::Dead) => entry.dead += count,
                _ => entry.waiting += count,
            }
        }
        for (kind, due_at) in oldest {
            kinds.entry(kind).or_default().oldest_due = Some(Timestamp(due_at));
        }
        Ok(kinds.into_iter().map(|(kind, count)| JobCount { kind, ..count }).collect())
    }

    /// Removes jobs that were given up before `before`; answers how many. In pieces.
    pub async fn sweep_dead_jobs(&self, before: Timestamp) -> Result<u64, StoreError> {
        let sql = "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE state = 2 AND ended_at < ? LIMIT ?)";
        let mut gone = 0;
        loop {
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let delete = query(sql).bind(before.0).bind(PIECE).execute(&mut tx.conn).await;
                    delete.map(|done| done.rows_affected()).map_err(refused)
                })
            });
            match piece.await? {
                0 => return Ok(gone),
                some => gone += some,
            }
        }
    }
}
