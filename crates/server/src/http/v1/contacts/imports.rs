//! How imports get on: how far they are, which lines were refused, and ending one.

use super::import::FaultView;
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Origin, Paged, Path, Query, Success, audit, csv, page, paged};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use sanasend_model::{ImportId, Timestamp, UserId};
use sanasend_store::{Import, Page, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::borrow::Cow;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Faults that are read at once.
const READ_AT_ONCE: u64 = 1000;

/// An import.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Import")]
pub(crate) struct ImportView {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: ImportId,
    /// Whose it is.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) user: UserId,
    /// What the file holds: `contacts` or `opt_outs`.
    #[schema(example = "contacts")]
    pub(crate) kind: &'static str,
    /// `receiving` (the file is being handed in), `running`, `done`, `broken` (it ended early) or `canceled`; what was read
    /// before is in.
    #[schema(example = "running")]
    pub(crate) state: &'static str,
    /// Why it broke off.
    #[schema(example = "The file has no end of line 17: a quote was opened there and not closed.")]
    pub(crate) reason: Option<String>,
    /// Bytes of the file; of the request, where that is known, while the file is being handed in.
    #[schema(example = 4_000_000)]
    pub(crate) total_bytes: Option<u64>,
    /// Bytes of the file of which the lines are in.
    #[schema(example = 1_000_000)]
    pub(crate) read_bytes: u64,
    /// Lines that were read, without the headings.
    #[schema(example = 25_000)]
    pub(crate) lines: u64,
    /// People who were new.
    #[schema(example = 24_000)]
    pub(crate) created: u64,
    /// People who were there already.
    #[schema(example = 990)]
    pub(crate) merged: u64,
    /// Lines that were refused.
    #[schema(example = 10)]
    pub(crate) refused: u64,
    /// The first 100 faults of them; none in lists. All are at `/contacts/imports/{id}/faults/`.
    pub(crate) faults: Vec<FaultView>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) ended_at: Option<Timestamp>,
}

impl From<Import> for ImportView {
    fn from(import: Import) -> Self {
        let progress = import.progress;
        Self {
            id: import.id,
            user: import.user_id,
            kind: import.kind.as_str(),
            state: import.state.as_str(),
            reason: import.reason,
            total_bytes: import.total_bytes,
            read_bytes: progress.read_bytes,
            lines: progress.lines,
            created: progress.created,
            merged: progress.merged,
            refused: progress.refused,
            faults: progress.faults.into_iter().map(FaultView::from).collect(),
            started_at: import.started_at,
            ended_at: import.ended_at,
        }
    }
}

/// Which page of imports.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListImports {
    /// Number of the page, from 1.
    #[param(minimum = 1)]
    page: Option<u64>,
    /// Imports per page, at most 100.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u64>,
    /// Only those of this user (for admins; others see their own only).
    #[param(value_type = Option<String>, format = "uuid")]
    user: Option<UserId>,
}

/// Which page of faults, and in which shape.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListFaults {
    /// Number of the page, from 1.
    #[param(minimum = 1)]
    page: Option<u64>,
    /// Faults per page, at most 100.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u64>,
    /// `json`, or `csv` for all of them as a file.
    #[param(example = "json", pattern = "^(json|csv)$")]
    format: Option<String>,
}

/// An import that the caller may look at.
async fn see(app: &App, caller: &Caller, id: ImportId) -> Result<Import, ApiError> {
    app.store.import(None, id).await?.filter(|import| caller.may_see(import.user_id)).ok_or_else(ApiError::not_found)
}

/// An import of the caller's own.
async fn find(app: &App, caller: &Caller, id: ImportId) -> Result<Import, ApiError> {
    app.store.import(Some(caller.id()), id).await?.ok_or_else(ApiError::not_found)
}

/// List imports
///
/// Newest first, with how far those are that run.
#[utoipa::path(get, path = "/contacts/imports/", tag = "contacts", params(ListImports),
    responses((status = 200, description = "One page.", body = Success<Paged<ImportView>>)),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn list_imports(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListImports>,
) -> Result<Answer<Paged<ImportView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let listed = app.store.list_imports(caller.whose_or_all(asked.user), page).await?;
    Ok(Answer::ok("Imports.", paged(listed, &page, &origin, ImportView::from)))
}

/// Get an import
///
/// How far it is, what came of it, and the first lines that were refused.
#[utoipa::path(get, path = "/contacts/imports/{id}/", tag = "contacts",
    params(("id" = String, Path, format = "uuid", description = "Id of the import.")),
    responses((status = 200, description = "The import.", body = Success<ImportView>)),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn get_import(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ImportId>,
) -> Result<Answer<ImportView>, ApiError> {
    Ok(Answer::ok("The import.", see(&app, &caller, id).await?.into()))
}

/// Cancel an import
///
/// No more lines of it are read; what was read before stays.
#[utoipa::path(post, path = "/contacts/imports/{id}/cancel/", tag = "contacts",
    params(("id" = String, Path, format = "uuid", description = "Id of the import.")),
    responses((status = 200, description = "The import, canceled.", body = Success<ImportView>)),
    extensions(("x-scope" = json!("contacts:write")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn cancel_import(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ImportId>,
) -> Result<Answer<ImportView>, ApiError> {
    cancel(&app, &caller, id).await?;
    Ok(Answer::ok("The import was canceled.", find(&app, &caller, id).await?.into()))
}

/// Cancels an import; pages do it as well.
pub(crate) async fn cancel(app: &App, caller: &Caller, id: ImportId) -> Result<(), ApiError> {
    find(app, caller, id).await?;
    if !app.store.cancel_import(id).await? {
        return Err(ApiError::because(ErrorCode::WrongState, "This import has ended already."));
    }
    audit::note(app, caller, "import.canceled", format!("import {id}"), json!({})).await;
    Ok(())
}

/// List the faults of an import
///
/// What is wrong with the lines that were refused, in their order: as JSON, or all as CSV (`?format=csv`, or
/// `Accept: text/csv`). The first 10,000 are kept.
#[utoipa::path(get, path = "/contacts/imports/{id}/faults/", tag = "contacts",
    params(ListFaults, ("id" = String, Path, format = "uuid", description = "Id of the import.")),
    responses((status = 200, description = "One page, or all of them as CSV.",
        content((Success<Paged<FaultView>> = "application/json"), (String = "text/csv")))),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn list_import_faults(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    headers: HeaderMap,
    Path(id): Path<ImportId>,
    Query(asked): Query<ListFaults>,
) -> Result<Response, ApiError> {
    let as_csv = csv::is_wanted(asked.format.as_deref(), &headers)?;
    let page = page(asked.page, asked.page_size)?;
    see(&app, &caller, id).await?;
    if as_csv {
        return Ok(faults_file(app.store.clone(), id));
    }
    let listed = app.store.list_import_faults(id, page).await?;
    Ok(Answer::ok("Lines that were refused.", paged(listed, &page, &origin, FaultView::from)).into_response())
}

/// All faults as a file; pages offer it as well.
pub(crate) fn faults_file(store: Store, id: ImportId) -> Response {
    csv::answer("refused-lines", lines(store, id))
}

fn lines(store: Store, id: ImportId) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
    let head = ["line", "column", "problem"].map(Cow::Borrowed);
    futures::stream::try_unfold((store, 0_u64), move |(store, number)| {
        let head = head.clone();
        async move {
            if number == 0 {
                return Ok(Some((csv::lines([head]), (store, 1))));
            }
            let faults = store.list_import_faults(id, Page { page: number, page_size: READ_AT_ONCE }).await?.results;
            if faults.is_empty() {
                return Ok(None);
            }
            let cells = faults.into_iter().map(|fault| [fault.line.to_string(), fault.field, fault.message].map(Cow::Owned));
            Ok(Some((csv::lines(cells), (store, number + 1))))
        }
    })
}
