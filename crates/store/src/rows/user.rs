//! The table `users`.

use super::from_row;
use crate::users::User;
use sanasend_model::{Timestamp, UserId};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub username: String,
    pub email: String,
    pub is_active: bool,
    pub is_admin: bool,
    pub max_messages_per_day: i64,
    pub max_messages_per_minute: i64,
    pub max_sessions: i64,
    pub quiet_hours: Option<String>,
    pub removal_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
}

from_row!("users": Model {
    id,
    username,
    email,
    is_active,
    is_admin,
    max_messages_per_day,
    max_messages_per_minute,
    max_sessions,
    quiet_hours,
    removal_at,
    created_at,
    updated_at
});

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for User {
    fn from(row: Model) -> Self {
        Self {
            id: UserId(row.id),
            username: row.username,
            email: row.email,
            is_active: row.is_active,
            is_admin: row.is_admin,
            max_messages_per_day: row.max_messages_per_day,
            max_messages_per_minute: row.max_messages_per_minute,
            max_sessions: row.max_sessions,
            quiet_hours: row.quiet_hours.and_then(|text| text.parse().ok()),
            removal_at: row.removal_at.map(Timestamp),
            created_at: Timestamp(row.created_at),
            updated_at: Timestamp(row.updated_at),
        }
    }
}
