//! Starting, holding and ending campaigns.

use super::view::{CampaignView, DryRun};
use crate::app::App;
use crate::campaigns::outlook::LOOKED_AT;
use crate::campaigns::plan::Sample;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Nothing, Path, Success};
use axum::extract::State;
use sanasend_model::campaign::CampaignWish;
use sanasend_model::{CampaignId, CampaignState, RecipientState};
use sanasend_store::{CampaignChanged, Page, RecipientFilter};
use std::sync::Arc;

/// Skipped recipients that are told one by one.
const MOST_SAMPLES: u64 = 100;

/// Start a campaign
///
/// A draft begins: its accounts take the next recipients as fast as pacing allows.
#[utoipa::path(post, path = "/campaigns/{id}/start/", tag = "campaigns",
    params(("id" = String, Path, format = "uuid", description = "Id of the campaign.")),
    responses((status = 200, description = "The campaign as it is now.", body = Success<CampaignView>)),
    extensions(("x-scope" = json!("campaigns:manage")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn start_campaign(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<CampaignId>,
) -> Result<Answer<CampaignView>, ApiError> {
    change(&app, &caller, id, CampaignWish::Start).await
}

/// Pause a campaign
///
/// No further message is accepted; those that were go on.
#[utoipa::path(post, path = "/campaigns/{id}/pause/", tag = "campaigns",
    params(("id" = String, Path, format = "uuid", description = "Id of the campaign.")),
    responses((status = 200, description = "The campaign as it is now.", body = Success<CampaignView>)),
    extensions(("x-scope" = json!("campaigns:manage")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn pause_campaign(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<CampaignId>,
) -> Result<Answer<CampaignView>, ApiError> {
    change(&app, &caller, id, CampaignWish::Pause).await
}

/// Resume a campaign
///
/// One that was paused, or that stopped by itself. Accounts that had left it are tried again; failures before count no more
/// for one that had stopped.
#[utoipa::path(post, path = "/campaigns/{id}/resume/", tag = "campaigns",
    params(("id" = String, Path, format = "uuid", description = "Id of the campaign.")),
    responses((status = 200, description = "The campaign as it is now.", body = Success<CampaignView>)),
    extensions(("x-scope" = json!("campaigns:manage")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn resume_campaign(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<CampaignId>,
) -> Result<Answer<CampaignView>, ApiError> {
    change(&app, &caller, id, CampaignWish::Resume).await
}

/// Cancel a campaign
///
/// For ever. Messages that were accepted go on; they can be canceled one by one while they have not left.
#[utoipa::path(post, path = "/campaigns/{id}/cancel/", tag = "campaigns",
    params(("id" = String, Path, format = "uuid", description = "Id of the campaign.")),
    responses((status = 200, description = "The campaign as it is now.", body = Success<CampaignView>)),
    extensions(("x-scope" = json!("campaigns:manage")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn cancel_campaign(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<CampaignId>,
) -> Result<Answer<CampaignView>, ApiError> {
    change(&app, &caller, id, CampaignWish::Cancel).await
}

/// Carries out a wish about a campaign.
///
/// # Errors
/// `NOT_FOUND`, `WRONG_STATE`.
pub(crate) async fn change(app: &App, caller: &Caller, id: CampaignId, wish: CampaignWish) -> Result<Answer<CampaignView>, ApiError> {
    super::find(app, caller, id).await?;
    match app.store.change_campaign(id, wish).await? {
        CampaignChanged::Done(campaign) => {
            let told = match wish {
                CampaignWish::Start => "The campaign has begun.",
                CampaignWish::Pause => "The campaign is paused.",
                CampaignWish::Resume => "The campaign goes on.",
                CampaignWish::Cancel => "The campaign is canceled.",
            };
            Ok(Answer::ok(told, (*campaign).into()))
        }
        CampaignChanged::Missing => Err(ApiError::not_found()),
        CampaignChanged::WrongState(state) => Err(wrong_state(state)),
    }
}

fn wrong_state(state: CampaignState) -> ApiError {
    ApiError::because(ErrorCode::WrongState, format!("The campaign is {state}; this is not possible then."))
}

/// Delete a campaign
///
/// With its recipients; its messages stay. One that runs is to be paused or canceled first.
#[utoipa::path(delete, path = "/campaigns/{id}/", tag = "campaigns",
    params(("id" = String, Path, format = "uuid", description = "Id of the campaign.")),
    responses((status = 200, description = "The campaign is gone.", body = Success<Nothing>)),
    extensions(("x-scope" = json!("campaigns:manage")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn delete_campaign(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<CampaignId>,
) -> Result<Answer<Nothing>, ApiError> {
    let campaign = super::find(&app, &caller, id).await?;
    if campaign.state == CampaignState::Running || !app.store.delete_campaign(id).await? {
        return Err(wrong_state(CampaignState::Running));
    }
    Ok(Answer::ok("The campaign was deleted.", Nothing {}))
}

/// Try a campaign out
///
/// What is left of it would do: who is skipped and why, and when it would end from now on. Nothing is sent or changed.
#[utoipa::path(post, path = "/campaigns/{id}/dry-run/", tag = "campaigns",
    params(("id" = String, Path, format = "uuid", description = "Id of the campaign.")),
    responses((status = 200, description = "What it would do.", body = Success<DryRun>)),
    extensions(("x-scope" = json!("campaigns:manage"))))]
pub(crate) async fn try_campaign(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<CampaignId>,
) -> Result<Answer<DryRun>, ApiError> {
    Ok(Answer::ok("What the campaign would do.", try_out(&app, &caller, id).await?))
}

/// What is left of a campaign would do.
///
/// # Errors
/// `NOT_FOUND`.
pub(crate) async fn try_out(app: &App, caller: &Caller, id: CampaignId) -> Result<DryRun, ApiError> {
    let campaign = super::find(app, caller, id).await?;
    let funnels = app.campaigns.funnels(&campaign).await?;
    let next = app.store.next_recipients(id, u32::try_from(LOOKED_AT).unwrap_or(500)).await?;
    let some: Vec<String> = next.into_iter().map(|one| one.recipient).collect();
    let accounts = app.store.campaign_accounts(id).await?;
    let accounts: Vec<_> = accounts.into_iter().filter(|account| account.left_at.is_none()).map(|account| account.session_id).collect();
    let filter = RecipientFilter { state: Some(RecipientState::Skipped), after: 0 };
    let skipped = app.store.list_recipients(id, &filter, Page { page: 1, page_size: MOST_SAMPLES }).await?;
    let samples = skipped.results.into_iter().filter_map(|one| {
        let (ordinal, reason) = (u64::try_from(one.ordinal).ok()?, one.reason?);
        Some(Sample { ordinal, recipient: one.recipient, reason, detail: one.detail })
    });
    let samples = samples.collect();
    let outlook = app.campaigns.outlook(&app.campaigns.policy(&campaign), &accounts, campaign.left(), &some).await?;
    Ok(DryRun::new((campaign.total, campaign.left()), funnels.all.skipped.clone(), samples, outlook))
}
