//! Stanzas in another order than the one in which they were made.

use crate::client::{Client, attr};
use crate::world::{Companion, message, sandbox_in};
use sanasend_sandbox::{Fault, Sandbox};
use std::time::Duration;
use wacore_binary::builder::NodeBuilder;

const A: &str = "+12025550142";
const B: &str = "+12025550151";
/// Nothing here waits so long.
const LONG: Duration = Duration::from_mins(1);

struct Cast {
    sandbox: Sandbox,
    writer: (Companion, Client),
    reader: (Companion, Client),
}

async fn cast(folder: &std::path::Path) -> Cast {
    let sandbox = sandbox_in(folder).await;
    Cast { writer: Companion::ready(&sandbox, A, 3).await, reader: Companion::ready(&sandbox, B, 3).await, sandbox }
}

impl Cast {
    /// One after the other: each is in the reader's queue before the next is written.
    async fn write(&mut self, ids: &[&str]) {
        let device = self.reader.0.jid.clone();
        for id in ids {
            self.writer.1.send(&message(id, &device.to_non_ad(), &[&device])).await;
            assert_eq!(attr(&self.writer.1.expect("ack").await, "id"), *id);
        }
    }

    async fn reads(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let message = self.reader.1.expect("message").await;
            self.reader.1.ack(&message).await;
            ids.push(attr(&message, "id"));
        }
        ids
    }

    fn reorder(&self, phone: &str, count: u32, within: Duration) {
        self.sandbox.control().fault(phone, Fault::Reorder { count, within }).unwrap();
    }
}

#[tokio::test]
async fn messages_come_in_reverse_and_then_as_they_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    cast.reorder(B, 3, LONG);
    cast.write(&["M1", "M2"]).await;
    assert!(cast.reader.1.settled().await.iter().all(|node| node.tag != "message"), "they are held");
    cast.write(&["M3", "M4"]).await;
    assert_eq!(cast.reads(4).await, ["M3", "M2", "M1", "M4"]);
}

#[tokio::test]
async fn a_read_receipt_comes_before_the_delivery_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    cast.reorder(A, 2, LONG);
    let to = cast.writer.0.jid.clone();
    let receipt = || NodeBuilder::new("receipt").attr("to", &to).attr("id", "M1");
    cast.reader.1.send(&receipt().build()).await;
    cast.reader.1.send(&receipt().attr("type", "read").build()).await;
    let first = cast.writer.1.expect("receipt").await;
    let second = cast.writer.1.expect("receipt").await;
    assert_eq!((attr(&first, "type"), attr(&second, "type")), ("read".into(), String::new()));
}

#[tokio::test]
async fn none_is_stuck_when_fewer_come() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    cast.reorder(B, 100, Duration::from_millis(300));
    cast.write(&["M1", "M2"]).await;
    let mut came = cast.reads(2).await;
    came.sort();
    assert_eq!(came, ["M1", "M2"]);

    cast.reorder(B, 100, LONG);
    cast.write(&["M3", "M4"]).await;
    cast.sandbox.control().clear_faults();
    assert_eq!(cast.reads(2).await, ["M4", "M3"], "the end of the faults lets them go");

    cast.reorder(B, 100, LONG);
    cast.write(&["M5", "M6"]).await;
    cast.reorder(B, 2, LONG);
    assert_eq!(cast.reads(2).await, ["M6", "M5"], "so does another reordering");
    cast.write(&["M7", "M8"]).await;
    assert_eq!(cast.reads(2).await, ["M8", "M7"]);
}

#[tokio::test]
async fn a_connection_that_ends_loses_nothing_of_what_was_held() {
    let folder = tempfile::tempdir().unwrap();
    let mut cast = cast(folder.path()).await;
    cast.reorder(B, 3, LONG);
    cast.write(&["M1", "M2"]).await;
    cast.reader.1 = cast.reader.0.log_in(&cast.sandbox).await;
    let backlog = cast.reader.1.activate().await;
    let ids: Vec<_> = backlog.iter().filter(|node| node.tag == "message").map(|node| attr(node, "id")).collect();
    assert_eq!(ids, ["M1", "M2"], "in the order of the queue");
    cast.write(&["M3", "M4", "M5"]).await;
    assert_eq!(cast.reads(3).await, ["M5", "M4", "M3"]);
    assert!(cast.reader.1.settled().await.iter().all(|node| node.tag != "message"), "and nothing twice");
}
