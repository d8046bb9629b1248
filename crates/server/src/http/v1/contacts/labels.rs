//! Tags and groups as lists of their own.

use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Json, Origin, Paged, Query, Success, page, paged};
use axum::extract::State;
use sanasend_model::{FieldErrors, Invalid, contact};
use sanasend_store::{LabelCount, LabelKind};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A tag or group.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "ContactLabel")]
pub(crate) struct LabelView {
    /// Its name.
    #[schema(example = "vip")]
    pub(crate) name: String,
    /// Contacts that have it.
    #[schema(example = 12)]
    pub(crate) contacts: u64,
}

impl From<LabelCount> for LabelView {
    fn from(label: LabelCount) -> Self {
        Self { name: label.name, contacts: label.contacts }
    }
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListLabels {
    /// Number of the page, from 1.
    #[param(minimum = 1)]
    page: Option<u64>,
    /// Names per page, at most 100.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u64>,
}

/// List tags
///
/// By name, with how many contacts have each.
#[utoipa::path(get, path = "/contacts/tags/", tag = "contacts", params(ListLabels),
    responses((status = 200, description = "One page.", body = Success<Paged<LabelView>>)),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn list_contact_tags(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListLabels>,
) -> Result<Answer<Paged<LabelView>>, ApiError> {
    list(&app, &caller, &origin, LabelKind::Tag, &asked).await
}

/// List groups
///
/// By name, with how many contacts are in each.
#[utoipa::path(get, path = "/contacts/groups/", tag = "contacts", params(ListLabels),
    responses((status = 200, description = "One page.", body = Success<Paged<LabelView>>)),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn list_contact_groups(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListLabels>,
) -> Result<Answer<Paged<LabelView>>, ApiError> {
    list(&app, &caller, &origin, LabelKind::Group, &asked).await
}

async fn list(
    app: &App,
    caller: &Caller,
    origin: &Origin,
    kind: LabelKind,
    asked: &ListLabels,
) -> Result<Answer<Paged<LabelView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let listed = app.store.list_labels(caller.id(), kind, page).await?;
    Ok(Answer::ok("Names.", paged(listed, &page, origin, LabelView::from)))
}

/// What is to become of a tag or group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveLabel {
    /// `tag` or `group`.
    #[schema(example = "tag", pattern = "^(tag|group)$")]
    kind: String,
    /// Its name.
    #[schema(example = "vip")]
    from: String,
    /// Its new name, which may be that of another; left out: it is taken off all contacts.
    #[serde(default)]
    #[schema(example = "regulars")]
    to: Option<String>,
}

/// How many contacts had it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "MovedContactLabel")]
pub(crate) struct Moved {
    /// Contacts that had it.
    #[schema(example = 12)]
    contacts: u64,
}

/// Rename or remove a tag or group
///
/// With all contacts that have it.
#[utoipa::path(post, path = "/contacts/labels/move/", tag = "contacts", request_body = MoveLabel,
    responses((status = 200, description = "How many contacts had it.", body = Success<Moved>)),
    extensions(("x-scope" = json!("contacts:write"))))]
pub(crate) async fn move_contact_label(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(wanted): Json<MoveLabel>,
) -> Result<Answer<Moved>, ApiError> {
    let mut errors = FieldErrors::default();
    let kind = match wanted.kind.as_str() {
        "tag" => Some(LabelKind::Tag),
        "group" => Some(LabelKind::Group),
        _ => {
            errors.push(Invalid::new("kind", "must be tag or group"));
            None
        }
    };
    let from = errors.take(contact::label("from", &wanted.from));
    let to = wanted.to.and_then(|to| errors.take(contact::label("to", &to)));
    errors.into_result()?;
    let (Some(kind), Some(from)) = (kind, from) else { return Err(ApiError::internal("a name that was refused and not named")) };
    let contacts = app.store.move_label(caller.id(), kind, from, to).await?;
    Ok(Answer::ok("Done.", Moved { contacts }))
}
