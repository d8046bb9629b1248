//! The list of blocked people, in stanzas, and what it stops.

use crate::client::{Client, attr};
use crate::world::{Companion, message, sandbox_in};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

const A: &str = "+12025550142";
const B: &str = "+12025550151";

fn item(action: &'static str, jid: &Jid, pn: Option<&Jid>) -> Vec<Node> {
    let item = NodeBuilder::new("item").attr("action", action).attr("jid", jid.to_non_ad());
    vec![match pn {
        Some(pn) => item.attr("pn_jid", pn.to_non_ad()).build(),
        None => item.build(),
    }]
}

/// Who stands on a list, by LID.
fn listed(answer: &Node) -> Vec<String> {
    let list = answer.get_optional_child("list").expect("a list");
    list.get_children_by_tag("item").map(|item| attr(item, "jid")).collect()
}

fn digest(answer: &Node) -> String {
    attr(answer.get_optional_child("list").expect("a list"), "dhash")
}

/// The next word of a change of the list; what else is told of the account is passed over.
async fn change_told(client: &mut Client) -> Node {
    loop {
        let notification = client.expect("notification").await;
        client.ack(&notification).await;
        if attr(&notification, "type") == "account_sync"
            && let Some(change) = notification.get_optional_child("blocklist")
        {
            return change.clone();
        }
    }
}

/// What has come after everything that `other` sent was handled.
async fn came(other: &mut Client, client: &mut Client) -> Vec<String> {
    other.settled().await;
    client.settled().await.iter().map(|node| node.tag.to_string()).filter(|tag| tag != "notification").collect()
}

#[tokio::test]
async fn any_device_reads_and_changes_the_list_and_the_others_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (a, _theirs) = Companion::ready(&sandbox, A, 3).await;
    let (b, mut client) = Companion::ready(&sandbox, B, 3).await;
    let (_sibling, mut sibling) = Companion::ready(&sandbox, B, 3).await;
    let empty = client.ask("blocklist", "get", vec![]).await;
    assert!(listed(&empty).is_empty());

    let blocked = client.ask("blocklist", "set", item("block", &a.lid, Some(&a.jid))).await;
    assert_eq!((attr(&blocked, "type"), listed(&blocked)), ("result".into(), vec![a.lid.to_non_ad().to_string()]));
    let changed = change_told(&mut sibling).await;
    assert_eq!((attr(&changed, "prev_dhash"), attr(&changed, "dhash")), (digest(&empty), digest(&blocked)));
    let what = changed.get_optional_child("item").expect("a person");
    assert_eq!((attr(what, "action"), attr(what, "jid")), ("block".into(), a.lid.to_non_ad().to_string()));
    assert_eq!(sandbox.control().phone(B).unwrap().blocked, [A]);

    sandbox.control().unblock(B, A).await.unwrap();
    let changed = change_told(&mut client).await;
    let what = changed.get_optional_child("item").expect("a person");
    assert_eq!(attr(what, "action"), "unblock");
    let after = client.ask("blocklist", "get", vec![]).await;
    assert_eq!((listed(&after), digest(&after)), (Vec::new(), digest(&empty)));

    let nobody = Jid::lid("100000000000001");
    let refusals = [
        (item("block", &a.jid, Some(&a.jid)), "400"),
        (item("block", &a.lid, None), "400"),
        (item("block", &a.lid, Some(&b.jid)), "400"),
        (item("block", &b.lid, Some(&b.jid)), "400"),
        (item("greet", &a.lid, Some(&a.jid)), "400"),
        (vec![], "400"),
        (item("block", &nobody, Some(&a.jid)), "404"),
    ];
    for (what, code) in refusals {
        let refused = client.ask("blocklist", "set", what).await;
        assert_eq!(attr(refused.get_optional_child("error").expect("a refusal"), "code"), code);
    }
    assert!(sandbox.control().phone(B).unwrap().blocked.is_empty(), "what is refused changes nothing");
}

#[tokio::test]
async fn nothing_goes_from_one_to_the_other_but_in_groups() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (a, mut blocked) = Companion::ready(&sandbox, A, 3).await;
    let (b, mut client) = Companion::ready(&sandbox, B, 3).await;
    sandbox.control().block(B, A).await.unwrap();
    let typing =
        |to: &Jid| NodeBuilder::new("chatstate").attr("to", to.to_non_ad()).children([NodeBuilder::new("composing").build()]).build();
    let ask = || NodeBuilder::new("presence").attr("type", "subscribe").attr("to", b.jid.to_non_ad()).build();
    let read = |id: &str| NodeBuilder::new("receipt").attr("to", &a.jid).attr("id", id).attr("type", "read").build();

    blocked.send(&message("M1", &b.jid.to_non_ad(), &[&b.jid])).await;
    let ack = blocked.expect("ack").await;
    assert_eq!((attr(&ack, "id"), attr(&ack, "error")), ("M1".into(), String::new()), "the sender is told nothing");
    blocked.send(&typing(&b.jid)).await;
    assert!(came(&mut blocked, &mut client).await.is_empty());
    client.send(&typing(&a.jid)).await;
    client.send(&read("M0")).await;
    assert_eq!(attr(&client.expect("ack").await, "class"), "receipt");
    blocked.send(&ask()).await;
    assert!(came(&mut client, &mut blocked).await.is_empty());

    let group: Jid = sandbox.control().make_group(B, "Bread", &[A]).unwrap().parse().unwrap();
    let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", "skmsg").bytes(b"for all".to_vec()).build();
    blocked.send(&NodeBuilder::new("message").attr("id", "G1").attr("to", &group).attr("type", "text").children([enc]).build()).await;
    assert_eq!(attr(&client.expect("message").await, "id"), "G1");

    sandbox.control().unblock(B, A).await.unwrap();
    blocked.send(&message("M2", &b.jid.to_non_ad(), &[&b.jid])).await;
    assert_eq!(attr(&client.expect("message").await, "id"), "M2", "what was sent meanwhile never comes");
    blocked.send(&typing(&b.jid)).await;
    client.expect("chatstate").await;
    client.send(&read("M2")).await;
    // Its phone could not read what came to the group, and may have asked for it again.
    while attr(&blocked.expect("receipt").await, "type") != "read" {}
    blocked.send(&ask()).await;
    blocked.expect("presence").await;
}
