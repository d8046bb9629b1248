//! Logins of people: families of refresh tokens. A refresh token is used once; using an old one again means
//! that it was stolen, and ends the whole family.

use crate::dialect::{query, query_as, query_scalar, refused};
use crate::rows::Place;
use crate::users::User;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{LoginId, Timestamp, UserId};
use std::net::IpAddr;
use uuid::Uuid;

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
#[expect(clippy::large_enum_variant, reason = "made once per refresh and taken apart at once")]
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

type Row = (Uuid, Uuid, i64, i64, Option<String>, Option<String>, Option<i64>);

/// A login, and whether it is revoked.
async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<(Login, bool)>, StoreError> {
    let sql = "SELECT id, user_id, created_at, expires_at, user_agent, ip, revoked_at FROM logins WHERE id = ?";
    let row = query_as::<_, Row>(sql).bind(id).fetch_optional(&mut tx.conn).await.map_err(refused)?;
    let Some((id, user, created_at, expires_at, user_agent, ip, revoked_at)) = row else { return Ok(None) };
    let ip = Place { table: "logins", row: &id }.optional("ip", ip.as_deref(), |text| text.parse().ok())?;
    let (created_at, expires_at) = (Timestamp(created_at), Timestamp(expires_at));
    let login = Login { id: LoginId(id), user_id: UserId(user), created_at, expires_at, user_agent, ip };
    Ok(Some((login, revoked_at.is_some())))
}

async fn insert_token(tx: &mut Tx, digest: [u8; 32], login: LoginId, expires_at: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO refresh_tokens (digest, login_id, expires_at) VALUES (?, ?, ?)";
    let insert = query(sql).bind(digest.to_vec()).bind(login.0).bind(expires_at.0);
    insert.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

/// Whether there was one to end.
async fn revoke(tx: &mut Tx, id: LoginId) -> Result<bool, StoreError> {
    let update = query("UPDATE logins SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL");
    let done = update.bind(tx.clock.now().0).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
    Ok(done.rows_affected() > 0)
}

async fn rotate(tx: &mut Tx, old: [u8; 32], new: [u8; 32], now: Timestamp, expires_at: Timestamp) -> Result<Rotation, StoreError> {
    let sql = "SELECT login_id, expires_at, used_at FROM refresh_tokens WHERE digest = ?";
    let token = query_as::<_, (Uuid, i64, Option<i64>)>(sql).bind(old.to_vec()).fetch_optional(&mut tx.conn);
    let Some((login, ends, used_at)) = token.await.map_err(refused)? else { return Ok(Rotation::Unknown) };
    let Some((mut login, revoked)) = find(tx, login).await? else { return Ok(Rotation::Unknown) };
    if revoked {
        return Ok(Rotation::Unknown);
    }
    if used_at.is_some() {
        revoke(tx, login.id).await?;
        return Ok(Rotation::Reused);
    }
    if ends <= now.0 {
        return Ok(Rotation::Expired);
    }
    let spend = query("UPDATE refresh_tokens SET used_at = ? WHERE digest = ?").bind(now.0).bind(old.to_vec());
    spend.execute(&mut tx.conn).await.map_err(refused)?;
    insert_token(tx, new, login.id, expires_at).await?;
    let extend = query("UPDATE logins SET expires_at = ? WHERE id = ?").bind(expires_at.0).bind(login.id.0);
    extend.execute(&mut tx.conn).await.map_err(refused)?;
    login.expires_at = expires_at;
    let user = crate::users::find(&mut tx.conn, login.user_id).await?;
    Ok(user.map_or(Rotation::Unknown, |user| Rotation::Rotated { login, user }))
}

impl Store {
    /// Makes a login; `Conflict` on `owner` when the user is gone.
    pub async fn create_login(&self, new: NewLogin) -> Result<Login, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let NewLogin { id, user_id, refresh_digest, expires_at, user_agent, ip } = new;
                let created_at = tx.clock.now();
                let sql = "INSERT INTO logins (id, user_id, created_at, expires_at, user_agent, ip) VALUES (?, ?, ?, ?, ?, ?)";
                let insert = query(sql).bind(id.0).bind(user_id.0).bind(created_at.0).bind(expires_at.0);
                let insert = insert.bind(&user_agent).bind(ip.map(|ip| ip.to_string()));
                insert.execute(&mut tx.conn).await.map_err(refused)?;
                insert_token(tx, refresh_digest, id, expires_at).await?;
                Ok(Login { id, user_id, created_at, expires_at, user_agent, ip })
            })
        })
        .await
    }

    /// Exchanges a refresh token for the next one. All under one lock: of two exchanges of the same token one is a reuse.
    pub async fn rotate_refresh(
        &self,
        old_digest: [u8; 32],
        new_digest: [u8; 32],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        self.write(move |tx| Box::pin(rotate(tx, old_digest, new_digest, now, expires_at))).await
    }

    /// Ends a login; `false` when it had ended before, or there is none.
    pub async fn revoke_login(&self, id: LoginId) -> Result<bool, StoreError> {
        self.write(move |tx| Box::pin(revoke(tx, id))).await
    }

    /// Ends every login of a user.
    pub async fn revoke_logins_of(&self, user: UserId) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let update = query("UPDATE logins SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL");
                update.bind(tx.clock.now().0).bind(user.0).execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// Whether a login was neither revoked nor is past its end.
    pub async fn login_is_live(&self, id: LoginId) -> Result<bool, StoreError> {
        let sql = "SELECT COUNT(*) > 0 FROM logins WHERE id = ? AND revoked_at IS NULL AND expires_at > ?";
        let live = query_scalar(sql).bind(id.0).bind(self.inner.clock.now().0).fetch_one(&self.inner.readers);
        live.await.map_err(refused)
    }
}
