//! Campaigns: make them, try them out, start, hold and end them, and look at how they get on.

pub(crate) mod ask;
pub(crate) mod change;
pub(crate) mod form;
pub(crate) mod make;
pub(crate) mod read;
pub(crate) mod view;

use crate::app::App;
use crate::http::{ApiError, Caller};
use axum::extract::DefaultBodyLimit;
use sanasend_model::CampaignId;
use sanasend_store::Campaign;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/campaigns/`, and the send of many.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    // Their handlers count the bytes themselves, as they come.
    let with_files = OpenApiRouter::default().routes(routes!(make::send_bulk)).routes(routes!(read::list_campaigns, make::create_campaign));
    OpenApiRouter::default()
        .merge(with_files.layer(DefaultBodyLimit::disable()))
        .routes(routes!(read::get_campaign, change::delete_campaign))
        .routes(routes!(change::start_campaign))
        .routes(routes!(change::pause_campaign))
        .routes(routes!(change::resume_campaign))
        .routes(routes!(change::cancel_campaign))
        .routes(routes!(change::try_campaign))
        .routes(routes!(read::list_campaign_recipients))
        .routes(routes!(read::get_campaign_report))
}

/// A campaign that the caller may look at.
///
/// # Errors
/// `NOT_FOUND`, also for another user's unless the caller is an admin by login.
pub(crate) async fn see(app: &App, caller: &Caller, id: CampaignId) -> Result<Campaign, ApiError> {
    let campaign = app.store.campaign(id).await?;
    campaign.filter(|campaign| caller.may_see(campaign.user_id)).ok_or_else(ApiError::not_found)
}

/// A campaign of the caller.
///
/// # Errors
/// `NOT_FOUND`, also for another user's.
pub(crate) async fn find(app: &App, caller: &Caller, id: CampaignId) -> Result<Campaign, ApiError> {
    let campaign = app.store.campaign(id).await?;
    campaign.filter(|campaign| campaign.user_id == caller.id()).ok_or_else(ApiError::not_found)
}
