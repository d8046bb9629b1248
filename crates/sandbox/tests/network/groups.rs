//! Groups, in stanzas.

use crate::client::{Client, attr};
use crate::world::{Companion, sandbox_in};
use sanasend_sandbox::Sandbox;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

const A: &str = "+12025550142";
const B: &str = "+12025550151";

fn person(jid: &Jid) -> Node {
    NodeBuilder::new("participant").attr("jid", jid.to_non_ad()).build()
}

/// Asks something of a group, or of all (`@g.us`).
async fn ask(client: &mut Client, id: &str, to: &Jid, kind: &str, what: Node) -> Node {
    let iq = NodeBuilder::new("iq").attr("id", id).attr("xmlns", "w:g2").attr("type", kind).attr("to", to).children([what]).build();
    client.send(&iq).await;
    loop {
        let answer = client.expect("iq").await;
        if attr(&answer, "id") == id {
            return answer;
        }
    }
}

async fn cast(sandbox: &Sandbox) -> ((Companion, Client), (Companion, Client), Jid) {
    let mut first = Companion::ready(sandbox, A, 3).await;
    let second = Companion::ready(sandbox, B, 3).await;
    let create = NodeBuilder::new("create").attr("subject", "Bread").attr("key", "k").children([person(&second.0.jid)]).build();
    let made = ask(&mut first.1, "G1", &Jid::group(""), "set", create).await;
    let group = Jid::group(attr(made.get_optional_child("group").expect("a group"), "id"));
    (first, second, group)
}

fn enc(kind: &'static str, bytes: &str) -> Node {
    NodeBuilder::new("enc").attr("v", "2").attr("type", kind).bytes(bytes.as_bytes().to_vec()).build()
}

#[tokio::test]
async fn a_group_is_made_told_changed_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let ((first, mut client), (second, mut theirs), group) = cast(&sandbox).await;
    let told = theirs.expect("notification").await;
    assert_eq!((attr(&told, "type"), attr(&told, "from")), ("w:g2".into(), group.to_string()));
    assert!(told.get_optional_child("create").is_some());

    let query = || NodeBuilder::new("query").attr("request", "interactive").build();
    let known = ask(&mut theirs, "G2", &group, "get", query()).await;
    let known = known.get_optional_child("group").unwrap();
    let ranks: Vec<_> = known.get_children_by_tag("participant").map(|p| (attr(p, "jid"), attr(p, "type"))).collect();
    assert_eq!(ranks, [(first.jid.to_non_ad().to_string(), "superadmin".into()), (second.jid.to_non_ad().to_string(), String::new())]);
    let subject = || NodeBuilder::new("subject").bytes(b"Rolls".to_vec()).build();
    let refused = ask(&mut theirs, "G3", &group, "set", subject()).await;
    assert_eq!(attr(refused.get_optional_child("error").unwrap(), "code"), "403", "a member may not rename it");
    ask(&mut client, "G4", &group, "set", subject()).await;
    let mine = ask(&mut theirs, "G5", &Jid::group(""), "get", NodeBuilder::new("participating").build()).await;
    let listed = mine.get_optional_child("groups").unwrap().get_optional_child("group").unwrap();
    assert_eq!(attr(listed, "subject"), "Rolls");

    let remove = NodeBuilder::new("remove").children([person(&second.jid)]).build();
    ask(&mut client, "G6", &group, "set", remove).await;
    let out = ask(&mut theirs, "G7", &group, "get", query()).await;
    assert_eq!(attr(out.get_optional_child("error").unwrap(), "code"), "403");
}

#[tokio::test]
async fn each_device_gets_its_key_and_the_copy_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let ((first, mut client), (second, mut theirs), group) = cast(&sandbox).await;
    let to = NodeBuilder::new("to").attr("jid", &second.jid).children([enc("msg", "the key")]).build();
    let message = NodeBuilder::new("message")
        .attr("id", "M1")
        .attr("to", &group)
        .attr("type", "text")
        .children([NodeBuilder::new("participants").children([to]).build(), enc("skmsg", "for all")])
        .build();
    client.send(&message).await;
    let ack = client.expect("ack").await;
    assert_eq!((attr(&ack, "id"), attr(&ack, "from"), attr(&ack, "error")), ("M1".into(), group.to_string(), String::new()));
    let copy = theirs.expect("message").await;
    assert_eq!((attr(&copy, "from"), attr(&copy, "participant")), (group.to_string(), first.jid.to_string()));
    let kinds: Vec<_> = copy.get_children_by_tag("enc").map(|enc| attr(enc, "type")).collect();
    assert_eq!(kinds, ["msg", "skmsg"]);

    let receipt = NodeBuilder::new("receipt").attr("id", "M1").attr("to", &group).attr("participant", &first.jid).build();
    theirs.send(&receipt).await;
    let seen = loop {
        let seen = client.expect("receipt").await;
        if attr(&seen, "participant") == second.jid.to_string() {
            break seen;
        }
    };
    assert_eq!((attr(&seen, "from"), attr(&seen, "id")), (group.to_string(), "M1".into()));
}
