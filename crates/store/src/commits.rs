//! What a transaction of the writer was, for those who watch: the figures an operator looks at first when it is slow.
//!
//! Apart from the writer, so that it knows nothing of what becomes of them.

use crate::Store;
use crate::events::Event;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One transaction, just ended.
#[derive(Debug)]
pub struct Commit<'a> {
    /// Requests that shared it, accepts included.
    pub requests: usize,
    /// Messages among them that were handed in.
    pub accepts: usize,
    /// From its begin to its end, the wait for the disk included.
    pub took: Duration,
    /// Whether it is on disk; otherwise nothing of it was written.
    pub committed: bool,
    /// The events it wrote.
    pub events: &'a [Arc<Event>],
}

/// Who watches, once somebody does. It is called by the writer itself, and must be quick.
pub(crate) type Watch = Arc<OnceLock<Box<dyn Fn(&Commit<'_>) + Send + Sync>>>;

impl Store {
    /// Has `watcher` see every transaction from now on. There is one watcher: later ones are not heard.
    pub fn watch_commits(&self, watcher: impl Fn(&Commit<'_>) + Send + Sync + 'static) {
        let _ = self.inner.commits.set(Box::new(watcher));
    }
}
