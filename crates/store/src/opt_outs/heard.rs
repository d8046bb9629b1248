//! What people wrote and meant: STOP and START, and that they are there at all.
//!
//! Runs in the transaction that stores what came in, so that a wish can't be on disk without its effect.

use super::change::{opt_in, opt_out_all, relink};
use super::{ANSWER_JOB, NewOptOut, OptOutCause};
use crate::StoreError;
use crate::contacts::from_conversation;
use crate::dialect::{query_scalar, refused};
use crate::jobs::NewJob;
use crate::messages::Message;
use crate::writer::Tx;
use sanasend_model::address::PN_SERVER;
use sanasend_model::opt_out::{Wish, Words};
use sanasend_model::{Direction, MessageId, OptOutSource};
use serde_json::json;
use std::time::Duration;

/// By how much WhatsApp's clock may be ahead of ours: what was written later was stored no earlier than that.
const CLOCKS_DIFFER: Duration = Duration::from_hours(1);

/// Takes notice of messages that came in just now.
pub(crate) async fn heard(tx: &mut Tx, words: &Words, messages: &[Message]) -> Result<(), StoreError> {
    for message in messages {
        let from_person = message.chat.is_lid() || message.chat.server() == PN_SERVER;
        if message.direction != Direction::Inbound || !from_person {
            continue;
        }
        let guard = tx.guard(message.user_id).await?;
        if guard.opted_out {
            // A number and a hidden id that come in one message are one person.
            let handles = message.peer.handles();
            if handles.len() > 1 {
                relink(tx, message.user_id, handles).await?;
            }
        }
        if guard.from_conversations {
            from_conversation(tx, message).await?;
        }
        let wish = message.content.text_body().and_then(|text| words.wish(text));
        if wish == Some(Wish::Stop) {
            stop(tx, message).await?;
        } else if wish == Some(Wish::Start) && guard.opted_out && !is_taken_back(tx, words, message).await? {
            start(tx, message).await?;
        }
    }
    Ok(())
}

fn cause(message: &Message) -> OptOutCause {
    OptOutCause { source: OptOutSource::Word, message_id: Some(message.id), note: None }
}

/// The person, with the id of the chat that they wrote in.
fn person(message: &Message) -> crate::messages::Peer {
    let mut person = message.peer.clone();
    let chat = message.chat.clone();
    if chat.is_lid() {
        person.lid = person.lid.or(Some(chat));
    } else {
        person.phone = person.phone.or_else(|| chat.phone());
        person.jid = person.jid.or(Some(chat));
    }
    person
}

async fn stop(tx: &mut Tx, message: &Message) -> Result<(), StoreError> {
    let new = NewOptOut { person: person(message), cause: cause(message) };
    let made = opt_out_all(tx, message.user_id, Some(message.session_id), vec![new]).await?.pop().flatten();
    let Some(opt_out) = made else { return Ok(()) };
    if crate::contacts::settings_of(tx, message.user_id).await?.stop_answer.is_some() {
        let answer = answer(tx, message, "stop").await?;
        tx.allow_answer(opt_out.0, answer).await?;
    }
    Ok(())
}

async fn start(tx: &mut Tx, message: &Message) -> Result<(), StoreError> {
    let ended = opt_in(tx, message.user_id, Some(message.session_id), &person(message), &cause(message)).await?;
    if ended.is_some() && crate::contacts::settings_of(tx, message.user_id).await?.start_answer.is_some() {
        answer(tx, message, "start").await?;
    }
    Ok(())
}

/// Whether the person said STOP after this message, which came late: then it is not their last word.
async fn is_taken_back(tx: &mut Tx, words: &Words, message: &Message) -> Result<bool, StoreError> {
    let Some(at) = message.sent_at else { return Ok(false) };
    let sql = "SELECT body FROM messages WHERE session_id = ? AND chat = ? AND direction = 'inbound' AND message_type = 'text' \
               AND created_at >= ? AND sent_at > ?";
    let mut chats = message.peer.handles();
    if !chats.contains(&message.chat) {
        chats.push(message.chat.clone());
    }
    for chat in chats {
        let select = query_scalar::<_, Option<String>>(sql).bind(message.session_id.0).bind(chat.as_str());
        let later = select.bind(at.minus(CLOCKS_DIFFER).0).bind(at.0).fetch_all(&mut tx.conn).await.map_err(refused)?;
        if later.iter().flatten().any(|text| words.wish(text) == Some(Wish::Stop)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Has the person answered, by a job: messages are made by the way out alone. The id of the message is chosen now, so that
/// it is made once, and passes the guard.
async fn answer(tx: &mut Tx, message: &Message, wish: &'static str) -> Result<MessageId, StoreError> {
    let id = MessageId::new(&*tx.clock);
    let payload = json!({"session": message.session_id, "message": id, "recipient": message.chat, "wish": wish});
    let due_at = tx.clock.now();
    let job = NewJob { kind: ANSWER_JOB, lane: None, bundle: None, user_id: Some(message.user_id), payload, due_at };
    tx.enqueue(&[job]).await?;
    Ok(id)
}
