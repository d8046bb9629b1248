//! Messages, receipts and what waits for whom.

use crate::client::{Client, attr};
use crate::world::{Companion, message, sandbox_in};
use sanasend_sandbox::{Fault, Sandbox};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

const A: &str = "+12025550142";
const B: &str = "+12025550151";

struct Cast {
    sandbox: Sandbox,
    sender: (Companion, Client),
    sibling: (Companion, Client),
    first: (Companion, Client),
    second: (Companion, Client),
}

/// Two devices of A and two of B; nothing waits for anybody.
async fn cast(folder: &std::path::Path) -> Cast {
    let sandbox = sandbox_in(folder).await;
    let mut cast = Cast {
        sender: Companion::ready(&sandbox, A, 3).await,
        sibling: Companion::ready(&sandbox, A, 3).await,
        first: Companion::ready(&sandbox, B, 3).await,
        second: Companion::ready(&sandbox, B, 3).await,
        sandbox,
    };
    for client in [&mut cast.sender.1, &mut cast.sibling.1, &mut cast.first.1, &mut cast.second.1] {
        for node in client.settled().await {
            client.ack(&node).await;
        }
    }
    cast
}

/// The message among what came.
async fn arrived(client: &mut Client) -> Node {
    client.expect("message").await
}

fn sealed(node: &Node) -> String {
    node.get_optional_child("enc").unwrap().content_as_string().unwrap().to_string()
}

#[tokio::test]
async fn every_device_gets_its_own_copy() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    let (b, devices) = (cast.first.0.jid.to_non_ad(), [&cast.first.0.jid, &cast.second.0.jid, &cast.sibling.0.jid]);
    cast.sender.1.send(&message("M1", &b, &devices)).await;
    let ack = cast.sender.1.expect("ack").await;
    assert_eq!((attr(&ack, "class"), attr(&ack, "id"), attr(&ack, "from")), ("message".into(), "M1".into(), b.to_string()));
    assert_eq!(attr(&ack, "error"), "");

    for (companion, client) in [&mut cast.first, &mut cast.second] {
        let copy = arrived(client).await;
        assert_eq!(sealed(&copy), companion.jid.to_string());
        assert_eq!(attr(&copy, "from"), cast.sender.0.jid.to_string());
        assert_eq!(attr(&copy, "sender_lid"), cast.sender.0.lid.to_non_ad().to_string());
        assert_eq!(attr(&copy, "recipient"), "");
    }
    let own = arrived(&mut cast.sibling.1).await;
    assert_eq!(attr(&own, "recipient"), b.to_string(), "an own device is told to whom it went");
}

#[tokio::test]
async fn who_is_addressed_by_lid_sees_a_lid() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    let (b, device) = (cast.first.0.lid.to_non_ad(), cast.first.0.lid.clone());
    cast.sender.1.send(&message("M1", &b, &[&device])).await;
    let copy = arrived(&mut cast.first.1).await;
    assert_eq!(attr(&copy, "from"), cast.sender.0.lid.to_string());
    assert_eq!(attr(&copy, "sender_pn"), cast.sender.0.jid.to_non_ad().to_string());
    assert_eq!(attr(&copy, "addressing_mode"), "lid");
}

#[tokio::test]
async fn what_waits_comes_in_order_until_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    let (b, device) = (cast.first.0.jid.to_non_ad(), cast.first.0.jid.clone());
    drop(cast.first.1);
    for id in ["M1", "M2", "M3"] {
        cast.sender.1.send(&message(id, &b, &[&device])).await;
        cast.sender.1.expect("ack").await;
    }
    let ids = |nodes: &[Node]| nodes.iter().filter(|n| n.tag == "message").map(|n| attr(n, "id")).collect::<Vec<_>>();
    let mut client = cast.first.0.log_in(&cast.sandbox).await;
    assert!(client.settled().await.is_empty(), "nothing comes before it is asked for");
    let backlog = client.activate().await;
    assert_eq!(ids(&backlog), ["M1", "M2", "M3"]);
    assert!(backlog.iter().all(|node| !attr(node, "offline").is_empty()));
    let first = backlog.iter().find(|n| n.tag == "message").unwrap();
    client.ack(first).await;
    client.settled().await;
    drop(client);

    let mut client = cast.first.0.log_in(&cast.sandbox).await;
    assert_eq!(ids(&client.activate().await), ["M2", "M3"], "only what was acknowledged is gone");
    let receipt = NodeBuilder::new("receipt").attr("to", &cast.sender.0.jid).attr("id", "M2");
    let more = NodeBuilder::new("item").attr("id", "M3").build();
    client.send(&receipt.children([NodeBuilder::new("list").children([more]).build()]).build()).await;
    client.settled().await;
    drop(client);
    let mut client = cast.first.0.log_in(&cast.sandbox).await;
    assert!(ids(&client.activate().await).is_empty(), "a receipt acknowledges as well");
}

#[tokio::test]
async fn a_receipt_goes_to_every_device_of_the_sender() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    let (to, id) = (cast.sender.0.jid.clone(), "M1");
    let receipt = NodeBuilder::new("receipt").attr("to", &to).attr("id", id).attr("type", "read").build();
    cast.first.1.send(&receipt).await;
    let ack = cast.first.1.expect("ack").await;
    assert_eq!((attr(&ack, "class"), attr(&ack, "id")), ("receipt".into(), id.into()));
    for client in [&mut cast.sender.1, &mut cast.sibling.1] {
        let got = client.expect("receipt").await;
        assert_eq!((attr(&got, "from"), attr(&got, "type")), (cast.first.0.jid.to_string(), "read".into()));
    }
    let own = cast.second.1.expect("receipt").await;
    assert_eq!((attr(&own, "type"), attr(&own, "recipient")), ("read-self".into(), to.to_non_ad().to_string()));
}

#[tokio::test]
async fn a_retry_goes_to_the_device_that_sent_and_its_answer_to_one_device() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    let retry = NodeBuilder::new("retry").attr("count", "1").attr("id", "M1").build();
    let receipt = NodeBuilder::new("receipt").attr("to", &cast.sender.0.jid).attr("id", "M1").attr("type", "retry");
    cast.first.1.send(&receipt.children([retry]).build()).await;
    let got = cast.sender.1.expect("receipt").await;
    assert_eq!(attr(&got, "type"), "retry");
    assert!(got.get_optional_child("retry").is_some());
    assert!(cast.sibling.1.settled().await.iter().all(|n| n.tag != "receipt"));

    let enc = NodeBuilder::new("enc").attr("type", "msg").bytes(b"again".to_vec()).build();
    let resent = NodeBuilder::new("message").attr("to", &cast.first.0.jid).attr("id", "M1").attr("type", "text");
    cast.sender.1.send(&resent.children([enc]).build()).await;
    assert_eq!(sealed(&arrived(&mut cast.first.1).await), "again");
    assert!(cast.second.1.settled().await.iter().all(|n| n.tag != "message"));
}

#[tokio::test]
async fn nobody_and_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    let nobody: Jid = "12025550999@s.whatsapp.net".parse().unwrap();
    cast.sender.1.send(&message("M1", &nobody, &[])).await;
    assert_eq!(attr(&cast.sender.1.expect("ack").await, "error"), "404");
    cast.sender.1.send(&NodeBuilder::new("message").attr("id", "M2").build()).await;
    assert_eq!(attr(&cast.sender.1.expect("ack").await, "error"), "479");
}

#[tokio::test]
async fn planted_faults_hit_messages() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    let control = cast.sandbox.control();
    let (b, device) = (cast.first.0.jid.to_non_ad(), cast.first.0.jid.clone());

    control.fault(A, Fault::Nack { code: 463, count: 1 }).unwrap();
    cast.sender.1.send(&message("M1", &b, &[&device])).await;
    assert_eq!(attr(&cast.sender.1.expect("ack").await, "error"), "463");

    control.fault(A, Fault::DropAcks(1)).unwrap();
    cast.sender.1.send(&message("M2", &b, &[&device])).await;
    assert_eq!(attr(&arrived(&mut cast.first.1).await, "id"), "M2", "the refused one went nowhere");
    assert!(cast.sender.1.settled().await.iter().all(|n| n.tag != "ack"));

    control.fault(A, Fault::HoldAcks).unwrap();
    cast.sender.1.send(&message("M3", &b, &[&device])).await;
    arrived(&mut cast.first.1).await;
    assert!(cast.sender.1.settled().await.iter().all(|n| n.tag != "ack"));
    control.clear_faults();
    assert_eq!(attr(&cast.sender.1.expect("ack").await, "id"), "M3");

    control.fault(B, Fault::Duplicate(1)).unwrap();
    cast.sender.1.send(&message("M4", &b, &[&device])).await;
    assert_eq!(attr(&arrived(&mut cast.first.1).await, "id"), "M4");
    assert_eq!(attr(&arrived(&mut cast.first.1).await, "id"), "M4");
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    let (b, device) = (cast.first.0.jid.to_non_ad(), cast.first.0.jid.clone());
    let keys = (cast.sandbox.static_key(), cast.sandbox.root_key());
    cast.sender.1.send(&message("M1", &b, &[&device])).await;
    cast.sender.1.expect("ack").await;
    let counted = cast.sandbox.control().state();
    cast.sandbox.stop().await;
    assert!(cast.sibling.1.next().await.is_none());
    let (sender, first) = (cast.sender.0, cast.first.0);
    drop((cast.sandbox, cast.sender.1, cast.sibling, cast.first.1, cast.second));

    let sandbox = sandbox_in(folder.path()).await;
    assert_eq!((sandbox.static_key(), sandbox.root_key()), keys);
    let now = sandbox.control().state();
    assert_eq!((now.accounts, now.devices), (counted.accounts, counted.devices));
    let mut client = first.log_in(&sandbox).await;
    let backlog = client.activate().await;
    assert_eq!(attr(backlog.iter().find(|n| n.tag == "message").unwrap(), "id"), "M1");
    let mut client = sender.log_in(&sandbox).await;
    let answer = client.ask("encrypt", "get", vec![NodeBuilder::new("count").build()]).await;
    assert_ne!(attr(answer.get_optional_child("count").unwrap(), "value"), "0");
    sandbox.stop().await;
}

#[tokio::test]
async fn app_state_has_one_order_for_all_devices() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    let sync = |version: u64, patch: Option<&[u8]>| {
        let mut collection = NodeBuilder::new("collection").attr("name", "regular").attr("version", version);
        if let Some(patch) = patch {
            collection = collection.children([NodeBuilder::new("patch").bytes(patch).build()]);
        }
        vec![NodeBuilder::new("sync").children([collection.build()]).build()]
    };
    let collection = |answer: &Node| answer.get_optional_child_by_tag(&["sync", "collection"]).unwrap().clone();
    let answer = cast.sender.1.ask("w:sync:app:state", "set", sync(0, Some(&[]))).await;
    assert_eq!(attr(&collection(&answer), "version"), "1");
    let told = cast.sibling.1.expect("notification").await;
    assert_eq!(attr(&told, "type"), "server_sync");

    let late = cast.sibling.1.ask("w:sync:app:state", "set", sync(0, Some(&[]))).await;
    let late = collection(&late);
    assert_eq!(attr(late.get_optional_child("error").unwrap(), "code"), "409");
    assert_eq!(late.get_optional_child("patches").unwrap().children().unwrap().len(), 1);
    let read = collection(&cast.sibling.1.ask("w:sync:app:state", "set", sync(1, None)).await);
    assert_eq!((attr(&read, "version"), attr(&read, "has_more_patches")), ("1".into(), "false".into()));
}
