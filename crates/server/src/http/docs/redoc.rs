//! ReDoc's script, out of the page that `aide` makes: there it stands inline, which our policy does not allow.

use bytes::Bytes;
use std::sync::OnceLock;

/// A picture that the script would fetch from its maker's host, and an empty one in its place.
const LOGO: &str = "https://cdn.redoc.ly/redoc/logo-mini.svg";
const NO_LOGO: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E";

/// The script, cut out at the first request and kept.
pub(super) fn bundle() -> Option<Bytes> {
    static BUNDLE: OnceLock<Option<Bytes>> = OnceLock::new();
    BUNDLE.get_or_init(|| cut(&aide::redoc::Redoc::new("/api/schema/").html())).clone()
}

/// What stands between the first `<script>` and the last call that starts it.
fn cut(html: &str) -> Option<Bytes> {
    let (_, from_script) = html.split_once("<script>")?;
    let (script, _) = from_script.rsplit_once("Redoc.init(")?;
    Some(script.trim().replace(LOGO, NO_LOGO).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_whole_and_starts_nothing_by_itself() {
        let script = bundle().expect("the page of aide holds the script");
        let script = std::str::from_utf8(&script).expect("text");
        assert!(script.len() > 500_000, "{} bytes", script.len());
        assert!(script.starts_with("/*! For license information"), "{}", &script[..60]);
        assert!(script.contains("exports.Redoc=") && !script.contains("Redoc.init(") && !script.contains("</script>"));
        assert!(!script.contains("cdn.redoc.ly"), "it would ask another host");
    }

    #[test]
    fn a_page_of_another_shape_gives_no_script() {
        assert!(cut("<html><script src='x'></script></html>").is_none());
    }
}
