//! The table `sessions`.

use super::{Place, from_row};
use crate::StoreError;
use crate::sessions::Session;
use sanasend_model::{SessionId, Timestamp, UserId};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    pub network: String,
    pub status: String,
    pub reason: Option<String>,
    pub phone: Option<String>,
    pub jid: Option<String>,
    pub lid: Option<String>,
    pub push_name: Option<String>,
    pub linked: bool,
    pub wanted: bool,
    pub connected_at: Option<i64>,
    pub last_active_at: Option<i64>,
    pub last_error: Option<String>,
    pub limited_until: Option<i64>,
    pub generation: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub owner: Option<Uuid>,
    pub linked_at: Option<i64>,
    pub reason_code: Option<String>,
    pub last_error_code: Option<String>,
}

from_row!("sessions": Model {
    id,
    user_id,
    name,
    network,
    status,
    reason,
    phone,
    jid,
    lid,
    push_name,
    linked,
    wanted,
    connected_at,
    last_active_at,
    last_error,
    limited_until,
    generation,
    created_at,
    updated_at,
    owner,
    linked_at,
    reason_code,
    last_error_code
});

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn read(self) -> Result<Session, StoreError> {
        let id = SessionId(self.id);
        let place = Place { table: "sessions", row: &id };
        Ok(Session {
            id,
            user_id: UserId(self.user_id),
            name: self.name,
            network: place.name("network", &self.network)?,
            status: place.name("status", &self.status)?,
            reason: place.reason("reason_code", self.reason_code.as_deref(), self.reason)?,
            phone: place.phone("phone", self.phone.as_deref())?,
            jid: place.jid("jid", self.jid.as_deref())?,
            lid: place.jid("lid", self.lid.as_deref())?,
            push_name: self.push_name,
            linked: self.linked,
            wanted: self.wanted,
            connected_at: self.connected_at.map(Timestamp),
            last_active_at: self.last_active_at.map(Timestamp),
            last_error: place.reason("last_error_code", self.last_error_code.as_deref(), self.last_error)?,
            limited_until: self.limited_until.map(Timestamp),
            generation: self.generation,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
            owner: self.owner,
            linked_at: self.linked_at.map(Timestamp),
        })
    }
}
