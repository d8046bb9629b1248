//! Somebody blocks the account: WhatsApp says nothing of it, and one tick stays for ever.

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_to_somebody_who_blocked_the_account_stays_at_one_tick() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let control = world.control();
    let before = shop.send_text(&friend, "before").await;
    shop.message_becomes(&before, "delivered").await;
    let phone = control.block(&friend.number, &shop.number).await.expect("blocked");
    assert_eq!(phone.blocked, [shop.number.as_str()]);

    let lost = shop.send_text(&friend, "lost").await;
    shop.message_becomes(&lost, "sent").await;
    friend.reads();
    assert!(control.send(&friend.number, &shop.number, "x", None).await.is_err(), "nor does his phone let him write");
    let group = control.make_group(&shop.number, "Regulars", &[&friend.number]).expect("a group");
    let told = shop.send_to(&group, "to all").await;
    shop.message_becomes(&told, "delivered").await;

    control.unblock(&friend.number, &shop.number).await.expect("let through");
    let after = shop.send_text(&friend, "after").await;
    shop.message_becomes(&after, "delivered").await;
    friend.says(&shop, "here I am").await;
    shop.receives("here I am").await;
    assert_eq!(friend.shows(), ["before", "to all", "after"]);
    for (message, status) in [(&before, "delivered"), (&lost, "sent")] {
        assert_eq!(shop.message(&message["id"]).await["status"], status, "nothing is told afterwards");
    }
    world.stop().await;
}
