//! Starting, holding and ending campaigns.

use super::view::{CampaignView, DryRun};
use crate::app::App;
use crate::campaigns::campaign_hours;
use crate::campaigns::outlook::Audience;
use crate::campaigns::plan::{Sample, Tally};
use crate::http::{Answer, ApiError, Caller, ErrorCode, Nothing, Path, Success};
use axum::extract::State;
use sanasend_model::campaign::{CampaignWish, Skip};
use sanasend_model::{CampaignId, CampaignState, Jid, RecipientState, Timestamp};
use sanasend_store::{Ahead, Campaign, CampaignChanged, CampaignRecipient, Page, RecipientFilter};
use std::sync::Arc;

/// Skipped recipients that are told one by one.
const MOST_SAMPLES: u64 = 100;
/// Recipients that are looked at together.
const LOOKED_AT: u32 = 500;

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
/// What is left of it would do: who is skipped and why, those included who opted out since it was made, and when it would end
/// from now on. Nothing is sent or changed.
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
    let user = app.store.user(campaign.user_id).await?.ok_or_else(ApiError::not_found)?;
    let accounts = app.store.campaign_accounts(id).await?;
    let accounts: Vec<_> = accounts.into_iter().filter(|account| account.left_at.is_none()).map(|account| account.session_id).collect();
    let (late, audience) = look_through(app, &campaign).await?;
    let tally = already_skipped(app, &campaign).await?.and(late);
    let (policy, hours) = (app.campaigns.policy(&campaign), campaign_hours(campaign.quiet_hours, user.quiet_hours));
    let outlook = app.campaigns.outlook(&policy, &accounts, &audience, hours).await?;
    Ok(DryRun::new(campaign.total, tally, outlook).without(campaign.accepted))
}

/// Goes through those whose turn has not come, in pages: who may not be written to any more, and the others.
async fn look_through(app: &App, campaign: &Campaign) -> Result<(Tally, Audience), ApiError> {
    let (mut late, mut audience, mut after) = (Tally::default(), Audience::default(), 0);
    loop {
        let page = app.store.next_recipients(campaign.id, Ahead::All, after, Timestamp(i64::MAX), LOOKED_AT).await?;
        let Some(last) = page.last().map(|one| one.ordinal) else { return Ok((late, audience)) };
        after = last;
        let jids: Vec<Option<Jid>> = page.iter().map(|one| Jid::parse(&one.recipient)).collect();
        let unwanted = app.campaigns.unwanted(campaign.user_id, &jids).await?;
        for (one, unwanted) in page.iter().zip(unwanted) {
            match unwanted {
                Some(why) => late.note(u64::try_from(one.ordinal).unwrap_or(0), &one.recipient, why, None),
                None => audience.add(&one.recipient),
            }
        }
    }
}

/// Who was skipped when the campaign was made, or since.
async fn already_skipped(app: &App, campaign: &Campaign) -> Result<Tally, ApiError> {
    let funnels = app.campaigns.funnels(campaign).await?;
    let reason = |(name, count): (&String, &u64)| Some((name.parse::<Skip>().ok()?, *count));
    let filter = RecipientFilter { state: Some(RecipientState::Skipped), after: 0 };
    let rows = app.store.list_recipients(campaign.id, &filter, Page { page: 1, page_size: MOST_SAMPLES }).await?;
    let sample = |one: CampaignRecipient| {
        let (ordinal, reason) = (u64::try_from(one.ordinal).ok()?, one.reason?);
        Some(Sample { ordinal, recipient: one.recipient, reason, detail: one.detail })
    };
    let samples = rows.results.into_iter().filter_map(sample).collect();
    Ok(Tally { skipped: funnels.all.skipped.iter().filter_map(reason).collect(), samples })
}
