//! The preview of a link in a text: given by the caller, or read from the page by the guarded way out.
//!
//! A page is a stranger's: little of it is read, for a short time, and whatever goes wrong only leaves the preview out.

use crate::app::App;
use crate::egress::FetchLimits;
use crate::http::{ApiError, Caller};
use futures::StreamExt as _;
use reqwest::header::CONTENT_TYPE;
use sanasend_model::{Content, FieldErrors, LinkPreview};
use serde::Deserialize;
use std::time::Duration;
use utoipa::ToSchema;

/// What is read of a page: its head is at the beginning.
const MOST_BYTES: usize = 256 * 1024;
/// Longest time for it; the sender waits meanwhile.
const LIMITS: FetchLimits = FetchLimits { max_bytes: 16 << 20, timeout: Duration::from_secs(4), redirects: 3 };
/// Longest title and description that are shown.
const MOST_CHARS: usize = 300;

/// Whether a text is sent with a preview of its link, and which.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be true, false, or an object with url, title and description")]
pub(crate) enum WantedLinkPreview {
    /// `true`: the page behind the first link is asked for its title and description now, by the same guard as `media_url`;
    /// when that brings nothing, the text goes without a preview.
    Fetch(bool),
    /// This one.
    Given(GivenLinkPreview),
}

/// A preview of one's own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenLinkPreview {
    /// The link, as it stands in `content`.
    #[schema(example = "https://example.com/orders/17")]
    pub(crate) url: String,
    /// The title that is shown.
    #[schema(example = "Order 17")]
    pub(crate) title: String,
    /// A few words below it.
    #[serde(default)]
    #[schema(example = "Ready to be picked up.")]
    pub(crate) description: Option<String>,
}

/// Checks a preview that was given with the text; nothing is fetched yet.
pub(crate) fn check(text: &str, wanted: Option<WantedLinkPreview>, errors: &mut FieldErrors) -> Option<Wanted> {
    match wanted? {
        WantedLinkPreview::Fetch(false) => None,
        WantedLinkPreview::Fetch(true) => Some(Wanted::Fetch),
        WantedLinkPreview::Given(GivenLinkPreview { url, title, description }) => match LinkPreview::new(text, url, title, description) {
            Ok(preview) => Some(Wanted::Given(preview)),
            Err(refused) => {
                errors.0.extend(refused.0);
                None
            }
        },
    }
}

/// A preview that was checked.
pub(crate) enum Wanted {
    Fetch,
    Given(LinkPreview),
}

/// Puts the preview into the text. No page is asked for a message that would be refused.
///
/// # Errors
/// When a limit of messages is reached.
pub(crate) async fn put(app: &App, caller: &Caller, content: Content, wanted: Wanted) -> Result<Content, ApiError> {
    let Content::Text { body, .. } = content else { return Ok(content) };
    let preview = match wanted {
        Wanted::Given(preview) => Some(preview),
        Wanted::Fetch => {
            caller.look_for_room(app).await?;
            fetch(app, caller, &body).await
        }
    };
    Ok(Content::Text { body, preview: preview.map(Box::new) })
}

/// Reads the page behind the first link of a text.
async fn fetch(app: &App, caller: &Caller, text: &str) -> Option<LinkPreview> {
    let link = LinkPreview::first_link(text)?;
    let url = app.egress.check(link).ok()?;
    let page = tokio::time::timeout(LIMITS.timeout, async {
        let fetched = app.egress.of(caller.id()).get(url, LIMITS).await.ok()?;
        let kind = fetched.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !fetched.status.is_success() || !kind.trim_start().to_ascii_lowercase().starts_with("text/html") {
            return None;
        }
        let (mut body, mut bytes) = (fetched.body, Vec::<u8>::new());
        while let Some(Ok(chunk)) = body.next().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() >= MOST_BYTES {
                break;
            }
        }
        bytes.truncate(MOST_BYTES);
        Some(String::from_utf8_lossy(&bytes).into_owned())
    });
    let page = page.await.ok().flatten()?;
    let (title, description) = head_of(&page);
    LinkPreview::new(text, link.to_owned(), title?, description).ok()
}

/// Title and description of a page.
fn head_of(page: &str) -> (Option<String>, Option<String>) {
    let (mut title, mut og_title, mut description, mut og_description) = (None, None, None, None);
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = rest.split_at(at + 1).1;
        let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        if name == "body" {
            break;
        }
        let Some(end) = end_of_tag(rest) else { break };
        let (tag, after) = rest.split_at(end);
        match name.as_str() {
            "title" if title.is_none() => {
                let inside = after.strip_prefix('>').unwrap_or(after);
                title = shown(inside.split('<').next().unwrap_or_default());
            }
            "meta" => {
                let attributes = attributes(tag);
                let value = |name: &str| attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
                let content = value("content").and_then(shown);
                match value("property").or_else(|| value("name")).map(str::to_ascii_lowercase).as_deref() {
                    Some("og:title") => og_title = og_title.or(content),
                    Some("og:description") => og_description = og_description.or(content),
                    Some("description") => description = description.or(content),
                    _ => {}
                }
            }
            _ => {}
        }
        rest = after;
    }
    (og_title.or(title), og_description.or(description))
}

/// Where a tag ends: at the `>` outside of quotes.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    text.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        None
    })
}

/// The attributes of a tag, names in lower case.
fn attributes(tag: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = tag;
    while let Some((before, after)) = rest.split_once('=') {
        let name = before.split_ascii_whitespace().next_back().unwrap_or_default().to_ascii_lowercase();
        let after = after.trim_start();
        let (value, next) = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inside = after.split_at(1).1;
                inside.split_once(quote).unwrap_or((inside, ""))
            }
            _ => after.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((after, "")),
        };
        found.push((name, value.to_owned()));
        rest = next;
    }
    found
}

/// A text of a page in one line of bounded length; `None` when nothing is left.
fn shown(text: &str) -> Option<String> {
    let plain = unescaped(text);
    let words: Vec<&str> = plain.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let line: String = words.join(" ").chars().take(MOST_CHARS).collect();
    Some(line).filter(|line| !line.is_empty())
}

/// A text without the escapes that pages commonly have.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let known = after.split_once(';').filter(|(name, _)| name.len() <= 8).and_then(|(name, next)| Some((entity(name)?, next)));
        let (c, next) = known.unwrap_or(('&', after));
        out.push(c);
        rest = next;
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        other => {
            let digits = other.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_words_for_previews_come_before_the_title() {
        let page = r#"<!doctype html><html><head><TITLE>Shop &amp; more</TITLE>
            <meta name="description" content='About "it"'><meta content="Order &#8211; 17" property="og:title"/></head>
            <body><meta property="og:description" content="not this"></body>"#;
        assert_eq!(head_of(page), (Some("Order – 17".into()), Some("About \"it\"".into())));
        assert_eq!(head_of("<title>\n Just\ta title </title>"), (Some("Just a title".into()), None));
        assert_eq!(head_of("no page at all"), (None, None));
    }

    #[test]
    fn what_is_given_is_checked_against_the_text() {
        let mut errors = FieldErrors::default();
        let given = |url: &str| GivenLinkPreview { url: url.into(), title: "T".into(), description: None };
        let text = "see https://example.com/";
        assert!(check(text, Some(WantedLinkPreview::Given(given("https://example.com/"))), &mut errors).is_some());
        assert!(check(text, Some(WantedLinkPreview::Fetch(false)), &mut errors).is_none() && errors.0.is_empty());
        assert!(check(text, Some(WantedLinkPreview::Given(given("https://example.org/"))), &mut errors).is_none());
        assert_eq!(errors.0.into_keys().collect::<Vec<_>>(), ["link_preview.url"]);
    }

    proptest! {
        #[test]
        fn no_page_breaks_the_reader(page in "(<|>|\"|'|=|&|;|#|meta|title|content|property|og:title|\\PC){0,80}") {
            let (title, description) = head_of(&page);
            for text in [title, description].into_iter().flatten() {
                prop_assert!(!text.is_empty() && text.chars().count() <= MOST_CHARS && !text.chars().any(char::is_control));
            }
        }
    }
}
