//! Groups: who is in them, who may change that, and what goes to all of them.
//!
//! Members are addressed by number. The server cannot read what is sent: each device gets the copy that was sealed for
//! it alone, if there is one (the sender's key), and the one copy that was sealed for all.

use super::Inner;
use super::accounts::Account;
use super::login::Session;
use super::nodes::{first_child, jid, passed, refusal, result, text};
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
}

impl Group {
    /// The group's jid.
    pub fn jid(&self) -> Jid {
        Jid::group(self.id.as_str())
    }

    fn rank(&self, phone: &str) -> Option<Rank> {
        self.members.iter().find(|member| member.phone == phone).map(|member| member.rank)
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
                let groups = NodeBuilder::new("groups").children(mine.map(|group| self.describe(&group)));
                Ok(Some(result(node).children([groups.build()]).build()))
            }
            (false, "query") => Ok(Some(match self.own_group(session, node)? {
                Ok(group) => result(node).children([self.describe(&group)]).build(),
                Err(refused) => refused,
            })),
            (true, "add" | "remove" | "promote" | "demote" | "subject") => match self.own_group(session, node)? {
                Ok(group) => self.change(session, node, what, group).map(Some),
                Err(refused) => Ok(Some(refused)),
            },
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
        let members = group.members.iter().filter_map(|member| {
            let account = self.accounts.by_phone(&member.phone)?;
            let node = NodeBuilder::new("participant").attr("jid", account.pn(0)).attr("lid", account.lid(0));
            Some(match member.rank {
                Rank::Member => node.build(),
                Rank::Admin => node.attr("type", "admin").build(),
                Rank::Founder => node.attr("type", "superadmin").build(),
            })
        });
        let founder = Jid::pn(group.founder.as_str());
        NodeBuilder::new("group")
            .attr("id", group.id.as_str())
            .attr("subject", group.subject.as_str())
            .attr("s_o", founder.clone())
            .attr("s_t", group.made_at)
            .attr("creator", founder)
            .attr("creation", group.made_at)
            .attr("addressing_mode", "pn")
            .children(members)
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

    fn change(&self, session: &Session, node: &Node, what: &Node, mut group: Group) -> Result<Node, Error> {
        if group.rank(&session.account.phone) == Some(Rank::Member) {
            return Ok(refusal(node, 403, "forbidden"));
        }
        let before = group.clone();
        let mut told = NodeBuilder::new_dynamic(what.tag.to_string());
        if what.tag == "subject" {
            let subject = super::nodes::content(what);
            if subject.is_empty() || subject.chars().count() > SUBJECT {
                return Ok(refusal(node, 406, "not-acceptable"));
            }
            group.subject = subject.to_string();
            told = told.attr("subject", group.subject.as_str()).attr("s_t", self.clock.unix_seconds()).attr("s_o", session.account.pn(0));
        } else {
            let accounts: Vec<_> = people(what).iter().filter_map(|person| self.accounts.find(person)).collect();
            for account in &accounts {
                group.turn(&what.tag, &account.phone);
            }
            told = told.children(accounts.iter().map(|account| participant(&account.pn(0))));
        }
        if group.members.len() > MEMBERS {
            return Ok(refusal(node, 419, "resource-limit"));
        }
        self.save_group(&group)?;
        let told = told.build();
        // Who is taken out is told as well.
        let reached = if what.tag == "remove" { &before } else { &group };
        self.tell_group(reached, &session.account, Some(session.device), &told)?;
        Ok(result(node).children([told]).build())
    }

    /// A message to a group: to every device of every member, or to the one device that asked for another copy. An
    /// inner error is the code of a refusal.
    pub(super) fn post_to_group(&self, session: &Session, node: &Node, to: &Jid) -> Result<Result<(), u16>, Error> {
        let Some(group) = self.group(to)? else {
            return Ok(Err(404));
        };
        if group.rank(&session.account.phone).is_none() {
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
