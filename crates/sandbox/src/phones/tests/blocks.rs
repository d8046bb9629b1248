//! Somebody does not want to hear from somebody.

use super::*;

#[tokio::test]
async fn who_is_blocked_sees_one_tick_for_ever() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    let before = world.send(&ana, &bob, "before").await;
    world.shows(&bob, &["before"]).await;
    world.ticks(&ana, &before, ShownStatus::Delivered).await;
    assert_eq!(world.control.block(&bob, &ana).await.unwrap().blocked, [ana.as_str()]);
    assert_eq!(world.control.block(&bob, &ana).await.unwrap().blocked, [ana.as_str()], "it is so already");

    let lost = world.send(&ana, &bob, "lost").await;
    world.ticks(&ana, &lost, ShownStatus::Sent).await;
    assert_eq!(world.control.read(&bob, None, None).unwrap(), 1, "he reads what came before");
    assert!(world.control.unblock(&bob, &ana).await.unwrap().blocked.is_empty());
    let after = world.send(&ana, &bob, "after").await;
    world.shows(&bob, &["before", "after"]).await;
    world.ticks(&ana, &after, ShownStatus::Delivered).await;
    let ticks: Vec<_> = world.control.messages(&ana).unwrap().into_iter().map(|message| message.status).collect();
    assert_eq!(ticks, [ShownStatus::Delivered, ShownStatus::Sent, ShownStatus::Delivered], "nothing is told afterwards");
}

#[tokio::test]
async fn a_phone_writes_to_nobody_whom_it_has_blocked() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    let id = world.send(&ana, &bob, "hi").await;
    world.shows(&bob, &["hi"]).await;
    world.control.block(&bob, &ana).await.unwrap();
    let refusals = [
        world.control.send(&bob, &ana, "x", None).await.map(drop),
        world.control.react(&bob, &id, "👍").await.map(drop),
        world.control.typing(&bob, &ana),
    ];
    for refused in refusals {
        assert!(matches!(&refused, Err(Error::Refused(why)) if why.contains("unblock")), "{refused:?}");
    }
    assert_eq!(world.control.messages(&bob).unwrap().len(), 1, "nothing was written");
    world.control.unblock(&bob, &ana).await.unwrap();
    world.send(&bob, &ana, "again").await;
    world.shows(&ana, &["hi", "again"]).await;
}

#[tokio::test]
async fn in_a_group_everybody_hears_everybody() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    let group = world.control.make_group(&ana, "Bread", &[&bob]).unwrap();
    world.control.block(&bob, &ana).await.unwrap();
    world.send(&ana, &bob, "for him alone").await;
    let id = world.send(&ana, &group, "for all").await;
    world.shows(&bob, &["for all"]).await;
    world.ticks(&ana, &id, ShownStatus::Delivered).await;
    world.send(&bob, &group, "heard").await;
    world.shows(&ana, &["for him alone", "for all", "heard"]).await;
}

#[tokio::test]
async fn only_people_who_are_there_can_be_blocked() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    let group = world.control.make_group(&ana, "Bread", &[&bob]).unwrap();
    assert!(matches!(world.control.block(&bob, &group).await, Err(Error::Invalid(_))));
    assert!(matches!(world.control.block(&bob, &bob).await, Err(Error::Refused(_))));
    assert!(matches!(world.control.block(&bob, "+12025550199").await, Err(Error::Unknown(_))));
    world.control.set_online(&bob, false).await.unwrap();
    assert!(matches!(world.control.block(&bob, &ana).await, Err(Error::Refused(_))));
    assert!(world.control.phone(&bob).unwrap().blocked.is_empty());
}

#[tokio::test]
async fn a_block_outlives_the_process() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    world.control.block(&bob, &ana).await.unwrap();
    let world = world.killed().await;
    assert_eq!(world.control.phone(&bob).unwrap().blocked, [ana.as_str()]);
}

#[tokio::test]
async fn a_block_ends_with_either_phone() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    world.control.block(&bob, &ana).await.unwrap();
    world.control.block(&ana, &bob).await.unwrap();
    world.control.remove_phone(&ana).unwrap();
    assert!(world.control.phone(&bob).unwrap().blocked.is_empty());
    world.control.add_phone(Some(&ana), None).await.unwrap();
    assert!(world.control.phone(&ana).unwrap().blocked.is_empty());
    world.send(&bob, &ana, "hi").await;
    world.shows(&ana, &["hi"]).await;
    let world = world.killed().await;
    assert!(world.control.phone(&bob).unwrap().blocked.is_empty() && world.control.phone(&ana).unwrap().blocked.is_empty());
}
