//! The page of one user: figures, limits, keys, accounts, messages.

use super::{find, standing_badge};
use crate::app::App;
use crate::dashboard::chart::Chart;
use crate::dashboard::figures::{self, Limit};
use crate::dashboard::keys::{Keys, keys_of};
use crate::dashboard::messages::{Line, newest_of};
use crate::dashboard::overview::own_tiles;
use crate::dashboard::parts::{Badge, Tile, When};
use crate::dashboard::render::{Page, page};
use crate::dashboard::sessions_of::{SessionRow, sessions_of};
use crate::dashboard::visitor::{Shell, Visitor};
use crate::http::Path;
use crate::http::v1::usage;
use askama::Template;
use axum::extract::State;
use sanasend_model::UserId;
use sanasend_store::User;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage {
    shell: Shell,
    user: User,
    standing: Badge,
    tiles: Vec<Tile>,
    chart: Chart,
    limits: Vec<Limit>,
    keys: Keys,
    sessions: Vec<SessionRow>,
    lines: Vec<Line>,
    made: When,
    changed: When,
}

/// Shows the page.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<UserId>) -> Page {
    let user = find(&app, id).await?;
    let usage = usage::report(&app, &user, None).await?;
    let page_of = UserPage {
        shell: visitor.shell(&user.username, "users"),
        standing: standing_badge(&user),
        tiles: own_tiles(&usage),
        chart: figures::own_messages(&usage),
        limits: figures::limits(&usage),
        keys: keys_of(&app, id).await?,
        sessions: sessions_of(&app, id).await?,
        lines: newest_of(&app, id).await?,
        made: When(user.created_at),
        changed: When(user.updated_at),
        user,
    };
    page(&page_of)
}
