//! Lists: what the address asks for, headings to sort by, and the way through the pages.
//!
//! An address is never refused: what can't be read counts as not asked. Links keep everything else that was asked.

use crate::app::App;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sanasend_store::{Listed, LongList, Ordering, Page};
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

/// Rows on a page of a list.
pub const PAGE_SIZE: u64 = 25;
/// The last page that is looked for.
const LAST_PAGE: u64 = 1_000_000;

/// What the address of a page asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    path: String,
    pairs: Vec<(String, String)>,
}

impl FromRequestParts<Arc<App>> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.path(), parts.uri.query().unwrap_or_default()))
    }
}

impl Asked {
    /// Reads a query.
    pub fn of(path: &str, query: &str) -> Self {
        Self { path: path.to_owned(), pairs: form_urlencoded::parse(query.as_bytes()).into_owned().collect() }
    }

    /// All of it again, as a query.
    pub fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.pairs).finish()
    }

    /// The value of a parameter, trimmed; empty without one.
    pub fn text(&self, name: &str) -> &str {
        self.pairs.iter().find(|(asked, _)| asked == name).map_or("", |(_, value)| value.trim())
    }

    /// The value of a parameter; `None` when nothing was entered.
    pub fn some(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The value of a parameter in another type; `None` when it can't be read.
    pub fn read<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name).parse().ok()
    }

    /// Whether a parameter has this value.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.text(name) == value
    }

    /// The page of the list.
    pub fn page(&self) -> Page {
        Page { page: self.read("page").filter(|page| (1..=LAST_PAGE).contains(page)).unwrap_or(1), page_size: PAGE_SIZE }
    }

    /// The order of the list.
    pub fn ordering<T: FromStr<Err = ()> + Default>(&self) -> Ordering<T> {
        self.text("ordering").parse().unwrap_or_default()
    }

    /// Whether anything but order and page is asked for.
    pub fn is_filtered(&self) -> bool {
        self.pairs.iter().any(|(name, value)| name != "page" && name != "ordering" && !value.trim().is_empty())
    }

    /// The same address with one parameter changed, from the first page on unless it is the page that is changed.
    pub fn with(&self, name: &str, value: &str) -> String {
        let kept = self.pairs.iter().filter(|(asked, text)| asked != name && asked != "page" && !text.is_empty());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept);
        let query = query.append_pair(name, value).finish();
        format!("{}?{query}", self.path)
    }

    /// A heading to sort by.
    pub fn heading(&self, label: &'static str, field: &'static str) -> Heading {
        let asked = self.text("ordering");
        let (name, descending) = asked.strip_prefix('-').map_or((asked, false), |name| (name, true));
        let sorted = (name == field).then_some(if descending { "descending" } else { "ascending" });
        let next = if sorted == Some("ascending") { format!("-{field}") } else { field.to_owned() };
        Heading { label, href: self.with("ordering", &next), sorted: sorted.unwrap_or_default() }
    }

    /// The way through the pages of a list that is counted exactly.
    pub fn pager<T>(&self, listed: &Listed<T>) -> Pager {
        self.pages(listed.count, true, listed.results.len())
    }

    /// The way through the pages of a list that grows for ever: as far as it is counted.
    pub fn long_pager<T>(&self, listed: &LongList<T>) -> Pager {
        self.pages(listed.count, listed.is_exact, listed.results.len())
    }

    fn pages(&self, count: u64, is_exact: bool, shown: usize) -> Pager {
        let page = self.page();
        let last = count.div_ceil(page.page_size).max(1);
        let link = |number: u64| self.with("page", &number.to_string());
        let shown = u64::try_from(shown).unwrap_or(u64::MAX);
        Pager {
            count,
            is_exact,
            first: if shown == 0 { 0 } else { page.offset() + 1 },
            end: page.offset() + shown,
            page: page.page,
            last,
            previous: (page.page > 1).then(|| link((page.page - 1).min(last))),
            next: (page.page < last).then(|| link(page.page + 1)),
        }
    }
}

/// The head of a column that sorts the list.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/heading.html")]
pub struct Heading {
    label: &'static str,
    href: String,
    /// `ascending`, `descending`, or empty.
    sorted: &'static str,
}

impl HtmlSafe for Heading {}

/// The way through the pages.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/pager.html")]
pub struct Pager {
    count: u64,
    is_exact: bool,
    first: u64,
    end: u64,
    page: u64,
    last: u64,
    previous: Option<String>,
    next: Option<String>,
}

impl HtmlSafe for Pager {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_what_was_asked_and_begin_anew() {
        let asked = Asked::of("/admin/users/", "search=a%26b&status=&page=3&ordering=-username");
        assert_eq!(asked.with("status", "active"), "/admin/users/?search=a%26b&ordering=-username&status=active");
        assert_eq!(asked.with("page", "4"), "/admin/users/?search=a%26b&ordering=-username&page=4");
        assert!(asked.is_filtered() && !Asked::of("/", "page=2&ordering=x&search=+").is_filtered());
    }

    #[test]
    fn a_heading_sorts_up_first_and_then_down() {
        let up = Asked::of("/", "ordering=username").heading("Name", "username").to_string();
        assert!(up.contains("aria-sort=\"ascending\"") && up.contains("ordering=-username"), "{up}");
        let none = Asked::of("/", "").heading("Name", "username").to_string();
        assert!(!none.contains("aria-sort") && none.contains("ordering=username"), "{none}");
    }

    #[test]
    fn a_page_behind_the_end_leads_back() {
        let asked = Asked::of("/", "page=9");
        let pager = asked.pager(&Listed::<()> { count: 30, results: Vec::new() });
        assert_eq!((pager.last, pager.previous.as_deref(), pager.next), (2, Some("/?page=2"), None));
        assert_eq!(Asked::of("/", "page=0").page().page, 1);
        assert_eq!(Asked::of("/", "page=x").page().page, 1);
    }
}
