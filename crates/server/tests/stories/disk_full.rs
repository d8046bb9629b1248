//! A disk that takes no more: what can't be made durable is refused, what was accepted goes on its way, and when there is
//! room again everything works on without a restart.
//!
//! The disk is full in the form of a limit on the size of files that the process may write: every further write of the
//! database fails. No privileges are needed for it, and the machine's own disk stays as it is.

use crate::world::{PATIENCE, Split, Transcript, eventually, shown_once_in_order};
use sanasend_sandbox::{Direction, StanzaFilter};
use serde_json::json;

/// Files of at most 4 MiB (in blocks of 512 bytes); the signal that comes with a refused write is ignored, so that the write
/// fails as it does on a full disk. Only the soft limit is set: the story lifts it later.
const FULL: [&str; 4] = ["sh", "-c", "trap '' XFSZ; ulimit -S -f 8192; exec \"$@\"", "sh"];

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_loses_nothing() {
    let mut split = Split::linked().await;
    split.kill().await;
    split.run_under(&FULL).await;
    let (shop, friend) = (split.shop(), split.friend("Friend").await);
    shop.status_becomes("connected").await;

    let (mut texts, mut accepted) = (Vec::new(), Vec::new());
    // Large ones first, then small ones, until there is no room for either.
    let mut length = 30_000;
    let refused = loop {
        let text = format!("{:04} {}", texts.len(), "x".repeat(length));
        let answer = shop.api.post("/messages/send-text/", &json!({"recipient": friend.number, "content": text})).await;
        if answer.status != 202 && length > 1 {
            length = 1;
            continue;
        }
        if answer.status != 202 {
            break answer;
        }
        accepted.push(answer.body["data"].clone());
        texts.push(text);
        assert!(texts.len() < 2_000, "the disk never fills");
    };
    assert_eq!((refused.status, refused.code()), (503, "SERVICE_UNAVAILABLE"), "{}", refused.body);
    assert!(refused.headers.contains_key("retry-after"), "it says when to come again");
    assert_eq!(shop.api.get("/messages/list/").await.status, 200, "what is there can be read");

    // What comes in now can't be remembered, so WhatsApp is not told that we have it.
    let id = friend.says(&shop, "while the disk is full").await;
    let handed = StanzaFilter::tag("message").of(&shop.number).direction(Direction::Out).id(&id);
    split.control().wait_for_stanza(&handed, PATIENCE).await.expect("handed to the device");
    for _ in 0..20 {
        shop.session().await;
    }
    // A last small row may have found room; then it is on disk and can be read.
    let acknowledged = Transcript::of(&split.control(), &shop.number).acknowledged().contains(&id);
    let kept = shop.api.get("/messages/list/?direction=inbound").await.body["data"]["count"] != json!(0);
    assert!(!acknowledged || kept, "acknowledged without being on disk");

    split.process().lift_file_limit().await;
    let last = json!({"recipient": friend.number, "content": "there is room again"});
    let sent = eventually("the disk to be used again", || async {
        let answer = shop.api.post("/messages/send-text/", &last).await;
        (answer.status == 202).then(|| answer.body["data"].clone())
    });
    accepted.push(sent.await);
    texts.push("there is room again".to_owned());
    for message in &accepted {
        shop.message_becomes(message, "delivered").await;
    }
    friend.shows_at_least(texts.len()).await;
    shown_once_in_order(&texts, &friend.shows());
    shop.receives("while the disk is full").await;
    Transcript::of(&split.control(), &shop.number).no_counter_is_reused();
}
