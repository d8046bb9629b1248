//! The runner on a real store: what it promises about doing, capping, breaking down, stopping and dying.

use super::{Jobs, Parts, Schedule, ScheduleAct, Worker};
use crate::clock::SystemClock;
use async_trait::async_trait;
use sanasend_model::{Clock, JobState};
use sanasend_store::{Database, Job, JobFilter, JobOutcome, JobPlaces, JobTurn, NewJob, Options, Page, SealKey, Store};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(10);

/// Tells what it does and waits for leave to finish.
struct Told {
    mouth: mpsc::UnboundedSender<Value>,
    leave: Arc<Semaphore>,
    at_once: Mutex<HashMap<Option<String>, (usize, usize)>>,
}

#[async_trait]
impl Worker for Told {
    fn kind(&self) -> &'static str {
        "test.do"
    }

    fn at_once(&self) -> usize {
        8
    }

    fn at_once_per_bundle(&self) -> usize {
        3
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(600)
    }

    async fn run(&self, job: &Job) -> JobOutcome {
        {
            let mut at_once = self.at_once.lock().expect("whole");
            let (now, most) = at_once.entry(job.bundle.clone()).or_default();
            *now += 1;
            *most = (*most).max(*now);
        }
        let _ = self.mouth.send(job.payload.clone());
        let leave = self.leave.acquire().await;
        leave.expect("open").forget();
        self.at_once.lock().expect("whole").entry(job.bundle.clone()).or_default().0 -= 1;
        assert!(job.payload != json!("break down"), "deliberate");
        JobOutcome::Done
    }
}

/// A store with a runner.
struct Bench {
    store: Store,
    worker: Arc<Told>,
    told: mpsc::UnboundedReceiver<Value>,
    jobs: Jobs,
    folder: tempfile::TempDir,
}

async fn open(folder: &Path) -> Store {
    let options = Options {
        database: Database::Sqlite { path: folder.join("sanasend.db") },
        seal_key: SealKey::new(1, [7; 32]),
        older_keys: Vec::new(),
        readers: 2,
        timeout: Duration::from_secs(5),
    };
    let store = Store::open(options, Arc::new(SystemClock)).await.expect("opened");
    store.migrate().await.expect("migrated");
    store
}

fn parts(store: &Store, workers: Vec<Arc<dyn Worker>>, schedules: Vec<Schedule>) -> Parts {
    Parts { store: store.clone(), clock: Arc::new(SystemClock), shutdown: CancellationToken::new(), workers, schedules, alone: true }
}

impl Bench {
    async fn with(leave: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path()).await;
        let (mouth, heard) = mpsc::unbounded_channel();
        let worker = Arc::new(Told { mouth, leave: Arc::new(Semaphore::new(leave)), at_once: Mutex::default() });
        let jobs = Jobs::new(parts(&store, vec![worker.clone()], Vec::new())).expect("made");
        jobs.start();
        Self { store, worker, told: heard, jobs, folder }
    }

    async fn enqueue(&self, jobs: impl IntoIterator<Item = NewJob>) {
        self.store.enqueue_jobs(jobs.into_iter().collect()).await.expect("enqueued");
    }

    async fn hear(&mut self) -> Value {
        tokio::time::timeout(PATIENCE, self.told.recv()).await.expect("in time").expect("told")
    }

    /// Waits until the jobs stand so.
    async fn until(&self, what: &str, stand: impl Fn(&[Job]) -> bool) -> Vec<Job> {
        let look = async {
            loop {
                let jobs = self.store.list_jobs(&JobFilter::default(), Page { page: 1, page_size: 100 }).await.expect("listed").results;
                if stand(&jobs) {
                    return jobs;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{what}"))
    }
}

fn job(what: &str) -> NewJob {
    NewJob { kind: "test.do", lane: None, bundle: None, user_id: None, payload: json!(what), due_at: SystemClock.now() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_enqueued_is_done_at_once_and_gone() {
    let mut bench = Bench::with(100).await;
    bench.enqueue((0..20).map(|n| job(&n.to_string()))).await;
    let mut done = Vec::new();
    for _ in 0..20 {
        done.push(bench.hear().await.as_str().and_then(|text| text.parse::<u32>().ok()).expect("a number"));
    }
    done.sort_unstable();
    assert_eq!(done, (0..20).collect::<Vec<_>>());
    bench.until("all are gone", <[Job]>::is_empty).await;
    bench.jobs.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_is_kept_and_a_future_date_too() {
    let mut bench = Bench::with(100).await;
    let later = SystemClock.now().plus(Duration::from_millis(300));
    let laned = (0..10).map(|n| NewJob { lane: Some("lane".into()), bundle: Some(format!("b{}", n % 3)), ..job(&n.to_string()) });
    bench.enqueue(laned.chain([NewJob { due_at: later, ..job("later") }])).await;
    for n in 0..10 {
        assert_eq!(bench.hear().await, json!(n.to_string()));
    }
    assert_eq!(bench.hear().await, json!("later"));
    assert!(SystemClock.now() >= later);
    bench.jobs.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_bundle_takes_no_places_from_others() {
    let mut bench = Bench::with(0).await;
    let of = |bundle: &str, n: usize| NewJob { bundle: Some(bundle.into()), ..job(&format!("{bundle}{n}")) };
    bench.enqueue((0..50).map(|n| of("slow", n))).await;
    for _ in 0..3 {
        bench.hear().await;
    }
    bench.enqueue([of("quick", 0)]).await;
    assert_eq!(bench.hear().await, json!("quick0"), "although 47 stand in front of it");
    bench.worker.leave.add_permits(1000);
    bench.until("all are gone", <[Job]>::is_empty).await;
    let most = bench.worker.at_once.lock().expect("whole").get(&Some("slow".into())).map(|(_, most)| *most);
    assert_eq!(most, Some(3));
    bench.jobs.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_break_down_is_a_failed_attempt_and_a_long_job_keeps_its_lease() {
    let mut bench = Bench::with(0).await;
    bench.enqueue([job("break down")]).await;
    bench.hear().await;
    // Three times its lease: were it not renewed, it would begin again.
    tokio::time::sleep(Duration::from_millis(1800)).await;
    assert!(bench.told.try_recv().is_err(), "it began once");
    bench.worker.leave.add_permits(1);
    let jobs = bench.until("it waits for its next attempt", |jobs| jobs.iter().all(|job| job.state == JobState::Waiting)).await;
    assert_eq!((jobs[0].attempts, jobs[0].last_error.as_deref()), (1, Some("The worker broke down: deliberate")));
    assert!(jobs[0].due_at > SystemClock.now());
    bench.enqueue([job("still alive")]).await;
    assert_eq!(bench.hear().await, json!("still alive"));
    bench.worker.leave.add_permits(1);
    bench.jobs.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_what_runs_end_and_gives_the_rest_back() {
    let mut bench = Bench::with(1).await;
    bench.enqueue([job("ends")]).await;
    bench.hear().await;
    bench.until("it has ended", <[Job]>::is_empty).await;
    bench.enqueue([job("cut")]).await;
    bench.hear().await;
    bench.jobs.stop(Duration::from_millis(100)).await;
    let jobs = bench.until("it was given back", |jobs| jobs.len() == 1 && jobs[0].state == JobState::Waiting).await;
    assert_eq!((jobs[0].attempts, jobs[0].payload.clone()), (0, json!("cut")), "and counts for nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_process_had_runs_again_at_the_start() {
    let bench = Bench::with(100).await;
    bench.jobs.stop(PATIENCE).await;
    bench.enqueue([job("orphan")]).await;
    let claim = vec![JobPlaces { kind: "test.do".into(), bundle: String::new(), places: 1, lease: Duration::from_hours(1) }];
    let turn = JobTurn { owner: SystemClock.uuid(), claim, ..JobTurn::default() };
    assert_eq!(bench.store.turn_jobs(turn).await.expect("claimed").claimed.len(), 1);
    // The claim of a process that was killed; the next one opens the same file.
    let store = open(bench.folder.path()).await;
    let next = Jobs::new(parts(&store, vec![bench.worker.clone()], Vec::new())).expect("made");
    next.start();
    bench.until("it was done", <[Job]>::is_empty).await;
    next.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_runs_when_hastened_once_for_all_nodes_and_tells_its_outcome() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await;
    let runs = Arc::new(Mutex::new(Vec::new()));
    let schedule = |node: u8| {
        let runs = runs.clone();
        let run: ScheduleAct = Arc::new(move || {
            runs.lock().expect("whole").push(node);
            Box::pin(async { Ok("removed 3 rows".into()) })
        });
        let broken: ScheduleAct = Arc::new(|| Box::pin(async { panic!("deliberate") }));
        // Midnight of new year's day: not while this test runs.
        let make = |name, run| Schedule { name, about: "", cron: "0 0 1 1 *".into(), run };
        vec![make("rows.sweep", run), make("rows.break", broken)]
    };
    let nodes: Vec<Jobs> =
        (0..3).map(|node| Jobs::new(Parts { alone: false, ..parts(&store, Vec::new(), schedule(node)) }).expect("made")).collect();
    nodes.iter().for_each(Jobs::start);
    let ended = |name: &'static str| {
        let node = nodes[0].clone();
        async move {
            loop {
                let states = node.schedules().await.expect("read");
                if let Some(state) = states.into_iter().find(|state| state.row.name == name && state.row.succeeded.is_some()) {
                    return state.row;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let hasten = |name: &'static str| {
        let nodes = nodes.clone();
        async move {
            // It is known once the nodes have written it down.
            while nodes[0].hasten(name).await != Ok(Some(true)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            for node in &nodes {
                node.inner.hurry.notify_one();
            }
        }
    };
    hasten("rows.sweep").await;
    let row = tokio::time::timeout(PATIENCE, ended("rows.sweep")).await.expect("in time");
    assert_eq!((row.succeeded, row.detail.as_deref()), (Some(true), Some("removed 3 rows")));
    assert!(row.next_run > SystemClock.now());
    hasten("rows.break").await;
    let row = tokio::time::timeout(PATIENCE, ended("rows.break")).await.expect("in time");
    assert_eq!((row.succeeded, row.detail.as_deref()), (Some(false), Some("it broke down: deliberate")));
    assert_eq!(nodes[0].hasten("rows.none").await, Ok(None));
    for node in &nodes {
        node.stop(PATIENCE).await;
    }
    assert_eq!(runs.lock().expect("whole").len(), 1, "one node of three");
}
