//! API keys: found by their public prefix, proved by a digest; the secret itself is never here.

use crate::dialect::{On, query, query_as, refused};
use crate::page::{found_in, listed, nothing_first, order_fields};
use crate::rows::api_key;
use crate::users::User;
use crate::writer::Tx;
use crate::{Listed, Ordering, Page, Store, StoreError};
use ipnet::IpNet;
use sanasend_model::{ApiKeyId, Scope, Timestamp, UserId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

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

async fn find<'c>(conn: impl Into<On<'c>>, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
    let row = query_as::<_, api_key::Model>("SELECT * FROM api_keys WHERE id = ?").bind(id.0).fetch_optional(conn);
    Ok(row.await.map_err(refused)?.map(api_key::Model::read).transpose()?.map(|(key, _)| key))
}

async fn insert(tx: &mut Tx, new: NewApiKey) -> Result<ApiKey, StoreError> {
    let (id, now) = (ApiKeyId::new(&*tx.clock), tx.clock.now());
    let sql = "INSERT INTO api_keys (id, user_id, name, prefix, digest, scopes, allowed_ips, is_active, expires_at, created_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, TRUE, ?, ?)";
    let insert = query(sql).bind(id.0).bind(new.user_id.0).bind(new.name).bind(new.prefix).bind(&new.digest[..]);
    let insert = insert.bind(api_key::join(&new.scopes)).bind(api_key::join(&new.allowed_ips));
    insert.bind(new.expires_at.map(|at| at.0)).bind(now.0).execute(&mut tx.conn).await.map_err(refused)?;
    find(&mut tx.conn, id).await?.ok_or_else(|| StoreError::Unavailable("the key was not written".into()))
}

impl Store {
    /// Makes a key; `Conflict` on `prefix`, or on `owner` when the user is gone.
    pub async fn create_api_key(&self, new: NewApiKey) -> Result<ApiKey, StoreError> {
        self.write(move |tx| Box::pin(insert(tx, new))).await
    }

    /// The key of a prefix with its digest and its user, revoked and expired ones too: the caller says why it is refused.
    pub async fn api_key_by_prefix(&self, prefix: &str) -> Result<Option<(ApiKey, [u8; 32], User)>, StoreError> {
        let sql = "SELECT * FROM api_keys WHERE prefix = ?";
        let row = query_as::<_, api_key::Model>(sql).bind(prefix).fetch_optional(&self.inner.readers);
        let Some(row) = row.await.map_err(refused)? else { return Ok(None) };
        let (key, digest) = row.read()?;
        Ok(self.user(key.user_id).await?.map(|user| (key, digest, user)))
    }

    /// One key.
    pub async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        find(&self.inner.readers, id).await
    }

    /// A page of the keys.
    pub async fn list_api_keys(&self, filter: &ApiKeyFilter, page: Page) -> Result<Listed<ApiKey>, StoreError> {
        let mut rows = api_key::Entity::find();
        if let Some(user) = filter.user_id {
            rows = rows.filter(api_key::Column::UserId.eq(user.0));
        }
        if let Some(text) = &filter.search {
            rows = rows.filter(found_in(&[api_key::Column::Name, api_key::Column::Prefix], text));
        }
        if let Some(is_active) = filter.is_active {
            rows = rows.filter(api_key::Column::IsActive.eq(is_active));
        }
        let column = match filter.ordering.by {
            ApiKeyOrder::CreatedAt => api_key::Column::CreatedAt,
            ApiKeyOrder::Name => api_key::Column::Name,
            ApiKeyOrder::LastUsedAt => api_key::Column::LastUsedAt,
        };
        let direction = || filter.ordering.direction();
        let rows = if filter.ordering.by == ApiKeyOrder::LastUsedAt {
            nothing_first(rows, column, direction())
        } else {
            rows.order_by(column, direction())
        };
        let rows = rows.order_by(api_key::Column::Id, direction());
        let Listed { count, results } = listed(rows, page, &self.inner.readers).await?;
        let results = results.into_iter().map(|row| Ok(row.read()?.0)).collect::<Result<_, StoreError>>()?;
        Ok(Listed { count, results })
    }

    /// Revokes a key at once; `None` when there is none. Revoking again changes nothing.
    pub async fn revoke_api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE api_keys SET is_active = FALSE, revoked_at = ? WHERE id = ? AND is_active";
                query(sql).bind(tx.clock.now().0).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
                find(&mut tx.conn, id).await
            })
        })
        .await
    }

    /// Makes a key that takes the place of `old`, which works on until `grace_until`; `None` when `old` is missing, revoked or
    /// was replaced before.
    pub async fn rotate_api_key(&self, old: ApiKeyId, new: NewApiKey, grace_until: Timestamp) -> Result<Option<ApiKey>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(before) = find(&mut tx.conn, old).await? else { return Ok(None) };
                if !before.is_active || before.replaced_by.is_some() {
                    return Ok(None);
                }
                let key = insert(tx, new).await?;
                let sql = "UPDATE api_keys SET replaced_by = ?, grace_until = ? WHERE id = ?";
                let update = query(sql).bind(key.id.0).bind(grace_until.0).bind(old.0);
                update.execute(&mut tx.conn).await.map_err(refused)?;
                Ok(Some(key))
            })
        })
        .await
    }

    /// Notes when keys were last used, many at once, so that a request costs no write. Never moves a date back.
    pub async fn touch_api_keys(&self, used: Vec<(ApiKeyId, Timestamp)>) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE api_keys SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)";
                for (id, at) in used {
                    query(sql).bind(at.0).bind(id.0).bind(at.0).execute(&mut tx.conn).await.map_err(refused)?;
                }
                Ok(())
            })
        })
        .await
    }
}
