//! What an admin by login sees of others' contacts, templates, schedules and campaigns; and that nobody else does.

use crate::account::Account;
use crate::world::{As, Reply, text};
use reqwest::Method;
use sanasend_model::Clock;
use serde_json::{Value, json};
use std::time::Duration;

async fn get(account: &Account, who: As<'_>, path: &str) -> Reply {
    account.world.call(Method::GET, path, who, Value::Null).await
}

fn count(reply: &Reply) -> u64 {
    reply.is(200, "").body["data"]["count"].as_u64().expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_look_at_what_is_others_and_nobody_else_does() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let contact = account.post("/contacts/", json!({"phone": friend, "name": "Ada"})).await;
    let contact = text(&contact.is(201, "").body["data"]["id"]);
    account.post("/opt-outs/", json!({"phone": "+14155550177"})).await.is(201, "");
    let template = account.post("/templates/", json!({"name": "hi", "content": "Hi"})).await;
    let template = text(&template.is(201, "").body["data"]["id"]);
    let schedule = json!({"name": "daily", "cron": "0 9 * * *", "timezone": "UTC", "content": "Good morning", "recipient": friend});
    let schedule = account.post("/schedules/", schedule).await;
    let schedule = text(&schedule.is(201, "").body["data"]["id"]);
    let later = json!({"recipient": friend, "content": "later", "scheduled_at": account.world.clock.now().plus(Duration::from_hours(5))});
    account.post("/messages/send-text/", later).await.is(202, "");
    let campaign = json!({"name": "Spring", "content": "Hello", "recipients": [{"phone": friend}]});
    let campaign = account.post("/campaigns/", campaign).await;
    let campaign = text(&campaign.is(201, "").body["data"]["id"]);
    let admin = account.world.admin().await;
    let (_, other) = account.world.user(&admin, "other").await;
    let owner = account.get(&format!("/contacts/{contact}/")).await;
    let owner = text(&owner.is(200, "").body["data"]["user"]);
    // Apart by user: the admin's own without a name, the user's with it.
    for list in ["/contacts/", "/opt-outs/"] {
        assert_eq!(count(&get(&account, As::Token(&admin), list).await), 0, "{list}");
    }
    for list in ["/contacts/", "/opt-outs/", "/templates/", "/schedules/", "/messages/scheduled/", "/campaigns/"] {
        let of_owner = format!("{list}?user={owner}");
        assert_eq!(count(&get(&account, As::Token(&admin), &of_owner).await), 1, "{list}");
        assert_eq!(count(&get(&account, As::Token(&other), &of_owner).await), 0, "{list}");
        assert_eq!(count(&get(&account, As::Key(&account.key), &of_owner).await), 1, "one's own may be named: {list}");
        let nobody = format!("{list}?user={contact}");
        assert_eq!(count(&get(&account, As::Token(&admin), &nobody).await), 0, "{list}");
    }
    for list in ["/templates/", "/schedules/", "/messages/scheduled/", "/campaigns/"] {
        assert_eq!(count(&get(&account, As::Token(&admin), list).await), 1, "everybody's: {list}");
        assert_eq!(count(&get(&account, As::Token(&other), list).await), 0, "{list}");
    }
    let export = get(&account, As::Token(&admin), &format!("/contacts/export/?user={owner}")).await;
    assert_eq!(export.text.lines().count(), 2);
    let details = [
        format!("/contacts/{contact}/"),
        format!("/templates/{template}/"),
        format!("/templates/{template}/versions/"),
        format!("/schedules/{schedule}/"),
        format!("/campaigns/{campaign}/"),
        format!("/campaigns/{campaign}/recipients/"),
    ];
    for one in details {
        get(&account, As::Token(&admin), &one).await.is(200, "");
        get(&account, As::Token(&other), &one).await.is(404, "NOT_FOUND");
    }
    // To look is not to change.
    for one in [format!("/contacts/{contact}/"), format!("/templates/{template}/"), format!("/schedules/{schedule}/")] {
        account.world.call(Method::DELETE, &one, As::Token(&admin), Value::Null).await.is(404, "NOT_FOUND");
    }
}
