//! `/messages/`: sending, looking, taking back, trying again.

use crate::account::Account;
use crate::world::{As, Reply};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_sent_delivered_and_read_and_the_timeline_tells_it() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let sent = account.send(&friend, "Hello").await;
    assert_eq!((&sent["status"], &sent["recipient"]["phone"], &sent["content"]), (&json!("pending"), &json!(friend), &json!("Hello")));
    let shown = account.shown(&friend, "Hello").await;
    assert_eq!(json!(shown.id), sent["wa_message_id"]);
    account.message_becomes(&sent["id"], "delivered").await;
    account.control().read(&friend, None, None).expect("the phone reads");
    let read = account.message_becomes(&sent["id"], "read").await;
    let steps: Vec<&str> = read["timeline"].as_array().expect("steps").iter().filter_map(|step| step["step"].as_str()).collect();
    assert_eq!(steps, ["accepted", "claimed", "written", "acknowledged", "delivered", "read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_answers_the_outcome_and_a_replay_answers_it_again() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let body = json!({"recipient": friend, "content": "now"});
    let first = with_key(&account, "/messages/send-text/?wait=20", "k1", &body).await;
    first.is(200, "");
    assert_ne!(first.body["data"]["status"], json!("pending"));
    let again = with_key(&account, "/messages/send-text/", "k1", &body).await;
    assert_eq!((again.status, &again.body["data"]["id"]), (200, &first.body["data"]["id"]));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    with_key(&account, "/messages/send-text/", "k1", &json!({"recipient": friend, "content": "else"}))
        .await
        .is(422, "IDEMPOTENCY_KEY_REUSED");
    with_key(&account, "/messages/send-text/", &"k".repeat(256), &body).await.is(400, "VALIDATION_ERROR");
    account.post("/messages/send-text/?wait=61", body).await.is(400, "VALIDATION_ERROR").names(&["wait"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_not_on_whatsapp_fails_with_its_own_code() {
    let account = Account::linked().await;
    let reply = account.post("/messages/send-text/?wait=20", json!({"recipient": "+13035550999", "content": "anybody?"})).await;
    reply.is(200, "");
    assert_eq!((&reply.body["data"]["status"], &reply.body["data"]["error_code"]), (&json!("failed"), &json!("NOT_ON_WHATSAPP")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_can_be_canceled_and_one_that_failed_retried() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    account.post("/sessions/disconnect/", json!({"logout": false})).await.is(200, "");
    let waiting = account.send(&friend, "not this").await;
    let path = |what: &str| format!("/messages/{}/{what}/", waiting["id"].as_str().expect("an id"));
    account.post(&path("retry"), Value::Null).await.is(409, "WRONG_STATE");
    account.post(&path("cancel"), Value::Null).await.is(200, "");
    account.post(&path("cancel"), Value::Null).await.is(409, "WRONG_STATE");
    account.post("/sessions/reconnect/", Value::Null).await.is(200, "");
    let failed = account.post("/messages/send-text/?wait=20", json!({"recipient": "+13035550999", "content": "later"})).await;
    let id = &failed.body["data"]["id"];
    account.control().add_phone(Some("+13035550999"), Some("Joined")).await.expect("a phone");
    account.post(&format!("/messages/{}/retry/", id.as_str().expect("an id")), Value::Null).await.is(202, "");
    account.message_becomes(id, "delivered").await;
    account.shown("+13035550999", "later").await;
    assert_eq!(account.control().messages(&friend).expect("shown").len(), 0, "what was canceled was not sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_listed_quoted_and_marked_as_read() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    account.control().send(&friend, &account.number, "Is it ready?", None).await.expect("sent");
    let question = account.incoming("the question", |message| message["content"] == "Is it ready?").await;
    assert_eq!((&question["sender"]["phone"], &question["direction"]), (&json!(friend), &json!("inbound")));
    let reply = json!({"recipient": friend, "content": "Yes", "reply_to": question["id"], "metadata": {"order": 17}});
    let sent = account.post("/messages/send-text/", reply).await;
    sent.is(202, "");
    assert_eq!((&sent.body["data"]["reply_to"], &sent.body["data"]["metadata"]["order"]), (&question["id"], &json!(17)));
    assert_eq!(json!(account.shown(&friend, "Yes").await.quoted_id), question["wa_message_id"]);
    account.post(&format!("/messages/{}/read/", question["id"].as_str().expect("an id")), Value::Null).await.is(200, "");
    account
        .post(&format!("/messages/{}/read/", sent.body["data"]["id"].as_str().expect("an id")), Value::Null)
        .await
        .is(409, "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_read_by_page_or_cursor() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    for number in 0..5 {
        account.send(&friend, &format!("line {number}")).await;
    }
    let mut texts = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = account.get(&format!("/messages/list/?cursor={cursor}&page_size=2&ordering=created_at")).await;
        page.is(200, "");
        assert!(page.body["data"]["count"].is_null());
        texts.extend(page.body["data"]["results"].as_array().expect("results").iter().map(|message| message["content"].clone()));
        match page.body["data"]["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(json!(texts), json!(["line 0", "line 1", "line 2", "line 3", "line 4"]));
    let page = account.get("/messages/list/?page=2&page_size=2").await;
    assert_eq!((&page.body["data"]["count"], &page.body["data"]["results"][0]["content"]), (&json!(5), &json!("line 2")));
    assert!(page.body["data"]["next"].as_str().expect("a URL").starts_with("http://"));
    let found = async |query: &str| account.get(&format!("/messages/list/?{query}")).await;
    assert_eq!(found("search=line%203").await.body["data"]["count"], json!(1));
    assert_eq!(found(&format!("recipient={}", friend.replace('+', "%2B"))).await.body["data"]["count"], json!(5));
    assert_eq!(found("direction=inbound").await.body["data"]["count"], json!(0));
    assert_eq!(found("type=text&from=2020-01-01T00:00:00Z").await.body["data"]["count"], json!(5));
    found("status=purple&direction=up&from=x&ordering=colour").await.is(400, "VALIDATION_ERROR").names(&[
        "direction",
        "from",
        "ordering",
        "status",
    ]);
    found("cursor=zzz").await.is(400, "VALIDATION_ERROR").names(&["cursor"]);
    found("colour=red").await.is(400, "VALIDATION_ERROR");
    found("session=nobody").await.is(404, "NOT_FOUND");
}

async fn with_key(account: &Account, path: &str, key: &str, body: &Value) -> Reply {
    let request = As::Key(&account.key).sign(account.world.request(Method::POST, &format!("/api/v1{path}")));
    Reply::read(request.header("Idempotency-Key", key).json(body).send().await.expect("an answer")).await
}
