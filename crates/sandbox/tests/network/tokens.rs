//! A restricted account, and the tokens that let it write.

use crate::client::{Client, attr};
use crate::world::{Companion, message, sandbox_in};
use sanasend_sandbox::Sandbox;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

const BOUND: &str = "+12025550142";
const FRIEND: &str = "+12025550151";

/// Writes to the friend, with a token if there is one; answers the refusal's code, empty when there was none.
async fn writes(client: &mut Client, friend: &Companion, id: &str, token: Option<&[u8]>) -> String {
    let mut stanza = message(id, &friend.lid.to_non_ad(), &[&friend.lid]);
    if let (Some(token), Some(wacore_binary::NodeContent::Nodes(children))) = (token, &mut stanza.content) {
        children.push(NodeBuilder::new("tctoken").bytes(token.to_vec()).build());
    }
    client.send(&stanza).await;
    loop {
        let ack = client.expect("ack").await;
        if attr(&ack, "id") == id {
            return attr(&ack, "error");
        }
    }
}

async fn friend_writes(sandbox: &Sandbox) {
    sandbox.control().send(FRIEND, BOUND, "hello", None).await.unwrap();
}

fn token_in(notification: &Node) -> Option<Vec<u8>> {
    let token = notification.get_optional_child("tokens")?.get_optional_child("token")?;
    assert_eq!(attr(token, "type"), "trusted_contact");
    token.as_node_ref().content_bytes().map(<[u8]>::to_vec)
}

#[tokio::test]
async fn a_restricted_account_begins_a_chat_only_with_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let phone = sandbox.control().add_phone(Some(BOUND), Some("restricted:Ana")).await.unwrap();
    assert_eq!(phone.push_name, "restricted:Ana");
    let (_bound, mut client) = Companion::ready(&sandbox, BOUND, 5).await;
    let (friend, mut theirs) = Companion::ready(&sandbox, FRIEND, 5).await;

    assert_eq!(writes(&mut client, &friend, "M1", None).await, "463");
    assert_eq!(writes(&mut client, &friend, "M2", Some(&[7; 16])).await, "463", "a token that nobody gave");
    friend_writes(&sandbox).await;
    let token = loop {
        let notification = client.expect("notification").await;
        client.ack(&notification).await;
        if attr(&notification, "type") == "privacy_token" {
            break token_in(&notification).expect("a token");
        }
    };
    assert_eq!(writes(&mut client, &friend, "M3", None).await, "463", "it has to be shown");
    assert_eq!(writes(&mut client, &friend, "M4", Some(&token)).await, "");
    let mut came = Vec::new();
    while came.last().is_none_or(|id| id != "M4") {
        came.push(attr(&theirs.expect("message").await, "id"));
    }
    assert_eq!(came.len(), 2, "its phone's own text, and nothing that was refused: {came:?}");
    assert_eq!(writes(&mut client, &friend, "M5", None).await, "", "the chat has begun");
}

#[tokio::test]
async fn an_account_that_is_not_restricted_needs_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let (_free, mut client) = Companion::ready(&sandbox, BOUND, 5).await;
    let (friend, _theirs) = Companion::ready(&sandbox, FRIEND, 5).await;
    assert_eq!(writes(&mut client, &friend, "M1", None).await, "");
}
