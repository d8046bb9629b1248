//! `/sessions/`: linking, looking, following, leaving.

use crate::account::{Account, Socket, Stream};
use crate::world::{As, PATIENCE, World};
use sanasend_model::{Network, SessionId, SessionStatus};
use sanasend_store::{Created, NewSession, Page, SessionFilter};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn linking_answers_a_code_in_every_form_and_ends_connected() {
    let mut account = Account::new().await;
    let reply = account.post("/sessions/init/", json!({})).await;
    reply.is(201, "");
    let session = &reply.body["data"];
    assert_eq!((&session["status"], &session["name"], &session["network"]), (&json!("qr_pending"), &json!("default"), &json!("sandbox")));
    let code = &session["qr_code"];
    assert!(code["text"].as_str().expect("text").matches(',').count() >= 3, "{code}");
    assert!(code["png"].as_str().expect("png").starts_with("data:image/png;base64,"));
    assert!(code["svg"].as_str().expect("svg").starts_with("<svg"));
    assert!(code["expires_at"].is_string());
    let again = account.post("/sessions/init/", json!({"name": "default"})).await;
    again.is(200, "");
    assert_eq!(again.body["data"]["qr_code"]["text"], code["text"], "linking goes on with the same code");
    account.link().await;
    let session = account.session().await;
    assert_eq!((&session["phone_number"], &session["linked"]), (&json!(account.number), &json!(true)));
    assert!(session["qr_code"].is_null() && session["connected_at"].is_string(), "{session}");
    account.post("/sessions/init/", json!({})).await.is(409, "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_is_a_picture_too() {
    let account = Account::new().await;
    account.get("/sessions/qr.png/").await.is(404, "NOT_FOUND");
    account.post("/sessions/init/", Value::Null).await.is(201, "");
    let picture = account.get("/sessions/qr.png/").await;
    assert_eq!((picture.status, picture.headers["content-type"].to_str().expect("text")), (200, "image/png"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_code_is_answered_when_a_number_is_given() {
    let account = Account::new().await;
    let phone = account.friend().await;
    let reply = account.post("/sessions/init/", json!({"phone_number": phone})).await;
    let session = &reply.body["data"];
    let code = session["pairing_code"]["code"].as_str().unwrap_or_else(|| panic!("{}", reply.text));
    assert_eq!((code.len(), session["qr_code"].is_null()), (8, true));
    account.control().type_pair_code(&phone, code).await.expect("the phone takes the code");
    assert_eq!(account.session_becomes("connected").await["phone_number"], json!(phone));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_the_present_state_and_every_change_until_the_end() {
    let mut account = Account::new().await;
    account.post("/sessions/init/", json!({})).await.is(201, "");
    let mut stream = Stream::open(&account, "/sessions/events/", &[]).await;
    let (name, _, first) = stream.next().await.expect("the present state");
    assert_eq!((name.as_str(), &first["status"]), ("session", &json!("qr_pending")));
    assert!(first["qr_code"]["text"].is_string());
    account.link().await;
    stream.until(|_, session| session["status"] == "connected").await;
    let id = first["id"].as_str().expect("an id");
    account.delete(&format!("/sessions/{id}/")).await.is(200, "");
    account.get(&format!("/sessions/{id}/")).await.is(404, "NOT_FOUND");
    while stream.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_talks_all_the_time_misses_no_state() {
    let mut account = Account::new().await;
    account.post("/sessions/init/", json!({})).await.is(201, "");
    let mut socket = Socket::open(&account.world, As::Key(&account.key), "/sessions/events/ws/").await;
    tokio::join!(socket.talk_until(|session| session["status"] == "connected"), account.link());
    let go = account.post("/sessions/disconnect/", json!({"logout": false}));
    let ((), left) = tokio::join!(socket.talk_until(|session| session["status"] == "disconnected"), go);
    left.is(200, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn going_offline_and_back_keeps_the_link_and_logging_out_ends_it() {
    let account = Account::linked().await;
    account.post("/sessions/disconnect/", json!({"logout": false})).await.is(200, "");
    let session = account.session().await;
    assert_eq!((&session["status"], &session["linked"]), (&json!("disconnected"), &json!(true)));
    account.post("/sessions/reconnect/", Value::Null).await.is(200, "");
    account.session_becomes("connected").await;
    let reply = account.post("/sessions/disconnect/", Value::Null).await;
    reply.is(200, "");
    assert_eq!(reply.body["data"]["unlinked_at_whatsapp"], json!(true), "{}", reply.text);
    assert_eq!(account.control().devices(&account.number).expect("devices").len(), 1, "only the phone is left");
    let session = account.session().await;
    assert_eq!((&session["status"], &session["linked"]), (&json!("logged_out"), &json!(false)));
    account.post("/sessions/reconnect/", Value::Null).await.is(409, "SESSION_NOT_LINKED");
    account.post("/sessions/disconnect/", Value::Null).await.is(409, "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_offline_can_be_logged_out_at_whatsapp_all_the_same() {
    let account = Account::linked().await;
    account.post("/sessions/disconnect/", json!({"logout": false})).await.is(200, "");
    let reply = account.post("/sessions/disconnect/", json!({"logout": true})).await;
    assert_eq!(reply.body["data"]["unlinked_at_whatsapp"], json!(true), "{}", reply.text);
    assert_eq!(account.control().devices(&account.number).expect("devices").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_unlink_is_seen_and_what_waits_fails_visibly() {
    let account = Account::linked().await;
    account.post("/sessions/disconnect/", json!({"logout": false})).await.is(200, "");
    let friend = account.friend().await;
    let waiting = account.send(&friend, "never sent").await;
    let device = account.control().devices(&account.number).expect("devices").into_iter().find(|device| device.id != 0);
    account.control().unlink(&account.number, device.expect("the companion").id).expect("unlinked");
    account.post("/sessions/reconnect/", Value::Null).await.is(200, "");
    let session = account.session_becomes("logged_out").await;
    assert!(session["reason"].as_str().expect("a sentence").contains("unlinked"), "{session}");
    assert_eq!((&session["reason_code"], &session["last_error_code"]), (&json!("unlinked"), &json!("unlinked")), "{session}");
    assert_eq!(account.message_becomes(&waiting["id"], "failed").await["error_code"], json!("ACCOUNT_UNLINKED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_names_are_checked() {
    let account = Account::new().await;
    account.post("/sessions/init/", json!({"name": "../x"})).await.is(400, "VALIDATION_ERROR").names(&["name"]);
    account.post("/sessions/init/", json!({"phone_number": "12"})).await.is(400, "VALIDATION_ERROR").names(&["phone_number"]);
    account.post("/sessions/init/", json!({"colour": "red"})).await.is(400, "UNKNOWN_FIELD").names(&["colour"]);
    account.post("/sessions/init/", json!({"name": "one"})).await.is(201, "");
    account.post("/sessions/init/", json!({"name": "two"})).await.is(409, "SESSION_LIMIT_REACHED");
    account.get("/sessions/?status=purple").await.is(400, "VALIDATION_ERROR").names(&["status"]);
    account.get("/sessions/?ordering=colour").await.is(400, "VALIDATION_ERROR").names(&["ordering"]);
    let listed = account.get("/sessions/").await;
    assert_eq!((&listed.body["data"]["count"], &listed.body["data"]["results"][0]["name"]), (&json!(1), &json!("one")));
    account.get("/sessions/status/?session=two").await.is(404, "NOT_FOUND");
    account.post("/sessions/passkey/", json!({"credential": {}})).await.is(409, "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_sandbox_nothing_is_listed_and_nothing_is_there() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, token) = world.user(&admin, "anna").await;
    let who = crate::world::As::Token(&token);
    world.get("/sessions/status/", who).await.is(404, "NOT_FOUND");
    assert_eq!(world.get("/sessions/", who).await.body["data"]["count"], json!(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_rows_that_a_crash_left_in_motion_are_put_in_order() {
    let Account { world, .. } = Account::new().await;
    let store = world.node.app.store.clone();
    let (user, _) = store.user_credentials("anna").await.expect("read").expect("there");
    for n in 0..130 {
        let new = NewSession { id: SessionId::new(&*world.clock), user_id: user.id, name: format!("s{n}"), network: Network::Sandbox };
        assert!(matches!(store.create_session(new, 1000).await, Ok(Created::Done(_))));
    }
    drop(store);
    world.tamper("UPDATE sessions SET status = 'qr_pending'").await;
    let world = world.restart().await;
    let left = SessionFilter { status: Some(SessionStatus::QrPending), ..SessionFilter::default() };
    let until = tokio::time::Instant::now() + PATIENCE;
    while world.node.app.store.list_sessions(&left, Page::default()).await.expect("read").count > 0 {
        assert!(tokio::time::Instant::now() < until, "some are shown in motion for ever");
        tokio::task::yield_now().await;
    }
}
