//! The WhatsApp groups of an account: listed as they are at this moment, each with who is in it, and refused with reasons.

use crate::account::Account;
use crate::dashboard::Browser;
use crate::world::{As, PASSWORD, text};
use sanasend_sandbox::GroupChange;
use serde_json::{Value, json};

/// A group that nobody is in.
const NOBODYS: &str = "/groups/120363000000000001@g.us/";

/// How many groups are said to be there, and the subjects of those on the page.
async fn subjects(account: &Account, query: &str) -> (u64, Vec<String>) {
    let listed = account.get(&format!("/groups/{query}")).await;
    listed.is(200, "");
    let data = &listed.body["data"];
    let results = data["results"].as_array().expect("a list");
    (data["count"].as_u64().expect("a count"), results.iter().map(|group| text(&group["subject"])).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_groups_of_an_account_are_listed_by_subject_until_it_is_out() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let control = account.control();
    assert_eq!(subjects(&account, "").await, (0, Vec::new()));
    let bread = control.make_group(&friend, "Bread", &[&account.number]).expect("a group");
    let own = control.make_group(&account.number, "all bakers", &[&friend]).expect("a group");
    control.make_group(&friend, "Without the account", &[]).expect("a group");
    let change = |change: GroupChange| control.change_group(&friend, &bread, &change).expect("changed");
    change(GroupChange::Description("Fresh at <eight>.".into()));
    change(GroupChange::OnlyAdminsSend(true));
    let listed = account.get("/groups/").await;
    listed.is(200, "");
    let (first, second) = (&listed.body["data"]["results"][0], &listed.body["data"]["results"][1]);
    assert_eq!((&first["jid"], &first["is_admin"], &first["description"]), (&json!(own), &json!(true), &Value::Null));
    assert!(second["created_at"].is_string(), "{second}");
    let expected = json!({
        "jid": bread,
        "subject": "Bread",
        "description": "Fresh at <eight>.",
        "owner": {"phone": friend, "jid": format!("{}@s.whatsapp.net", friend.trim_start_matches('+')), "lid": null},
        "created_at": second["created_at"],
        "participant_count": 2,
        "is_admin": false,
        "only_admins_send": true,
        "is_community": false,
        "parent": null,
    });
    assert_eq!(second, &expected);

    assert_eq!(subjects(&account, "?search=BREAD").await, (1, vec!["Bread".to_owned()]));
    assert_eq!(subjects(&account, "?search=cake").await, (0, Vec::new()));
    let page = account.get("/groups/?page_size=1").await;
    assert!(page.body["data"]["next"].as_str().is_some_and(|next| next.contains("page=2")), "{}", page.text);
    change(GroupChange::Remove(account.number.clone()));
    assert_eq!(subjects(&account, "?page_size=1&page=2").await, (2, vec!["Bread".to_owned()]), "a walk reads one answer");
    assert_eq!(subjects(&account, "?page_size=1").await, (1, vec!["all bakers".to_owned()]));
    assert_eq!(subjects(&account, "?page_size=1&page=2").await, (1, Vec::new()), "and not an older one");
    account.get("/groups/?page_size=101").await.is(400, "VALIDATION_ERROR").names(&["page_size"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_told_with_its_members_and_no_other_groups_are() {
    let account = Account::linked().await;
    let (anna, ben) = (account.friend().await, account.friend().await);
    account.post("/contacts/", json!({"phone": anna, "name": "Anna <Baker>"})).await.is(201, "");
    let control = account.control();
    let group = control.make_group(&anna, "Bakers", &[&account.number, &ben]).expect("a group");
    control.change_group(&anna, &group, &GroupChange::Promote(ben.clone())).expect("changed");
    let path = format!("/groups/{group}/");
    let told = account.get(&format!("{path}?session=default")).await;
    told.is(200, "");
    let data = &told.body["data"];
    assert_eq!((&data["jid"], &data["subject"], &data["participant_count"]), (&json!(group), &json!("Bakers"), &json!(3)));
    let people = data["participants"].as_array().expect("a list").iter();
    let people: Vec<Value> = people.map(|one| json!([one["phone"], one["name"], one["role"]])).collect();
    let expected = [json!([anna, "Anna <Baker>", "superadmin"]), json!([ben, null, "admin"]), json!([account.number, null, "member"])];
    assert_eq!(people, expected);
    let first = &data["participants"][0];
    assert_eq!(first["jid"], format!("{}@s.whatsapp.net", anna.trim_start_matches('+')));
    assert!(first["lid"].as_str().is_some_and(|lid| lid.ends_with("@lid")), "{first}");

    control.change_group(&anna, &group, &GroupChange::Remove(account.number.clone())).expect("changed");
    let (left, nobodys) = (account.get(&path).await, account.get(NOBODYS).await);
    left.is(404, "NOT_FOUND");
    assert_eq!((left.status, &left.text), (nobodys.status, &nobodys.text), "no difference shows");
    for wrong in ["x", "12025550123@s.whatsapp.net", "12345@lid", "@g.us", "a%20b@g.us"] {
        account.get(&format!("/groups/{wrong}/")).await.is(400, "VALIDATION_ERROR").names(&["jid"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_told_while_the_account_is_connected_and_to_its_user_alone() {
    let mut account = Account::new().await;
    for path in ["/groups/", NOBODYS, "/groups/?session=shop"] {
        account.get(path).await.is(404, "NOT_FOUND");
    }
    account.post("/sessions/init/", json!({})).await.is(201, "");
    for path in ["/groups/", NOBODYS] {
        account.get(path).await.is(409, "SESSION_NOT_LINKED");
    }
    account.link().await;
    let token = text(&account.world.login("anna", PASSWORD).await["access"]);
    let (_, lists) = account.world.key(&token, json!({"name": "lists", "scopes": ["sessions:read"]})).await;
    let (_, looks) = account.world.key(&token, json!({"name": "looks", "scopes": ["contacts:read"]})).await;
    account.world.get("/groups/", As::Key(&lists)).await.is(200, "");
    account.world.get(NOBODYS, As::Key(&lists)).await.is(403, "INSUFFICIENT_SCOPE");
    account.world.get("/groups/", As::Key(&looks)).await.is(403, "INSUFFICIENT_SCOPE");
    account.world.get(NOBODYS, As::Key(&looks)).await.is(404, "NOT_FOUND");

    let friend = account.friend().await;
    let group = account.control().make_group(&friend, "Bread", &[&account.number]).expect("a group");
    let admin = account.world.admin().await;
    let (_, stranger) = account.world.user(&admin, "stranger").await;
    let session = text(&account.session().await["id"]);
    for path in [format!("/groups/?session={session}"), format!("/groups/{group}/?session={session}")] {
        account.get(&path).await.is(200, "");
        for who in [As::Token(&stranger), As::Token(&admin)] {
            account.world.get(&path, who).await.is(404, "NOT_FOUND");
        }
    }

    account.post("/sessions/disconnect/", json!({"logout": false})).await.is(200, "");
    for path in ["/groups/".to_owned(), format!("/groups/{group}/")] {
        account.get(&path).await.is(409, "WRONG_STATE");
    }
    account.get("/groups/?page=2").await.is(409, "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_an_account_leads_to_its_groups() {
    let account = Account::linked().await;
    let session = text(&account.session().await["id"]);
    let (page, groups) = (format!("/admin/sessions/{session}/"), format!("/admin/sessions/{session}/groups/"));
    let browser = Browser::of(&account.world, "anna").await;
    assert!(browser.open(&page).await.html.contains(&format!("href=\"{groups}\"")));
    let shown = browser.open(&groups).await;
    assert_eq!(shown.status, 200);
    assert!(shown.html.contains("in no group"), "{}", shown.html);
    let friend = account.friend().await;
    let group = account.control().make_group(&friend, "Bread & <b>rolls</b>", &[&account.number]).expect("a group");
    let shown = browser.open(&groups).await;
    assert!(shown.html.contains("Bread &#38; &#60;b&#62;rolls&#60;/b&#62;"), "{}", shown.html);
    assert!(shown.html.contains(&group) && shown.html.contains("2 members"), "{}", shown.html);
    let found = browser.open(&format!("{groups}?search=cake")).await;
    assert!(found.status == 200 && !found.html.contains(&group), "{}", found.html);
    account.post("/sessions/disconnect/", json!({"logout": false})).await.is(200, "");
    let offline = browser.open(&groups).await;
    assert_eq!(offline.status, 200);
    assert!(offline.html.contains("not connected") && !offline.html.contains(&group), "{}", offline.html);
}
