//! Conversations: the list of them, and one with a field to answer in.
//!
//! A conversation has no id of its own; the address names one of its messages. Only its owner writes there: an admin reads.

use super::form::Form;
use super::list::{Asked, PAGE_SIZE, Pager};
use super::live::{self, Make};
use super::messages::{Line, find, line};
use super::once::Once;
use super::owner::{address_of, one_asked_or_own};
use super::parts::Empty;
use super::render::{Page, page};
use super::send::{again, request, said_of};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::messages::send::{SendText, send_text};
use crate::http::{ApiError, Path};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use sanasend_model::{MessageId, UserId};
use sanasend_store::{Chat, ChatFilter, Cursor, Message, MessageFilter, StoreError, UNANSWERED};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// Messages that a conversation shows at once.
const SHOWN: u64 = 50;
/// Which chats the list can be narrowed to.
const WAITING: &[(&str, &str)] = &[("", "All"), ("yes", "Not answered yet")];

/// A conversation in the list.
struct Row {
    line: Line,
    /// What people call the account.
    account: String,
    /// How many messages nobody has answered, as it is shown; empty for none.
    waits: String,
}

#[derive(Template)]
#[template(path = "chats.html")]
struct ListPage {
    shell: Shell,
    filters: Form,
    rows: Vec<Row>,
    pager: Pager,
    empty: Empty,
    session: String,
    user: String,
}

/// The messages of a conversation; kept up to date on the page.
#[derive(Template)]
#[template(path = "parts/chat.html")]
struct Part {
    lines: Vec<Line>,
}

impl HtmlSafe for Part {}

#[derive(Template)]
#[template(path = "chat.html")]
struct ChatPage {
    shell: Shell,
    /// The other one's name, or the number, or the group's id.
    title: String,
    /// The number, or the group's id, where that is not the title.
    person: Option<String>,
    /// What people call the account, and its id.
    account: (String, String),
    /// The message in the address.
    id: String,
    /// The address of the list.
    list: String,
    part: Part,
    /// Leads to what was before.
    earlier: Option<String>,
    /// Whether the newest messages are shown.
    is_newest: bool,
    /// The form to answer with, and its key; `None` for who may only look.
    write: Option<(Form, Once)>,
}

impl ChatPage {
    fn action(&self) -> String {
        format!("/admin/messages/{}/chat/", self.id)
    }
}

/// Shows the list: one's own, or for admins that of the user in the address.
pub async fn list(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let owner = one_asked_or_own(&visitor, &asked)?;
    let unanswered = asked.one_of("waiting", WAITING)? == "yes";
    let filter = ChatFilter { user_id: owner, session_id: asked.read("session")?, unanswered };
    let (found, pager) = asked.uncounted(|after| app.store.chats(filter, after, PAGE_SIZE)).await?;
    let names = accounts(&app, owner, &found).await?;
    let rows = found.into_iter().map(|chat| {
        let account = names.get(&chat.last.session_id.0).cloned().unwrap_or_default();
        let waits = match chat.unanswered {
            0 => String::new(),
            UNANSWERED => format!("{UNANSWERED} or more"),
            count => count.to_string(),
        };
        let group = chat.last.chat.is_group().then(|| format!("Group {}", chat.last.chat));
        let line = line(chat.last, None);
        let line = match group {
            Some(person) => Line { person, name: None, ..line },
            None => Line { name: chat.name.or(line.name), ..line },
        };
        Row { line, account, waits }
    });
    let empty = if asked.is_filtered() {
        Empty { title: "No chat fits", text: "Nobody waits for an answer here.", href: "/admin/chats/".into(), action: "Show all" }
    } else {
        let text = "Whom you write with, and who writes to you, is listed here.";
        Empty { title: "No chats yet", text, href: "/admin/messages/new/".into(), action: "Send a message" }
    };
    page(&ListPage {
        shell: visitor.shell("Chats", "chats"),
        filters: Form::of([("waiting", asked.text("waiting").to_owned())]),
        rows: rows.collect(),
        pager,
        empty,
        session: asked.text("session").to_owned(),
        user: asked.text("user").to_owned(),
    })
}

/// What people call the accounts of these chats.
async fn accounts(app: &App, owner: UserId, chats: &[Chat]) -> Result<HashMap<uuid::Uuid, String>, StoreError> {
    let mut names = HashMap::new();
    for chat in chats {
        let id = chat.last.session_id;
        if !names.contains_key(&id.0)
            && let Some(session) = app.store.session(id).await?.filter(|session| session.user_id == owner)
        {
            names.insert(id.0, session.name);
        }
    }
    Ok(names)
}

/// The messages of a conversation behind a cursor, oldest first, and the cursor behind them.
async fn messages(app: &App, of: &Message, before: Option<Cursor>) -> Result<(Vec<Message>, Option<Cursor>), StoreError> {
    let filter = MessageFilter {
        user_id: Some(of.user_id),
        session_id: Some(of.session_id),
        recipient: Some(of.chat.to_string()),
        ..MessageFilter::default()
    };
    let (mut found, next) = app.store.list_messages_after(&filter, before, SHOWN).await?;
    // Whom a group's message came from is not a chat of its own.
    found.retain(|message| message.chat.is_group() == of.chat.is_group());
    found.reverse();
    Ok((found, next))
}

impl Part {
    fn of(messages: Vec<Message>) -> Self {
        Self { lines: messages.into_iter().map(|message| line(message, None)).collect() }
    }
}

fn address(id: MessageId) -> String {
    format!("/admin/messages/{id}/chat/")
}

/// The page around a conversation. `before` is where it goes on from into the past.
async fn chat_page(app: &App, visitor: &Visitor, of: Message, before: Option<Cursor>, form: (Form, Once)) -> Result<ChatPage, ApiError> {
    let (found, next) = messages(app, &of, before).await?;
    let session = app.store.session(of.session_id).await?.map_or_else(|| of.session_id.to_string(), |row| row.name);
    let is_own = of.user_id == visitor.caller.id();
    let (id, account, list) = (of.id, of.session_id.to_string(), address_of(visitor, "/admin/chats/", of.user_id));
    let is_group = of.chat.is_group();
    let group = of.chat.to_string();
    let known = app.store.contact_names(of.user_id, std::slice::from_ref(&of.peer)).await?.pop().flatten();
    let with = line(of, None);
    let person = if is_group { group } else { with.person };
    let name = known.or(with.name).filter(|_| !is_group);
    let title = name.clone().unwrap_or_else(|| person.clone());
    Ok(ChatPage {
        shell: visitor.shell(format!("Chat with {title}"), "chats"),
        title,
        person: name.map(|_| person),
        account: (session, account),
        id: id.to_string(),
        list,
        part: Part::of(found),
        earlier: next.map(|next| format!("{}?before={next}", address(id))),
        is_newest: before.is_none(),
        write: (is_own && before.is_none()).then_some(form),
    })
}

/// Shows one.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<MessageId>, asked: Asked) -> Page {
    let (message, _) = find(&app, &visitor, id).await?;
    let before = asked.read("before")?;
    let form = (Form::default(), Once::new(&app));
    page(&chat_page(&app, &visitor, message, before, form).await?)
}

/// One, live.
pub async fn follow(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<MessageId>) -> Page {
    let (message, _) = find(&app, &visitor, id).await?;
    let seen = app.clone();
    let make: Make = Box::new(move || {
        let (app, message) = (seen.clone(), message.clone());
        Box::pin(async move { Part::of(messages(&app, &message, None).await.ok()?.0).render().ok() })
    });
    Ok(live::follow_events(app, visitor, make)?)
}

/// Sends an answer.
pub async fn write(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<MessageId>, once: Once, form: Form) -> Page {
    let (message, _) = find(&app, &visitor, id).await?;
    let back = address(id);
    if message.user_id != visitor.caller.id() {
        return Ok(visitor.refused(&back, "Only the owner of a chat writes there."));
    }
    let asked = SendText {
        recipient: message.chat.to_string(),
        // Browsers send line ends as in letters of old.
        content: form.text("content").replace("\r\n", "\n"),
        link_preview: None,
        session: Some(message.session_id.to_string()),
        reply_to: None,
        metadata: None,
        scheduled_at: None,
        quiet_hours: None,
        expires_at: None,
    };
    let said = json!([asked.recipient, asked.content, asked.session]);
    let (query, key, body) = request(asked, &said, once);
    match send_text(State(app.clone()), visitor.caller.clone(), query, key, body).await {
        Ok(answer) => Ok(visitor.done(&format!("{back}#write"), said_of(&answer))),
        Err(refusal) => again(once.refused(&app, form, refusal)?, |form| chat_page(&app, &visitor, message, None, form)).await,
    }
}
