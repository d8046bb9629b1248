//! The table `jobs`.

use super::{Place, from_row};
use crate::StoreError;
use crate::jobs::Job;
use sanasend_model::{JobId, JobState, Timestamp, UserId};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub seq: i64,
    pub id: Uuid,
    pub kind: String,
    pub lane: Option<String>,
    pub bundle: String,
    pub user_id: Option<Uuid>,
    pub payload: String,
    pub state: i16,
    pub head: bool,
    pub attempts: i32,
    pub due_at: i64,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub owner: Option<Uuid>,
    pub last_error: Option<String>,
}

from_row!("jobs": Model {
    seq,
    id,
    kind,
    lane,
    bundle,
    user_id,
    payload,
    state,
    head,
    attempts,
    due_at,
    created_at,
    started_at,
    ended_at,
    owner,
    last_error
});

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The number of a state in the table.
pub(crate) const fn number(state: JobState) -> i16 {
    match state {
        JobState::Waiting => 0,
        JobState::Running => 1,
        JobState::Dead => 2,
    }
}

/// The state of a number in the table.
pub(crate) fn state(number: i16) -> Option<JobState> {
    JobState::ALL.into_iter().find(|state| self::number(*state) == number)
}

impl Model {
    pub(crate) fn read(self) -> Result<Job, StoreError> {
        let place = Place { table: "jobs", row: &self.id };
        Ok(Job {
            id: JobId(self.id),
            kind: self.kind,
            lane: self.lane,
            bundle: Some(self.bundle).filter(|bundle| !bundle.is_empty()),
            user_id: self.user_id.map(UserId),
            payload: serde_json::from_str(&self.payload).map_err(|_| place.corrupt("payload"))?,
            state: state(self.state).ok_or_else(|| place.corrupt("state"))?,
            attempts: self.attempts,
            due_at: Timestamp(self.due_at),
            created_at: Timestamp(self.created_at),
            started_at: self.started_at.map(Timestamp),
            ended_at: self.ended_at.map(Timestamp),
            owner: self.owner,
            last_error: self.last_error,
        })
    }
}
