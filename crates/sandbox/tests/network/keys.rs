//! Prekeys and lists of devices: what others need to write to somebody.

use crate::client::{Client, attr, public};
use crate::world::{Companion, sandbox_in};
use sha1::{Digest, Sha1};
use std::collections::BTreeSet;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

async fn fetch(client: &mut Client, jid: &Jid) -> Node {
    let user = NodeBuilder::new("user").attr("jid", jid).build();
    let answer = client.ask("encrypt", "get", vec![NodeBuilder::new("key").children([user]).build()]).await;
    answer.get_optional_child("list").unwrap().get_optional_child("user").unwrap().clone()
}

fn prekey_id(user: &Node) -> Option<Vec<u8>> {
    let user = user.as_node_ref();
    let key = user.get_optional_child("key")?.get_optional_child("id")?;
    Some(key.content_bytes().unwrap().to_vec())
}

async fn count(client: &mut Client) -> String {
    let answer = client.ask("encrypt", "get", vec![NodeBuilder::new("count").build()]).await;
    attr(answer.get_optional_child("count").unwrap(), "value")
}

#[tokio::test]
async fn a_prekey_is_given_to_one_only() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (owner, mut owning) = Companion::ready(&sandbox, "+12025550142", 20).await;
    let before: u32 = count(&mut owning).await.parse().unwrap();
    let mut askers = Vec::new();
    for phone in ["+12025550151", "+12025550152"] {
        askers.push(Companion::ready(&sandbox, phone, 1).await.1);
    }
    let mut tasks = Vec::new();
    for mut asker in askers {
        let jid = owner.jid.clone();
        tasks.push(tokio::spawn(async move {
            let mut got = Vec::new();
            for _ in 0..12 {
                got.extend(prekey_id(&fetch(&mut asker, &jid).await));
            }
            got
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    assert_eq!(all.len(), usize::try_from(before).unwrap(), "all of them are given out");
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "none of them twice");
    assert_eq!(count(&mut owning).await, "0");

    let low: Vec<_> = owning.settled().await.iter().filter(|n| attr(n, "type") == "encrypt").cloned().collect();
    let left: Vec<_> = low.iter().map(|n| attr(n.get_optional_child("count").unwrap(), "value")).collect();
    assert_eq!(left, ["10", "5", "0"], "the owner is told that they run low");
}

#[tokio::test]
async fn a_bundle_holds_what_was_uploaded() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (owner, mut owning) = Companion::ready(&sandbox, "+12025550142", 3).await;
    let (_, mut asker) = Companion::ready(&sandbox, "+12025550151", 1).await;
    let rotate = NodeBuilder::new("rotate").children([owner.skey(9)]).build();
    assert_eq!(attr(&owning.ask("encrypt", "set", vec![rotate]).await, "type"), "result");

    for jid in [&owner.jid, &owner.lid] {
        let bundle = fetch(&mut asker, jid).await;
        assert_eq!(attr(&bundle, "jid"), jid.to_string());
        let bundle = bundle.as_node_ref();
        let bytes = |tag: &str| bundle.get_optional_child(tag).unwrap().content_bytes().unwrap().to_vec();
        assert_eq!(bytes("registration"), 77_u32.to_be_bytes());
        assert_eq!(bytes("identity"), public(&owner.identity));
        assert_eq!(bundle.get_optional_child("skey").unwrap().get_optional_child("id").unwrap().content_bytes().unwrap(), [0, 0, 9]);
        assert!(!bytes("device-identity").is_empty(), "a companion's key comes with its signed identity");
    }
    let nobody = fetch(&mut asker, &"12025550142:77@s.whatsapp.net".parse().unwrap()).await;
    assert!(nobody.get_optional_child("error").is_some());
}

#[tokio::test]
async fn the_digest_is_that_of_the_keys_that_are_left() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (owner, mut owning) = Companion::ready(&sandbox, "+12025550142", 4).await;
    let answer = owning.ask("encrypt", "get", vec![NodeBuilder::new("digest").build()]).await;
    let digest = answer.get_optional_child("digest").unwrap();
    let ids: Vec<u8> = digest
        .get_optional_child("list")
        .unwrap()
        .get_children_by_tag("id")
        .map(|id| *id.as_node_ref().content_bytes().unwrap().last().unwrap())
        .collect();
    let mut hash = Sha1::new();
    hash.update(public(&owner.identity));
    hash.update(owner.signed.0);
    hash.update(owner.signed.1);
    for id in &ids {
        hash.update([*id; 32]);
    }
    let digest = digest.as_node_ref();
    assert_eq!(digest.get_optional_child("hash").unwrap().content_bytes().unwrap(), &hash.finalize()[..]);
    assert_eq!(count(&mut owning).await, ids.len().to_string());
}

fn query(protocols: &[&'static str], users: Vec<Node>) -> Vec<Node> {
    let protocols = protocols.iter().map(|tag| NodeBuilder::new(tag).build());
    let query = NodeBuilder::new("query").children(protocols).build();
    let list = NodeBuilder::new("list").children(users).build();
    let usync = NodeBuilder::new("usync").attr("sid", "s1").attr("mode", "query").attr("index", "0").attr("last", "true");
    vec![usync.children([query, list]).build()]
}

fn found(answer: &Node) -> Vec<Node> {
    let list = answer.get_optional_child_by_tag(&["usync", "list"]).unwrap();
    list.children().unwrap_or_default().to_vec()
}

#[tokio::test]
async fn a_list_of_devices_hides_who_has_no_keys_yet() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (owner, _owning) = Companion::ready(&sandbox, "+12025550142", 3).await;
    let (_, mut asker) = Companion::ready(&sandbox, "+12025550151", 1).await;
    let mut new = Companion::new();
    new.link(&sandbox, "+12025550142").await;

    let user = |jid: &Jid| NodeBuilder::new("user").attr("jid", jid.to_non_ad()).build();
    let devices = |answer: &Node| -> Vec<String> {
        let user = &found(answer)[0];
        let list = user.get_optional_child_by_tag(&["devices", "device-list"]).unwrap();
        list.get_children_by_tag("device").map(|d| attr(d, "id")).collect()
    };
    let answer = asker.ask("usync", "get", query(&["devices", "lid"], vec![user(&owner.jid)])).await;
    assert_eq!(devices(&answer), ["0", "33"]);
    let first = &found(&answer)[0];
    assert_eq!(attr(first.get_optional_child("lid").unwrap(), "val"), owner.lid.to_non_ad().to_string());
    assert!(first.get_optional_child_by_tag(&["devices", "key-index-list"]).is_some());

    let mut client = new.log_in(&sandbox).await;
    client.ask("encrypt", "set", new.upload(1, 2)).await;
    let notice = asker.expect("notification").await;
    let added = notice.get_optional_child("add").expect("who watches the list is told");
    assert_eq!(attr(added.get_optional_child("device").unwrap(), "jid"), new.jid.to_string());
    let answer = asker.ask("usync", "get", query(&["devices"], vec![user(&owner.lid)])).await;
    assert_eq!(devices(&answer), ["0", "33", "34"]);
    assert_eq!(attr(&found(&answer)[0], "pn_jid"), "12025550142@s.whatsapp.net");
}

#[tokio::test]
async fn a_number_without_an_account_is_out() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (_, mut asker) = Companion::ready(&sandbox, "+12025550151", 1).await;
    let number = |number: &'static str| {
        let contact = NodeBuilder::new("contact").string_content(number).build();
        NodeBuilder::new("user").children([contact]).build()
    };
    let users = vec![number("+12025550151"), number("+12025550999")];
    let answer = asker.ask("usync", "get", query(&["contact", "lid"], users)).await;
    let kinds: Vec<_> = found(&answer).iter().map(|user| attr(user.get_optional_child("contact").unwrap(), "type")).collect();
    assert_eq!(kinds, ["in", "out"]);
    let parsed = wacore::usync::parse_get_user_devices_response(&answer).unwrap();
    assert!(parsed.is_empty());
}
