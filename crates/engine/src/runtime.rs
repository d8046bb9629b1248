//! The tasks of one link, so that all of them are known and none outlives it.
//!
//! The client library starts tasks as it goes and leaves some to end by themselves; one waits up to a minute
//! for a QR code nobody will scan. Two clients of one account corrupt its keys, so "the link is closed" has to
//! mean that nothing of it runs: every task is tied to this value and stopped with it.

use async_trait::async_trait;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use whatsapp_rust::wacore::runtime::{AbortHandle, Runtime};

type Task = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Starts tasks on tokio and remembers them.
pub(crate) struct LinkRuntime {
    stop: watch::Sender<bool>,
    /// Every task holds a clone; when all are gone the last task is too.
    running: Mutex<Option<mpsc::Sender<()>>>,
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

impl LinkRuntime {
    pub(crate) fn new() -> Self {
        let (running, ended) = mpsc::channel(1);
        Self { stop: watch::Sender::new(false), running: Mutex::new(Some(running)), ended: tokio::sync::Mutex::new(ended) }
    }

    /// Stops every task where it waits and returns when all are gone. None can be started afterwards.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        drop(self.running.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Answers `None` once the last clone is dropped.
        while self.ended.lock().await.recv().await.is_some() {}
    }

    /// Starts a task; `None` when the link is being stopped.
    pub(crate) fn start(&self, task: Task) -> Option<tokio::task::JoinHandle<()>> {
        let alive = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let mut stop = self.stop.subscribe();
        Some(tokio::spawn(async move {
            let _alive = alive;
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                () = task => {}
            }
        }))
    }
}

#[async_trait]
impl Runtime for LinkRuntime {
    fn spawn(&self, future: Task) -> AbortHandle {
        match self.start(future) {
            Some(task) => AbortHandle::new(move || task.abort()),
            None => AbortHandle::noop(),
        }
    }

    fn spawn_detached(&self, future: Task) {
        self.start(future);
    }

    fn sleep(&self, duration: Duration) -> Task {
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) -> Task {
        Box::pin(async {
            // It only fails when the work panicked; the caller notices by the missing result.
            let _ = tokio::task::spawn_blocking(work).await;
        })
    }

    fn yield_now(&self) -> Option<Task> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn stop_ends_what_would_wait_for_ever_and_lets_nothing_new_in() {
        let runtime = LinkRuntime::new();
        let kept = Arc::new(());
        for _ in 0..3 {
            let kept = Arc::clone(&kept);
            runtime.spawn_detached(Box::pin(async move {
                std::future::pending::<()>().await;
                drop(kept);
            }));
        }
        runtime.stop().await;
        assert_eq!(Arc::strong_count(&kept), 1, "all tasks are gone");
        runtime.spawn_detached(Box::pin(async move { drop(kept) }));
        runtime.stop().await;
    }
}
