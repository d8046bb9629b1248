//! A running server: how its parts are made, in which order they start, and how it stops without losing anything.
//!
//! Apart from the command line, so that tests start the whole product in their own process with a clock of theirs.

pub mod client_version;
mod door;
pub mod first_run;
pub mod ground;
pub mod identity;
pub mod limits;
pub mod listen;
pub mod outside_sandbox;

pub use first_run::{FirstRun, ShownOnce};
pub use ground::Ground;

use crate::api_log::ApiLog;
use crate::app::App;
use crate::auth::Auth;
use crate::campaigns::{CampaignTurns, Campaigns};
use crate::config::Config;
use crate::egress::Egress;
use crate::jobs::{Jobs, Worker, schedules};
use crate::media::Files;
use crate::outbox::Outbox;
use crate::sessions::{Sessions, bridge};
use crate::webhooks::{Deliver, Webhooks};
use anyhow::{Context, anyhow};
use sanasend_engine::{Engine, SandboxDoor};
use sanasend_model::pacing::Rate;
use sanasend_model::{Clock, Network};
use sanasend_sandbox::Sandbox;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A server that answers requests.
pub struct Node {
    /// Its parts.
    pub app: Arc<App>,
    /// Where the API listens; the port is the one in use.
    pub api: SocketAddr,
    /// What was made because the data folder was new, and is shown this once.
    pub first_run: FirstRun,
    ground: Ground,
    /// `None` once it has ended by itself.
    http: Option<JoinHandle<std::io::Result<()>>>,
    chores: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts everything: proof of the wall, data folder, database, sandbox, linked accounts, HTTP. When it
    /// returns, requests are answered.
    ///
    /// # Errors
    /// A sentence for the operator. Nothing listens then.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        sanasend_engine::prove_wall().map_err(|why| anyhow!("the check of WhatsApp's certificate does not work: {why}; not starting"))?;
        let started_at = clock.now();
        let ground = Ground::open(&config, clock.clone()).await?;
        let applied = ground.store.migrate().await.context("the database can't be brought up to date")?;
        if !applied.is_empty() {
            tracing::info!(migrations = applied.len(), "the database was brought up to date");
        }
        ground::prove(&ground.store, &ground.secrets).await?;
        ground.store.set_words(config.words().map_err(|invalid| anyhow!("contacts.{invalid}"))?);
        identity::join(&ground, &*clock).await?;
        let shutdown = CancellationToken::new();
        let counted = crate::metrics::start();
        crate::metrics::commits::watch(&ground.store);
        let auth = Auth::new(&config, &ground.secrets, &clock);
        let (limits, remote) = limits::make(&config, &auth, &clock).await?;
        let (sandbox, first_run) =
            tokio::try_join!(start_sandbox(&config, &ground), first_run::prepare(&config, &ground.store, &auth, &*clock),)?;
        if let Some(sandbox) = &sandbox {
            first_run::make_friend(sandbox).await?;
        }
        let (engine, network) = make_engine(&config, &ground, sandbox.as_ref(), &clock)?;
        let mut chores = vec![client_version::remember(engine.client_version(), ground.data_dir.path().to_owned(), shutdown.clone())];
        chores.push(crate::metrics::fold(counted, shutdown.clone()));
        let egress = make_egress(&config)?;
        let storage = crate::media::open_storage(&config.media, ground.data_dir.path())?;
        let media = Files::new(ground.store.clone(), storage, engine.clone(), clock.clone(), config.media.clone());
        let (sessions, outbox) = make_way_of_messages(&config, &ground, (engine, network), media.clone(), &clock, &shutdown);
        let campaigns = Campaigns::new(ground.store.clone(), outbox.clone(), clock.clone(), crate::campaigns::Settings::of(&config));
        let webhooks = make_webhooks(&config, &ground, &egress, &clock);
        let fetcher = crate::media::Fetcher::new(media.clone(), sessions.clone());
        let mut workers: Vec<Arc<dyn Worker>> = vec![Arc::new(fetcher), Arc::new(Deliver(webhooks.clone()))];
        workers.push(Arc::new(CampaignTurns(campaigns.clone())));
        workers.extend(crate::contacts::workers(&config, &ground.store, &outbox, &sessions, &clock));
        let jobs = make_jobs(&config, &ground, workers, (&sessions, &media), &clock, &shutdown)?;
        let rows_per_second = if config.api_log.enabled { config.api_log.rows_per_second } else { 0 };
        let api_log = Arc::new(ApiLog::new(ground.store.clone(), rows_per_second));
        let app = Arc::new(App {
            config,
            clock,
            secrets: ground.secrets.clone(),
            store: ground.store.clone(),
            auth,
            limits,
            remote,
            sessions,
            media,
            outbox,
            campaigns,
            egress,
            webhooks,
            jobs,
            api_log: api_log.clone(),
            streams: crate::http::v1::streams::Streams::default(),
            vitals: crate::vitals::Vitals::default(),
            sandbox,
            started_at,
            shutdown: shutdown.clone(),
        });
        let listener = listen::bind(app.config.general.listen).await?;
        let api = listener.local_addr().context("the listening socket has no address")?;
        app.sessions.start().await;
        app.outbox.start();
        app.jobs.start();
        chores.push(tokio::spawn(app.sessions.clone().watch_health()));
        chores.push(tokio::spawn(app.sessions.clone().keep_lease()));
        chores.push(tokio::spawn(crate::auth::keep_house(app.clone())));
        chores.push(tokio::spawn(crate::auth::follow_changes(app.clone())));
        chores.push(tokio::spawn(api_log.run(shutdown)));
        let http = Box::pin(listen::serve(listener, app.clone())).await?;
        Ok(Self { app, api, first_run, ground, http: Some(http), chores })
    }

    /// Stops: no new requests, the running ones end, links are closed, what was accepted is on disk. Takes at
    /// most the configured time and a little more.
    pub async fn stop(mut self) {
        let patience = Duration::from_secs(self.app.config.general.shutdown_seconds);
        self.app.shutdown.cancel();
        if let Some(mut http) = self.http.take() {
            match tokio::time::timeout(patience, &mut http).await {
                Ok(Ok(Ok(()))) => {}
                Ok(problem) => tracing::warn!(?problem, "the HTTP server ended badly"),
                Err(_) => {
                    tracing::warn!("some requests did not end in time and were cut");
                    http.abort();
                }
            }
        }
        tokio::join!(self.app.sessions.stop(patience), self.app.jobs.stop(patience));
        for chore in self.chores {
            if tokio::time::timeout(patience, chore).await.is_err() {
                tracing::warn!("a background task did not end in time");
            }
        }
        if let Some(sandbox) = &self.app.sandbox {
            sandbox.stop().await;
        }
        self.app.api_log.finish().await;
        if let Some(node) = self.ground.store.node()
            && let Err(error) = self.ground.store.leave_node(node).await
        {
            tracing::warn!(%error, "this node could not say goodbye; others take its accounts over when its lease ends");
        }
        self.ground.store.close().await;
    }

    /// Ends when the HTTP server ends by itself, which it does only when something is badly wrong.
    pub async fn broken(&mut self) {
        let Some(http) = &mut self.http else { return };
        let ended = http.await;
        self.http = None;
        tracing::error!(?ended, "the HTTP server ended by itself");
    }
}

async fn start_sandbox(config: &Config, ground: &Ground) -> anyhow::Result<Option<Sandbox>> {
    if !config.sandbox.enabled {
        return Ok(None);
    }
    let settings = sanasend_sandbox::Config {
        data_dir: ground.data_dir.sandbox(),
        listen: Some(config.sandbox.listen),
        tls_listen: Some(config.sandbox.tls_listen),
    };
    Sandbox::start(settings).await.map(Some).context("the sandbox can't start")
}

/// The engine and the network that new accounts live in: the sandbox where there is one, else the real one.
fn make_engine(config: &Config, ground: &Ground, sandbox: Option<&Sandbox>, clock: &Arc<dyn Clock>) -> anyhow::Result<(Engine, Network)> {
    let door: Option<SandboxDoor> = match sandbox {
        Some(sandbox) => Some(bridge::door(sandbox)),
        None => outside_sandbox::door(&config.sandbox)?,
    };
    let network = if door.is_some() { Network::Sandbox } else { Network::Live };
    let options = sanasend_engine::Options {
        handshakes_at_once: config.sessions.handshakes_at_once,
        prekeys: if door.is_some() { config.sessions.sandbox_prekeys } else { config.sessions.prekeys },
        client_version: client_version::recall(ground.data_dir.path()),
        device_name: config.sessions.device_name.clone(),
        ..sanasend_engine::Options::default()
    };
    Ok((Engine::new(options, door, clock.clone()), network))
}

fn make_egress(config: &Config) -> anyhow::Result<Egress> {
    let allow = config.egress.allow.iter().map(|cidr| cidr.0).collect();
    Egress::with_authorities(allow, config.egress.ca_file.as_deref())
}

fn make_webhooks(config: &Config, ground: &Ground, egress: &Egress, clock: &Arc<dyn Clock>) -> Webhooks {
    let options = crate::webhooks::Options {
        timeout: Duration::from_secs(config.webhooks.timeout_seconds),
        patience: Duration::from_secs(config.webhooks.disable_after_days * 86_400),
        at_once: config.webhooks.at_once,
        at_once_per_endpoint: config.webhooks.at_once_per_endpoint,
    };
    Webhooks::new(ground.store.clone(), egress.clone(), clock.clone(), options)
}

/// Background work: every kind has its worker here, and its schedules in `jobs::schedules`.
fn make_jobs(
    config: &Config,
    ground: &Ground,
    mut workers: Vec<Arc<dyn Worker>>,
    (sessions, media): (&Sessions, &Files),
    clock: &Arc<dyn Clock>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Jobs> {
    workers.extend(crate::removal::workers(&ground.store, sessions, media, clock));
    let parts = schedules::Parts { store: ground.store.clone(), clock: clock.clone(), sessions: sessions.clone(), media: media.clone() };
    Jobs::new(crate::jobs::Parts {
        store: ground.store.clone(),
        clock: clock.clone(),
        shutdown: shutdown.clone(),
        workers,
        schedules: schedules::all(config, &parts),
        // One file has one server: the lock of the data folder keeps every other out.
        alone: !ground.store.is_shared(),
    })
}

/// How fast accounts of a network send. What runs in the sandbox need not please WhatsApp.
fn rate(config: &Config, network: Network) -> Option<Rate> {
    let set = &config.pacing;
    let is_paced = set.per_minute > 0 && (network == Network::Live || set.sandbox);
    is_paced.then(|| Rate { per_minute: set.per_minute, burst: set.burst, warm_up: set.warm_up.0.clone() })
}

fn make_way_of_messages(
    config: &Config,
    ground: &Ground,
    (engine, network): (Engine, Network),
    media: Files,
    clock: &Arc<dyn Clock>,
    shutdown: &CancellationToken,
) -> (Sessions, Outbox) {
    let messages = &config.messages;
    let sessions = Sessions::new(crate::sessions::Parts {
        store: ground.store.clone(),
        engine,
        clock: clock.clone(),
        network,
        media,
        options: crate::sessions::Options {
            in_flight: messages.in_flight_per_account,
            ack_timeout: Duration::from_secs(messages.ack_timeout_seconds),
            first_code: Duration::from_secs(config.sessions.first_code_seconds),
            server_limit: u64::from(config.limits.sessions),
        },
        rate: rate(config, network),
        shutdown: shutdown.child_token(),
    });
    let options = crate::outbox::Options {
        deadline: Duration::from_secs(messages.deadline_hours * 3600),
        idempotency: Duration::from_secs(messages.idempotency_hours * 3600),
        longest_wait: Duration::from_secs(messages.longest_wait_seconds),
    };
    let outbox = Outbox::new(ground.store.clone(), sessions.clone(), clock.clone(), options);
    (sessions, outbox)
}
