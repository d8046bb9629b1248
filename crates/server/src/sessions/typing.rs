//! Showing a chat that the account is typing: live only, through whichever node runs the account.

use super::command::Command;
use super::registry::Sessions;
use sanasend_engine::Typing;
use sanasend_model::retry::AttemptError;
use sanasend_model::{Jid, SessionId};
use sanasend_store::Session;
use serde_json::json;

impl Sessions {
    /// Shows a chat what the account is doing. Live only: nothing waits.
    ///
    /// # Errors
    /// `Offline` when the account is not connected, else what the engine says.
    pub async fn show_typing(&self, row: &Session, chat: Jid, state: Typing) -> Result<(), AttemptError> {
        let Ok(Some(node)) = self.node_of(row).await else { return self.show_typing_here(row.id, chat, state).await };
        let asked = json!({"do": "show_typing", "chat": chat, "state": typing_word(state)});
        self.told(node, row, asked).await.ok_or(AttemptError::Offline)
    }

    pub(super) async fn show_typing_here(&self, id: SessionId, chat: Jid, state: Typing) -> Result<(), AttemptError> {
        self.ask(id, |done| Command::ShowTyping { chat, state, done }).await.unwrap_or(Err(AttemptError::Offline))
    }
}

/// How callers and other nodes say what an account is doing.
pub fn typing_word(state: Typing) -> &'static str {
    match state {
        Typing::Composing => "composing",
        Typing::Recording => "recording",
        Typing::Paused => "paused",
    }
}

/// Reads [`typing_word`].
pub fn read_typing(word: &str) -> Option<Typing> {
    [Typing::Composing, Typing::Recording, Typing::Paused].into_iter().find(|state| typing_word(*state) == word)
}
