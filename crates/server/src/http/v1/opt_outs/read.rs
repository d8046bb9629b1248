//! Looking at opt-outs.

use crate::app::App;
use crate::http::v1::contacts::view::read_person;
use crate::http::{Answer, ApiError, Caller, LongPage, Origin, Path, Query, Success, long};
use axum::extract::State;
use sanasend_model::{Jid, MessageId, OptOutId, OptOutSource, PhoneNumber, Recipient, Timestamp, UserId};
use sanasend_store::{OptOut, OptOutFilter};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// One time that somebody opted out.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "OptOut")]
pub(crate) struct OptOutView {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: OptOutId,
    /// Who, by number.
    #[schema(value_type = Option<String>, example = "+12025550123")]
    pub(crate) phone: Option<PhoneNumber>,
    /// Who, by WhatsApp's id.
    #[schema(value_type = Option<String>, example = "12025550123@s.whatsapp.net")]
    pub(crate) jid: Option<Jid>,
    /// Who, by the id that hides the number.
    #[schema(value_type = Option<String>, example = "77000000000001@lid")]
    pub(crate) lid: Option<Jid>,
    /// Whether it is in force.
    #[schema(example = true)]
    pub(crate) in_force: bool,
    /// How it is known: `word` (the person wrote it), `api`, `dashboard` or `import`.
    #[schema(value_type = String, example = "word")]
    pub(crate) source: OptOutSource,
    /// The message that said so: the proof.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) message: Option<MessageId>,
    /// A note.
    #[schema(example = "By e-mail on 2026-11-27.")]
    pub(crate) note: Option<String>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// When the person opted in again.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) ended_at: Option<Timestamp>,
    /// How that is known.
    #[schema(value_type = Option<String>, example = "word")]
    pub(crate) ended_source: Option<OptOutSource>,
    /// The message that said so.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) ended_message: Option<MessageId>,
    /// A note.
    #[schema(example = "Asked for it on the phone.")]
    pub(crate) ended_note: Option<String>,
}

impl From<OptOut> for OptOutView {
    fn from(opt_out: OptOut) -> Self {
        let ended = opt_out.ended;
        Self {
            id: opt_out.id,
            phone: opt_out.person.phone,
            jid: opt_out.person.jid,
            lid: opt_out.person.lid,
            in_force: ended.is_none(),
            source: opt_out.source,
            message: opt_out.message_id,
            note: opt_out.note,
            created_at: opt_out.created_at,
            ended_at: ended.as_ref().map(|end| end.at),
            ended_source: ended.as_ref().map(|end| end.source),
            ended_message: ended.as_ref().and_then(|end| end.message_id),
            ended_note: ended.and_then(|end| end.note),
        }
    }
}

/// Which opt-outs are meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListOptOuts {
    /// Number of the page, from 1; pages reach as far as `count` does.
    #[param(minimum = 1)]
    pub(crate) page: Option<u64>,
    /// Opt-outs per page, at most 100.
    #[param(minimum = 1, maximum = 100)]
    pub(crate) page_size: Option<u64>,
    /// Instead of a page: the place behind which to go on, from `next_cursor`; empty for the start.
    #[param(pattern = "^$|^[0-9a-f]{1,15}-[0-9a-f]{1,15}$")]
    pub(crate) cursor: Option<String>,
    /// Only those in force, or only those that ended.
    pub(crate) in_force: Option<bool>,
    /// Only this person's, by number.
    #[param(example = "+12025550123")]
    pub(crate) phone: Option<String>,
    /// Those of this user instead of your own (for admins).
    #[param(value_type = Option<String>, format = "uuid")]
    pub(crate) user: Option<UserId>,
}

impl ListOptOuts {
    pub(crate) fn filter(&self, caller: &Caller) -> Result<OptOutFilter, ApiError> {
        let phone = match self.phone.as_deref().map(read_person).transpose()? {
            None => None,
            Some(Recipient::Phone(phone)) => Some(phone),
            Some(_) => return Err(ApiError::field("phone", "must be a number")),
        };
        Ok(OptOutFilter { user_id: Some(caller.whose(self.user)), in_force: self.in_force, phone })
    }
}

/// List opt-outs
///
/// Newest first: those in force, and those that ended, which stay as the proof.
#[utoipa::path(get, path = "/opt-outs/", tag = "contacts", params(ListOptOuts),
    responses((status = 200, description = "One page.", body = Success<LongPage<OptOutView>>)),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn list_opt_outs(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListOptOuts>,
) -> Result<Answer<LongPage<OptOutView>>, ApiError> {
    let page = long::page(asked.page, asked.page_size)?;
    let filter = asked.filter(&caller)?;
    let found = if let Some(text) = asked.cursor.as_deref() {
        let (found, next) = app.store.list_opt_outs_after(&filter, long::cursor(text)?, page.page_size).await?;
        LongPage::behind_cursor(found.into_iter().map(OptOutView::from).collect(), next, &origin)
    } else {
        let listed = app.store.list_opt_outs(&filter, page).await?;
        let found = listed.results.into_iter().map(OptOutView::from).collect();
        LongPage::of(found, (listed.count, listed.is_exact), listed.next, &page, &origin)
    };
    Ok(Answer::ok("Opt-outs.", found))
}

/// Get an opt-out
///
/// With how it is known and, when it ended, how that is known.
#[utoipa::path(get, path = "/opt-outs/{id}/", tag = "contacts",
    params(("id" = String, Path, format = "uuid", description = "Id of the opt-out.")),
    responses((status = 200, description = "The opt-out.", body = Success<OptOutView>)),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn get_opt_out(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<OptOutId>,
) -> Result<Answer<OptOutView>, ApiError> {
    let found = app.store.opt_out_of_anybody(id).await?.filter(|opt_out| caller.may_see(opt_out.user_id));
    let opt_out = found.ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok("The opt-out.", opt_out.into()))
}
