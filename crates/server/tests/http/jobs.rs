//! Background work as admins see it.

use crate::world::{As, World, text};
use reqwest::Method;
use sanasend_model::Clock;
use sanasend_store::{JobOutcome, JobPlaces, JobResult, JobTurn, NewJob};
use serde_json::{Value, json};
use std::time::Duration;

impl World {
    /// Jobs of a kind that nobody works on here; those named `dead` were given up.
    async fn jobs(&self, names: &[&str]) {
        let store = &self.node.app.store;
        let job = |name: &&str| NewJob {
            kind: "test.do",
            lane: None,
            bundle: Some((*name).into()),
            user_id: None,
            payload: json!({"name": name}),
            due_at: self.clock.now(),
        };
        store.enqueue_jobs(names.iter().map(job).collect()).await.expect("enqueued");
        let places = JobPlaces { kind: "test.do".into(), bundle: "dead".into(), places: 100, lease: Duration::from_mins(1) };
        let turn = JobTurn { owner: self.clock.uuid(), claim: vec![places], ..JobTurn::default() };
        let claimed = store.turn_jobs(turn).await.expect("claimed").claimed;
        let die = |id| JobResult { id, attempt: 1, outcome: JobOutcome::Dead { reason: "the receiver is gone".into() } };
        store.settle_jobs(claimed.iter().map(|job| die(job.id)).collect()).await.expect("settled");
    }
}

fn names(reply: &crate::world::Reply) -> Vec<String> {
    let results = reply.body["data"]["results"].as_array().expect("a list");
    results.iter().map(|job| text(&job["payload"]["name"])).collect()
}

#[tokio::test]
async fn jobs_are_listed_retried_and_dropped() {
    let world = World::start().await;
    let admin = world.admin().await;
    let who = As::Token(&admin);
    world.jobs(&["first", "dead", "last"]).await;
    assert_eq!(names(&world.get("/jobs/", who).await), ["last", "dead", "first"], "newest first");
    assert_eq!(names(&world.get("/jobs/?ordering=created_at&page_size=1", who).await), ["first"]);
    assert_eq!(names(&world.get("/jobs/?kind=test.other", who).await), [""; 0]);
    let dead = world.get("/jobs/?state=dead&search=RECEIVER", who).await;
    let job = &dead.body["data"]["results"][0];
    assert_eq!((&job["state"], &job["attempts"], &job["due_at"]), (&json!("dead"), &json!(1), &Value::Null));
    let path = format!("/jobs/{}/", text(&job["id"]));
    assert_eq!(world.get(&path, who).await.body["data"], *job);
    let again = world.post(&format!("{path}retry/"), who, Value::Null).await;
    again.is(200, "");
    assert_eq!((&again.body["data"]["state"], &again.body["data"]["attempts"]), (&json!("waiting"), &json!(0)));
    world.post(&format!("{path}retry/"), who, Value::Null).await.is(409, "WRONG_STATE");
    world.call(Method::DELETE, &path, who, Value::Null).await.is(409, "WRONG_STATE");
    world.jobs(&[]).await;
    world.call(Method::DELETE, &path, who, Value::Null).await.is(200, "");
    world.get(&path, who).await.is(404, "NOT_FOUND");
    world.jobs(&["dead", "dead"]).await;
    assert_eq!(world.post("/jobs/retry/", who, json!({"kind": "test.other"})).await.body["data"]["count"], 0);
    assert_eq!(world.post("/jobs/retry/", who, json!({})).await.body["data"]["count"], 2);
    world.post("/jobs/retry/", who, json!({"kinds": []})).await.is(400, "UNKNOWN_FIELD").names(&["kinds"]);
    world.get("/jobs/?state=done", who).await.is(400, "VALIDATION_ERROR").names(&["state"]);
    world.get("/jobs/?ordering=kind", who).await.is(400, "VALIDATION_ERROR").names(&["ordering"]);
}

#[tokio::test]
async fn the_summary_counts_kinds_and_a_schedule_can_be_run_now() {
    let world = World::start().await;
    let admin = world.admin().await;
    let who = As::Token(&admin);
    world.jobs(&["one", "two", "dead"]).await;
    let summary = world.get("/jobs/summary/", who).await;
    summary.is(200, "");
    let kinds = summary.body["data"]["kinds"].as_array().expect("kinds");
    let kind = kinds.iter().find(|kind| kind["kind"] == "test.do").expect("counted");
    assert_eq!((&kind["waiting"], &kind["running"], &kind["dead"]), (&json!(2), &json!(0), &json!(1)));
    let path = "/jobs/schedules/idempotency.sweep/run/";
    // The schedules write themselves down in the moments after the start.
    let begun = loop {
        let reply = world.post(path, who, Value::Null).await;
        if reply.status != 409 {
            break reply;
        }
        tokio::task::yield_now().await;
    };
    begun.is(202, "");
    assert_eq!(begun.body["data"]["cron"], "*/10 * * * *");
    let schedule = loop {
        let summary = world.get("/jobs/summary/", who).await;
        let schedules = summary.body["data"]["schedules"].as_array().expect("schedules").clone();
        let schedule = schedules.into_iter().find(|schedule| schedule["name"] == "idempotency.sweep").expect("listed");
        if schedule["outcome"].is_string() {
            break schedule;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&schedule["outcome"], &schedule["detail"]), (&json!("ok"), &json!("removed 0 keys")));
    world.post("/jobs/schedules/none/run/", who, Value::Null).await.is(404, "NOT_FOUND");
}

#[tokio::test]
async fn background_work_is_for_admins() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, anna) = world.user(&admin, "anna").await;
    let id = world.clock.uuid();
    for (method, path) in [
        (Method::GET, "/jobs/".to_owned()),
        (Method::GET, "/jobs/summary/".to_owned()),
        (Method::GET, format!("/jobs/{id}/")),
        (Method::DELETE, format!("/jobs/{id}/")),
        (Method::POST, format!("/jobs/{id}/retry/")),
        (Method::POST, "/jobs/schedules/idempotency.sweep/run/".to_owned()),
    ] {
        world.call(method.clone(), &path, As::Nobody, Value::Null).await.is(401, "UNAUTHENTICATED");
        world.call(method, &path, As::Token(&anna), Value::Null).await.is(403, "ADMIN_REQUIRED");
    }
    world.post(&format!("/jobs/{id}/retry/"), As::Token(&admin), Value::Null).await.is(404, "NOT_FOUND");
}
