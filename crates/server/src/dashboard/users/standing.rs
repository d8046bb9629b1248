//! Suspending, activating and deleting one user.

use super::find;
use crate::app::App;
use crate::dashboard::confirm::Confirm;
use crate::dashboard::render::Page;
use crate::dashboard::visitor::Visitor;
use crate::http::v1::users::change::{activate_user, deactivate_user, delete_user};
use crate::http::{ApiError, Path};
use axum::extract::State;
use axum::response::Response;
use sanasend_model::UserId;
use std::sync::Arc;

/// What deleting means.
pub const DELETING: &str = "WhatsApp accounts are logged out; messages, API keys, webhooks and files are removed. This can't be undone.";

fn place(id: UserId) -> String {
    format!("/admin/users/{id}/")
}

/// A refusal of the rules is told on the user's page; what is not there is a page of its own.
fn told(visitor: &Visitor, id: UserId, refusal: ApiError) -> Result<Response, ApiError> {
    if refusal.code.status().as_u16() == 409 { Ok(visitor.refused(&place(id), &refusal.message)) } else { Err(refusal) }
}

/// Asks before a user is suspended.
pub async fn ask_suspend(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<UserId>) -> Page {
    let user = find(&app, id).await?;
    let confirm = Confirm {
        shell: visitor.shell(format!("Suspend {}?", user.username), "users"),
        text: vec!["API keys, logins and sending stop at once. WhatsApp accounts stay linked, and the user can be activated again.".into()],
        action: format!("/admin/users/{id}/suspend/"),
        button: "Suspend",
        is_grave: true,
        back: place(id),
        hidden: Vec::new(),
        fields: Vec::new(),
    };
    confirm.show()
}

/// Suspends a user.
pub async fn suspend(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<UserId>) -> Page {
    match deactivate_user(State(app), visitor.caller.clone(), Path(id)).await {
        Ok(answer) => Ok(visitor.done(&place(id), &format!("{} is suspended.", answer.into_data().username))),
        Err(refusal) => Ok(told(&visitor, id, refusal)?),
    }
}

/// Activates a user.
pub async fn activate(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<UserId>) -> Page {
    match activate_user(State(app), visitor.caller.clone(), Path(id)).await {
        Ok(answer) => Ok(visitor.done(&place(id), &format!("{} is active again.", answer.into_data().username))),
        Err(refusal) => Ok(told(&visitor, id, refusal)?),
    }
}

/// Asks before a user is deleted.
pub async fn ask_delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<UserId>) -> Page {
    let user = find(&app, id).await?;
    let confirm = Confirm {
        shell: visitor.shell(format!("Delete {}?", user.username), "users"),
        text: vec![DELETING.to_owned()],
        action: format!("/admin/users/{id}/delete/"),
        button: "Delete for ever",
        is_grave: true,
        back: place(id),
        hidden: Vec::new(),
        fields: Vec::new(),
    };
    confirm.show()
}

/// Deletes a user.
pub async fn delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<UserId>) -> Page {
    let user = find(&app, id).await?;
    match delete_user(State(app.clone()), visitor.caller.clone(), Path(id)).await {
        // Much of it may be left, and is removed beside whatever else is done.
        Ok(_) => {
            let word = if app.store.user(id).await?.is_some() { "is being deleted" } else { "was deleted" };
            Ok(visitor.done("/admin/users/", &format!("{} {word}.", user.username)))
        }
        Err(refusal) => Ok(told(&visitor, id, refusal)?),
    }
}
