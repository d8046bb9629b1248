//! What happens around every request: its id, the caller's address, limits, headers, the log line, and the
//! envelope for whatever the framework itself refuses.
//!
//! One function instead of a stack of layers: each of them would box every request once more, and their order
//! is easier to see as lines of one text.

use super::address::client_address;
use super::caller::{carries_credentials, vouch};
use super::error::{ApiError, ErrorCode};
use super::gate::Gate;
use super::line::{Busy, Peer};
use super::pace::{Pace, Paces};
use super::standing::Standings;
use crate::app::App;
use crate::dashboard;
use crate::logs;
use crate::metrics::requests::Requests;
use crate::turns::{Share, Shares};
use axum::extract::{FromRequestParts, MatchedPath, OriginalUri, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use ipnet::IpNet;
use sanasend_model::limit::Standing;
use sanasend_model::{ApiKeyId, UserId};
use sanasend_store::LoggedRequest;
use sanasend_store::limits::{Ask, Counted};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::Instrument;

/// Longest request id that is taken from a caller.
const LONGEST_REQUEST_ID: usize = 128;
/// What part of the requests that are worked on at once may be one caller's, but for a few that anybody may have.
const SHARE: usize = 4;
/// The same for a user's requests with files and lists: they last long, and each has a file open.
const SLOW_SHARE: usize = 64;
const FEWEST: usize = 16;
/// When to come again for who has as many requests as that.
const AGAIN: Duration = Duration::from_secs(1);
/// What of a method and of a path is kept in the API log.
const LONGEST_METHOD: usize = 16;
const LONGEST_PATH: usize = 512;

/// What the middleware needs besides the app.
#[derive(Clone)]
pub struct Front {
    app: Arc<App>,
    trusted: Arc<[IpNet]>,
    turns: Arc<Semaphore>,
    shares: Arc<Fair>,
    gate: Gate,
    paces: Arc<Paces>,
    counted: Arc<Requests>,
}

impl Front {
    /// As configured; the gate knows what each operation asks of its callers, `paces` how long it may take, `counted` counts them.
    #[must_use]
    pub fn new(app: Arc<App>, gate: Gate, paces: Paces, counted: Requests) -> Self {
        let trusted = app.config.general.trusted_proxies.iter().map(|network| network.0).collect();
        let at_once = app.config.http.requests_at_once;
        let (turns, shares) = (Arc::new(Semaphore::new(at_once)), Arc::new(Fair::of(at_once)));
        Self { app, trusted, turns, shares, gate, paces: Arc::new(paces), counted: Arc::new(counted) }
    }
}

/// How many requests of each caller are worked on at once.
#[derive(Debug)]
struct Fair {
    all: Shares<Counted>,
    slow: Shares<Counted>,
}

impl Fair {
    fn of(at_once: usize) -> Self {
        Self { all: Shares::new((at_once / SHARE).max(FEWEST)), slow: Shares::new((at_once / SLOW_SHARE).max(FEWEST)) }
    }
}

/// One request and its answer, as far as handlers and the middleware both need to know; an extension of the request.
#[derive(Debug)]
pub struct Exchange {
    /// Taken from `X-Request-Id` or made.
    pub id: String,
    /// The caller's address, behind trusted proxies.
    pub address: IpAddr,
    /// What each operation asks of its callers.
    pub(super) gate: Gate,
    /// How the caller reached the trusted proxy; `None` without one.
    proxied: Option<Scheme>,
    /// Whose request it is while it is worked on, of those that each may have at once.
    shares: Option<Arc<Fair>>,
    taken: Mutex<Vec<Share<Counted>>>,
    /// How long it may take.
    pace: Pace,
    standings: Standings,
    user: OnceLock<UserId>,
    key: OnceLock<ApiKeyId>,
    route: OnceLock<MatchedPath>,
}

/// How a caller reached a trusted proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Exchange {
    /// Whether the caller reached the trusted proxy by HTTPS.
    pub(crate) fn https(&self) -> bool {
        self.proxied == Some(Scheme::Https)
    }

    /// The exchange that a request belongs to.
    #[must_use]
    pub fn of(parts: &Parts) -> Arc<Self> {
        parts.extensions.get::<Arc<Self>>().cloned().unwrap_or_else(|| Arc::new(Self::unknown()))
    }

    /// Remembers who it was and how it stands (see [`Standings::note_requests`]), for the headers and the logs.
    pub fn note(&self, counted: &[Standing], user: UserId, key: Option<ApiKeyId>) {
        self.standings.note_requests(counted);
        let _ = self.user.set(user);
        if let Some(key) = key {
            let _ = self.key.set(key);
        }
    }

    /// Remembers how the user stands against its limit of messages per minute.
    pub fn note_messages(&self, standing: Standing) {
        self.standings.note_messages(standing);
    }

    /// Notes that the caller's messages of this day are used up.
    pub fn note_day(&self, standing: Standing) {
        self.standings.note_day(standing);
    }

    /// Makes it one of the requests that are worked on for `who`, and of nobody else any more: as long as nobody knows who calls,
    /// that is the address. A caller that lets bodies drip in, or waits for events, must not take the turns of all others.
    ///
    /// # Errors
    /// `RATE_LIMITED` when it has its share of them already.
    pub(super) fn work_for(&self, who: Counted) -> Result<(), ApiError> {
        let Some(shares) = &self.shares else { return Ok(()) };
        // Before anybody is known no file is read or written.
        let is_slow = self.pace != Pace::Usual && matches!(who, Counted::Requests(_));
        let wanted = [(&shares.all, "requests"), (&shares.slow, "requests with files or lists")];
        let mut taken = Vec::with_capacity(wanted.len());
        for (of, what) in wanted.into_iter().take(1 + usize::from(is_slow)) {
            let share = of.take(who).ok_or_else(|| {
                let text = format!("{} {what} of yours are being worked on already; wait for one of them.", of.most());
                ApiError::because(ErrorCode::RateLimited, text).retry_after(AGAIN)
            })?;
            taken.push(share);
        }
        *self.taken() = taken;
        Ok(())
    }

    fn taken(&self) -> MutexGuard<'_, Vec<Share<Counted>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody's share has it already.
    fn is_somebodys(&self) -> bool {
        !self.taken().is_empty()
    }

    /// It is not worked on any more; what it answered may go on for long.
    fn let_go(&self) {
        self.taken().clear();
    }

    /// Remembers which route it took: only those inside the router know.
    pub fn note_route(&self, parts: &Parts) {
        if let Some(route) = parts.extensions.get::<MatchedPath>() {
            let _ = self.route.set(route.clone());
        }
    }

    /// The user, once its credentials were checked.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        self.user.get().copied()
    }

    /// The API key that it came with.
    #[must_use]
    pub fn key(&self) -> Option<ApiKeyId> {
        self.key.get().copied()
    }

    /// The template of the route, like `/api/v1/users/{id}/`.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        self.route.get().map(MatchedPath::as_str)
    }

    fn unknown() -> Self {
        Self::new(String::new(), IpAddr::V4(Ipv4Addr::UNSPECIFIED), Gate::default(), None)
    }

    fn new(id: String, address: IpAddr, gate: Gate, proxied: Option<Scheme>) -> Self {
        let (standings, user, key, route) = (Standings::default(), OnceLock::new(), OnceLock::new(), OnceLock::new());
        let (shares, taken, pace) = (None, Mutex::default(), Pace::Usual);
        Self { id, address, gate, proxied, shares, taken, pace, standings, user, key, route }
    }
}

impl<S: Sync> FromRequestParts<S> for Exchange {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let shared = Self::of(parts);
        shared.note_route(parts);
        Ok(Self::new(shared.id.clone(), shared.address, Gate::default(), shared.proxied))
    }
}

/// The URL of the present request as the caller knows it, for links to other pages of a list.
#[derive(Debug, Clone)]
pub struct Origin {
    base: String,
    path: String,
    query: String,
}

impl Origin {
    /// The same URL with one parameter changed or added.
    #[must_use]
    pub fn with_param(&self, name: &str, value: &str) -> String {
        let kept = form_urlencoded::parse(self.query.as_bytes()).filter(|(key, _)| key != name);
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair(name, value).finish();
        format!("{}{}?{query}", self.base, self.path)
    }
}

impl Origin {
    /// The same URL with one parameter left out.
    #[must_use]
    pub fn without_param(&self, name: &str) -> Self {
        let kept = form_urlencoded::parse(self.query.as_bytes()).filter(|(key, _)| key != name);
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish();
        Self { query, ..self.clone() }
    }
}

impl FromRequestParts<Arc<App>> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let base = match &app.config.general.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}://{}", if Exchange::of(parts).https() { "https" } else { "http" }, host(parts, uri)),
        };
        let mut path = uri.path().to_owned();
        if !path.ends_with('/') {
            path.push('/');
        }
        Ok(Self { base, path, query: uri.query().unwrap_or_default().to_owned() })
    }
}

fn host(parts: &Parts, uri: &Uri) -> String {
    let named = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok()).or_else(|| uri.authority().map(Authority::as_str));
    sound_host(named).unwrap_or("localhost").to_owned()
}

/// A host that may stand in an answer.
fn sound_host(named: Option<&str>) -> Option<&str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    named.filter(|text| !text.is_empty() && text.len() <= 255 && text.bytes().all(plain))
}

/// The function around every request. It runs before routing, so that it can mend the path.
pub async fn around(State(front): State<Front>, mut request: Request, next: Next) -> Response {
    let app = &front.app;
    let started = tokio::time::Instant::now();
    let busy = Busy::with(request.extensions());
    add_slash(request.uri_mut());
    let exchange = Arc::new(begin(&front, &request));
    request.extensions_mut().insert(exchange.clone());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", id = %exchange.id, %method, %path);
    let traced = logs::of_request(&method, || front.counted.route(&path).map(str::to_owned), request.headers());
    let mut response = match refuse_early(&front, &exchange, &mut request, &path).await {
        Some(refusal) => refusal,
        None => handle(&front, &exchange, request, next).instrument(span.clone()).instrument(traced.clone()).await,
    };
    exchange.let_go();
    if response.status().is_client_error() || response.status().is_server_error() {
        response = if dashboard::is_page(&path) { dashboard::trouble::as_page(response) } else { in_envelope(response) };
    }
    if !exchange.standings.are_known() {
        exchange.standings.note_requests(&app.limits.count(&[stranger(app, &exchange)]).await);
    }
    dress(&mut response, app, &exchange);
    let took = started.elapsed();
    front.counted.count(method.as_str(), &path, response.status().as_u16(), took);
    span.in_scope(|| log(&exchange, response.status(), took));
    logs::request_ended(&traced, response.status().as_u16());
    if path.starts_with("/api/") && !is_health(&path) {
        app.api_log.note(remembered(app, &exchange, &method, &path, response.status(), took));
    }
    match busy {
        Some(busy) => busy.until_sent(response),
        None => response,
    }
}

fn begin(front: &Front, request: &Request) -> Exchange {
    let headers = request.headers();
    let peer = Peer::ip_of(request.extensions());
    let behind_proxy = front.trusted.iter().any(|network| network.contains(&peer.to_canonical()));
    let scheme = |value: &HeaderValue| if value.as_bytes().eq_ignore_ascii_case(b"https") { Scheme::Https } else { Scheme::Http };
    let proxied = headers.get("x-forwarded-proto").filter(|_| behind_proxy).map(scheme);
    let id = request_id(headers).unwrap_or_else(|| front.app.clock.uuid().to_string());
    let (shares, pace) = (Some(front.shares.clone()), front.paces.of(request.method(), request.uri().path()));
    Exchange { shares, pace, ..Exchange::new(id, client_address(peer, headers, &front.trusted), front.gate.clone(), proxied) }
}

/// A caller's own id, when it is short and plain enough to stand in a log.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=');
    (!id.is_empty() && id.len() <= LONGEST_REQUEST_ID && id.bytes().all(plain)).then(|| id.to_owned())
}

/// `/api/v1/users` is served as `/api/v1/users/`: no redirect, whatever the method.
fn add_slash(uri: &mut Uri) {
    let path = uri.path();
    if path.ends_with('/') || !(path.starts_with("/api/") || path.starts_with("/health/") || dashboard::is_page(path)) {
        return;
    }
    let mut mended = format!("{path}/");
    if let Some(query) = uri.query() {
        let _ = write!(mended, "?{query}");
    }
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = mended.parse().ok();
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

fn is_health(path: &str) -> bool {
    path.starts_with("/health/") || path == "/api/v1/health/" || path.starts_with("/metrics")
}

/// Who came by plain HTTP is sent to HTTPS, where that is set. Strangers over their limit are sent away before any
/// work is done for them; who has credentials is counted by the user they belong to. From an address that is over the limit
/// they are looked at here and not by the handler alone: something that only looks like them must not open every page.
async fn refuse_early(front: &Front, exchange: &Arc<Exchange>, request: &mut Request, path: &str) -> Option<Response> {
    if front.app.config.http.https_redirect && exchange.proxied == Some(Scheme::Http) && !is_health(path) {
        return Some(to_https(request));
    }
    if is_health(path) || request.method() == Method::OPTIONS {
        return None;
    }
    let app = &front.app;
    let standing = app.limits.look(stranger(app, exchange));
    let wait = standing.wait?;
    if carries_credentials(request.headers()) {
        let headers = request.headers().clone();
        // Boxed: the future of every request would be as large otherwise.
        match Box::pin(vouch(app, &headers, exchange.clone())).await {
            Ok(vouched) => {
                request.extensions_mut().insert(vouched);
                return None;
            }
            Err(refusal) if refusal.code.status() != StatusCode::UNAUTHORIZED => return Some(refusal.into_response()),
            Err(_) => {}
        }
    }
    exchange.standings.note_requests(&[standing]);
    Some(ApiError::new(ErrorCode::RateLimited).retry_after(wait).into_response())
}

/// The same URL by HTTPS. Only for what carries no body: a body that was sent in the clear must not seem accepted.
fn to_https(request: &Request) -> Response {
    let host = sound_host(request.headers().get(header::HOST).and_then(|value| value.to_str().ok()));
    let path = request.extensions().get::<OriginalUri>().map_or(request.uri(), |original| &original.0).path_and_query();
    let target = path.map(|path| format!("https://{}{path}", host.unwrap_or("localhost")));
    match target.and_then(|target| HeaderValue::from_str(&target).ok()) {
        Some(target) if matches!(*request.method(), Method::GET | Method::HEAD) && host.is_some() => {
            (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, target)]).into_response()
        }
        _ => ApiError::new(ErrorCode::HttpsRequired).into_response(),
    }
}

fn stranger(app: &App, exchange: &Exchange) -> Ask {
    Ask { what: Counted::address(exchange.address), per_minute: app.config.limits.requests_per_minute }
}

async fn handle(front: &Front, exchange: &Exchange, request: Request, next: Next) -> Response {
    let _turn = if is_health(request.uri().path()) {
        None
    } else {
        match front.turns.try_acquire() {
            Ok(turn) => {
                if !exchange.is_somebodys()
                    && let Err(refusal) = exchange.work_for(Counted::address(exchange.address))
                {
                    return refusal.into_response();
                }
                Some(turn)
            }
            Err(_) => return ApiError::unavailable("more requests than `http.requests_at_once`").into_response(),
        }
    };
    let mut patience = exchange.pace.patience(&front.app.config);
    if request.uri().query().is_some_and(|query| query.contains("wait=")) {
        patience += Duration::from_secs(front.app.config.messages.longest_wait_seconds);
    }
    let answered = tokio::time::timeout(patience, AssertUnwindSafe(next.run(request)).catch_unwind()).await;
    // Before the turn is: who gets it next must find the share free as well.
    exchange.let_go();
    match answered {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => ApiError::internal("the handler panicked").into_response(),
        Err(_) => ApiError::unavailable(format!("the request took longer than `{}`", exchange.pace.setting())).into_response(),
    }
}

/// Gives what the framework refused in plain text the shape of every other refusal.
fn in_envelope(response: Response) -> Response {
    let content_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if content_type.is_some_and(|value| value.starts_with(b"application/json")) {
        return response;
    }
    let code = match response.status() {
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        status if status.is_client_error() => ErrorCode::BadRequest,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::ServiceUnavailable,
        _ => ErrorCode::InternalError,
    };
    let mut dressed = ApiError::new(code).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        dressed.headers_mut().insert(header::ALLOW, allow.clone());
    }
    dressed
}

/// What every answer carries unless its handler said otherwise.
static FIXED_HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

fn dress(response: &mut Response, app: &App, exchange: &Exchange) {
    let headers = response.headers_mut();
    // Once, and not again and again as they grow: the fixed ones, the id, five on limits.
    headers.reserve(FIXED_HEADERS.len() + 6);
    for (name, value) in &FIXED_HEADERS {
        if !headers.contains_key(name) {
            headers.insert(name, value.clone());
        }
    }
    // Browsers ignore it over plain HTTP, and the standard forbids to send it there.
    if app.config.http.hsts && exchange.https() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains"));
    }
    if let Ok(id) = HeaderValue::from_str(&exchange.id) {
        headers.insert("x-request-id", id);
    }
    exchange.standings.write(headers);
}

/// What the API log keeps of a request. The query is left out here as well.
fn remembered(app: &App, exchange: &Exchange, method: &Method, path: &str, status: StatusCode, latency: Duration) -> LoggedRequest {
    let found = !matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
    LoggedRequest {
        user_id: exchange.user(),
        api_key_id: exchange.key(),
        method: method.as_str().chars().take(LONGEST_METHOD).collect(),
        // Routes that ask who calls are noted; the others have no parts in braces.
        endpoint: exchange.route().or(found.then_some(path)).unwrap_or_default().to_owned(),
        path: path.chars().take(LONGEST_PATH).collect(),
        status_code: status.as_u16(),
        latency,
        ip: exchange.address,
        request_id: exchange.id.clone(),
        at: app.clock.now(),
    }
}

/// One line per request, refusals and faults at levels that are on by default: a line per success would be the most
/// expensive part of it. The query is left out: it may hold what a person searched for.
fn log(exchange: &Exchange, status: StatusCode, took: Duration) {
    let user = exchange.user.get().map(tracing::field::display);
    let ms = took.as_millis();
    if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), ms, user, address = %exchange.address, "answered");
    } else if status.is_client_error() {
        tracing::info!(status = status.as_u16(), ms, user, address = %exchange.address, "refused");
    } else {
        tracing::debug!(status = status.as_u16(), ms, user, address = %exchange.address, "answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_is_added_where_the_api_wants_one() {
        let table = [
            ("/api/v1/users", "/api/v1/users/"),
            ("/api/v1/users/", "/api/v1/users/"),
            ("/api/v1/users?page=2", "/api/v1/users/?page=2"),
            ("/health/live", "/health/live/"),
            ("/admin", "/admin/"),
            ("/admin/users?page=2", "/admin/users/?page=2"),
            ("/admin/assets/app.css", "/admin/assets/app.css"),
            ("/administration", "/administration"),
            ("/", "/"),
        ];
        for (from, to) in table {
            let mut uri: Uri = from.parse().expect("uri");
            add_slash(&mut uri);
            assert_eq!(uri.to_string(), to);
        }
    }

    #[test]
    fn only_plain_request_ids_are_taken() {
        let table = [("abc-123", true), ("", false), ("a b", false), ("a\"b", false), (&"x".repeat(129), false), (&"x".repeat(128), true)];
        for (text, taken) in table {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_str(text).expect("value"));
            assert_eq!(request_id(&headers).is_some(), taken, "{text:?}");
        }
    }

    #[test]
    fn links_keep_the_other_parameters() {
        let origin = Origin { base: "https://x.test".into(), path: "/api/v1/users/".into(), query: "page=2&search=a%26b".into() };
        assert_eq!(origin.with_param("page", "3"), "https://x.test/api/v1/users/?search=a%26b&page=3");
    }
}
