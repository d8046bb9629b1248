//! A companion that could not get a file asks its own phone.

use crate::client::{Client, attr};
use crate::world::{Companion, sandbox_in};
use sanasend_sandbox::{MediaState, MessageKind, NewMedia};
use std::time::Duration;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

const OWN: &str = "+12025550142";
const FRIEND: &str = "+12025550151";

fn asks(companion: &Companion, id: &str, chat: &str) -> Node {
    let about = NodeBuilder::new("rmr").attr("jid", chat).attr("from_me", "false").build();
    NodeBuilder::new("receipt").attr("type", "server-error").attr("to", &companion.jid).attr("id", id).children([about]).build()
}

async fn answer(client: &mut Client, id: &str) -> Node {
    loop {
        let notification = client.expect("notification").await;
        client.ack(&notification).await;
        if attr(&notification, "type") == "mediaretry" {
            assert_eq!(attr(&notification, "id"), id);
            return notification;
        }
    }
}

#[tokio::test]
async fn its_own_phone_leaves_a_file_again_or_says_that_it_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_in(folder.path()).await;
    let control = sandbox.control();
    let (companion, mut client) = Companion::ready(&sandbox, OWN, 5).await;
    let friend = control.add_phone(Some(FRIEND), None).await.unwrap();
    let image = NewMedia { kind: MessageKind::Image, ..NewMedia::default() };
    let id = control.send_media(FRIEND, OWN, image, b"bread".to_vec()).await.unwrap();
    let ready = |message: &sanasend_sandbox::ShownMessage| message.media.as_ref().is_some_and(|media| media.state == MediaState::Ready);
    control.wait_until(OWN, Duration::from_secs(10), |shown| shown.iter().any(ready)).await.unwrap();

    client.send(&asks(&companion, &id, &friend.jid)).await;
    let again = answer(&mut client, &id).await;
    assert!(again.get_optional_child("encrypt").is_some_and(|encrypt| encrypt.get_optional_child("enc_p").is_some()));
    assert_eq!(attr(again.get_optional_child("rmr").unwrap(), "jid"), friend.jid);

    client.send(&asks(&companion, "NOTHING", &friend.jid)).await;
    let none = answer(&mut client, "NOTHING").await;
    assert_eq!(attr(none.get_optional_child("error").unwrap(), "code"), "2");
}
