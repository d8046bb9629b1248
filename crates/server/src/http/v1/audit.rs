//! The audit log, for admins: what was done by whom, and whether the log is whole.

use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Origin, Paged, Query, Success, page, paged};
use axum::extract::State;
use sanasend_model::{FieldErrors, Invalid, Timestamp, UserId};
use sanasend_store::{AuditBreak, AuditCheck, AuditFilter, AuditRecord, AuditStep};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/audit/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default().routes(routes!(list_audit_entries)).routes(routes!(verify_audit_log))
}

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListAudit {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    page: Option<u64>,
    /// Entries per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    page_size: Option<u64>,
    /// Instead of a page: the place behind which to go on, from `next_cursor`; empty for the newest. `count` is null then.
    #[param(pattern = "^[0-9]{0,18}$")]
    cursor: Option<String>,
    /// Only what this user did.
    #[param(value_type = Option<String>, format = "uuid")]
    actor: Option<UserId>,
    /// Only this action (`user.deactivated`), or every action of a thing (`user`).
    #[param(example = "user.created")]
    action: Option<String>,
    /// Part of what it was done to, like an id.
    target: Option<String>,
    /// Only from this moment on (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Only before this moment (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
}

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "AuditEntry")]
struct AuditView {
    /// Its place in the log, from 1.
    #[schema(example = 17)]
    seq: i64,
    /// When.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T08:30:00.000Z")]
    at: Timestamp,
    /// Id of the user who did it; null for the server itself, the command line and strangers.
    #[schema(value_type = Option<String>, format = "uuid")]
    actor: Option<UserId>,
    /// What was done.
    #[schema(example = "user.created")]
    action: String,
    /// What it was done to.
    #[schema(example = "user 01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77")]
    target: String,
    /// From which address.
    #[schema(example = "203.0.113.7")]
    ip: Option<String>,
    /// More; never a secret.
    #[schema(value_type = Object)]
    detail: Value,
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> Self {
        let AuditRecord { seq, at, actor, action, target, ip, detail } = record;
        Self { seq, at, actor, action, target, ip: ip.map(|ip| ip.to_string()), detail }
    }
}

/// One page of the log.
#[derive(Debug, Serialize, ToSchema)]
struct AuditPage {
    /// How many there are on all pages; null when a cursor was used.
    #[schema(example = 1)]
    count: Option<u64>,
    /// Full URL of the next page.
    next: Option<String>,
    /// Full URL of the page before.
    previous: Option<String>,
    /// What to send as `cursor` to go on; null at the end, and when a page was asked for.
    next_cursor: Option<String>,
    /// This page's entries.
    results: Vec<AuditView>,
}

/// What the check of the log found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditVerdict {
    /// Whether every entry is as it was written, and none is missing.
    #[schema(example = true)]
    pub(crate) intact: bool,
    /// Entries that are sound.
    #[schema(example = 17)]
    pub(crate) entries: u64,
    /// Place and MAC of the last entry. Kept elsewhere it proves later, with `sanasend audit verify --expect`, that nothing
    /// before it was taken away. Null when the log is broken.
    #[schema(example = "17:9f2c")]
    pub(crate) head: Option<String>,
    /// Place of the first entry that is not as it was written.
    pub(crate) first_broken: Option<i64>,
    /// What is wrong with it.
    pub(crate) why: Option<String>,
}

/// List the audit log
///
/// What admins did and what touched security, newest first. Entries are only ever added.
#[utoipa::path(get, path = "/audit/", tag = "audit", params(ListAudit),
    responses((status = 200, description = "One page of the log.", body = Success<AuditPage>)),
    extensions(("x-admin" = json!(true))))]
async fn list_audit_entries(
    State(app): State<Arc<App>>,
    _: Caller,
    origin: Origin,
    Query(asked): Query<ListAudit>,
) -> Result<Answer<AuditPage>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let (filter, before) = read(&asked)?;
    let found = if asked.cursor.is_some() {
        let (records, more) = app.store.list_audit_before(&filter, before, page.page_size).await?;
        let next_cursor = records.last().filter(|_| more).map(|record| record.seq.to_string());
        AuditPage {
            count: None,
            next: next_cursor.as_deref().map(|cursor| origin.with_param("cursor", cursor)),
            previous: None,
            next_cursor,
            results: records.into_iter().map(AuditView::from).collect(),
        }
    } else {
        let listed = app.store.list_audit(&filter, page).await?;
        let Paged { count, next, previous, results } = paged(listed, &page, &origin, AuditView::from);
        AuditPage { count: Some(count), next, previous, next_cursor: None, results }
    };
    Ok(Answer::ok("The audit log.", found))
}

/// Verify the audit log
///
/// Checks the chain of MACs from the first entry to the last. A log that was changed behind the server's back is named
/// with its first broken entry. `sanasend audit verify` does the same beside a stopped server.
#[utoipa::path(get, path = "/audit/verify/", tag = "audit",
    responses((status = 200, description = "What was found.", body = Success<AuditVerdict>)),
    extensions(("x-admin" = json!(true))))]
pub(crate) async fn verify_audit_log(State(app): State<Arc<App>>, _: Caller) -> Result<Answer<AuditVerdict>, ApiError> {
    let mut check = AuditCheck::default();
    loop {
        match app.store.check_audit(&mut check).await? {
            AuditStep::SoFar => {}
            AuditStep::Whole { entries, head } => {
                let verdict = AuditVerdict { intact: true, entries, head: Some(head), first_broken: None, why: None };
                return Ok(Answer::ok("The audit log is whole.", verdict));
            }
            AuditStep::Broken(AuditBreak { seq, why }) => {
                tracing::error!(seq, why, "the audit log was changed");
                let verdict =
                    AuditVerdict { intact: false, entries: check.sound(), head: None, first_broken: Some(seq), why: Some(why.into()) };
                return Ok(Answer::ok("The audit log was changed.", verdict));
            }
        }
    }
}

fn read(asked: &ListAudit) -> Result<(AuditFilter, Option<i64>), ApiError> {
    let mut errors = FieldErrors::default();
    let mut moment = |field: &str, text: Option<&str>| {
        let text = text?;
        let at = Timestamp::parse(text);
        if at.is_none() {
            errors.push(Invalid::new(field, "must be like 2026-11-21T08:30:00Z"));
        }
        at
    };
    let (from, to) = (moment("from", asked.from.as_deref()), moment("to", asked.to.as_deref()));
    let cursor = asked.cursor.as_deref().filter(|text| !text.is_empty());
    let before = cursor
        .map(|text| text.parse::<i64>().map_err(|_| Invalid::new("cursor", "must be a `next_cursor` of an earlier answer, or empty")));
    let before = errors.take(before.transpose()).flatten();
    errors.into_result()?;
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    Ok((AuditFilter { actor: asked.actor, action: filled(&asked.action), target: filled(&asked.target), from, to }, before))
}
