//! Your own account: keys, usage, limits, password.

use super::chart::Chart;
use super::figures::{self, Limit};
use super::form::Form;
use super::keys::{Keys, keys_of};
use super::login::begin;
use super::render::{Page, page, with_status};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::auth::replace_password;
use crate::http::v1::usage;
use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use sanasend_store::User;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    shell: Shell,
    user: Arc<User>,
    chart: Chart,
    limits: Vec<Limit>,
    keys: Keys,
}

#[derive(Template)]
#[template(path = "account_password.html")]
struct PasswordPage {
    shell: Shell,
    form: Form,
}

/// Shows the page.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    let user = visitor.caller.user.clone();
    let usage = usage::report(&app, &user, None).await?;
    let page_of = AccountPage {
        shell: visitor.shell("Your account", "account"),
        chart: figures::own_messages(&usage),
        limits: figures::limits(&usage),
        keys: keys_of(&app, user.id).await?,
        user,
    };
    page(&page_of)
}

fn dressed(visitor: &Visitor, form: Form) -> PasswordPage {
    PasswordPage { shell: visitor.shell("Change your password", "account"), form }
}

/// The form for another password.
pub async fn show_password(visitor: Visitor) -> Page {
    page(&dressed(&visitor, Form::default()))
}

/// Changes the password. All logins end but this browser's, which gets a new one.
pub async fn change_password(State(app): State<Arc<App>>, visitor: Visitor, headers: HeaderMap, mut form: Form) -> Page {
    let (current, new) = (form.text("current_password").to_owned(), form.text("new_password").to_owned());
    if form.text("again") != new {
        form.refuse("again", "is not the same");
        form = form.without("current_password").without("new_password").without("again");
        return with_status(form.status(), &dressed(&visitor, form));
    }
    match replace_password(&app, &visitor.caller, current, new).await {
        Ok(user) => {
            let mut response = visitor.done("/admin/account/", "Your password was changed. Your other logins have ended.");
            begin(&app, &user, &visitor.look, visitor.caller.ip, &headers, response.headers_mut()).await?;
            Ok(response)
        }
        Err(refusal) => {
            let page_of = dressed(&visitor, form.without("current_password").without("new_password").without("again").refused(refusal)?);
            let mut response = with_status(page_of.form.status(), &page_of)?;
            page_of.form.tell_wait(response.headers_mut());
            Ok(response)
        }
    }
}
