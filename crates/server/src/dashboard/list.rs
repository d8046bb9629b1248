//! Lists: what the address asks for, headings to sort by, and the way through the pages.
//!
//! A filter that can't be read is refused: left out it would show more than was asked for. An order or a page that can't be
//! read is the first one. Links keep everything else that was asked.

use super::form::Form;
use crate::app::App;
use crate::http::ApiError;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sanasend_store::{COUNTED, Cursor, Listed, LongList, Ordering, Page, StoreError};
use std::convert::Infallible;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

/// Rows on a page of a list.
pub const PAGE_SIZE: u64 = 25;
/// The last page that is looked for.
const LAST_PAGE: u64 = 1_000_000;

/// How many rows of a list that grows for ever are counted, in words.
const LAST_COUNTED: &str = "10\u{202f}000";

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

    /// All of it at another address.
    pub fn at(&self, path: &str) -> String {
        if self.pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", self.query()) }
    }

    /// The value of a parameter, trimmed; empty without one.
    pub fn text(&self, name: &str) -> &str {
        self.pairs.iter().find(|(asked, _)| asked == name).map_or("", |(_, value)| value.trim())
    }

    /// The value of a parameter; `None` when nothing was entered.
    pub fn some(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The value of a parameter in another type; `None` when nothing was entered.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` on the parameter when it can't be read.
    pub fn read<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.read_by(name, |text| text.parse().ok())
    }

    /// The same by a rule of its own.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` on the parameter when it can't be read.
    pub fn read_by<T>(&self, name: &str, rule: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ApiError> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(None);
        }
        rule(text).map(Some).ok_or_else(|| ApiError::field(name, "can't be read: correct it or leave it out"))
    }

    /// The value of a parameter that is one of some; empty when nothing was entered.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` on the parameter when it is none of them.
    pub fn one_of(&self, name: &str, options: &[(&str, &str)]) -> Result<&str, ApiError> {
        let text = self.text(name);
        let is_known = text.is_empty() || options.iter().any(|(option, _)| *option == text);
        if is_known { Ok(text) } else { Err(ApiError::field(name, "can't be read: correct it or leave it out")) }
    }

    /// Whether a parameter has this value.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.text(name) == value
    }

    /// These parameters as the form above the list: what was asked stays in it.
    pub fn kept<const N: usize>(&self, names: [&str; N]) -> Form {
        Form::of(names.map(|name| (name, self.text(name).to_owned())))
    }

    /// The page of the list.
    pub fn page(&self) -> Page {
        Page { page: self.text("page").parse().ok().filter(|page| (1..=LAST_PAGE).contains(page)).unwrap_or(1), page_size: PAGE_SIZE }
    }

    /// The page of a list that grows for ever: one that is counted. What is behind those is reached by a cursor.
    fn long_page(&self) -> Page {
        let page = self.page();
        Page { page: page.page.min(COUNTED / PAGE_SIZE), ..page }
    }

    /// The order of the list.
    pub fn ordering<T: FromStr<Err = ()> + Default>(&self) -> Ordering<T> {
        self.text("ordering").parse().unwrap_or_default()
    }

    /// Whether anything but order and page is asked for.
    pub fn is_filtered(&self) -> bool {
        self.pairs.iter().any(|(name, value)| !["page", "ordering", "after"].contains(&name.as_str()) && !value.trim().is_empty())
    }

    /// Whether nothing in the list may be for another reason than that there is nothing: a filter, or a page behind its end.
    pub fn is_narrowed(&self) -> bool {
        self.is_filtered() || self.page().page > 1 || !self.text("after").is_empty()
    }

    /// The same address with one parameter changed, from the first page on unless it is the page that is changed.
    pub fn with(&self, name: &str, value: &str) -> String {
        let is_kept = |asked: &str| asked != name && asked != "page" && asked != "after";
        let kept = self.pairs.iter().filter(|(asked, text)| is_kept(asked) && !text.is_empty());
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

    /// Where nothing is shown because the filter was refused.
    pub fn no_pages(&self) -> Pager {
        self.pages(Page { page: 1, page_size: PAGE_SIZE }, 0, 0)
    }

    /// The way through the pages of a list that is counted exactly.
    pub fn pager<T>(&self, listed: &Listed<T>) -> Pager {
        self.pages(self.page(), listed.count, listed.results.len())
    }

    /// A page of a list that grows for ever: by its number while rows are counted, else what follows a cursor. What is
    /// found by looking at each row is better not counted: that would look at everything twice.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn long_list<T, C, P, S>(
        &self,
        is_counted: bool,
        paged: impl FnOnce(Page) -> P,
        following: impl FnOnce(Option<C>) -> S,
    ) -> Result<(Vec<T>, Pager), StoreError>
    where
        C: FromStr + Display,
        P: Future<Output = Result<(LongList<T>, Option<C>), StoreError>>,
        S: Future<Output = Result<(Vec<T>, Option<C>), StoreError>>,
    {
        let after = self.text("after").parse().ok();
        if after.is_none() && is_counted {
            let (listed, next) = paged(self.long_page()).await?;
            let pager = self.long_pager((listed.count, listed.is_exact), listed.results.len(), next);
            return Ok((listed.results, pager));
        }
        self.behind(is_counted, after, following).await
    }

    /// A page of a list that is never counted.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn uncounted<T, C, S>(&self, following: impl FnOnce(Option<C>) -> S) -> Result<(Vec<T>, Pager), StoreError>
    where
        C: FromStr + Display,
        S: Future<Output = Result<(Vec<T>, Option<C>), StoreError>>,
    {
        self.behind(false, self.text("after").parse().ok(), following).await
    }

    async fn behind<T, C, S>(
        &self,
        is_counted: bool,
        after: Option<C>,
        following: impl FnOnce(Option<C>) -> S,
    ) -> Result<(Vec<T>, Pager), StoreError>
    where
        C: Display,
        S: Future<Output = Result<(Vec<T>, Option<C>), StoreError>>,
    {
        let is_first = after.is_none();
        let (found, next) = following(after).await?;
        let pager = self.far_pager(is_counted, is_first, found.len(), next);
        Ok((found, pager))
    }

    /// The way through the pages of a list that grows for ever: as far as it is counted, and from there on by cursor.
    fn long_pager(&self, (count, is_exact): (u64, bool), shown: usize, next: Option<impl Display>) -> Pager {
        let pager = self.pages(self.long_page(), count, shown);
        let further = next.filter(|_| !is_exact).map(|cursor| self.with("after", &cursor.to_string()));
        Pager { is_exact, next: pager.next.or(further), ..pager }
    }

    /// The way on where nothing is counted: behind the pages that are, and through what a search finds.
    fn far_pager(&self, is_counted: bool, is_first: bool, shown: usize, next: Option<impl Display>) -> Pager {
        let pager = self.pages(Page { page: 1, page_size: PAGE_SIZE }, 0, shown);
        let is_full = u64::try_from(shown).is_ok_and(|shown| shown == PAGE_SIZE);
        let words = match (is_counted, is_first, next.is_some()) {
            (true, ..) => format!("{shown} more, behind the {LAST_COUNTED} that are counted"),
            (false, _, true) if !is_full => format!("{shown} found so far; Next looks further back"),
            (false, true, true) => format!("The newest {shown} that fit"),
            (false, true, false) => format!("{shown} found"),
            (false, false, _) => format!("{shown} more that fit"),
        };
        let next = next.map(|cursor| self.with("after", &cursor.to_string()));
        Pager { words, previous: (!is_first).then(|| self.with("page", "1")), next, ..pager }
    }

    fn pages(&self, page: Page, count: u64, shown: usize) -> Pager {
        let last = count.div_ceil(page.page_size).max(1);
        let link = |number: u64| self.with("page", &number.to_string());
        let shown = u64::try_from(shown).unwrap_or(u64::MAX);
        Pager {
            count,
            is_exact: true,
            words: String::new(),
            first: if shown == 0 { 0 } else { page.offset() + 1 },
            end: page.offset() + shown,
            page: page.page,
            last,
            previous: (page.page > 1).then(|| link((page.page - 1).min(last))),
            next: (page.page < last).then(|| link(page.page + 1)),
        }
    }
}

/// A list with the place behind it, as [`Asked::long_list`] takes it.
pub fn with_next<T>(listed: LongList<T>) -> (LongList<T>, Option<Cursor>) {
    let next = listed.next;
    (listed, next)
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
    /// What is said instead of numbers, where nothing is counted.
    words: String,
    first: u64,
    end: u64,
    page: u64,
    last: u64,
    previous: Option<String>,
    next: Option<String>,
}

impl HtmlSafe for Pager {}

impl Pager {
    /// Whether there is anything to tell: rows, or a way to others.
    pub const fn is_shown(&self) -> bool {
        self.first > 0 || self.previous.is_some() || self.next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_what_was_asked_and_begin_anew() {
        let asked = Asked::of("/admin/users/", "search=a%26b&status=&page=3&ordering=-username");
        assert_eq!(asked.with("status", "active"), "/admin/users/?search=a%26b&ordering=-username&status=active");
        assert_eq!(asked.with("page", "4"), "/admin/users/?search=a%26b&ordering=-username&page=4");
        assert_eq!(asked.at("/other/"), "/other/?search=a%26b&status=&page=3&ordering=-username");
        assert_eq!(Asked::of("/", "").at("/other/"), "/other/");
        assert!(Asked::of("/", "page=2").is_narrowed() && !Asked::of("/", "page=1&ordering=x").is_narrowed());
        assert!(asked.is_filtered() && !Asked::of("/", "page=2&ordering=x&search=+").is_filtered());
    }

    #[test]
    fn a_filter_is_read_or_refused_and_never_dropped() {
        let asked = Asked::of("/", "status=200&user=typo&state=+&kind=big");
        assert_eq!(asked.read::<u16>("status").ok(), Some(Some(200)));
        assert_eq!((asked.read::<u16>("state").ok(), asked.read::<u16>("other").ok()), (Some(None), Some(None)));
        let refused = asked.read::<u16>("user").expect_err("no number");
        assert!(refused.errors.0.contains_key("user"), "{refused:?}");
        let options = [("", "Any"), ("small", "Small")];
        assert_eq!(asked.one_of("state", &options).ok(), Some(""));
        assert!(asked.one_of("kind", &options).expect_err("none of them").errors.0.contains_key("kind"));
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
        let long = |asked: &Asked| asked.long_pager((COUNTED, false), 25, Some("a-b")).next;
        assert_eq!(long(&asked).as_deref(), Some("/?page=10"));
        let last = Asked::of("/", "page=900&search=x");
        assert_eq!((last.long_page().page, long(&last).as_deref()), (400, Some("/?search=x&after=a-b")));
        let far = Asked::of("/", "after=a-b&search=x").far_pager(false, false, 25, Some("a-c"));
        assert_eq!((far.previous.as_deref(), far.next.as_deref()), (Some("/?search=x&page=1"), Some("/?search=x&after=a-c")));
        assert_eq!(far.words, "25 more that fit");
        assert_eq!(Asked::of("/", "search=x").far_pager(false, true, 3, None::<&str>).words, "3 found");
        assert!(Asked::of("/", "").far_pager(false, true, 0, Some("a")).words.starts_with("0 found so far"));
        assert_eq!(Asked::of("/", "page=0").page().page, 1);
        assert_eq!(Asked::of("/", "page=x").page().page, 1);
    }
}
