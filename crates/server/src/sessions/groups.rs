//! Which groups an account is in, asked of WhatsApp through whichever node runs the account.
//!
//! WhatsApp tells of all groups at once, and does not like to be asked often. So the first page of a list asks, and those that
//! follow read what that answer said, for a minute: a walk through the pages is one question. Between nodes goes one page.

use super::command::Command;
use super::registry::Sessions;
use sanasend_engine::{Group, GroupAndMembers, GroupMember, GroupRole, Link};
use sanasend_model::retry::AttemptError;
use sanasend_model::{Jid, SessionId, Timestamp};
use sanasend_store::{Listed, Page, Peer, Session};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long pages behind the first are read from one answer.
const KEPT: Duration = Duration::from_mins(1);
/// Answers that are kept at once, of all accounts together.
const MOST_KEPT: usize = 16;

/// Which groups are to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupsWish {
    /// Part of the subject, in whatever case.
    pub search: Option<String>,
    /// Which page of those.
    pub page: Page,
}

/// A question about groups, with the place for its answer.
#[derive(Debug)]
pub(super) enum GroupsQuestion {
    /// Which there are.
    All(oneshot::Sender<Result<Vec<Group>, AttemptError>>),
    /// Who is in one.
    One(Jid, oneshot::Sender<Result<Option<GroupAndMembers>, AttemptError>>),
}

impl GroupsQuestion {
    /// Asks WhatsApp.
    pub(super) async fn ask(self, link: Arc<Link>) {
        // Whoever asked may have gone.
        match self {
            Self::All(done) => drop(done.send(link.groups().await)),
            Self::One(group, done) => drop(done.send(link.group(&group).await)),
        }
    }

    /// Says that the account is not connected.
    pub(super) fn refuse(self) {
        match self {
            Self::All(done) => drop(done.send(Err(AttemptError::Offline))),
            Self::One(_, done) => drop(done.send(Err(AttemptError::Offline))),
        }
    }
}

/// The last answers of WhatsApp that have more than one page.
#[derive(Default)]
pub(super) struct Answers(Mutex<VecDeque<Kept>>);

struct Kept {
    of: SessionId,
    at: Instant,
    groups: Arc<Vec<Group>>,
}

impl Answers {
    /// Keeps the newest answer about an account, or nothing where no page follows: what is older is forgotten.
    fn keep(&self, of: SessionId, groups: Option<Arc<Vec<Group>>>) {
        let mut kept = self.fresh();
        kept.retain(|kept| kept.of != of);
        let Some(groups) = groups else { return };
        if kept.len() >= MOST_KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept { of, at: Instant::now(), groups });
    }

    fn find(&self, of: SessionId) -> Option<Arc<Vec<Group>>> {
        self.fresh().iter().find(|kept| kept.of == of).map(|kept| kept.groups.clone())
    }

    /// A poisoned lock only means that a caller panicked between two changes of the list; it is whole.
    fn fresh(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.at.elapsed() < KEPT);
        kept
    }
}

impl Sessions {
    /// Some of the groups that an account is in, by their subjects. The first page asks WhatsApp.
    ///
    /// # Errors
    /// `Offline` when the account is not connected, `Limited` when WhatsApp asks for patience, else why it did not answer.
    pub async fn groups(&self, row: &Session, wish: GroupsWish) -> Result<Listed<Group>, AttemptError> {
        let Ok(Some(node)) = self.node_of(row).await else { return self.groups_here(row.id, &wish).await };
        let asked = json!({"do": "groups", "search": wish.search, "page": wish.page.page, "page_size": wish.page.page_size});
        let answer = self.call(node, row, asked).await.map_err(|error| AttemptError::Transient { reason: error.to_string() })?;
        let said = &answer["result"];
        match (said["count"].as_u64(), said["groups"].as_array()) {
            (Some(count), Some(groups)) => Ok(Listed { count, results: groups.iter().filter_map(read_group).collect() }),
            _ => Err(read_error(said)),
        }
    }

    /// One group that an account is in, with its members; `None` for any other.
    ///
    /// # Errors
    /// As [`Sessions::groups`].
    pub async fn group(&self, row: &Session, group: Jid) -> Result<Option<GroupAndMembers>, AttemptError> {
        let Ok(Some(node)) = self.node_of(row).await else { return self.group_here(row.id, group).await };
        let asked = json!({"do": "group", "group": group});
        let answer = self.call(node, row, asked).await.map_err(|error| AttemptError::Transient { reason: error.to_string() })?;
        let said = &answer["result"];
        match (said.get("group"), said["members"].as_array()) {
            (Some(Value::Null), _) => Ok(None),
            (Some(group), Some(members)) => Ok(read_group(group).map(|group| {
                let members = members.iter().filter_map(read_member).collect();
                GroupAndMembers { group, members }
            })),
            _ => Err(read_error(said)),
        }
    }

    pub(super) async fn groups_as_asked(&self, row: &Session, asked: &Value) -> Value {
        let number = |name: &str| asked[name].as_u64().unwrap_or(1).max(1);
        let page = Page { page: number("page"), page_size: number("page_size") };
        let wish = GroupsWish { search: asked["search"].as_str().map(str::to_owned), page };
        match self.groups_here(row.id, &wish).await {
            Ok(listed) => json!({"count": listed.count, "groups": listed.results.iter().map(write_group).collect::<Vec<_>>()}),
            Err(error) => write_error(&error),
        }
    }

    pub(super) async fn group_as_asked(&self, row: &Session, asked: &Value) -> Value {
        let Some(group) = asked["group"].as_str().and_then(Jid::parse) else { return json!({"group": null}) };
        match self.group_here(row.id, group).await {
            Ok(Some(told)) => {
                let members: Vec<Value> = told.members.iter().map(write_member).collect();
                json!({"group": write_group(&told.group), "members": members})
            }
            Ok(None) => json!({"group": null}),
            Err(error) => write_error(&error),
        }
    }

    async fn groups_here(&self, id: SessionId, wish: &GroupsWish) -> Result<Listed<Group>, AttemptError> {
        let is_first = wish.page.page <= 1;
        if let Some(groups) = self.group_answers().find(id).filter(|_| !is_first) {
            return Ok(wish.pick(&groups));
        }
        let asked = self.ask(id, |done| Command::Groups(GroupsQuestion::All(done))).await;
        let mut groups = asked.unwrap_or(Err(AttemptError::Offline))?;
        groups.sort_by_cached_key(|group| (group.subject.to_lowercase(), group.jid.clone()));
        let groups = Arc::new(groups);
        let listed = wish.pick(&groups);
        self.group_answers().keep(id, Some(groups).filter(|_| listed.count > wish.page.page_size));
        Ok(listed)
    }

    async fn group_here(&self, id: SessionId, group: Jid) -> Result<Option<GroupAndMembers>, AttemptError> {
        let asked = self.ask(id, |done| Command::Groups(GroupsQuestion::One(group, done))).await;
        asked.unwrap_or(Err(AttemptError::Offline))
    }
}

impl GroupsWish {
    fn pick(&self, groups: &[Group]) -> Listed<Group> {
        let wanted = self.search.as_deref().unwrap_or_default().trim().to_lowercase();
        let found: Vec<&Group> = groups.iter().filter(|group| group.subject.to_lowercase().contains(&wanted)).collect();
        let many = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let shown = found.into_iter().skip(many(self.page.offset())).take(many(self.page.page_size));
        Listed { count, results: shown.cloned().collect() }
    }
}

/// What a member may do, as callers and other nodes are told.
pub fn role_word(role: GroupRole) -> &'static str {
    match role {
        GroupRole::Member => "member",
        GroupRole::Admin => "admin",
        GroupRole::SuperAdmin => "superadmin",
    }
}

fn write_group(group: &Group) -> Value {
    json!({
        "jid": group.jid,
        "subject": group.subject,
        "description": group.description,
        "owner": group.owner.as_ref().map(write_person),
        "created_at": group.created_at.map(|at| at.0),
        "members": group.member_count,
        "is_admin": group.is_admin,
        "only_admins_send": group.only_admins_send,
        "is_community": group.is_community,
        "parent": group.parent,
    })
}

fn read_group(told: &Value) -> Option<Group> {
    let jid = |name: &str| told[name].as_str().and_then(Jid::parse);
    let is = |name: &str| told[name] == true;
    Some(Group {
        jid: jid("jid")?,
        subject: told["subject"].as_str()?.to_owned(),
        description: told["description"].as_str().map(str::to_owned),
        owner: Some(&told["owner"]).filter(|owner| owner.is_object()).map(read_person),
        created_at: told["created_at"].as_i64().map(Timestamp),
        member_count: told["members"].as_u64()?,
        is_admin: is("is_admin"),
        only_admins_send: is("only_admins_send"),
        is_community: is("is_community"),
        parent: jid("parent"),
    })
}

fn write_member(member: &GroupMember) -> Value {
    json!({"person": write_person(&member.person), "role": role_word(member.role)})
}

fn read_member(told: &Value) -> Option<GroupMember> {
    let roles = [GroupRole::Member, GroupRole::Admin, GroupRole::SuperAdmin];
    let role = roles.into_iter().find(|role| told["role"] == role_word(*role))?;
    Some(GroupMember { person: read_person(&told["person"]), role })
}

/// The number follows from the id by number.
fn write_person(person: &Peer) -> Value {
    json!({"jid": person.jid, "lid": person.lid})
}

fn read_person(told: &Value) -> Peer {
    let jid = |name: &str| told[name].as_str().and_then(Jid::parse);
    let by_number = jid("jid");
    Peer { phone: by_number.as_ref().and_then(Jid::phone), jid: by_number, lid: jid("lid") }
}

fn write_error(error: &AttemptError) -> Value {
    match error {
        AttemptError::Offline => json!({"failed": "offline"}),
        AttemptError::Limited { wait } => json!({"failed": "limited", "wait": wait.map(|wait| wait.as_secs())}),
        AttemptError::Transient { reason } => json!({"failed": reason}),
        other => json!({"failed": format!("{other:?}")}),
    }
}

fn read_error(told: &Value) -> AttemptError {
    match told["failed"].as_str() {
        Some("offline") => AttemptError::Offline,
        Some("limited") => AttemptError::Limited { wait: told["wait"].as_u64().map(Duration::from_secs) },
        why => AttemptError::Transient { reason: why.unwrap_or("the node that runs the account can't ask for groups").to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(number: u32, subject: &str) -> Group {
        Group {
            jid: Jid::parse(&format!("{number}@g.us")).expect("jid"),
            subject: subject.into(),
            description: (number == 1).then(|| "Fresh at eight.".to_owned()),
            owner: (number == 1).then(|| Peer { lid: Jid::parse("7@lid"), ..Peer::default() }),
            created_at: (number == 1).then_some(Timestamp(1_700_000_000_000)),
            member_count: u64::from(number),
            is_admin: number == 1,
            only_admins_send: number == 2,
            is_community: number == 3,
            parent: (number == 2).then(|| Jid::parse("3@g.us")).flatten(),
        }
    }

    #[test]
    fn what_goes_between_nodes_arrives_as_it_was() {
        for group in [group(1, "Bread"), group(2, ""), group(3, "Ünï")] {
            assert_eq!(read_group(&write_group(&group)), Some(group));
        }
        let jid = Jid::parse("15550100@s.whatsapp.net");
        let phone = jid.as_ref().and_then(Jid::phone);
        assert!(phone.is_some());
        for role in [GroupRole::Member, GroupRole::Admin, GroupRole::SuperAdmin] {
            let member = GroupMember { person: Peer { phone: phone.clone(), jid: jid.clone(), lid: Jid::parse("7@lid") }, role };
            assert_eq!(read_member(&write_member(&member)), Some(member));
        }
        let wait = Some(Duration::from_secs(7));
        let reason = "x".to_owned();
        for error in [AttemptError::Offline, AttemptError::Limited { wait }, AttemptError::Transient { reason }] {
            assert_eq!(read_error(&write_error(&error)), error);
        }
        assert!(matches!(read_error(&Value::Null), AttemptError::Transient { .. }), "a node that does not know the question");
    }

    #[test]
    fn a_page_is_picked_of_those_that_fit() {
        let groups = [group(1, "Bread"), group(2, "bread and rolls"), group(3, "Rolls"), group(4, "Gebäck BREAD")];
        let pick = |search: Option<&str>, page: u64, page_size: u64| {
            let wish = GroupsWish { search: search.map(str::to_owned), page: Page { page, page_size } };
            let listed = wish.pick(&groups);
            (listed.count, listed.results.into_iter().map(|group| group.member_count).collect::<Vec<_>>())
        };
        assert_eq!(pick(None, 1, 3), (4, vec![1, 2, 3]));
        assert_eq!(pick(None, 2, 3), (4, vec![4]));
        assert_eq!(pick(None, 9, 3), (4, vec![]));
        assert_eq!(pick(Some(" bread "), 1, 2), (3, vec![1, 2]));
        assert_eq!(pick(Some("GEBÄCK"), 1, 20), (1, vec![4]));
        assert_eq!(pick(Some("cake"), 1, 20), (0, vec![]));
        assert_eq!(pick(Some(" "), u64::MAX, u64::MAX), (4, vec![]));
    }

    #[test]
    fn few_answers_are_kept_at_once() {
        let answers = Answers::default();
        let id = |number: usize| SessionId(uuid::Uuid::from_u128(u128::try_from(number).expect("a number")));
        for number in 0..=MOST_KEPT {
            answers.keep(id(number), Some(Arc::new(vec![group(1, "Bread")])));
        }
        assert!(answers.find(id(0)).is_none(), "the oldest made room");
        assert!(answers.find(id(1)).is_some());
        answers.keep(id(1), Some(Arc::new(Vec::new())));
        assert_eq!(answers.find(id(1)).map(|groups| groups.len()), Some(0), "the newest of an account counts");
        answers.keep(id(1), None);
        assert!(answers.find(id(1)).is_none() && answers.find(id(2)).is_some());
    }
}
