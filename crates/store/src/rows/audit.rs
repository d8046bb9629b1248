//! The table `audit_log`, without what only its chain needs.

use super::{Place, from_row};
use crate::StoreError;
use crate::audit::AuditRecord;
use sanasend_model::{Timestamp, UserId};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub seq: i64,
    pub at: i64,
    pub actor: Option<Uuid>,
    pub action: String,
    pub target: String,
    pub ip: Option<String>,
    pub detail: String,
}

from_row!("audit_log": Model { seq, at, actor, action, target, ip, detail });

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn read(self) -> Result<AuditRecord, StoreError> {
        let place = Place { table: "audit_log", row: &self.seq };
        Ok(AuditRecord {
            seq: self.seq,
            at: Timestamp(self.at),
            actor: self.actor.map(UserId),
            ip: place.optional("ip", self.ip.as_deref(), |text| text.parse().ok())?,
            detail: serde_json::from_str(&self.detail).map_err(|_| place.corrupt("detail"))?,
            action: self.action,
            target: self.target,
        })
    }
}
