//! What is written is read back, and what strangers may write does no harm.

use super::*;

fn outgoing(rich: Rich) -> OutgoingRich {
    let to = Jid::parse("15550100@s.whatsapp.net").expect("jid");
    OutgoingRich { wa_message_id: "3EB0".into(), to, rich, quoted: None, at: Timestamp(7) }
}

fn about(from_me: bool) -> Target {
    Target { wa_message_id: "3EB0AA".into(), from_me, participant: None, message_id: None }
}

fn card_of(name: &str) -> ContactCard {
    ContactCard { name: name.into(), phones: vec!["+12025550123".into()], emails: Vec::new(), organization: None }
}

#[test]
fn every_kind_that_is_sent_is_read_back() {
    let place = Location { latitude: 52.5, longitude: -13.4, name: Some("Here".into()), address: None };
    let poll = |count| Poll::new("Lunch?".into(), vec!["yes".into(), "no".into()], count, [7; 32]).expect("a poll");
    for rich in [
        Rich::Location(place),
        Rich::Contact { contacts: vec![card_of("Anna")] },
        Rich::Contact { contacts: vec![card_of("Anna"), card_of("Ben")] },
        Rich::Poll(poll(1)),
        Rich::Poll(poll(2)),
        Rich::Reaction { target: about(false), emoji: "👍".into() },
        Rich::Reaction { target: about(false), emoji: String::new() },
        Rich::Edit { target: about(false), text: "better".into() },
        Rich::Revoke { target: about(false), by_admin: false },
    ] {
        let composed = compose(outgoing(rich.clone())).expect("composed");
        assert!(read(&composed, None) == Some(rich.clone()), "{rich:?}");
    }
    assert!(compose(outgoing(Rich::PollVote { target: about(false), options: Vec::new() })).is_none());
}

#[test]
fn a_key_names_its_author_in_groups_only_and_never_ourselves() {
    let group = Jid::parse("120363000000000000@g.us").expect("jid");
    let person = Jid::parse("15550100@s.whatsapp.net").expect("jid");
    let by = |from_me| Target { participant: Some(person.clone()), ..about(from_me) };
    assert_eq!(key(&group, by(false)).participant.as_deref(), Some("15550100@s.whatsapp.net"));
    assert_eq!(key(&group, by(true)).participant, None);
    assert_eq!(key(&person, by(false)).participant, None);
}

#[test]
fn what_can_not_be_used_is_not_read() {
    let place = LocationMessage { degrees_latitude: Some(f64::NAN), degrees_longitude: Some(0.0), ..Default::default() };
    let nowhere = Message { location_message: MessageField::some(place), ..Default::default() };
    let keyless = Message { reaction_message: MessageField::some(ReactionMessage::default()), ..Default::default() };
    let unasked = Message { poll_creation_message: MessageField::some(PollCreationMessage::default()), ..Default::default() };
    let wordless = ProtocolMessage {
        key: MessageField::some(MessageKey { id: Some("3EB0".into()), ..Default::default() }),
        r#type: Some(Type::MESSAGE_EDIT),
        ..Default::default()
    };
    let wordless = Message { protocol_message: MessageField::some(wordless), ..Default::default() };
    for message in [nowhere, keyless, unasked, wordless] {
        assert!(read(&message, None).is_none());
    }
}
