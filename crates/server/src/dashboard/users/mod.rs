//! Users, for admins: the list, a page for each, and everything that can be done to them.

pub mod bulk;
pub mod edit;
pub mod list;
pub mod one;
pub mod password;
pub mod standing;

use super::parts::Badge;
use crate::app::App;
use crate::http::ApiError;
use sanasend_model::UserId;
use sanasend_store::User;

/// The user of an address.
async fn find(app: &App, id: UserId) -> Result<User, ApiError> {
    app.store.user(id).await?.ok_or_else(ApiError::not_found)
}

/// Whether a user may do anything, as a word.
fn standing_badge(user: &User) -> Badge {
    match (user.removal_at, user.is_active) {
        (Some(_), _) => Badge::bad("being deleted"),
        (None, true) => Badge::good("active"),
        (None, false) => Badge::bad("suspended"),
    }
}
