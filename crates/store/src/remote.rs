//! The Redis that nodes share: never the truth, only counters and hints. Without it the system is slower, not wrong.
//!
//! Here is what every use of it needs: an answer within milliseconds or none, and a switch, so that a Redis that is frozen
//! costs nobody a wait after it was noticed. While the switch is off, one task opens new connections until one
//! answers, whatever became of the old one.

use crate::StoreError;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisResult, TlsCertificates};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

/// How often a Redis that was lost is tried.
const TRY_EVERY: Duration = Duration::from_millis(250);
/// How long one such try, and the first connection, may take.
const TRY_FOR: Duration = Duration::from_secs(1);
/// Commands that may wait to be written to the connection.
const PIPELINE: usize = 4096;
/// Hints that a slow listener may be behind.
const HINTS: usize = 64;

/// Which Redis, and how long to wait for it.
#[derive(Clone)]
pub struct RemoteOptions {
    /// `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS; holds a password, so it is never shown.
    pub url: String,
    /// Certificate authorities (PEM) to trust instead of the public ones, for `rediss://`.
    pub authorities: Option<Vec<u8>>,
    /// Beginning of every key, so that installations can share one Redis.
    pub prefix: String,
    /// How long an answer may take.
    pub patience: Duration,
}

impl fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteOptions").field("prefix", &self.prefix).field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// A connection to it that is always there, whether or not Redis is. Cheap to clone.
#[derive(Clone)]
pub struct Remote {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    prefix: String,
    patience: Duration,
    connection: Mutex<ConnectionManager>,
    answers: AtomicBool,
    hints: broadcast::Sender<()>,
    listener: Mutex<Option<AbortHandle>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get_mut().unwrap_or_else(PoisonError::into_inner) {
            listener.abort();
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("prefix", &self.inner.prefix).field("answers", &self.answers()).finish_non_exhaustive()
    }
}

impl Remote {
    /// What is wrong with a URL, in a sentence that does not repeat it.
    pub fn check_url(url: &str) -> Result<(), String> {
        let wrong = || "must be like redis://user:password@host:6379/0, or rediss:// for TLS".to_owned();
        if !url.starts_with("redis://") && !url.starts_with("rediss://") {
            return Err(wrong());
        }
        if url.contains('#') {
            // The client library would take `#insecure` for "trust any certificate".
            return Err("must hold no `#`; in a password it is written `%23`".to_owned());
        }
        Client::open(url).map(drop).map_err(|_| wrong())
    }

    fn client(url: &str, authorities: Option<Vec<u8>>) -> Result<Client, String> {
        Self::check_url(url)?;
        let opened = match authorities {
            Some(pem) if url.starts_with("rediss://") => {
                Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert: Some(pem) })
            }
            _ => Client::open(url),
        };
        opened.map_err(|error| format!("can't be used: {error}"))
    }

    /// Connects. A Redis that does not answer is no error: it is tried again until it does. An error is a URL that
    /// can't be one.
    pub async fn open(options: RemoteOptions) -> Result<Self, StoreError> {
        let RemoteOptions { url, authorities, prefix, patience } = options;
        let client = Self::client(&url, authorities).map_err(|why| StoreError::Unavailable(format!("the URL of Redis {why}")))?;
        let connection = new_connection(&client).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let inner = Inner {
            client,
            prefix,
            patience,
            connection: Mutex::new(connection.clone()),
            answers: AtomicBool::new(true),
            hints: broadcast::Sender::new(HINTS),
            listener: Mutex::default(),
        };
        let remote = Self { inner: Arc::new(inner) };
        if !answers(connection).await {
            remote.lost("it could not be reached");
        }
        let listener = tokio::spawn(listen(Arc::downgrade(&remote.inner), remote.channel())).abort_handle();
        remote.inner.listener.lock().unwrap_or_else(PoisonError::into_inner).replace(listener);
        Ok(remote)
    }

    /// Whether it answered when it was last asked.
    pub fn answers(&self) -> bool {
        self.inner.answers.load(Ordering::Relaxed)
    }

    /// Asks it whether it is there. While it was lost this answers no at once.
    pub async fn ping(&self) -> bool {
        self.ask(async |mut redis| redis::cmd("PING").query_async::<String>(&mut redis).await).await.is_some()
    }

    /// A key under the prefix.
    pub(crate) fn key(&self, name: &impl fmt::Display) -> String {
        format!("{}:{name}", self.inner.prefix)
    }

    /// Asks; `None` when there was no answer in time, and at once while there was none before.
    pub(crate) async fn ask<T>(&self, work: impl AsyncFnOnce(ConnectionManager) -> RedisResult<T>) -> Option<T> {
        if !self.answers() {
            return None;
        }
        let connection = self.inner.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match tokio::time::timeout(self.inner.patience, work(connection)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => self.lost(&error.to_string()),
            Err(_) => self.lost("it did not answer in time"),
        }
        None
    }

    /// Hints to every node that users or keys were changed. The hint may be lost; nothing may depend on it.
    pub fn tell_people_changed(&self) {
        let remote = self.clone();
        tokio::spawn(async move {
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(remote.channel()).arg("people");
            remote.ask::<i64>(async |mut redis| publish.query_async(&mut redis).await).await
        });
    }

    /// A hint each time when users or keys may have been changed by any node.
    pub fn people_changes(&self) -> broadcast::Receiver<()> {
        self.inner.hints.subscribe()
    }

    fn channel(&self) -> String {
        self.key(&"hints")
    }

    /// Turns the switch off, once, and lets somebody look after it.
    fn lost(&self, why: &str) {
        if self.inner.answers.swap(false, Ordering::Relaxed) {
            tracing::warn!(why, "Redis is away; limits are counted by each node for itself until it is back");
            tokio::spawn(find_again(Arc::downgrade(&self.inner)));
        }
    }
}

/// A connection that is made when it is first used.
fn new_connection(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(TRY_FOR))
        .set_response_timeout(Some(TRY_FOR))
        .set_number_of_retries(1)
        .set_pipeline_buffer_size(PIPELINE);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

async fn answers(mut connection: ConnectionManager) -> bool {
    let ping = redis::cmd("PING");
    let asked = tokio::time::timeout(TRY_FOR, ping.query_async::<String>(&mut connection));
    matches!(asked.await, Ok(Ok(_)))
}

/// Opens connections until one answers; ends with the last user of the [`Remote`].
async fn find_again(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(TRY_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        let Ok(connection) = new_connection(&inner.client) else { return };
        if answers(connection.clone()).await {
            *inner.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
            inner.answers.store(true, Ordering::Relaxed);
            tracing::info!("Redis is back");
            return;
        }
    }
}

/// Passes hints on, for ever. Whenever the subscription is new, hints may have been missed: that counts as one.
async fn listen(inner: Weak<Inner>, channel: String) {
    use futures::StreamExt;
    loop {
        let Some((client, hints)) = inner.upgrade().map(|inner| (inner.client.clone(), inner.hints.clone())) else { return };
        if let Ok(Ok(mut subscription)) = tokio::time::timeout(TRY_FOR, client.get_async_pubsub()).await
            && subscription.subscribe(&channel).await.is_ok()
        {
            let _ = hints.send(());
            let mut messages = subscription.into_on_message();
            while messages.next().await.is_some() {
                let _ = hints.send(());
            }
        }
        drop((client, hints));
        tokio::time::sleep(TRY_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_and_without_tls_and_its_check_has_no_switch() {
        for good in ["redis://h", "redis://u:p@h:6379/1", "rediss://:p@h:6380"] {
            assert_eq!(Remote::check_url(good), Ok(()), "{good}");
        }
        for bad in ["", "h:6379", "http://h", "valkey://h", "unix:///tmp/r", "redis://", "rediss://h/#insecure", "redis://h:port"] {
            let why = Remote::check_url(bad).expect_err(bad);
            assert!(why.starts_with("must ") && (bad.is_empty() || bad == "redis://" || !why.contains(bad)), "{bad}: {why}");
        }
    }
}
