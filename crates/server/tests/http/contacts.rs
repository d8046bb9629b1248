//! `/contacts/` and `/opt-outs/`: who a user writes to, and who wants no messages.

use crate::account::Account;
use crate::world::{As, Reply, World, becomes, text};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::fmt::Write as _;

const ANNA: &str = "+14155550101";
const BEN: &str = "+14155550102";

/// A user with a key.
pub struct Caller {
    pub world: World,
    pub key: String,
}

impl Caller {
    pub async fn start() -> Self {
        let world = World::start().await;
        let admin = world.admin().await;
        let (_, token) = world.user(&admin, "anna").await;
        let (_, key) = world.key(&token, json!({})).await;
        Self { world, key }
    }

    pub async fn call(&self, method: Method, path: &str, body: Value) -> Reply {
        self.world.call(method, path, As::Key(&self.key), body).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, body).await
    }

    /// Sends a form with a file behind other fields.
    pub async fn import(&self, path: &str, fields: &[(&str, &str)], file: impl Into<Vec<u8>>) -> Reply {
        let form = fields.iter().fold(Form::new(), |form, (name, value)| form.text((*name).to_owned(), (*value).to_owned()));
        let form = form.part("file", Part::bytes(file.into()).file_name("people.csv"));
        let request = As::Key(&self.key).sign(self.world.request(Method::POST, &format!("/api/v1{path}"))).multipart(form);
        Reply::read(request.send().await.expect("an answer")).await
    }

    async fn names(&self, query: &str) -> Vec<String> {
        let reply = self.get(&format!("/contacts/?{query}")).await;
        reply.is(200, "");
        reply.body["data"]["results"].as_array().expect("a list").iter().map(|contact| text(&contact["name"])).collect()
    }
}

#[tokio::test]
async fn a_contact_is_made_seen_changed_and_removed() {
    let anna = Caller::start().await;
    let wanted = json!({
        "phone": "+1 (415) 555-0101", "name": " Anna  Smith ", "tags": ["VIP", "vip"], "groups": ["News"],
        "fields": {"City": "Köln"}, "notes": "likes tea", "consent": "granted", "consent_note": "web form"});
    let made = anna.post("/contacts/", wanted).await;
    made.is(201, "");
    let data = &made.body["data"];
    assert_eq!((&data["phone"], &data["name"], &data["tags"]), (&json!(ANNA), &json!("Anna Smith"), &json!(["vip"])));
    assert_eq!((&data["fields"], &data["consent"], &data["consent_source"]), (&json!({"city": "Köln"}), &json!("granted"), &json!("api")));
    assert_eq!((&data["opted_out"], &data["on_whatsapp"], &data["source"]), (&json!(false), &Value::Null, &json!("api")));
    let path = format!("/contacts/{}/", text(&data["id"]));
    assert_eq!(anna.get(&path).await.is(200, "").body["data"], *data);
    anna.post("/contacts/", json!({"phone": "14155550101@c.us"})).await.is(409, "CONFLICT").names(&["phone"]);
    let part = json!({"name": "Ann", "tags": [], "consent": "withdrawn", "consent_source": "phone call"});
    let changed = anna.call(Method::PATCH, &path, part).await;
    changed.is(200, "");
    let now = &changed.body["data"];
    assert_eq!((&now["name"], &now["tags"], &now["groups"]), (&json!("Ann"), &json!([]), &json!(["news"])));
    assert_eq!((&now["consent"], &now["consent_source"], &now["consent_note"]), (&json!("withdrawn"), &json!("phone call"), &Value::Null));
    anna.call(Method::DELETE, &path, Value::Null).await.is(200, "");
    anna.get(&path).await.is(404, "NOT_FOUND");
    anna.call(Method::DELETE, &path, Value::Null).await.is(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_contact_is_replaced_whole_and_stays_the_same_person() {
    let anna = Caller::start().await;
    let wanted = json!({
        "phone": ANNA, "name": "Anna", "tags": ["vip"], "groups": ["news"], "fields": {"city": "Berlin"}, "notes": "likes tea",
        "consent": "granted", "consent_note": "web form"});
    let made = anna.post("/contacts/", wanted.clone()).await.is(201, "").body["data"].clone();
    let path = format!("/contacts/{}/", text(&made["id"]));
    let put = async |body: Value| anna.call(Method::PUT, &path, body).await;
    let same = put(wanted).await.is(200, "").body["data"].clone();
    for field in ["phone", "name", "tags", "groups", "fields", "notes", "source", "consent", "consent_at", "consent_source", "consent_note"]
    {
        assert_eq!(same[field], made[field], "{field} was sent as it was");
    }
    let part = json!({"phone": "14155550101@s.whatsapp.net", "name": "Ann", "tags": ["new"]});
    let now = put(part).await.is(200, "").body["data"].clone();
    assert_eq!((&now["id"], &now["phone"], &now["name"]), (&made["id"], &json!(ANNA), &json!("Ann")));
    assert_eq!((&now["tags"], &now["groups"], &now["fields"], &now["notes"]), (&json!(["new"]), &json!([]), &json!({}), &json!("")));
    assert_eq!((&now["consent"], &now["consent_at"], &now["consent_source"]), (&json!("unknown"), &Value::Null, &Value::Null));
    assert_eq!((&now["consent_note"], &now["created_at"]), (&Value::Null, &made["created_at"]));
    put(json!({"phone": BEN, "name": "Ben"})).await.is(400, "VALIDATION_ERROR").names(&["phone"]);
    put(json!({"name": "Ben"})).await.is(400, "VALIDATION_ERROR").names(&["phone"]);
    put(json!({"phone": ANNA, "tags": [""], "consent": "perhaps"})).await.is(400, "VALIDATION_ERROR").names(&["consent", "tags"]);
    put(json!({"phone": ANNA, "opted_out": false})).await.is(400, "UNKNOWN_FIELD").names(&["opted_out"]);
    assert_eq!(anna.get(&path).await.body["data"], now, "nothing of that changed anything");
    anna.post(&format!("{path}opt-out/"), json!({"note": "by phone"})).await.is(200, "");
    let out = put(json!({"phone": ANNA, "consent": "granted"})).await.is(200, "").body["data"].clone();
    assert_eq!((&out["consent"], &out["opted_out"], &out["name"]), (&json!("withdrawn"), &json!(true), &json!("")));
    anna.call(Method::PUT, "/contacts/01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77/", json!({"phone": ANNA})).await.is(404, "NOT_FOUND");
    let admin = anna.world.admin().await;
    anna.world.call(Method::PUT, &path, As::Token(&admin), json!({"phone": ANNA})).await.is(404, "NOT_FOUND");
}

#[tokio::test]
async fn bad_fields_are_all_named_and_change_nothing() {
    let anna = Caller::start().await;
    let wrong = json!({"phone": "12", "name": "x".repeat(201), "tags": [""], "fields": {"1x": "y"}, "consent": "perhaps"});
    anna.post("/contacts/", wrong).await.is(400, "VALIDATION_ERROR").names(&["consent", "fields", "name", "phone", "tags"]);
    anna.post("/contacts/", json!({"phone": "120363021033254949@g.us"})).await.is(400, "VALIDATION_ERROR").names(&["phone"]);
    anna.post("/contacts/", json!({"phone": ANNA, "age": 7})).await.is(400, "UNKNOWN_FIELD").names(&["age"]);
    anna.post("/contacts/", json!({})).await.is(400, "VALIDATION_ERROR").names(&["phone"]);
    assert_eq!(anna.get("/contacts/").await.body["data"]["count"], 0);
    let made = anna.post("/contacts/", json!({"phone": ANNA})).await;
    let path = format!("/contacts/{}/", text(&made.body["data"]["id"]));
    for (part, fields) in [
        (json!({"name": null}), &["name"][..]),
        (json!({"consent_note": "x"}), &["consent"]),
        (json!({"tags": vec!["x"; 3], "groups": (0..51).map(|n| n.to_string()).collect::<Vec<_>>()}), &["groups"]),
    ] {
        anna.call(Method::PATCH, &path, part).await.is(400, "VALIDATION_ERROR").names(fields);
    }
    for (query, field) in [("consent=x", "consent"), ("on_whatsapp=x", "on_whatsapp"), ("ordering=x", "ordering"), ("cursor=x", "cursor")] {
        anna.get(&format!("/contacts/?{query}")).await.is(400, "VALIDATION_ERROR").names(&[field]);
    }
    anna.post("/opt-outs/", json!({"phone": "x", "note": "y".repeat(501)})).await.is(400, "VALIDATION_ERROR").names(&["note", "phone"]);
}

#[tokio::test]
async fn another_users_contacts_do_not_exist() {
    let anna = Caller::start().await;
    let made = anna.post("/contacts/", json!({"phone": ANNA, "name": "mine"})).await;
    let id = text(&made.body["data"]["id"]);
    let out = anna.post("/opt-outs/", json!({"phone": BEN})).await;
    let out = text(&out.is(201, "").body["data"]["id"]);
    let import = anna.import("/contacts/import/", &[], "phone\n+14155550103\n").await;
    let import = text(&import.is(200, "").body["data"]["id"]);
    let admin = anna.world.admin().await;
    let (_, token) = anna.world.user(&admin, "ben").await;
    for (who, may_look) in [(As::Token(&token), false), (As::Token(&admin), true)] {
        for path in [format!("/contacts/{id}/"), format!("/contacts/imports/{import}/"), format!("/opt-outs/{out}/")] {
            let (status, code) = if may_look { (200, "") } else { (404, "NOT_FOUND") };
            anna.world.get(&path, who).await.is(status, code);
        }
        for (method, path) in [
            (Method::PATCH, format!("/contacts/{id}/")),
            (Method::DELETE, format!("/contacts/{id}/")),
            (Method::POST, format!("/contacts/{id}/opt-out/")),
            (Method::POST, format!("/contacts/{id}/opt-in/")),
            (Method::POST, format!("/contacts/{id}/erase/")),
            (Method::POST, format!("/opt-outs/{out}/end/")),
        ] {
            anna.world.call(method, &path, who, json!({})).await.is(404, "NOT_FOUND");
        }
        for list in ["/contacts/", "/opt-outs/", "/contacts/tags/"] {
            assert_eq!(anna.world.get(list, who).await.is(200, "").body["data"]["results"], json!([]), "{list}");
        }
        anna.world.post("/contacts/", who, json!({"phone": ANNA})).await.is(201, "");
    }
    assert_eq!(anna.get("/contacts/").await.body["data"]["count"], 2);
    // And with a key that may only look.
    let (_, own) = anna
        .world
        .key(&text(&anna.world.login("anna", crate::world::PASSWORD).await["access"]), json!({"scopes": ["contacts:read"]}))
        .await;
    anna.world.get(&format!("/contacts/{id}/"), As::Key(&own)).await.is(200, "");
    anna.world.post("/contacts/", As::Key(&own), json!({"phone": BEN})).await.is(403, "INSUFFICIENT_SCOPE");
    anna.world.post(&format!("/contacts/{id}/erase/"), As::Key(&own), json!({})).await.is(403, "INSUFFICIENT_SCOPE");
}

#[tokio::test]
async fn a_file_is_looked_at_then_imported_and_every_fault_named() {
    let anna = Caller::start().await;
    anna.post("/contacts/", json!({"phone": ANNA, "name": "Anna", "tags": ["old"]})).await.is(201, "");
    let file = "Mobile;First name;Last name;Tags;Customer no.;Joined\r\n\
                +1 415 555 0101;Anna;Smith;vip;17;yes\r\n\
                '+14155550102;\"Ben; the second\";;\"a, b\";18;no\r\n\
                12;Carl;;;19;\r\n\
                +14155550102;;;c;;\r\n\
                ;Nobody;;;;\r\n";
    let mapping = json!({"Mobile": "phone", "customer no.": "field:customer", "Joined": "skip"}).to_string();
    let look = anna.import("/contacts/import/", &[("mapping", &mapping), ("dry_run", "true")], file).await;
    look.is(200, "");
    let data = &look.body["data"];
    assert_eq!((&data["dry_run"], &data["id"], &data["lines"]), (&json!(true), &Value::Null, &json!(5)));
    assert_eq!((&data["created"], &data["merged"], &data["refused"]), (&json!(1), &json!(2), &json!(2)));
    let faults: Vec<(u64, String)> =
        data["faults"].as_array().expect("faults").iter().map(|f| (f["line"].as_u64().expect("a line"), text(&f["field"]))).collect();
    assert_eq!(faults, [(4, "phone".to_owned()), (6, "phone".to_owned())]);
    assert_eq!(data["columns"][4], json!({"heading": "Customer no.", "holds": "field:customer"}));
    assert_eq!((&data["preview"][1]["name"], &data["preview"][1]["tags"]), (&json!("Ben; the second"), &json!(["a", "b"])));
    assert_eq!(anna.get("/contacts/").await.body["data"]["count"], 1, "nothing was written");
    let done = anna.import("/contacts/import/", &[("mapping", &mapping)], file).await;
    done.is(200, "");
    assert_eq!((&done.body["data"]["created"], &done.body["data"]["merged"]), (&json!(1), &json!(2)));
    let found = anna.get("/contacts/?search=anna").await.body["data"]["results"][0].clone();
    assert_eq!(
        (&found["name"], &found["tags"], &found["fields"]),
        (&json!("Anna Smith"), &json!(["old", "vip"]), &json!({"customer": "17"}))
    );
    let import = anna.get(&format!("/contacts/imports/{}/", text(&done.body["data"]["id"]))).await;
    assert_eq!((&import.body["data"]["state"], &import.body["data"]["refused"]), (&json!("done"), &json!(2)));
    // The same again changes nothing.
    let again = anna.import("/contacts/import/", &[("mapping", &mapping)], file).await;
    assert_eq!((&again.body["data"]["created"], &again.body["data"]["merged"]), (&json!(0), &json!(3)));
    let tags = anna.get("/contacts/tags/").await;
    assert_eq!(tags.body["data"]["results"][0], json!({"name": "a", "contacts": 1}));
    let moved = anna.post("/contacts/labels/move/", json!({"kind": "tag", "from": "A", "to": "vip"})).await;
    assert_eq!(moved.is(200, "").body["data"]["contacts"], 1);
    assert_eq!(anna.names("tag=vip&ordering=name").await, ["Anna Smith", "Ben; the second"]);
}

#[tokio::test]
async fn files_that_can_not_be_read_are_refused_with_a_sentence() {
    let anna = Caller::start().await;
    let path = "/contacts/import/";
    for (fields, file, field) in [
        (&[][..], "", "file"),
        (&[], "name\nAnna\n", "mapping"),
        (&[("mapping", "{\"Nowhere\": \"phone\"}")], "phone\n+14155550101\n", "mapping"),
        (&[("mapping", "{\"phone\": \"what\"}")], "phone\n+14155550101\n", "mapping"),
        (&[("mapping", "phone")], "phone\n+14155550101\n", "mapping"),
        (&[("dry_run", "maybe")], "phone\n+14155550101\n", "dry_run"),
    ] {
        anna.import(path, fields, file).await.is(400, "VALIDATION_ERROR").names(&[field]);
    }
    // So large a file is read behind the request, which says where it can be looked after.
    let endless = anna.import(path, &[], format!("phone,name\n+14155550101,\"{}", "x".repeat(600_000))).await;
    let endless = format!("/contacts/imports/{}/", text(&endless.is(202, "").body["data"]["id"]));
    let import = async || anna.get(&endless).await.body["data"].clone();
    let failed = becomes("over", import, |import| import["state"] != "running").await;
    assert_eq!((&failed["state"], &failed["created"]), (&json!("broken"), &json!(0)), "{failed}");
    anna.import(path, &[("colour", "red")], "phone\n").await.is(400, "UNKNOWN_FIELD");
    anna.post(path, json!({"file": "x"})).await.is(415, "UNSUPPORTED_MEDIA_TYPE");
    let late = Form::new().part("file", Part::bytes(b"phone\n+14155550101\n".to_vec())).text("dry_run", "true");
    let request = As::Key(&anna.key).sign(anna.world.request(Method::POST, "/api/v1/contacts/import/")).multipart(late);
    Reply::read(request.send().await.expect("an answer")).await.is(400, "VALIDATION_ERROR").names(&["dry_run"]);
    // One bad line in another encoding spoils no other.
    let odd = anna.import(path, &[], b"phone,name\n+14155550102,M\xfcller\n+14155550103,ok\n".to_vec()).await;
    odd.is(200, "");
    assert_eq!((&odd.body["data"]["created"], &odd.body["data"]["faults"][0]["line"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn what_is_exported_is_imported_again_whole() {
    let anna = Caller::start().await;
    let mut file = String::from("phone,name,tags,groups,notes,consent,city\n");
    for number in 0..1200 {
        writeln!(file, "+4915123{number:06},Person {number},t{},=formula,\"a\nb\",yes,City {number}", number % 7).expect("a text");
    }
    let done = anna.import("/contacts/import/", &[], file).await;
    assert_eq!(done.is(200, "").body["data"]["created"], 1200);
    anna.post("/opt-outs/", json!({"phone": "+4915123000007"})).await.is(201, "");
    let export = async |caller: &Caller| {
        let request = As::Key(&caller.key).sign(caller.world.request(Method::GET, "/api/v1/contacts/export/?ordering=name"));
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
        answer.text().await.expect("text")
    };
    let text = export(&anna).await;
    assert!(text.starts_with("phone,name,tags,"), "{}", &text[..80]);
    assert!(text.contains("'+4915123000007,Person 7,t0,'=formula,withdrawn,"), "no cell is a formula");
    let ben = Caller::start().await;
    let again = ben.import("/contacts/import/", &[], text.clone()).await;
    assert_eq!((&again.is(200, "").body["data"]["created"], &again.body["data"]["refused"]), (&json!(1200), &json!(0)));
    // All but what is of a moment.
    let keep = |text: String| -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let rows = reader.records().map(|row| row.expect("a row"));
        rows.map(|row| [0, 1, 2, 3, 4, 7, 11, 17].map(|column| row.get(column).unwrap_or_default().to_owned()).to_vec()).collect()
    };
    assert_eq!(keep(export(&ben).await), keep(text));
    let listed = ben.get("/contacts/?opted_out=true").await;
    assert_eq!((&listed.body["data"]["count"], &listed.body["data"]["results"][0]["name"]), (&json!(1), &json!("Person 7")));
    assert_eq!(ben.names("search=person+119&page_size=3").await, ["Person 119", "Person 1190", "Person 1191"]);
}

#[tokio::test]
async fn a_list_of_bare_numbers_is_a_list_of_opt_outs() {
    let anna = Caller::start().await;
    anna.post("/contacts/", json!({"phone": ANNA})).await.is(201, "");
    let list = format!("{ANNA}\n{BEN}\nnobody\n{BEN}\n");
    let done = anna.import("/opt-outs/import/", &[], list).await;
    done.is(200, "");
    assert_eq!(
        (&done.body["data"]["created"], &done.body["data"]["merged"], &done.body["data"]["refused"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(anna.get("/contacts/").await.body["data"]["count"], 1, "nobody becomes a contact by it");
    assert_eq!(anna.get("/contacts/?opted_out=true").await.body["data"]["count"], 1);
    let listed = anna.get("/opt-outs/?in_force=true").await;
    let (first, source) = (&listed.body["data"]["results"][0], &listed.body["data"]["results"][0]["source"]);
    assert_eq!((&listed.body["data"]["count"], source), (&json!(2), &json!("import")));
    let path = format!("/opt-outs/{}/end/", text(&first["id"]));
    let ended = anna.post(&path, json!({"note": "called"})).await;
    assert_eq!((&ended.is(200, "").body["data"]["in_force"], &ended.body["data"]["ended_note"]), (&json!(false), &json!("called")));
    anna.post(&path, json!({})).await.is(409, "WRONG_STATE");
    anna.post("/opt-outs/", json!({"phone": ANNA})).await.is(409, "WRONG_STATE");
    let one = anna.get("/opt-outs/?phone=%2B14155550101").await;
    assert_eq!(one.body["data"]["count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_stop_is_answered_once_and_written_to_no_more() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let settings = json!({"stop_answer": "You will hear no more of us.", "start_answer": "Welcome back.", "from_conversations": true});
    account.world.call(Method::PATCH, "/contacts/settings/", As::Key(&account.key), settings).await.is(200, "");
    account.send(&friend, "hello").await;
    account.shown(&friend, "hello").await;
    account.control().send(&friend, &account.number, " Stop! ", None).await.expect("sent");
    account.shown(&friend, "You will hear no more of us.").await;
    let refused = account.post("/messages/send-text/", json!({"recipient": friend, "content": "one more thing"})).await;
    refused.is(403, "RECIPIENT_OPTED_OUT");
    let listed = account.get("/opt-outs/").await;
    let out = &listed.body["data"]["results"][0];
    assert_eq!((&out["source"], &out["phone"], &out["in_force"]), (&json!("word"), &json!(friend), &json!(true)));
    let proof = account.get(&format!("/messages/{}/", text(&out["message"]))).await;
    assert_eq!(proof.is(200, "").body["data"]["content"], " Stop! ");
    let contacts = account.get("/contacts/").await;
    let contact = &contacts.body["data"]["results"][0];
    assert_eq!((&contact["source"], &contact["opted_out"], &contact["name"]), (&json!("conversation"), &json!(true), &json!("Friend")));
    account.control().send(&friend, &account.number, "START", None).await.expect("sent");
    account.shown(&friend, "Welcome back.").await;
    account.send(&friend, "hello again").await;
    account.shown(&friend, "hello again").await;
    let events = account.get("/events/?after=0&limit=100").await;
    let kinds: Vec<&str> = events.body["data"]["results"]
        .as_array()
        .or(events.body["data"]["events"].as_array())
        .expect("events")
        .iter()
        .filter_map(|event| event["type"].as_str().or(event["kind"].as_str()))
        .filter(|kind| kind.starts_with("contact."))
        .collect();
    assert_eq!(kinds, ["contact.opted_out", "contact.opted_in"]);
    let texts: Vec<String> = account.control().messages(&friend).expect("shown").into_iter().map(|message| message.text).collect();
    assert_eq!(texts.iter().filter(|text| text.contains("no more of us")).count(), 1);
    assert!(!texts.iter().any(|text| text == "one more thing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_is_asked_for_where_a_user_wants_it() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let patch = |body: Value| account.world.call(Method::PATCH, "/contacts/settings/", As::Key(&account.key), body);
    patch(json!({"requires_consent": true})).await.is(200, "");
    let send = || account.post("/messages/send-text/", json!({"recipient": friend, "content": "hello"}));
    send().await.is(403, "CONSENT_REQUIRED");
    let made = account.post("/contacts/", json!({"phone": friend})).await;
    let path = format!("/contacts/{}/", text(&made.is(201, "").body["data"]["id"]));
    send().await.is(403, "CONSENT_REQUIRED");
    account.world.call(Method::PATCH, &path, As::Key(&account.key), json!({"consent": "granted"})).await.is(200, "");
    send().await.is(202, "");
    account.world.call(Method::PATCH, &path, As::Key(&account.key), json!({"consent": "unknown"})).await.is(200, "");
    send().await.is(403, "CONSENT_REQUIRED");
    account.control().send(&friend, &account.number, "a question", None).await.expect("sent");
    account.incoming("the question", |message| message["content"] == "a question").await;
    send().await.is(202, "");
    patch(json!({"requires_consent": null})).await.is(400, "VALIDATION_ERROR");
    patch(json!({"stop_answer": "x".repeat(70_000)})).await.is(400, "VALIDATION_ERROR").names(&["stop_answer"]);
}

/// Waits until a contact is as wanted.
async fn contact_becomes(account: &Account, id: &Value, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/contacts/{}/", text(id));
    becomes(what, async || account.get(&path).await.body["data"].clone(), wanted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whatsapp_is_asked_who_is_there_in_the_background() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let there = account.post("/contacts/", json!({"phone": friend})).await.body["data"]["id"].clone();
    let not_there = account.post("/contacts/", json!({"phone": "+13035550999"})).await.body["data"]["id"].clone();
    let asked = account.post("/contacts/check/", json!({})).await;
    assert_eq!(asked.is(202, "").body["data"]["added"], 2);
    let found = contact_becomes(&account, &there, "looked up", |contact| contact["on_whatsapp"] == true).await;
    assert!(found["checked_at"].is_string() && found["jid"].is_string(), "{found}");
    contact_becomes(&account, &not_there, "looked up", |contact| contact["on_whatsapp"] == false).await;
    assert_eq!(account.get("/contacts/check/").await.body["data"]["left"], 0);
    assert_eq!(account.post("/contacts/check/", json!({})).await.body["data"]["added"], 0, "they were just asked about");
    assert_eq!(account.post("/contacts/check/", json!({"contacts": [there]})).await.body["data"]["added"], 1, "unless they are named");
    assert_eq!(account.get("/contacts/?on_whatsapp=no").await.body["data"]["count"], 1);
    let many: Vec<String> = vec!["01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77".into(); 1001];
    account.post("/contacts/check/", json!({"contacts": many})).await.is(400, "VALIDATION_ERROR").names(&["contacts"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_leaves_no_trace_in_any_answer() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let other = account.friend().await;
    let contact = account.post("/contacts/", json!({"phone": friend, "notes": "secret notes"})).await.body["data"]["id"].clone();
    let sent = account.send(&friend, "words to the friend").await;
    account.message_becomes(&sent["id"], "delivered").await;
    account.control().send(&friend, &account.number, "words of the friend", None).await.expect("sent");
    let kept = account.send(&other, "to another").await;
    account.message_becomes(&kept["id"], "delivered").await;
    account.incoming("the answer", |message| message["content"] == "words of the friend").await;
    account.post(&format!("/contacts/{}/opt-out/", text(&contact)), json!({"note": "by letter"})).await.is(200, "");
    account.post(&format!("/contacts/{}/erase/", text(&contact)), json!({})).await.is(202, "");
    account.get(&format!("/contacts/{}/", text(&contact))).await.is(404, "NOT_FOUND");
    becomes("erased", async || account.get("/messages/list/").await.body["data"]["count"].clone(), |count| *count == 1).await;
    account.get(&format!("/messages/{}/", text(&sent["id"]))).await.is(404, "NOT_FOUND");
    account.message(&kept["id"]).await;
    let admin = account.world.admin().await;
    let audit = account.world.get("/audit/?action=contact.erased", As::Token(&admin)).await;
    let digits = friend.trim_start_matches('+');
    assert!(audit.text.contains(contact.as_str().expect("an id")) && !audit.text.contains(digits), "{}", audit.text);
    becomes("without the number", async || account.get("/events/?after=0").await.text, |events| !events.contains(digits)).await;
    account.post("/messages/send-text/", json!({"recipient": friend, "content": "x"})).await.is(403, "RECIPIENT_OPTED_OUT");
    let left = account.get("/opt-outs/").await;
    assert_eq!((&left.body["data"]["count"], &left.body["data"]["results"][0]["note"]), (&json!(1), &Value::Null));
}
