//! The dashboard's cookies. Secure ones carry the prefix `__Host-`: no other host, also not a neighbour under the
//! same domain, can set them, and they never travel in the clear. No script can read them.
//!
//! They are secure wherever people are meant to come by HTTPS, not only where this server can see that they did: a proxy that
//! nobody listed in `trusted_proxies` can't say so, and a login must not travel in the clear because of that. Browsers take
//! secure cookies from `http://localhost` too, but not by plain HTTP from elsewhere; there the profile `development` without an
//! https `public_url` is what works.

use crate::config::Config;
use crate::config::kinds::Profile;
use crate::http::Exchange;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Stands for a login.
pub const LOGIN: &str = "sanasend";
/// A message for the next page.
pub const FLASH: &str = "sanasend-flash";
/// Light or dark.
pub const THEME: &str = "sanasend-theme";

/// Whether the cookies of a request are secure ones.
pub fn are_secure(config: &Config, exchange: &Exchange) -> bool {
    let public = config.general.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    exchange.https() || public || config.general.profile == Profile::Production
}

fn full_name(name: &str, secure: bool) -> String {
    if secure { format!("__Host-{name}") } else { name.to_owned() }
}

/// The value of a cookie that the browser sent.
pub fn read(headers: &HeaderMap, name: &str, secure: bool) -> Option<String> {
    let name = full_name(name, secure);
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}

/// Sets a cookie: until the browser is closed, or for `seconds`.
pub fn set(headers: &mut HeaderMap, name: &str, value: &str, secure: bool, seconds: Option<u32>) {
    let name = full_name(name, secure);
    let secure = if secure { "; Secure" } else { "" };
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    if let Ok(line) = HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}")) {
        headers.append(header::SET_COOKIE, line);
    }
}

/// Has the browser forget a cookie.
pub fn drop(headers: &mut HeaderMap, name: &str, secure: bool) {
    set(headers, name, "", secure, Some(0));
}

/// Any text as the value of a cookie.
pub fn pack(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// The text in the value of a cookie.
pub fn unpack(value: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_cookies_are_secure_only_those_that_no_neighbour_can_set_are_read() {
        let mut sent = HeaderMap::new();
        sent.append(header::COOKIE, HeaderValue::from_static("other=1; sanasend=plain"));
        sent.append(header::COOKIE, HeaderValue::from_static("__Host-sanasend=guarded"));
        assert_eq!(read(&sent, LOGIN, true).as_deref(), Some("guarded"));
        assert_eq!(read(&sent, LOGIN, false).as_deref(), Some("plain"));
        assert_eq!(read(&sent, FLASH, false), None);
        let mut answered = HeaderMap::new();
        set(&mut answered, LOGIN, "x", true, None);
        assert_eq!(answered[header::SET_COOKIE], "__Host-sanasend=x; Path=/; HttpOnly; SameSite=Lax; Secure");
    }

    #[test]
    fn any_text_survives_a_cookie() {
        let text = "Gesperrt: \"anna\"; \r\n=<b>";
        assert_eq!(unpack(&pack(text)).as_deref(), Some(text));
        assert_eq!(unpack("\u{fffd}"), None);
    }
}
