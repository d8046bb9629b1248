//! Pages of lists: `?page=1&page_size=20` in, `{"count", "next", "previous", "results"}` out.
//!
//! `next` and `previous` are full URLs, built from the configured public URL, else from the address that the
//! caller used, with every other parameter of the request kept.

use super::error::ApiError;
use super::middleware::Origin;
use sanasend_model::{FieldErrors, Invalid};
use sanasend_store::{Listed, Ordering, Page};
use serde::Serialize;
use std::str::FromStr;
use utoipa::ToSchema;

/// Results per page when the caller asks for none.
pub const DEFAULT_PAGE_SIZE: u64 = 20;
/// Most results per page.
pub const MAX_PAGE_SIZE: u64 = 100;
/// Last page that can be asked for: keeps offsets within what a database counts.
pub const MAX_PAGE: u64 = 1_000_000_000;

/// One page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Paged<T> {
    /// How many there are on all pages.
    #[schema(example = 1)]
    pub count: u64,
    /// Full URL of the next page.
    #[schema(nullable = true)]
    pub next: Option<String>,
    /// Full URL of the page before.
    #[schema(nullable = true)]
    pub previous: Option<String>,
    /// This page's entries.
    pub results: Vec<T>,
}

/// Checks what a caller asked for.
///
/// # Errors
/// `VALIDATION_ERROR` on `page` or `page_size`.
pub fn page(number: Option<u64>, size: Option<u64>) -> Result<Page, ApiError> {
    let mut errors = FieldErrors::default();
    let number = number.unwrap_or(1);
    let size = size.unwrap_or(DEFAULT_PAGE_SIZE);
    if !(1..=MAX_PAGE).contains(&number) {
        errors.push(Invalid::new("page", format!("must be from 1 to {MAX_PAGE}")));
    }
    if !(1..=MAX_PAGE_SIZE).contains(&size) {
        errors.push(Invalid::new("page_size", format!("must be from 1 to {MAX_PAGE_SIZE}")));
    }
    errors.into_result()?;
    Ok(Page { page: number, page_size: size })
}

/// Reads `?ordering=`: one of `names`, with `-` in front for the reverse. Left out: newest first.
///
/// # Errors
/// `VALIDATION_ERROR` on `ordering` that lists the names.
pub fn ordering<T: FromStr<Err = ()> + Default>(asked: Option<&str>, names: &[&str]) -> Result<Ordering<T>, ApiError> {
    let Some(text) = asked else { return Ok(Ordering::default()) };
    text.parse().map_err(|()| ApiError::field("ordering", format!("must be one of {}, with - in front for the reverse", names.join(", "))))
}

/// Dresses a page of the store for the caller; `view` makes one entry of the answer from one of the store.
pub fn paged<S, T>(listed: Listed<S>, page: &Page, origin: &Origin, view: impl FnMut(S) -> T) -> Paged<T> {
    let last = listed.count.div_ceil(page.page_size).max(1);
    Paged {
        count: listed.count,
        next: (page.page < last).then(|| origin.with_param("page", &(page.page + 1).to_string())),
        previous: (page.page > 1).then(|| origin.with_param("page", &(page.page - 1).min(last).to_string())),
        results: listed.results.into_iter().map(view).collect(),
    }
}
