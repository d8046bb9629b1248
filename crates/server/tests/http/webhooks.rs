//! `/webhooks/`: who may have which endpoints, how events get there, and what is told about it.

#[path = "../stories/world/customer.rs"]
mod customer;

use crate::world::{As, Reply, World, becomes, text};
use customer::{Customer, Heard, Manner};
use reqwest::Method;
use sanasend::config::Cidr;
use sanasend_model::{Clock, EventKind, UserId};
use sanasend_store::NewEvent;
use serde_json::{Value, json};
use std::time::Duration;

/// A user with endpoints, whose events a test makes up.
struct Hooked {
    world: World,
    user: UserId,
    token: String,
}

impl Hooked {
    async fn start() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(set: impl FnOnce(&mut sanasend::config::Config)) -> Self {
        let world = World::with(|config| {
            config.egress.allow = vec![Cidr("127.0.0.1/32".parse().expect("a network"))];
            config.auth.refresh_token_days = 365;
            config.auth.access_token_minutes = 1440;
            set(config);
        })
        .await;
        let admin = world.admin().await;
        let (user, token) = world.user(&admin, "anna").await;
        let (_, key) = world.key(&token, json!({})).await;
        Self { world, user: user.parse().expect("an id"), token: key }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Reply {
        self.world.call(method, path, As::Key(&self.token), body).await
    }

    /// An endpoint at this customer; answers its id and its secret.
    async fn endpoint(&self, customer: &Customer, more: Value) -> (String, String) {
        let mut wanted = json!({"url": customer.url});
        for (field, value) in more.as_object().into_iter().flatten() {
            wanted[field] = value.clone();
        }
        let made = self.call(Method::POST, "/webhooks/", wanted).await;
        made.is(201, "");
        (text(&made.body["data"]["id"]), text(&made.body["data"]["secret"]))
    }

    /// Something happens in a chat; answers the event's id.
    async fn happens(&self, kind: EventKind, chat: &str) -> String {
        let data = json!({"message": {"id": "m", "chat": chat}});
        let at = self.world.clock.now();
        let new = NewEvent { user_id: self.user, session_id: None, kind, message_id: None, data, at };
        self.world.node.app.store.record_event(new).await.expect("written").id.to_string()
    }

    /// Lets time pass, and wakes who waits for it.
    async fn pass(&self, time: Duration) {
        self.world.pass(time).await;
    }

    /// What `/metrics` says.
    async fn figures(&self) -> String {
        Reply::read(self.world.request(Method::GET, "/metrics").send().await.expect("an answer")).await.text
    }

    async fn webhook(&self, id: &str) -> Value {
        let reply = self.call(Method::GET, &format!("/webhooks/{id}/"), Value::Null).await;
        reply.is(200, "");
        reply.body["data"].clone()
    }

    async fn deliveries(&self, id: &str, filter: &str) -> Vec<Value> {
        let reply = self.call(Method::GET, &format!("/webhooks/{id}/deliveries/?{filter}"), Value::Null).await;
        reply.is(200, "");
        reply.body["data"]["results"].as_array().expect("a list").clone()
    }

    /// Waits until the newest delivery is as wanted.
    async fn delivery_becomes(&self, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let newest = async || self.deliveries(id, "page_size=1").await.pop().unwrap_or_default();
        becomes(what, newest, wanted).await
    }
}

fn in_state(state: &str) -> impl Fn(&Value) -> bool {
    move |delivery| delivery["state"] == state
}

/// `attempts` were made, and the next one has its time.
fn waits_after(attempts: u32) -> impl Fn(&Value) -> bool {
    move |delivery| delivery["attempts"] == attempts && delivery["state"] == "pending" && delivery["last_error"].is_string()
}

#[tokio::test]
async fn an_endpoint_is_made_seen_changed_and_removed_and_its_secret_shown_once() {
    let hooked = Hooked::start().await;
    let wanted = json!({"url": "https://Shop.example.com/hook?x=1", "description": " till ", "events": ["message.*", "session.changed"]});
    let made = hooked.call(Method::POST, "/webhooks/", wanted).await;
    made.is(201, "");
    let (data, secret) = (&made.body["data"], text(&made.body["data"]["secret"]));
    assert!(secret.starts_with("whsec_") && secret.len() > 40, "{secret}");
    assert_eq!((&data["url"], &data["description"]), (&json!("https://shop.example.com/hook?x=1"), &json!("till")));
    assert_eq!((&data["events"], &data["is_active"]), (&json!(["message.*", "session.changed"]), &json!(true)));
    let path = format!("/webhooks/{}/", text(&data["id"]));
    let off = hooked.call(Method::PATCH, &path, json!({"is_active": false, "events": []})).await;
    assert!(off.is(200, "").body["data"]["disabled_at"].is_string());
    let whole = hooked.call(Method::PUT, &path, json!({"url": "https://shop.example.com/other"})).await;
    let data = &whole.is(200, "").body["data"];
    assert_eq!((&data["description"], &data["is_active"], &data["disabled_at"]), (&json!(""), &json!(true), &Value::Null));
    hooked.call(Method::PATCH, &path, json!({"is_active": false})).await.is(200, "");
    hooked.call(Method::POST, &format!("{path}enable/"), Value::Null).await.is(200, "");
    for seen in [hooked.call(Method::GET, &path, Value::Null).await, hooked.call(Method::GET, "/webhooks/", Value::Null).await] {
        assert!(!seen.is(200, "").text.contains("whsec_"), "{}", seen.text);
    }
    hooked.call(Method::DELETE, &path, Value::Null).await.is(200, "");
    hooked.call(Method::GET, &path, Value::Null).await.is(404, "NOT_FOUND");
    assert_eq!(hooked.call(Method::GET, "/webhooks/", Value::Null).await.body["data"]["count"], 0);
}

#[tokio::test]
async fn what_is_wrong_is_named_by_field() {
    let hooked = Hooked::with(|config| config.webhooks.endpoints_per_user = 1).await;
    let url = "https://example.com/";
    let table = [
        (json!({}), "VALIDATION_ERROR", "url"),
        (json!({"url": "example.com"}), "VALIDATION_ERROR", "url"),
        (json!({"url": "ftp://example.com/"}), "VALIDATION_ERROR", "url"),
        (json!({"url": "https://me:you@example.com/"}), "VALIDATION_ERROR", "url"),
        (json!({"url": "http://10.0.0.1/"}), "VALIDATION_ERROR", "url"),
        (json!({"url": "http://0x0a000001/"}), "VALIDATION_ERROR", "url"),
        (json!({"url": "http://[::ffff:10.0.0.1]/"}), "VALIDATION_ERROR", "url"),
        (json!({"url": "http://169.254.169.254/"}), "VALIDATION_ERROR", "url"),
        (json!({"url": "https://example.com:25/"}), "VALIDATION_ERROR", "url"),
        (json!({"url": url, "events": ["message.flown"]}), "VALIDATION_ERROR", "events"),
        (json!({"url": url, "events": "message.sent"}), "VALIDATION_ERROR", "events"),
        (json!({"url": url, "description": "x".repeat(201)}), "VALIDATION_ERROR", "description"),
        (json!({"url": url, "secret": "whsec_c2hvcnQ="}), "VALIDATION_ERROR", "secret"),
        (json!({"url": url, "secret": null}), "VALIDATION_ERROR", "secret"),
        (json!({"url": url, "is_active": 1}), "VALIDATION_ERROR", "is_active"),
        (json!({"url": url, "user": "me"}), "UNKNOWN_FIELD", "user"),
    ];
    for (body, code, field) in table {
        hooked.call(Method::POST, "/webhooks/", body).await.is(400, code).names(&[field]);
    }
    hooked
        .call(Method::POST, "/webhooks/", json!({"url": "x", "events": ["x"], "secret": "x"}))
        .await
        .is(400, "VALIDATION_ERROR")
        .names(&["events", "secret", "url"]);
    let made = hooked.call(Method::POST, "/webhooks/", json!({"url": url})).await;
    let path = format!("/webhooks/{}/", text(&made.is(201, "").body["data"]["id"]));
    hooked.call(Method::POST, "/webhooks/", json!({"url": url})).await.is(409, "WEBHOOK_LIMIT_REACHED");
    hooked.call(Method::PATCH, &path, json!({"url": null})).await.is(400, "VALIDATION_ERROR").names(&["url"]);
    hooked.call(Method::PATCH, &path, json!({"secret": "x"})).await.is(400, "UNKNOWN_FIELD").names(&["secret"]);
    for (query, field) in [("state=lost", "state"), ("type=x", "type"), ("since=x", "since"), ("cursor=1&page=1", "cursor")] {
        hooked.call(Method::GET, &format!("{path}deliveries/?{query}"), Value::Null).await.is(400, "VALIDATION_ERROR").names(&[field]);
    }
    hooked.call(Method::POST, &format!("{path}rotate-secret/"), json!({"grace_hours": 721})).await.is(400, "VALIDATION_ERROR");
    let backwards = json!({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"});
    hooked.call(Method::POST, &format!("{path}replay/"), backwards).await.is(400, "VALIDATION_ERROR").names(&["until"]);
}

#[tokio::test]
async fn another_users_endpoint_is_not_there_and_a_key_needs_the_scope() {
    let hooked = Hooked::start().await;
    let customer = Customer::listens().await;
    let (id, _) = hooked.endpoint(&customer, json!({})).await;
    hooked.happens(EventKind::MessageSent, "a").await;
    let delivery = text(&hooked.delivery_becomes(&id, "there", |seen| seen["id"].is_string()).await["id"]);
    let admin = hooked.world.admin().await;
    let (_, eve) = hooked.world.user(&admin, "eve").await;
    let (_, weak) = hooked.world.key(&eve, json!({"scopes": ["messages:send"]})).await;
    let paths = [
        (Method::GET, String::new(), Value::Null),
        (Method::PUT, String::new(), json!({"url": "https://example.com/"})),
        (Method::PATCH, String::new(), json!({})),
        (Method::DELETE, String::new(), Value::Null),
        (Method::POST, "enable/".into(), Value::Null),
        (Method::POST, "rotate-secret/".into(), Value::Null),
        (Method::POST, "test/".into(), Value::Null),
        (Method::POST, "replay/".into(), json!({"since": "2026-01-01T00:00:00Z"})),
        (Method::GET, "deliveries/".into(), Value::Null),
        (Method::GET, format!("deliveries/{delivery}/"), Value::Null),
        (Method::POST, format!("deliveries/{delivery}/replay/"), Value::Null),
    ];
    let nobody = "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77";
    for (method, rest, body) in paths {
        let others = hooked.world.call(method.clone(), &format!("/webhooks/{id}/{rest}"), As::Token(&eve), body.clone()).await;
        let missing = hooked.world.call(method.clone(), &format!("/webhooks/{nobody}/{rest}"), As::Token(&eve), body.clone()).await;
        others.is(404, "NOT_FOUND");
        assert_eq!(others.text, missing.text, "{method} {rest}");
        let weak = hooked.world.call(method, &format!("/webhooks/{id}/{rest}"), As::Key(&weak), body).await;
        weak.is(403, "INSUFFICIENT_SCOPE");
    }
    assert_eq!(hooked.world.get("/webhooks/", As::Token(&eve)).await.body["data"]["count"], 0);
    assert_eq!(hooked.world.get("/webhooks/", As::Token(&admin)).await.body["data"]["count"], 1, "admins see all");
    hooked.world.get(&format!("/webhooks/{id}/"), As::Token(&admin)).await.is(200, "");
    assert_eq!(customer.heard().len(), 1, "nobody else made it post");
}

#[tokio::test]
async fn an_event_is_posted_signed_and_the_log_tells_both_sides() {
    let hooked = Hooked::start().await;
    let (customer, other) = (Customer::listens().await, Customer::listens().await);
    customer.answers(|_| Manner::Header(200, "set-cookie", "session=1".into()));
    let (id, secret) = hooked.endpoint(&customer, json!({"events": ["message.*"]})).await;
    hooked.endpoint(&other, json!({"events": ["session.*"]})).await;
    let event = hooked.happens(EventKind::MessageDelivered, "a").await;
    let heard = customer.hears(1).await.remove(0);
    assert!(heard.is_signed_by(&secret) && !heard.is_signed_by("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    assert_eq!((heard.id.as_str(), &heard.body["id"], heard.kind()), (event.as_str(), &json!(event), "message.delivered"));
    assert_eq!((&heard.body["data"]["message"]["chat"], heard.headers["content-type"].as_bytes()), (&json!("a"), &b"application/json"[..]));
    assert!(heard.body["cursor"].is_i64() && heard.body["timestamp"].is_string());

    let delivery = hooked.delivery_becomes(&id, "taken", in_state("succeeded")).await;
    assert_eq!((&delivery["event"], &delivery["attempts"], &delivery["last_status"]), (&json!(event), &json!(1), &json!(200)));
    let path = format!("/webhooks/{id}/deliveries/{}/", text(&delivery["id"]));
    let seen = hooked.call(Method::GET, &path, Value::Null).await;
    let data = &seen.is(200, "").body["data"];
    assert_eq!(data["request_body"], heard.body);
    assert_eq!(data["attempt_log"][0]["request_headers"]["webhook-id"], json!(event));
    assert!(data["attempt_log"][0]["response_headers"].get("set-cookie").is_none() && !seen.text.contains("whsec_"), "{}", seen.text);

    hooked.call(Method::POST, &format!("{path}replay/"), Value::Null).await.is(202, "");
    let again = customer.hears(2).await.remove(1);
    assert_eq!((&again.id, &again.bytes), (&heard.id, &heard.bytes), "the same, byte for byte");
    assert!(again.is_signed_by(&secret));
    assert_eq!(hooked.delivery_becomes(&id, "taken again", in_state("succeeded")).await["replays"], 1);
    assert!(other.heard().is_empty());
    for (filter, count) in [("state=succeeded", 1), ("state=dead", 0), ("type=message.delivered", 1), ("type=message.read", 0)] {
        assert_eq!(hooked.deliveries(&id, filter).await.len(), count, "{filter}");
    }
    let figures = hooked.figures().await;
    assert!(figures.contains("sanasend_webhook_deliveries_total{outcome=\"delivered\"} "), "{figures}");
    assert!(figures.contains("sanasend_webhook_delivery_seconds_count "), "{figures}");
}

#[tokio::test]
async fn a_failed_delivery_is_tried_by_the_table_and_given_up_and_can_be_replayed() {
    let hooked = Hooked::with(|config| config.webhooks.disable_after_days = 60).await;
    let customer = Customer::listens().await;
    customer.answers(|_| Manner::Status(500));
    let (id, _) = hooked.endpoint(&customer, json!({})).await;
    let since = hooked.world.clock.now().to_string();
    let event = hooked.happens(EventKind::MessageSent, "a").await;
    for attempts in 1..10 {
        customer.hears(attempts).await;
        let waiting = hooked.delivery_becomes(&id, "waiting", waits_after(u32::try_from(attempts).expect("few"))).await;
        let next = sanasend_model::Timestamp::parse(&text(&waiting["next_attempt_at"])).expect("a time");
        hooked.pass(next.since(hooked.world.clock.now()).saturating_sub(Duration::from_secs(2))).await;
        assert_eq!(customer.heard().len(), attempts, "not before its time");
        hooked.pass(Duration::from_secs(3)).await;
    }
    assert!(customer.hears(10).await.iter().all(|heard| heard.id == event), "the same id each time");
    let dead = hooked.delivery_becomes(&id, "given up", in_state("dead")).await;
    let figures = hooked.figures().await;
    assert!(figures.contains("sanasend_webhook_deliveries_total{outcome=\"refused\"} "), "{figures}");
    assert_eq!((&dead["attempts"], &dead["last_status"], &dead["next_attempt_at"]), (&json!(10), &json!(500), &Value::Null));
    assert!(hooked.webhook(&id).await["failing_since"].is_string());
    customer.answers(|_| Manner::Status(200));
    let replay = hooked.call(Method::POST, &format!("/webhooks/{id}/replay/"), json!({"since": since})).await;
    assert_eq!(replay.is(202, "").body["data"], json!({"count": 1, "complete": true}));
    assert_eq!(customer.hears(11).await[10].id, event);
    hooked.delivery_becomes(&id, "taken", in_state("succeeded")).await;
    assert_eq!(hooked.webhook(&id).await["failing_since"], Value::Null);
    let nothing = hooked.call(Method::POST, &format!("/webhooks/{id}/replay/"), json!({"since": since, "only": "failed"})).await;
    assert_eq!(nothing.body["data"]["count"], 0);
    let all = hooked.call(Method::POST, &format!("/webhooks/{id}/replay/"), json!({"since": since, "only": "all"})).await;
    assert_eq!(all.body["data"]["count"], 1);
    customer.hears(12).await;
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let hooked = Hooked::start().await;
    let customer = Customer::listens().await;
    customer.answers(|_| Manner::Header(429, "retry-after", "3600".into()));
    let (id, _) = hooked.endpoint(&customer, json!({})).await;
    hooked.happens(EventKind::MessageSent, "a").await;
    let waiting = hooked.delivery_becomes(&id, "waiting", waits_after(1)).await;
    let next = sanasend_model::Timestamp::parse(&text(&waiting["next_attempt_at"])).expect("a time");
    let wait = next.since(hooked.world.clock.now());
    assert!(wait > Duration::from_mins(59) && wait <= Duration::from_hours(1), "{wait:?}");
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let hooked = Hooked::start().await;
    let (customer, inside) = (Customer::listens().await, Customer::listens().await);
    let target = inside.url.clone();
    customer.answers(move |_| Manner::Header(307, "location", target.clone()));
    let (id, _) = hooked.endpoint(&customer, json!({})).await;
    hooked.happens(EventKind::MessageSent, "a").await;
    let waiting = hooked.delivery_becomes(&id, "waiting", waits_after(1)).await;
    assert_eq!(waiting["last_status"], 307);
    assert!(text(&waiting["last_error"]).contains("redirect"), "{waiting}");
    assert!(inside.heard().is_empty());
}

#[tokio::test]
async fn one_that_hangs_delays_no_other() {
    let hooked = Hooked::with(|config| {
        config.webhooks.at_once = 6;
        config.webhooks.at_once_per_endpoint = 2;
        config.webhooks.timeout_seconds = 60;
    })
    .await;
    let (slow, good) = (Customer::listens().await, Customer::listens().await);
    slow.answers(|_| Manner::Hang);
    hooked.endpoint(&slow, json!({})).await;
    let (id, _) = hooked.endpoint(&good, json!({})).await;
    for number in 0..20 {
        hooked.happens(EventKind::MessageSent, &format!("chat {number}")).await;
    }
    good.hears(20).await;
    assert_eq!(slow.heard().len(), 2, "two places and no more");
    hooked.delivery_becomes(&id, "taken", in_state("succeeded")).await;
}

#[tokio::test]
async fn one_that_never_answers_is_cut_after_its_time() {
    let hooked = Hooked::with(|config| config.webhooks.timeout_seconds = 1).await;
    let customer = Customer::listens().await;
    customer.answers(|_| Manner::Hang);
    let (id, _) = hooked.endpoint(&customer, json!({})).await;
    hooked.happens(EventKind::MessageSent, "a").await;
    let waiting = hooked.delivery_becomes(&id, "waiting", waits_after(1)).await;
    assert_eq!((&waiting["last_status"], &waiting["last_error"]), (&Value::Null, &json!("no answer in time")));
}

#[tokio::test]
async fn one_that_is_gone_is_switched_off_at_once_and_the_others_are_told() {
    let hooked = Hooked::start().await;
    let (gone, other) = (Customer::listens().await, Customer::listens().await);
    gone.answers(|_| Manner::Status(410));
    let (id, _) = hooked.endpoint(&gone, json!({"description": "old till"})).await;
    hooked.endpoint(&other, json!({"events": ["webhook.*"]})).await;
    hooked.happens(EventKind::MessageSent, "a").await;
    let notice = other.hears(1).await.remove(0);
    assert_eq!((notice.kind(), &notice.body["data"]["webhook"]["id"]), ("webhook.disabled", &json!(id)));
    assert_eq!(notice.body["data"]["webhook"]["description"], "old till");
    let off = hooked.webhook(&id).await;
    assert_eq!(off["is_active"], false);
    assert!(text(&off["disabled_reason"]).contains("410"), "{off}");
    assert_eq!(hooked.deliveries(&id, "state=dead").await.len(), 1);
    let log = hooked.call(Method::GET, "/events/", Value::Null).await;
    assert!(log.text.contains("webhook.disabled"), "{}", log.text);

    hooked.happens(EventKind::MessageSent, "a").await;
    let replay = hooked.call(Method::POST, &format!("/webhooks/{id}/replay/"), json!({"since": "2026-01-01T00:00:00Z"})).await;
    replay.is(409, "WRONG_STATE");
    gone.answers(|_| Manner::Status(200));
    hooked.call(Method::POST, &format!("/webhooks/{id}/enable/"), Value::Null).await.is(200, "");
    let on = hooked.webhook(&id).await;
    assert_eq!((&on["is_active"], &on["disabled_reason"], &on["failing_since"]), (&json!(true), &Value::Null, &Value::Null));
    let event = hooked.happens(EventKind::MessageRead, "a").await;
    let heard = gone.hears(2).await;
    assert_eq!(heard[1].id, event, "what happened while it was off is not told by itself");
}

#[tokio::test]
async fn one_that_fails_for_days_is_switched_off() {
    let hooked = Hooked::start().await;
    let customer = Customer::listens().await;
    customer.answers(|_| Manner::Status(503));
    let (id, _) = hooked.endpoint(&customer, json!({})).await;
    hooked.happens(EventKind::MessageSent, "a").await;
    for attempts in 1..=4 {
        hooked.delivery_becomes(&id, "waiting", waits_after(attempts)).await;
        assert_eq!(hooked.webhook(&id).await["is_active"], true, "after {attempts}");
        hooked.pass(Duration::from_hours(30)).await;
    }
    customer.hears(5).await;
    hooked.delivery_becomes(&id, "tried", |seen| seen["attempts"] == 5).await;
    let off = hooked.webhook(&id).await;
    assert_eq!(off["is_active"], false, "{off}");
    hooked.pass(Duration::from_hours(30)).await;
    let dead = hooked.delivery_becomes(&id, "given up", in_state("dead")).await;
    assert_eq!((&dead["last_error"], customer.heard().len()), (&json!("The endpoint is switched off."), 5));
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_old_one_for_a_while() {
    let hooked = Hooked::start().await;
    let customer = Customer::listens().await;
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (id, shown) = hooked.endpoint(&customer, json!({"secret": own})).await;
    assert_eq!(shown, own);
    let rotated = hooked.call(Method::POST, &format!("/webhooks/{id}/rotate-secret/"), json!({"grace_hours": 2})).await;
    let new = text(&rotated.is(200, "").body["data"]["secret"]);
    assert!(rotated.body["data"]["previous_secret_until"].is_string());
    let signed_by = |heard: &Heard| (heard.is_signed_by(own), heard.is_signed_by(&new));
    hooked.happens(EventKind::MessageSent, "a").await;
    assert_eq!(signed_by(&customer.hears(1).await[0]), (true, true));
    hooked.pass(Duration::from_hours(3)).await;
    hooked.happens(EventKind::MessageSent, "a").await;
    assert_eq!(signed_by(&customer.hears(2).await[1]), (false, true));
    let newest = hooked.call(Method::POST, &format!("/webhooks/{id}/rotate-secret/"), json!({"grace_hours": 0})).await;
    hooked.happens(EventKind::MessageSent, "a").await;
    let heard = customer.hears(3).await.remove(2);
    assert_eq!((signed_by(&heard), heard.is_signed_by(&text(&newest.body["data"]["secret"]))), ((false, false), true));
}

#[tokio::test]
async fn a_test_goes_to_one_endpoint_now_and_answers_what_came_back() {
    let hooked = Hooked::start().await;
    let (customer, other) = (Customer::listens().await, Customer::listens().await);
    customer.answers(|_| Manner::Status(418));
    let (id, secret) = hooked.endpoint(&customer, json!({"is_active": false})).await;
    hooked.endpoint(&other, json!({})).await;
    let path = format!("/webhooks/{id}/test/");
    let refused = hooked.call(Method::POST, &path, Value::Null).await;
    let data = &refused.is(200, "").body["data"];
    assert_eq!((&data["delivered"], &data["response_status"], &data["response_body"]), (&json!(false), &json!(418), &json!("noted")));
    customer.answers(|_| Manner::Status(200));
    let taken = hooked.call(Method::POST, &path, Value::Null).await;
    assert_eq!(taken.is(200, "").body["data"]["delivered"], true);
    let heard = customer.heard();
    assert_eq!((heard.len(), heard[1].kind()), (2, "webhook.tested"));
    assert!(heard.iter().all(|heard| heard.is_signed_by(&secret)));
    let log = hooked.deliveries(&id, "type=webhook.tested").await;
    assert_eq!(log.iter().map(|delivery| text(&delivery["state"])).collect::<Vec<_>>(), ["succeeded", "dead"]);
    assert_eq!(hooked.webhook(&id).await["failing_since"], Value::Null, "a test says nothing about failures");
    hooked.happens(EventKind::MessageSent, "a").await;
    assert_eq!(other.hears(1).await[0].kind(), "message.sent", "others hear nothing of tests");
}

#[tokio::test]
async fn what_a_chat_tells_comes_in_order_through_a_short_failure() {
    let hooked = Hooked::start().await;
    let customer = Customer::listens().await;
    let mut failed = false;
    customer.answers(move |heard| {
        let first = heard.body["data"]["message"]["chat"] == "a" && !std::mem::replace(&mut failed, true);
        Manner::Status(if first { 500 } else { 200 })
    });
    let (id, _) = hooked.endpoint(&customer, json!({})).await;
    let mut events = Vec::new();
    events.push(hooked.happens(EventKind::MessageSent, "a").await);
    customer.hears(1).await;
    for _ in 0..4 {
        events.push(hooked.happens(EventKind::MessageSent, "a").await);
    }
    let elsewhere = hooked.happens(EventKind::MessageSent, "b").await;
    customer.hears_until("another chat", |heard| heard.iter().any(|heard| heard.id == elsewhere)).await;
    assert_eq!(customer.heard().len(), 2, "those behind it wait");
    hooked.pass(Duration::from_secs(7)).await;
    let heard = customer.hears(7).await;
    let of_chat: Vec<&String> = heard.iter().filter(|heard| heard.id != elsewhere).map(|heard| &heard.id).skip(1).collect();
    assert_eq!(of_chat, events.iter().collect::<Vec<_>>());
    assert!(hooked.deliveries(&id, "state=pending").await.len() <= 1);
}

#[tokio::test]
async fn a_long_log_is_walked_by_cursor() {
    let hooked = Hooked::start().await;
    let customer = Customer::listens().await;
    let (id, _) = hooked.endpoint(&customer, json!({})).await;
    for number in 0..5 {
        hooked.happens(EventKind::MessageSent, &format!("chat {number}")).await;
    }
    let (mut seen, mut path) = (Vec::new(), format!("/webhooks/{id}/deliveries/?cursor=9999&page_size=2"));
    loop {
        let page = hooked.call(Method::GET, &path, Value::Null).await;
        let data = page.is(200, "").body["data"].clone();
        seen.extend(data["results"].as_array().expect("a list").iter().filter_map(|delivery| delivery["cursor"].as_i64()));
        let Some(next) = data["next"].as_str() else { break };
        path = next.split_once("/api/v1").expect("our path").1.to_owned();
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
}
