//! Spans for an OpenTelemetry collector, by OTLP over HTTP (protobuf).
//!
//! What is a span: a request (by its route), a message's way into the outbox, its writing to WhatsApp, a job, the post of
//! a webhook. They are made at the level `debug` and reach the collector whatever `log.filter` says; without a collector
//! nobody listens at that level and they cost nothing. Log lines are not sent along.

use super::Place;
use crate::config::kinds::Profile;
use crate::config::settings::Traces;
use crate::egress;
use anyhow::Context as _;
use axum::http::{HeaderMap, HeaderValue, Method};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use opentelemetry_sdk::trace::{Sampler, SamplingResult, SdkTracerProvider, ShouldSample, SpanData, SpanExporter};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;

/// How long a collector may take to answer, and how long a stop waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// The header by which a caller says which trace its request belongs to, and by which we say it to receivers of webhooks (W3C
/// Trace Context).
pub const TRACE_PARENT: &str = "traceparent";

/// The way to the collector, for its end.
pub(super) struct Export(SdkTracerProvider);

/// Begins to send spans to the collector at `url` (its base: `/v1/traces` is added).
pub(super) fn start(url: &str, settings: &Traces, profile: Profile) -> anyhow::Result<(Export, Place)> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(egress::operators_client(PATIENCE)?)
        .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
        .with_headers(headers(settings.headers.as_ref().map_or("", |headers| &headers.0)))
        .with_timeout(PATIENCE)
        .build()
        .context("traces.otlp_url can't be used")?;
    let resource = Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("deployment.environment.name", profile.to_string()))
        .build();
    let exporter = Told { inner: exporter, is_down: AtomicBool::new(false) };
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Share(Sampler::TraceIdRatioBased(f64::from(settings.sample_percent) / 100.0)))
        .with_span_processor(BatchSpanProcessor::builder(exporter, Tokio).build())
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("sanasend"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|made| made.is_span() && *made.level() == Level::DEBUG && made.target().starts_with("sanasend")));
    Ok((Export(provider), layer.boxed()))
}

/// `name=value` pairs between commas, as `OTEL_EXPORTER_OTLP_HEADERS` has them.
pub(super) fn headers(text: &str) -> HashMap<String, String> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

impl Export {
    /// Sends the spans that wait.
    pub(super) async fn stop(self) {
        // The library blocks its thread until they are sent.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(PATIENCE));
        if !matches!(tokio::time::timeout(PATIENCE, ended).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the last spans could not be sent");
        }
    }
}

/// The span of a request, within the trace that its caller names; `route` is the path of its operation, where there is one.
/// Disabled where nobody collects spans.
pub fn of_request(method: &Method, route: impl Fn() -> Option<String>, headers: &HeaderMap) -> Span {
    // Its name can't be changed later, and is asked for only when somebody collects.
    let span = tracing::debug_span!(
        "request",
        otel.kind = "server",
        otel.name = route().map_or_else(|| method.to_string(), |route| format!("{method} {route}")),
        otel.status_code = tracing::field::Empty,
        http.request.method = %method,
        http.route = route(),
        http.response.status_code = tracing::field::Empty,
    );
    if !span.is_disabled() && headers.contains_key(TRACE_PARENT) {
        // One that can't be read is as good as none.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Carrier(headers)));
    }
    span
}

/// What [`TRACE_PARENT`] says to whoever is asked within this span; `None` where nobody collects spans.
#[must_use]
pub fn trace_parent(span: &Span) -> Option<HeaderValue> {
    if span.is_disabled() {
        return None;
    }
    let mut carried: HashMap<String, String> = HashMap::new();
    // A span that is none of the collector's has no valid context, and nothing is written for it.
    TraceContextPropagator::new().inject_context(&span.context(), &mut carried);
    carried.get(TRACE_PARENT).and_then(|text| HeaderValue::from_str(text).ok())
}

/// Tells the span of a request how it ended.
pub fn request_ended(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// The headers of a request, as the library wants to read them.
struct Carrier<'a>(&'a HeaderMap);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// Which traces are sent: our own share of those that begin here. A caller can name the trace that its request belongs
/// to, and can't make us send more than our share.
#[derive(Debug, Clone)]
struct Share(Sampler);

impl ShouldSample for Share {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let within_ours = parent.is_some_and(|context| context.has_active_span() && !context.span().span_context().is_remote());
        if within_ours {
            let follow = Sampler::ParentBased(Box::new(self.0.clone()));
            return follow.should_sample(parent, trace, name, kind, attributes, links);
        }
        self.0.should_sample(parent, trace, name, kind, attributes, links)
    }
}

/// An exporter that says once that it can't deliver, and once that it can again.
#[derive(Debug)]
struct Told<E> {
    inner: E,
    is_down: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let ended = self.inner.export(batch).await;
        let was_down = self.is_down.swap(ended.is_err(), Ordering::Relaxed);
        match &ended {
            // The library's own text holds the address, and what the operator wrote into it.
            Err(_) if !was_down => tracing::warn!("the collector takes no spans; those that can't wait are dropped"),
            Ok(()) if was_down => tracing::info!("the collector takes spans again"),
            _ => {}
        }
        ended
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
