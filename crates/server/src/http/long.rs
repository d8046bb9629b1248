//! Pages of lists that grow for ever: counted up to a bound, and with a cursor that goes on where pages end.
//!
//! Apart from `page`, whose lists are counted exactly. `next` leads from the last page that is counted on to the cursor,
//! so that whoever follows it reaches everything.

use super::error::ApiError;
use super::middleware::Origin;
use sanasend_store::{COUNTED, Cursor, Page};
use serde::Serialize;
use std::fmt::Display;
use std::str::FromStr;
use utoipa::ToSchema;

/// One page of a long list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LongPage<T> {
    /// How many there are on all pages, counted up to 10,000; null when a cursor was used.
    #[schema(example = 1)]
    count: Option<u64>,
    /// Whether there are not more than `count`; null when a cursor was used.
    #[schema(example = true)]
    count_is_exact: Option<bool>,
    /// Full URL of the next page.
    next: Option<String>,
    /// Full URL of the page before.
    previous: Option<String>,
    /// What to send as `cursor` to go on behind this page; null at the end.
    next_cursor: Option<String>,
    /// This page's entries.
    results: Vec<T>,
}

/// Checks what a caller asked for.
///
/// # Errors
/// `VALIDATION_ERROR` on `page` or `page_size`.
pub fn page(number: Option<u64>, size: Option<u64>) -> Result<Page, ApiError> {
    let page = super::page(number, size)?;
    if page.offset() >= COUNTED {
        let last = COUNTED.div_ceil(page.page_size);
        return Err(ApiError::field("page", format!("pages of this list end at {last}; follow `next`, or use `cursor` to go further")));
    }
    Ok(page)
}

/// Reads `?cursor=`; empty is the start of the list.
///
/// # Errors
/// `VALIDATION_ERROR` on `cursor`.
pub fn cursor(text: &str) -> Result<Option<Cursor>, ApiError> {
    cursor_of(text)
}

/// The same for lists whose cursors are of another kind.
///
/// # Errors
/// `VALIDATION_ERROR` on `cursor`.
pub fn cursor_of<C: FromStr>(text: &str) -> Result<Option<C>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| ApiError::field("cursor", "must be a `next_cursor` of an earlier answer, or empty"))
}

impl<T> LongPage<T> {
    /// A page by its number. `count` is how many there are, and whether there are not more.
    pub fn of(results: Vec<T>, count: (u64, bool), next: Option<impl Display>, page: &Page, origin: &Origin) -> Self {
        let (count, is_exact) = count;
        let seen = page.offset() + page.page_size;
        let more = count > seen || !is_exact;
        let next_cursor = next.filter(|_| more).map(|cursor| cursor.to_string());
        let next = match &next_cursor {
            _ if count > seen && seen < COUNTED => Some(origin.with_param("page", &(page.page + 1).to_string())),
            Some(cursor) => Some(origin.without_param("page").with_param("cursor", cursor)),
            None => None,
        };
        let previous = (page.page > 1).then(|| {
            let last = count.div_ceil(page.page_size).max(1);
            origin.with_param("page", &(page.page - 1).min(last).to_string())
        });
        Self { count: Some(count), count_is_exact: Some(is_exact), next, previous, next_cursor, results }
    }

    /// What follows a cursor.
    pub fn behind_cursor(results: Vec<T>, next: Option<impl Display>, origin: &Origin) -> Self {
        let next_cursor = next.map(|cursor| cursor.to_string());
        let next = next_cursor.as_deref().map(|cursor| origin.with_param("cursor", cursor));
        Self { count: None, count_is_exact: None, next, previous: None, next_cursor, results }
    }
}
