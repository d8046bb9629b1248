//! Secrets are nowhere but where they belong: a running product is given secrets that are known, does what it can do, is asked
//! everything wrongly that people ask wrongly, and then all that it said is searched for them.

use crate::world::{Customer, Database, Friend, Heard, Shop, Split, qr_text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;

/// Where something was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A line on standard error.
    Log,
    /// The body of an answer that refuses.
    Refusal,
    /// The body of an answer that does what was asked.
    Answer,
    /// The head of any answer.
    Head,
    /// What was posted to the customer.
    Webhook,
    /// What admins and operators read: figures, audit log, API log, jobs, health.
    Report,
    /// The database, as a thief would read it.
    Database,
}

/// A secret, and where it may be.
struct Canary {
    what: &'static str,
    text: String,
    may_be: &'static [Place],
}

/// Everything that was said, and every secret that must not be in it.
#[derive(Default)]
struct Witness {
    said: Vec<(Place, String, String)>,
    canaries: Vec<Canary>,
}

impl Witness {
    fn hears(&mut self, place: Place, where_: impl Into<String>, text: impl Into<String>) {
        self.said.push((place, where_.into(), text.into()));
    }

    fn must_not_hear(&mut self, what: &'static str, text: impl Into<String>) {
        self.may_hear(what, text, &[]);
    }

    fn may_hear(&mut self, what: &'static str, text: impl Into<String>, may_be: &'static [Place]) {
        let text = text.into();
        assert!(text.len() >= 8, "{what} is too short to be found: {text:?}");
        self.canaries.push(Canary { what, text, may_be });
    }

    /// Fails with every place that holds what it must not; without the secret itself.
    fn is_content(&self) {
        let mut found = Vec::new();
        for canary in &self.canaries {
            for (place, where_, text) in &self.said {
                if !canary.may_be.contains(place) && text.contains(&canary.text) {
                    found.push(format!("{} in {place:?} of {where_}", canary.what));
                }
            }
        }
        found.sort();
        found.dedup();
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// Calls the API and tells the witness all of the answer.
struct Caller {
    http: reqwest::Client,
    base: String,
    witness: Witness,
}

impl Caller {
    async fn call(&mut self, method: Method, path: &str, credential: &str, body: Value) -> Value {
        let bytes = if body.is_null() { String::new() } else { body.to_string() };
        self.raw(method, &format!("/api/v1{path}"), credential, bytes, Place::Answer).await
    }

    /// Asks for a report, which holds no secret at all.
    async fn report(&mut self, path: &str, credential: &str) {
        let answer = self.raw(Method::GET, path, credential, String::new(), Place::Report).await;
        assert_ne!(answer["success"], json!(false), "{path}: {answer}");
    }

    async fn raw(&mut self, method: Method, path: &str, credential: &str, body: String, good: Place) -> Value {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if !credential.is_empty() {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.expect("an answer");
        let (status, head) = (answer.status(), format!("{:?}", answer.headers()));
        let text = answer.text().await.expect("a body");
        let where_ = format!("{method} {}", path.split('?').next().unwrap_or_default());
        self.witness.hears(Place::Head, &where_, head);
        self.witness.hears(if status.is_success() { good } else { Place::Refusal }, where_, &text);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }
}

const ADMIN_PASSWORD: &str = "canary of who runs it 71";
const METRICS_TOKEN: &str = "canary-metrics-token-72";
/// Which secrets are shown once, in the answer that makes them.
const SHOWN_ONCE: &[Place] = &[Place::Answer];
/// Texts are the caller's own: in answers, and in the database.
const TEXT: &[Place] = &[Place::Answer, Place::Database];
/// What came in is told to the caller's own webhook too.
const TEXT_IN: &[Place] = &[Place::Answer, Place::Database, Place::Webhook];

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_anywhere_but_where_it_belongs() {
    let settings = [
        ("SANASEND_LOG__FORMAT", "json"),
        ("SANASEND_LOG__FILTER", "warn,sanasend=trace,sanasend_store=trace,sanasend_engine=trace,sanasend_model=trace"),
        ("SANASEND_FIRST_ADMIN__PASSWORD", ADMIN_PASSWORD),
        ("SANASEND_METRICS__TOKEN", METRICS_TOKEN),
    ];
    let settings = settings.map(|(name, value)| (name, value.to_owned())).into();
    let mut split = Split::start_in(Database::of_this_story().await, settings).await;
    let base = split.process().ready["api"].as_str().expect("api").to_owned();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut caller = Caller { http, base, witness: Witness::default() };
    caller.witness.must_not_hear("the admin's password", ADMIN_PASSWORD);
    caller.witness.must_not_hear("the metrics token", METRICS_TOKEN);
    secrets_of_the_folder(&mut caller.witness, &split.data_dir());
    let admin = people(&mut caller).await;
    let key = split.key();
    caller.witness.must_not_hear("the demo user's key", &key);
    keys(&mut caller, &admin).await;
    let customer = Customer::listens().await;
    webhooks(&mut caller, &key, &customer).await;
    let (shop, friend) = linked(&mut caller, &split, &key).await;
    messages(&mut caller, &key, &friend, &customer).await;
    incoming(&mut caller, &split, &shop, &friend, &customer).await;
    caller.call(Method::POST, "/sessions/disconnect/", &key, json!({"logout": true})).await;
    reports(&mut caller, &admin).await;
    assert!(split.stop().await, "stopped in order");
    let Caller { mut witness, .. } = caller;
    for heard in customer.heard() {
        witness.hears(Place::Webhook, heard.kind(), format!("{:?} {}", heard.headers, heard.body));
    }
    for line in split.journal().lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "a line that is no JSON: {line}");
        witness.hears(Place::Log, line.chars().take(120).collect::<String>(), line);
    }
    database(&mut witness, &split.data_dir());
    let places: Vec<Place> = witness.said.iter().map(|(place, ..)| *place).collect();
    for place in [Place::Log, Place::Refusal, Place::Answer, Place::Head, Place::Webhook, Place::Report, Place::Database] {
        assert!(places.contains(&place), "nothing was heard in {place:?}: the story proves nothing");
    }
    witness.is_content();
}

/// The keys that seal and sign, in the spellings that they could leak in.
fn secrets_of_the_folder(witness: &mut Witness, data: &Path) {
    for file in std::fs::read_dir(data.join("secrets")).expect("the folder of secrets") {
        let hexadecimal = std::fs::read_to_string(file.expect("a file").path()).expect("a secret").trim().to_owned();
        let bytes = hex::decode(&hexadecimal).expect("hexadecimal");
        witness.must_not_hear("a key of the folder, in base64", STANDARD.encode(&bytes));
        witness.must_not_hear("a key of the folder, in numbers", format!("{bytes:?}"));
        witness.must_not_hear("a key of the folder", hexadecimal);
    }
}

/// Logins, right and wrong, and users; answers the admin's access token.
async fn people(caller: &mut Caller) -> String {
    let login = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let first = caller.call(Method::POST, "/auth/login/", "", login.clone()).await["data"].clone();
    let second = caller.call(Method::POST, "/auth/refresh/", "", json!({"refresh": first["refresh"]})).await["data"].clone();
    caller.call(Method::POST, "/auth/refresh/", "", json!({"refresh": first["refresh"]})).await;
    let third = caller.call(Method::POST, "/auth/login/", "", login).await["data"].clone();
    for tokens in [&first, &second, &third] {
        for name in ["access", "refresh"] {
            let token = text(&tokens[name]);
            caller.witness.may_hear("the signature of a token", token.rsplit('.').next().unwrap_or_default(), SHOWN_ONCE);
            caller.witness.may_hear("a token", token, SHOWN_ONCE);
        }
    }
    let admin = text(&third["access"]);
    let wrong = "canary wrong password 73";
    caller.witness.must_not_hear("a wrong password", wrong);
    for _ in 0..6 {
        caller.call(Method::POST, "/auth/login/", "", json!({"username": "demo", "password": wrong})).await;
    }
    // The password in the field of the name, and in a body that can't be read.
    caller.call(Method::POST, "/auth/login/", "", json!({"username": wrong, "password": "something else"})).await;
    let torn = format!("{{\"username\": \"admin\", \"password\": \"{wrong}\"");
    caller.raw(Method::POST, "/api/v1/auth/login/", "", torn, Place::Answer).await;
    caller.call(Method::POST, "/auth/login/", "", json!({"username": "admin", "password": [wrong]})).await;
    let (old, new) = ("canary first password 74", "canary second password 75");
    caller.witness.must_not_hear("a user's password", old);
    caller.witness.must_not_hear("a user's new password", new);
    let anna = json!({"username": "anna", "email": "anna@example.com", "password": old});
    let id = text(&caller.call(Method::POST, "/users/", &admin, anna.clone()).await["data"]["id"]);
    caller.call(Method::POST, "/users/", &admin, anna).await;
    let tokens = caller.call(Method::POST, "/auth/login/", "", json!({"username": "anna", "password": old})).await;
    let change = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    let access = text(&tokens["data"]["access"]);
    caller.call(Method::POST, "/auth/change-password/", &access, change(wrong, new)).await;
    caller.call(Method::POST, "/auth/change-password/", &access, change(old, new)).await;
    caller.call(Method::POST, &format!("/users/{id}/reset-password/"), &admin, json!({"password": old})).await;
    caller.call(Method::PATCH, &format!("/users/{id}/"), &admin, json!({"password": new, "email": "no address"})).await;
    caller.call(Method::DELETE, &format!("/users/{id}/"), &admin, Value::Null).await;
    admin
}

/// Keys, good, rotated and wrong, in the head and where they do not belong.
async fn keys(caller: &mut Caller, admin: &str) {
    let made = caller.call(Method::POST, "/api-keys/", admin, json!({"name": "canary"})).await["data"].clone();
    let rotated = caller.call(Method::POST, &format!("/api-keys/{}/rotate/", text(&made["id"])), admin, Value::Null).await;
    for key in [text(&made["key"]), text(&rotated["data"]["key"])] {
        caller.witness.may_hear("an API key", &key, SHOWN_ONCE);
        caller.call(Method::GET, "/auth/me/", &key, Value::Null).await;
        caller.call(Method::GET, "/users/", &key, Value::Null).await;
        caller.call(Method::GET, &format!("/auth/me/?api_key={key}"), "", Value::Null).await;
        caller.call(Method::GET, "/auth/me/", &format!("{key}x"), Value::Null).await;
        caller.call(Method::POST, "/messages/send-text/", &key, json!({"recipient": key, "content": 5})).await;
    }
    caller.call(Method::DELETE, &format!("/api-keys/{}/", text(&rotated["data"]["id"])), admin, Value::Null).await;
}

/// Endpoints: their secrets, what is refused, and a test.
async fn webhooks(caller: &mut Caller, key: &str, customer: &Customer) {
    // The address is the caller's own: it is in answers and in the database, and nowhere else.
    caller.witness.may_hear("the token in an endpoint's address", "canary-endpoint-token-76", TEXT);
    let url = format!("{}?token=canary-endpoint-token-76", customer.url);
    let made = caller.call(Method::POST, "/webhooks/", key, json!({"url": url})).await["data"].clone();
    let id = text(&made["id"]);
    let rotated = caller.call(Method::POST, &format!("/webhooks/{id}/rotate-secret/"), key, Value::Null).await;
    for secret in [&made["secret"], &rotated["data"]["secret"]] {
        let secret = text(secret);
        let bytes = STANDARD.decode(secret.trim_start_matches("whsec_")).expect("base64");
        caller.witness.must_not_hear("a webhook secret, in hexadecimal", hex::encode(bytes));
        caller.witness.may_hear("a webhook secret", secret, SHOWN_ONCE);
    }
    caller.witness.must_not_hear("a password in an address", "canary-address-password-77");
    for url in ["https://shop:canary-address-password-77@example.com/hook", "ftp://canary-address-password-77@example.com/"] {
        caller.call(Method::POST, "/webhooks/", key, json!({"url": url})).await;
    }
    caller.call(Method::POST, &format!("/webhooks/{id}/test/"), key, Value::Null).await;
    customer.hears(1).await;
    caller.call(Method::GET, "/webhooks/", key, Value::Null).await;
}

/// Links an account by QR code; answers the shop and the number of a friend.
async fn linked(caller: &mut Caller, split: &Split, key: &str) -> (Shop, Friend) {
    let begun = caller.call(Method::POST, "/sessions/init/", key, json!({})).await;
    let code = qr_text(&begun["data"]);
    // The parts of a code that open an account; the rest of it is public.
    for part in code.split(',').filter(|part| part.len() > 20) {
        caller.witness.may_hear("a part of a QR code", part, SHOWN_ONCE);
    }
    let mut shop = split.shop();
    shop.number = split.control().scan(&code, None).await.expect("the phone scans").phone;
    shop.status_becomes("connected").await;
    let friend = split.friend("canary push name 78").await;
    for number in [&shop.number, &friend.number] {
        let everywhere_but_in_logs = &[Place::Answer, Place::Database, Place::Webhook];
        caller.witness.may_hear("a phone number", number.trim_start_matches('+'), everywhere_but_in_logs);
    }
    caller.witness.may_hear("a push name", "canary push name 78", TEXT_IN);
    (shop, friend)
}

/// Sends of all kinds, most of them wrong.
async fn messages(caller: &mut Caller, key: &str, friend: &Friend, customer: &Customer) {
    let number = &friend.number;
    caller.witness.may_hear("the text of a message", "canary text 79", TEXT);
    caller.witness.may_hear("the caption of a file", "canary caption 80", TEXT);
    caller.witness.must_not_hear("a text that was refused", "canary refused text 81");
    let send = |to: &str, text: &str| json!({"recipient": to, "content": text});
    let sent = caller.call(Method::POST, "/messages/send-text/?wait=20", key, send(number, "canary text 79")).await;
    assert_eq!(sent["success"], true, "{sent}");
    let id = text(&sent["data"]["id"]);
    let refused = "canary refused text 81";
    for body in [
        send("not a number", refused),
        send(number, &refused.repeat(4000)),
        json!({"recipient": number, "content": refused, "colour": "red"}),
        json!({"recipient": number, "content": {"text": refused}}),
        json!({"recipient": number, "content": refused, "session": "no such session"}),
        json!({"recipient": number, "content": refused, "reply_to": "0190a000-0000-7000-8000-000000000000"}),
    ] {
        assert_eq!(caller.call(Method::POST, "/messages/send-text/", key, body).await["success"], false);
    }
    let torn = format!("{{\"recipient\": \"{number}\", \"content\": \"{refused}\"");
    caller.raw(Method::POST, "/api/v1/messages/send-text/", key, torn, Place::Answer).await;
    caller.call(Method::POST, "/messages/send-text/?wait=20", key, send("+13035550999", "canary text 79")).await;
    caller.call(Method::POST, &format!("/messages/{id}/cancel/"), key, Value::Null).await;
    caller.call(Method::POST, &format!("/messages/{id}/retry/"), key, Value::Null).await;
    caller.witness.must_not_hear("what opens a file's address", "canary-file-token-82");
    let nobody = "http://127.0.0.1:1/?token=canary-file-token-82".to_owned();
    let private = "http://10.0.0.7/?token=canary-file-token-82".to_owned();
    let with_password = "https://anna:canary-file-token-82@example.com/photo.png".to_owned();
    for url in [format!("{}?token=canary-file-token-82", customer.url), nobody, private, with_password, "canary-file-token-82".to_owned()] {
        let body = json!({"recipient": number, "media_type": "image", "media_url": url, "caption": "canary caption 80"});
        assert_eq!(caller.call(Method::POST, "/messages/send-media/", key, body).await["success"], false);
    }
    let report = STANDARD.encode("%PDF-1.7\nnot much of a report");
    let body = json!({"recipient": number, "media_type": "document", "media_base64": report, "caption": "canary caption 80"});
    let sent = caller.call(Method::POST, "/messages/send-media/?wait=20", key, body).await;
    assert_eq!(sent["success"], true, "{sent}");
}

/// An answer of the friend, told by webhook, and what the caller reads of it.
async fn incoming(caller: &mut Caller, split: &Split, shop: &Shop, friend: &Friend, customer: &Customer) {
    caller.witness.may_hear("an incoming text", "canary answer 83", TEXT_IN);
    friend.says(shop, "canary answer 83").await;
    let received = shop.receives("canary answer 83").await;
    let told = |heard: &[Heard]| heard.iter().any(|heard| heard.kind() == "message.received");
    customer.hears_until("what came in", told).await;
    let key = split.key();
    caller.call(Method::POST, &format!("/messages/{}/read/", text(&received["id"])), &key, Value::Null).await;
    for path in ["/messages/list/", "/messages/list/?search=canary", "/events/?after=0", "/sessions/", "/usage/", "/nowhere/"] {
        caller.call(Method::GET, path, &key, Value::Null).await;
    }
}

/// Everything that admins and operators read.
async fn reports(caller: &mut Caller, admin: &str) {
    for path in [
        "/api/v1/audit/?page_size=100",
        "/api/v1/audit/verify/",
        "/api/v1/analytics/api-logs/?page_size=100",
        "/api/v1/analytics/api-logs/?format=csv",
        "/api/v1/analytics/usage-stats/?format=csv",
        "/api/v1/analytics/overview/",
        "/api/v1/jobs/?page_size=100",
        "/api/v1/jobs/summary/",
        "/api/v1/users/",
        "/api/v1/api-keys/",
        "/api/v1/health/",
    ] {
        caller.report(path, admin).await;
    }
    caller.report("/metrics", METRICS_TOKEN).await;
    caller.report("/health/ready/", "").await;
}

/// The files of the data folder except the secrets, as text as far as they are any.
fn database(witness: &mut Witness, data: &Path) {
    for entry in std::fs::read_dir(data).expect("the data folder").map(|entry| entry.expect("an entry")) {
        if entry.file_type().expect("a type").is_file() {
            let bytes = std::fs::read(entry.path()).expect("a file");
            witness.hears(Place::Database, entry.file_name().to_string_lossy(), String::from_utf8_lossy(&bytes));
        }
    }
}
