//! `/metrics`: the figures for Prometheus, for those addresses and that token which the configuration names.
//!
//! Everybody else is told that there is nothing here. An address counts only when it is the caller's own: behind a proxy
//! that is not listed as trusted every caller seems to come from the proxy, which is often this very machine.

use super::line::Peer;
use super::{ApiError, Exchange};
use crate::app::App;
use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// What Prometheus calls its text.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page, with and without a slash at its end.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(get_metrics)).route("/metrics/", get(get_metrics))
}

async fn get_metrics(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    exchange: Exchange,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !knows_token(&app, &headers) && !may_look(&app, peer.address.ip(), exchange.address, &headers) {
        return Err(ApiError::not_found());
    }
    Ok(([(header::CONTENT_TYPE, TEXT)], crate::metrics::render(&app).await).into_response())
}

fn may_look(app: &App, peer: IpAddr, address: IpAddr, headers: &HeaderMap) -> bool {
    let forwarded = ["x-forwarded-for", "forwarded", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name));
    let trusted = app.config.general.trusted_proxies.iter().any(|network| network.0.contains(&peer.to_canonical()));
    (trusted || !forwarded) && app.config.metrics.allow.iter().any(|network| network.0.contains(&address.to_canonical()))
}

fn knows_token(app: &App, headers: &HeaderMap) -> bool {
    let Some(token) = &app.config.metrics.token else { return false };
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|text| text.strip_prefix("Bearer "));
    // Digests have one length, so that nothing of the token can be learned from the time this takes.
    sent.is_some_and(|sent| Sha256::digest(sent.trim()).ct_eq(&Sha256::digest(&token.0)).into())
}
