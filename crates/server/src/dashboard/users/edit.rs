//! Making and changing users.

use super::find;
use crate::app::App;
use crate::dashboard::form::{Field, Form};
use crate::dashboard::render::{Page, page, with_status};
use crate::dashboard::visitor::{Shell, Visitor};
use crate::http::v1::users::change::{create_user, update_user};
use crate::http::v1::users::view::{PartOfUser, WholeUser};
use crate::http::{ApiError, Json, Path};
use askama::Template;
use axum::extract::State;
use sanasend_model::{UserId, user};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "user_form.html")]
struct UserForm {
    shell: Shell,
    form: Form,
    action: String,
    back: String,
    is_new: bool,
}

impl UserForm {
    fn fields(&self) -> Vec<Field> {
        let form = &self.form;
        let mut fields = vec![
            form.line("username", "Username").hint("3 to 64 of a-z, 0-9 and . _ - @; kept in lower case.").first(),
            form.line("email", "E-mail").filled_by("off"),
        ];
        if self.is_new {
            fields.push(form.password("password", "Password", "new-password").hint("At least 10 characters. The user can change it."));
        }
        fields
    }

    fn limits(&self) -> [Field; 3] {
        let form = &self.form;
        [
            form.count("max_messages_per_day", "Messages per day"),
            form.count("max_messages_per_minute", "Messages per minute"),
            form.count("max_sessions", "WhatsApp accounts"),
        ]
    }

    fn ticks(&self) -> [Field; 2] {
        let form = &self.form;
        [
            form.tick("is_active", "Active").hint("Without it no key, no login and no sending works."),
            form.tick("is_admin", "Admin").hint("Admins manage users and see everything."),
        ]
    }
}

/// The form for a new user.
pub async fn show_new(visitor: Visitor) -> Page {
    let form = Form::of([
        ("is_active", "on".into()),
        ("max_messages_per_day", user::DEFAULT_MESSAGES_PER_DAY.to_string()),
        ("max_messages_per_minute", user::DEFAULT_MESSAGES_PER_MINUTE.to_string()),
        ("max_sessions", user::DEFAULT_MAX_SESSIONS.to_string()),
    ]);
    page(&new_form(&visitor, form))
}

fn new_form(visitor: &Visitor, form: Form) -> UserForm {
    let back = "/admin/users/".to_owned();
    UserForm { shell: visitor.shell("New user", "users"), form, action: "/admin/users/new/".into(), back, is_new: true }
}

/// Makes a user.
pub async fn create(State(app): State<Arc<App>>, visitor: Visitor, mut form: Form) -> Page {
    let whole = WholeUser {
        username: form.text("username").to_owned(),
        email: form.text("email").to_owned(),
        password: Some(form.text("password").to_owned()),
        is_active: form.is_on("is_active"),
        is_admin: form.is_on("is_admin"),
        max_messages_per_day: form.number("max_messages_per_day"),
        max_messages_per_minute: form.number("max_messages_per_minute"),
        max_sessions: form.number("max_sessions"),
    };
    let refusal = if form.is_sound() {
        match create_user(State(app), visitor.caller.clone(), Json(whole)).await {
            Ok(answer) => {
                let user = answer.into_data();
                return Ok(visitor.done(&format!("/admin/users/{}/", user.id), &format!("The user {} was created.", user.username)));
            }
            Err(refusal) => Some(refusal),
        }
    } else {
        None
    };
    again(new_form(&visitor, form), refusal)
}

/// Shows a form again with what was wrong with it.
fn again(mut page: UserForm, refusal: Option<ApiError>) -> Page {
    if let Some(refusal) = refusal {
        page.form = page.form.refused(refusal)?;
    }
    with_status(page.form.status(), &page)
}

/// The form for a user that is there.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<UserId>) -> Page {
    let user = find(&app, id).await?;
    let tick = |is: bool| if is { "on".to_owned() } else { String::new() };
    let form = Form::of([
        ("username", user.username.clone()),
        ("email", user.email),
        ("is_active", tick(user.is_active)),
        ("is_admin", tick(user.is_admin)),
        ("max_messages_per_day", user.max_messages_per_day.to_string()),
        ("max_messages_per_minute", user.max_messages_per_minute.to_string()),
        ("max_sessions", user.max_sessions.to_string()),
    ]);
    page(&edit_form(&visitor, id, &user.username, form))
}

fn edit_form(visitor: &Visitor, id: UserId, username: &str, form: Form) -> UserForm {
    UserForm {
        shell: visitor.shell(format!("Edit {username}"), "users"),
        form,
        action: format!("/admin/users/{id}/edit/"),
        back: format!("/admin/users/{id}/"),
        is_new: false,
    }
}

/// Changes a user.
pub async fn change(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<UserId>, mut form: Form) -> Page {
    let before = find(&app, id).await?;
    let part = PartOfUser {
        username: Some(form.text("username").to_owned()),
        email: Some(form.text("email").to_owned()),
        password: None,
        is_active: Some(form.is_on("is_active")),
        is_admin: Some(form.is_on("is_admin")),
        max_messages_per_day: Some(form.number("max_messages_per_day")),
        max_messages_per_minute: Some(form.number("max_messages_per_minute")),
        max_sessions: Some(form.number("max_sessions")),
    };
    let refusal = if form.is_sound() {
        match update_user(State(app), visitor.caller.clone(), Path(id), Json(part)).await {
            Ok(answer) => {
                let text = format!("The user {} was changed.", answer.into_data().username);
                return Ok(visitor.done(&format!("/admin/users/{id}/"), &text));
            }
            Err(refusal) => Some(refusal),
        }
    } else {
        None
    };
    again(edit_form(&visitor, id, &before.username, form), refusal)
}
