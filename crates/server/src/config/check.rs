//! What must hold for single settings beyond their type, and between settings.
//!
//! Apart from the table, because these rules are sentences and not bounds.

use super::kinds::Profile;
use super::read::Reader;
use super::settings::Config;
use std::net::IpAddr;

/// Refuses what no single type can refuse. Every problem is noted; none stops the others from being found.
pub(super) fn whole(config: &Config, reader: &mut Reader) {
    if let Some(url) = &config.general.public_url
        && !is_base_url(url)
    {
        reader.refuse("public_url", "must be like https://api.example.com, without a path and without a slash at the end");
    }
    for origin in &config.http.cors_origins {
        if !is_base_url(origin) {
            reader.refuse("http.cors_origins", &format!("`{origin}` is no origin; it must be like https://app.example.com"));
        }
    }
    if let Err(problem) = config.database() {
        reader.refuse("database_url", &problem);
    }
    if config.log.filter.parse::<tracing_subscriber::EnvFilter>().is_err() {
        reader.refuse("log.filter", "is no list of tracing directives like `info` or `warn,sanasend=debug`");
    }
    if let Err(invalid) = sanasend_model::user::username(&config.first_admin.username) {
        reader.refuse("first_admin.username", &invalid.message);
    }
    if let Some(password) = &config.first_admin.password
        && let Err(invalid) = sanasend_model::user::password(&password.0, &config.first_admin.username)
    {
        reader.refuse("first_admin.password", &invalid.message);
    }
    if let Some(url) = &config.redis.url
        && let Err(why) = sanasend_store::Remote::check_url(&url.0)
    {
        reader.refuse("redis.url", &why);
    }
    if config.redis.ca_file.is_some() && config.redis.url.as_ref().is_none_or(|url| !url.0.starts_with("rediss://")) {
        reader.refuse("redis.ca_file", "is only for a `redis.url` that begins with rediss://");
    }
    if config.campaigns.gap_min_seconds > config.campaigns.gap_max_seconds {
        reader.refuse("campaigns.gap_max_seconds", "must not be less than `campaigns.gap_min_seconds`");
    }
    if let Err(invalid) = config.words() {
        let field = if invalid.field == "languages" { "opt_out_languages" } else { invalid.field.as_str() };
        reader.refuse(&format!("contacts.{field}"), &invalid.message);
    }
    media(config, reader);
    watchers(config, reader);
    sandbox(config, reader);
}

/// The places that spans and errors are sent to.
fn watchers(config: &Config, reader: &mut Reader) {
    if let Some(url) = &config.traces.otlp_url
        && !reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none())
    {
        reader.refuse("traces.otlp_url", "must be the base URL of a collector like http://127.0.0.1:4318, without a query");
    }
    if let Some(headers) = &config.traces.headers
        && headers.0.split(',').any(|pair| !is_header(pair))
    {
        reader.refuse("traces.headers", "must be like `name=value`, several with a comma between them");
    }
    if let Some(dsn) = &config.sentry.dsn
        && dsn.0.parse::<sentry_types::Dsn>().is_err()
    {
        reader.refuse("sentry.dsn", "must be like https://key@host/project");
    }
}

/// Whether `name=value` can be a header of HTTP.
fn is_header(pair: &str) -> bool {
    let Some((name, value)) = pair.split_once('=') else { return false };
    name.trim().parse::<axum::http::HeaderName>().is_ok() && value.trim().parse::<axum::http::HeaderValue>().is_ok()
}

fn media(config: &Config, reader: &mut Reader) {
    let media = &config.media;
    let Some(url) = &media.storage_url else { return };
    let is_bucket = url.strip_prefix("s3://").is_some_and(|place| !place.is_empty() && !place.starts_with('/'));
    if !is_bucket && !url.strip_prefix("file://").is_some_and(|path| path.starts_with('/')) {
        reader.refuse("media.storage_url", "must be like file:///srv/media or s3://bucket/prefix");
    }
    if is_bucket && (media.s3_access_key_id.is_none() || media.s3_secret_access_key.is_none()) {
        reader.refuse("media.s3_access_key_id", "must be set together with `media.s3_secret_access_key` for a bucket");
    }
}

fn sandbox(config: &Config, reader: &mut Reader) {
    let sandbox = &config.sandbox;
    if sandbox.enabled && config.general.profile == Profile::Production {
        reader.refuse("sandbox.enabled", "the simulated network is not for the profile `production`");
    }
    for (path, address) in [("sandbox.listen", sandbox.listen), ("sandbox.tls_listen", sandbox.tls_listen)] {
        // Its control API has no login.
        if sandbox.enabled && !address.ip().is_loopback() {
            reader.refuse(path, "must be a loopback address: the sandbox's control API asks for no credentials");
        }
    }
    match (&sandbox.connect, &sandbox.connect_key) {
        (Some(_), _) if sandbox.enabled => {
            reader.refuse("sandbox.connect", "can't be used together with a sandbox in this process");
        }
        (Some(url), Some(_)) => {
            if loopback_url(url).is_none() {
                reader.refuse("sandbox.connect", "must be like ws://127.0.0.1:8090/ws/chat; only loopback addresses are allowed");
            }
        }
        (Some(_), None) => reader.refuse("sandbox.connect_key", "must name the key file of the sandbox that `sandbox.connect` points at"),
        (None, Some(_)) => reader.refuse("sandbox.connect", "must be set together with `sandbox.connect_key`"),
        (None, None) => {}
    }
}

/// The address of a sandbox in another process: `Some((host and port, path))` for a `ws://` URL with a literal
/// loopback address. Names are refused, since what they resolve to can change.
#[must_use]
pub fn loopback_url(url: &str) -> Option<(std::net::SocketAddr, String)> {
    let rest = url.strip_prefix("ws://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, "ws/chat"));
    let address: std::net::SocketAddr = authority.parse().ok()?;
    let loopback = match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback(),
    };
    loopback.then(|| (address, format!("/{path}")))
}

fn is_base_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    !rest.is_empty() && rest.chars().all(plain)
}
