//! The ring, its filters and its waiting.

use super::*;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, marshal};

fn stanza(node: &Node) -> Bytes {
    let bytes = Bytes::from(marshal(node).unwrap());
    bytes.slice(1..)
}

fn message(id: &str) -> Bytes {
    stanza(&NodeBuilder::new("message").attr("id", id).attr("type", "text").build())
}

fn device(text: &str) -> Jid {
    text.parse().unwrap()
}

#[test]
fn filters_by_device_user_tag_and_cursor() {
    let transcript = Transcript::default();
    let phone = device("15550000001@s.whatsapp.net");
    let companion = device("15550000001:33@s.whatsapp.net");
    let other = device("15550000002:33@s.whatsapp.net");
    for (at, (who, id)) in [(&phone, "A"), (&companion, "B"), (&other, "C")].into_iter().enumerate() {
        let at = i64::try_from(at).unwrap();
        transcript.record(at, Direction::In, 7, Some(who), message(id));
    }
    transcript.record(9, Direction::Out, 7, None, stanza(&NodeBuilder::new("iq").build()));

    let ids = |filter: StanzaFilter| -> Vec<String> {
        let found = transcript.read(&filter);
        found.iter().map(|r| r.node["attrs"]["id"].as_str().unwrap_or("-").to_owned()).collect()
    };
    assert_eq!(ids(StanzaFilter::default()), ["A", "B", "C", "-"]);
    assert_eq!(ids(StanzaFilter::default().of("+15550000001")), ["A", "B"]);
    assert_eq!(ids(StanzaFilter::default().of("15550000001:33@s.whatsapp.net")), ["B"]);
    assert_eq!(ids(StanzaFilter::tag("message").after(1)), ["B", "C"]);
    assert_eq!(ids(StanzaFilter::tag("message").kind("text").id("C")), ["C"]);
    assert_eq!(ids(StanzaFilter::default().direction(Direction::Out)), ["-"]);
    assert_eq!(ids(StanzaFilter::default().of("not a jid")), Vec::<String>::new());
}

#[test]
fn the_oldest_go_first_and_numbers_have_no_gaps() {
    let transcript = Transcript::with_capacity(2);
    for id in ["A", "B", "C"] {
        transcript.record(0, Direction::In, 1, None, message(id));
    }
    let kept: Vec<u64> = transcript.read(&StanzaFilter::default()).iter().map(|r| r.seq).collect();
    assert_eq!(kept, [2, 3]);
    assert_eq!(transcript.last(), 3);
}

#[test]
fn contents_are_shown_by_length_only() {
    let transcript = Transcript::default();
    let node = NodeBuilder::new("iq").children([NodeBuilder::new("ref").bytes(b"secret".to_vec()).build()]).build();
    transcript.record(0, Direction::Out, 1, None, stanza(&node));
    let shown = serde_json::to_string(&transcript.read(&StanzaFilter::default())).unwrap();
    assert!(shown.contains("\"bytes\":6"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn waiting_ends_with_the_stanza_or_with_patience() {
    let transcript = std::sync::Arc::new(Transcript::default());
    let waiting = {
        let transcript = transcript.clone();
        tokio::spawn(async move {
            let filter = StanzaFilter::tag("message").id("B");
            transcript.wait_for(&filter, Duration::from_mins(1)).await
        })
    };
    tokio::task::yield_now().await;
    transcript.record(0, Direction::In, 1, None, message("A"));
    transcript.record(0, Direction::In, 1, None, message("B"));
    assert_eq!(waiting.await.unwrap().map(|r| r.seq), Some(2));

    let missing = StanzaFilter::tag("receipt");
    assert!(transcript.wait_for(&missing, Duration::from_millis(20)).await.is_none());
}
