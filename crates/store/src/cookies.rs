//! Cookies of the dashboard: each stands for a login and is good while it is used, at most until the login's end.
//!
//! Beside the refresh tokens and not among them: a browser sends the same cookie with many requests at once, so that
//! it can't be exchanged at every use. Both hang on the same logins: what ends those ends both.

use crate::dialect::{query, query_as, refused};
use crate::users::{User, find};
use crate::{Store, StoreError};
use sanasend_model::{LoginId, Timestamp, UserId};
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

/// A login by cookie to make.
#[derive(Debug, Clone)]
pub struct NewCookie {
    /// Id of the login.
    pub id: LoginId,
    /// Who logged in.
    pub user_id: UserId,
    /// SHA-256 of the cookie's value.
    pub digest: [u8; 32],
    /// When it ends, however much it is used.
    pub expires_at: Timestamp,
    /// The browser, as it called itself.
    pub user_agent: Option<String>,
    /// From where.
    pub ip: Option<IpAddr>,
}

/// What a good cookie stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieLogin {
    /// The login.
    pub login: LoginId,
    /// Its user; the caller checks that it is active.
    pub user: User,
    /// When its use was last noted.
    pub seen_at: Timestamp,
}

impl Store {
    /// Makes a login with a cookie; `Conflict` on `owner` when the user is gone.
    pub async fn create_cookie(&self, new: NewCookie) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let NewCookie { id, user_id, digest, expires_at, user_agent, ip } = new;
                let now = tx.clock.now();
                let sql = "INSERT INTO logins (id, user_id, created_at, expires_at, user_agent, ip) VALUES (?, ?, ?, ?, ?, ?)";
                let insert = query(sql).bind(id.0).bind(user_id.0).bind(now.0).bind(expires_at.0);
                let insert = insert.bind(user_agent).bind(ip.map(|ip| ip.to_string()));
                insert.execute(&mut tx.conn).await.map_err(refused)?;
                let insert = query("INSERT INTO cookies (digest, login_id, seen_at) VALUES (?, ?, ?)");
                let insert = insert.bind(digest.to_vec()).bind(id.0).bind(now.0);
                insert.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// What a cookie stands for; `None` when it is unknown, its login was ended or is over, or it was not used for `idle`.
    pub async fn cookie(&self, digest: [u8; 32], idle: Duration) -> Result<Option<CookieLogin>, StoreError> {
        let sql = "SELECT l.id, l.user_id, c.seen_at FROM cookies c JOIN logins l ON l.id = c.login_id \
                   WHERE c.digest = ? AND c.seen_at > ? AND l.expires_at > ? AND l.revoked_at IS NULL";
        let now = self.inner.clock.now();
        let row = query_as::<_, (Uuid, Uuid, i64)>(sql).bind(digest.to_vec()).bind(now.minus(idle).0).bind(now.0);
        let Some((login, user, seen_at)) = row.fetch_optional(&self.inner.readers).await.map_err(refused)? else { return Ok(None) };
        let user = find(&self.inner.readers, UserId(user)).await?;
        Ok(user.map(|user| CookieLogin { login: LoginId(login), user, seen_at: Timestamp(seen_at) }))
    }

    /// Notes that a cookie is used now.
    pub async fn touch_cookie(&self, digest: [u8; 32]) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let update = query("UPDATE cookies SET seen_at = ? WHERE digest = ?").bind(tx.clock.now().0).bind(digest.to_vec());
                update.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }
}
