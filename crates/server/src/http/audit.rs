//! Notes of what admins did and of what touched security, as handlers write them.
//!
//! A note that can't be written does not undo what was done; it is told in the server's log instead.

use super::Caller;
use crate::app::App;
use sanasend_model::UserId;
use sanasend_store::AuditEntry;
use serde_json::Value;
use std::net::IpAddr;

/// Notes what a caller did to `target`.
pub async fn note(app: &App, caller: &Caller, action: &'static str, target: String, detail: Value) {
    note_as(app, Some(caller.actor()), caller.ip, action, target, detail).await;
}

/// The same where there is no caller yet, as at a login.
pub async fn note_as(app: &App, actor: Option<UserId>, ip: IpAddr, action: &'static str, target: String, detail: Value) {
    if let Err(error) = app.store.audit(AuditEntry { actor, action, target, ip: Some(ip), detail }).await {
        tracing::error!(action, %error, "the audit log could not be written");
    }
}
