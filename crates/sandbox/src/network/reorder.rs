//! Stanzas that arrive in another order than the one in which they were made.
//!
//! Apart from the other faults because this one keeps something: what is held for a connection leaves it in reverse, once
//! enough is there, its time is over or the faults are cleared. Nothing depends on that: every stanza is in its device's
//! queue all the while, and a connection that ends before leaves what it held to the next one, in the order of the queue.

use super::link::Link;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use wacore_binary::Node;

/// One planted reordering. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Reordering {
    count: usize,
    within: Duration,
    batches: Arc<Mutex<HashMap<u16, Batch>>>,
}

/// What is held for one companion.
#[derive(Debug)]
struct Batch {
    link: Link,
    held: Vec<Held>,
    /// It has gone out: later stanzas are left alone.
    gone: bool,
}

#[derive(Debug)]
struct Held {
    node: Node,
    bytes: Bytes,
    delay: Option<Duration>,
}

impl Reordering {
    /// Turns the next `count` stanzas to each companion round, or as many as come within this time from the first.
    pub fn new(count: u32, within: Duration) -> Self {
        Self { count: usize::try_from(count).unwrap_or(usize::MAX), within, batches: Arc::default() }
    }

    /// Holds a stanza to a companion back. `false` when it is not one of those: then it goes at once.
    pub fn hold(&self, device: u16, link: &Link, (node, bytes, delay): (&Node, &Bytes, Option<Duration>)) -> bool {
        // Without a runtime nobody would ever let it go.
        let Ok(runtime) = Handle::try_current() else {
            return false;
        };
        let mut batches = self.batches.lock();
        let batch = batches.entry(device).or_insert_with(|| Batch::of(link));
        if batch.gone {
            return false;
        }
        if batch.link.number != link.number {
            *batch = Batch::of(link);
        }
        batch.held.push(Held { node: node.clone(), bytes: bytes.clone(), delay });
        if batch.held.len() >= self.count {
            batch.let_go();
        } else if batch.held.len() == 1 {
            runtime.spawn(self.clone().time_out(device, link.number));
        }
        true
    }

    /// Lets everything go that is held; the reordering is over.
    pub fn end(&self) {
        for batch in self.batches.lock().values_mut() {
            batch.let_go();
        }
    }

    async fn time_out(self, device: u16, connection: u64) {
        tokio::time::sleep(self.within).await;
        let mut batches = self.batches.lock();
        if let Some(batch) = batches.get_mut(&device).filter(|batch| batch.link.number == connection) {
            batch.let_go();
        }
    }
}

impl Batch {
    fn of(link: &Link) -> Self {
        Self { link: link.clone(), held: Vec::new(), gone: false }
    }

    fn let_go(&mut self) {
        self.gone = true;
        for Held { node, bytes, delay } in self.held.drain(..).rev() {
            self.link.send_marshaled(node, bytes, delay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::{Item, marshal};
    use super::*;
    use tokio::sync::mpsc::UnboundedReceiver;
    use wacore_binary::builder::NodeBuilder;

    const LONG: Duration = Duration::from_hours(1);

    fn hold(reordering: &Reordering, link: &Link, id: &str) -> bool {
        let node = NodeBuilder::new("message").attr("id", id).build();
        reordering.hold(33, link, (&node, &marshal(&node), None))
    }

    /// The ids of what has been sent.
    fn sent(items: &mut UnboundedReceiver<Item>) -> Vec<String> {
        std::iter::from_fn(|| items.try_recv().ok())
            .filter_map(|item| match item {
                Item::Stanza(out) => out.node.attrs.get("id").map(ToString::to_string),
                Item::Close => None,
            })
            .collect()
    }

    #[tokio::test]
    async fn so_many_are_turned_round_once_and_the_next_are_left_alone() {
        let (link, mut items) = Link::new(1);
        let reordering = Reordering::new(3, LONG);
        for id in ["A", "B", "C"] {
            assert!(sent(&mut items).is_empty());
            assert!(hold(&reordering, &link, id));
        }
        assert_eq!(sent(&mut items), ["C", "B", "A"]);
        assert!(!hold(&reordering, &link, "D"));
    }

    #[tokio::test]
    async fn too_few_go_when_their_time_is_over() {
        let (link, mut items) = Link::new(1);
        let reordering = Reordering::new(10, Duration::from_millis(20));
        assert!(hold(&reordering, &link, "A") && hold(&reordering, &link, "B"));
        assert!(sent(&mut items).is_empty());
        let Some(Item::Stanza(first)) = items.recv().await else { panic!("it is let go") };
        assert_eq!(first.node.attrs.get("id").map(ToString::to_string).as_deref(), Some("B"));
        assert_eq!(sent(&mut items), ["A"]);
        assert!(!hold(&reordering, &link, "C"), "it is over");
    }

    #[tokio::test]
    async fn another_connection_begins_anew_and_gets_nothing_twice() {
        let (old, mut lost) = Link::new(1);
        let (new, mut items) = Link::new(2);
        let reordering = Reordering::new(2, LONG);
        assert!(hold(&reordering, &old, "A"));
        assert!(hold(&reordering, &new, "B"), "the first of two on this connection");
        assert!(sent(&mut items).is_empty());
        assert!(hold(&reordering, &new, "C"));
        assert_eq!(sent(&mut items), ["C", "B"]);
        assert!(sent(&mut lost).is_empty());
    }

    #[tokio::test]
    async fn what_is_held_goes_when_it_ends() {
        let (link, mut items) = Link::new(1);
        let reordering = Reordering::new(9, LONG);
        assert!(hold(&reordering, &link, "A") && hold(&reordering, &link, "B"));
        reordering.end();
        assert_eq!(sent(&mut items), ["B", "A"]);
    }
}
