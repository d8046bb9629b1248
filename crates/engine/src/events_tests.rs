//! The table of events, row by row.

use super::*;
use sanasend_model::Jid;
use whatsapp_rust::wacore::chrono::{DateTime, Duration as Span};
use whatsapp_rust::wacore::types::events as wire;
use whatsapp_rust::wacore::types::message::MessageSource;

const NOW: Timestamp = Timestamp(1_000_000);

fn jid(text: &str) -> WireJid {
    text.parse().expect("jid")
}

fn hear(event: &Event) -> Option<Signal> {
    translate(event, &|id| id.user.as_str() == "100", NOW)
}

fn end(event: &Event) -> LinkEnd {
    match hear(event) {
        Some(Signal::End(end)) => end,
        other => panic!("no end: {other:?}"),
    }
}

fn told(event: &Event) -> LinkEvent {
    match hear(event) {
        Some(Signal::Tell(event)) => event,
        other => panic!("not told: {other:?}"),
    }
}

fn logged_out(reason: i32) -> Event {
    Event::LoggedOut(wire::LoggedOut::builder().on_connect(true).reason(ConnectFailureReason::from(reason)).build())
}

fn failure(reason: i32) -> Event {
    Event::ConnectFailure(wire::ConnectFailure::builder().reason(ConnectFailureReason::from(reason)).build())
}

fn receipt(kind: ReceiptType, chat: &str, sender: &str) -> Event {
    let source = MessageSource { chat: jid(chat), sender: jid(sender), ..Default::default() };
    let at = DateTime::from_timestamp(7, 0).expect("time");
    Event::Receipt(Receipt::builder().source(source).message_ids(vec!["A".into()]).timestamp(at).r#type(kind).offline(false).build())
}

fn ack(class: &str, error: Option<&str>) -> Event {
    let error = error.map(str::to_owned);
    Event::ServerAck(ServerAck::builder().id("3EB0".into()).class(class.into()).maybe_error(error).build())
}

#[test]
fn every_way_a_link_ends() {
    let replaced = Event::StreamReplaced(wire::StreamReplaced::builder().build());
    let outdated = Event::ClientOutdated(wire::ClientOutdated::builder().build());
    let exhausted = Event::PairingQrCodesExhausted(wire::PairingQrCodesExhausted::builder().disconnected(true).build());
    let code = wire::TempBanReason::SentToTooManyPeople;
    let ban = Event::TemporaryBan(wire::TemporaryBan::builder().code(code.clone()).expire(Span::seconds(60)).build());
    let banned = LinkEnd::Banned { until: Some(Timestamp(1_060_000)), reason: code.to_string() };
    let table = [
        (replaced, LinkEnd::Replaced),
        (outdated, LinkEnd::Outdated),
        (exhausted, LinkEnd::CodesExhausted),
        (ban, banned),
        (logged_out(401), LinkEnd::LoggedOut { code: Some(401) }),
        (logged_out(403), LinkEnd::LoggedOut { code: Some(403) }),
        (logged_out(406), LinkEnd::LoggedOut { code: Some(406) }),
        (failure(402), LinkEnd::Banned { until: None, reason: "WhatsApp gave no reason".into() }),
        (failure(405), LinkEnd::Outdated),
        (failure(429), LinkEnd::RateLimited),
        (failure(501), LinkEnd::ServerTrouble { code: 501 }),
        (failure(409), LinkEnd::Refused { code: 409 }),
        (failure(499), LinkEnd::Refused { code: 499 }),
        (failure(0), LinkEnd::Refused { code: 0 }),
    ];
    for (event, expected) in table {
        assert_eq!(end(&event), expected);
    }
}

#[test]
fn a_server_in_trouble_is_waited_for() {
    for code in [500, 503] {
        assert!(matches!(hear(&failure(code)), Some(Signal::Lost(reason)) if reason.contains(&code.to_string())));
    }
}

#[test]
fn a_pairing_that_failed_says_why_in_words() {
    let paired = |error: &str| {
        let error = wire::PairError::builder()
            .id(jid("1@s.whatsapp.net"))
            .lid(jid("2@lid"))
            .business_name(String::new())
            .platform("smba".into())
            .error(error.into());
        end(&Event::PairError(error.build()))
    };
    let LinkEnd::PairingFailed { reason } = paired("signature-mismatch") else { panic!("another end") };
    assert!(reason.contains("Business"), "{reason}");
    assert!(matches!(paired("x"), LinkEnd::PairingFailed { reason } if reason.contains("(x)")));
}

#[test]
fn codes_are_told_with_their_time() {
    let qr = Event::PairingQrCode(wire::PairingQrCode::builder().code("2@x".into()).timeout(Duration::from_mins(1)).build());
    assert_eq!(told(&qr), LinkEvent::Code(QrCode { text: "2@x".into(), expires_in: Duration::from_mins(1) }));
    let typed = Event::PairingCode(wire::PairingCode::builder().code("ABCD1234".into()).timeout(Duration::from_mins(3)).build());
    assert_eq!(told(&typed), LinkEvent::PairCode { code: "ABCD1234".into(), expires_in: Duration::from_mins(3) });
    let typed_code_left = Event::PairingQrCodesExhausted(wire::PairingQrCodesExhausted::builder().disconnected(false).build());
    assert!(matches!(hear(&typed_code_left), Some(Signal::OnlyPairCodeLeft)));
}

#[test]
fn passkeys_are_told() {
    let asked = Event::PairPasskeyRequest(wire::PairPasskeyRequest::builder().request_options_json(r#"{"challenge":"AA"}"#.into()).build());
    assert_eq!(told(&asked), LinkEvent::PasskeyRequested { options: serde_json::json!({"challenge": "AA"}) });
    let step =
        Event::PairPasskeyConfirmation(wire::PairPasskeyConfirmation::builder().code("ABCD-EFGH".into()).skip_handoff_ux(false).build());
    assert_eq!(told(&step), LinkEvent::PasskeyCode { code: "ABCD-EFGH".into(), show: true });
    let failed = Event::PairPasskeyError(wire::PairPasskeyError::builder().error("x".into()).continuation(false).build());
    assert!(matches!(end(&failed), LinkEnd::PairingFailed { .. }));
}

#[test]
fn only_answers_to_messages_are_told() {
    assert_eq!(told(&ack("message", None)), LinkEvent::Ack { wa_message_id: "3EB0".into(), at: NOW, error: None });
    assert_eq!(told(&ack("message", Some("463"))), LinkEvent::Ack { wa_message_id: "3EB0".into(), at: NOW, error: Some("463".into()) });
    for class in ["receipt", "notification", "call"] {
        assert!(hear(&ack(class, None)).is_none(), "{class}");
    }
}

#[test]
fn receipts_of_others_are_news_and_own_ones_are_not() {
    let delivered = ReceiptNews::Reached(MessageStatus::Delivered);
    let table = [
        (ReceiptType::Delivered, Some(delivered)),
        (ReceiptType::Inactive, Some(delivered)),
        (ReceiptType::Read, Some(ReceiptNews::Reached(MessageStatus::Read))),
        (ReceiptType::Played, Some(ReceiptNews::Reached(MessageStatus::Played))),
        (ReceiptType::Retry, Some(ReceiptNews::RetryAsked)),
        (ReceiptType::Sent, None),
        (ReceiptType::Sender, None),
        (ReceiptType::ReadSelf, None),
        (ReceiptType::PlayedSelf, None),
        (ReceiptType::PeerMsg, None),
        (ReceiptType::HistorySync, None),
        (ReceiptType::ServerError, Some(ReceiptNews::FileMissed)),
    ];
    for (kind, expected) in table {
        let heard = hear(&receipt(kind.clone(), "200:3@s.whatsapp.net", "200:3@s.whatsapp.net"));
        match (heard, expected) {
            (Some(Signal::Receipt { kind: news, by: None, at: Timestamp(7000), .. }), Some(expected)) => assert_eq!(news, expected),
            (None, None) => {}
            (heard, _) => panic!("{kind:?}: {heard:?}"),
        }
        assert!(hear(&receipt(kind, "100@s.whatsapp.net", "100:5@s.whatsapp.net")).is_none(), "own device");
    }
}

#[test]
fn a_receipt_in_a_group_names_who_gave_it() {
    match hear(&receipt(ReceiptType::Read, "120363021033254949@g.us", "200:3@lid")) {
        Some(Signal::Receipt { chat, by: Some(by), .. }) => {
            assert_eq!(crate::jid::from_wire(&chat), Jid::parse("120363021033254949@g.us"));
            assert_eq!(by.user.as_str(), "200");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_member_whose_number_is_told_beside_the_hidden_id_goes_by_the_number() {
    let Event::Receipt(mut receipt) = receipt(ReceiptType::Read, "120363021033254949@g.us", "200:3@lid") else { panic!("a receipt") };
    receipt.source.sender_alt = Some(jid("14155550101@s.whatsapp.net"));
    match hear(&Event::Receipt(receipt)) {
        Some(Signal::Receipt { by: Some(by), .. }) => assert_eq!(by.user.as_str(), "14155550101"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_that_went_through_the_hook_are_not_taken_twice() {
    let batch = |committed| {
        let messages: Arc<[InboundMessage]> = Arc::from([]);
        let batch = wire::MessageBatch::builder().messages(messages).origin(wire::BatchOrigin::Live).hook_committed(committed);
        Event::Messages(batch.build())
    };
    assert!(hear(&batch(true)).is_none());
    assert!(matches!(hear(&batch(false)), Some(Signal::Recovered(_))));
}

#[test]
fn a_lost_connection_is_told_in_words() {
    let lost = |reason| match hear(&Event::Disconnected(wire::Disconnected::builder().reason(reason).build())) {
        Some(Signal::Lost(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(lost(DisconnectReason::StreamEnded), "WhatsApp closed the connection");
    assert!(lost(DisconnectReason::ReadError("reset".into())).contains("reset"));
}

#[test]
fn every_kind_that_the_table_reads_is_asked_for() {
    let interest = EventInterest::of(KINDS);
    for event in [logged_out(401), failure(402), ack("message", None), receipt(ReceiptType::Read, "1@lid", "1@lid")] {
        assert!(interest.wants(event.kind()), "{:?}", event.kind());
    }
}
