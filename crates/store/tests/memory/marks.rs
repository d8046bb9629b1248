//! Reactions, edits, deletions and votes: kept as messages, and shown at the message that they are about.

use crate::world::{ANNA, Account, BEN, Backend, START, World};
use sanasend_model::{Content, EventKind, Jid, Location, MessageId, PhoneNumber, Poll, Rich, Target, Timestamp};
use sanasend_store::{Event, Incoming, Message, News, Peer};
use std::time::Duration;

const GROUP: &str = "120363021033254949@g.us";

fn at(secs: u64) -> Timestamp {
    START.plus(Duration::from_secs(secs))
}

fn about(id: &str) -> Target {
    Target { wa_message_id: id.into(), from_me: false, participant: None, message_id: None }
}

fn react(to: &str, emoji: &str) -> Content {
    Rich::Reaction { target: about(to), emoji: emoji.into() }.into()
}

fn edit(to: &str, text: &str) -> Content {
    Rich::Edit { target: about(to), text: text.into() }.into()
}

fn revoke(to: &str, by_admin: bool) -> Content {
    Rich::Revoke { target: about(to), by_admin }.into()
}

/// Something from a person, in the chat with them.
fn from(who: &str, id: &str, content: impl Into<Content>, secs: u64) -> Incoming {
    let phone = PhoneNumber::parse(who).expect("a number");
    let lid = Jid::parse(&format!("{}7@lid", phone.digits()));
    Incoming {
        wa_message_id: id.into(),
        chat: phone.jid(),
        sender: Peer { jid: Some(phone.jid()), lid, phone: Some(phone) },
        sender_name: Some("Somebody".into()),
        from_me: false,
        content: content.into(),
        quoted: None,
        at: at(secs),
        media: None,
        raw: None,
    }
}

fn in_group(incoming: Incoming) -> Incoming {
    Incoming { chat: Jid::parse(GROUP).expect("a group"), ..incoming }
}

fn text(body: &str) -> Content {
    Content::text(body).expect("a text")
}

async fn receive<B: Backend>(w: &World<B>, account: Account, incoming: Incoming) -> MessageId {
    w.store.receive(account.id, account.generation, vec![incoming]).await.expect("received")[0]
}

async fn message<B: Backend>(w: &World<B>, id: MessageId) -> Message {
    w.store.message(None, id).await.expect("read").expect("there")
}

/// Emojis on a message, in their order.
async fn emojis<B: Backend>(w: &World<B>, id: MessageId) -> Vec<String> {
    let marks = message(w, id).await.marks.unwrap_or_default();
    marks.reactions.iter().map(|reacted| reacted.emoji.clone()).collect()
}

async fn told<B: Backend>(w: &World<B>, account: Account, kind: EventKind) -> Vec<Event> {
    let events = w.store.events_after(account.user, 0, 1000).await.expect("read");
    events.into_iter().filter(|event| event.kind == kind).collect()
}

pub async fn a_place_cards_and_a_poll_are_read_back_as_they_were<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let place = Rich::Location(Location::new(52.5, 13.25, Some("Here".into()), None).expect("a place"));
    let poll = Poll::new("Lunch?".into(), vec!["yes".into(), "no".into()], 1, [9; 32]).expect("a poll");
    for (number, rich) in [place, Rich::Poll(poll.clone())].into_iter().enumerate() {
        let id = receive(&w, account, from(ANNA, &format!("R{number}"), rich.clone(), 1)).await;
        let read = message(&w, id).await;
        assert!(read.content.rich() == Some(&rich), "{read:?}");
        assert_eq!(read.content.kind(), rich.kind());
    }
    assert_eq!(w.store.poll(account.id, "R1").await, Ok(Some(poll)));
    assert_eq!(w.store.poll(account.id, "R0").await, Ok(None));
    assert_eq!(w.store.poll(w.account().await.id, "R1").await, Ok(None), "of this account only");
}

pub async fn a_reaction_shows_at_its_message_and_is_told<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "hello").await;
    let first = receive(&w, account, from(ANNA, "A1", react(&sent.wa_message_id, "👍"), 1)).await;
    receive(&w, account, from(ANNA, "A2", react(&sent.wa_message_id, "❤️"), 2)).await;
    assert_eq!(emojis(&w, sent.id).await, ["❤️"]);
    let reaction = message(&w, first).await;
    let target = reaction.content.rich().and_then(Rich::target).expect("it is about something");
    assert_eq!((target.message_id, target.from_me), (Some(sent.id), true));
    let events = told(&w, account, EventKind::MessageReacted).await;
    assert_eq!(events.len(), 2);
    assert_eq!((events[0].message_id, events[0].data["reaction"]["emoji"].as_str()), (Some(sent.id), Some("👍")));
    assert_eq!(events[0].data["reaction"]["by"]["phone"], ANNA);
    assert_eq!(told(&w, account, EventKind::MessageReceived).await.len(), 2, "and each is a message itself");
    receive(&w, account, from(ANNA, "A3", react(&sent.wa_message_id, ""), 3)).await;
    assert!(emojis(&w, sent.id).await.is_empty());
    // The same stanza again.
    receive(&w, account, from(ANNA, "A2", react(&sent.wa_message_id, "❤️"), 2)).await;
    assert!(emojis(&w, sent.id).await.is_empty());
    assert_eq!(told(&w, account, EventKind::MessageReacted).await.len(), 3);
}

pub async fn what_is_about_an_unknown_message_is_kept_all_the_same<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let id = receive(&w, account, from(ANNA, "A1", react("unheard of", "👍"), 1)).await;
    assert_eq!(message(&w, id).await.content.rich().and_then(Rich::target).map(|target| target.message_id), Some(None));
    assert!(told(&w, account, EventKind::MessageReacted).await.is_empty());
}

pub async fn a_message_and_what_is_done_to_it_may_come_together<B: Backend>(w: World<B>) {
    use EventKind::{MessageDeleted, MessageEdited, MessageReceived};
    let account = w.account().await;
    let batch = vec![
        from(ANNA, "A1", text("teh bread"), 1),
        from(ANNA, "A2", edit("A1", "the bread"), 2),
        from(ANNA, "A3", revoke("A1", false), 3),
    ];
    let ids = w.store.receive(account.id, account.generation, batch).await.expect("received");
    let read = message(&w, ids[0]).await;
    let marks = read.marks.expect("marked");
    assert_eq!((read.content.text_body(), marks.edited_at, marks.deleted_at), (Some("the bread"), Some(at(2)), Some(at(3))));
    let kinds: Vec<EventKind> = w.store.events_after(account.user, 0, 10).await.expect("read").iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [MessageReceived, MessageReceived, MessageEdited, MessageReceived, MessageDeleted]);
}

pub async fn what_is_done_to_a_message_may_come_before_it<B: Backend>(w: World<B>) {
    let (account, other) = (w.account().await, w.account().await);
    let edited = receive(&w, account, from(ANNA, "A2", edit("A1", "the bread"), 2)).await;
    receive(&w, account, from(ANNA, "A3", react("A1", "👍"), 3)).await;
    // In another account, and by somebody else who knows the id.
    receive(&w, other, from(ANNA, "A4", revoke("A1", false), 4)).await;
    receive(&w, account, from(BEN, "B1", revoke("A1", false), 4)).await;
    let id = receive(&w, account, from(ANNA, "A1", text("teh bread"), 1)).await;
    let about = message(&w, edited).await.content.rich().and_then(Rich::target).and_then(|target| target.message_id);
    assert_eq!(about, Some(id));
    let counts = async || {
        let kinds = [EventKind::MessageEdited, EventKind::MessageReacted, EventKind::MessageDeleted];
        let mut counts = Vec::new();
        for kind in kinds {
            counts.push(told(&w, account, kind).await.len());
        }
        counts
    };
    assert_eq!(counts().await, [1, 1, 0]);
    assert_eq!(receive(&w, account, from(ANNA, "A1", text("teh bread"), 1)).await, id, "the same stanza again");
    assert_eq!(counts().await, [1, 1, 0]);
    let read = message(&w, id).await;
    let marks = read.marks.expect("marked");
    assert_eq!((read.content.text_body(), marks.edited_at, marks.deleted_at), (Some("the bread"), Some(at(2)), None));
    assert_eq!(marks.reactions.len(), 1);

    receive(&w, account, from(ANNA, "D2", revoke("D1", false), 6)).await;
    let deleted = receive(&w, account, from(ANNA, "D1", text("never mind"), 5)).await;
    assert_eq!(message(&w, deleted).await.marks.and_then(|marks| marks.deleted_at), Some(at(6)));
}

pub async fn nobody_changes_what_somebody_else_wrote<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let sent = w.send(account, ANNA, "ours").await;
    let annas = receive(&w, account, in_group(from(ANNA, "G1", text("Anna's"), 1))).await;
    let other = receive(&w, account, from(BEN, "B1", text("Ben's"), 1)).await;
    let attempts = [
        from(ANNA, "X1", edit(&sent.wa_message_id, "forged"), 2),
        from(ANNA, "X2", revoke(&sent.wa_message_id, false), 2),
        in_group(from(BEN, "X3", edit("G1", "forged"), 2)),
        in_group(from(BEN, "X4", revoke("G1", false), 2)),
        // From another chat, by somebody who knows the id.
        from(ANNA, "X5", react("B1", "👎"), 2),
        from(ANNA, "X6", revoke("B1", true), 2),
    ];
    for attempt in attempts {
        receive(&w, account, attempt).await;
    }
    for id in [sent.id, annas, other] {
        assert_eq!(message(&w, id).await.marks, None);
    }
    assert_eq!(message(&w, sent.id).await.content.text_body(), Some("ours"));
    receive(&w, account, in_group(from(BEN, "X7", revoke("G1", true), 4))).await;
    let marks = message(&w, annas).await.marks.expect("deleted by an admin");
    assert_eq!(marks.deleted_at, Some(at(4)));
}

pub async fn what_the_account_does_shows_when_it_is_acknowledged<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let theirs = receive(&w, account, from(ANNA, "A1", text("Is it ready?"), 1)).await;
    let mut reaction = w.text(account, ANNA, "x");
    reaction.content = react("A1", "👍");
    w.store.accept(reaction.clone()).await.expect("accepted");
    assert!(emojis(&w, theirs).await.is_empty(), "nobody has seen it yet");
    w.claim(account).await;
    w.apply(account, vec![News::Acked { wa_message_id: reaction.wa_message_id.clone(), at: at(5) }]).await;
    assert_eq!(emojis(&w, theirs).await, ["👍"]);
    let events = told(&w, account, EventKind::MessageReacted).await;
    assert_eq!((events.len(), &events[0].data["reaction"]["by"]["from_me"]), (1, &true.into()));
    w.apply(account, vec![News::Acked { wa_message_id: reaction.wa_message_id, at: at(6) }]).await;
    assert_eq!(told(&w, account, EventKind::MessageReacted).await.len(), 1, "once");
}

pub async fn votes_are_counted_once_for_each_person<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let poll = Poll::new("Lunch?".into(), vec!["yes".into(), "no".into()], 2, [9; 32]).expect("a poll");
    let id = receive(&w, account, in_group(from(ANNA, "P1", Rich::Poll(poll), 1))).await;
    let vote = |options: &[&str]| Rich::PollVote { target: about("P1"), options: options.iter().map(|name| (*name).to_owned()).collect() };
    receive(&w, account, in_group(from(ANNA, "V1", vote(&["yes", "no"]), 2))).await;
    receive(&w, account, in_group(from(BEN, "V2", vote(&["no"]), 2))).await;
    receive(&w, account, in_group(from(ANNA, "V3", vote(&["yes"]), 3))).await;
    let marks = message(&w, id).await.marks.expect("voted");
    let votes: Vec<String> = marks.votes.iter().map(|voted| voted.options.join("+")).collect();
    assert_eq!(votes, ["no", "yes"]);
    receive(&w, account, in_group(from(ANNA, "V4", vote(&[]), 4))).await;
    assert_eq!(message(&w, id).await.marks.map(|marks| marks.votes.len()), Some(1));
    assert_eq!(told(&w, account, EventKind::MessageVoted).await.len(), 4);
}

pub async fn erasing_a_person_takes_their_reactions_off_the_messages_of_others<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let annas = receive(&w, account, in_group(from(ANNA, "G1", text("Anna's"), 1))).await;
    receive(&w, account, in_group(from(BEN, "B1", react("G1", "👍"), 2))).await;
    receive(&w, account, in_group(from(ANNA, "A1", react("G1", "❤️"), 2))).await;
    assert_eq!(emojis(&w, annas).await, ["👍", "❤️"]);
    let ben = PhoneNumber::parse(BEN).expect("a number").jid();
    w.store.erase_traces(account.user, &[ben]).await.expect("erased");
    assert_eq!(emojis(&w, annas).await, ["❤️"]);
}
