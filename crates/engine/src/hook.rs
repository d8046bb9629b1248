//! The way in of messages: they are handed to the [`Inbox`] and only then acknowledged to WhatsApp.

use crate::keep::Keep;
use crate::{Inbox, content, incoming as files, jid, rich};
use async_trait::async_trait;
use sanasend_model::{Content, Jid, Poll, Rich, Timestamp};
use sanasend_store::{Incoming, Peer, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use whatsapp_rust::types::durability_hook::{InboundDurabilityHook, InboundMessage};
use whatsapp_rust::wacore::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::wacore_binary::{Jid as WireJid, JidExt};
use whatsapp_rust::{Client, waproto};

/// Called by the client library for every decrypted batch, before it acknowledges it.
#[derive(Clone)]
pub(crate) struct Hook {
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) keep: Keep,
}

#[async_trait]
impl InboundDurabilityHook for Hook {
    async fn on_messages(&self, client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        let polls = self.polls(batch, false).await?;
        let incoming = incoming(&client, batch, &polls).await;
        if incoming.is_empty() {
            return Ok(());
        }
        let inbox = self.inbox.clone();
        let commit = move || {
            let (inbox, incoming) = (inbox.clone(), incoming.clone());
            async move { inbox.commit(incoming).await }
        };
        Ok(self.keep.or_end(commit).await?)
    }
}

/// The polls that votes of a batch are for, by WhatsApp's id.
type Polls = HashMap<String, Poll>;

impl Hook {
    /// Commits messages that WhatsApp was told of already, however long that takes.
    ///
    /// # Errors
    /// Why the store does not want them; they are lost then.
    pub(crate) async fn recover(&self, client: &Client, batch: &[InboundMessage]) -> Result<(), StoreError> {
        let polls = self.polls(batch, true).await?;
        let incoming = incoming(client, batch, &polls).await;
        if incoming.is_empty() { Ok(()) } else { self.keep.insist(|| self.inbox.commit(incoming.clone())).await }
    }

    /// Votes are encrypted with what their poll said, so the polls are looked up before; `told` ones can't be had again.
    async fn polls(&self, batch: &[InboundMessage], told: bool) -> Result<Polls, StoreError> {
        let mut polls = Polls::new();
        for message in batch {
            let made = rich::read(message.message.as_ref(), None);
            if let Some(Rich::Poll(poll)) = made {
                polls.insert(message.info.id.clone(), poll);
            }
            let Some((_, target)) = rich::voted(message.message.as_ref()) else { continue };
            if polls.contains_key(&target.wa_message_id) {
                continue;
            }
            let (inbox, id) = (self.inbox.clone(), target.wa_message_id.clone());
            let look = move || {
                let (inbox, id) = (inbox.clone(), id.clone());
                async move { inbox.poll(&id).await }
            };
            let found = if told { self.keep.insist(look).await } else { self.keep.or_end(look).await };
            if let Some(poll) = found? {
                polls.insert(target.wa_message_id, poll);
            }
        }
        Ok(polls)
    }
}

/// What of a batch is for people. What is not is acknowledged without a trace.
async fn incoming(client: &Client, batch: &[InboundMessage], polls: &Polls) -> Vec<Incoming> {
    let mut incoming = Vec::with_capacity(batch.len());
    for message in batch {
        incoming.extend(read(client, message, polls).await);
    }
    incoming
}

async fn read(client: &Client, inbound: &InboundMessage, polls: &Polls) -> Option<Incoming> {
    let (info, message) = (&inbound.info, inbound.message.as_ref());
    let source = &info.source;
    // Status updates and channels are broadcast to whoever follows; nobody wrote them to this account.
    if source.chat.is_status_broadcast() || source.chat.is_newsletter() {
        return None;
    }
    let file = files::read(message);
    let (content, media) = match file {
        Some((media, way)) => (Content::Media(Box::new(media)), Some(way)),
        None => (said(client, info, message, polls).await?, None),
    };
    let raw = matches!(content, Content::Other { .. }).then(|| waproto::codec::message_to_vec(message));
    let name = Some(info.push_name.clone()).filter(|name| !name.is_empty());
    Some(Incoming {
        wa_message_id: info.id.clone(),
        chat: chat(client, info).await?,
        sender: sender(client, source).await,
        sender_name: name.filter(|_| !source.is_from_me),
        from_me: source.is_from_me,
        content,
        quoted: content::quoted(message),
        media,
        at: Timestamp(info.timestamp.timestamp_millis()),
        raw,
    })
}

/// What a message says that has no file. A vote that does not open is kept as it came.
async fn said(client: &Client, info: &MessageInfo, message: &waproto::whatsapp::Message, polls: &Polls) -> Option<Content> {
    if let Some((update, target)) = rich::voted(message)
        && let Some(poll) = polls.get(&target.wa_message_id)
        && let Some(vote) = rich::vote(client, info, update, target, poll).await
    {
        return Some(vote);
    }
    content::read(message, Some(info))
}

/// The conversation; one with a person goes by its number wherever that is known, so that it is the same
/// conversation whichever id the two sides happened to use.
async fn chat(client: &Client, info: &MessageInfo) -> Option<Jid> {
    let source = &info.source;
    if !source.chat.is_lid() {
        return jid::from_wire(&source.chat);
    }
    let numbers = if source.is_from_me { [&source.recipient_alt, &info.peer_recipient_pn] } else { [&source.sender_alt, &None] };
    match numbers.into_iter().flatten().find(|number| number.is_pn()) {
        Some(number) => jid::from_wire(number),
        None => canonical(client, &source.chat).await,
    }
}

async fn sender(client: &Client, source: &MessageSource) -> Peer {
    if source.is_from_me {
        let own = client.persistence_manager().get_device_snapshot();
        return jid::peer([&own.pn, &own.lid].into_iter().flatten().filter_map(jid::from_wire));
    }
    let mut ids: Vec<Jid> = [Some(&source.sender), source.sender_alt.as_ref()].into_iter().flatten().filter_map(jid::from_wire).collect();
    ids.extend(other_id(client, &source.sender).await);
    jid::peer(ids)
}

/// The number of a hidden id where it is known, else the id as it is.
pub(crate) async fn canonical(client: &Client, jid: &WireJid) -> Option<Jid> {
    let number = if jid.is_lid() { other_id(client, jid).await } else { None };
    number.or_else(|| jid::from_wire(jid))
}

/// Somebody with both ids, as far as they are known.
pub(crate) async fn person(client: &Client, id: &WireJid) -> Peer {
    jid::peer(jid::from_wire(id).into_iter().chain(other_id(client, id).await))
}

/// The hidden id of a number, or the number of a hidden id.
async fn other_id(client: &Client, id: &WireJid) -> Option<Jid> {
    let entry = client.get_lid_pn_entry(id).await.ok().flatten()?;
    jid::from_wire(&if id.is_lid() { WireJid::pn(&*entry.phone_number) } else { WireJid::lid(&*entry.lid) })
}
