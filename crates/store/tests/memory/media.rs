//! Files of messages: kept once per user, carried by messages, let go by age, forgotten when nobody carries them.

use crate::world::{ANNA, Account, Backend, World};
use sanasend_model::{Clock as _, Content, FileId, Jid, Media, MediaKind, MediaState, MessageId};
use sanasend_store::{Accepted, Incoming, IncomingMedia, NewMedia, NewMessage, Peer, StoreError};
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

fn picture(sha256: [u8; 32]) -> Media {
    let about = Media::new(MediaKind::Image, "image/png", 7, sha256);
    Media { caption: Some("look".into()), filename: Some("a.png".into()), width: Some(4), height: Some(3), ..about }
}

async fn file<B: Backend>(w: &World<B>, account: Account, sha256: [u8; 32]) -> FileId {
    w.store.add_file(FileId::new(&*w.clock), account.user, sha256, 7).await.expect("added")
}

fn with_file<B: Backend>(w: &World<B>, account: Account, file: FileId, sha256: [u8; 32]) -> NewMessage {
    NewMessage {
        content: Content::Media(Box::new(picture(sha256))),
        media: Some(NewMedia { file, thumbnail: Some(vec![0xff, 0xd8]) }),
        ..w.text(account, ANNA, "x")
    }
}

fn incoming(id: &str) -> Incoming {
    let anna = Jid::parse("14155550101@s.whatsapp.net").expect("a jid");
    Incoming {
        wa_message_id: id.into(),
        chat: anna.clone(),
        sender: Peer { phone: anna.phone(), jid: Some(anna), lid: None },
        sender_name: None,
        from_me: false,
        content: Content::Media(Box::new(Media { state: MediaState::Remote, ..picture([5; 32]) })),
        quoted: None,
        media: Some(IncomingMedia { remote: b"the way to it".to_vec(), thumbnail: Some(vec![1]), fetch: false }),
        at: crate::world::START,
        raw: None,
    }
}

async fn state_of<B: Backend>(w: &World<B>, id: MessageId) -> MediaState {
    let message = w.store.message(None, id).await.expect("read").expect("there");
    message.content.media().expect("a file").state
}

pub async fn a_message_carries_its_file_and_tells_of_it<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let file = file(&w, account, [1; 32]).await;
    let new = with_file(&w, account, file, [1; 32]);
    assert!(matches!(w.store.accept(new.clone()).await, Ok(Accepted::Created { .. })));
    let message = w.store.message(None, new.id).await.expect("read").expect("there");
    assert_eq!(message.content, new.content, "with caption, name and size");
    assert_eq!(message.content.body(), Some("look"), "the caption is found by searches");
    let part = w.store.media_part(new.id).await.expect("read").expect("a part");
    assert_eq!((part.file, part.thumbnail, part.remote, part.uploaded), (Some(file), Some(vec![0xff, 0xd8]), None, None));
    let claimed = w.claimed(account).await;
    assert_eq!(claimed[0].message.content, new.content, "the driver sees it too");
    w.store.note_upload(new.id, b"where it was handed over".to_vec()).await.expect("noted");
    let part = w.store.media_part(new.id).await.expect("read").expect("a part");
    assert_eq!(part.uploaded.as_deref(), Some(b"where it was handed over".as_slice()));
    assert!(w.store.media_part(MessageId::new(&*w.clock)).await.expect("read").is_none());
}

pub async fn the_same_content_is_one_file_of_a_user_and_another_of_the_next<B: Backend>(w: World<B>) {
    let (one, two) = (w.account().await, w.account().await);
    let first = file(&w, one, [1; 32]).await;
    assert_eq!(file(&w, one, [1; 32]).await, first);
    assert_eq!(w.store.find_file(one.user, [1; 32]).await.expect("asked"), Some(first));
    assert_eq!(w.store.find_file(two.user, [1; 32]).await.expect("asked"), None, "what another user has is not told");
    assert_ne!(file(&w, two, [1; 32]).await, first);
    assert_ne!(file(&w, one, [2; 32]).await, first);
}

pub async fn a_message_with_a_file_that_is_not_there_is_refused_and_spoils_no_other<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let lost = with_file(&w, account, FileId::new(&*w.clock), [9; 32]);
    let (refused, taken) = tokio::join!(w.store.accept(lost.clone()), w.store.accept(w.text(account, ANNA, "fine")));
    assert_eq!(refused, Err(StoreError::Conflict { what: "file" }));
    assert!(matches!(taken, Ok(Accepted::Created { .. })));
    assert!(w.store.message(None, lost.id).await.expect("read").is_none());
}

pub async fn a_file_that_came_in_is_remote_until_it_is_fetched<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let ids = w.store.receive(account.id, account.generation, vec![incoming("A")]).await.expect("received");
    let again = w.store.receive(account.id, account.generation, vec![incoming("A")]).await.expect("again");
    assert_eq!(ids, again, "a replayed stanza changes nothing");
    assert_eq!(state_of(&w, ids[0]).await, MediaState::Remote);
    let part = w.store.media_part(ids[0]).await.expect("read").expect("a part");
    assert_eq!((part.file, part.remote.as_deref()), (None, Some(b"the way to it".as_slice())));
    let event = w.store.events_after(account.user, 0, 10).await.expect("events").pop().expect("told");
    let told = &event.data["message"];
    assert_eq!((told["message_type"].as_str(), told["caption"].as_str()), (Some("image"), Some("look")));
    assert_eq!((told["media"]["state"].as_str(), told["media"]["size"].as_u64()), (Some("remote"), Some(7)));
    let file = w.store.add_file(FileId::new(&*w.clock), account.user, [5; 32], 9).await.expect("added");
    w.store.media_fetched(ids[0], file, Some(vec![2])).await.expect("fetched");
    assert_eq!(state_of(&w, ids[0]).await, MediaState::Stored);
    let told = w.store.message(None, ids[0]).await.expect("read").expect("there").content;
    let expected = Media { size: 9, state: MediaState::Stored, ..picture([5; 32]) };
    assert_eq!(told, Content::Media(Box::new(expected)), "its real size, not the claimed one, and nothing else");
    let part = w.store.media_part(ids[0]).await.expect("read").expect("a part");
    assert_eq!((part.file, part.thumbnail), (Some(file), Some(vec![1])), "the sender's own thumbnail stays");
    let nowhere = w.store.media_fetched(ids[0], FileId::new(&*w.clock), None).await;
    assert_eq!(nowhere, Err(StoreError::Conflict { what: "file" }));
}

pub async fn ways_to_files_are_sealed_and_bound_to_their_message<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let both = vec![incoming("A"), incoming("B")];
    let ids = w.store.receive(account.id, account.generation, both).await.expect("received");
    assert_eq!(w.ask("SELECT COUNT(*) FROM message_media WHERE CAST(remote AS TEXT) LIKE '%the way%'").await, 0);
    w.tamper("UPDATE message_media SET remote = (SELECT remote FROM message_media ORDER BY message_id LIMIT 1)").await;
    let read = [w.store.media_part(ids[0]).await, w.store.media_part(ids[1]).await];
    assert_eq!(read.iter().filter(|part| matches!(part, Err(StoreError::Corrupt { .. }))).count(), 1, "{read:?}");
}

pub async fn files_are_let_go_by_age_unless_they_are_on_their_way<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let (sent, waiting) = (file(&w, account, [1; 32]).await, file(&w, account, [2; 32]).await);
    let (sent, waiting) = (with_file(&w, account, sent, [1; 32]), with_file(&w, account, waiting, [2; 32]));
    let sent = NewMessage { recipient: sanasend_model::Recipient::parse(crate::world::BEN).expect("a number"), ..sent };
    for new in [&sent, &waiting] {
        assert!(matches!(w.store.accept(new.clone()).await, Ok(Accepted::Created { .. })));
    }
    w.ack(account, &sent).await;
    assert_eq!(w.store.let_go_of_media(w.clock.now()).await.expect("asked"), 0, "not old enough");
    let later = w.clock.now().plus(HOUR);
    assert_eq!(w.store.let_go_of_media(later).await.expect("asked"), 1);
    assert_eq!(w.store.let_go_of_media(later).await.expect("asked"), 0);
    assert_eq!((state_of(&w, sent.id).await, state_of(&w, waiting.id).await), (MediaState::Gone, MediaState::Stored));
    assert_eq!(w.store.media_part(sent.id).await.expect("read").expect("a part").file, None);
}

pub async fn files_that_nobody_carries_are_forgotten<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let (carried, left) = (file(&w, account, [1; 32]).await, file(&w, account, [2; 32]).await);
    let new = with_file(&w, account, carried, [1; 32]);
    assert!(matches!(w.store.accept(new).await, Ok(Accepted::Created { .. })));
    assert_eq!(w.store.forget_unused_files(w.clock.now()).await.expect("asked"), [], "it may be accepted in a moment");
    let later = w.clock.now().plus(HOUR);
    assert_eq!(w.store.forget_unused_files(later).await.expect("asked"), [left]);
    assert!(w.store.is_file(carried).await.expect("asked") && !w.store.is_file(left).await.expect("asked"));
    w.store.delete_user(account.user).await.expect("deleted");
    assert_eq!(w.store.forget_unused_files(sanasend_model::Timestamp(1)).await.expect("asked"), [carried], "at once with the user");
}
