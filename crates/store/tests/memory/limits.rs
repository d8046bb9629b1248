//! Limits: the same sentences for one process and for nodes over a Redis, then what happens when Redis does not answer.

use crate::redis_server::RedisServer;
use crate::world::StillClock;
use sanasend_model::guess::{Bounds, Wait};
use sanasend_model::limit::Standing;
use sanasend_model::{ApiKeyId, UserId};
use sanasend_store::limits::{Ask, Counted, InMemory, Limits, Together};
use sanasend_store::{Remote, RemoteOptions};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const BOUNDS: Bounds = Bounds { bad_per_minute: 10, failures_before_lock: 5, longest_lock: Duration::from_mins(15) };
/// So long that a busy machine is no reason to count alone.
const LONG: Duration = Duration::from_secs(10);

/// A node, its clock, and the Redis that it counts in.
struct Node {
    limits: Arc<dyn Limits>,
    clock: Arc<StillClock>,
    remote: Option<Remote>,
    _redis: Option<RedisServer>,
}

fn alone() -> Node {
    let clock = Arc::new(StillClock::default());
    Node { limits: Arc::new(InMemory::new(BOUNDS, clock.clone())), clock, remote: None, _redis: None }
}

async fn together() -> Node {
    let redis = RedisServer::start().await;
    let node = node_of(&redis, LONG, &Arc::new(StillClock::default())).await;
    Node { _redis: Some(redis), ..node }
}

async fn node_of(redis: &RedisServer, patience: Duration, clock: &Arc<StillClock>) -> Node {
    let options = RemoteOptions { url: redis.url(), authorities: None, prefix: "test".into(), patience };
    let remote = Remote::open(options).await.expect("opened");
    let limits = Arc::new(Together::new(remote.clone(), BOUNDS, clock.clone()));
    Node { limits, clock: clock.clone(), remote: Some(remote), _redis: None }
}

impl Node {
    fn user(&self) -> UserId {
        UserId::new(&*self.clock)
    }

    async fn count(&self, what: Counted, per_minute: u32) -> Standing {
        self.limits.count(&[Ask { what, per_minute }]).await[0]
    }

    /// How many of `times` are let through.
    async fn let_through(&self, what: Counted, per_minute: u32, times: usize) -> usize {
        let mut through = 0;
        for _ in 0..times {
            through += usize::from(self.count(what, per_minute).await.wait.is_none());
        }
        through
    }

    fn remote(&self) -> &Remote {
        self.remote.as_ref().expect("a Redis")
    }

    async fn until_answered(&self) {
        while !self.remote().answers() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn address(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

macro_rules! both {
    ($($name:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::alone()).await; })*
        }
        mod in_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::together().await).await; })*
        }
    };
}

both!(
    a_full_minute_may_come_at_once_and_then_one_per_interval,
    everybody_is_counted_apart,
    of_two_limits_both_must_have_room_or_none_is_counted,
    what_is_not_limited_is_never_refused,
    many_at_the_same_moment_are_counted_one_by_one,
    a_name_is_locked_from_every_address_and_the_lock_doubles,
    the_right_password_forgives_the_name_and_the_address,
    an_address_is_counted_over_names_and_keys_and_let_go_after_a_minute,
    guesses_at_the_same_moment_are_counted_one_by_one,
);

async fn a_full_minute_may_come_at_once_and_then_one_per_interval(node: Node) {
    let who = Counted::Requests(node.user());
    let first = node.count(who, 20).await;
    assert_eq!((first.limit, first.remaining, first.reset, first.wait), (20, 19, Duration::from_secs(3), None));
    assert_eq!(node.let_through(who, 20, 30).await, 19);
    let refused = node.count(who, 20).await;
    assert_eq!((refused.remaining, refused.wait), (0, Some(Duration::from_secs(3))));
    assert_eq!(node.limits.look(Ask { what: who, per_minute: 20 }), refused);
    node.clock.advance(Duration::from_secs(3));
    assert_eq!(node.let_through(who, 20, 2).await, 1);
    node.clock.advance(Duration::from_mins(2));
    assert_eq!(node.let_through(who, 20, 30).await, 20);
}

async fn everybody_is_counted_apart(node: Node) {
    let (anna, ben) = (node.user(), node.user());
    assert_eq!(node.let_through(Counted::Requests(anna), 5, 9).await, 5);
    assert_eq!(node.let_through(Counted::Requests(ben), 5, 9).await, 5);
    assert_eq!(node.let_through(Counted::Messages(anna), 5, 9).await, 5);
    assert_eq!(node.let_through(Counted::address(address(1)), 5, 9).await, 5);
    assert_eq!(node.let_through(Counted::address(address(2)), 5, 9).await, 5);
}

async fn of_two_limits_both_must_have_room_or_none_is_counted(node: Node) {
    let user = node.user();
    let key = ApiKeyId::new(&*node.clock);
    let asks = [Ask { what: Counted::Requests(user), per_minute: 20 }, Ask { what: Counted::Key(user, key), per_minute: 5 }];
    for _ in 0..10 {
        node.limits.count(&asks).await;
    }
    let counted = node.limits.count(&asks).await;
    assert_eq!((counted[0].remaining, counted[0].wait), (15, None));
    assert_eq!((counted[1].remaining, counted[1].wait), (0, Some(Duration::from_secs(12))));
    assert_eq!(node.let_through(Counted::Requests(user), 20, 20).await, 15, "what the key was refused was not the user's");
}

async fn what_is_not_limited_is_never_refused(node: Node) {
    let user = node.user();
    assert_eq!(node.let_through(Counted::Requests(user), 0, 50).await, 50);
    let asks = [Ask { what: Counted::Requests(user), per_minute: 0 }, Ask { what: Counted::Messages(user), per_minute: 1 }];
    let first = node.limits.count(&asks).await;
    let second = node.limits.count(&asks).await;
    assert_eq!((first[0], first[1].wait, second[0]), (Standing::FREE, None, Standing::FREE));
    assert!(second[1].wait.is_some());
}

async fn many_at_the_same_moment_are_counted_one_by_one(node: Node) {
    let who = Counted::Messages(node.user());
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let limits = node.limits.clone();
            tokio::spawn(async move { limits.count(&[Ask { what: who, per_minute: 50 }]).await[0].wait.is_none() })
        })
        .collect();
    let mut through = 0;
    for task in tasks {
        through += usize::from(task.await.expect("counted"));
    }
    assert_eq!(through, 50);
}

async fn a_name_is_locked_from_every_address_and_the_lock_doubles(node: Node) {
    for n in 0..5 {
        let _ = node.limits.begin_guess("anna", address(n)).await.expect("the first five are let through");
    }
    let mut wait = 1;
    for n in 5..20 {
        let refused = node.limits.begin_guess(" ANNA", address(n)).await.expect_err("locked");
        assert_eq!(refused, Wait(Duration::from_secs(wait)));
        let other = node.limits.begin_guess("berta", address(100 + n)).await.expect("others are not concerned");
        node.limits.forgive_guess(other).await;
        node.clock.advance(Duration::from_secs(wait));
        let _ = node.limits.begin_guess("anna", address(n)).await.expect("one more try after the lock");
        wait = (wait * 2).min(900);
    }
}

async fn the_right_password_forgives_the_name_and_the_address(node: Node) {
    for _ in 0..30 {
        let _ = node.limits.begin_guess("anna", address(1)).await.expect("let through");
        let right = node.limits.begin_guess("anna", address(1)).await.expect("let through");
        node.limits.forgive_guess(right).await;
        node.clock.advance(Duration::from_secs(7));
    }
}

async fn an_address_is_counted_over_names_and_keys_and_let_go_after_a_minute(node: Node) {
    for n in 0..5 {
        node.limits.bad_guess(address(1)).await.expect("a key");
        let _ = node.limits.begin_guess(&format!("name{n}"), address(1)).await.expect("a password");
    }
    assert_eq!(node.limits.bad_guess(address(1)).await, Err(Wait(Duration::from_mins(1))));
    assert!(node.limits.begin_guess("anna", address(1)).await.is_err());
    node.limits.bad_guess(address(2)).await.expect("others are not concerned");
    node.clock.advance(Duration::from_mins(1));
    node.limits.bad_guess(address(1)).await.expect("a minute later");
}

async fn guesses_at_the_same_moment_are_counted_one_by_one(node: Node) {
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let limits = node.limits.clone();
            tokio::spawn(async move { limits.begin_guess("anna", address(n)).await.is_ok() })
        })
        .collect();
    let mut tried = 0;
    for task in tasks {
        tried += usize::from(task.await.expect("asked"));
    }
    assert_eq!(tried, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_count_together() {
    let (redis, clock) = (RedisServer::start().await, Arc::default());
    let (one, two) = (node_of(&redis, LONG, &clock).await, node_of(&redis, LONG, &clock).await);
    let who = Counted::Messages(one.user());
    let (a, b) = tokio::join!(one.let_through(who, 40, 30), two.let_through(who, 40, 30));
    assert_eq!(a + b, 40);
    for n in 0..5 {
        let node = if n % 2 == 0 { &one } else { &two };
        let _ = node.limits.begin_guess("anna", address(n)).await.expect("let through");
    }
    assert!(one.limits.begin_guess("anna", address(7)).await.is_err());
    assert!(two.limits.begin_guess("anna", address(7)).await.is_err());
    clock.advance(Duration::from_secs(1));
    let right = one.limits.begin_guess("anna", address(8)).await.expect("after the lock");
    one.limits.forgive_guess(right).await;
    let _ = two.limits.begin_guess("anna", address(8)).await.expect("forgiven everywhere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_reaches_every_node() {
    let (redis, clock) = (RedisServer::start().await, Arc::default());
    let (one, two) = (node_of(&redis, LONG, &clock).await, node_of(&redis, LONG, &clock).await);
    let mut hints = two.remote().people_changes();
    // Its own subscription counts as a hint, so that none is missed before it.
    loop {
        one.remote().tell_people_changed();
        if tokio::time::timeout(Duration::from_millis(200), hints.recv()).await.is_ok_and(|hint| hint.is_ok()) {
            break;
        }
    }
    while hints.try_recv().is_ok() {}
    one.remote().tell_people_changed();
    hints.recv().await.expect("told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_redis_forgives_nobody() {
    let (redis, clock) = (RedisServer::start().await, Arc::default());
    let node = node_of(&redis, LONG, &clock).await;
    let who = Counted::Requests(node.user());
    assert_eq!(node.let_through(who, 20, 20).await, 20);
    for n in 0..5 {
        let _ = node.limits.begin_guess("anna", address(n)).await.expect("let through");
    }
    redis.flush().await;
    assert_eq!(node.let_through(who, 20, 5).await, 0);
    assert!(node.limits.begin_guess("anna", address(9)).await.is_err());
    // And it is filled again from what the node knows.
    let other = node_of(&redis, LONG, &clock).await;
    assert!(node.count(who, 20).await.wait.is_some());
    clock.advance(Duration::from_secs(3));
    assert_eq!(node.let_through(who, 20, 5).await, 1);
    assert_eq!(other.let_through(who, 20, 5).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_node_counts_for_itself_and_together_again_afterwards() {
    let (redis, clock) = (RedisServer::start().await, Arc::default());
    let port = redis.port();
    let (one, two) = (node_of(&redis, LONG, &clock).await, node_of(&redis, LONG, &clock).await);
    let (spent, fresh) = (Counted::Requests(one.user()), Counted::Requests(one.user()));
    assert_eq!(one.let_through(spent, 20, 20).await, 20);
    redis.kill();
    assert_eq!(one.let_through(spent, 20, 5).await, 0, "what was counted before still counts");
    assert!(!one.remote().answers());
    assert_eq!(one.let_through(fresh, 20, 30).await, 20);
    assert_eq!(two.let_through(fresh, 20, 30).await, 20, "nodes know less of each other, and refuse nobody wrongly");
    for n in 0..5 {
        let _ = one.limits.begin_guess("anna", address(n)).await.expect("let through");
    }
    assert!(one.limits.begin_guess("anna", address(9)).await.is_err());
    let _redis = RedisServer::start_on(port).await.expect("on the same port");
    one.until_answered().await;
    two.until_answered().await;
    assert_eq!(one.let_through(spent, 20, 5).await + one.let_through(fresh, 20, 5).await, 0);
    clock.advance(Duration::from_secs(30));
    let (a, b) = (one.let_through(fresh, 20, 30).await, two.let_through(fresh, 20, 30).await);
    assert_eq!(a + b, 10, "together again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_costs_one_wait_and_no_more() {
    let (redis, clock) = (RedisServer::start().await, Arc::default());
    let node = node_of(&redis, Duration::from_millis(500), &clock).await;
    node.until_answered().await;
    let who = Counted::Requests(node.user());
    assert_eq!(node.let_through(who, 100, 10).await, 10);
    redis.signal("STOP");
    assert!(node.count(who, 100).await.wait.is_none());
    assert!(!node.remote().answers(), "it was noticed");
    let begun = tokio::time::Instant::now();
    assert_eq!(node.let_through(who, 100, 1000).await, 89, "counted exactly by the node itself");
    assert!(begun.elapsed() < Duration::from_secs(20), "none of a thousand waited: each would have for half a second");
    redis.signal("CONT");
    node.until_answered().await;
    assert_eq!(node.let_through(who, 100, 5).await, 0);
    clock.advance(Duration::from_mins(2));
    assert_eq!(node.let_through(who, 100, 200).await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_not_there_stops_nobody() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let options =
        RemoteOptions { url: format!("redis://127.0.0.1:{}/", free.port()), authorities: None, prefix: "test".into(), patience: LONG };
    let remote = Remote::open(options).await.expect("opened all the same");
    assert!(!remote.answers());
    let clock = Arc::new(StillClock::default());
    let limits = Together::new(remote, BOUNDS, clock.clone());
    let who = Counted::Requests(UserId::new(&*clock));
    assert!(limits.count(&[Ask { what: who, per_minute: 1 }]).await[0].wait.is_none());
    assert!(limits.count(&[Ask { what: who, per_minute: 1 }]).await[0].wait.is_some());
}

#[test]
fn addresses_of_redis_are_checked_and_never_repeated() {
    for wrong in ["", "http://secret@host", "redis://:secret@host:port", "unix:///secret"] {
        let why = Remote::check_url(wrong).expect_err(wrong);
        assert!(!why.contains("secret"), "{why}");
    }
    for right in ["redis://127.0.0.1", "redis://:secret@host:6379/3", "redis://user:secret@[::1]:6379"] {
        assert_eq!(Remote::check_url(right), Ok(()), "{right}");
    }
    let options = RemoteOptions { url: "redis://:secret@host".into(), authorities: None, prefix: "p".into(), patience: LONG };
    assert!(!format!("{options:?}").contains("secret"));
}
