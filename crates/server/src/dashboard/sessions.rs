//! Linked accounts: the list, one of them live, linking a phone, and leaving again.

use super::account_health::AccountHealth;
use super::confirm::Confirm;
use super::form::Form;
use super::list::{Asked, Heading, Pager};
use super::live::{self, Make};
use super::owner::{acting_for, asked_or_own, names};
use super::parts::{Badge, Empty, Told, When};
use super::render::{Page, page, with_status};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::sessions::link::{InitSession, Passkey, answer_passkey, confirm_passkey, init_session};
use crate::http::v1::sessions::manage::{Disconnect, Which, delete_session, disconnect_session, reconnect_session};
use crate::http::v1::sessions::view::SessionView;
use crate::http::v1::sessions::{manage, view};
use crate::http::{ApiError, Caller, ErrorCode, Json, OptionalJson, Path, Query};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use sanasend_model::{SessionId, SessionStatus};
use sanasend_store::{Session, SessionFilter};
use std::sync::Arc;

/// What the list can be narrowed to.
const STATUSES: &[(&str, &str)] = &[
    ("", "Any status"),
    ("connected", "Connected"),
    ("connecting", "Connecting"),
    ("qr_pending", "QR pending"),
    ("passkey_required", "Passkey required"),
    ("degraded", "Degraded"),
    ("disconnected", "Disconnected"),
    ("logged_out", "Logged out"),
    ("failed", "Failed"),
];

struct Line {
    id: String,
    name: String,
    owner: Option<String>,
    push_name: Option<String>,
    phone: Option<String>,
    status: Badge,
    reason: Option<String>,
    last_active: Option<When>,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct ListPage {
    shell: Shell,
    filters: Form,
    headings: [Heading; 3],
    is_admin: bool,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

#[derive(Template)]
#[template(path = "session_new.html")]
struct NewPage {
    shell: Shell,
    form: Form,
}

#[derive(Template)]
#[template(path = "session.html")]
struct SessionPage {
    shell: Shell,
    owner: Option<(String, String)>,
    id: String,
    part: Part,
    health: Option<AccountHealth>,
}

/// How a session stands at this moment; kept up to date on the page.
#[derive(Template)]
#[template(path = "parts/session.html")]
struct Part {
    view: SessionView,
    status: Badge,
    is_linking: bool,
}

impl HtmlSafe for Part {}

impl Part {
    fn of(app: &App, row: Session) -> Self {
        let status = app.sessions.live(&row).status;
        let is_linking = matches!(status, SessionStatus::QrPending | SessionStatus::PasskeyRequired | SessionStatus::Connecting);
        Self { view: manage::view(app, row), status: Badge::session(status), is_linking }
    }

    fn qr(&self) -> Option<&view::QrView> {
        self.view.qr_code.as_ref()
    }

    /// Four and four, as the phone asks for them.
    fn pairing_code(&self) -> Option<(String, When, i64)> {
        let code = self.view.pairing_code.as_ref()?;
        let text = match code.code.split_at_checked(4) {
            Some((first, second)) if !second.starts_with('-') => format!("{first}-{second}"),
            _ => code.code.clone(),
        };
        Some((text, When(code.expires_at), code.expires_at.0))
    }
}

/// Shows the list.
pub async fn list(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let filter = SessionFilter {
        user_id: asked_or_own(&visitor, &asked)?,
        status: asked.read("status")?,
        search: asked.some("search"),
        ordering: asked.ordering(),
    };
    let listed = app.store.list_sessions(&filter, asked.page()).await?;
    let owners = names(&app, &visitor, listed.results.iter().map(|row| row.user_id)).await?;
    let pager = asked.pager(&listed);
    let lines = listed.results.into_iter().map(|row| {
        let live = app.sessions.live(&row);
        Line {
            id: row.id.to_string(),
            owner: owners.get(&row.user_id).cloned(),
            push_name: live.push_name.clone(),
            phone: live.phone.as_ref().map(ToString::to_string),
            status: Badge::session(live.status),
            reason: live.reason.as_ref().map(ToString::to_string),
            last_active: app.sessions.last_active(&row).map(When),
            name: row.name,
        }
    });
    let empty = if asked.is_narrowed() {
        Empty { title: "No session fits", text: "Ask for less.", href: "/admin/sessions/".into(), action: "Show all" }
    } else {
        let text = "Link a phone: scan a QR code with it, or type a code on it.";
        Empty { title: "No WhatsApp account is linked yet", text, href: "/admin/sessions/new/".into(), action: "Link a phone" }
    };
    page(&ListPage {
        shell: visitor.shell("Sessions", "sessions"),
        filters: asked.kept(["search", "status", "user", "ordering"]),
        headings: [asked.heading("Name", "name"), asked.heading("Status", "status"), asked.heading("Last active", "last_active_at")],
        is_admin: visitor.is_admin(),
        lines: lines.collect(),
        pager,
        empty,
    })
}

/// Shows the form to link a phone.
pub async fn ask_new(visitor: Visitor) -> Page {
    let form = Form::of([("name", "default".into())]);
    page(&NewPage { shell: visitor.shell("Link a phone", "sessions"), form })
}

/// Starts linking, and leads to the page with the code.
pub async fn create(State(app): State<Arc<App>>, visitor: Visitor, form: Form) -> Page {
    let asked = InitSession { name: form.some("name"), phone_number: form.some("phone_number") };
    let made = init_session(State(app), visitor.caller.clone(), Query(Which::default()), OptionalJson(asked)).await;
    match made {
        Ok(answer) => Ok(Redirect::to(&format!("/admin/sessions/{}/", answer.into_data().id)).into_response()),
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &NewPage { shell: visitor.shell("Link a phone", "sessions"), form })
        }
    }
}

/// A session, and the caller that its handlers are given.
pub(super) async fn find(app: &App, visitor: &Visitor, id: SessionId) -> Result<(Session, Caller), ApiError> {
    let row = app.store.session(id).await?.ok_or_else(ApiError::not_found)?;
    let caller = acting_for(app, visitor, row.user_id).await?;
    app.sessions.look(&row).await;
    Ok((row, caller))
}

/// Shows one.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>) -> Page {
    let (row, caller) = find(&app, &visitor, id).await?;
    let owner = visitor.is_admin().then(|| (caller.user.id.to_string(), caller.user.username.clone()));
    let shell = visitor.shell(format!("Session {}", row.name), "sessions");
    let health = if row.linked { Some(AccountHealth::of(&app, &row).await?) } else { None };
    page(&SessionPage { shell, owner, id: id.to_string(), part: Part::of(&app, row), health })
}

/// One, live.
pub async fn follow(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>) -> Page {
    find(&app, &visitor, id).await?;
    let seen = app.clone();
    let make: Make = Box::new(move || {
        let app = seen.clone();
        Box::pin(async move {
            let row = app.store.session(id).await.ok().flatten()?;
            app.sessions.look(&row).await;
            Part::of(&app, row).render().ok()
        })
    });
    Ok(live::follow_events(app, visitor, make)?)
}

fn which(id: SessionId) -> Query<Which> {
    Query(Which { session: Some(id.to_string()) })
}

/// The answer of an action: back to the session, with what was done or why it was not.
fn told<T>(visitor: &Visitor, id: SessionId, done: Result<crate::http::Answer<T>, ApiError>) -> Page {
    let back = format!("/admin/sessions/{id}/");
    match done {
        Ok(answer) => Ok(visitor.done(&back, &answer.body().message)),
        Err(refusal) if refusal.code == ErrorCode::NotFound => Err(refusal.into()),
        Err(refusal) => Ok(visitor.refused(&back, &refusal.message)),
    }
}

/// Starts linking again, by the QR code or, with a number, by a pairing code.
pub async fn relink(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>, form: Form) -> Page {
    let (row, caller) = find(&app, &visitor, id).await?;
    let asked = InitSession { name: Some(row.name), phone_number: form.some("phone_number") };
    let begun = init_session(State(app), caller, Query(Which::default()), OptionalJson(asked)).await;
    let begun = begun.map_err(|refusal| match refusal.errors.0.get("phone_number") {
        Some(messages) => ApiError { message: format!("The phone number {}.", messages.join("; ")), ..refusal },
        None => refusal,
    });
    told(&visitor, id, begun)
}

/// Brings it online.
pub async fn reconnect(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    told(&visitor, id, reconnect_session(State(app), caller, which(id)).await)
}

/// Takes it offline, still linked.
pub async fn go_offline(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    told(&visitor, id, disconnect_session(State(app), caller, which(id), OptionalJson(Disconnect { logout: false })).await)
}

/// Asks before it is unlinked.
pub async fn ask_log_out(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>) -> Page {
    let (row, _) = find(&app, &visitor, id).await?;
    Confirm {
        shell: visitor.shell(format!("Log out {}?", row.name), "sessions"),
        text: vec![
            "WhatsApp removes this device from the account. What waits to be sent fails.".into(),
            "To use the account here again, it has to be linked anew.".into(),
        ],
        action: format!("/admin/sessions/{id}/logout/"),
        button: "Log out",
        is_grave: true,
        back: format!("/admin/sessions/{id}/"),
        hidden: Vec::new(),
        fields: Vec::new(),
    }
    .show()
}

/// Unlinks it, or gives up linking.
pub async fn log_out(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    told(&visitor, id, disconnect_session(State(app), caller, which(id), OptionalJson(Disconnect { logout: true })).await)
}

/// Asks before it is deleted.
pub async fn ask_delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>) -> Page {
    let (row, _) = find(&app, &visitor, id).await?;
    Confirm {
        shell: visitor.shell(format!("Delete {}?", row.name), "sessions"),
        text: vec!["The account is logged out, and the session is removed with all its messages.".into()],
        action: format!("/admin/sessions/{id}/delete/"),
        button: "Delete the session",
        is_grave: true,
        back: format!("/admin/sessions/{id}/"),
        hidden: Vec::new(),
        fields: Vec::new(),
    }
    .show()
}

/// Deletes it.
pub async fn delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    let answer = delete_session(State(app), caller, Path(id)).await?;
    Ok(visitor.done("/admin/sessions/", &answer.body().message))
}

/// Hands over the passkey that the person made on another page.
pub async fn passkey(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>, form: Form) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    let Ok(credential) = serde_json::from_str(form.text("credential")) else {
        return Ok(visitor.refused(&format!("/admin/sessions/{id}/"), "The passkey must be the JSON that the browser made."));
    };
    told(&visitor, id, answer_passkey(State(app), caller, which(id), Json(Passkey { credential })).await)
}

/// Says that the code on the phone is the same.
pub async fn passkey_seen(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    told(&visitor, id, confirm_passkey(State(app), caller, which(id)).await)
}
