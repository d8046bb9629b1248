//! Logins of people: families of refresh tokens. A refresh token is used once; using an old one again means
//! that it was stolen, and ends the whole family.

use crate::users::User;
use crate::{Store, StoreError};
use sanasend_model::{LoginId, Timestamp, UserId};
use std::net::IpAddr;

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Id of the family.
    pub id: LoginId,
    /// Who logged in.
    pub user_id: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be refreshed.
    pub expires_at: Timestamp,
    /// The browser or program, as it called itself.
    pub user_agent: Option<String>,
    /// From where.
    pub ip: Option<IpAddr>,
}

/// A login to make.
#[derive(Debug, Clone)]
pub struct NewLogin {
    /// Id of the family.
    pub id: LoginId,
    /// Who logged in.
    pub user_id: UserId,
    /// Digest of the first refresh token.
    pub refresh_digest: [u8; 32],
    /// Until when it can be refreshed.
    pub expires_at: Timestamp,
    /// The browser or program, as it called itself.
    pub user_agent: Option<String>,
    /// From where.
    pub ip: Option<IpAddr>,
}

/// Outcome of presenting a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// Good: the new token is in force.
    Rotated {
        /// The login, with its new end.
        login: Login,
        /// Its user; the caller checks that it is active.
        user: User,
    },
    /// It was used before: the whole family is revoked.
    Reused,
    /// Nobody knows it, or its family was revoked.
    Unknown,
    /// Too old.
    Expired,
}

impl Store {
    /// Makes a login.
    pub async fn create_login(&self, new: NewLogin) -> Result<Login, StoreError> {
        let _ = new;
        Err(crate::not_yet())
    }
    /// Exchanges a refresh token for the next one.
    pub async fn rotate_refresh(
        &self,
        old_digest: [u8; 32],
        new_digest: [u8; 32],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let _ = (old_digest, new_digest, now, expires_at);
        Err(crate::not_yet())
    }
    /// Ends a login; ending it again changes nothing.
    pub async fn revoke_login(&self, id: LoginId) -> Result<(), StoreError> {
        let _ = id;
        Err(crate::not_yet())
    }
    /// Ends every login of a user.
    pub async fn revoke_logins_of(&self, user: UserId) -> Result<(), StoreError> {
        let _ = user;
        Err(crate::not_yet())
    }
    /// Whether a login was neither revoked nor is past its end.
    pub async fn login_is_live(&self, id: LoginId) -> Result<bool, StoreError> {
        let _ = id;
        Err(crate::not_yet())
    }
    /// Removes what can never be used again; answers how many logins went.
    pub async fn delete_expired_logins(&self, now: Timestamp) -> Result<u64, StoreError> {
        let _ = now;
        Err(crate::not_yet())
    }
}
