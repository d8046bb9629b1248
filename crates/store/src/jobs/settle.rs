//! What became of attempts: done, again later, or given up; and who is next in a lane.

use super::{JobChanged, JobHint, JobOutcome, JobResult, PIECE};
use crate::dialect::{Rows, pieces, query, query_as, refused};
use crate::rows::from_row;
use crate::rows::job::{Model, state};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{JobId, JobState, Timestamp};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// A job as its settlement needs it.
struct Running {
    seq: i64,
    id: Uuid,
    attempts: i32,
    lane: Option<String>,
    kind: String,
    bundle: String,
}

from_row!("jobs": Running { seq, id, attempts, lane, kind, bundle });

static RUNNING: Rows = Rows::new("SELECT seq, id, attempts, lane, kind, bundle FROM jobs WHERE state = 1 AND id IN (", "?", ")");
static DELETE: Rows = Rows::new("DELETE FROM jobs WHERE seq IN (", "?", ")");

// Only a lane without a head gets one, so that two of a lane never run at once.
static RAISE: Rows = Rows::new(
    "UPDATE jobs SET head = TRUE WHERE seq IN (SELECT MIN(seq) FROM jobs WHERE lane IN (",
    "?",
    ") AND state <> 2 GROUP BY lane HAVING MAX(CASE WHEN head THEN 1 ELSE 0 END) = 0) RETURNING kind, bundle, due_at",
);

/// Settles attempts; those that are not the present one of their job change nothing.
pub(super) async fn settle(tx: &mut Tx, results: Vec<JobResult>) -> Result<(), StoreError> {
    let mut running: HashMap<Uuid, Running> = HashMap::with_capacity(results.len());
    for piece in pieces(&results) {
        let mut select = query_as::<_, Running>(RUNNING.sql(piece.len()));
        for result in piece {
            select = select.bind(result.id.0);
        }
        running.extend(select.fetch_all(&mut tx.conn).await.map_err(refused)?.into_iter().map(|row| (row.id, row)));
    }
    let (mut done, mut lanes) = (Vec::new(), BTreeSet::new());
    for JobResult { id, attempt, outcome } in results {
        let Some(row) = running.remove(&id.0).filter(|row| row.attempts == attempt) else { continue };
        let mut leaves = true;
        match outcome {
            JobOutcome::Done => done.push(row.seq),
            JobOutcome::Dead { reason } => die(tx, row.seq, reason).await?,
            JobOutcome::Retry { due_at, reason, keep_lane } => {
                leaves = !keep_lane;
                retry(tx, &row, due_at, reason, keep_lane).await?;
            }
        }
        lanes.extend(row.lane.filter(|_| leaves));
    }
    for piece in pieces(&done) {
        let mut delete = query(DELETE.sql(piece.len()));
        for seq in piece {
            delete = delete.bind(*seq);
        }
        delete.execute(&mut tx.conn).await.map_err(refused)?;
    }
    raise(tx, lanes).await
}

async fn die(tx: &mut Tx, seq: i64, reason: String) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET state = 2, head = FALSE, owner = NULL, ended_at = ?, last_error = ? WHERE seq = ?";
    let update = query(sql).bind(tx.clock.now().0).bind(reason).bind(seq);
    update.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

async fn retry(tx: &mut Tx, row: &Running, due_at: Timestamp, reason: String, keep_lane: bool) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET state = 0, owner = NULL, due_at = ?, last_error = ?, lane = ? WHERE seq = ?";
    let lane = row.lane.as_deref().filter(|_| keep_lane);
    let update = query(sql).bind(due_at.0).bind(reason).bind(lane).bind(row.seq);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    tx.hints.push(JobHint { kind: row.kind.clone(), bundle: row.bundle.clone(), due_at });
    Ok(())
}

/// Makes the first job of each of these lanes claimable, where none is.
pub(crate) async fn raise(tx: &mut Tx, lanes: BTreeSet<String>) -> Result<(), StoreError> {
    let lanes: Vec<String> = lanes.into_iter().collect();
    for piece in pieces(&lanes) {
        let mut update = query_as::<_, (String, String, i64)>(RAISE.sql(piece.len()));
        for lane in piece {
            update = update.bind(lane);
        }
        let raised = update.fetch_all(&mut tx.conn).await.map_err(refused)?;
        tx.hints.extend(raised.into_iter().map(|(kind, bundle, due_at)| JobHint { kind, bundle, due_at: Timestamp(due_at) }));
    }
    Ok(())
}

pub(super) async fn give_back(tx: &mut Tx, attempts: &[(JobId, i32)]) -> Result<(), StoreError> {
    let now = tx.clock.now();
    for (id, attempt) in attempts {
        let sql =
            "UPDATE jobs SET state = 0, owner = NULL, attempts = attempts - 1, due_at = ? WHERE id = ? AND state = 1 AND attempts = ?";
        query(sql).bind(now.0).bind(id.0).bind(attempt).execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

pub(super) async fn free_leases(tx: &mut Tx, owner: Option<Uuid>) -> Result<u64, StoreError> {
    let now = tx.clock.now();
    let jobs = "UPDATE jobs SET state = 0, owner = NULL, due_at = ? WHERE state = 1 AND (owner = ? OR CAST(? AS BOOLEAN))";
    let schedules = "UPDATE schedules SET leased_until = NULL, owner = NULL WHERE owner IS NOT NULL AND (owner = ? OR CAST(? AS BOOLEAN))";
    let (all, owner) = (owner.is_none(), owner.unwrap_or_default());
    let jobs = query(jobs).bind(now.0).bind(owner).bind(all).execute(&mut tx.conn).await.map_err(refused)?;
    let schedules = query(schedules).bind(owner).bind(all).execute(&mut tx.conn).await.map_err(refused)?;
    Ok(jobs.rows_affected() + schedules.rows_affected())
}

/// Puts dead jobs back on their way, with their attempts forgotten.
async fn revive(tx: &mut Tx, dead: Vec<Model>) -> Result<(), StoreError> {
    let now = tx.clock.now();
    let mut lanes = BTreeSet::new();
    for job in dead {
        let sql = "UPDATE jobs SET state = 0, head = ?, attempts = 0, due_at = ?, ended_at = NULL WHERE seq = ?";
        let update = query(sql).bind(job.lane.is_none()).bind(now.0).bind(job.seq);
        update.execute(&mut tx.conn).await.map_err(refused)?;
        if job.lane.is_none() {
            tx.hints.push(JobHint { kind: job.kind, bundle: job.bundle, due_at: now });
        }
        lanes.extend(job.lane);
    }
    raise(tx, lanes).await
}

async fn find(tx: &mut Tx, id: JobId) -> Result<Option<Model>, StoreError> {
    let row = query_as::<_, Model>("SELECT * FROM jobs WHERE id = ?").bind(id.0).fetch_optional(&mut tx.conn);
    row.await.map_err(refused)
}

/// A dead job, or why there is none to change.
async fn find_dead(tx: &mut Tx, id: JobId) -> Result<Result<Model, JobChanged>, StoreError> {
    let Some(row) = find(tx, id).await? else { return Ok(Err(JobChanged::Missing)) };
    match state(row.state) {
        Some(JobState::Dead) => Ok(Ok(row)),
        other => Ok(Err(JobChanged::WrongState(other.unwrap_or(JobState::Waiting)))),
    }
}

impl Store {
    /// Puts a dead job back on its way; those of its lane that are under way go first.
    pub async fn retry_job(&self, id: JobId) -> Result<JobChanged, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let row = match find_dead(tx, id).await? {
                    Ok(row) => row,
                    Err(refusal) => return Ok(refusal),
                };
                revive(tx, vec![row]).await?;
                match find(tx, id).await? {
                    Some(row) => Ok(JobChanged::Done(Box::new(row.read()?))),
                    None => Ok(JobChanged::Missing),
                }
            })
        })
        .await
    }

    /// Puts all dead jobs back on their way, or those of one kind; answers how many. In pieces.
    pub async fn retry_dead_jobs(&self, kind: Option<String>) -> Result<u64, StoreError> {
        let mut revived = 0;
        loop {
            let kind = kind.clone();
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT * FROM jobs WHERE state = 2 AND (? IS NULL OR kind = ?) ORDER BY seq LIMIT ?";
                    let rows = query_as::<_, Model>(sql).bind(kind.clone()).bind(kind).bind(PIECE).fetch_all(&mut tx.conn);
                    let rows = rows.await.map_err(refused)?;
                    let count = rows.len() as u64;
                    revive(tx, rows).await?;
                    Ok(count)
                })
            });
            match piece.await? {
                0 => return Ok(revived),
                some => revived += some,
            }
        }
    }

    /// Drops a dead job.
    pub async fn drop_job(&self, id: JobId) -> Result<JobChanged, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let row = match find_dead(tx, id).await? {
                    Ok(row) => row,
                    Err(refusal) => return Ok(refusal),
                };
                query("DELETE FROM jobs WHERE seq = ?").bind(row.seq).execute(&mut tx.conn).await.map_err(refused)?;
                Ok(JobChanged::Done(Box::new(row.read()?)))
            })
        })
        .await
    }
}
