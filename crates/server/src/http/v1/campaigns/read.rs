//! Looking at campaigns, their recipients and their reports.

use super::view::{CampaignRecipientView, CampaignReport, CampaignView};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Origin, Paged, Path, Query, Success, csv, page, paged};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use sanasend_model::{CampaignId, CampaignState, RecipientState, UserId};
use sanasend_store::{Campaign, CampaignFilter, Page, RecipientFilter, Store, StoreError};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;
use utoipa::IntoParams;

/// Rows of a CSV file that are read at once.
const ROWS: u64 = 1000;

/// Which campaigns to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListCampaigns {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    pub(crate) page: Option<u64>,
    /// Campaigns per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    pub(crate) page_size: Option<u64>,
    /// Only those in this state.
    #[param(example = "running", pattern = "^(planning|draft|running|paused|finished|canceled|stopped)$")]
    pub(crate) state: Option<String>,
    /// Part of the name.
    pub(crate) search: Option<String>,
    /// Only those of this user (for admins; others see their own only).
    #[param(value_type = Option<String>, format = "uuid")]
    pub(crate) user: Option<UserId>,
}

/// Which recipients to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListRecipients {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    pub(crate) page: Option<u64>,
    /// Recipients per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    pub(crate) page_size: Option<u64>,
    /// Only those in this state: `planned`, `accepted` or `skipped`.
    #[param(example = "skipped", pattern = "^(planned|accepted|skipped)$")]
    pub(crate) state: Option<String>,
}

/// In which shape to answer a report.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportQuery {
    /// `json`, or `csv` for a line per recipient.
    #[param(example = "json", pattern = "^(json|csv)$")]
    pub(crate) format: Option<String>,
}

/// List campaigns
///
/// Newest first.
#[utoipa::path(get, path = "/campaigns/", tag = "campaigns", params(ListCampaigns),
    responses((status = 200, description = "One page.", body = Success<Paged<CampaignView>>)),
    extensions(("x-scope" = json!("campaigns:read"))))]
pub(crate) async fn list_campaigns(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListCampaigns>,
) -> Result<Answer<Paged<CampaignView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let state = asked.state.as_deref().map(str::parse::<CampaignState>).transpose();
    let names: Vec<&str> = CampaignState::ALL.iter().map(|state| state.as_str()).collect();
    let state = state.map_err(|()| ApiError::field("state", format!("must be one of: {}", names.join(", "))))?;
    let search = asked.search.filter(|text| !text.trim().is_empty());
    let filter = CampaignFilter { user_id: caller.whose_or_all(asked.user), state, search };
    let listed = app.store.list_campaigns(&filter, page).await?;
    Ok(Answer::ok("Campaigns.", paged(listed, &page, &origin, CampaignView::from)))
}

/// Get a campaign
///
/// With where every recipient stands, how far messages came, and what each account does.
#[utoipa::path(get, path = "/campaigns/{id}/", tag = "campaigns",
    params(("id" = String, Path, format = "uuid", description = "Id of the campaign.")),
    responses((status = 200, description = "The campaign.", body = Success<CampaignReport>)),
    extensions(("x-scope" = json!("campaigns:read"))))]
pub(crate) async fn get_campaign(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<CampaignId>,
) -> Result<Answer<CampaignReport>, ApiError> {
    let campaign = super::see(&app, &caller, id).await?;
    Ok(Answer::ok("The campaign.", report(&app, campaign).await?))
}

/// A campaign with everything that is counted of it.
///
/// # Errors
/// When the store is down.
pub(crate) async fn report(app: &App, campaign: Campaign) -> Result<CampaignReport, ApiError> {
    let accounts = app.store.campaign_accounts(campaign.id).await?;
    let funnels = app.campaigns.funnels(&campaign).await?;
    Ok(CampaignReport::new(campaign, accounts, &funnels))
}

/// List the recipients of a campaign
///
/// In the order of the list; each with its message or the reason why it has none.
#[utoipa::path(get, path = "/campaigns/{id}/recipients/", tag = "campaigns",
    params(ListRecipients, ("id" = String, Path, format = "uuid", description = "Id of the campaign.")),
    responses((status = 200, description = "One page.", body = Success<Paged<CampaignRecipientView>>)),
    extensions(("x-scope" = json!("campaigns:read"))))]
pub(crate) async fn list_campaign_recipients(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<CampaignId>,
    Query(asked): Query<ListRecipients>,
) -> Result<Answer<Paged<CampaignRecipientView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let state = asked.state.as_deref().map(str::parse::<RecipientState>).transpose();
    let state = state.map_err(|()| ApiError::field("state", "must be one of: planned, accepted, skipped"))?;
    super::see(&app, &caller, id).await?;
    let listed = app.store.list_recipients(id, &RecipientFilter { state, after: 0 }, page).await?;
    Ok(Answer::ok("Recipients.", paged(listed, &page, &origin, CampaignRecipientView::from)))
}

/// Get the report of a campaign
///
/// Counts as JSON, or every recipient as CSV (`?format=csv`, or `Accept: text/csv`).
#[utoipa::path(get, path = "/campaigns/{id}/report/", tag = "campaigns",
    params(ReportQuery, ("id" = String, Path, format = "uuid", description = "Id of the campaign.")),
    responses((status = 200, description = "The report.",
        content((Success<CampaignReport> = "application/json"), (String = "text/csv")))),
    extensions(("x-scope" = json!("campaigns:read"))))]
pub(crate) async fn get_campaign_report(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<CampaignId>,
    Query(asked): Query<ReportQuery>,
) -> Result<Response, ApiError> {
    let as_csv = csv::is_wanted(asked.format.as_deref(), &headers)?;
    let campaign = super::see(&app, &caller, id).await?;
    if as_csv {
        return Ok(csv::answer("campaign", lines(app.store.clone(), id)));
    }
    Ok(Answer::ok("The report.", report(&app, campaign).await?).into_response())
}

const COLUMNS: [&str; 11] =
    ["ordinal", "recipient", "phone", "state", "reason", "detail", "message", "message_status", "error_code", "session", "accepted_at"];

/// Every recipient as a line of CSV, read piece by piece.
pub(crate) fn lines(store: Store, id: CampaignId) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
    let first = (store, Some(0_i32), true);
    futures::stream::try_unfold(first, move |(store, after, is_head)| async move {
        if is_head {
            return Ok(Some((csv::lines([COLUMNS.map(Cow::Borrowed)]), (store, after, false))));
        }
        let Some(after) = after else { return Ok(None) };
        let filter = RecipientFilter { state: None, after };
        let rows = store.list_recipients(id, &filter, Page { page: 1, page_size: ROWS }).await?.results;
        let Some(last) = rows.last().map(|row| row.ordinal) else { return Ok(None) };
        let next = (rows.len() as u64 == ROWS).then_some(last);
        Ok(Some((csv::lines(rows.into_iter().map(|row| cells(row.into()))), (store, next, false))))
    })
}

fn cells(row: CampaignRecipientView) -> [Cow<'static, str>; 11] {
    let text = |value: Option<String>| Cow::Owned(value.unwrap_or_default());
    [
        Cow::Owned(row.ordinal.to_string()),
        Cow::Owned(row.recipient),
        text(row.phone),
        Cow::Borrowed(row.state.as_str()),
        text(row.reason.map(|reason| reason.as_str().to_owned())),
        text(row.detail),
        text(row.message.map(|id| id.to_string())),
        text(row.message_status.map(|status| status.as_str().to_owned())),
        text(row.error_code),
        text(row.session.map(|id| id.to_string())),
        text(row.accepted_at.map(|at| at.to_string())),
    ]
}
