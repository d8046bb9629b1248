//! The many small things a client asks at login and rarely later: experiments, privacy,
//! pictures, the media hosts.

use super::Inner;
use super::login::Session;
use super::nodes::{content, error, first_child, jid, refusal, result, text};
use crate::Error;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, SERVER_JID};

/// Privacy as a new account has it.
const PRIVACY: [(&str, &str); 9] = [
    ("last", "all"),
    ("online", "all"),
    ("profile", "all"),
    ("status", "all"),
    ("groupadd", "all"),
    ("readreceipts", "all"),
    ("calladd", "all"),
    ("messages", "all"),
    ("defense", "off"),
];

/// Seconds until a client asks for experiments, or media hosts, again.
const REFRESH: u32 = 86_400;
const MEDIA_TTL: u32 = 3_600;

impl Inner {
    /// The answer to an iq of one of the small namespaces; `None` when it is unknown.
    pub(super) fn setting(&self, session: &Session, namespace: &str, node: &Node) -> Result<Option<Node>, Error> {
        let set = text(node, "type") == "set";
        let what = first_child(node).map_or("", |child| child.tag.as_ref());
        Ok(Some(match (namespace, what) {
            ("abt", "props") => {
                let props = NodeBuilder::new("props")
                    .attr("protocol", "1")
                    .attr("hash", "1")
                    .attr("ab_key", "1")
                    .attr("refresh", REFRESH)
                    .attr("refresh_id", "1");
                result(node).children([props.build()]).build()
            }
            ("privacy", "privacy") => result(node).children([privacy()]).build(),
            ("privacy", "tokens") if set => self.give_tokens(session, node)?,
            ("privacy", "tokens") => result(node).build(),
            ("blocklist", _) => self.on_blocklist(session, node)?,
            ("status", "status") if set => {
                let mut account = session.account.lock();
                account.record.about = first_child(node).map(content).unwrap_or_default().into();
                self.save_account(&account.record)?;
                result(node).build()
            }
            ("disappearing_mode" | "urn:xmpp:whatsapp:dirty" | "w:stats" | "w" | "urn:xmpp:whatsapp:push" | "w:web", _) => {
                result(node).build()
            }
            ("w:m", "media_conn") => result(node).children([self.media_conn(&session.account.phone)]).build(),
            ("w:profile:picture", "picture") if !set => picture(node),
            ("w:biz", "business_profile") => {
                let profile = NodeBuilder::new("business_profile").build();
                result(node).children([profile]).build()
            }
            ("w:mex", "query") => mex(node),
            ("w:g2" | "w:gp2", _) => return self.on_groups(session, node),
            ("tos", _) => {
                let tos = NodeBuilder::new("tos").attr("refresh", REFRESH).build();
                result(node).children([tos]).build()
            }
            _ => return Ok(None),
        }))
    }

    fn media_conn(&self, phone: &str) -> Node {
        let host = NodeBuilder::new("host").attr("hostname", self.media.address()).attr("type", "primary").build();
        NodeBuilder::new("media_conn")
            .attr("auth", self.media.ticket(phone))
            .attr("ttl", MEDIA_TTL)
            .attr("auth_ttl", MEDIA_TTL)
            .attr("max_buckets", "12")
            .attr("id", self.next_id())
            .children([host])
            .build()
    }
}

fn privacy() -> Node {
    let categories = PRIVACY.map(|(name, value)| NodeBuilder::new("category").attr("name", name).attr("value", value).build());
    NodeBuilder::new("privacy").children(categories).build()
}

/// Nobody here has a picture.
fn picture(node: &Node) -> Node {
    let mut answer = result(node);
    if let Some(target) = jid(node, "target") {
        answer = answer.attr("from", target);
    } else {
        answer = answer.attr("from", SERVER_JID);
    }
    let picture = NodeBuilder::new("picture").children([error(404, "item-not-found")]);
    answer.children([picture.build()]).build()
}

/// `GraphQL`: every query is answered with no data and an error that says so.
fn mex(node: &Node) -> Node {
    if first_child(node).is_none() {
        return refusal(node, 400, "bad-request");
    }
    let none = r#"{"data":null,"errors":[{"message":"not available in the sandbox","path":[],"extensions":{"error_code":501,"is_summary":true,"is_retryable":false,"severity":"CRITICAL"}}]}"#;
    let content = NodeBuilder::new("result").bytes(none.as_bytes()).build();
    result(node).children([content]).build()
}
