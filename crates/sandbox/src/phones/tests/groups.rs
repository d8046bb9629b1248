//! Texts to several phones at once.

use super::{PATIENCE, World};
use crate::network::Fault;
use crate::phones::{MessageKind, NewMedia, ShownStatus};

#[tokio::test]
async fn a_text_to_a_group_is_shown_to_every_member_once_and_ticks_come_back() {
    let world = World::new();
    let (ana, bob, eve) = (world.phone("Ana").await, world.phone("Bob").await, world.phone("Eve").await);
    let group = world.control.make_group(&ana, "Bread", &[&bob, &eve]).unwrap();
    assert!(group.ends_with("@g.us"), "{group}");
    world.control.fault(&bob, Fault::Duplicate(3)).unwrap();
    let id = world.control.send(&ana, &group, "fresh!", None).await.unwrap();
    for phone in [&bob, &eve] {
        let shown = world.shows(phone, &["fresh!"]).await;
        assert_eq!((shown[0].chat.as_str(), shown[0].from.as_str()), (group.as_str(), world.control.phone(&ana).unwrap().jid.as_str()));
    }
    world.ticks(&ana, &id, ShownStatus::Delivered).await;
    assert_eq!(world.control.read(&bob, Some(&group), None).unwrap(), 1);
    world.ticks(&ana, &id, ShownStatus::Read).await;
    world.control.send(&bob, &group, "for me too", Some(&id)).await.unwrap();
    let shown = world.shows(&eve, &["fresh!", "for me too"]).await;
    assert_eq!(shown[1].quoted_id.as_deref(), Some(id.as_str()));
}

#[tokio::test]
async fn files_go_to_groups_and_strangers_do_not() {
    let world = World::new();
    let (ana, bob, eve) = (world.phone("Ana").await, world.phone("Bob").await, world.phone("Eve").await);
    let group = world.control.make_group(&ana, "Bread", &[&bob]).unwrap();
    let image = NewMedia { kind: MessageKind::Image, ..NewMedia::default() };
    let id = world.control.send_media(&ana, &group, image, b"a loaf".to_vec()).await.unwrap();
    world.control.wait_for_messages(&bob, 1, PATIENCE).await.unwrap();
    assert_eq!(world.control.media_bytes(&bob, &id, PATIENCE).await.unwrap(), b"a loaf");
    let refusal = world.control.send(&eve, &group, "me?", None).await.unwrap_err();
    assert!(refusal.to_string().contains("not in the group"), "{refusal}");
    assert!(world.control.make_group(&ana, "", &[&bob]).is_err());
}
