//! The WhatsApp accounts of one user, as tables on other pages show them: the row, and over it the truth of this moment.

use super::parts::{Badge, When};
use crate::app::App;
use sanasend_model::UserId;
use sanasend_store::{Page, Session, SessionFilter, StoreError};

/// Accounts that are shown.
const SHOWN: u64 = 20;

/// An account.
pub struct SessionRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The name that others see.
    pub push_name: Option<String>,
    /// Its number.
    pub phone: String,
    /// Its status now.
    pub status: Badge,
    /// A sentence beside it.
    pub reason: Option<String>,
    /// The last sign of life.
    pub active: Option<When>,
}

/// The newest accounts of a user.
pub async fn sessions_of(app: &App, user: UserId) -> Result<Vec<SessionRow>, StoreError> {
    let filter = SessionFilter { user_id: Some(user), ..SessionFilter::default() };
    let listed = app.store.list_sessions(&filter, Page { page: 1, page_size: SHOWN }).await?;
    Ok(listed.results.into_iter().map(|row| now(app, row)).collect())
}

fn now(app: &App, row: Session) -> SessionRow {
    let live = app.sessions.live(&row);
    SessionRow {
        id: row.id.to_string(),
        status: Badge::session(live.status),
        reason: live.reason.map(|reason| reason.text),
        push_name: live.push_name.or(row.push_name.clone()),
        phone: live.phone.or(row.phone.clone()).map_or_else(|| "–".to_owned(), |phone| phone.to_string()),
        active: app.sessions.last_active(&row).map(When),
        name: row.name,
    }
}
