//! Several users at once: each is treated as if it were the only one, and what was refused is told. It ends where it began: in
//! the list as it was asked for.

use crate::app::App;
use crate::dashboard::confirm::Confirm;
use crate::dashboard::form::Form;
use crate::dashboard::list::Asked;
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
/// Where the form is sent.
pub const HERE: &str = "/admin/users/bulk/";
/// What can be done, and how it is told afterwards.
const ACTS: [(&str, &str); 3] = [("suspend", "suspended"), ("activate", "activated"), ("delete", "deleted")];

/// Does what the form says to those that are ticked.
pub async fn act(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked, form: Form) -> Page {
    let back = asked.at(LIST);
    let Some((act, word)) = ACTS.into_iter().find(|(act, _)| *act == form.text("act")) else {
        return Ok(visitor.refused(&back, "Choose what to do with them: suspend, activate or delete. Nothing was done."));
    };
    let chosen: BTreeSet<UserId> = form.all("user").filter_map(|id| id.parse().ok()).take(MOST).collect();
    if chosen.is_empty() {
        return Ok(visitor.refused(&back, "Tick the users first, then choose what to do with them."));
    }
    if act == "delete" && !form.is_on("confirmed") {
        return ask(&app, &visitor, &asked, chosen).await;
    }
    let (mut done, mut refused) = (0_usize, Vec::new());
    for id in chosen {
        match one(&app, &visitor, act, id).await {
            Ok(()) => done += 1,
            Err(refusal) => refused.push(refusal.message),
        }
    }
    let said = if done == 1 { format!("1 user was {word}.") } else { format!("{done} users were {word}.") };
    Ok(match refused.first() {
        None => visitor.done(&back, &said),
        Some(first) => visitor.refused(&back, &format!("{said} {} could not be: {first}", refused.len())),
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

async fn ask(app: &App, visitor: &Visitor, asked: &Asked, chosen: BTreeSet<UserId>) -> Page {
    let names = app.store.usernames(chosen.iter().copied()).await?;
    let mut names: Vec<String> = names.into_values().collect();
    names.sort_unstable();
    let title = if names.len() == 1 { "Delete this user?".to_owned() } else { format!("Delete these {} users?", names.len()) };
    let mut hidden = vec![("act", "delete".to_owned()), ("confirmed", "on".to_owned())];
    hidden.extend(chosen.into_iter().map(|id| ("user", id.to_string())));
    let confirm = Confirm {
        shell: visitor.shell(title, "users"),
        text: vec![names.join(", "), super::standing::DELETING.to_owned()],
        action: asked.at(HERE),
        button: "Delete for ever",
        is_grave: true,
        back: asked.at(LIST),
        hidden,
        fields: Vec::new(),
    };
    confirm.show()
}
