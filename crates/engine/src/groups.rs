//! The groups that an account is in, asked of WhatsApp: which there are, and who is in one of them.
//!
//! Apart from the link because of their size: an account may be in a thousand groups of a thousand people each. Of the list the
//! members are looked at group by group, while the answer is read, and are not kept.

use crate::link::Link;
use crate::{attempt, jid};
use sanasend_model::retry::AttemptError;
use sanasend_model::{Jid, Timestamp};
use sanasend_store::Peer;
use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;
use whatsapp_rust::features::{GroupError, GroupMetadata, GroupParticipant};
use whatsapp_rust::wacore::iq::groups::{GroupInfoResponse, GroupParticipatingIq};
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::protocol::ProtocolNode;
use whatsapp_rust::wacore::request::InfoQuery;
use whatsapp_rust::wacore_binary::{Jid as WireJid, NodeRef};
use whatsapp_rust::{Client, ErrorChainExt};

/// How long WhatsApp may take to answer: a little less than whoever asks for it waits.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most characters that are believed of what a group says of itself.
const MAX_TEXT: usize = 4_096;
/// Most members of one group that are told; admins come first. The largest groups that people write in have 1,024.
const MOST_MEMBERS: usize = 5_000;
/// The end of the year 9999, in seconds: nothing was made later.
const LAST_SECOND: i64 = 253_402_300_799;

/// A group that the account is in.
#[derive(Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub jid: Jid,
    /// Its name.
    pub subject: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// Who made it, where WhatsApp tells.
    pub owner: Option<Peer>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// How many are in it.
    pub member_count: u64,
    /// Whether the account is one of its admins.
    pub is_admin: bool,
    /// Whether only admins may write.
    pub only_admins_send: bool,
    /// Whether it is a community, which holds groups.
    pub is_community: bool,
    /// The community that it belongs to.
    pub parent: Option<Jid>,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupRole {
    /// Reads, and writes unless only admins may.
    Member,
    /// Administers.
    Admin,
    /// Made the group, and administers it.
    SuperAdmin,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Who, by the ids that WhatsApp tells.
    pub person: Peer,
    /// What they may do.
    pub role: GroupRole,
}

/// A group with who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupAndMembers {
    /// The group.
    pub group: Group,
    /// Its members, admins first; 5,000 at most.
    pub members: Vec<GroupMember>,
}

/// What people call their groups is not for logs.
impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({}, {} members)", self.jid, self.member_count)
    }
}

impl Link {
    /// Asks WhatsApp which groups the account is in. In no order.
    ///
    /// # Errors
    /// `Offline`, `Limited` or `Transient`.
    pub async fn groups(&self) -> Result<Vec<Group>, AttemptError> {
        let client = self.alive().ok_or(AttemptError::Offline)?;
        let answer = timeout(PATIENCE, client.execute(Participating(Own::of(client)))).await.map_err(|_| late())?;
        answer.map_err(|error| attempt::asking(&error))
    }

    /// Asks WhatsApp about one group; `None` when the account is not in it, or there is none.
    ///
    /// # Errors
    /// `Offline`, `Limited` or `Transient`.
    pub async fn group(&self, group: &Jid) -> Result<Option<GroupAndMembers>, AttemptError> {
        let client = self.alive().ok_or(AttemptError::Offline)?;
        let wire = jid::to_wire(group).ok_or_else(|| AttemptError::Impossible { reason: "The group is not an id of WhatsApp.".into() })?;
        let groups = client.groups();
        let answer = timeout(PATIENCE, groups.get_metadata(&wire)).await.map_err(|_| late())?;
        match answer {
            Ok(found) => Ok(with_members(found, &Own::of(client))),
            Err(error) if is_foreign(&error) => Ok(None),
            Err(error) => Err(attempt::asking(&error)),
        }
    }
}

/// The account's own ids.
struct Own(Vec<WireJid>);

impl Own {
    fn of(client: &Client) -> Self {
        Self([client.pn(), client.lid()].into_iter().flatten().collect())
    }

    fn is(&self, member: &GroupParticipant) -> bool {
        let ids = [Some(&member.jid), member.phone_number.as_ref(), member.lid.as_ref()];
        ids.into_iter().flatten().any(|id| self.0.iter().any(|own| own.is_same_chat_as(id)))
    }
}

/// The question for all groups. The library's own would keep all members of all of them.
struct Participating(Own);

impl IqSpec for Participating {
    type Response = Vec<Group>;

    fn build_iq(&self) -> InfoQuery<'static> {
        GroupParticipatingIq::new().build_iq()
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<Vec<Group>, anyhow::Error> {
        let list = response.get_optional_child("groups").or_else(|| response.get_optional_child("communities")).unwrap_or(response);
        let mut groups = Vec::new();
        for node in list.children().unwrap_or_default() {
            if node.tag != "group" && node.tag != "community" {
                continue;
            }
            match GroupInfoResponse::try_from_node_ref(node) {
                Ok(found) => {
                    let mut found = GroupMetadata::from(found);
                    found.is_parent_group |= node.tag == "community";
                    groups.extend(read(found, &self.0).map(|(group, _)| group));
                }
                // One that can't be read does not hide the others.
                Err(error) => tracing::warn!(%error, "WhatsApp tells of a group in a way that can't be read"),
            }
        }
        Ok(groups)
    }
}

fn late() -> AttemptError {
    AttemptError::Transient { reason: "WhatsApp did not answer in time".into() }
}

/// Whether WhatsApp refuses to tell of a group because it is none of the account's: unknown, left, deleted, or no group at all.
fn is_foreign(error: &GroupError) -> bool {
    let refusal = error.server_rejection();
    refusal.is_some_and(|refusal| refusal.backoff.is_none() && matches!(refusal.code, 400 | 401 | 403 | 404 | 406 | 410))
}

/// A group in our words, and its members still in the library's.
fn read(found: GroupMetadata, own: &Own) -> Option<(Group, Vec<GroupParticipant>)> {
    let owner = [found.creator, found.creator_pn].into_iter().flatten();
    let owner: Vec<Jid> = owner.filter_map(|id| jid::from_wire(&id)).collect();
    let listed = u64::try_from(found.participants.len()).unwrap_or(u64::MAX);
    let group = Group {
        jid: jid::from_wire(&found.id).filter(Jid::is_group)?,
        subject: clip(&found.subject),
        description: found.description.as_deref().map(clip).filter(|text| !text.is_empty()),
        owner: (!owner.is_empty()).then(|| jid::peer(owner)),
        created_at: found.creation_time.and_then(moment),
        member_count: found.size.map_or(listed, |size| listed.max(size.into())),
        is_admin: found.participants.iter().any(|member| member.is_admin() && own.is(member)),
        only_admins_send: found.is_announcement,
        is_community: found.is_parent_group,
        parent: found.parent_group_jid.as_ref().and_then(jid::from_wire),
    };
    Some((group, found.participants))
}

/// The same with its members; `None` when all of them are listed and the account is not among them.
fn with_members(found: GroupMetadata, own: &Own) -> Option<GroupAndMembers> {
    let (group, listed) = read(found, own)?;
    // Of communities WhatsApp lists only some; that the account is not among those says nothing.
    let is_whole = u64::try_from(listed.len()).is_ok_and(|listed| listed >= group.member_count);
    if is_whole && !listed.iter().any(|member| own.is(member)) {
        return None;
    }
    let mut members: Vec<GroupMember> = listed.into_iter().filter_map(member).collect();
    members.sort_by_key(|member| Reverse(member.role));
    members.truncate(MOST_MEMBERS);
    Some(GroupAndMembers { group, members })
}

fn member(listed: GroupParticipant) -> Option<GroupMember> {
    let role = match (listed.is_super_admin(), listed.is_admin()) {
        (true, _) => GroupRole::SuperAdmin,
        (false, true) => GroupRole::Admin,
        (false, false) => GroupRole::Member,
    };
    let ids = [Some(listed.jid), listed.phone_number, listed.lid];
    let person = jid::peer(ids.into_iter().flatten().filter_map(|id| jid::from_wire(&id)));
    (person.jid.is_some() || person.lid.is_some()).then_some(GroupMember { person, role })
}

fn clip(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn moment(seconds: u64) -> Option<Timestamp> {
    i64::try_from(seconds).ok().filter(|seconds| *seconds <= LAST_SECOND).map(Timestamp::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use whatsapp_rust::IqError;
    use whatsapp_rust::features::ParticipantType;

    fn wire(text: &str) -> WireJid {
        text.parse().expect("jid")
    }

    fn listed(id: &str, participant_type: ParticipantType) -> GroupParticipant {
        GroupParticipant { jid: wire(id), phone_number: None, lid: None, username: None, participant_type, details: None }
    }

    fn bread(participants: Vec<GroupParticipant>) -> GroupMetadata {
        GroupMetadata { id: wire("120363@g.us"), subject: "Bread".into(), participants, ..GroupMetadata::default() }
    }

    fn own() -> Own {
        Own(vec![wire("15550100:33@s.whatsapp.net"), wire("123:33@lid")])
    }

    #[test]
    fn the_account_is_found_by_either_of_its_ids_and_admins_come_first() {
        let ben = GroupParticipant { phone_number: Some(wire("15550101@s.whatsapp.net")), ..listed("456@lid", ParticipantType::Member) };
        let found = bread(vec![ben, listed("123@lid", ParticipantType::Admin), listed("789@lid", ParticipantType::SuperAdmin)]);
        let told = with_members(found, &own()).expect("a member");
        assert_eq!((told.group.member_count, told.group.is_admin), (3, true));
        let roles: Vec<GroupRole> = told.members.iter().map(|member| member.role).collect();
        assert_eq!(roles, [GroupRole::SuperAdmin, GroupRole::Admin, GroupRole::Member]);
        let ben = &told.members[2].person;
        assert_eq!(ben.phone.as_ref().map(sanasend_model::PhoneNumber::as_str), Some("+15550101"));
        assert_eq!(ben.lid.as_ref().map(Jid::as_str), Some("456@lid"));
    }

    #[test]
    fn a_group_without_the_account_is_none_unless_only_some_members_are_listed() {
        let others = || bread(vec![listed("456@lid", ParticipantType::Admin)]);
        assert_eq!(with_members(others(), &own()), None);
        let large = with_members(GroupMetadata { size: Some(900), ..others() }, &own()).expect("told");
        assert_eq!((large.group.member_count, large.group.is_admin, large.members.len()), (900, false, 1));
    }

    #[test]
    fn what_is_told_of_a_group_has_bounds() {
        let many = (0..MOST_MEMBERS + 5).map(|number| listed(&format!("{number}@lid"), ParticipantType::Member)).collect();
        let found = GroupMetadata { description: Some("x".repeat(MAX_TEXT + 5)), creation_time: Some(u64::MAX), ..bread(many) };
        let told = with_members(found, &own()).expect("the account is number 123");
        assert_eq!((told.members.len(), told.group.member_count), (MOST_MEMBERS, 5_005));
        assert_eq!((told.group.description.map(|text| text.len()), told.group.created_at), (Some(MAX_TEXT), None));
        assert_eq!(moment(1_700_000_000), Some(Timestamp(1_700_000_000_000)));
    }

    #[test]
    fn who_is_refused_is_no_member_and_who_is_throttled_waits() {
        let refused =
            |code: u16, backoff: Option<u32>| GroupError::Iq(IqError::ServerError { code, text: "x".into(), error_type: None, backoff });
        assert!([400, 401, 403, 404, 406, 410].into_iter().all(|code| is_foreign(&refused(code, None))));
        for error in [refused(403, Some(7)), refused(429, None), refused(500, None), GroupError::Iq(IqError::Timeout)] {
            assert!(!is_foreign(&error), "{error:?}");
        }
    }
}
