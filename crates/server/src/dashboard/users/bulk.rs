//! Several users at once: each is treated as if it were the only one, and what was refused is told.

use crate::app::App;
use crate::dashboard::confirm::Confirm;
use crate::dashboard::form::Form;
use crate::dashboard::render::Page;
use crate::dashboard::visitor::Visitor;
use crate::http::v1::users::change::{activate_user, deactivate_user, delete_user};
use crate::http::{ApiError, Path};
use axum::extract::State;
use sanasend_model::UserId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Users that one form may name.
const MOST: usize = 100;
const LIST: &str = "/admin/users/";

/// Does what the form says to those that are ticked.
pub async fn act(State(app): State<Arc<App>>, visitor: Visitor, form: Form) -> Page {
    let chosen: BTreeSet<UserId> = form.all("user").filter_map(|id| id.parse().ok()).take(MOST).collect();
    if chosen.is_empty() {
        return Ok(visitor.refused(LIST, "Tick the users first, then choose what to do with them."));
    }
    let act = form.text("act");
    if act == "delete" && !form.is_on("confirmed") {
        return ask(&app, &visitor, chosen).await;
    }
    let (mut done, mut refused) = (0_usize, Vec::new());
    for id in chosen {
        match one(&app, &visitor, act, id).await {
            Ok(()) => done += 1,
            Err(refusal) => refused.push(refusal.message),
        }
    }
    let word = match act {
        "suspend" => "suspended",
        "activate" => "activated",
        _ => "deleted",
    };
    let said = if done == 1 { format!("1 user was {word}.") } else { format!("{done} users were {word}.") };
    Ok(match refused.first() {
        None => visitor.done(LIST, &said),
        Some(first) => visitor.refused(LIST, &format!("{said} {} could not be: {first}", refused.len())),
    })
}

async fn one(app: &Arc<App>, visitor: &Visitor, act: &str, id: UserId) -> Result<(), ApiError> {
    let (app, caller) = (State(app.clone()), visitor.caller.clone());
    match act {
        "suspend" => deactivate_user(app, caller, Path(id)).await.map(drop),
        "activate" => activate_user(app, caller, Path(id)).await.map(drop),
        "delete" => delete_user(app, caller, Path(id)).await.map(drop),
        _ => Err(ApiError::field("act", "choose what to do")),
    }
}

async fn ask(app: &App, visitor: &Visitor, chosen: BTreeSet<UserId>) -> Page {
    let names = app.store.usernames(chosen.iter().copied()).await?;
    let mut names: Vec<String> = names.into_values().collect();
    names.sort_unstable();
    let title = if names.len() == 1 { "Delete this user?".to_owned() } else { format!("Delete these {} users?", names.len()) };
    let mut hidden = vec![("act", "delete".to_owned()), ("confirmed", "on".to_owned())];
    hidden.extend(chosen.into_iter().map(|id| ("user", id.to_string())));
    let confirm = Confirm {
        shell: visitor.shell(title, "users"),
        text: vec![names.join(", "), super::standing::DELETING.to_owned()],
        action: "/admin/users/bulk/".to_owned(),
        button: "Delete for ever",
        is_grave: true,
        back: LIST.to_owned(),
        hidden,
        fields: Vec::new(),
    };
    confirm.show()
}
