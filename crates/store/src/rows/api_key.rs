//! The table `api_keys`. Scopes and networks are lists of words in one column: they are read whole, never searched.

use super::{Place, from_row};
use crate::StoreError;
use crate::api_keys::ApiKey;
use sanasend_model::{ApiKeyId, Timestamp, UserId};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    pub prefix: String,
    pub digest: Vec<u8>,
    pub scopes: String,
    pub allowed_ips: String,
    pub is_active: bool,
    pub expires_at: Option<i64>,
    pub last_used_at: Option<i64>,
    pub created_at: i64,
    pub revoked_at: Option<i64>,
    pub replaced_by: Option<Uuid>,
    pub grace_until: Option<i64>,
}

from_row!("api_keys": Model {
    id,
    user_id,
    name,
    prefix,
    digest,
    scopes,
    allowed_ips,
    is_active,
    expires_at,
    last_used_at,
    created_at,
    revoked_at,
    replaced_by,
    grace_until
});

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Words in one column.
pub(crate) fn join<T: ToString>(words: &[T]) -> String {
    words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl Model {
    pub(crate) fn read(self) -> Result<(ApiKey, [u8; 32]), StoreError> {
        let id = ApiKeyId(self.id);
        let place = Place { table: "api_keys", row: &id };
        let digest = <[u8; 32]>::try_from(self.digest.as_slice()).map_err(|_| place.corrupt("digest"))?;
        let scopes = self.scopes.split_whitespace().map(|word| place.name("scopes", word)).collect::<Result<_, _>>()?;
        let allowed_ips = self.allowed_ips.split_whitespace().map(|word| place.name("allowed_ips", word)).collect::<Result<_, _>>()?;
        let key = ApiKey {
            id,
            user_id: UserId(self.user_id),
            name: self.name,
            prefix: self.prefix,
            scopes,
            allowed_ips,
            is_active: self.is_active,
            expires_at: self.expires_at.map(Timestamp),
            last_used_at: self.last_used_at.map(Timestamp),
            created_at: Timestamp(self.created_at),
            revoked_at: self.revoked_at.map(Timestamp),
            replaced_by: self.replaced_by.map(ApiKeyId),
            grace_until: self.grace_until.map(Timestamp),
        };
        Ok((key, digest))
    }
}
