//! What is done to a message after it was sent: reactions, votes, an edit, its deletion.
//!
//! Each of these is a message itself and is kept as one. Here it is shown at the message that it is about, in the same
//! transaction: for what comes in when it is stored, for what the account does itself when WhatsApp acknowledged it.

use crate::StoreError;
use crate::dialect::{query, query_as, refused};
use crate::events::NewEvent;
use crate::messages::Message;
use crate::outbox::insert_details;
use crate::rows::Place;
use crate::rows::message::Model;
use crate::writer::Tx;
use sanasend_model::{Content, Direction, EventKind, Jid, MessageId, Rich, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;
use uuid::Uuid;

/// What was done to a message.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// One for each person who reacts, in the order in which they began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reacted>,
    /// One for each person who votes; of polls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<Voted>,
    /// When its text was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// When it was deleted for everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

/// Emojis and votes of people are not for logs.
impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Marks({} reactions, {} votes, {:?}, {:?})", self.reactions.len(), self.votes.len(), self.edited_at, self.deleted_at)
    }
}

/// An emoji that somebody put on a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reacted {
    /// The emoji.
    pub emoji: String,
    /// Who.
    pub by: Who,
    /// When.
    pub at: Timestamp,
}

/// What somebody chose in a poll.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voted {
    /// The answers.
    pub options: Vec<String>,
    /// Who.
    pub by: Who,
    /// When.
    pub at: Timestamp,
}

/// Who did it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The account itself.
    #[serde(default)]
    pub from_me: bool,
    /// Id by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jid: Option<Jid>,
    /// Id that hides the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lid: Option<Jid>,
    /// The name that the person went by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Who {
    /// Who wrote a message.
    fn wrote(message: &Message) -> Self {
        if message.direction == Direction::Outbound {
            return Self { from_me: true, jid: None, lid: None, name: None };
        }
        let peer = &message.peer;
        let jid = peer.jid.clone().or_else(|| peer.phone.as_ref().map(sanasend_model::PhoneNumber::jid));
        Self { from_me: false, jid, lid: peer.lid.clone(), name: message.peer_name.clone() }
    }

    /// Whether both are the same person, by any id that is known of both.
    fn is(&self, other: &Self) -> bool {
        let same = |a: &Option<Jid>, b: &Option<Jid>| a.is_some() && a == b;
        self.from_me == other.from_me && (self.from_me || same(&self.jid, &other.jid) || same(&self.lid, &other.lid))
    }

    fn told(&self) -> Value {
        let phone = self.jid.as_ref().and_then(Jid::phone);
        json!({"from_me": self.from_me, "phone": phone, "jid": self.jid, "lid": self.lid, "name": self.name})
    }
}

impl Marks {
    /// Takes in what `by` does to a message that says `content`; answers whether that is news.
    fn take(&mut self, content: &mut Content, act: &Rich, by: Who, at: Timestamp) -> bool {
        match act {
            Rich::Reaction { emoji, .. } => {
                let before = self.reactions.iter().position(|reacted| reacted.by.is(&by));
                match before.map(|place| (place, self.reactions.get(place).is_some_and(|reacted| reacted.at > at))) {
                    Some((_, true)) => return false,
                    Some((place, false)) if emoji.is_empty() => drop(self.reactions.remove(place)),
                    Some((place, false)) => {
                        if let Some(reacted) = self.reactions.get_mut(place) {
                            *reacted = Reacted { emoji: emoji.clone(), by, at };
                        }
                    }
                    None if emoji.is_empty() => return false,
                    None => self.reactions.push(Reacted { emoji: emoji.clone(), by, at }),
                }
                true
            }
            Rich::PollVote { options, .. } => {
                if self.votes.iter().any(|voted| voted.by.is(&by) && voted.at > at) {
                    return false;
                }
                self.votes.retain(|voted| !voted.by.is(&by));
                if !options.is_empty() {
                    self.votes.push(Voted { options: options.clone(), by, at });
                }
                true
            }
            Rich::Edit { text, .. } => {
                if self.deleted_at.is_some() || self.edited_at.is_some_and(|before| before > at) {
                    return false;
                }
                match content {
                    Content::Text { body, .. } => body.clone_from(text),
                    Content::Media(media) => media.caption = Some(text.clone()),
                    Content::Rich(_) | Content::Other { .. } => return false,
                }
                self.edited_at = Some(at);
                true
            }
            Rich::Revoke { .. } => {
                let first = self.deleted_at.is_none();
                self.deleted_at.get_or_insert(at);
                first
            }
            Rich::Location(_) | Rich::Contact { .. } | Rich::Poll(_) => false,
        }
    }
}

/// Whether `act`, written by `by` in `acting`, may be done to `target`. Reactions and votes are everybody's who is in the chat;
/// a text is changed by its author alone, and deleted by its author or, as WhatsApp's server vouches, by an admin.
fn may(acting: &Message, target: &Message, act: &Rich, by: &Who) -> bool {
    let here = target.chat == acting.chat || (!target.chat.is_group() && !acting.chat.is_group() && is_same_chat(acting, target));
    let own = || by.is(&Who::wrote(target));
    here && target.id != acting.id
        && match act {
            Rich::Reaction { .. } => target.content.rich().is_none_or(|rich| rich.target().is_none()),
            Rich::PollVote { .. } => matches!(target.content.rich(), Some(Rich::Poll(_))),
            Rich::Edit { .. } => own(),
            Rich::Revoke { by_admin, .. } => own() || (target.chat.is_group() && (*by_admin || by.from_me)),
            Rich::Location(_) | Rich::Contact { .. } | Rich::Poll(_) => false,
        }
}

/// Whether two messages are of the conversation with one person, by any id of theirs.
fn is_same_chat(one: &Message, other: &Message) -> bool {
    let ids = |message: &Message| {
        let mut ids = message.peer.handles();
        ids.push(message.chat.clone());
        ids
    };
    let theirs = ids(other);
    ids(one).iter().any(|id| theirs.contains(id))
}

/// Shows what `acting` does at the message that it is about, and fills in that message's id. Answers the event that tells it;
/// `None` for every other message, and when that message is not known here or nothing is new.
pub(crate) async fn mark(tx: &mut Tx, acting: &mut Message, at: Timestamp) -> Result<Option<NewEvent>, StoreError> {
    let Some(wanted) = acting.content.rich().and_then(Rich::target).map(|target| target.wa_message_id.clone()) else { return Ok(None) };
    let select = query_as::<_, Model>("SELECT * FROM messages WHERE session_id = ? AND wa_message_id = ?");
    let rows = select.bind(acting.session_id.0).bind(&wanted).fetch_all(&mut tx.conn).await.map_err(refused)?;
    if rows.is_empty() {
        tx.early.note(acting.session_id, &wanted, acting.id, at);
        return Ok(None);
    }
    let by = Who::wrote(acting);
    let Some(act) = acting.content.rich().cloned() else { return Ok(None) };
    let mut found = None;
    for row in rows {
        match row.read() {
            Ok(target) if may(acting, &target, &act, &by) => found = Some(target),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "what was done to a message that can't be read is not shown at it"),
        }
    }
    let Some(mut target) = found else { return Ok(None) };
    if let Content::Rich(rich) = &mut acting.content
        && let Some(about) = rich.target_mut()
    {
        (about.message_id, about.from_me) = (Some(target.id), target.direction == Direction::Outbound);
    }
    let mut marks = target.marks.take().unwrap_or_default();
    if !marks.take(&mut target.content, &act, by.clone(), at) {
        return Ok(None);
    }
    let text = serde_json::to_string(&marks).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let update = query("UPDATE messages SET body = ?, marks = ? WHERE id = ?").bind(target.content.body()).bind(text).bind(target.id.0);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    Ok(Some(told(&target, &act, &by, acting.id, at)))
}

/// Shows at a message that has just come what was done to it before it came. Answers the events that tell it.
pub(crate) async fn mark_late(tx: &mut Tx, message: &Message) -> Result<Vec<NewEvent>, StoreError> {
    let mut events = Vec::new();
    for (id, at) in tx.early.about(message.session_id, &message.wa_message_id) {
        let select = query_as::<_, Model>("SELECT * FROM messages WHERE id = ?").bind(id.0);
        let Some(row) = select.fetch_optional(&mut tx.conn).await.map_err(refused)? else { continue };
        match row.read() {
            Ok(mut acting) => {
                events.extend(mark(tx, &mut acting, at).await?);
                insert_details(tx, &[&acting]).await?;
            }
            Err(error) => tracing::error!(%error, "what was done to a message can't be read and is not shown at it"),
        }
    }
    Ok(events)
}

/// Strips these ids from what is shown at a message and from what it is about; as it stands now, in this transaction.
pub(crate) async fn forget(tx: &mut Tx, id: Uuid, handles: &BTreeSet<String>) -> Result<(), StoreError> {
    let read = query_as::<_, (Option<String>, Option<String>)>("SELECT marks, details FROM messages WHERE id = ?").bind(id);
    let Some((marks, details)) = read.fetch_optional(&mut tx.conn).await.map_err(refused)? else { return Ok(()) };
    let corrupt = |column| Place { table: "messages", row: &id }.corrupt(column);
    let mut marks: Option<Marks> = marks.map(|text| serde_json::from_str(&text)).transpose().map_err(|_| corrupt("marks"))?;
    if let Some(marks) = &mut marks {
        let is_theirs = |who: &Who| who.jid.iter().chain(&who.lid).any(|jid| handles.contains(jid.as_str()));
        marks.reactions.retain(|reacted| !is_theirs(&reacted.by));
        marks.votes.retain(|voted| !is_theirs(&voted.by));
    }
    let mut details: Option<Value> = details.map(|text| serde_json::from_str(&text)).transpose().map_err(|_| corrupt("details"))?;
    if let Some(target) = details.as_mut().and_then(|details| details.get_mut("target")?.as_object_mut())
        && target.get("participant").and_then(Value::as_str).is_some_and(|who| handles.contains(who))
    {
        target.remove("participant");
    }
    let marks = marks.and_then(|marks| serde_json::to_string(&marks).ok());
    let update = query("UPDATE messages SET marks = ?, details = ? WHERE id = ?").bind(marks).bind(details.map(|value| value.to_string()));
    update.bind(id).execute(&mut tx.conn).await.map(drop).map_err(refused)
}

fn told(target: &Message, act: &Rich, by: &Who, acting: MessageId, at: Timestamp) -> NewEvent {
    let by = by.told();
    let (kind, name, fact) = match act {
        Rich::Reaction { emoji, .. } => (EventKind::MessageReacted, "reaction", json!({"emoji": emoji, "by": by, "message": acting})),
        Rich::Edit { text, .. } => (EventKind::MessageEdited, "edit", json!({"content": text, "by": by, "message": acting})),
        Rich::PollVote { options, .. } => (EventKind::MessageVoted, "vote", json!({"options": options, "by": by, "message": acting})),
        _ => (EventKind::MessageDeleted, "deletion", json!({"by": by, "message": acting})),
    };
    let mut event = NewEvent::of_message(kind, target, at);
    if let Some(data) = event.data.as_object_mut() {
        data.insert(name.to_owned(), fact);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use sanasend_model::Target;

    fn who(jid: Option<&str>, lid: Option<&str>) -> Who {
        Who { from_me: false, jid: jid.and_then(Jid::parse), lid: lid.and_then(Jid::parse), name: None }
    }

    fn target() -> Target {
        Target { wa_message_id: "3EB0".into(), from_me: false, participant: None, message_id: None }
    }

    fn react(marks: &mut Marks, emoji: &str, by: &Who, at: i64) -> bool {
        let act = Rich::Reaction { target: target(), emoji: emoji.into() };
        marks.take(&mut Content::Text { body: "hi".into(), preview: None }, &act, by.clone(), Timestamp(at))
    }

    #[test]
    fn each_person_has_one_reaction_under_whatever_id_it_comes() {
        let mut marks = Marks::default();
        let (by_both, by_lid) = (who(Some("15550100@s.whatsapp.net"), Some("7@lid")), who(None, Some("7@lid")));
        assert!(react(&mut marks, "👍", &by_both, 1));
        assert!(react(&mut marks, "❤️", &by_lid, 2));
        assert!(react(&mut marks, "😮", &who(None, Some("8@lid")), 2));
        assert_eq!(marks.reactions.iter().map(|reacted| reacted.emoji.as_str()).collect::<Vec<_>>(), ["❤️", "😮"]);
        assert!(!react(&mut marks, "👎", &by_lid, 1), "an older one comes late");
        assert!(react(&mut marks, "", &by_lid, 3));
        assert!(!react(&mut marks, "", &by_lid, 4), "nothing is left to take away");
        assert_eq!(marks.reactions.len(), 1);
    }

    #[test]
    fn an_edit_changes_words_only_and_nothing_after_the_deletion() {
        let mut marks = Marks::default();
        let mut content = Content::Text { body: "teh".into(), preview: None };
        let (edit, revoke) =
            (|text: &str| Rich::Edit { target: target(), text: text.into() }, Rich::Revoke { target: target(), by_admin: false });
        let by = who(None, Some("7@lid"));
        assert!(marks.take(&mut content, &edit("the"), by.clone(), Timestamp(5)));
        assert!(!marks.take(&mut content, &edit("old"), by.clone(), Timestamp(4)));
        assert!(marks.take(&mut content, &revoke, by.clone(), Timestamp(6)));
        assert!(!marks.take(&mut content, &edit("late"), by.clone(), Timestamp(7)));
        assert!(!marks.take(&mut content, &revoke, by.clone(), Timestamp(8)));
        assert_eq!((content.body(), marks.edited_at, marks.deleted_at), (Some("the"), Some(Timestamp(5)), Some(Timestamp(6))));
        let mut other = Content::Other { kind: "order".into() };
        assert!(!Marks::default().take(&mut other, &edit("x"), by, Timestamp(1)));
    }

    #[test]
    fn the_last_vote_of_a_person_counts() {
        let mut marks = Marks::default();
        let by = who(Some("15550100@s.whatsapp.net"), None);
        for (options, at) in [(vec!["a".to_owned(), "b".to_owned()], 1), (vec!["b".to_owned()], 2)] {
            let act = Rich::PollVote { target: target(), options };
            assert!(marks.take(&mut Content::Other { kind: "poll".into() }, &act, by.clone(), Timestamp(at)));
        }
        assert_eq!(marks.votes.iter().map(|voted| voted.options.join("+")).collect::<Vec<_>>(), ["b"]);
    }
}
