//! Asking the machine for the addresses of a name, on a few threads of its own.
//!
//! The system's resolver keeps a thread until it has an answer. A name server can draw that out to tens of seconds, the name
//! is a stranger's, and nobody can take the thread back. So lookups never take threads that anything else needs, one user
//! has a few of them at once, and whoever asks waits for a bounded time. The same name is asked for once by a user's
//! requests of one moment, and a name that failed is not asked for again at once.

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use sanasend_model::UserId;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// Lookups at once. A thread lives as long as its lookup; one that waits costs little.
const AT_ONCE: usize = 32;
/// Lookups at once of one user.
const PER_USER: usize = 4;
/// How long a lookup may wait for its turn, and then how long it may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a failure is remembered.
const FAILED_FOR: Duration = Duration::from_secs(5);
/// Failures that are remembered at most.
const FAILURES: u64 = 4096;

tokio::task_local! {
    static OWNER: Option<UserId>;
}

/// Does something that may look names up; they count against the user `owner`.
pub(super) async fn counted_for<F: Future>(owner: Option<UserId>, work: F) -> F::Output {
    OWNER.scope(owner, work).await
}

type Ask = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;
type Found = Result<Vec<IpAddr>, Failed>;
type Answer = Shared<BoxFuture<'static, Found>>;
type Key = (Option<UserId>, String);

/// Why there is no address, for all who wait for it.
#[derive(Debug, Clone)]
struct Failed(io::ErrorKind, Arc<str>);

impl Failed {
    fn late(why: &str) -> Self {
        Self(io::ErrorKind::TimedOut, why.into())
    }
}

impl From<&io::Error> for Failed {
    fn from(error: &io::Error) -> Self {
        Self(error.kind(), error.to_string().into())
    }
}

impl From<Failed> for io::Error {
    fn from(Failed(kind, why): Failed) -> Self {
        Self::new(kind, why.to_string())
    }
}

/// What is asked, and by whom. Cheap to clone; clones share their threads.
#[derive(Clone)]
pub(super) struct Lookups(Arc<Inner>);

struct Inner {
    ask: Arc<Ask>,
    patience: Duration,
    threads: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    failed: moka::sync::Cache<String, Failed>,
}

#[derive(Default)]
struct Waiting {
    /// The places of each user that has lookups.
    places: HashMap<Option<UserId>, Arc<Semaphore>>,
    under_way: HashMap<Key, Answer>,
}

impl Lookups {
    /// The machine's own resolver.
    pub(super) fn system() -> Self {
        Self::asking(PATIENCE, |name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    fn asking(patience: Duration, ask: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        let failed = moka::sync::Cache::builder().max_capacity(FAILURES).time_to_live(FAILED_FOR).build();
        let (threads, waiting) = (Arc::new(Semaphore::new(AT_ONCE)), Mutex::default());
        Self(Arc::new(Inner { ask: Arc::new(ask), patience, threads, waiting, failed }))
    }

    /// The addresses of a name, for whom [`counted_for`] says. Only inside a runtime.
    pub(super) fn find(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let owner = OWNER.try_with(|owner| *owner).ok().flatten();
        let answer = self.answer((owner, name));
        Box::pin(async move { answer.await.map_err(io::Error::from) })
    }

    fn answer(&self, key: Key) -> Answer {
        if let Some(failed) = self.0.failed.get(&key.1) {
            return futures::future::ready(Err(failed)).boxed().shared();
        }
        let mut waiting = self.0.waiting();
        if let Some(answer) = waiting.under_way.get(&key) {
            return answer.clone();
        }
        let places = waiting.places.entry(key.0).or_insert_with(|| Arc::new(Semaphore::new(PER_USER))).clone();
        // A task of its own: it goes on when those who asked have gone, and gives its places back.
        let task = tokio::spawn(self.0.clone().look_up(key.clone(), places));
        let broken = || Failed(io::ErrorKind::Other, "the lookup broke down".into());
        let answer = async move { task.await.unwrap_or_else(|_| Err(broken())) }.boxed().shared();
        waiting.under_way.insert(key, answer.clone());
        answer
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_up(self: Arc<Self>, key: Key, places: Arc<Semaphore>) -> Found {
        let found = self.in_turn(&key.1, places).await;
        let mut waiting = self.waiting();
        waiting.under_way.remove(&key);
        // Only the table knows these places: nobody waits for one, and no thread holds one.
        if waiting.places.get(&key.0).is_some_and(|places| Arc::strong_count(places) == 1) {
            waiting.places.remove(&key.0);
        }
        found
    }

    async fn in_turn(&self, name: &str, places: Arc<Semaphore>) -> Found {
        let turn =
            async { Ok::<_, tokio::sync::AcquireError>((places.acquire_owned().await?, self.threads.clone().acquire_owned().await?)) };
        let Ok(Ok(turn)) = timeout(self.patience, turn).await else {
            return Err(Failed::late("too many names are being looked up; try again in a while"));
        };
        let (tell, told) = oneshot::channel();
        let (ask, asked) = (self.ask.clone(), name.to_owned());
        let work = move || {
            let found = ask(&asked);
            // The turn is over when the thread is free again, not when nobody waits for it any more.
            drop(turn);
            let _ = tell.send(found);
        };
        std::thread::Builder::new().name("names".into()).spawn(work).map_err(|error| Failed::from(&error))?;
        let found = match timeout(self.patience, told).await {
            Ok(Ok(found)) => found.map_err(|error| Failed::from(&error)),
            Ok(Err(_)) => Err(Failed(io::ErrorKind::Other, "the lookup broke down".into())),
            Err(_) => Err(Failed::late("the name server did not answer in time")),
        };
        if let Err(failed) = &found {
            self.failed.insert(name.to_owned(), failed.clone());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use uuid::Uuid;

    const LONG: Duration = Duration::from_secs(30);

    /// A resolver that answers `slow...` only when the sender is gone, knows no `nobody...`, and counts what it is asked.
    fn resolver(patience: Duration) -> (Lookups, mpsc::Sender<()>, Arc<AtomicUsize>) {
        let (release, gate) = mpsc::channel();
        let (gate, asked) = (Mutex::new(gate), Arc::new(AtomicUsize::new(0)));
        let counted = asked.clone();
        let lookups = Lookups::asking(patience, move |name| {
            counted.fetch_add(1, Ordering::SeqCst);
            if name.starts_with("slow") {
                let _ = gate.lock().expect("gate").recv();
            }
            if name.starts_with("nobody") { Err(io::Error::other("no such name")) } else { Ok(vec![Ipv4Addr::LOCALHOST.into()]) }
        });
        (lookups, release, asked)
    }

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    async fn find(lookups: &Lookups, owner: UserId, name: &str) -> io::Result<Vec<IpAddr>> {
        let asked = async {
            let found = lookups.find(name.to_owned());
            found.await
        };
        counted_for(Some(owner), asked).await
    }

    #[tokio::test]
    async fn who_asks_for_names_that_never_answer_takes_no_turn_of_others() {
        let (lookups, release, _) = resolver(LONG);
        let stuck: Vec<_> = (0..300).map(|n| lookups.answer((Some(user(1)), format!("slow{n}.example")))).collect();
        let found = find(&lookups, user(2), "good.example").await.expect("found");
        assert_eq!(found, [IpAddr::from(Ipv4Addr::LOCALHOST)]);
        drop(release);
        for answer in stuck {
            assert!(answer.await.is_ok());
        }
        let waiting = lookups.0.waiting();
        assert!(waiting.under_way.is_empty() && waiting.places.is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_is_promised_and_threads_stay_few() {
        let (lookups, release, asked) = resolver(Duration::from_millis(20));
        for n in 0..10 {
            let late = find(&lookups, user(1), &format!("slow{n}.example")).await.expect_err("late");
            assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(asked.load(Ordering::SeqCst), PER_USER, "the rest found no thread free");
        assert!(find(&lookups, user(2), "good.example").await.is_ok());
        drop(release);
    }

    #[tokio::test]
    async fn one_name_is_asked_for_once_and_a_failure_is_remembered() {
        let (lookups, release, asked) = resolver(LONG);
        let same: Vec<_> = (0..50).map(|_| lookups.answer((Some(user(1)), "slow.example".into()))).collect();
        drop(release);
        for answer in same {
            assert!(answer.await.is_ok());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        for owner in [user(1), user(1), user(2)] {
            let failed = find(&lookups, owner, "nobody.example").await.expect_err("no such name");
            assert_eq!(failed.to_string(), "no such name");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
