//! Taking jobs up for a time, and longer.

use super::{DueJobs, Job, JobPlaces};
use crate::StoreError;
use crate::dialect::{Rows, pieces, query, query_as, query_scalar, refused};
use crate::rows::job::Model;
use crate::writer::Tx;
use sanasend_model::{JobId, Timestamp};
use std::time::Duration;
use uuid::Uuid;

const DUE: &str = "SELECT seq FROM jobs WHERE head AND kind = ? AND bundle = ? AND due_at <= ? ORDER BY due_at, seq LIMIT ?";
const NEXT: &str = "SELECT MIN(due_at) FROM jobs WHERE head AND kind = ? AND bundle = ?";

static CLAIM: Rows = Rows::new(
    "UPDATE jobs SET state = 1, attempts = attempts + 1, owner = ?, started_at = ?, due_at = ? WHERE seq IN (",
    "?",
    ") RETURNING *",
);

/// Takes what is due, the longest due first; a job whose lease has ended is due again. Answers for each place asked for when to
/// look there again.
pub(super) async fn claim(tx: &mut Tx, owner: Uuid, asked: Vec<JobPlaces>) -> Result<(Vec<Job>, Vec<DueJobs>), StoreError> {
    let now = tx.clock.now();
    let (mut claimed, mut next) = (Vec::new(), Vec::with_capacity(asked.len()));
    for places in asked {
        let limit = i64::try_from(places.places).unwrap_or(i64::MAX);
        let due = query_scalar::<_, i64>(DUE).bind(&places.kind).bind(&places.bundle).bind(now.0).bind(limit);
        let due = due.fetch_all(&mut tx.conn).await.map_err(refused)?;
        let mut rows = Vec::with_capacity(due.len());
        for piece in pieces(&due) {
            let mut update = query_as::<_, Model>(CLAIM.sql(piece.len())).bind(owner).bind(now.0).bind(now.plus(places.lease).0);
            for seq in piece {
                update = update.bind(*seq);
            }
            rows.extend(update.fetch_all(&mut tx.conn).await.map_err(refused)?);
        }
        rows.sort_by_key(|row| row.seq);
        for row in rows {
            let (seq, lane) = (row.seq, row.lane.clone());
            match row.read() {
                Ok(job) => claimed.push(job),
                Err(error) => bury(tx, seq, lane, &error).await?,
            }
        }
        let due_at = query_scalar::<_, Option<i64>>(NEXT).bind(&places.kind).bind(&places.bundle).fetch_one(&mut tx.conn);
        let due_at = due_at.await.map_err(refused)?.map(Timestamp);
        next.push(DueJobs { kind: places.kind, bundle: places.bundle, due_at });
    }
    Ok((claimed, next))
}

/// A job that can't be read must not be claimed for ever, nor hold up its lane.
async fn bury(tx: &mut Tx, seq: i64, lane: Option<String>, error: &StoreError) -> Result<(), StoreError> {
    tracing::error!(%error, "a job can't be read; it is given up");
    let sql = "UPDATE jobs SET state = 2, head = FALSE, ended_at = ?, payload = 'null', last_error = ? WHERE seq = ?";
    let update = query(sql).bind(tx.clock.now().0).bind("The stored job could not be read.").bind(seq);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    super::settle::raise(tx, lane.into_iter().collect()).await
}

/// Keeps jobs longer; answers those that are not this attempt's any more.
pub(super) async fn renew(tx: &mut Tx, owner: Uuid, attempts: &[(JobId, i32, Duration)]) -> Result<Vec<JobId>, StoreError> {
    let now = tx.clock.now();
    let mut lost = Vec::new();
    for (id, attempt, lease) in attempts {
        let sql = "UPDATE jobs SET due_at = ? WHERE id = ? AND state = 1 AND attempts = ? AND owner = ?";
        let update = query(sql).bind(now.plus(*lease).0).bind(id.0).bind(attempt).bind(owner);
        if update.execute(&mut tx.conn).await.map_err(refused)?.rows_affected() == 0 {
            lost.push(*id);
        }
    }
    Ok(lost)
}
