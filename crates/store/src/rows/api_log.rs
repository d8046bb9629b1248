//! The table `api_log`.

use super::{Place, from_row};
use crate::StoreError;
use crate::api_log::LoggedRequest;
use sanasend_model::{ApiKeyId, Timestamp, UserId};
use sea_orm::entity::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_log")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub seq: i64,
    pub user_id: Option<Uuid>,
    pub api_key_id: Option<Uuid>,
    pub method: String,
    pub endpoint: String,
    pub path: String,
    pub status_code: i32,
    pub latency_us: i64,
    pub ip: String,
    pub request_id: String,
    pub at: i64,
}

from_row!("api_log": Model { seq, user_id, api_key_id, method, endpoint, path, status_code, latency_us, ip, request_id, at });

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn read(self) -> Result<LoggedRequest, StoreError> {
        let place = Place { table: "api_log", row: &self.seq };
        Ok(LoggedRequest {
            user_id: self.user_id.map(UserId),
            api_key_id: self.api_key_id.map(ApiKeyId),
            status_code: u16::try_from(self.status_code).map_err(|_| place.corrupt("status_code"))?,
            latency: Duration::from_micros(u64::try_from(self.latency_us).map_err(|_| place.corrupt("latency_us"))?),
            ip: place.name("ip", &self.ip)?,
            method: self.method,
            endpoint: self.endpoint,
            path: self.path,
            request_id: self.request_id,
            at: Timestamp(self.at),
        })
    }
}
