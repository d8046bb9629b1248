//! The dashboard's cookies. Over HTTPS they carry the prefix `__Host-`: no other host, also not a neighbour under the
//! same domain, can set them, and they never travel in the clear. No script can read them.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Stands for a login.
pub const LOGIN: &str = "sanasend";
/// A message for the next page.
pub const FLASH: &str = "sanasend-flash";
/// Light or dark.
pub const THEME: &str = "sanasend-theme";

fn full_name(name: &str, https: bool) -> String {
    if https { format!("__Host-{name}") } else { name.to_owned() }
}

/// The value of a cookie that the browser sent.
pub fn read(headers: &HeaderMap, name: &str, https: bool) -> Option<String> {
    let name = full_name(name, https);
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}

/// Sets a cookie: until the browser is closed, or for `seconds`.
pub fn set(headers: &mut HeaderMap, name: &str, value: &str, https: bool, seconds: Option<u32>) {
    let name = full_name(name, https);
    let secure = if https { "; Secure" } else { "" };
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    if let Ok(line) = HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}")) {
        headers.append(header::SET_COOKIE, line);
    }
}

/// Has the browser forget a cookie.
pub fn drop(headers: &mut HeaderMap, name: &str, https: bool) {
    set(headers, name, "", https, Some(0));
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
    fn over_https_only_cookies_that_no_neighbour_can_set_are_read() {
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
