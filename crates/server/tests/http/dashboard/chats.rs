//! Conversations on pages: the list, one with its answers, and who may write there.

use super::Browser;
use super::once::address;
use crate::account::Account;
use crate::world::{eventually, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_read_and_answered_once_on_its_page() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let browser = Browser::of(&account.world, "anna").await;
    browser.open("/admin/chats/").await.is(200).says(&["No chats yet"]);
    account.control().send(&friend, &account.number, "Is <b>it</b> ready?", None).await.expect("sent");
    let question = account.incoming("the question", |message| message["direction"] == "inbound").await;
    let list = browser
        .open("/admin/chats/?waiting=yes")
        .await
        .is(200)
        .says(&["Is &#60;b&#62;it&#60;/b&#62; ready?", "<span class=\"badge warn\">1</span>"]);
    let place = format!("/admin/messages/{}/chat/", text(&question["id"]));
    list.says(&[&format!("{place}#write")]);
    let shown = browser.open(&place).await.is(200).says(&["data-live=\"", "Is &#60;b&#62;it", "class=\"bubble\""]).hides(&["bubble mine"]);
    let form = address(&shown, &place);
    let refused = browser.send(&form, &[("content", " ")]).await.is(400).says(&["id=\"content-error\"", "Is &#60;b&#62;it"]);
    assert_eq!(address(&refused, &place), form, "what is refused keeps its key");
    for _ in 0..2 {
        let answer = browser.send(&form, &[("content", "Yes,\r\nit is")]).await;
        assert_eq!((answer.status, answer.header("location")), (303, format!("{place}#write").as_str()), "{}", answer.html);
    }
    browser.open(&place).await.is(200).says(&["nothing is sent twice"]);
    account.shown(&friend, "Yes,\nit is").await;
    let sent = account.get("/messages/list/?direction=outbound").await;
    assert_eq!(sent.body["data"]["count"], 1, "{}", sent.text);
    let page = browser.open(&place).await.is(200).says(&["bubble mine", "Yes,\nit is"]);
    let (asked, answered) = (page.html.find("Is &#60;b"), page.html.find("Yes,\nit is"));
    assert!(asked < answered, "oldest first: {}", page.html);
    browser.open("/admin/chats/?waiting=yes").await.is(200).says(&["No chat fits"]);

    let admin = Browser::admin(&account.world).await;
    admin.open(&place).await.is(200).says(&["bubble mine", "/admin/chats/?user="]).hides(&["id=\"write\""]);
    let answer = admin.send(&place, &[("content", "in another's name")]).await;
    assert_eq!((answer.status, answer.header("location")), (303, place.as_str()));
    admin.open(&place).await.is(200).says(&["Only the owner of a chat writes there."]);
    let me = text(&account.get("/auth/me/").await.body["data"]["id"]);
    admin.open(&format!("/admin/chats/?user={me}")).await.is(200).says(&[&friend]);
    admin.open("/admin/chats/").await.is(200).says(&["No chats yet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_conversation_goes_back_and_a_group_is_a_chat_of_its_own() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let group = account.control().make_group(&account.number, "Bakers", &[&friend]).expect("a group");
    let to_all = account.send(&group, "Hello all").await;
    let mut last = to_all["id"].clone();
    for number in 0..51 {
        last = account.send(&friend, &format!("line {number}.")).await["id"].clone();
    }
    account.message_becomes(&last, "delivered").await;
    let place = format!("/admin/messages/{}/chat/", text(&last));
    let browser = Browser::of(&account.world, "anna").await;
    let newest = browser.open(&place).await.is(200).says(&["line 1.", "line 50.", "Earlier messages"]).hides(&["line 0.", "Hello all"]);
    let start = newest.html.find(&format!("{place}?before=")).expect("a way back");
    let rest = &newest.html[start..];
    let before = browser.open(&rest[..rest.find('"').expect("its end")]).await.is(200);
    before.says(&["line 0.", "Back to the newest"]).hides(&["line 1.", "id=\"write\"", "data-live"]);
    browser.open(&format!("{place}?before=typo")).await.is(400);
    let of_group = format!("/admin/messages/{}/chat/", text(&to_all["id"]));
    browser.open(&of_group).await.is(200).says(&["Hello all", &group]).hides(&["line 1."]);
    eventually("the group in the list", async || {
        let list = browser.open("/admin/chats/").await;
        (list.html.contains(&format!("Group {group}")) && list.html.contains("line 50.")).then_some(())
    })
    .await;
}
