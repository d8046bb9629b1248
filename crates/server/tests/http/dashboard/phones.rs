//! The page of the virtual phones.

use super::Browser;
use crate::account::Account;

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_blocks_who_writes_to_it_and_lets_them_through_again() {
    let account = Account::linked().await;
    let (friend, shop) = (account.friend().await, account.number.clone());
    account.send(&friend, "Fresh bread").await;
    account.shown(&friend, "Fresh bread").await;
    let browser = Browser::admin(&account.world).await;
    let (block, unblock) = (format!("Block<span class=\"unseen\"> {shop} on {friend}"), format!("aria-label=\"Blocked on {friend}\""));
    browser.open("/admin/phones/").await.is(200).says(&[block.as_str()]).hides(&[unblock.as_str()]);

    let place = format!("/admin/phones/{friend}/block/");
    let done = browser.send(&place, &[("who", shop.as_str()), ("block", "yes")]).await;
    assert_eq!(done.status, 303, "{}", done.html);
    browser.open(done.header("location")).await.is(200).says(&["Blocked: they see one tick", unblock.as_str()]).hides(&[block.as_str()]);
    assert_eq!(account.control().phone(&friend).expect("the phone").blocked, [shop.as_str()]);
    let lost = account.send(&friend, "Nobody hears this").await;
    account.message_becomes(&lost["id"], "sent").await;
    let refused = browser.send(&format!("/admin/phones/{friend}/send/"), &[("to", shop.as_str()), ("text", "Hello")]).await;
    browser.open(refused.header("location")).await.is(200).says(&["This phone has blocked"]);

    let done = browser.send(&place, &[("who", shop.as_str()), ("block", "no")]).await;
    browser.open(done.header("location")).await.is(200).says(&["Let through again", block.as_str()]).hides(&[unblock.as_str()]);
    let heard = account.send(&friend, "Heard again").await;
    account.message_becomes(&heard["id"], "delivered").await;
    assert_eq!(account.message(&lost["id"]).await["status"], "sent", "what was lost is not delivered afterwards");
    let texts: Vec<String> = account.control().messages(&friend).expect("the phone").into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["Fresh bread", "Heard again"]);

    let nobody = browser.send(&place, &[("who", "nobody"), ("block", "yes")]).await;
    browser.open(nobody.header("location")).await.is(200).says(&["no phone number"]);
}
