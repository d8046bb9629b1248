//! Lists as CSV, for spreadsheets: streamed, so that any length needs little memory.
//!
//! What people typed comes along, and a spreadsheet takes a cell that begins with `=` for a formula: such cells get a
//! quote in front.

use super::error::ApiError;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use sanasend_store::StoreError;
use std::borrow::Cow;

/// Whether the caller wants CSV: by `?format=csv`, else by `Accept: text/csv`.
///
/// # Errors
/// `VALIDATION_ERROR` on `format`.
pub fn is_wanted(format: Option<&str>, headers: &HeaderMap) -> Result<bool, ApiError> {
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.trim_start().to_ascii_lowercase().starts_with("text/csv"));
    match format {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        None => Ok(headers.get_all(header::ACCEPT).iter().any(accepts)),
        Some(_) => Err(ApiError::field("format", "must be json or csv")),
    }
}

/// An answer that is saved under `name`. A stream that fails breaks the connection off: half a file must not look whole.
pub fn answer(name: &str, rows: impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static) -> Response {
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}.csv\""));
    let mut response = Body::from_stream(rows).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    if let Ok(disposition) = disposition {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// Rows as text.
pub fn lines<'a, const N: usize>(rows: impl IntoIterator<Item = [Cow<'a, str>; N]>) -> Bytes {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        // Writing rows of one length into memory has no way to fail.
        let _ = writer.write_record(row.iter().map(|cell| safe(cell).into_owned()));
    }
    writer.into_inner().unwrap_or_default().into()
}

/// Rows of any length as text.
pub fn table(rows: impl IntoIterator<Item = Vec<String>>) -> Bytes {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for row in rows {
        // Writing into memory has no way to fail.
        let _ = writer.write_record(row.iter().map(|cell| safe(cell).into_owned()));
    }
    writer.into_inner().unwrap_or_default().into()
}

/// A cell that no spreadsheet takes for a formula.
fn safe(cell: &str) -> Cow<'_, str> {
    match cell.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n') => Cow::Owned(format!("'{cell}")),
        _ => Cow::Borrowed(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_every_cell_is_one_cell() {
        let cells = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a=1", "", "a,\"b\"\nc"].map(Cow::Borrowed);
        let text = String::from_utf8(lines([cells]).to_vec()).expect("text");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let row = reader.records().next().expect("a row").expect("sound");
        let read: Vec<&str> = row.iter().collect();
        assert_eq!(read, ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "'\r=1", "a=1", "", "a,\"b\"\nc"]);
    }

    #[test]
    fn csv_is_asked_for_by_parameter_or_header() {
        let with = |accept: &'static str| HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        assert!(is_wanted(Some("csv"), &HeaderMap::new()).expect("known"));
        assert!(is_wanted(None, &with("text/csv")).expect("known"));
        assert!(!is_wanted(Some("json"), &with("text/csv")).expect("known"));
        assert!(!is_wanted(None, &with("application/json")).expect("known"));
        assert!(is_wanted(Some("xml"), &HeaderMap::new()).is_err());
    }
}
