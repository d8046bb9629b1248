//! Groups of WhatsApp that a linked account is in: asked of WhatsApp, written down nowhere.
//!
//! Not the groups into which a user sorts contacts; those are labels, in `contacts`.

pub(crate) mod view;

use crate::app::App;
use crate::http::v1::messages::choose;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Origin, Paged, Path, Query, Success, page, paged};
use crate::sessions::GroupsWish;
use axum::extract::State;
use sanasend_engine::Group;
use sanasend_model::Jid;
use sanasend_model::retry::AttemptError;
use sanasend_store::{Listed, Peer, Session};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use view::{GroupDetail, GroupView, ParticipantView};

/// How long to wait where WhatsApp asks for patience and does not say how much.
const PATIENCE: Duration = Duration::from_mins(1);

/// Everything under `/groups/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default().routes(routes!(list_groups)).routes(routes!(get_group))
}

/// Which groups of which account.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListGroups {
    /// Name or id of the account. Not needed when there is one, or one named `default`.
    pub(crate) session: Option<String>,
    /// Part of the subject, in whatever case.
    #[param(example = "bread")]
    pub(crate) search: Option<String>,
    /// Number of the page, from 1.
    #[param(minimum = 1)]
    pub(crate) page: Option<u64>,
    /// Entries per page, at most 100.
    #[param(minimum = 1, maximum = 100)]
    pub(crate) page_size: Option<u64>,
}

/// Which account.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhichAccount {
    /// Name or id of the account. Not needed when there is one, or one named `default`.
    pub(crate) session: Option<String>,
}

/// List groups
///
/// The WhatsApp groups that the linked account is in, by their subjects; `jid` is what messages are sent to. The first page
/// asks WhatsApp, so it is refused while the account is not connected; the pages behind it are of the same answer, for a
/// minute.
#[utoipa::path(get, path = "/groups/", tag = "groups", params(ListGroups),
    responses((status = 200, description = "One page.", body = Success<Paged<GroupView>>)),
    extensions(("x-scope" = json!("sessions:read")),
        ("x-error-codes" = json!(["NOT_FOUND", "WRONG_STATE", "SESSION_NOT_LINKED"]))))]
pub(crate) async fn list_groups(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListGroups>,
) -> Result<Answer<Paged<GroupView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let session = choose(&app, caller.id(), asked.session.as_deref()).await?;
    let listed = look(&app, &session, GroupsWish { search: asked.search, page }).await?;
    Ok(Answer::ok("Groups.", paged(listed, &page, &origin, GroupView::from)))
}

/// Get a group
///
/// With who is in it, admins first; at most 5,000 are listed, `participant_count` says how many there are. A group that the
/// account is not in is answered as one that does not exist.
#[utoipa::path(get, path = "/groups/{jid}/", tag = "groups", params(WhichAccount,
        ("jid" = String, Path, description = "Id of the group.", pattern = "^[0-9]{5,30}(-[0-9]{5,30})?@g\\.us$", example = "120363021033254949@g.us")),
    responses((status = 200, description = "The group.", body = Success<GroupDetail>)),
    extensions(("x-scope" = json!("contacts:read")), ("x-error-codes" = json!(["WRONG_STATE", "SESSION_NOT_LINKED"]))))]
pub(crate) async fn get_group(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(jid): Path<String>,
    Query(asked): Query<WhichAccount>,
) -> Result<Answer<GroupDetail>, ApiError> {
    let jid = Jid::parse(&jid).filter(Jid::is_group);
    let jid = jid.ok_or_else(|| ApiError::field("jid", "must be the id of a group, which ends in @g.us"))?;
    let session = choose(&app, caller.id(), asked.session.as_deref()).await?;
    expect_linked(&app, &session)?;
    let told = app.sessions.group(&session, jid).await.map_err(refused)?.ok_or_else(ApiError::not_found)?;
    let people: Vec<Peer> = told.members.iter().map(|member| member.person.clone()).collect();
    let names = app.store.contact_names(session.user_id, &people).await?;
    let participants = told.members.into_iter().zip(names).map(|(member, name)| ParticipantView::of(member, name)).collect();
    Ok(Answer::ok("The group.", GroupDetail { group: told.group.into(), participants }))
}

/// Some of the groups that an account is in.
///
/// # Errors
/// `SESSION_NOT_LINKED`, `WRONG_STATE` while it is not connected, `SERVICE_UNAVAILABLE` when WhatsApp does not answer.
pub(crate) async fn look(app: &App, session: &Session, wish: GroupsWish) -> Result<Listed<Group>, ApiError> {
    expect_linked(app, session)?;
    app.sessions.groups(session, wish).await.map_err(refused)
}

fn expect_linked(app: &App, session: &Session) -> Result<(), ApiError> {
    if app.sessions.live(session).linked { Ok(()) } else { Err(ErrorCode::SessionNotLinked.into()) }
}

fn refused(error: AttemptError) -> ApiError {
    match error {
        AttemptError::Offline => {
            ApiError::because(ErrorCode::WrongState, "The account is not connected; WhatsApp can't be asked for its groups.")
        }
        AttemptError::Limited { wait } => {
            ApiError::because(ErrorCode::ServiceUnavailable, "WhatsApp asks for patience; ask again after `Retry-After`.")
                .retry_after(wait.unwrap_or(PATIENCE))
        }
        other => ApiError::unavailable(format!("groups could not be asked for: {other:?}")),
    }
}
