//! API keys: made and shown once, rotated, revoked; everybody's for admins, their own for others.

use super::confirm::Confirm;
use super::form::Form;
use super::parts::{Badge, When};
use super::render::{Page, page, with_status};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::dashboard::list::Asked;
use crate::http::v1::api_keys::change::{RotationWish, create_api_key, delete_api_key, rotate_api_key};
use crate::http::v1::api_keys::view::{NewApiKeyView, WantedKey};
use crate::http::v1::api_keys::{ApiKeyView, find};
use crate::http::{ApiError, Json, OptionalJson, Path};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use sanasend_model::{ApiKeyId, Scope, Timestamp, UserId, day};
use sanasend_store::{ApiKeyFilter, Page as Paging, StoreError, User};
use std::sync::Arc;

/// Keys that are shown on a user's page.
const SHOWN: u64 = 50;

/// A key on a page.
pub struct KeyRow {
    /// The key, without its secret.
    pub key: ApiKeyView,
    /// Whether it works.
    pub standing: Badge,
    /// Whether it can still be rotated and revoked.
    pub is_live: bool,
    /// When it was last used.
    pub used: Option<When>,
    /// When it ends by itself.
    pub ends: Option<When>,
}

impl KeyRow {
    /// Whether another key can take its place.
    pub fn can_rotate(&self) -> bool {
        self.is_live && self.key.replaced_by.is_none()
    }

    /// Whether it may do everything: then its scopes need not be listed.
    pub fn may_all(&self) -> bool {
        self.key.scopes.len() == Scope::ALL.len()
    }
}

/// The keys of a user, newest first, as far as a page shows them.
pub struct Keys {
    /// Those that are shown.
    pub rows: Vec<KeyRow>,
    /// How many more there are.
    pub more: u64,
}

impl Keys {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The keys of a user.
pub async fn keys_of(app: &App, user: UserId) -> Result<Keys, StoreError> {
    let filter = ApiKeyFilter { user_id: Some(user), ..ApiKeyFilter::default() };
    let listed = app.store.list_api_keys(&filter, Paging { page: 1, page_size: SHOWN }).await?;
    let now = app.clock.now();
    let more = listed.count.saturating_sub(SHOWN);
    Ok(Keys { rows: listed.results.into_iter().map(|key| row(ApiKeyView::of(app, key), now)).collect(), more })
}

fn row(key: ApiKeyView, now: Timestamp) -> KeyRow {
    let expired = key.expires_at.is_some_and(|at| at <= now);
    let in_grace = key.grace_until.is_some_and(|at| at > now);
    let standing = match (key.is_active, expired, key.replaced_by.is_some()) {
        (false, ..) => Badge::plain("revoked"),
        (_, true, _) => Badge::plain("expired"),
        (_, _, true) if in_grace => Badge::warn("rotated, still works"),
        (_, _, true) => Badge::plain("rotated"),
        _ => Badge::good("active"),
    };
    KeyRow {
        standing,
        is_live: key.is_active && !expired && (key.replaced_by.is_none() || in_grace),
        used: key.last_used_at.map(When),
        ends: key.expires_at.or(key.grace_until).map(When),
        key,
    }
}

#[derive(Template)]
#[template(path = "key_form.html")]
struct KeyForm {
    shell: Shell,
    form: Form,
    owner: User,
    back: String,
    scopes: Vec<(&'static str, bool)>,
}

#[derive(Template)]
#[template(path = "key_made.html")]
struct KeyMade {
    shell: Shell,
    made: NewApiKeyView,
    back: String,
    /// What became of the key that it replaces; empty for none.
    of_the_old: &'static str,
    /// The address that programs ask.
    base: String,
}

/// The page where the keys of a user are.
fn place(visitor: &Visitor, owner: UserId) -> String {
    if owner == visitor.caller.id() { "/admin/account/".to_owned() } else { format!("/admin/users/{owner}/") }
}

fn here(visitor: &Visitor, owner: UserId) -> &'static str {
    if owner == visitor.caller.id() { "account" } else { "users" }
}

/// Whose key it is to be: one's own, or anybody's for an admin.
async fn owner(app: &App, visitor: &Visitor, named: &str) -> Result<User, ApiError> {
    if named.is_empty() {
        return Ok((*visitor.caller.user).clone());
    }
    let id: UserId = named.parse().map_err(|_| ApiError::not_found())?;
    if id != visitor.caller.id() && !visitor.is_admin() {
        return Err(ApiError::not_found());
    }
    app.store.user(id).await?.ok_or_else(ApiError::not_found)
}

fn dressed(visitor: &Visitor, owner: User, form: Form) -> KeyForm {
    let ticked: Vec<&str> = form.all("scopes").collect();
    let scopes = Scope::ALL.iter().map(|scope| (scope.as_str(), ticked.contains(&scope.as_str()))).collect();
    let shell = visitor.shell("New API key", here(visitor, owner.id));
    KeyForm { shell, back: place(visitor, owner.id), scopes, form, owner }
}

/// The form for a new key, with every scope ticked.
pub async fn show_new(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let owner = owner(&app, &visitor, asked.text("user")).await?;
    let mut page_of = dressed(&visitor, owner, Form::default());
    page_of.scopes.iter_mut().for_each(|(_, ticked)| *ticked = true);
    page(&page_of)
}

/// Makes a key and shows it, this once.
pub async fn create(State(app): State<Arc<App>>, visitor: Visitor, mut form: Form) -> Page {
    let owner = owner(&app, &visitor, form.text("user")).await?;
    let expires_at = match form.some("expires_at") {
        // The day itself is still good.
        Some(text) => {
            let day = day::parse_day(&text);
            if day.is_none() {
                form.refuse("expires_at", "must be a date like 2027-01-31");
            }
            day.map(|day| Timestamp::of_day(day.saturating_add(1)))
        }
        None => None,
    };
    let networks: Vec<String> = form
        .text("allowed_ips")
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect();
    let wanted = WantedKey {
        user: Some(owner.id),
        name: form.text("name").to_owned(),
        scopes: Some(form.all("scopes").map(str::to_owned).collect()),
        allowed_ips: Some(networks),
        expires_at,
    };
    let refusal = if form.is_sound() {
        match create_api_key(State(app.clone()), visitor.caller.clone(), Json(wanted)).await {
            Ok(answer) => return made(&app, &visitor, answer.into_data(), ""),
            Err(refusal) => Some(refusal),
        }
    } else {
        None
    };
    if let Some(refusal) = refusal {
        form = form.refused(refusal)?;
    }
    with_status(form.status(), &dressed(&visitor, owner, form))
}

fn made(app: &App, visitor: &Visitor, made: NewApiKeyView, of_the_old: &'static str) -> Page {
    let owner = made.view.user;
    let base = app.config.general.public_url.as_deref().unwrap_or("$BASE").trim_end_matches('/').to_owned();
    let (shell, back) = (visitor.shell("Your new API key", here(visitor, owner)), place(visitor, owner));
    let page_of = KeyMade { shell, made, back, of_the_old, base };
    with_status(StatusCode::CREATED, &page_of)
}

/// Asks before a key is rotated.
pub async fn ask_rotate(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ApiKeyId>) -> Page {
    let key = find(&app, &visitor.caller, id).await?;
    let form = Form::of([("grace_hours", app.config.auth.rotation_grace_hours.to_string())]);
    let confirm = Confirm {
        shell: visitor.shell(format!("Rotate {}?", key.name), here(&visitor, key.user_id)),
        text: vec!["A new key with the same rights is made and shown once. The old one goes on working for a while.".into()],
        action: format!("/admin/keys/{id}/rotate/"),
        button: "Rotate",
        is_grave: false,
        back: place(&visitor, key.user_id),
        hidden: Vec::new(),
        fields: vec![form.count("grace_hours", "Hours that the old key goes on working").hint("0 to 720. 0: it stops at once.")],
    };
    confirm.show()
}

/// Rotates a key and shows the new one, this once.
pub async fn rotate(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ApiKeyId>, mut form: Form) -> Page {
    let key = find(&app, &visitor.caller, id).await?;
    let back = place(&visitor, key.user_id);
    let wish = RotationWish { grace_hours: form.some("grace_hours").map(|_| form.number("grace_hours")) };
    if !form.is_sound() {
        return Ok(visitor.refused(&back, "The key was not rotated: the hours must be a whole number."));
    }
    let is_over = wish.grace_hours == Some(0);
    let of_the_old = if is_over { "The old one has stopped working." } else { "The old one goes on working for the time that you chose." };
    match rotate_api_key(State(app.clone()), visitor.caller.clone(), Path(id), OptionalJson(wish)).await {
        Ok(answer) => made(&app, &visitor, answer.into_data(), of_the_old),
        Err(refusal) if matches!(refusal.code.status().as_u16(), 400 | 409) => {
            let why = refusal.errors.0.into_values().flatten().next().map_or(refusal.message, |why| format!("The hours {why}."));
            Ok(visitor.refused(&back, &format!("The key was not rotated. {why}")))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Asks before a key is revoked.
pub async fn ask_revoke(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ApiKeyId>) -> Page {
    let key = find(&app, &visitor.caller, id).await?;
    let confirm = Confirm {
        shell: visitor.shell(format!("Revoke {}?", key.name), here(&visitor, key.user_id)),
        text: vec!["It stops working at once, for ever. Programs that use it are refused until they have another one.".into()],
        action: format!("/admin/keys/{id}/revoke/"),
        button: "Revoke",
        is_grave: true,
        back: place(&visitor, key.user_id),
        hidden: Vec::new(),
        fields: Vec::new(),
    };
    confirm.show()
}

/// Revokes a key.
pub async fn revoke(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ApiKeyId>) -> Page {
    let key = delete_api_key(State(app), visitor.caller.clone(), Path(id)).await?.into_data();
    Ok(visitor.done(&place(&visitor, key.user), &format!("The API key {} is revoked.", key.name)))
}
