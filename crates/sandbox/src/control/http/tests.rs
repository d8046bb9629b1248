//! The control API as a caller sees it.

use super::*;
use crate::clock::Clock;
use crate::media::MediaHost;
use crate::network::Network;
use crate::phones::Phones;
use crate::state::State as Store;
use crate::transcript::Transcript;
use axum::body::Body;
use axum::http::{Method, Request};
use std::sync::Arc;
use tower::ServiceExt as _;

struct Api {
    _folder: tempfile::TempDir,
    router: Router,
}

impl Api {
    fn new() -> Api {
        let folder = tempfile::tempdir().unwrap();
        let state = Store::open(&folder.path().join("state")).unwrap();
        let media = MediaHost::open(state.clone(), &folder.path().join("media"), Clock).unwrap();
        let network = Network::open(state, Clock, Arc::new(Transcript::default()), media).unwrap();
        let phones = Phones::open(network.clone(), &folder.path().join("gallery")).unwrap();
        Api { _folder: folder, router: router(Control::new(network, phones, [0xab; 32])) }
    }

    async fn call(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (status, value)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, "").await
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.call(Method::POST, path, body).await
    }

    async fn refused(&self, method: Method, path: &str, body: &str, status: u16, hint: &str) {
        let (got, answer) = self.call(method, path, body).await;
        let sentence = answer["error"].as_str().unwrap_or_default();
        assert_eq!(got, status, "{path} {body}: {answer}");
        assert!(sentence.contains(hint), "{path} {body}: {sentence}");
    }
}

#[tokio::test]
async fn the_state_counts_what_is_left_at_the_media_hosts() {
    let api = Api::new();
    for phone in ["+12025550176", "+12025550177"] {
        api.post("/admin/phones", &json!({ "phone": phone }).to_string()).await;
    }
    assert_eq!(api.get("/admin/state").await.1["uploads"], 0);
    for count in 1..=2 {
        let (status, sent) = api.post("/admin/phones/+12025550176/send-media?to=%2B12025550177&kind=document", "bread").await;
        assert_eq!((status, api.get("/admin/state").await.1["uploads"].as_u64()), (200, Some(count)), "{sent}");
    }
}

#[tokio::test]
async fn a_message_can_be_sent_and_waited_for() {
    let api = Api::new();
    let (status, ana) = api.post("/admin/phones", r#"{"push_name": "Ana"}"#).await;
    assert_eq!((status, &ana["push_name"], &ana["online"]), (201, &json!("Ana"), &json!(true)));
    let (_, bob) = api.post("/admin/phones", r#"{"phone": "+1 202-555-0177"}"#).await;
    assert_eq!(bob["phone"], "+12025550177");
    assert_eq!(bob["jid"], "12025550177@s.whatsapp.net");
    let ana = ana["phone"].as_str().unwrap();
    let body = r#"{"to": "+12025550177", "text": "hi"}"#;
    let (status, sent) = api.post(&format!("/admin/phones/{ana}/send"), body).await;
    assert_eq!(status, 200, "{sent}");
    let (_, shown) = api.get("/admin/phones/+12025550177/messages?wait=20&count=1").await;
    assert_eq!((&shown[0]["id"], &shown[0]["text"]), (&sent["id"], &json!("hi")));
    assert_eq!((&shown[0]["status"], &shown[0]["from_me"]), (&json!("delivered"), &json!(false)));

    let (_, read) = api.post("/admin/phones/+12025550177/read", "").await;
    assert_eq!(read, json!({"read": 1}));
    let (_, devices) = api.get("/admin/phones/12025550177/devices").await;
    assert_eq!((&devices[0]["id"], &devices[0]["ready"]), (&json!(0), &json!(true)));
    let (_, state) = api.get("/admin/state").await;
    assert_eq!(state["accounts"], 2);
    assert_eq!(state["root_key"], "ab".repeat(32));
    let query = "/admin/transcript?jid=+12025550177&tag=message&direction=out&wait=20";
    let (_, stanzas) = api.get(query).await;
    assert_eq!(stanzas[0]["node"]["children"][0]["header"]["type"], "pkmsg");
    let (status, _) = api.call(Method::DELETE, "/admin/phones/+12025550177", "").await;
    assert_eq!(status, 204);
}

#[tokio::test]
async fn what_is_wrong_is_said_in_a_sentence() {
    let api = Api::new();
    api.post("/admin/phones", r#"{"phone": "+12025550100"}"#).await;
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let phone = "/admin/phones/+12025550100";
    let cases = [
        (&post, "/admin/phones".to_owned(), r#"{"fone": "+1"}"#, 400, "unknown field `fone`"),
        (&post, "/admin/phones".to_owned(), r#"{"phone": "abc"}"#, 400, "+12025550100"),
        (&post, "/admin/phones".to_owned(), "{", 400, "body"),
        (&get, "/admin/phones/+12025550199".to_owned(), "", 404, "POST /admin/phones"),
        (&get, format!("{phone}/messages?cont=1"), "", 400, "unknown field `cont`"),
        (&get, format!("{phone}/messages?wait=100000"), "", 400, "at most"),
        (&post, format!("{phone}/send"), r#"{"to": "+12025550198", "text": "x"}"#, 404, "not on WhatsApp"),
        (&post, format!("{phone}/send"), r#"{"to": "x@newsletter", "text": "x"}"#, 400, "no jid of a person"),
        (&post, format!("{phone}/send"), r#"{"to": "120363@g.us", "text": "x"}"#, 409, "not in the group"),
        (&post, format!("{phone}/groups"), r#"{"subject": "x", "people": ["+12025550177"]}"#, 404, "no phone"),
        (&post, format!("{phone}/groups/120363@g.us"), r#"{"subject": "x"}"#, 404, "no group"),
        (&post, format!("{phone}/groups/120363@g.us"), r#"{"picture": "x"}"#, 400, "unknown variant"),
        (&post, format!("{phone}/send"), r#"{"to": "+12025550100"}"#, 400, "`text`"),
        (&post, format!("{phone}/block"), r#"{"to": "+12025550198"}"#, 400, "unknown field `to`"),
        (&post, format!("{phone}/block"), r#"{"who": "+12025550198"}"#, 404, "not on WhatsApp"),
        (&post, format!("{phone}/unblock"), r#"{"who": "120363@g.us"}"#, 400, "only people"),
        (&post, format!("{phone}/block"), r#"{"who": "+12025550100"}"#, 409, "itself"),
        (&post, format!("{phone}/pair-code"), r#"{"code": "12"}"#, 400, "8 characters"),
        (&post, format!("{phone}/pair-code"), r#"{"code": "ABCD1234"}"#, 404, "pairing code"),
        (&delete, format!("{phone}/devices/0"), "", 409, "phone itself"),
        (&delete, format!("{phone}/devices/x"), "", 400, "device number"),
        (&delete, format!("{phone}/devices/44"), "", 404, ""),
        (&post, "/admin/mock-phone/scan-qr".to_owned(), "garbage", 400, "QR code"),
        (&post, "/admin/mock-phone/scan-qr?fone=1".to_owned(), "garbage", 400, "unknown field `fone`"),
        (&post, "/admin/faults".to_owned(), r#"{"fault": {"kind": "disconnect"}}"#, 400, "either"),
        (&post, "/admin/faults".to_owned(), r#"{"phone": "+12025550100", "fault": {"kind": "no"}}"#, 400, "unknown variant"),
        (
            &post,
            "/admin/faults".to_owned(),
            r#"{"phone": "+12025550100", "fault": {"kind": "delay", "ms": 5, "code": 1}}"#,
            400,
            "unknown field `code`",
        ),
        (&get, "/admin/transcript?after=x".to_owned(), "", 400, "query"),
        (&get, "/admin/nothing".to_owned(), "", 404, "docs/sandbox.md"),
        (&delete, "/admin/state".to_owned(), "", 405, "docs/sandbox.md"),
    ];
    for (method, path, body, status, hint) in cases {
        api.refused(method.clone(), &path, body, status, hint).await;
    }
}

#[tokio::test]
async fn phones_send_places_cards_and_polls_and_do_things_to_messages() {
    let api = Api::new();
    api.post("/admin/phones", r#"{"phone": "+12025550100"}"#).await;
    api.post("/admin/phones", r#"{"phone": "+12025550101"}"#).await;
    let (ana, bob) = ("/admin/phones/+12025550100", "/admin/phones/+12025550101");
    let send = async |path: &str, body: &str| {
        let (status, sent) = api.post(&format!("{ana}/{path}"), body).await;
        assert_eq!(status, 200, "{path}: {sent}");
        sent["id"].as_str().unwrap().to_owned()
    };
    send("send-location", r#"{"to": "+12025550101", "latitude": 1.5, "longitude": 2.5, "name": "Here"}"#).await;
    send("send-contact", r#"{"to": "+12025550101", "contacts": [{"name": "Cleo", "vcard": "BEGIN:VCARD"}]}"#).await;
    let poll = send("send-poll", r#"{"to": "+12025550101", "question": "Tea?", "options": ["yes", "no"]}"#).await;
    let text = send("send", r#"{"to": "+12025550101", "text": "teh"}"#).await;
    let (_, shown) = api.get(&format!("{bob}/messages?wait=20&count=4")).await;
    assert_eq!((&shown[0]["location"]["name"], &shown[1]["contacts"][0]["name"]), (&json!("Here"), &json!("Cleo")));
    assert_eq!((&shown[2]["kind"], &shown[2]["poll"]["options"][1]), (&json!("poll"), &json!("no")));

    let act = async |path: &str, body: Value, status: u16| {
        let (got, answer) = api.post(&format!("{bob}/{path}"), &body.to_string()).await;
        assert_eq!(got, status, "{path}: {answer}");
    };
    act("vote", json!({"id": poll, "options": ["no"]}), 200).await;
    act("vote", json!({"id": poll, "options": ["perhaps"]}), 400).await;
    act("vote", json!({"id": text, "options": []}), 409).await;
    act("react", json!({"id": text, "emoji": "👍"}), 200).await;
    act("edit", json!({"id": text, "text": "forged"}), 409).await;
    act("delete", json!({"id": "nothing"}), 404).await;
    send("edit", &json!({"id": text, "text": "the"}).to_string()).await;
    let settled = async |path: &str, done: &dyn Fn(&Value) -> bool| {
        for _ in 0..2_000 {
            let (_, shown) = api.get(&format!("{path}/messages")).await;
            if done(&shown) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{path} never came so far");
    };
    settled(bob, &|shown| shown[3]["text"] == "the" && shown[3]["edited"] == true).await;
    settled(ana, &|shown| shown[2]["poll"]["votes"][0]["options"][0] == "no" && shown[3]["reactions"][0]["emoji"] == "👍").await;
    send("delete", &json!({"id": text}).to_string()).await;
    settled(bob, &|shown| shown[3]["deleted"] == true && shown[3]["text"] == "").await;
}

#[tokio::test]
async fn an_unknown_reference_is_refused() {
    use base64::Engine as _;
    let api = Api::new();
    let key = base64::prelude::BASE64_STANDARD.encode([7; 32]);
    let qr = format!("2@nobody,{key},{key},{key},1");
    api.refused(Method::POST, "/admin/mock-phone/scan-qr", &qr, 404, "expired").await;
}

#[tokio::test]
async fn a_phone_goes_offline_and_back() {
    let api = Api::new();
    api.post("/admin/phones", r#"{"phone": "+12025550100"}"#).await;
    let (_, phone) = api.post("/admin/phones/+12025550100/offline", "").await;
    assert_eq!(phone["online"], false);
    let to_self = r#"{"to": "+12025550100"}"#;
    api.refused(Method::POST, "/admin/phones/+12025550100/typing", to_self, 409, "online").await;
    let (_, phone) = api.post("/admin/phones/+12025550100/online", "").await;
    assert_eq!(phone["online"], true);
    let auto = r#"{"read": true, "reply": "got {text}"}"#;
    let (_, phone) = api.post("/admin/phones/+12025550100/auto", auto).await;
    assert_eq!(phone["auto"], json!({"read": true, "reply": "got {text}"}));
}

#[tokio::test]
async fn a_phone_blocks_and_lets_through_again() {
    let api = Api::new();
    let (ana, bob) = ("/admin/phones/+12025550100", "/admin/phones/+12025550101");
    for phone in ["+12025550100", "+12025550101"] {
        let (_, made) = api.post("/admin/phones", &json!({ "phone": phone }).to_string()).await;
        assert_eq!(made["blocked"], json!([]));
    }
    let who = r#"{"who": "+1 202 555 0100"}"#;
    let (status, phone) = api.post(&format!("{bob}/block"), who).await;
    assert_eq!((status, &phone["blocked"]), (200, &json!(["+12025550100"])));
    let send = async |from: &str, to: &str| api.post(&format!("{from}/send"), &json!({"to": to, "text": "hi"}).to_string()).await;
    api.refused(Method::POST, &format!("{bob}/send"), r#"{"to": "+12025550100", "text": "hi"}"#, 409, "unblock").await;
    api.refused(Method::POST, &format!("{bob}/typing"), r#"{"to": "+12025550100"}"#, 409, "unblock").await;
    assert_eq!(send(ana, "+12025550101").await.0, 200, "who is blocked is told nothing");
    let acknowledged = "/admin/transcript?jid=+12025550100&tag=ack&direction=out&wait=20";
    assert_eq!(api.get(acknowledged).await.1[0]["node"]["attrs"]["error"], Value::Null);

    let (status, phone) = api.post(&format!("{bob}/unblock"), who).await;
    assert_eq!((status, &phone["blocked"]), (200, &json!([])));
    let (_, later) = send(ana, "+12025550101").await;
    let (_, shown) = api.get(&format!("{bob}/messages?wait=20&count=1")).await;
    assert_eq!((shown.as_array().map(Vec::len), &shown[0]["id"]), (Some(1), &later["id"]));
}

#[tokio::test]
async fn a_reordering_is_read_strictly() {
    let api = Api::new();
    api.post("/admin/phones", r#"{"phone": "+12025550100"}"#).await;
    for (fault, expected) in [
        (r#"{"kind": "reorder_next"}"#, 204),
        (r#"{"kind": "reorder_next", "count": 1000, "ms": 60000}"#, 204),
        (r#"{"kind": "reorder_next", "count": 1}"#, 400),
        (r#"{"kind": "reorder_next", "count": 1001}"#, 400),
        (r#"{"kind": "reorder_next", "ms": 0}"#, 400),
        (r#"{"kind": "reorder_next", "ms": 60001}"#, 400),
        (r#"{"kind": "reorder_next", "code": 503}"#, 400),
    ] {
        let body = format!(r#"{{"phone": "+12025550100", "fault": {fault}}}"#);
        assert_eq!(api.post("/admin/faults", &body).await.0, expected, "{fault}");
    }
}

#[tokio::test]
async fn a_file_goes_in_as_json_or_as_it_is_and_comes_out_the_same() {
    let api = Api::new();
    api.post("/admin/phones", r#"{"phone": "+12025550100"}"#).await;
    api.post("/admin/phones", r#"{"phone": "+12025550101"}"#).await;
    let json = r#"{"to": "+12025550101", "kind": "image", "caption": "x", "base64": "YnJlYWQ="}"#;
    for (path, kind, body) in [
        ("/admin/phones/+12025550100/send-media", "application/json", json),
        ("/admin/phones/+12025550100/send-media?to=+12025550101&kind=document&file_name=a.txt", "text/plain", "bread"),
    ] {
        let request = Request::post(path).header("content-type", kind).body(Body::from(body)).unwrap();
        let response = api.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let answer = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let id = answer["id"].as_str().unwrap();
        api.get("/admin/phones/+12025550101/messages?wait=20&count=1").await;
        let path = format!("/admin/phones/+12025550100/messages/{id}/media");
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = api.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["content-disposition"], "attachment");
        assert_eq!(axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap(), "bread");
    }
    let (status, _) = api.get("/admin/phones/+12025550100/messages/nothing/media").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn faults_of_media_are_read_strictly() {
    let api = Api::new();
    api.post("/admin/phones", r#"{"phone": "+12025550100"}"#).await;
    for (fault, expected) in [
        (r#"{"kind": "media_upload", "trouble": "status", "code": 503}"#, 204),
        (r#"{"kind": "media_download", "trouble": "slow", "bytes_per_second": 1000, "count": 2}"#, 204),
        (r#"{"kind": "media_gone"}"#, 204),
        (r#"{"kind": "media_download", "trouble": "slow"}"#, 400),
        (r#"{"kind": "media_upload", "trouble": "status", "code": 200}"#, 400),
        (r#"{"kind": "media_upload", "trouble": "corrupt", "code": 503}"#, 400),
        (r#"{"kind": "media_gone", "code": 200}"#, 400),
    ] {
        let body = format!(r#"{{"phone": "+12025550100", "fault": {fault}}}"#);
        assert_eq!(api.post("/admin/faults", &body).await.0, expected, "{fault}");
    }
}
