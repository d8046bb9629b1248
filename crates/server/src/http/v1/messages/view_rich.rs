//! What a message says beyond a text or a file, and what was done to it, as callers see it.

use super::view::MessageView;
use sanasend_model::{ContactCard, Content, Jid, LinkPreview, Location, Rich, Target, Timestamp};
use sanasend_store::{Marks, Reacted, Who};
use serde::Serialize;
use utoipa::ToSchema;

/// A place.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct LocationView {
    /// Degrees north.
    #[schema(example = 52.516_3)]
    pub latitude: f64,
    /// Degrees east.
    #[schema(example = 13.377_7)]
    pub longitude: f64,
    /// What the place is called.
    #[schema(example = "Brandenburg Gate")]
    pub name: Option<String>,
    /// Where it is.
    #[schema(example = "Pariser Platz, Berlin")]
    pub address: Option<String>,
}

/// A contact card.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ContactCardView {
    /// The name that is shown.
    #[schema(example = "Anna Müller")]
    pub name: String,
    /// Numbers, E.164 where they can be read.
    #[schema(example = json!(["+12025550124"]))]
    pub phones: Vec<String>,
    /// E-mail addresses.
    #[schema(example = json!(["anna@example.com"]))]
    pub emails: Vec<String>,
    /// Where the person works.
    #[schema(example = "Example Ltd")]
    pub organization: Option<String>,
}

/// A poll.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PollView {
    /// What is asked.
    #[schema(example = "When shall we deliver?")]
    pub question: String,
    /// What can be answered, and how many chose it.
    pub options: Vec<PollOptionView>,
    /// How many answers a person may choose; 0: any number.
    #[schema(example = 1)]
    pub selectable_count: u32,
    /// Who chose what, as far as votes came in.
    pub votes: Vec<VoteView>,
}

/// An answer of a poll.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PollOptionView {
    /// The answer.
    #[schema(example = "Tomorrow")]
    pub name: String,
    /// People who chose it.
    #[schema(example = 1)]
    pub votes: usize,
}

/// What somebody chose.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct VoteView {
    /// The answers.
    #[schema(example = json!(["Tomorrow"]))]
    pub options: Vec<String>,
    /// Who.
    pub by: WhoView,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Somebody who did something to a message.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct WhoView {
    /// The account itself.
    #[schema(example = false)]
    pub from_me: bool,
    /// Phone number in E.164; null when WhatsApp hides it, and for the account itself.
    #[schema(example = "+12025550123")]
    pub phone: Option<String>,
    /// Id by number.
    #[schema(value_type = Option<String>, example = "12025550123@s.whatsapp.net")]
    pub jid: Option<Jid>,
    /// Id that hides the number.
    #[schema(value_type = Option<String>, example = "123456789012345@lid")]
    pub lid: Option<Jid>,
    /// The name that the person went by.
    #[schema(example = "Anna")]
    pub name: Option<String>,
}

/// An emoji on a message.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ReactionView {
    /// The emoji.
    #[schema(example = "👍")]
    pub emoji: String,
    /// Who put it there.
    pub by: WhoView,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// The message that a reaction, an edit, a deletion or a vote is about.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TargetView {
    /// Its id here, when it is known here.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub id: Option<String>,
    /// WhatsApp's id of it.
    #[schema(example = "3EB0A7A7A7A7A7A7A7A7A7")]
    pub wa_message_id: String,
}

/// What is shown of a page that a text links to.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct LinkPreviewView {
    /// The link.
    #[schema(example = "https://example.com/orders/17")]
    pub url: String,
    /// The page's title.
    #[schema(example = "Order 17")]
    pub title: String,
    /// A few words about it.
    #[schema(example = "Ready to be picked up.")]
    pub description: Option<String>,
}

impl MessageView {
    /// The same with what `content` says beyond a text or a file, and with what was done to it.
    pub(super) fn with_beyond(mut self, content: &Content, marks: Option<&Marks>) -> Self {
        self.link_preview = content.preview().map(preview);
        match content.rich() {
            Some(Rich::Location(place)) => self.location = Some(location(place)),
            Some(Rich::Contact { contacts }) => self.contacts = Some(contacts.iter().map(card).collect()),
            Some(Rich::Poll(asked)) => self.poll = Some(poll(asked, marks)),
            Some(Rich::Reaction { emoji, .. }) => self.emoji = Some(emoji.clone()),
            Some(Rich::PollVote { options, .. }) => self.selected_options = Some(options.clone()),
            Some(Rich::Edit { .. } | Rich::Revoke { .. }) | None => {}
        }
        self.target = content.rich().and_then(Rich::target).map(target);
        if let Some(marks) = marks {
            self.reactions = marks.reactions.iter().map(reaction).collect();
            (self.edited_at, self.deleted_at) = (marks.edited_at, marks.deleted_at);
        }
        self
    }
}

/// The text of a text, or of an edit.
pub(super) fn text(content: &Content) -> Option<String> {
    match content.rich() {
        Some(Rich::Edit { text, .. }) => Some(text.clone()),
        _ => content.text_body().map(str::to_owned),
    }
}

fn preview(preview: &LinkPreview) -> LinkPreviewView {
    let LinkPreview { url, title, description } = preview.clone();
    LinkPreviewView { url, title, description }
}

fn location(place: &Location) -> LocationView {
    let Location { latitude, longitude, name, address } = place.clone();
    LocationView { latitude, longitude, name, address }
}

fn card(card: &ContactCard) -> ContactCardView {
    let ContactCard { name, phones, emails, organization } = card.clone();
    ContactCardView { name, phones, emails, organization }
}

fn poll(poll: &sanasend_model::Poll, marks: Option<&Marks>) -> PollView {
    let votes = marks.map(|marks| marks.votes.as_slice()).unwrap_or_default();
    let chose = |name: &String| votes.iter().filter(|voted| voted.options.contains(name)).count();
    PollView {
        question: poll.question.clone(),
        options: poll.options.iter().map(|name| PollOptionView { name: name.clone(), votes: chose(name) }).collect(),
        selectable_count: poll.selectable_count,
        votes: votes.iter().map(|voted| VoteView { options: voted.options.clone(), by: who(&voted.by), at: voted.at }).collect(),
    }
}

fn reaction(reacted: &Reacted) -> ReactionView {
    ReactionView { emoji: reacted.emoji.clone(), by: who(&reacted.by), at: reacted.at }
}

fn who(who: &Who) -> WhoView {
    let phone = who.jid.as_ref().and_then(Jid::phone).map(|phone| phone.to_string());
    WhoView { from_me: who.from_me, phone, jid: who.jid.clone(), lid: who.lid.clone(), name: who.name.clone() }
}

fn target(target: &Target) -> TargetView {
    TargetView { id: target.message_id.map(|id| id.to_string()), wa_message_id: target.wa_message_id.clone() }
}
