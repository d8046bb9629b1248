//! Making jobs, in the transaction of the fact that caused them.

use super::{JobHint, NewJob};
use crate::StoreError;
use crate::dialect::{Rows, pieces, query, query_scalar, refused};
use crate::writer::Tx;
use sanasend_model::JobId;
use std::collections::HashSet;

static INSERT: Rows = Rows::new(
    "INSERT INTO jobs (id, kind, lane, bundle, user_id, payload, state, head, attempts, due_at, created_at) VALUES ",
    "(?, ?, ?, ?, ?, ?, 0, ?, 0, ?, ?)",
    "",
);
static TAKEN: Rows = Rows::new("SELECT DISTINCT lane FROM jobs WHERE lane IN (", "?", ") AND state <> 2");

impl Tx {
    /// Makes jobs, in this order; answers their ids. `Conflict` on `owner` when a user is gone.
    pub(crate) async fn enqueue(&mut self, jobs: &[NewJob]) -> Result<Vec<JobId>, StoreError> {
        let now = self.clock.now();
        let mut taken = self.taken_lanes(jobs).await?;
        let mut ids = Vec::with_capacity(jobs.len());
        for piece in pieces(jobs) {
            let mut insert = query(INSERT.sql(piece.len()));
            for job in piece {
                let id = JobId::new(&*self.clock);
                // Only the first of a lane can be claimed.
                let head = job.lane.as_ref().is_none_or(|lane| taken.insert(lane.clone()));
                let bundle = job.bundle.as_deref().unwrap_or_default();
                insert = insert.bind(id.0).bind(job.kind).bind(job.lane.as_deref()).bind(bundle).bind(job.user_id.map(|id| id.0));
                insert = insert.bind(job.payload.to_string()).bind(head).bind(job.due_at.0).bind(now.0);
                if head {
                    self.hints.push(JobHint { kind: job.kind.into(), bundle: bundle.into(), due_at: job.due_at });
                }
                ids.push(id);
            }
            insert.execute(&mut self.conn).await.map_err(refused)?;
        }
        Ok(ids)
    }

    /// Lanes of these jobs that others are in already.
    async fn taken_lanes(&mut self, jobs: &[NewJob]) -> Result<HashSet<String>, StoreError> {
        let lanes: HashSet<&str> = jobs.iter().filter_map(|job| job.lane.as_deref()).collect();
        let lanes: Vec<&str> = lanes.into_iter().collect();
        let mut taken = HashSet::new();
        for piece in pieces(&lanes) {
            let mut select = query_scalar::<_, String>(TAKEN.sql(piece.len()));
            for lane in piece {
                select = select.bind(*lane);
            }
            taken.extend(select.fetch_all(&mut self.conn).await.map_err(refused)?);
        }
        Ok(taken)
    }
}
