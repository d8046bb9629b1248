//! What an operator's collector of spans and place for error reports are told, and that no text of a message is among it.

use crate::world::{Database, Split, eventually};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Told;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// A request that a watcher got.
struct Got {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Takes whatever is posted, and remembers it.
#[derive(Clone)]
struct Watcher {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Watcher {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let watcher = Self { address: listener.local_addr().expect("an address"), got: Arc::default() };
        let router = Router::new().fallback(take).with_state(watcher.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        watcher
    }

    fn with<T>(&self, look: impl FnOnce(&[Got]) -> T) -> T {
        look(&self.got.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All spans so far.
    fn spans(&self) -> Vec<Span> {
        self.with(|got| {
            let traces = got.iter().filter(|got| got.path == "/otlp/v1/traces");
            let requests = traces.map(|got| ExportTraceServiceRequest::decode(got.body.clone()).expect("OTLP"));
            requests.flat_map(|request| request.resource_spans).flat_map(|of| of.scope_spans).flat_map(|of| of.spans).collect()
        })
    }

    /// The span of this name, when it has come.
    async fn span(&self, name: &str) -> Span {
        eventually(name, async || self.spans().into_iter().find(|span| span.name == name)).await
    }
}

async fn take(State(watcher): State<Watcher>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let got = Got { path: uri.path().to_owned(), headers, body };
    watcher.got.lock().unwrap_or_else(PoisonError::into_inner).push(got);
    StatusCode::OK
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Told::StringValue(text) => Some(text.clone()),
        Told::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_sees_the_way_of_a_message_within_the_callers_trace() {
    let watcher = Watcher::start().await;
    let environment = vec![
        ("SANASEND_TRACES_OTLP_URL", format!("http://{}/otlp/", watcher.address)),
        ("SANASEND_TRACES_HEADERS", "authorization=Bearer of-the-collector".to_owned()),
        ("SANASEND_LOG_FILTER", "warn".to_owned()),
    ];
    let mut split = Split::start_in(Database::of_this_story().await, environment).await;
    let mut shop = split.shop();
    shop.link().await;
    let friend = split.friend("Friend").await;
    let hook = json!({"url": format!("http://{}/hook", watcher.address), "events": ["message.sent"]});
    shop.api.post("/webhooks/", &hook).await.expect(201);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let body = json!({"recipient": friend.number, "content": "a secret of two people"});
    shop.api.post_with("/messages/send-text/", &body, &[("traceparent", &parent)]).await.expect(202);

    let accepted = watcher.span("POST /api/v1/messages/send-text/").await;
    assert_eq!(hex::encode(&accepted.trace_id), trace, "it belongs to the caller's trace");
    assert_eq!(hex::encode(&accepted.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(attribute(&accepted, "http.route").as_deref(), Some("/api/v1/messages/send-text/"));
    assert_eq!(attribute(&accepted, "http.response.status_code").as_deref(), Some("202"));
    let step = watcher.span("accept_message").await;
    assert_eq!((&step.trace_id, &step.parent_span_id), (&accepted.trace_id, &accepted.span_id), "a step of the request");
    let written = watcher.span("write_message").await;
    assert_eq!(attribute(&written, "message"), attribute(&step, "message"), "the way goes on under the message's id");
    let posted = watcher.span("post_webhook").await;
    let heard = |got: &[Got]| got.iter().find(|got| got.path == "/hook").map(|got| got.headers["traceparent"].clone());
    let parent = format!("00-{}-{}-01", hex::encode(&posted.trace_id), hex::encode(&posted.span_id));
    assert_eq!(watcher.with(heard).expect("a delivery"), parent, "the receiver's work belongs to the span of the delivery");
    let run =
        eventually("the delivery's job", async || watcher.spans().into_iter().find(|span| span.span_id == posted.parent_span_id)).await;
    assert_eq!((run.name.as_str(), &run.trace_id), ("run_job", &posted.trace_id));
    assert!(split.stop().await);
    watcher.with(|got| {
        let told = got.iter().filter(|got| got.path == "/otlp/v1/traces");
        for got in told {
            assert_eq!(got.headers["authorization"], "Bearer of-the-collector");
            assert!(!String::from_utf8_lossy(&got.body).contains("a secret of two people"), "texts are nobody's business");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_nothing_up() {
    let nowhere = "http://127.0.0.1:9".to_owned();
    let split = Split::start_in(Database::of_this_story().await, vec![("SANASEND_TRACES_OTLP_URL", nowhere)]).await;
    let mut shop = split.shop();
    shop.link().await;
    let friend = split.friend("Friend").await;
    let sent = shop.send_text(&friend, "all the same").await;
    shop.message_becomes(&sent, "delivered").await;
    eventually("it says so", async || split.journal().contains("the collector takes no spans").then_some(())).await;
    let mut split = split;
    assert!(split.stop().await, "nor a stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_reported_to_sentry_where_the_operator_wants_it() {
    let watcher = Watcher::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    // It can't start: somebody listens there already.
    let mut command = Command::new(env!("CARGO_BIN_EXE_sanasend"));
    command.args(["serve", "--json", "--listen", &watcher.address.to_string(), "--data-dir"]).arg(folder.path().join("data"));
    command.env("SANASEND_SENTRY_DSN", format!("http://publickey@{}/42", watcher.address));
    command.env("SANASEND_AUTH_PASSWORD_MEMORY_KIB", "8192").stdout(Stdio::null()).stderr(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.status()).await.expect("waited").expect("run");
    assert!(!ended.success());
    watcher.with(|got| {
        assert_eq!(got.len(), 1, "one report, sent before the process ended");
        assert_eq!(got[0].path, "/api/42/envelope/");
        assert!(got[0].headers["x-sentry-auth"].to_str().expect("text").contains("publickey"));
        let body = String::from_utf8_lossy(&got[0].body);
        let event = body.lines().find(|line| line.contains("\"message\"")).expect("an event");
        let event: serde_json::Value = serde_json::from_str(event).expect("JSON");
        assert_eq!(event["message"], "the server ended");
        assert!(event["level"].is_null(), "an error is what needs no telling: {event}");
        assert_eq!(event["environment"], "development");
        assert!(event["release"].as_str().expect("a release").starts_with("sanasend@"));
    });
}
