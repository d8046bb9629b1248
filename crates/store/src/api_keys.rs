//! API keys: found by their public prefix, proved by a digest; the secret itself is never here.

use crate::page::order_fields;
use crate::users::User;
use crate::{Listed, Ordering, Page, Store, StoreError};
use ipnet::IpNet;
use sanasend_model::{ApiKeyId, Scope, Timestamp, UserId};

/// An API key as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Id.
    pub id: ApiKeyId,
    /// The user it acts for.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: String,
    /// Public part that finds the row.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Networks it may be used from; empty for all.
    pub allowed_ips: Vec<IpNet>,
    /// False once it was revoked.
    pub is_active: bool,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The key that took its place by rotation.
    pub replaced_by: Option<ApiKeyId>,
    /// Until when it still works after a rotation.
    pub grace_until: Option<Timestamp>,
}

/// A key to make.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The user it acts for.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: String,
    /// Public part, unique.
    pub prefix: String,
    /// HMAC-SHA-256 of the secret part.
    pub digest: [u8; 32],
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Networks it may be used from; empty for all.
    pub allowed_ips: Vec<IpNet>,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
}

order_fields! {
    /// What API keys can be sorted by.
    ApiKeyOrder {
        /// When the key was made.
        CreatedAt = "created_at",
        /// Its name.
        Name = "name",
        /// When it was last used; never used counts as longest ago.
        LastUsedAt = "last_used_at",
    }
}

/// Which keys to list.
#[derive(Debug, Clone, Default)]
pub struct ApiKeyFilter {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Part of the name or prefix, without case.
    pub search: Option<String>,
    /// Only active or only revoked ones.
    pub is_active: Option<bool>,
    /// Order of the list.
    pub ordering: Ordering<ApiKeyOrder>,
}

impl Store {
    /// Makes a key; `Conflict` on `prefix`, or on `user` when the user is gone.
    pub async fn create_api_key(&self, new: NewApiKey) -> Result<ApiKey, StoreError> {
        let _ = new;
        Err(crate::not_yet())
    }
    /// The key of a prefix with its digest and its user, revoked and expired ones too: the caller says why it is refused.
    pub async fn api_key_by_prefix(&self, prefix: &str) -> Result<Option<(ApiKey, [u8; 32], User)>, StoreError> {
        let _ = prefix;
        Err(crate::not_yet())
    }
    /// One key.
    pub async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let _ = id;
        Err(crate::not_yet())
    }
    /// A page of the keys.
    pub async fn list_api_keys(&self, filter: &ApiKeyFilter, page: Page) -> Result<Listed<ApiKey>, StoreError> {
        let _ = (filter, page);
        Err(crate::not_yet())
    }
    /// Revokes a key at once; `None` when there is none. Revoking again changes nothing.
    pub async fn revoke_api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let _ = id;
        Err(crate::not_yet())
    }
    /// Makes a key that takes the place of `old`, which works on until `grace_until`; `None` when `old` is missing or revoked.
    pub async fn rotate_api_key(&self, old: ApiKeyId, new: NewApiKey, grace_until: Timestamp) -> Result<Option<ApiKey>, StoreError> {
        let _ = (old, new, grace_until);
        Err(crate::not_yet())
    }
    /// Notes when keys were last used, many at once, so that a request costs no write. Never moves a date back.
    pub async fn touch_api_keys(&self, used: Vec<(ApiKeyId, Timestamp)>) -> Result<(), StoreError> {
        let _ = used;
        Err(crate::not_yet())
    }
}
