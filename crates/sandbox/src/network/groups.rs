//! Groups: who is in them, who may change that, and what goes to all of them.
//!
//! Members are addressed by number. The server cannot read what is sent: each device gets the copy that was sealed for
//! it alone, if there is one (the sender's key), and the one copy that was sealed for all.

use super::Inner;
use super::accounts::Account;
use super::login::Session;
use super::nodes::{content, first_child, holding, jid, passed, refusal, result, text};
use crate::Error;
use crate::state::Room;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{CompactString, Jid, Node};

/// Members of one group, as WhatsApp limits them.
const MEMBERS: usize = 257;
/// Groups of the whole network.
const GROUPS: usize = 1_000;
/// Characters of a subject.
const SUBJECT: usize = 100;
/// Characters of a description.
const DESCRIPTION: usize = 2_048;

/// A refusal of the server: its code and its word.
type Refused = (u16, &'static str);

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rank {
    Member,
    Admin,
    /// Who made the group.
    Founder,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Member {
    phone: String,
    rank: Rank,
}

/// A group, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Group {
    id: String,
    subject: String,
    founder: String,
    made_at: i64,
    members: Vec<Member>,
    #[serde(default)]
    description: Option<Description>,
    /// Whether only admins may write.
    #[serde(default)]
    is_announcement: bool,
}

/// What a group says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Description {
    /// Names this text: who changes it has to know which one they replace.
    id: String,
    text: String,
    /// The number of who wrote it.
    by: String,
    at: i64,
}

/// What an admin does to a group on the phone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupChange {
    /// Takes a person in: a number or jid.
    Add(String),
    /// Takes a person out.
    Remove(String),
    /// Makes a member an admin.
    Promote(String),
    /// Makes an admin a member.
    Demote(String),
    /// Gives it another name.
    Subject(String),
    /// Says what it is about; empty takes that away.
    Description(String),
    /// Whether only admins may write.
    OnlyAdminsSend(bool),
}

impl GroupChange {
    /// The person whom it is about.
    #[must_use]
    pub fn person(&self) -> Option<&str> {
        match self {
            Self::Add(person) | Self::Remove(person) | Self::Promote(person) | Self::Demote(person) => Some(person),
            Self::Subject(_) | Self::Description(_) | Self::OnlyAdminsSend(_) => None,
        }
    }

    /// The stanza by which a phone asks for it.
    fn stanza(&self, group: &Group, person: Option<&Jid>, new_id: String) -> Node {
        let tag = match self {
            Self::Add(_) => "add",
            Self::Remove(_) => "remove",
            Self::Promote(_) => "promote",
            Self::Demote(_) => "demote",
            Self::Subject(subject) => return NodeBuilder::new("subject").bytes(subject.as_bytes()).build(),
            Self::OnlyAdminsSend(true) => "announcement",
            Self::OnlyAdminsSend(false) => "not_announcement",
            Self::Description(text) => {
                let mut what = NodeBuilder::new("description").attr("id", new_id);
                if let Some(known) = &group.description {
                    what = what.attr("prev", known.id.as_str());
                }
                if text.is_empty() {
                    return what.attr("delete", "true").build();
                }
                return what.children([holding("body", text.as_bytes())]).build();
            }
        };
        NodeBuilder::new(tag).children(person.map(participant)).build()
    }
}

impl Group {
    /// The group's jid.
    pub fn jid(&self) -> Jid {
        Jid::group(self.id.as_str())
    }

    fn rank(&self, phone: &str) -> Option<Rank> {
        self.members.iter().find(|member| member.phone == phone).map(|member| member.rank)
    }

    fn is_admin(&self, phone: &str) -> bool {
        matches!(self.rank(phone), Some(Rank::Admin | Rank::Founder))
    }

    fn key(id: &str) -> Vec<u8> {
        format!("group:{id}").into_bytes()
    }
}

impl Inner {
    /// An iq about groups; `None` when it is not known here.
    pub(super) fn on_groups(&self, session: &Session, node: &Node) -> Result<Option<Node>, Error> {
        let Some(what) = first_child(node) else {
            return Ok(Some(refusal(node, 400, "bad-request")));
        };
        let set = text(node, "type") == "set";
        match (set, what.tag.as_ref()) {
            (true, "create") => self.create(session, node, what).map(Some),
            (true, "leave") => self.leave(session, node, what).map(Some),
            (false, "participating") => {
                let mine = self.groups()?.into_iter().filter(|group| group.rank(&session.account.phone).is_some());
                let asked = |tag: &str| what.get_optional_child(tag).is_some();
                let (people, about) = (asked("participants"), asked("description"));
                let groups = NodeBuilder::new("groups").children(mine.map(|group| self.describe_in_part(&group, people, about)));
                Ok(Some(result(node).children([groups.build()]).build()))
            }
            (false, "query") => Ok(Some(match self.own_group(session, node)? {
                Ok(group) => result(node).children([self.describe(&group)]).build(),
                Err(refused) => refused,
            })),
            (true, "add" | "remove" | "promote" | "demote" | "subject" | "description" | "announcement" | "not_announcement") => {
                match self.own_group(session, node)? {
                    Ok(group) => self.change(session, node, what, group).map(Some),
                    Err(refused) => Ok(Some(refused)),
                }
            }
            _ => Ok(None),
        }
    }

    /// A new group of `founder` and these people.
    pub(super) fn make_group(&self, founder: &str, subject: &str, people: &[Jid]) -> Result<Group, Error> {
        if subject.is_empty() || subject.chars().count() > SUBJECT {
            return Err(Error::Invalid(format!("a subject has 1 to {SUBJECT} characters")));
        }
        if people.len() >= MEMBERS || self.groups()?.len() >= GROUPS {
            return Err(Error::Refused(format!("there can be {MEMBERS} members of a group, and {GROUPS} groups")));
        }
        let mut group = Group {
            id: format!("120363{:06}{:06}", self.clock.below(1_000_000), self.clock.below(1_000_000)),
            subject: subject.to_owned(),
            founder: founder.to_owned(),
            made_at: self.clock.unix_seconds(),
            description: None,
            is_announcement: false,
            members: vec![Member { phone: founder.to_owned(), rank: Rank::Founder }],
        };
        for account in people.iter().filter_map(|person| self.accounts.find(person)) {
            if group.rank(&account.phone).is_none() {
                group.members.push(Member { phone: account.phone.to_string(), rank: Rank::Member });
            }
        }
        self.save_group(&group)?;
        Ok(group)
    }

    /// The group with this jid.
    pub(super) fn group(&self, jid: &Jid) -> Result<Option<Group>, Error> {
        self.state.get(Room::Extras, &Group::key(&jid.user))
    }

    /// Tells every device of every member but one what has changed.
    pub(super) fn tell_group(&self, group: &Group, by: &Account, but: Option<u16>, what: &Node) -> Result<(), Error> {
        let notification = NodeBuilder::new("notification")
            .attr("from", group.jid())
            .attr("participant", by.pn(0))
            .attr("id", self.next_id())
            .attr("type", "w:g2")
            .attr("t", self.clock.unix_seconds())
            .children([what.clone()])
            .build();
        for account in self.members(group) {
            let own = account.phone == by.phone;
            let mut account = account.lock();
            let devices: Vec<u16> = account.published().map(|device| device.record.id).collect();
            for device in devices.into_iter().filter(|device| !(own && but == Some(*device))) {
                self.deliver(&mut account, device, notification.clone())?;
            }
        }
        Ok(())
    }

    /// What everybody is told of a new group.
    pub(super) fn announcement(&self, group: &Group) -> Node {
        NodeBuilder::new("create").attr("type", "new").children([self.describe(group)]).build()
    }

    fn groups(&self) -> Result<Vec<Group>, Error> {
        Ok(self.state.scan::<Group>(Room::Extras, b"group:")?.into_iter().map(|(_, group)| group).collect())
    }

    fn save_group(&self, group: &Group) -> Result<(), Error> {
        self.state.put(Room::Extras, &Group::key(&group.id), group)
    }

    fn members(&self, group: &Group) -> Vec<Arc<Account>> {
        group.members.iter().filter_map(|member| self.accounts.by_phone(&member.phone)).collect()
    }

    /// The jids of the members, by number; empty for somebody who is not one of them.
    pub(super) fn members_for(&self, phone: &str, group: &Jid) -> Result<Vec<Jid>, Error> {
        let Some(group) = self.group(group)?.filter(|group| group.rank(phone).is_some()) else {
            return Ok(Vec::new());
        };
        Ok(self.members(&group).iter().map(|account| account.pn(0)).collect())
    }

    fn describe(&self, group: &Group) -> Node {
        self.describe_in_part(group, true, true)
    }

    /// A group as who asks wants it: with its members, with what it says of itself.
    fn describe_in_part(&self, group: &Group, with_members: bool, with_description: bool) -> Node {
        let members = group.members.iter().filter(|_| with_members).filter_map(|member| {
            let account = self.accounts.by_phone(&member.phone)?;
            let node = NodeBuilder::new("participant").attr("jid", account.pn(0)).attr("lid", account.lid(0));
            Some(match member.rank {
                Rank::Member => node.build(),
                Rank::Admin => node.attr("type", "admin").build(),
                Rank::Founder => node.attr("type", "superadmin").build(),
            })
        });
        let description = group.description.as_ref().filter(|_| with_description).map(Description::stanza);
        let announcement = group.is_announcement.then(|| NodeBuilder::new("announcement").build());
        let founder = Jid::pn(group.founder.as_str());
        NodeBuilder::new("group")
            .attr("id", group.id.as_str())
            .attr("subject", group.subject.as_str())
            .attr("s_o", founder.clone())
            .attr("s_t", group.made_at)
            .attr("creator", founder)
            .attr("creation", group.made_at)
            .attr("addressing_mode", "pn")
            .attr("size", u32::try_from(group.members.len()).unwrap_or(u32::MAX))
            .children(description.into_iter().chain(announcement).chain(members))
            .build()
    }

    /// The group that an iq is sent to, of which its sender is a member; or the refusal.
    fn own_group(&self, session: &Session, node: &Node) -> Result<Result<Group, Node>, Error> {
        let group = match jid(node, "to") {
            Some(to) => self.group(&to)?,
            None => None,
        };
        Ok(match group {
            None => Err(refusal(node, 404, "item-not-found")),
            Some(group) if group.rank(&session.account.phone).is_none() => Err(refusal(node, 403, "forbidden")),
            Some(group) => Ok(group),
        })
    }

    fn create(&self, session: &Session, node: &Node, what: &Node) -> Result<Node, Error> {
        let group = match self.make_group(&session.account.phone, &text(what, "subject"), &people(what)) {
            Ok(group) => group,
            Err(Error::Invalid(_) | Error::Refused(_)) => return Ok(refusal(node, 406, "not-acceptable")),
            Err(error) => return Err(error),
        };
        self.tell_group(&group, &session.account, Some(session.device), &self.announcement(&group))?;
        Ok(result(node).children([self.describe(&group)]).build())
    }

    fn leave(&self, session: &Session, node: &Node, what: &Node) -> Result<Node, Error> {
        let own = &session.account.phone;
        for left in what.get_children_by_tag("group").filter_map(|left| jid(left, "id")) {
            let Some(mut group) = self.group(&left)?.filter(|group| group.rank(own).is_some()) else {
                return Ok(refusal(node, 404, "item-not-found"));
            };
            let gone = NodeBuilder::new("remove").children([participant(&session.account.pn(0))]).build();
            self.tell_group(&group, &session.account, Some(session.device), &gone)?;
            group.members.retain(|member| member.phone != *own);
            self.save_group(&group)?;
        }
        Ok(result(node).children([what.clone()]).build())
    }

    fn change(&self, session: &Session, node: &Node, what: &Node, group: Group) -> Result<Node, Error> {
        Ok(match self.change_as(&session.account, Some(session.device), what, group)? {
            Ok(told) => result(node).children([told]).build(),
            Err((code, why)) => refusal(node, code, why),
        })
    }

    /// Does to a group what one of its admins wants, and tells every device of every member but one. An inner error is a
    /// refusal.
    fn change_as(&self, by: &Account, but: Option<u16>, what: &Node, mut group: Group) -> Result<Result<Node, Refused>, Error> {
        if !group.is_admin(&by.phone) {
            return Ok(Err((403, "forbidden")));
        }
        let before = group.clone();
        let told = match self.alter(by, what, &mut group) {
            Ok(told) => told,
            Err(refused) => return Ok(Err(refused)),
        };
        self.save_group(&group)?;
        // Who is taken out is told as well.
        let reached = if what.tag == "remove" { &before } else { &group };
        self.tell_group(reached, by, but, &told)?;
        Ok(Ok(told))
    }

    /// Changes a group as the stanza says. Answers what its members are told.
    fn alter(&self, by: &Account, what: &Node, group: &mut Group) -> Result<Node, Refused> {
        let mut told = NodeBuilder::new_dynamic(what.tag.to_string());
        match what.tag.as_ref() {
            "subject" => {
                let subject = content(what);
                if subject.is_empty() || subject.chars().count() > SUBJECT {
                    return Err((406, "not-acceptable"));
                }
                group.subject = subject.to_string();
                told = told.attr("subject", group.subject.as_str()).attr("s_t", self.clock.unix_seconds()).attr("s_o", by.pn(0));
            }
            "description" => {
                // Who does not know the present text would overwrite it unread.
                let known = group.description.as_ref().map(|known| known.id.as_str()).unwrap_or_default();
                if text(what, "prev") != known {
                    return Err((409, "conflict"));
                }
                let body = what.get_optional_child("body").map(content).unwrap_or_default();
                if body.chars().count() > DESCRIPTION {
                    return Err((406, "not-acceptable"));
                }
                let (id, at) = (text(what, "id").into_owned(), self.clock.unix_seconds());
                let new = Description { id, text: body.to_string(), by: by.phone.to_string(), at };
                let stanza = new.stanza();
                group.description = Some(new).filter(|new| !new.text.is_empty());
                return Ok(stanza);
            }
            "announcement" | "not_announcement" => group.is_announcement = what.tag == "announcement",
            _ => {
                let accounts: Vec<_> = people(what).iter().filter_map(|person| self.accounts.find(person)).collect();
                for account in &accounts {
                    group.turn(&what.tag, &account.phone);
                }
                if group.members.len() > MEMBERS {
                    return Err((419, "resource-limit"));
                }
                told = told.children(accounts.iter().map(|account| participant(&account.pn(0))));
            }
        }
        Ok(told.build())
    }

    /// Does to a group what its admin does on the phone.
    pub(super) fn change_by_phone(&self, by: &Account, to: &Jid, change: &GroupChange, person: Option<&Jid>) -> Result<(), Error> {
        let group = self.group(to)?.ok_or_else(|| Error::Unknown(format!("there is no group {to}")))?;
        let new_id = format!("{:08X}", self.clock.below(u32::MAX));
        let what = change.stanza(&group, person, new_id);
        self.change_as(by, None, &what, group)?.map(drop).map_err(|(code, why)| {
            Error::Refused(match code {
                403 => format!("+{} is no admin of the group {to}", by.phone),
                _ => format!("the group can't be changed so: {why} ({code})"),
            })
        })
    }

    /// A message to a group: to every device of every member, or to the one device that asked for another copy. An
    /// inner error is the code of a refusal.
    pub(super) fn post_to_group(&self, session: &Session, node: &Node, to: &Jid) -> Result<Result<(), u16>, Error> {
        let Some(group) = self.group(to)? else {
            return Ok(Err(404));
        };
        let sender = &session.account.phone;
        if group.rank(sender).is_none() || (group.is_announcement && !group.is_admin(sender)) {
            return Ok(Err(403));
        }
        let for_all: Vec<Node> = node.get_children_by_tag("enc").cloned().collect();
        if let Some(one) = jid(node, "participant").filter(|_| node.get_optional_child("participants").is_none()) {
            if let Some(account) = self.accounts.find(&one).filter(|account| group.rank(&account.phone).is_some()) {
                let copy = self.group_copy(session, node, &group, for_all);
                self.deliver(&mut account.lock(), one.device, copy)?;
            }
            return Ok(Ok(()));
        }
        let mut for_one: HashMap<(String, u16), Vec<Node>> = HashMap::new();
        for copy in node.get_optional_child("participants").and_then(Node::children).unwrap_or_default() {
            let Some(device) = jid(copy, "jid") else { continue };
            let Some(account) = self.accounts.find(&device) else { continue };
            for_one.entry((account.phone.to_string(), device.device)).or_default().extend(copy.get_children_by_tag("enc").cloned());
        }
        for account in self.members(&group) {
            let own = account.phone == session.account.phone;
            let mut inner = account.lock();
            let devices: Vec<u16> = inner.published().map(|device| device.record.id).collect();
            for device in devices.into_iter().filter(|device| !(own && *device == session.device)) {
                let mut sealed = for_one.remove(&(account.phone.to_string(), device)).unwrap_or_default();
                sealed.extend(for_all.iter().cloned());
                if !sealed.is_empty() {
                    drop(inner);
                    let copy = self.group_copy(session, node, &group, sealed);
                    inner = account.lock();
                    self.deliver(&mut inner, device, copy)?;
                }
            }
        }
        Ok(Ok(()))
    }

    fn group_copy(&self, session: &Session, node: &Node, group: &Group, sealed: Vec<Node>) -> Node {
        let sender = &session.account;
        let kind = text(node, "type");
        let mut copy = NodeBuilder::new("message")
            .attr("from", group.jid())
            .attr("participant", sender.pn(session.device))
            .attr("participant_lid", sender.lid(0))
            .attr("addressing_mode", "pn")
            .attr("id", text(node, "id").as_ref())
            .attr("t", self.clock.unix_seconds())
            .attr("type", if kind.is_empty() { CompactString::const_new("text") } else { CompactString::from(kind) });
        let name = sender.lock().record.push_name.clone();
        if !name.is_empty() {
            copy = copy.attr("notify", name);
        }
        let identity = sealed.iter().any(|enc| text(enc, "type") == "pkmsg").then(|| node.get_optional_child("device-identity").cloned());
        let mut content = sealed;
        content.extend(identity.flatten());
        passed(copy, node, &["edit"]).children(content).build()
    }

    /// A receipt for a message in a group goes to its author; a wish for another copy to the device that sent it.
    pub(super) fn receipt_to_group(&self, session: &Session, node: &Node, group: &Jid) -> Result<(), Error> {
        let Some(author) = jid(node, "participant") else {
            return Ok(());
        };
        let Some(account) = self.accounts.find(&author) else {
            return Ok(());
        };
        let receipt = NodeBuilder::new("receipt")
            .attr("from", group)
            .attr("participant", session.account.pn(session.device))
            .attr("id", text(node, "id").as_ref())
            .attr("t", self.clock.unix_seconds());
        let receipt = passed(receipt, node, &["type"]).apply_content(node.content.clone()).build();
        let mut account = account.lock();
        let to_one = matches!(text(node, "type").as_ref(), "retry" | "enc_rekey_retry" | "sender");
        let devices: Vec<u16> = if to_one { vec![author.device] } else { account.published().map(|device| device.record.id).collect() };
        for device in devices {
            self.deliver(&mut account, device, receipt.clone())?;
        }
        Ok(())
    }
}

impl Description {
    /// As a group is told of with it; without a text it was taken away.
    fn stanza(&self) -> Node {
        let node = NodeBuilder::new("description").attr("id", self.id.as_str());
        if self.text.is_empty() {
            return node.children([NodeBuilder::new("delete").build()]).build();
        }
        let node = node.attr("participant", Jid::pn(self.by.as_str())).attr("t", self.at);
        node.children([holding("body", self.text.as_bytes())]).build()
    }
}

impl Group {
    /// Does to one person what an admin said.
    fn turn(&mut self, what: &str, phone: &str) {
        match (what, self.rank(phone)) {
            ("add", None) => self.members.push(Member { phone: phone.to_owned(), rank: Rank::Member }),
            ("remove", Some(Rank::Member | Rank::Admin)) => self.members.retain(|member| member.phone != phone),
            ("promote", Some(Rank::Member)) => self.set_rank(phone, Rank::Admin),
            ("demote", Some(Rank::Admin)) => self.set_rank(phone, Rank::Member),
            _ => {}
        }
    }

    fn set_rank(&mut self, phone: &str, rank: Rank) {
        for member in self.members.iter_mut().filter(|member| member.phone == phone) {
            member.rank = rank;
        }
    }
}

fn people(what: &Node) -> Vec<Jid> {
    what.get_children_by_tag("participant").filter_map(|person| jid(person, "jid")).collect()
}

fn participant(jid: &Jid) -> Node {
    NodeBuilder::new("participant").attr("jid", jid).build()
}
