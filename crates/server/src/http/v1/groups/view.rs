//! Groups as callers see them.

use crate::sessions::role_word;
use sanasend_engine::{Group, GroupMember};
use sanasend_model::{Jid, PhoneNumber, Timestamp};
use sanasend_store::Peer;
use serde::Serialize;
use utoipa::ToSchema;

/// A group that the account is in.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Group")]
pub(crate) struct GroupView {
    /// Its id: the `recipient` of messages to it.
    #[schema(value_type = String, example = "120363021033254949@g.us")]
    pub jid: Jid,
    /// Its name.
    #[schema(example = "Bread orders")]
    pub subject: String,
    /// What it says of itself.
    #[schema(example = "Fresh at eight.")]
    pub description: Option<String>,
    /// Who made it; null when WhatsApp does not tell.
    pub owner: Option<GroupOwnerView>,
    /// When it was made.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_at: Option<Timestamp>,
    /// How many are in it, the account among them.
    #[schema(example = 12)]
    pub participant_count: u64,
    /// Whether the account may administer it.
    #[schema(example = false)]
    pub is_admin: bool,
    /// Whether only admins may write to it.
    #[schema(example = false)]
    pub only_admins_send: bool,
    /// Whether it is a community, which holds groups.
    #[schema(example = false)]
    pub is_community: bool,
    /// The community that it belongs to.
    #[schema(value_type = Option<String>, example = "120363000000000001@g.us")]
    pub parent: Option<Jid>,
}

/// Who made a group.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "GroupOwner")]
pub(crate) struct GroupOwnerView {
    /// Phone number in E.164; null when WhatsApp hides it.
    #[schema(value_type = Option<String>, example = "+12025550123")]
    pub phone: Option<PhoneNumber>,
    /// Id by number.
    #[schema(value_type = Option<String>, example = "12025550123@s.whatsapp.net")]
    pub jid: Option<Jid>,
    /// Id that hides the number.
    #[schema(value_type = Option<String>, example = "123456789012345@lid")]
    pub lid: Option<Jid>,
}

/// A group with who is in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "GroupDetail")]
pub(crate) struct GroupDetail {
    /// The group.
    #[serde(flatten)]
    pub group: GroupView,
    /// Who is in it, admins first.
    pub participants: Vec<ParticipantView>,
}

/// A member of a group.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Participant")]
pub(crate) struct ParticipantView {
    /// Phone number in E.164; null when WhatsApp hides it.
    #[schema(value_type = Option<String>, example = "+12025550123")]
    pub phone: Option<PhoneNumber>,
    /// Id by number; null when WhatsApp hides it.
    #[schema(value_type = Option<String>, example = "12025550123@s.whatsapp.net")]
    pub jid: Option<Jid>,
    /// Id that hides the number.
    #[schema(value_type = Option<String>, example = "123456789012345@lid")]
    pub lid: Option<Jid>,
    /// The name of your contact; null when there is none.
    #[schema(example = "Anna")]
    pub name: Option<String>,
    /// `member`, `admin` or `superadmin` (who made the group).
    #[schema(example = "admin")]
    pub role: &'static str,
}

impl From<Group> for GroupView {
    fn from(group: Group) -> Self {
        Self {
            jid: group.jid,
            subject: group.subject,
            description: group.description,
            owner: group.owner.map(|Peer { phone, jid, lid }| GroupOwnerView { phone, jid, lid }),
            created_at: group.created_at,
            participant_count: group.member_count,
            is_admin: group.is_admin,
            only_admins_send: group.only_admins_send,
            is_community: group.is_community,
            parent: group.parent,
        }
    }
}

impl ParticipantView {
    pub(super) fn of(member: GroupMember, name: Option<String>) -> Self {
        let Peer { phone, jid, lid } = member.person;
        Self { phone, jid, lid, name, role: role_word(member.role) }
    }
}
