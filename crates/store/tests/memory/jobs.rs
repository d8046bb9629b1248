//! Jobs: claimed by one, done at least once, in order where they ask for it; and the schedules beside them.

use crate::world::{Backend, World};
use futures::FutureExt as _;
use futures::future::join_all;
use sanasend_model::{Clock, JobId, JobState};
use sanasend_store::{Job, JobChanged, JobFilter, JobOutcome, JobPlaces, JobResult, JobTurn, NewJob, Page, ScheduleRun, StoreError};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(30);
const NODE: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

impl<B: Backend> World<B> {
    fn job(&self, what: &str) -> NewJob {
        NewJob { kind: "test.do", lane: None, bundle: None, user_id: None, payload: json!(what), due_at: self.clock.now() }
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) {
        self.store.enqueue_jobs(jobs).await.expect("enqueued");
    }

    async fn take(&self, owner: Uuid, bundle: &str, places: usize) -> Vec<Job> {
        let claim = vec![JobPlaces { kind: "test.do".into(), bundle: bundle.into(), places, lease: LEASE }];
        self.store.turn_jobs(JobTurn { owner, claim, ..JobTurn::default() }).await.expect("claimed").claimed
    }

    async fn settle(&self, job: &Job, outcome: JobOutcome) {
        self.store.settle_jobs(vec![JobResult { id: job.id, attempt: job.attempts, outcome }]).await.expect("settled");
    }

    async fn give_up(&self, job: &Job) {
        self.settle(job, JobOutcome::Dead { reason: "hopeless".into() }).await;
    }
}

fn in_lane(job: NewJob) -> NewJob {
    NewJob { lane: Some("lane".into()), ..job }
}

fn again<B: Backend>(w: &World<B>, seconds: u64, keep_lane: bool) -> JobOutcome {
    let due_at = w.clock.now().plus(Duration::from_secs(seconds));
    JobOutcome::Retry { due_at, reason: "not yet".into(), keep_lane }
}

fn names(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().filter_map(|job| job.payload.as_str()).collect()
}

pub async fn a_job_is_claimed_when_it_is_due_and_gone_when_it_is_done<B: Backend>(w: World<B>) {
    let later = NewJob { due_at: w.clock.now().plus(Duration::from_mins(5)), ..w.job("later") };
    w.enqueue(vec![later, w.job("now")]).await;
    let taken = w.take(NODE, "", 10).await;
    assert_eq!((names(&taken), taken[0].attempts, taken[0].state), (vec!["now"], 1, JobState::Running));
    assert_eq!(w.take(OTHER, "", 10).await, Vec::new(), "it is taken");
    w.settle(&taken[0], JobOutcome::Done).await;
    assert_eq!(w.store.job(taken[0].id).await, Ok(None));
    w.clock.advance(Duration::from_mins(5));
    assert_eq!(names(&w.take(NODE, "", 10).await), ["later"]);
}

pub async fn who_waits_for_the_end_of_a_job_is_told<B: Backend>(w: World<B>) {
    w.enqueue(vec![w.job("done"), w.job("dead"), w.job("again")]).await;
    let taken = w.take(NODE, "", 10).await;
    let mut ends = w.store.job_ends();
    w.settle(&taken[2], again(&w, 60, true)).await;
    w.settle(&taken[0], JobOutcome::Done).await;
    assert!(ends.wait_for(taken[2].id).now_or_never().is_none(), "it has not ended, and another's end is not its own");
    w.give_up(&taken[1]).await;
    assert!(ends.wait_for(taken[1].id).now_or_never().is_some(), "told by the time it is written");
    assert!(ends.wait_for(taken[0].id).now_or_never().is_none(), "that was heard above");
}

pub async fn jobs_of_a_lane_run_one_at_a_time_in_order<B: Backend>(w: World<B>) {
    w.enqueue(vec![in_lane(w.job("a")), in_lane(w.job("b"))]).await;
    w.enqueue(vec![in_lane(w.job("c")), w.job("free")]).await;
    let first = w.take(NODE, "", 10).await;
    assert_eq!(names(&first), ["a", "free"], "only the first of a lane");
    w.settle(&first[0], JobOutcome::Done).await;
    let second = w.take(NODE, "", 10).await;
    assert_eq!(names(&second), ["b"]);
    w.give_up(&second[0]).await;
    assert_eq!(names(&w.take(NODE, "", 10).await), ["c"], "a dead one does not hold up its lane");
}

pub async fn a_retry_holds_up_its_lane_or_leaves_it<B: Backend>(w: World<B>) {
    w.enqueue(vec![in_lane(w.job("a")), in_lane(w.job("b"))]).await;
    let first = w.take(NODE, "", 10).await;
    w.settle(&first[0], again(&w, 60, true)).await;
    assert_eq!(w.take(NODE, "", 10).await, Vec::new(), "b waits for a");
    w.clock.advance(Duration::from_mins(1));
    let first = w.take(NODE, "", 10).await;
    assert_eq!((names(&first), first[0].attempts, first[0].last_error.as_deref()), (vec!["a"], 2, Some("not yet")));
    w.settle(&first[0], again(&w, 60, false)).await;
    assert_eq!(names(&w.take(NODE, "", 10).await), ["b"], "a has left the lane");
    w.clock.advance(Duration::from_mins(1));
    // b's lease has ended meanwhile.
    assert_eq!(names(&w.take(NODE, "", 10).await), ["a", "b"]);
}

pub async fn what_waits_in_one_bundle_is_not_looked_at_for_another<B: Backend>(w: World<B>) {
    let of = |bundle: &str, what: &str| NewJob { bundle: Some(bundle.into()), ..w.job(what) };
    let mut jobs: Vec<_> = (0..100).map(|_| of("slow", "slow")).collect();
    jobs.push(of("quick", "quick"));
    w.enqueue(jobs).await;
    assert_eq!(w.take(NODE, "slow", 3).await.len(), 3);
    assert_eq!(names(&w.take(NODE, "quick", 3).await), ["quick"]);
    assert_eq!(w.take(NODE, "", 3).await, Vec::new(), "no bundle is a bundle of its own");
    let due = w.store.due_jobs("test.do").await.expect("read");
    let (now, lease_ends) = (w.clock.now(), w.clock.now().plus(LEASE));
    let due: Vec<_> = due.into_iter().map(|due| (due.bundle, due.due_at)).collect();
    assert_eq!(due, [("quick".to_owned(), Some(lease_ends)), ("slow".to_owned(), Some(now))]);
    assert_eq!(w.store.due_jobs("test.other").await, Ok(Vec::new()));
}

pub async fn when_a_node_dies_its_jobs_run_again_and_its_late_outcome_counts_for_nothing<B: Backend>(w: World<B>) {
    w.enqueue(vec![w.job("a")]).await;
    let dead = w.take(NODE, "", 10).await;
    w.clock.advance(LEASE);
    let taken = w.take(OTHER, "", 10).await;
    assert_eq!((taken[0].id, taken[0].attempts), (dead[0].id, 2));
    w.settle(&dead[0], JobOutcome::Done).await;
    w.give_up(&dead[0]).await;
    let turn = JobTurn { owner: NODE, renew: vec![(dead[0].id, 1, LEASE)], ..JobTurn::default() };
    assert_eq!(w.store.turn_jobs(turn).await.expect("renewed").lost, [dead[0].id]);
    let job = w.store.job(dead[0].id).await.expect("read").expect("still there");
    assert_eq!((job.state, job.owner), (JobState::Running, Some(OTHER)));
    w.settle(&taken[0], JobOutcome::Done).await;
    assert_eq!(w.store.job(dead[0].id).await, Ok(None));
}

pub async fn a_renewed_job_stays_with_its_owner<B: Backend>(w: World<B>) {
    w.enqueue(vec![w.job("long")]).await;
    let taken = w.take(NODE, "", 10).await;
    for _ in 0..5 {
        w.clock.advance(LEASE / 2);
        let turn = JobTurn { owner: NODE, renew: vec![(taken[0].id, 1, LEASE)], ..JobTurn::default() };
        assert_eq!(w.store.turn_jobs(turn).await.expect("renewed").lost, Vec::<JobId>::new());
        assert_eq!(w.take(OTHER, "", 10).await, Vec::new());
    }
}

pub async fn what_is_given_back_counts_for_nothing<B: Backend>(w: World<B>) {
    w.enqueue(vec![w.job("a")]).await;
    let taken = w.take(NODE, "", 10).await;
    w.store.give_back_jobs(vec![(taken[0].id, 1)]).await.expect("given back");
    let taken = w.take(OTHER, "", 10).await;
    assert_eq!(taken[0].attempts, 1);
    // A run of a node that is known to be over frees what it had.
    assert_eq!(w.store.free_leases(Some(NODE)).await, Ok(0));
    assert_eq!(w.store.free_leases(Some(OTHER)).await, Ok(1));
    assert_eq!(w.take(NODE, "", 10).await[0].attempts, 2);
    assert_eq!(w.store.free_leases(None).await, Ok(1));
}

pub async fn a_dead_job_is_listed_retried_and_dropped<B: Backend>(w: World<B>) {
    w.enqueue(vec![in_lane(w.job("a")), in_lane(w.job("b")), w.job("waits")]).await;
    let a = w.take(NODE, "", 1).await;
    w.give_up(&a[0]).await;
    let filter = JobFilter { state: Some(JobState::Dead), search: Some("HOPE".into()), ..JobFilter::default() };
    let listed = w.store.list_jobs(&filter, Page::default()).await.expect("listed");
    assert_eq!((listed.count, names(&listed.results)), (1, vec!["a"]));
    let b = w.take(NODE, "", 10).await;
    assert_eq!(names(&b), ["b", "waits"]);
    assert_eq!(w.store.retry_job(b[0].id).await, Ok(JobChanged::WrongState(JobState::Running)));
    let revived = w.store.retry_job(a[0].id).await;
    assert!(matches!(&revived, Ok(JobChanged::Done(job)) if job.state == JobState::Waiting && job.attempts == 0), "{revived:?}");
    assert_eq!(w.take(NODE, "", 10).await, Vec::new(), "b of the same lane is under way");
    w.settle(&b[0], JobOutcome::Done).await;
    let a = w.take(NODE, "", 10).await;
    assert_eq!(names(&a), ["a"]);
    w.give_up(&a[0]).await;
    assert_eq!(w.store.retry_dead_jobs(Some("test.other".into())).await, Ok(0));
    assert_eq!(w.store.retry_dead_jobs(None).await, Ok(1));
    let a = w.take(NODE, "", 10).await;
    w.give_up(&a[0]).await;
    assert!(matches!(w.store.drop_job(a[0].id).await, Ok(JobChanged::Done(_))));
    assert_eq!(w.store.drop_job(a[0].id).await, Ok(JobChanged::Missing));
    assert_eq!(w.store.drop_job(b[1].id).await, Ok(JobChanged::WrongState(JobState::Running)));
}

pub async fn kinds_are_counted_and_old_dead_jobs_are_swept<B: Backend>(w: World<B>) {
    let jobs = (0..1200).map(|n| w.job(&format!("{n}"))).collect();
    w.enqueue(jobs).await;
    let taken = w.take(NODE, "", 1100).await;
    let dead =
        taken.iter().skip(50).map(|job| JobResult { id: job.id, attempt: 1, outcome: JobOutcome::Dead { reason: "hopeless".into() } });
    w.store.settle_jobs(dead.collect()).await.expect("settled");
    let counts = w.store.count_jobs().await.expect("counted");
    let count = &counts[0];
    assert_eq!((counts.len(), count.waiting, count.running, count.dead), (1, 100, 50, 1050));
    assert_eq!(count.oldest_due, Some(w.clock.now()));
    assert_eq!(w.store.sweep_dead_jobs(w.clock.now()).await, Ok(0), "none is old enough");
    w.clock.advance(Duration::from_secs(1));
    assert_eq!(w.store.sweep_dead_jobs(w.clock.now()).await, Ok(1050));
    assert_eq!(w.ask("SELECT COUNT(*) FROM jobs").await, 150);
}

pub async fn jobs_go_with_their_user<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    w.enqueue(vec![NewJob { user_id: Some(user.id), ..w.job("hers") }, w.job("nobody's")]).await;
    w.store.delete_user(user.id).await.expect("deleted");
    assert_eq!(names(&w.take(NODE, "", 10).await), ["nobody's"]);
    let late = NewJob { user_id: Some(user.id), ..w.job("too late") };
    assert_eq!(w.store.enqueue_jobs(vec![late]).await, Err(StoreError::Conflict { what: "owner" }));
}

pub async fn of_many_who_claim_at_once_each_job_goes_to_one<B: Backend>(w: World<B>) {
    w.enqueue((0..200).map(|n| w.job(&format!("{n}"))).collect()).await;
    let nodes: Vec<Uuid> = (0..8).map(|n| Uuid::from_u128(n + 1)).collect();
    let takes = join_all(nodes.iter().map(|node| w.take(*node, "", 30))).await;
    let ids: Vec<JobId> = takes.into_iter().flatten().map(|job| job.id).collect();
    assert_eq!(ids.len(), 200);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 200);
}

pub async fn a_hint_tells_what_may_be_due<B: Backend>(w: World<B>) {
    w.enqueue(vec![in_lane(w.job("a")), in_lane(NewJob { bundle: Some("b".into()), ..w.job("b") })]).await;
    let hints = w.store.job_hints().await;
    let told: Vec<_> = hints.iter().map(|hint| (hint.kind.as_str(), hint.bundle.as_str())).collect();
    assert_eq!(told, [("test.do", "")], "who stands behind another in a lane is not due");
    let taken = w.take(NODE, "", 1).await;
    w.settle(&taken[0], JobOutcome::Done).await;
    let hints = w.store.job_hints().await;
    assert_eq!((hints.len(), hints[0].bundle.as_str(), hints[0].due_at), (1, "b", w.clock.now()), "now it is first");
}

pub async fn a_job_that_can_not_be_read_is_given_up<B: Backend>(w: World<B>) {
    w.enqueue(vec![in_lane(w.job("bad")), in_lane(w.job("good"))]).await;
    w.tamper("UPDATE jobs SET payload = 'not json' WHERE head").await;
    assert_eq!(w.take(NODE, "", 10).await, Vec::new());
    assert_eq!(names(&w.take(NODE, "", 10).await), ["good"]);
    assert_eq!(w.store.count_jobs().await.expect("counted")[0].dead, 1);
}

pub async fn of_many_nodes_one_runs_a_tick<B: Backend>(w: World<B>) {
    let due = w.clock.now().plus(Duration::from_mins(1));
    w.store.keep_schedule("sweep", "* * * * *", due).await.expect("kept");
    assert_eq!(w.store.begin_schedule("sweep", NODE, LEASE).await, Ok(false), "not yet");
    w.clock.advance(Duration::from_mins(10));
    // Known already: the tick that was missed is not forgotten.
    w.store.keep_schedule("sweep", "* * * * *", w.clock.now().plus(Duration::from_mins(1))).await.expect("kept");
    let nodes: Vec<Uuid> = (0..8).map(|n| Uuid::from_u128(n + 1)).collect();
    let taken = join_all(nodes.iter().map(|node| w.store.begin_schedule("sweep", *node, LEASE))).await;
    let winner = nodes[taken.iter().position(|taken| *taken == Ok(true)).expect("one")];
    assert_eq!(taken.iter().filter(|taken| **taken == Ok(true)).count(), 1);
    assert_eq!(w.store.hasten_schedule("sweep").await, Ok(false), "it is running");
    let next_run = w.clock.now().plus(Duration::from_mins(1));
    let run = ScheduleRun { name: "sweep".into(), owner: winner, next_run, took: Duration::from_millis(7), outcome: Ok("3 rows".into()) };
    w.store.end_schedule(run).await.expect("ended");
    let row = w.store.schedules().await.expect("read").remove(0);
    assert_eq!((row.next_run, row.leased_until, row.last_run), (next_run, None, Some(w.clock.now())));
    assert_eq!((row.last_took, row.succeeded, row.detail.as_deref()), (Some(Duration::from_millis(7)), Some(true), Some("3 rows")));
    assert_eq!(w.store.begin_schedule("sweep", OTHER, LEASE).await, Ok(false), "not before the next tick");
    assert_eq!(w.store.hasten_schedule("sweep").await, Ok(true));
    assert_eq!(w.store.hasten_schedule("unknown").await, Ok(false));
    assert_eq!(w.store.begin_schedule("sweep", OTHER, LEASE).await, Ok(true));
}

pub async fn a_tick_of_a_node_that_died_is_run_by_another<B: Backend>(w: World<B>) {
    w.store.keep_schedule("sweep", "* * * * *", w.clock.now()).await.expect("kept");
    assert_eq!(w.store.begin_schedule("sweep", NODE, LEASE).await, Ok(true));
    assert_eq!(w.store.renew_schedule("sweep", NODE, LEASE * 2).await, Ok(true));
    w.clock.advance(LEASE);
    assert_eq!(w.store.begin_schedule("sweep", OTHER, LEASE).await, Ok(false), "it was renewed");
    w.clock.advance(LEASE);
    assert_eq!(w.store.begin_schedule("sweep", OTHER, LEASE).await, Ok(true));
    assert_eq!(w.store.renew_schedule("sweep", NODE, LEASE).await, Ok(false));
    let (next_run, took) = (w.clock.now().plus(LEASE), Duration::ZERO);
    let late = ScheduleRun { name: "sweep".into(), owner: NODE, next_run, took, outcome: Err("late".into()) };
    w.store.end_schedule(late).await.expect("ignored");
    let row = w.store.schedules().await.expect("read").remove(0);
    assert_eq!((row.succeeded, row.leased_until.is_some()), (None, true));
    // Another cron expression is another rhythm, from now on.
    w.store.keep_schedule("sweep", "0 3 * * *", next_run).await.expect("kept");
    assert_eq!(w.store.schedules().await.expect("read")[0].next_run, next_run);
}

pub async fn jobs_of_another_node_are_heard_of<B: Backend>(w: World<B>) {
    if !w.store.is_shared() {
        return;
    }
    let there = w.reopen().await;
    let heard = there.jobs_written_elsewhere();
    tokio::pin!(heard);
    // Again and again: nobody knows when the other node has begun to listen.
    loop {
        tokio::select! {
            biased;
            () = &mut heard => return,
            () = w.enqueue(vec![w.job("again")]) => {}
        }
    }
}
