//! A new password for somebody who forgot theirs.

use super::find;
use crate::app::App;
use crate::dashboard::form::Form;
use crate::dashboard::render::{Page, page, with_status};
use crate::dashboard::visitor::{Shell, Visitor};
use crate::http::v1::users::change::{NewPassword, reset_user_password};
use crate::http::{Json, Path};
use askama::Template;
use axum::extract::State;
use sanasend_model::UserId;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "user_password.html")]
struct PasswordPage {
    shell: Shell,
    form: Form,
    id: UserId,
}

fn dressed(visitor: &Visitor, id: UserId, username: &str, form: Form) -> PasswordPage {
    PasswordPage { shell: visitor.shell(format!("New password for {username}"), "users"), form, id }
}

/// The form.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<UserId>) -> Page {
    let user = find(&app, id).await?;
    page(&dressed(&visitor, id, &user.username, Form::default()))
}

/// Sets it; all logins of the user end.
pub async fn reset(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<UserId>, form: Form) -> Page {
    let user = find(&app, id).await?;
    let new = NewPassword { password: form.text("password").to_owned() };
    match reset_user_password(State(app), visitor.caller.clone(), Path(id), Json(new)).await {
        // Who resets their own password has ended their own login as well.
        Ok(_) => Ok(visitor.done(&format!("/admin/users/{id}/"), &format!("{} has a new password.", user.username))),
        Err(refusal) => {
            let form = form.without("password").refused(refusal)?;
            with_status(form.status(), &dressed(&visitor, id, &user.username, form))
        }
    }
}
