//! Whose thing it is that a page shows or changes.
//!
//! What is one's own is done as oneself. An admin acts for the owner of everything else: the owner's limits and rules hold,
//! and the audit log names the admin. For others it does not exist.

use super::list::Asked;
use super::visitor::Visitor;
use crate::app::App;
use crate::http::{ApiError, Caller};
use sanasend_model::UserId;
use std::collections::HashMap;

/// The caller that handlers of the API are given for a thing of `owner`.
///
/// # Errors
/// `NOT_FOUND` for another user's thing, unless the visitor is an admin.
pub async fn acting_for(app: &App, visitor: &Visitor, owner: UserId) -> Result<Caller, ApiError> {
    if owner == visitor.caller.id() {
        return Ok(visitor.caller.clone());
    }
    let user = app.store.user(owner).await?.filter(|_| visitor.is_admin()).ok_or_else(ApiError::not_found)?;
    visitor.caller.on_behalf_of(user).ok_or_else(ApiError::not_found)
}

/// The user that lists are limited to; `None` for admins, who see all.
pub fn only_own(visitor: &Visitor) -> Option<UserId> {
    (!visitor.is_admin()).then(|| visitor.caller.id())
}

/// The user that a list is limited to: oneself, or for admins the one in the address, if any.
///
/// # Errors
/// `VALIDATION_ERROR` when the address names a user that can't be read: everybody's things are not what was asked for.
pub fn asked_or_own(visitor: &Visitor, asked: &Asked) -> Result<Option<UserId>, ApiError> {
    match only_own(visitor) {
        Some(own) => Ok(Some(own)),
        None => asked.read("user"),
    }
}

/// The same where each user's things lie apart: oneself, or for admins the one in the address.
///
/// # Errors
/// As [`asked_or_own`].
pub fn one_asked_or_own(visitor: &Visitor, asked: &Asked) -> Result<UserId, ApiError> {
    Ok(asked_or_own(visitor, asked)?.unwrap_or_else(|| visitor.caller.id()))
}

/// An address of things that lie apart: it names the user where they are another's.
pub fn address_of(visitor: &Visitor, path: &str, owner: UserId) -> String {
    if owner == visitor.caller.id() { path.to_owned() } else { format!("{path}?user={owner}") }
}

/// The names of the owners of things, shown to admins.
///
/// # Errors
/// When the store is down.
pub async fn names(app: &App, visitor: &Visitor, owners: impl Iterator<Item = UserId>) -> Result<HashMap<UserId, String>, ApiError> {
    if visitor.is_admin() { Ok(app.store.usernames(owners).await?) } else { Ok(HashMap::new()) }
}
