//! Several nodes on one database: who lives, who runs which account, and what one asks of another.
//!
//! A node lives as long as its lease, which it renews; times are the database's own, so that clocks of nodes need not
//! agree. An account belongs to a node and may be taken by another only when that one is dead. Taking raises the
//! generation, which fences whatever the node before may still write (see [`Store::take_session`]). On SQLite there is one
//! node and none of this is asked.

use crate::dialect::{Conn, query, query_as, query_scalar, refused};
use crate::rows::session;
use crate::seal::address;
use crate::writer::Tx;
use crate::{Session, Store, StoreError};
use sanasend_model::SessionId;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// Calls that nobody fetched the answer of are forgotten after this time.
const FORGET: Duration = Duration::from_mins(5);

/// What another node asks about an account that this node runs.
#[derive(Debug, Clone)]
pub struct NodeCall {
    /// Id of the call.
    pub id: Uuid,
    /// The account.
    pub session_id: SessionId,
    /// What is asked; the caller's and the answerer's business.
    pub asked: Value,
}

/// The time of a PostgreSQL server.
const NOW: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

fn address_of(id: Uuid, part: &[u8]) -> Vec<u8> {
    address("node_calls", &[id.as_bytes(), part])
}

impl Tx {
    /// The time that all nodes agree on.
    async fn shared_now(&mut self) -> Result<i64, StoreError> {
        match &self.conn {
            Conn::Sqlite(_) => Ok(self.clock.now().0),
            Conn::Postgres(_) => query_scalar(NOW).fetch_one(&mut self.conn).await.map_err(refused),
        }
    }

    /// Makes a node the owner of an account unless another living node is; answers the new generation.
    pub(crate) async fn take_for_node(&mut self, id: SessionId, node: Uuid) -> Result<Option<i64>, StoreError> {
        let now = self.shared_now().await?;
        let sql = "UPDATE sessions SET generation = generation + 1, owner = ? WHERE id = ? \
                   AND EXISTS (SELECT 1 FROM nodes WHERE nodes.id = ? AND lease_until > ?) \
                   AND (owner IS NULL OR owner = ? OR NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.id = sessions.owner AND lease_until > ?)) \
                   RETURNING generation";
        let update = query_scalar(sql).bind(node).bind(id.0).bind(node).bind(now).bind(node).bind(now);
        update.fetch_optional(&mut self.conn).await.map_err(refused)
    }
}

/// A node that died comes back under its old id, maybe with another key: with its first lease its whole row is new.
const ENTER: &str = "INSERT INTO nodes (id, started_at, lease_until, seal_key) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE \
    SET started_at = excluded.started_at, lease_until = excluded.lease_until, seal_key = excluded.seal_key";
const RENEW: &str = "INSERT INTO nodes (id, started_at, lease_until, seal_key) VALUES (?, ?, ?, ?) \
    ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until";

async fn live(tx: &mut Tx, sql: &'static str, node: Uuid, lease: Duration) -> Result<(), StoreError> {
    let now = tx.shared_now().await?;
    let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
    let insert = query(sql).bind(node).bind(now).bind(now.saturating_add(lease)).bind(i64::from(tx.sealer.current()));
    insert.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

impl Store {
    pub(crate) async fn shared_now(&self) -> Result<i64, StoreError> {
        if !self.is_shared() {
            return Ok(self.inner.clock.now().0);
        }
        query_scalar(NOW).fetch_one(&self.inner.readers).await.map_err(refused)
    }

    /// From now on accounts are taken in the name of this node. Called once, before any is taken.
    pub fn join(&self, node: Uuid) {
        let _ = self.inner.node.set(node);
    }

    /// The node that [`Store::join`] was called with.
    pub fn node(&self) -> Option<Uuid> {
        self.inner.node.get().copied()
    }

    /// Begins to live, for `lease` from the moment that the database writes this. What a run of the same node before left
    /// of itself is overwritten. Called once, at the start.
    pub async fn enter_node(&self, node: Uuid, lease: Duration) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(live(tx, ENTER, node, lease))).await
    }

    /// Lives on for `lease` from the moment that the database writes this.
    pub async fn renew_node(&self, node: Uuid, lease: Duration) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(live(tx, RENEW, node, lease))).await
    }

    /// Ends in good order: the accounts of this node are free at once.
    pub async fn leave_node(&self, node: Uuid) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(
                async move { query("DELETE FROM nodes WHERE id = ?").bind(node).execute(&mut tx.conn).await.map(drop).map_err(refused) },
            )
        })
        .await
    }

    /// Linked accounts that should be online and that no living node runs; with `own` also those that belong to `node`. One that
    /// can't be read is left out and logged.
    pub async fn free_sessions(&self, node: Uuid, own: bool) -> Result<Vec<Session>, StoreError> {
        let now = self.shared_now().await?;
        let sql = "SELECT * FROM sessions WHERE linked AND wanted AND (owner IS NULL OR (owner = ? AND ?) \
                   OR NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.id = sessions.owner AND lease_until > ?)) ORDER BY id";
        let rows = query_as::<_, session::Model>(sql).bind(node).bind(own).bind(now);
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let whole = |row: session::Model| row.read().inspect_err(|error| tracing::error!(%error, "a session can't be read")).ok();
        Ok(rows.into_iter().filter_map(whole).collect())
    }

    /// Whether a node's lease is not over.
    pub async fn node_is_alive(&self, node: Uuid) -> Result<bool, StoreError> {
        let now = self.shared_now().await?;
        let sql = "SELECT COUNT(*) > 0 FROM nodes WHERE id = ? AND lease_until > ?";
        query_scalar(sql).bind(node).bind(now).fetch_one(&self.inner.readers).await.map_err(refused)
    }

    /// How many nodes' leases are not over.
    pub(crate) async fn living_nodes(&self) -> Result<u64, StoreError> {
        let now = self.shared_now().await?;
        let sql = "SELECT COUNT(*) FROM nodes WHERE lease_until > ?";
        let count: i64 = query_scalar(sql).bind(now).fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Asks the node that owns an account; answers the id to fetch the answer with.
    pub async fn call_node(&self, node: Uuid, session: SessionId, asked: Value) -> Result<Uuid, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let id = tx.clock.uuid();
                let now = tx.shared_now().await?;
                let old = now - i64::try_from(FORGET.as_millis()).unwrap_or(0);
                query("DELETE FROM node_calls WHERE created_at < ?").bind(old).execute(&mut tx.conn).await.map_err(refused)?;
                let sealed = tx.sealer.seal(&address_of(id, b"asked"), asked.to_string().as_bytes())?;
                let sql = "INSERT INTO node_calls (id, node, session_id, asked, taken, created_at) VALUES (?, ?, ?, ?, FALSE, ?)";
                let insert = query(sql).bind(id).bind(node).bind(session.0).bind(sealed).bind(now);
                insert.execute(&mut tx.conn).await.map_err(refused)?;
                Ok(id)
            })
        })
        .await
    }

    /// Takes up what other nodes ask of this one, each once. Costs a read while nothing is asked.
    pub async fn take_node_calls(&self, node: Uuid) -> Result<Vec<NodeCall>, StoreError> {
        let waiting = query_scalar::<_, i64>("SELECT COUNT(*) FROM node_calls WHERE node = ? AND NOT taken").bind(node);
        if waiting.fetch_one(&self.inner.readers).await.map_err(refused)? == 0 {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE node_calls SET taken = TRUE WHERE node = ? AND NOT taken RETURNING id, session_id, asked";
                let rows = query_as::<_, (Uuid, Uuid, Vec<u8>)>(sql).bind(node).fetch_all(&mut tx.conn).await.map_err(refused)?;
                let call = |(id, session, asked): (Uuid, Uuid, Vec<u8>)| {
                    let plain = tx.sealer.open(&address_of(id, b"asked"), &asked)?;
                    Some(NodeCall { id, session_id: SessionId(session), asked: serde_json::from_slice(&plain).ok()? })
                };
                Ok(rows.into_iter().filter_map(call).collect())
            })
        })
        .await
    }

    /// Answers a call.
    pub async fn answer_node_call(&self, id: Uuid, answer: Value) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sealed = tx.sealer.seal(&address_of(id, b"answer"), answer.to_string().as_bytes())?;
                let update = query("UPDATE node_calls SET answer = ? WHERE id = ?").bind(sealed).bind(id);
                update.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// The answer to a call, once it is there. It is forgotten with the call, some minutes later.
    pub async fn node_answer(&self, id: Uuid) -> Result<Option<Value>, StoreError> {
        let answer = query_scalar::<_, Option<Vec<u8>>>("SELECT answer FROM node_calls WHERE id = ?").bind(id);
        let sealed = answer.fetch_optional(&self.inner.readers).await.map_err(refused)?.flatten();
        let opened = sealed.and_then(|sealed| self.inner.sealer.open(&address_of(id, b"answer"), &sealed));
        Ok(opened.and_then(|plain| serde_json::from_slice(&plain).ok()))
    }
}
