//! Texts to several phones at once.

use super::{PATIENCE, World};
use crate::network::{Fault, GroupChange};
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

#[tokio::test]
async fn an_admin_changes_a_group_and_nobody_else_does() {
    let world = World::new();
    let (ana, bob, eve) = (world.phone("Ana").await, world.phone("Bob").await, world.phone("Eve").await);
    let group = world.control.make_group(&ana, "Bread", &[&bob]).unwrap();
    let change = |phone: &str, change: GroupChange| world.control.change_group(phone, &group, &change);
    for phone in [&bob, &eve] {
        let refusal = change(phone, GroupChange::Add(eve.clone())).unwrap_err();
        assert!(refusal.to_string().contains("no admin"), "{refusal}");
    }
    change(&ana, GroupChange::Add(eve.clone())).unwrap();
    change(&ana, GroupChange::Subject("Bread and rolls".into())).unwrap();
    assert!(change(&ana, GroupChange::Subject(String::new())).is_err());
    world.control.send(&eve, &group, "I am in", None).await.unwrap();
    world.shows(&bob, &["I am in"]).await;
    change(&ana, GroupChange::Promote(bob.clone())).unwrap();
    change(&bob, GroupChange::Remove(eve.clone())).unwrap();
    let refusal = world.control.send(&eve, &group, "me?", None).await.unwrap_err();
    assert!(refusal.to_string().contains("not in the group"), "{refusal}");
    // A text replaces the one that is there, and an empty one takes it away.
    for text in ["Rolls at eight.", "Rolls at nine.", "", "None today."] {
        change(&bob, GroupChange::Description(text.into())).unwrap();
    }
    assert!(change(&bob, GroupChange::Description("x".repeat(2_049))).is_err());
}
