//! Who is there, and with what: the query by which clients look up devices, LIDs and
//! numbers.

use super::Inner;
use super::accounts::Account;
use super::login::Session;
use super::nodes::{content, jid, passed, refusal, result};
use crate::Error;
use std::sync::Arc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

/// More users than this in one query are refused.
const MOST_USERS: usize = 5000;

impl Inner {
    /// An iq of namespace `usync`.
    pub(super) fn on_usync(&self, session: &Session, node: &Node) -> Result<(), Error> {
        let usync = node.get_optional_child("usync");
        let parts = usync.and_then(|usync| {
            let query = usync.get_optional_child("query")?.children()?;
            let list = usync.get_optional_child("list")?;
            Some((usync, query, list.children().unwrap_or_default()))
        });
        let Some((usync, query, users)) = parts.filter(|parts| parts.2.len() <= MOST_USERS) else {
            session.link.send(refusal(node, 400, "bad-request"));
            return Ok(());
        };
        let mut found = Vec::with_capacity(users.len());
        for user in users {
            if let Some(answer) = self.look_up(session, query, user)? {
                found.push(answer);
            }
        }
        let protocols = query.iter().filter_map(|protocol| known(&protocol.tag).map(|tag| NodeBuilder::new(tag).build()));
        let answer = passed(NodeBuilder::new("usync"), usync, &["sid", "index", "last", "mode", "context"])
            .children([NodeBuilder::new("result").children(protocols).build(), NodeBuilder::new("list").children(found).build()]);
        session.link.send(result(node).children([answer.build()]).build());
        Ok(())
    }

    /// One user of a query; `None` when it names nobody.
    fn look_up(&self, session: &Session, query: &[Node], user: &Node) -> Result<Option<Node>, Error> {
        let number = user
            .get_optional_child("contact")
            .map(|contact| content(contact).trim_start_matches('+').to_owned())
            .filter(|number| !number.is_empty());
        let asked = match (jid(user, "jid"), &number) {
            (Some(jid), _) => jid.into_non_ad(),
            (None, Some(number)) => Jid::pn(number.as_str()),
            (None, None) => match user.get_optional_child("lid").and_then(|lid| jid(lid, "jid")) {
                Some(jid) => jid.into_non_ad(),
                None => return Ok(None),
            },
        };
        let account = self.accounts.find(&asked);
        let mut builder = NodeBuilder::new("user").attr("jid", &asked);
        if let Some(account) = account.as_ref().filter(|_| asked.is_lid()) {
            builder = builder.attr("pn_jid", account.pn(0));
        }
        let mut answers = Vec::with_capacity(query.len());
        for protocol in query {
            let asked_number = number.as_deref();
            if let Some(answer) = self.protocol(session, protocol, account.as_ref(), asked_number)? {
                answers.push(answer);
            }
        }
        Ok(Some(builder.children(answers).build()))
    }

    /// What one protocol of a query says of a user; `None` when it says nothing.
    fn protocol(
        &self,
        session: &Session,
        protocol: &Node,
        account: Option<&Arc<Account>>,
        number: Option<&str>,
    ) -> Result<Option<Node>, Error> {
        Ok(match (protocol.tag.as_ref(), account) {
            ("contact", Some(_)) => Some(contact("in", number)),
            ("contact", None) => Some(contact("out", number)),
            ("devices", Some(account)) => {
                self.watch(account, &session.account.phone)?;
                let lists = Inner::device_lists(account);
                Some(NodeBuilder::new("devices").children(lists).build())
            }
            ("devices", None) => {
                let list = NodeBuilder::new("device-list").build();
                Some(NodeBuilder::new("devices").children([list]).build())
            }
            ("lid", Some(account)) => {
                let lid = NodeBuilder::new("lid").attr("val", account.lid(0));
                Some(lid.build())
            }
            ("status", Some(account)) => {
                let about = account.lock().record.about.clone();
                let status = NodeBuilder::new("status").attr("t", self.clock.unix_seconds());
                Some(status.string_content(about).build())
            }
            ("disappearing_mode", Some(_)) => {
                let mode = NodeBuilder::new("disappearing_mode");
                Some(mode.attr("duration", "0").attr("t", "0").build())
            }
            _ => None,
        })
    }
}

fn contact(kind: &'static str, number: Option<&str>) -> Node {
    let builder = NodeBuilder::new("contact").attr("type", kind);
    match number {
        Some(number) => builder.string_content(format!("+{number}")).build(),
        None => builder.build(),
    }
}

/// The static name of a protocol that a query may ask for.
fn known(tag: &str) -> Option<&'static str> {
    const PROTOCOLS: [&str; 12] = [
        "contact",
        "devices",
        "lid",
        "status",
        "picture",
        "business",
        "disappearing_mode",
        "text_status",
        "username",
        "feature",
        "bot",
        "sidelist",
    ];
    PROTOCOLS.into_iter().find(|known| *known == tag)
}
