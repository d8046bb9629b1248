//! `sanasend serve`: runs the server, says what to do next, and stops it on a signal.

use super::{Places, out};
use crate::clock::SystemClock;
use crate::config::{Loaded, Row};
use crate::logs;
use crate::node::{FirstRun, Node, listen};
use anyhow::Context;
use clap::Args;
use sanasend_store::AuditEntry;
use serde::Serialize;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Flags of `serve`.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Run a simulated WhatsApp network as well; accounts are then linked in it, by virtual phones.
    #[arg(long)]
    pub sandbox: bool,
    /// When ready, print one line of JSON with the addresses and, the first time, the secrets.
    #[arg(long)]
    pub json: bool,
    /// Where the API listens; port 0 picks a free one. [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where the simulated network listens. [default: 127.0.0.1:8090]
    #[arg(long, value_name = "ADDRESS")]
    pub sandbox_listen: Option<SocketAddr>,
    /// Where the simulated network listens with TLS. [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDRESS")]
    pub sandbox_tls_listen: Option<SocketAddr>,
    /// For tests: use a sandbox that runs in another process on this machine (`ws://127.0.0.1:PORT/ws/chat`).
    #[arg(long, value_name = "URL", conflicts_with = "sandbox", requires = "sandbox_key_file")]
    pub sandbox_connect: Option<String>,
    /// For tests: the file with that sandbox's key, as `sanasend sandbox` writes it.
    #[arg(long, value_name = "FILE", requires = "sandbox_connect")]
    pub sandbox_key_file: Option<PathBuf>,
}

impl ServeArgs {
    /// The settings that the flags stand for.
    #[must_use]
    pub fn as_settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = Vec::new();
        let mut set = |path, value: Option<String>| settings.extend(value.map(|value| (path, value)));
        set("sandbox.enabled", self.sandbox.then(|| "true".into()));
        set("listen", self.listen.map(|address| address.to_string()));
        set("sandbox.listen", self.sandbox_listen.map(|address| address.to_string()));
        set("sandbox.tls_listen", self.sandbox_tls_listen.map(|address| address.to_string()));
        set("sandbox.connect", self.sandbox_connect.clone());
        set("sandbox.connect_key", self.sandbox_key_file.as_ref().map(|path| path.display().to_string()));
        settings
    }
}

/// What the one line of `--json` holds.
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    /// Base URL of the API, without `/api/v1`.
    pub api: String,
    /// The simulated network, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<ReadySandbox>,
    /// The first admin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<ReadyAdmin>,
    /// The demo user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demo: Option<ReadyDemo>,
    /// Id of this process.
    pub pid: u32,
}

/// Addresses of the simulated network.
#[derive(Debug, Clone, Serialize)]
pub struct ReadySandbox {
    /// Plain WebSocket for clients.
    pub ws: String,
    /// The same with TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wss: Option<String>,
    /// Base URL of the control API.
    pub admin: String,
    /// Certificate (PEM) that the TLS port is signed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// The first admin; the password only at the first start.
#[derive(Clone, Serialize)]
pub struct ReadyAdmin {
    /// User name.
    pub username: String,
    /// Password, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// The demo user; the key only at the first start.
#[derive(Clone, Serialize)]
pub struct ReadyDemo {
    /// User name.
    pub username: String,
    /// API key, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
}

impl std::fmt::Debug for ReadyAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyAdmin").field("username", &self.username).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ReadyDemo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyDemo").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Ready {
    /// What to tell about a running server.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let FirstRun { admin, demo } = node.first_run.clone();
        let config = &node.app.config;
        let sandbox = match (&node.app.sandbox, &config.sandbox.connect) {
            (Some(sandbox), _) => {
                let addresses = sandbox.addresses().clone();
                let plain = |url: Option<String>| url.unwrap_or_default();
                Some(ReadySandbox {
                    ws: plain(addresses.ws),
                    wss: addresses.wss,
                    admin: plain(addresses.admin),
                    ca_file: Some(addresses.ca_file),
                })
            }
            (None, Some(ws)) => {
                let admin = crate::config::check::loopback_url(ws).map_or_else(String::new, |(address, _)| format!("http://{address}"));
                Some(ReadySandbox { ws: ws.clone(), wss: None, admin, ca_file: None })
            }
            (None, None) => None,
        };
        Self {
            api: listen::local_url(node.api),
            sandbox,
            admin: admin.map(|shown| ReadyAdmin { username: shown.username, password: shown.secret }),
            demo: demo.map(|shown| ReadyDemo { username: shown.username, api_key: shown.secret }),
            pid: std::process::id(),
        }
    }
}

/// Runs the server until a signal.
///
/// # Errors
/// A sentence when it can't start.
pub async fn run(args: ServeArgs, places: &Places) -> anyhow::Result<()> {
    let loaded = places.load(args.as_settings())?;
    let logs = logs::start(&loaded.config)?;
    let ended = Box::pin(serve(loaded, args.json)).await;
    if let Err(error) = &ended {
        tracing::error!(error = format!("{error:#}"), "the server ended");
    }
    logs.stop().await;
    ended
}

/// Serves until a signal.
async fn serve(loaded: Loaded, json: bool) -> anyhow::Result<()> {
    let Loaded { config, rows } = loaded;
    // Asked for first, so that a signal that comes while starting is not lost.
    let mut signals = Signals::listen()?;
    let data_dir = config.general.data_dir.clone();
    let mut node = tokio::select! {
        node = Node::start(config, Arc::new(SystemClock)) => node?,
        () = signals.any() => return Ok(()),
    };
    note_start(&node, &rows).await;
    let ready = Ready::of(&node);
    if json {
        out::line(&serde_json::to_string(&ready)?);
    } else {
        out::text(&super::welcome::page(&ready, &data_dir));
    }
    let broken = tokio::select! {
        () = signals.any() => false,
        () = node.broken() => true,
    };
    if !json {
        out::note("stopping; a signal now stops at once");
    }
    tokio::select! {
        () = node.stop() => {}
        () = signals.any() => anyhow::bail!("stopped at once, before everything was finished"),
    }
    anyhow::ensure!(!broken, "the HTTP server ended by itself; the log says why");
    Ok(())
}

/// Notes in the audit log under which settings the server began to serve: those that somebody set, secrets hidden.
async fn note_start(node: &Node, rows: &[Row]) {
    let set = rows.iter().filter(|row| row.source != "default").map(|row| (row.path.clone(), json!(row.value)));
    let settings: serde_json::Map<String, serde_json::Value> = set.collect();
    let detail = json!({"version": env!("CARGO_PKG_VERSION"), "settings": settings});
    let entry = AuditEntry { actor: None, action: "server.started", target: "server".into(), ip: None, detail };
    if let Err(error) = node.app.store.audit(entry).await {
        tracing::error!(%error, "the audit log could not be written");
    }
}

/// The signals that mean "stop".
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen; from then on the signals do not end the process by themselves.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("can't listen to signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Ends when one of them came.
    pub async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
