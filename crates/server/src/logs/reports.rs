//! Errors for Sentry, or for what speaks its protocol.
//!
//! An error that is logged becomes an event, with its fields; a panic becomes one with its place and without its
//! message, which may hold a piece of somebody's text. Log lines hold no texts and no secrets, so neither do events.
//! No library of Sentry runs in the process, only its types: it would keep a trail of log lines, and wants to send by an
//! HTTP client of its own.

use super::Place;
use crate::config::kinds::Profile;
use crate::config::settings::SentrySettings;
use crate::egress;
use anyhow::Context as _;
use axum::http::{StatusCode, header};
use sentry_types::Dsn;
use sentry_types::protocol::v7::{Envelope, Event, Level};
use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Events that wait to be sent; more are dropped, since a flood of errors says the same thing again and again.
const WAITING: usize = 100;
/// Events that are sent in a minute at most.
const PER_MINUTE: u32 = 60;
/// How long the server may take to answer, and how long a stop waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nothing is sent after an answer that says "too much" and not until when.
const PAUSE: Duration = Duration::from_mins(1);
/// Longest value of a field that is sent, in characters.
const LONGEST: usize = 1000;

/// The task that sends.
pub(super) struct Reports {
    task: JoinHandle<()>,
    end: tokio::sync::oneshot::Sender<()>,
}

/// Begins to report errors and panics.
pub(super) fn start(dsn: &str, settings: &SentrySettings, profile: Profile) -> anyhow::Result<(Reports, Place)> {
    let dsn: Dsn = dsn.parse().ok().context("sentry.dsn can't be read")?;
    let (sender, waiting) = channel(WAITING);
    let (end, ended) = tokio::sync::oneshot::channel();
    let post = Post::new(&dsn)?;
    let task = tokio::spawn(post.run(waiting, ended));
    let maker = Maker { environment: settings.environment.clone().unwrap_or_else(|| profile.to_string()), sender };
    report_panics(maker.clone());
    Ok((Reports { task, end }, Reporter(maker).boxed()))
}

impl Reports {
    /// Sends what waits.
    pub(super) async fn stop(self) {
        let _ = self.end.send(());
        let _ = tokio::time::timeout(PATIENCE, self.task).await;
    }
}

/// Makes events and puts them into the queue.
#[derive(Clone)]
struct Maker {
    environment: String,
    sender: Sender<Event<'static>>,
}

impl Maker {
    fn report(&self, level: Level, logger: &str, message: String, extra: BTreeMap<String, String>) {
        let event = Event {
            level,
            logger: Some(logger.to_owned()),
            message: Some(message),
            extra: extra.into_iter().map(|(name, value)| (name, value.into())).collect(),
            release: Some(concat!("sanasend@", env!("CARGO_PKG_VERSION")).into()),
            environment: Some(self.environment.clone().into()),
            platform: "native".into(),
            ..Event::default()
        };
        // A full queue: see `WAITING`.
        let _ = self.sender.try_send(event);
    }
}

/// Reports each panic by its place, after whatever was done about panics before.
fn report_panics(maker: Maker) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        maker.report(Level::Fatal, "panic", format!("panic at {place}"), BTreeMap::new());
        before(panic);
    }));
}

/// Sees what is logged, and reports what is an error of ours.
struct Reporter(Maker);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Reporter {
    fn enabled(&self, _: &Metadata<'_>, _: Context<'_, S>) -> bool {
        true
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let made = event.metadata();
        if *made.level() == tracing::Level::ERROR && made.target().starts_with("sanasend") {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.0.report(Level::Error, made.target(), fields.message, fields.others);
        }
    }
}

/// The fields of something logged.
#[derive(Default)]
struct Fields {
    message: String,
    others: BTreeMap<String, String>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let value: String = value.chars().take(LONGEST).collect();
        if field.name() == "message" {
            self.message = value;
        } else {
            self.others.insert(field.name().to_owned(), value);
        }
    }
}

/// The way to Sentry.
struct Post {
    client: reqwest::Client,
    url: String,
    auth: String,
    is_down: bool,
    not_before: Instant,
    window: (Instant, u32),
}

impl Post {
    fn new(dsn: &Dsn) -> anyhow::Result<Self> {
        let agent = concat!("sanasend/", env!("CARGO_PKG_VERSION"));
        let (url, auth) = (dsn.envelope_api_url().to_string(), dsn.to_auth(Some(agent)).to_string());
        let now = Instant::now();
        Ok(Self { client: egress::operators_client(PATIENCE)?, url, auth, is_down: false, not_before: now, window: (now, 0) })
    }

    /// Sends until `ended`, and then what still waits.
    async fn run(mut self, mut waiting: Receiver<Event<'static>>, mut ended: tokio::sync::oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                event = waiting.recv() => match event {
                    Some(event) => self.send(event).await,
                    None => return,
                },
                _ = &mut ended => waiting.close(),
            }
            if waiting.is_closed() {
                while let Some(event) = waiting.recv().await {
                    self.send(event).await;
                }
                return;
            }
        }
    }

    /// Sends one event, unless this minute had enough or the server asked for a pause.
    async fn send(&mut self, event: Event<'static>) {
        let now = Instant::now();
        if now.duration_since(self.window.0) >= Duration::from_mins(1) {
            self.window = (now, 0);
        }
        if now < self.not_before || self.window.1 >= PER_MINUTE {
            return;
        }
        self.window.1 += 1;
        let mut body = Vec::new();
        let mut envelope = Envelope::new();
        envelope.add_item(event);
        if envelope.to_writer(&mut body).is_err() {
            return;
        }
        let request = self.client.post(&self.url).header("X-Sentry-Auth", &self.auth).body(body);
        let took = match request.header(header::CONTENT_TYPE, "application/x-sentry-envelope").send().await {
            Ok(answer) if answer.status() == StatusCode::TOO_MANY_REQUESTS => {
                self.not_before = Instant::now() + asked_pause(&answer);
                return;
            }
            Ok(answer) => answer.status().is_success(),
            Err(_) => false,
        };
        let was_down = std::mem::replace(&mut self.is_down, !took);
        // At `warn`: an error would be reported in its turn.
        match (took, was_down) {
            (false, false) => tracing::warn!("the place for error reports takes none"),
            (true, true) => tracing::info!("the place for error reports takes them again"),
            _ => {}
        }
    }
}

/// How long the server wants to be left alone.
fn asked_pause(answer: &reqwest::Response) -> Duration {
    let seconds = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(PAUSE, Duration::from_secs)
}
