//! Conversations: whom an account writes with, by the newest message, and where nobody has answered yet.

use super::messages::choose;
use super::messages::view::{MessageView, PersonView};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, LongPage, Origin, Query, Success, long};
use axum::extract::State;
use sanasend_model::Jid;
use sanasend_store::{Chat, ChatFilter};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/chats/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default().routes(routes!(list_chats))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListChats {
    /// The place behind which to go on, from `next_cursor`; empty or left out for the start.
    #[param(pattern = "^$|^[0-9a-f]{1,15}-[0-9a-f]{1,15}$")]
    cursor: Option<String>,
    /// Entries per page, at most 100.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u64>,
    /// Only of this account: name or id.
    session: Option<String>,
    /// Only chats whose last message came in, or, when `false`, all.
    unanswered: Option<bool>,
}

/// A conversation.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Chat")]
pub(crate) struct ChatView {
    /// A person's or a group's id; `recipient` of `GET /messages/list/` takes it.
    #[schema(value_type = String, example = "12025550123@s.whatsapp.net")]
    pub(crate) chat: Jid,
    /// The account that writes there.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) session: String,
    /// With whom, by the name that your contacts have, else by the person's own where it is known; null for a group.
    pub(crate) person: Option<PersonView>,
    /// Messages that came in after the last one that went out, counted up to 100.
    #[schema(example = 2)]
    pub(crate) unanswered: u64,
    /// The newest message, whatever it is.
    pub(crate) last_message: MessageView,
}

impl From<Chat> for ChatView {
    fn from(chat: Chat) -> Self {
        let is_group = chat.last.chat.is_group();
        let last_message = MessageView::from(chat.last);
        let person = last_message.recipient.as_ref().or(last_message.sender.as_ref()).filter(|_| !is_group).cloned();
        let person = person.map(|person| PersonView { name: chat.name.or(person.name), ..person });
        let (chat_id, session) = (last_message.chat.clone(), last_message.session.clone());
        Self { chat: chat_id, session, person, unanswered: chat.unanswered, last_message }
    }
}

/// List chats
///
/// Whom your accounts write with, by the newest message of each, newest first, with how many messages nobody has answered. The
/// list goes on by `cursor`. A page looks at the last 5,000 messages behind it: where few chats hold very many, it can be shorter
/// than `page_size`, or empty, and go on.
#[utoipa::path(get, path = "/chats/", tag = "messages", params(ListChats),
    responses((status = 200, description = "One page.", body = Success<LongPage<ChatView>>)),
    extensions(("x-scope" = json!("messages:read")), ("x-error-codes" = json!(["NOT_FOUND"]))))]
pub(crate) async fn list_chats(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListChats>,
) -> Result<Answer<LongPage<ChatView>>, ApiError> {
    let page_size = long::page(None, asked.page_size)?.page_size;
    let cursor = long::cursor(asked.cursor.as_deref().unwrap_or_default())?;
    let session_id = match &asked.session {
        Some(session) => Some(choose(&app, caller.id(), Some(session)).await?.id),
        None => None,
    };
    let filter = ChatFilter { user_id: caller.id(), session_id, unanswered: asked.unanswered.unwrap_or(false) };
    let (chats, next) = app.store.chats(filter, cursor, page_size).await?;
    Ok(Answer::ok("Chats.", LongPage::behind_cursor(chats.into_iter().map(ChatView::from).collect(), next, &origin)))
}
