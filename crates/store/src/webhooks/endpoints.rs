//! Endpoints: where a user wants to be told, of what, and with which secrets it is signed.

use super::rows::EndpointRow;
use super::{WebhookSecret, present_secret, previous_secret};
use crate::dialect::{query, query_as, query_scalar, refused};
use crate::writer::Tx;
use crate::{Listed, Page, Store, StoreError};
use sanasend_model::webhook::{EventFilter, Streak};
use sanasend_model::{Timestamp, UserId, WebhookId};

/// An endpoint, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Id.
    pub id: WebhookId,
    /// Whose it is.
    pub user_id: UserId,
    /// Where events are posted.
    pub url: String,
    /// What its owner calls it.
    pub description: String,
    /// Which events are posted.
    pub events: EventFilter,
    /// Whether events are posted.
    pub is_active: bool,
    /// Until when the secret before the present one signs as well.
    pub previous_secret_until: Option<Timestamp>,
    /// Its failures since the last success.
    pub failing: Option<Streak>,
    /// When it was switched off.
    pub disabled_at: Option<Timestamp>,
    /// Why it was switched off, unless its owner did it.
    pub disabled_reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its owner changed it last.
    pub updated_at: Timestamp,
}

/// An endpoint to make.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Whose it is.
    pub user_id: UserId,
    /// Where to post.
    pub url: String,
    /// What its owner calls it.
    pub description: String,
    /// Which events.
    pub events: EventFilter,
    /// Whether to post from the beginning.
    pub is_active: bool,
    /// Signs what is posted.
    pub secret: WebhookSecret,
}

/// What came of making one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookCreated {
    /// Made.
    Done(Box<Webhook>),
    /// The user has as many as it may have.
    LimitReached,
}

/// What to change; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct WebhookPatch {
    /// Where to post.
    pub url: Option<String>,
    /// What its owner calls it.
    pub description: Option<String>,
    /// Which events.
    pub events: Option<EventFilter>,
    /// Whether to post. Switching on forgets failures.
    pub is_active: Option<bool>,
}

const ONE: &str = "SELECT * FROM webhook_endpoints WHERE id = ?";

/// The endpoint as the transaction sees it.
pub(super) async fn find(tx: &mut Tx, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
    let row = query_as::<_, EndpointRow>(ONE).bind(id.0).fetch_optional(&mut tx.conn).await.map_err(refused)?;
    Ok(row.as_ref().map(EndpointRow::read))
}

async fn insert(tx: &mut Tx, new: NewWebhook) -> Result<Option<Webhook>, StoreError> {
    let (id, now) = (WebhookId::new(&*tx.clock), tx.clock.now());
    let secret = tx.sealer.seal(&present_secret(id), new.secret.bytes())?;
    let sql = "INSERT INTO webhook_endpoints (id, user_id, url, description, events, is_active, secret, created_at, updated_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let insert = query(sql).bind(id.0).bind(new.user_id.0).bind(new.url).bind(new.description).bind(new.events.join());
    let insert = insert.bind(new.is_active).bind(secret).bind(now.0).bind(now.0);
    insert.execute(&mut tx.conn).await.map_err(refused)?;
    tx.hookless = false;
    find(tx, id).await
}

async fn update(tx: &mut Tx, id: WebhookId, patch: WebhookPatch) -> Result<Option<Webhook>, StoreError> {
    let Some(old) = find(tx, id).await? else { return Ok(None) };
    let now = tx.clock.now();
    let is_active = patch.is_active.unwrap_or(old.is_active);
    // Somewhere else, or switched on by hand: what failed before says nothing any more.
    let anew = patch.is_active == Some(true) || patch.url.as_ref().is_some_and(|url| *url != old.url);
    let failing = old.failing.filter(|_| !anew);
    let disabled_at = if is_active { None } else { old.disabled_at.or(Some(now)) };
    let disabled_reason = old.disabled_reason.filter(|_| !is_active);
    let sql = "UPDATE webhook_endpoints SET url = ?, description = ?, events = ?, is_active = ?, failing_since = ?, \
               last_failed_at = ?, disabled_at = ?, disabled_reason = ?, updated_at = ? WHERE id = ?";
    let update = query(sql).bind(patch.url.unwrap_or(old.url)).bind(patch.description.unwrap_or(old.description));
    let update = update.bind(patch.events.unwrap_or(old.events).join()).bind(is_active);
    let update = update.bind(failing.map(|streak| streak.since.0)).bind(failing.map(|streak| streak.last.0));
    let update = update.bind(disabled_at.map(|at| at.0)).bind(disabled_reason).bind(now.0).bind(id.0);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    tx.hookless = false;
    find(tx, id).await
}

async fn rotate(tx: &mut Tx, id: WebhookId, new: WebhookSecret, until: Timestamp) -> Result<Option<Webhook>, StoreError> {
    let row = query_as::<_, EndpointRow>(ONE).bind(id.0).fetch_optional(&mut tx.conn).await.map_err(refused)?;
    let Some(row) = row else { return Ok(None) };
    // A value is sealed for its place, so the old secret is sealed anew for its new one.
    let old = tx.sealer.open(&present_secret(id), &row.secret).ok_or_else(|| unreadable(id))?;
    let old = zeroize::Zeroizing::new(old);
    let (sealed, previous) = (tx.sealer.seal(&present_secret(id), new.bytes())?, tx.sealer.seal(&previous_secret(id), &old)?);
    let now = tx.clock.now();
    let keep = until > now;
    let sql = "UPDATE webhook_endpoints SET secret = ?, previous_secret = ?, previous_until = ?, updated_at = ? WHERE id = ?";
    let update = query(sql).bind(sealed).bind(keep.then_some(previous)).bind(keep.then_some(until.0)).bind(now.0).bind(id.0);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    find(tx, id).await
}

fn unreadable(id: WebhookId) -> StoreError {
    StoreError::Corrupt { table: "webhook_endpoints", row: id.to_string(), column: "secret".into() }
}

impl EndpointRow {
    /// The secrets that sign at `now`, the present one first.
    pub(super) fn secrets(&self, sealer: &crate::seal::Sealer, now: Timestamp) -> Result<Vec<WebhookSecret>, StoreError> {
        let id = WebhookId(self.id);
        let mut secrets = vec![WebhookSecret::new(sealer.open(&present_secret(id), &self.secret).ok_or_else(|| unreadable(id))?)];
        if let Some(sealed) = &self.previous_secret
            && self.previous_until.is_some_and(|until| Timestamp(until) > now)
        {
            secrets.push(WebhookSecret::new(sealer.open(&previous_secret(id), sealed).ok_or_else(|| unreadable(id))?));
        }
        Ok(secrets)
    }
}

impl Store {
    /// Makes an endpoint unless the user has `limit` of them. `Conflict` on `owner` when the user is gone.
    pub async fn create_webhook(&self, new: NewWebhook, limit: u64) -> Result<WebhookCreated, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "SELECT COUNT(*) FROM webhook_endpoints WHERE user_id = ?";
                let count = query_scalar::<_, i64>(sql).bind(new.user_id.0).fetch_one(&mut tx.conn).await.map_err(refused)?;
                if u64::try_from(count).is_ok_and(|count| count >= limit) {
                    return Ok(WebhookCreated::LimitReached);
                }
                let made = insert(tx, new).await?.ok_or_else(|| StoreError::Unavailable("the endpoint was not written".into()))?;
                Ok(WebhookCreated::Done(Box::new(made)))
            })
        })
        .await
    }

    /// One endpoint.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let row = query_as::<_, EndpointRow>(ONE).bind(id.0).fetch_optional(&self.inner.readers).await.map_err(refused)?;
        Ok(row.as_ref().map(EndpointRow::read))
    }

    /// A page of a user's endpoints, or of everybody's; oldest first.
    pub async fn list_webhooks(&self, user: Option<UserId>, page: Page) -> Result<Listed<Webhook>, StoreError> {
        let user = user.map(|user| user.0);
        let sql = "SELECT COUNT(*) FROM webhook_endpoints WHERE (? IS NULL OR user_id = ?)";
        let count = query_scalar::<_, i64>(sql).bind(user).bind(user).fetch_one(&self.inner.readers).await.map_err(refused)?;
        let sql = "SELECT * FROM webhook_endpoints WHERE (? IS NULL OR user_id = ?) ORDER BY created_at, id LIMIT ? OFFSET ?";
        let rows = query_as::<_, EndpointRow>(sql).bind(user).bind(user);
        let rows = rows.bind(i64::try_from(page.page_size).unwrap_or(i64::MAX)).bind(i64::try_from(page.offset()).unwrap_or(i64::MAX));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        Ok(Listed { count: u64::try_from(count).unwrap_or(0), results: rows.iter().map(EndpointRow::read).collect() })
    }

    /// Changes an endpoint; `None` when it is not there.
    pub async fn update_webhook(&self, id: WebhookId, patch: WebhookPatch) -> Result<Option<Webhook>, StoreError> {
        self.write(move |tx| Box::pin(update(tx, id, patch))).await
    }

    /// Gives an endpoint another secret; the old one signs as well until `until`. `None` when it is not there.
    pub async fn rotate_webhook_secret(
        &self,
        id: WebhookId,
        secret: WebhookSecret,
        until: Timestamp,
    ) -> Result<Option<Webhook>, StoreError> {
        self.write(move |tx| Box::pin(rotate(tx, id, secret, until))).await
    }
}
