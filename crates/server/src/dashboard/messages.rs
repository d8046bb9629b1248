//! Messages: the history with filters, and one message with its timeline and file.

use super::form::Form;
use super::list::{Asked, PAGE_SIZE, Pager, with_next};
use super::live::{self, Make};
use super::owner::{acting_for, asked_or_own, names};
use super::parts::{Badge, Empty, Told, When, grouped};
use super::receipts::Receipts;
use super::render::{Page, page};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::messages::act::{cancel_message, read_message, retry_message};
use crate::http::v1::messages::media::{MediaQuery, get_message_media};
use crate::http::v1::messages::timeline::timeline;
use crate::http::v1::messages::view::{MessageView, PersonView};
use crate::http::{Answer, ApiError, Caller, ErrorCode, Path, Query};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::HeaderMap;
use chrono::NaiveDate;
use futures::TryFutureExt;
use sanasend_model::{Direction, MessageId, MessageStatus, Timestamp, UserId};
use sanasend_store::{Message, MessageFilter, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// What the list can be narrowed to.
const STATUSES: &[(&str, &str)] = &[
    ("", "Any status"),
    ("scheduled", "Scheduled"),
    ("pending", "Pending"),
    ("sent", "Sent"),
    ("delivered", "Delivered"),
    ("read", "Read"),
    ("played", "Played"),
    ("failed", "Failed"),
    ("canceled", "Canceled"),
    ("received", "Received"),
];
const DIRECTIONS: &[(&str, &str)] = &[("", "Out and in"), ("outbound", "Outbound"), ("inbound", "Inbound")];
const KINDS: &[(&str, &str)] = &[
    ("", "Any type"),
    ("text", "Text"),
    ("image", "Image"),
    ("video", "Video"),
    ("audio", "Audio"),
    ("voice_note", "Voice note"),
    ("document", "Document"),
    ("sticker", "Sticker"),
    ("location", "Location"),
    ("contact", "Contact"),
    ("poll", "Poll"),
    ("poll_vote", "Poll vote"),
    ("reaction", "Reaction"),
    ("edit", "Edit"),
    ("revoke", "Deletion"),
];
/// Characters of a text that the list shows.
const SHOWN: usize = 120;
/// Messages of a user that its page shows.
const NEWEST: u64 = 10;
const DAY: Duration = Duration::from_hours(24);

/// A message as tables show it.
pub struct Line {
    /// Its id.
    pub id: String,
    /// Whose it is; `None` where that is not shown.
    pub owner: Option<String>,
    /// Whether it was sent, and did not come in.
    pub is_out: bool,
    /// The number or the chat of the other one.
    pub person: String,
    /// The other one's name.
    pub name: Option<String>,
    /// What it is.
    pub kind: String,
    /// Its first words, in one line.
    pub text: String,
    /// All of its words.
    pub whole: String,
    /// How it stands.
    pub status: Badge,
    /// When it was made.
    pub at: When,
}

#[derive(Template)]
#[template(path = "messages.html")]
struct ListPage {
    shell: Shell,
    filters: Form,
    is_admin: bool,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    shell: Shell,
    owner: Option<(String, String)>,
    part: Part,
}

/// A message as it stands; kept up to date on the page.
#[derive(Template)]
#[template(path = "parts/message.html")]
struct Part {
    view: MessageView,
    /// What people call the account.
    session: String,
    status: Badge,
    /// What may be done with it now.
    can: Can,
    /// What the members of its group told.
    receipts: Option<Receipts>,
}

impl HtmlSafe for Part {}

struct Can {
    cancel: bool,
    retry: bool,
    read: bool,
}

impl Part {
    async fn of(app: &App, message: Message) -> Result<Self, ApiError> {
        let timeline = timeline(app, &message).await?;
        let receipts = Receipts::of(app, &message).await?;
        let session = app.store.session(message.session_id).await?.map_or_else(|| message.session_id.to_string(), |row| row.name);
        let status = message.status;
        let can = Can {
            cancel: matches!(status, MessageStatus::Pending | MessageStatus::Scheduled),
            retry: status == MessageStatus::Failed,
            read: message.direction == Direction::Inbound,
        };
        Ok(Self { view: MessageView::with_timeline(message, timeline), session, status: badge(status), can, receipts })
    }

    fn who(&self) -> (&'static str, Option<&PersonView>) {
        match &self.view.recipient {
            Some(person) => ("To", Some(person)),
            None => ("From", self.view.sender.as_ref()),
        }
    }

    fn size(&self) -> String {
        self.view.media.as_ref().map_or_else(String::new, |media| grouped(i64::try_from(media.size).unwrap_or(i64::MAX)))
    }

    fn metadata(&self) -> Option<String> {
        self.view.metadata.as_ref().and_then(|value| serde_json::to_string_pretty(value).ok())
    }
}

/// The status of a message as a word with a colour.
pub fn badge(status: MessageStatus) -> Badge {
    let text = status.as_str();
    match status {
        MessageStatus::Delivered | MessageStatus::Read | MessageStatus::Played | MessageStatus::Sent => Badge::good(text),
        MessageStatus::Pending | MessageStatus::Scheduled => Badge::warn(text),
        MessageStatus::Failed => Badge::bad(text),
        MessageStatus::Canceled | MessageStatus::Received => Badge::plain(text),
    }
}

/// The words of a message for a list.
fn said(view: &MessageView) -> Option<&str> {
    let place = || view.location.as_ref().and_then(|place| place.name.as_deref().or(place.address.as_deref()));
    let card = || view.contacts.as_ref().and_then(|cards| cards.first()).map(|card| card.name.as_str());
    let poll = || view.poll.as_ref().map(|poll| poll.question.as_str());
    let text = view.content.as_deref().or(view.caption.as_deref()).or(view.emoji.as_deref());
    text.or_else(place).or_else(card).or_else(poll)
}

/// The first words of a text, in one line.
pub fn excerpt(text: &str) -> String {
    let mut words = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = words.by_ref().take(SHOWN).collect();
    if words.next().is_some() {
        short.push('…');
    }
    short
}

/// Midnight of a day like 2026-11-21, UTC.
pub fn day(text: &str) -> Option<Timestamp> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(Timestamp(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis()))
}

/// The end of a day like 2026-11-21, UTC.
pub fn day_after(text: &str) -> Option<Timestamp> {
    day(text).map(|start| start.plus(DAY))
}

/// A message as a row.
pub fn line(message: Message, owner: Option<String>) -> Line {
    let status = badge(message.status);
    let at = When(message.created_at);
    let view = MessageView::from(message);
    let file = view.media.as_ref().and_then(|media| media.filename.as_deref());
    let whole = said(&view).filter(|text| !text.is_empty()).or(file).unwrap_or_default().to_owned();
    let text = excerpt(&whole);
    let is_out = view.recipient.is_some();
    let person = view.recipient.as_ref().or(view.sender.as_ref());
    let chat = view.chat.to_string();
    Line {
        id: view.id,
        owner,
        is_out,
        name: person.and_then(|person| person.name.clone()),
        person: person.and_then(|person| person.phone.clone()).unwrap_or(chat),
        kind: view.message_type.replace('_', " "),
        text,
        whole,
        status,
        at,
    }
}

/// The newest messages of a user, as tables on other pages show them.
///
/// # Errors
/// When the store is down.
pub async fn newest_of(app: &App, user: UserId) -> Result<Vec<Line>, StoreError> {
    let filter = MessageFilter { user_id: Some(user), ..MessageFilter::default() };
    let (found, _) = app.store.list_messages_after(&filter, None, NEWEST).await?;
    Ok(found.into_iter().map(|message| line(message, None)).collect())
}

/// Shows the list.
pub async fn list(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let filter = MessageFilter {
        user_id: asked_or_own(&visitor, &asked)?,
        session_id: asked.read("session")?,
        status: asked.read("status")?,
        kind: asked.some("type"),
        direction: asked.read("direction")?,
        from: asked.read_by("from", day)?,
        to: asked.read_by("to", day_after)?,
        search: asked.some("search"),
        ..MessageFilter::default()
    };
    let paged = |page| app.store.list_messages(&filter, page).map_ok(with_next);
    let following = |after| app.store.glance_at_messages(&filter, after, PAGE_SIZE);
    let (found, pager) = asked.long_list(filter.search.is_none(), paged, following).await?;
    let owners = names(&app, &visitor, found.iter().map(|message| message.user_id)).await?;
    let lines = found.into_iter().map(|message| {
        let owner = owners.get(&message.user_id).cloned();
        line(message, owner)
    });
    let empty = if asked.is_narrowed() {
        Empty { title: "No message fits", text: "Ask for less.", href: "/admin/messages/".into(), action: "Show all" }
    } else {
        let text = "Messages that are sent or come in are listed here.";
        Empty { title: "No messages yet", text, href: "/admin/messages/new/".into(), action: "Send a message" }
    };
    page(&ListPage {
        shell: visitor.shell("Messages", "messages"),
        filters: asked.kept(["search", "status", "direction", "type", "from", "to", "session", "user"]),
        is_admin: visitor.is_admin(),
        lines: lines.collect(),
        pager,
        empty,
    })
}

/// A message, and the caller that its handlers are given.
///
/// # Errors
/// `NOT_FOUND` when it is another user's, unless the visitor is an admin.
pub async fn find(app: &App, visitor: &Visitor, id: MessageId) -> Result<(Message, Caller), ApiError> {
    let message = app.store.message(None, id).await?.ok_or_else(ApiError::not_found)?;
    let caller = acting_for(app, visitor, message.user_id).await?;
    Ok((message, caller))
}

/// Shows one.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<MessageId>) -> Page {
    let (message, caller) = find(&app, &visitor, id).await?;
    let owner = visitor.is_admin().then(|| (caller.user.id.to_string(), caller.user.username.clone()));
    page(&MessagePage { shell: visitor.shell("Message", "messages"), owner, part: Part::of(&app, message).await? })
}

/// One, live.
pub async fn follow(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<MessageId>) -> Page {
    find(&app, &visitor, id).await?;
    let seen = app.clone();
    let make: Make = Box::new(move || {
        let app = seen.clone();
        Box::pin(async move {
            let message = app.store.message(None, id).await.ok().flatten()?;
            Part::of(&app, message).await.ok()?.render().ok()
        })
    });
    Ok(live::follow_events(app, visitor, make)?)
}

/// Its file, always to be saved and never shown as a page.
pub async fn media(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<MessageId>,
    query: Query<MediaQuery>,
    headers: HeaderMap,
) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    Ok(get_message_media(State(app), caller, Path(id), query, headers).await?)
}

fn told(visitor: &Visitor, id: MessageId, done: Result<Answer<MessageView>, ApiError>) -> Page {
    let back = format!("/admin/messages/{id}/");
    match done {
        Ok(answer) => Ok(visitor.done(&back, &answer.body().message)),
        Err(refusal) if refusal.code == ErrorCode::NotFound => Err(refusal.into()),
        Err(refusal) => Ok(visitor.refused(&back, &refusal.message)),
    }
}

/// Takes it back.
pub async fn cancel(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<MessageId>) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    told(&visitor, id, cancel_message(State(app), caller, Path(id)).await)
}

/// Tries it again.
pub async fn retry(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<MessageId>) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    told(&visitor, id, retry_message(State(app), caller, Path(id)).await)
}

/// Tells its sender that it was read.
pub async fn mark_read(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<MessageId>) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    told(&visitor, id, read_message(State(app), caller, Path(id)).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_in_utc() {
        assert_eq!(day("2026-11-21"), Timestamp::parse("2026-11-21T00:00:00Z"));
        assert_eq!(day_after("2026-11-21"), Timestamp::parse("2026-11-22T00:00:00Z"));
        assert_eq!(day("yesterday"), None);
    }

    #[test]
    fn an_excerpt_is_one_line_of_bounded_length() {
        assert_eq!(excerpt("a\nb"), "a b");
        let long = excerpt(&"ä".repeat(500));
        assert_eq!((long.chars().count(), long.ends_with('…')), (SHOWN + 1, true));
    }
}
