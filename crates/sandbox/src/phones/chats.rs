//! What a phone shows, and what it has sent.
//!
//! Held in memory for readers and written row by row. Apart from the phone's dealings
//! with the network so that the two rules of a screen are in one place: a message is
//! shown once, whatever happens on the way, and its ticks only ever move forward.

use crate::Error;
use crate::phones::attachment::{MediaState, Sealed, ShownMedia};
use crate::phones::content::{Content, MessageKind, Quote};
use crate::phones::rich::{self, Act, Doing, ShownCard, ShownLocation, ShownPoll, ShownPreview, ShownReaction, ShownVote};
use crate::state::{Batch, Room, State, hexed};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::File;

/// How far a message has come. Ordered: a later one never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownStatus {
    /// Ours: not yet acknowledged by the network (the clock).
    Pending,
    /// Ours: the network refused it.
    Failed,
    /// Ours: the network has it (one tick).
    Sent,
    /// Ours: a device of the other side has it (two ticks). Theirs: it is here.
    Delivered,
    /// Ours: the other side has read it (blue). Theirs: read on this phone.
    Read,
}

/// One message on a phone's screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownMessage {
    /// Message id, chosen by its sender.
    pub id: String,
    /// The chat: the other side's jid by number, without device.
    pub chat: String,
    /// Who wrote it: jid by number, without device.
    pub from: String,
    /// Written by this account, on the phone or a companion.
    pub from_me: bool,
    /// What kind of message it is.
    pub kind: MessageKind,
    /// Its text, caption or emoji.
    pub text: String,
    /// The message it answers.
    pub quoted_id: Option<String>,
    /// The text of that message.
    pub quoted_text: Option<String>,
    /// How far it has come.
    pub status: ShownStatus,
    /// When it was sent, as the network says: milliseconds since 1970.
    pub at: i64,
    /// What is shown of its file, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<ShownMedia>,
    /// The place, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<ShownLocation>,
    /// The cards, when it is such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<ShownCard>,
    /// The poll with its votes, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<ShownPoll>,
    /// The page that a text links to, as its sender shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<ShownPreview>,
    /// Emojis on it, one for each person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<ShownReaction>,
    /// Its author has changed its text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
    /// It was deleted for everyone; its text is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// A file that a phone has.
#[derive(Debug)]
pub struct OpenFile {
    /// Its bytes, from the start.
    pub file: File,
    /// Their number.
    pub size: u64,
    /// What its message says of it.
    pub media: ShownMedia,
}

/// A message that this phone has sent and may have to send again.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Outgoing {
    /// Message id.
    pub id: String,
    /// Where to: a chat, or one own device for a peer message.
    pub to: String,
    /// Between own devices; shown nowhere.
    pub peer: bool,
    /// The encoded message.
    #[serde(with = "hexed")]
    pub message: Vec<u8>,
    /// When it was first sent, milliseconds since 1970.
    pub at: i64,
}

/// Who said it where: what makes a message the same one.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    /// The chat.
    pub chat: &'a str,
    /// The author, without device.
    pub from: &'a str,
    /// Message id.
    pub id: &'a str,
}

/// Everything shown on one phone.
pub(super) struct Chats {
    number: String,
    messages: Vec<ShownMessage>,
    own: HashMap<String, usize>,
    seen: HashSet<String>,
}

impl Chats {
    /// Reads what was shown before.
    pub fn open(state: &State, number: &str) -> Result<Self, Error> {
        let mut chats = Self { number: number.to_owned(), messages: Vec::new(), own: HashMap::new(), seen: HashSet::new() };
        let prefix = format!("{number}/message/");
        for (_, message) in state.scan::<ShownMessage>(Room::Chats, prefix.as_bytes())? {
            chats.remember(message);
        }
        let prefix = format!("{number}/seen/");
        for key in state.keys(Room::Chats, prefix.as_bytes())? {
            if let Ok(key) = String::from_utf8(key) {
                chats.seen.insert(key);
            }
        }
        Ok(chats)
    }

    /// Whether this message was taken in before.
    pub fn has_seen(&self, key: Key<'_>) -> bool {
        self.seen.contains(&self.seen_row(key))
    }

    /// Stages that this message was taken in.
    pub fn stage_seen(&self, key: Key<'_>, batch: &mut Batch) {
        batch.put_raw(Room::Chats, self.seen_row(key).as_bytes(), &[]);
    }

    /// Stages a message as the next one on the screen, with its file.
    pub fn stage_message(&self, message: &ShownMessage, sealed: Option<&Sealed>, batch: &mut Batch) -> Result<(), Error> {
        let index = self.messages.len();
        if let Some(sealed) = sealed {
            batch.put(Room::Chats, &self.media_row(index), sealed)?;
        }
        batch.put(Room::Chats, &self.message_row(index), message)
    }

    /// To be called once the batch is written.
    pub fn note_seen(&mut self, key: Key<'_>) {
        let row = self.seen_row(key);
        self.seen.insert(row);
    }

    /// To be called once the batch is written. Answers its place on the screen.
    pub fn note_message(&mut self, message: ShownMessage) -> usize {
        self.remember(message);
        self.messages.len() - 1
    }

    /// Everything shown, in order.
    pub fn messages(&self) -> &[ShownMessage] {
        &self.messages
    }

    /// The message with this id, the newest if several have it.
    pub fn find(&self, id: &str) -> Option<&ShownMessage> {
        self.messages.iter().rev().find(|message| message.id == id)
    }

    /// Places of messages whose file is still to be had.
    pub fn unfetched(&self) -> Vec<usize> {
        let open = |message: &ShownMessage| message.media.as_ref().is_some_and(|media| media.state == MediaState::Fetching);
        (0..self.messages.len()).filter(|&index| open(&self.messages[index])).collect()
    }

    /// The file of the message in this place.
    pub fn sealed(&self, state: &State, index: usize) -> Result<Option<Sealed>, Error> {
        state.get(Room::Chats, &self.media_row(index))
    }

    /// The file of the newest message with this id that has one.
    pub fn media(&self, state: &State, id: &str) -> Result<(ShownMedia, Sealed), Error> {
        let mut newest_first = self.messages.iter().enumerate().rev().filter(|(_, message)| message.id == id);
        let found = newest_first.find_map(|(index, message)| Some((index, message.media.clone()?)));
        let (index, media) = found.ok_or_else(|| Error::Unknown(format!("this phone shows no message {id} with a file")))?;
        let sealed = self.sealed(state, index)?.ok_or_else(|| Error::Unknown(format!("the file of {id}")))?;
        Ok((media, sealed))
    }

    /// Notes what came of a download: the file is in `sealed`, or there is a problem.
    pub fn settle_media(&mut self, state: &State, index: usize, sealed: &Sealed, problem: Option<String>) -> Result<(), Error> {
        let (row, media_row) = (self.message_row(index), self.media_row(index));
        let Some(message) = self.messages.get_mut(index) else {
            return Ok(());
        };
        if let Some(media) = &mut message.media {
            media.state = if problem.is_none() { MediaState::Ready } else { MediaState::Failed };
            media.problem = problem;
        }
        let mut batch = state.batch();
        batch.put(Room::Chats, &row, &*message)?;
        batch.put(Room::Chats, &media_row, sealed)?;
        batch.commit()
    }

    /// Moves one of our messages forward; `true` when something changed.
    pub fn advance(&mut self, state: &State, id: &str, to: ShownStatus) -> Result<bool, Error> {
        match self.own.get(id) {
            Some(&index) => self.set_status(state, index, to),
            None => Ok(false),
        }
    }

    /// Does something to the message of a chat that `act` names. Answers its place when that changed it; the change is not
    /// written yet.
    pub fn do_to(&mut self, chat: &str, by: &str, act: &Act, ways: &[(String, String)]) -> Option<usize> {
        let is_it = |message: &ShownMessage| message.id == act.id && message.chat == chat;
        let index = self.messages.iter().rposition(is_it)?;
        self.messages.get_mut(index)?.take(by, act, ways).then_some(index)
    }

    /// Stages a message as it stands now.
    pub fn stage_again(&self, index: usize, batch: &mut Batch) -> Result<(), Error> {
        match self.messages.get(index) {
            Some(message) => batch.put(Room::Chats, &self.message_row(index), message),
            None => Ok(()),
        }
    }

    /// Marks incoming messages as read; answers those that were not before.
    pub fn mark_read(&mut self, state: &State, wanted: impl Fn(&ShownMessage) -> bool) -> Result<Vec<ShownMessage>, Error> {
        let unread: Vec<usize> = (0..self.messages.len())
            .filter(|&i| {
                let message = &self.messages[i];
                !message.from_me && message.status < ShownStatus::Read && wanted(message)
            })
            .collect();
        let mut read = Vec::with_capacity(unread.len());
        for index in unread {
            self.set_status(state, index, ShownStatus::Read)?;
            read.push(self.messages[index].clone());
        }
        Ok(read)
    }

    fn set_status(&mut self, state: &State, index: usize, to: ShownStatus) -> Result<bool, Error> {
        let row = self.message_row(index);
        let message = &mut self.messages[index];
        if to <= message.status {
            return Ok(false);
        }
        message.status = to;
        state.put(Room::Chats, &row, message)?;
        Ok(true)
    }

    fn remember(&mut self, message: ShownMessage) {
        if message.from_me {
            self.own.insert(message.id.clone(), self.messages.len());
        }
        self.messages.push(message);
    }

    fn message_row(&self, index: usize) -> Vec<u8> {
        format!("{}/message/{index:010}", self.number).into_bytes()
    }

    fn media_row(&self, index: usize) -> Vec<u8> {
        format!("{}/media/{index:010}", self.number).into_bytes()
    }

    fn seen_row(&self, key: Key<'_>) -> String {
        format!("{}/seen/{}/{}/{}", self.number, key.chat, key.from, key.id)
    }
}

impl ShownMessage {
    /// A message as it first appears.
    pub(super) fn new(key: Key<'_>, from_me: bool, content: Content, at: i64) -> Self {
        Self {
            id: key.id.to_owned(),
            chat: key.chat.to_owned(),
            from: key.from.to_owned(),
            from_me,
            kind: content.kind,
            text: content.text,
            quoted_id: content.quoted_id,
            quoted_text: content.quoted_text,
            status: if from_me { ShownStatus::Pending } else { ShownStatus::Delivered },
            at,
            media: None,
            location: content.details.location,
            contacts: content.details.contacts,
            poll: content.details.poll,
            preview: content.details.preview,
            reactions: Vec::new(),
            edited: false,
            deleted: false,
        }
    }

    /// Does to it what `by` wants; `false` when that changes nothing or is not theirs to do.
    fn take(&mut self, by: &str, act: &Act, ways: &[(String, String)]) -> bool {
        match &act.what {
            Doing::React(emoji) => {
                self.reactions.retain(|reaction| reaction.by != by);
                if !emoji.is_empty() {
                    self.reactions.push(ShownReaction { by: by.to_owned(), emoji: emoji.clone() });
                }
                true
            }
            Doing::Edit(text) if by == self.from && !self.deleted => {
                (self.text, self.edited) = (text.clone(), true);
                true
            }
            Doing::Delete if by == self.from || self.chat.ends_with("@g.us") => {
                (self.text, self.deleted, self.media) = (String::new(), true, None);
                true
            }
            Doing::Vote { payload, iv } => {
                let Some(poll) = &mut self.poll else { return false };
                let Some(options) = rich::open_vote(poll, &act.id, (payload, iv), ways) else { return false };
                poll.votes.retain(|vote| vote.by != by);
                if !options.is_empty() {
                    poll.votes.push(ShownVote { by: by.to_owned(), options });
                }
                true
            }
            Doing::Edit(_) | Doing::Delete => false,
        }
    }

    /// What an answer says of this message.
    pub(super) fn quote(&self) -> Quote<'_> {
        Quote { id: &self.id, author: &self.from, text: &self.text }
    }
}

impl Outgoing {
    /// Where it waits for the network's answer.
    pub fn open_row(number: &str, id: &str) -> Vec<u8> {
        format!("{number}/outgoing/{id}").into_bytes()
    }

    /// Where it is kept afterwards, for who cannot read it. Apart, so that a phone that
    /// connects looks through the open ones only.
    fn settled_row(number: &str, id: &str) -> Vec<u8> {
        format!("{number}/sent/{id}").into_bytes()
    }

    /// A sent message by its id.
    pub fn find(state: &State, number: &str, id: &str) -> Result<Option<Self>, Error> {
        match state.get(Room::Chats, &Self::open_row(number, id))? {
            Some(open) => Ok(Some(open)),
            None => state.get(Room::Chats, &Self::settled_row(number, id)),
        }
    }

    /// Those that the network has not answered, oldest first.
    pub fn unsettled(state: &State, number: &str) -> Result<Vec<Self>, Error> {
        let prefix = format!("{number}/outgoing/");
        let found = state.scan::<Self>(Room::Chats, prefix.as_bytes())?;
        let mut open: Vec<Self> = found.into_iter().map(|(_, outgoing)| outgoing).collect();
        open.sort_by_key(|outgoing| outgoing.at);
        Ok(open)
    }

    /// Notes that the network has answered for a message; again is fine.
    pub fn settle(state: &State, number: &str, id: &str) -> Result<(), Error> {
        let row = Self::open_row(number, id);
        let Some(open) = state.get_raw(Room::Chats, &row)? else {
            return Ok(());
        };
        let mut batch = state.batch();
        batch.put_raw(Room::Chats, &Self::settled_row(number, id), &open);
        batch.delete(Room::Chats, &row);
        batch.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(id: &str) -> ShownMessage {
        let key = Key { chat: "2@s.whatsapp.net", from: "1@s.whatsapp.net", id };
        ShownMessage::new(key, true, Content::default(), 5)
    }

    #[test]
    fn ticks_only_move_forward_and_survive_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let mut chats = Chats::open(&state, "1").unwrap();
        let mut batch = state.batch();
        chats.stage_message(&own("A"), None, &mut batch).unwrap();
        batch.commit().unwrap();
        chats.note_message(own("A"));

        assert!(chats.advance(&state, "A", ShownStatus::Read).unwrap());
        assert!(!chats.advance(&state, "A", ShownStatus::Delivered).unwrap());
        assert!(!chats.advance(&state, "unknown", ShownStatus::Read).unwrap());
        let again = Chats::open(&state, "1").unwrap();
        assert_eq!(again.messages()[0].status, ShownStatus::Read);
    }

    #[test]
    fn the_same_id_from_two_people_are_two_messages() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let mut chats = Chats::open(&state, "1").unwrap();
        let ana = Key { chat: "2@s.whatsapp.net", from: "2@s.whatsapp.net", id: "A" };
        let bob = Key { chat: "3@s.whatsapp.net", from: "3@s.whatsapp.net", id: "A" };
        let mut batch = state.batch();
        chats.stage_seen(ana, &mut batch);
        batch.commit().unwrap();
        chats.note_seen(ana);
        assert!(chats.has_seen(ana) && !chats.has_seen(bob));
        assert!(Chats::open(&state, "1").unwrap().has_seen(ana));
    }
}
