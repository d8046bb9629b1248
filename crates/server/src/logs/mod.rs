//! What the process tells about itself while it runs: log lines on standard error and, where the operator names a place
//! for them, spans (OpenTelemetry) and errors (Sentry).
//!
//! Apart from everything that has something to tell, which knows only `tracing`. Nothing leaves the machine unless a
//! setting says where to: there is no default place, and no call home.

mod reports;
mod spans;
#[cfg(test)]
mod tests;

pub use spans::{TRACE_PARENT, of_request, request_ended, trace_parent};

use crate::cli::out;
use crate::config::kinds::LogFormat;
use crate::config::settings::Config;
use std::io::IsTerminal as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// One of the places where things are told.
type Place = Box<dyn Layer<Registry> + Send + Sync>;

/// What still has to be delivered when the process ends.
#[must_use = "what was not sent yet is lost unless it is stopped"]
pub struct Logs {
    spans: Option<spans::Export>,
    reports: Option<reports::Reports>,
}

/// Begins to log, as configured. Needs the runtime, which sends what leaves the machine.
///
/// # Errors
/// When a place for spans or errors can't be used as it is set.
pub fn start(config: &Config) -> anyhow::Result<Logs> {
    let mut places = vec![lines(config)];
    let spans = match &config.traces.otlp_url {
        Some(url) => {
            let (export, place) = spans::start(url, &config.traces, config.general.profile)?;
            places.push(place);
            Some(export)
        }
        None => None,
    };
    let reports = match &config.sentry.dsn {
        Some(dsn) => {
            let (reports, place) = reports::start(&dsn.0, &config.sentry, config.general.profile)?;
            places.push(place);
            Some(reports)
        }
        None => None,
    };
    if tracing_subscriber::registry().with(places).try_init().is_err() {
        out::note("logging was already started by somebody else in this process");
    }
    Ok(Logs { spans, reports })
}

/// Lines on standard error.
fn lines(config: &Config) -> Place {
    let filter = EnvFilter::try_new(&config.log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // A line that can't be written (a log file on a full disk) is not complained of in the same place: that would be a panic.
    let layer = layer.log_internal_errors(false);
    match config.log.format {
        LogFormat::Text => layer.with_target(false).with_filter(filter).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

impl Logs {
    /// Sends what is left, for a few seconds at most.
    pub async fn stop(self) {
        if let Some(spans) = self.spans {
            spans.stop().await;
        }
        if let Some(reports) = self.reports {
            reports.stop().await;
        }
    }
}
