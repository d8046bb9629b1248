//! The files of the pages: one style sheet, one script, one picture, compiled in. Their names hold a digest of what is in
//! them, so that browsers may keep them for ever and never keep an old one.

use super::trouble::Trouble;
use crate::http::ApiError;
use axum::extract::Path;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The parts of the style sheet, in their order.
const STYLES: &[&str] = &[
    include_str!("assets/base.css"),
    include_str!("assets/frame.css"),
    include_str!("assets/parts.css"),
    include_str!("assets/forms.css"),
    include_str!("assets/lists.css"),
    include_str!("assets/charts.css"),
    include_str!("assets/rooms.css"),
    include_str!("assets/phones.css"),
];
/// The parts of the script, each a block of its own.
const SCRIPTS: &[&str] = &[
    include_str!("assets/dialog.js"),
    include_str!("assets/live.js"),
    include_str!("assets/lists.js"),
    include_str!("assets/countdown.js"),
    include_str!("assets/phones.js"),
    include_str!("assets/import.js"),
    include_str!("assets/preview.js"),
];
const ICON: &str = include_str!("assets/icon.svg");

/// A file and where it is.
struct File {
    path: String,
    kind: &'static str,
    text: String,
}

static CSS: LazyLock<File> = LazyLock::new(|| File::new("app", "css", "text/css; charset=utf-8", STYLES));
static JS: LazyLock<File> = LazyLock::new(|| File::new("app", "js", "text/javascript; charset=utf-8", SCRIPTS));
static PICTURE: LazyLock<File> = LazyLock::new(|| File::new("icon", "svg", "image/svg+xml", &[ICON]));

impl File {
    fn new(name: &str, end: &str, kind: &'static str, parts: &[&str]) -> Self {
        let text = parts.concat();
        let digest = hex::encode(&Sha256::digest(text.as_bytes())[..8]);
        Self { path: format!("/admin/assets/{name}.{digest}.{end}"), kind, text }
    }
}

/// Path of the style sheet.
pub fn css() -> &'static str {
    &CSS.path
}

/// Path of the script.
pub fn js() -> &'static str {
    &JS.path
}

/// Path of the picture.
pub fn icon() -> &'static str {
    &PICTURE.path
}

/// Serves one of them.
pub async fn serve(Path(name): Path<String>) -> Result<Response, Trouble> {
    let files: [&'static File; 3] = [&CSS, &JS, &PICTURE];
    let file = files.into_iter().find(|file| file.path.rsplit('/').next() == Some(name.as_str())).ok_or_else(ApiError::not_found)?;
    let same_origin = HeaderName::from_static("cross-origin-resource-policy");
    let kept = (header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    Ok(([(header::CONTENT_TYPE, file.kind), kept, (same_origin, "same-origin")], file.text.as_str()).into_response())
}
