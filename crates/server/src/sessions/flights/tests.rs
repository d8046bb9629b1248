//! The rules of what is in the air, as tables.

use super::*;
use sanasend_model::{Content, Direction, Failure};
use sanasend_store::Message;

const DEADLINE: Timestamp = Timestamp(100_000);

fn now(at: i64) -> Now {
    // The two clocks run together; the second needs a beginning, which any test takes from the first call.
    thread_local! { static BEGIN: Instant = Instant::now(); }
    let since = Duration::from_millis(u64::try_from(at).expect("not before the beginning"));
    Now { at: Timestamp(at), instant: BEGIN.with(|begin| *begin) + since, jitter: 0 }
}

fn id(number: u8) -> MessageId {
    format!("0190a000-0000-7000-8000-0000000000{number:02x}").parse().expect("id")
}

fn claimed(number: u8, chat: &str) -> Claimed {
    let message = Message {
        id: id(number),
        user_id: "0190a000-0000-7000-8000-000000000001".parse().expect("id"),
        session_id: "0190a000-0000-7000-8000-000000000002".parse().expect("id"),
        direction: Direction::Outbound,
        chat: Jid::parse(chat).expect("jid"),
        peer: Peer::default(),
        peer_name: None,
        content: Content::text("hi").expect("text"),
        status: MessageStatus::Pending,
        attempts: 1,
        error_code: None,
        error_message: None,
        created_at: Timestamp(0),
        scheduled_at: None,
        expires_at: Some(DEADLINE),
        sent_at: None,
        delivered_at: None,
        read_at: None,
        wa_message_id: format!("WA{number}"),
        reply_to: None,
        quoted: None,
        metadata: None,
        marks: None,
    };
    Claimed { message, attempts: 1, written_before: false, expires_at: DEADLINE }
}

fn flights() -> Flights {
    Flights::new(2, Duration::from_secs(20))
}

/// Tells the news to a store that takes them.
fn tell(flights: &mut Flights) -> Vec<News> {
    let news = flights.tell().to_vec();
    flights.told();
    news
}

fn flying() -> Flights {
    let mut flights = flights();
    assert!(flights.take_off(&claimed(1, "1@s.whatsapp.net"), now(0)));
    flights
}

#[test]
fn a_chat_is_busy_until_its_message_has_landed_and_room_is_limited() {
    let mut flights = flying();
    assert_eq!((flights.room(), flights.busy_chats().len()), (1, 1));
    assert!(!flights.take_off(&claimed(1, "1@s.whatsapp.net"), now(0)), "in the air already");
    assert!(flights.take_off(&claimed(2, "2@s.whatsapp.net"), now(0)));
    assert_eq!(flights.room(), 0);
    flights.acked("WA1".into(), Timestamp(5), now(5));
    assert_eq!((flights.room(), flights.busy_chats()), (1, vec![Jid::parse("2@s.whatsapp.net").expect("jid")]));
}

#[test]
fn the_chat_that_whatsapp_answered_is_busy_as_well() {
    let mut flights = flying();
    flights.resolved("WA1", Peer::default(), Jid::parse("11@s.whatsapp.net").expect("jid"));
    assert_eq!(flights.busy_chats().len(), 2);
}

#[test]
fn an_acknowledgement_tells_of_the_writing_first_even_when_it_overtakes_it() {
    let mut flights = flying();
    flights.acked("WA1".into(), Timestamp(5), now(6));
    flights.written("WA1", 1, now(7));
    let news = tell(&mut flights);
    assert_eq!(
        news,
        [News::Written { message_id: id(1), at: Timestamp(6) }, News::Acked { wa_message_id: "WA1".into(), at: Timestamp(5) }]
    );
}

#[test]
fn a_report_of_writing_can_wait_and_an_acknowledgement_can_not() {
    let mut flights = flying();
    flights.written("WA1", 1, now(1));
    assert_eq!(flights.has_news(), (true, false));
    flights.acked("WA1".into(), Timestamp(2), now(2));
    assert_eq!(flights.has_news(), (true, true));
    tell(&mut flights);
    assert_eq!(flights.has_news(), (false, false));
}

#[test]
fn an_attempt_of_before_has_no_say_over_the_present_one() {
    let mut flights = flying();
    flights.written("WA1", 0, now(1));
    flights.refused("WA1", 0, &AttemptError::Offline, now(1));
    assert_eq!((flights.has_news().0, flights.is_empty()), (false, false));
}

#[test]
fn every_way_to_land_has_its_news() {
    let retry = |due_at: Option<Timestamp>| (due_at, None);
    let fail = |failure: Failure| (None, Some(failure));
    let nack = |code: &str| AttemptError::Nack { code: code.into() };
    for (error, expected) in [
        (AttemptError::Offline, retry(None)),
        (AttemptError::Unanswered, retry(Some(Timestamp(2_000)))),
        (nack("503"), retry(Some(Timestamp(2_000)))),
        (nack("463"), fail(Failure::ReachoutLimited)),
        (nack("479"), fail(Failure::Rejected)),
        (AttemptError::NotOnWhatsApp, fail(Failure::NotOnWhatsApp)),
    ] {
        let mut flights = flying();
        flights.refused("WA1", 1, &error, now(0));
        let news = tell(&mut flights).pop().expect("news");
        let told = match news {
            News::Retry { due_at, .. } => (due_at, None),
            News::Failed { failure, .. } => (None, Some(failure)),
            other => panic!("{other:?}"),
        };
        assert_eq!(told, expected, "{error:?}");
        assert!(flights.is_empty());
    }
}

#[test]
fn what_waits_for_a_connection_is_asked_for_once() {
    let mut flights = flying();
    flights.take_off(&claimed(2, "2@s.whatsapp.net"), now(0));
    flights.refused("WA1", 1, &AttemptError::Unanswered, now(1));
    assert!(!flights.take_waiting(), "that one has its time");
    flights.refused("WA2", 1, &AttemptError::Offline, now(1));
    assert!(flights.take_waiting());
    assert!(!flights.take_waiting());
    flights.not_taken(&claimed(3, "3@s.whatsapp.net"), now(2));
    assert!(flights.take_waiting());
}

#[test]
fn silence_is_judged_when_the_time_is_over_and_not_before() {
    let mut flights = flying();
    flights.written("WA1", 1, now(10));
    tell(&mut flights);
    assert_eq!(flights.give_up_waiting(now(19_999)), 0);
    assert_eq!(flights.next_overdue(), Some(now(20_000).instant));
    assert_eq!(flights.give_up_waiting(now(20_000)), 1);
    assert!(matches!(tell(&mut flights).as_slice(), [News::Retry { due_at: Some(_), .. }]));
    assert_eq!(flights.next_overdue(), None);
}

#[test]
fn what_the_link_reported_nothing_of_counts_as_written_once_it_was_handed_over() {
    let mut flights = flying();
    flights.take_off(&claimed(2, "2@s.whatsapp.net"), now(0));
    flights.handed("WA1");
    assert_eq!(flights.give_up_waiting(now(20_000)), 2);
    let news = tell(&mut flights);
    assert!(
        matches!(news.as_slice(), [News::Written { message_id, .. }, News::Retry { .. }, News::Retry { .. }] if *message_id == id(1)),
        "{news:?}"
    );
}

#[test]
fn a_broken_line_lands_what_was_written_and_leaves_what_is_still_being_written() {
    let mut flights = flying();
    flights.take_off(&claimed(2, "2@s.whatsapp.net"), now(0));
    flights.written("WA1", 1, now(1));
    tell(&mut flights);
    flights.line_broke(now(2));
    assert!(matches!(tell(&mut flights).as_slice(), [News::Retry { message_id, .. }] if *message_id == id(1)));
    assert_eq!(flights.busy_chats().len(), 1);
    flights.ground(now(3));
    assert!(flights.is_empty());
    assert!(matches!(tell(&mut flights).as_slice(), [News::Retry { message_id, due_at: None, .. }] if *message_id == id(2)));
}

#[test]
fn a_receipt_that_overtakes_the_acknowledgement_tells_of_it_and_the_late_one_does_no_harm() {
    let mut flights = flying();
    let chat = Jid::parse("1@s.whatsapp.net").expect("jid");
    assert!(flights.receipt(vec!["WA1".into()], chat.clone(), None, MessageStatus::Delivered, now(3), Timestamp(3)));
    assert!(flights.is_empty());
    flights.acked("WA1".into(), Timestamp(4), now(4));
    let kind = |news: &News| match news {
        News::Written { .. } => "written",
        News::Acked { .. } => "acked",
        News::Receipt { .. } => "receipt",
        _ => "other",
    };
    assert_eq!(tell(&mut flights).iter().map(kind).collect::<Vec<_>>(), ["written", "acked", "receipt", "acked"]);
    // One of a message that is not in the air holds nobody up: it may wait for others.
    assert!(!flights.receipt(vec!["WA1".into()], chat, None, MessageStatus::Read, now(5), Timestamp(5)));
    assert_eq!(flights.has_news(), (true, false));
}

#[test]
fn past_its_deadline_nothing_takes_off() {
    let mut flights = flights();
    assert!(!flights.take_off(&claimed(1, "1@s.whatsapp.net"), now(100_000)));
    assert!(matches!(tell(&mut flights).as_slice(), [News::Failed { failure: Failure::Expired, .. }]));
    let again = Claimed { written_before: true, ..claimed(1, "1@s.whatsapp.net") };
    assert!(!flights.take_off(&again, now(100_000)));
    assert!(matches!(tell(&mut flights).as_slice(), [News::Failed { failure: Failure::OutcomeUnknown, .. }]));
}

#[test]
fn what_is_sent_again_past_its_own_deadline_has_the_time_of_its_place() {
    let mut flights = flights();
    let again = Claimed { written_before: true, expires_at: Timestamp(300_000), ..claimed(1, "1@s.whatsapp.net") };
    assert!(flights.take_off(&again, now(200_000)));
    assert!(!flights.has_news().0);
}

#[test]
fn news_that_the_store_did_not_take_go_first_the_next_time() {
    let mut flights = flying();
    flights.acked("WA1".into(), Timestamp(1), now(1));
    flights.tell();
    flights.acked("WA2".into(), Timestamp(2), now(2));
    let untold = flights.put_back();
    assert_eq!(landed(&untold), (Vec::new(), vec!["WA1"]), "what is still to be told is not sent again");
    assert_eq!(flights.has_news(), (true, true));
    let news = tell(&mut flights);
    assert!(matches!(news.last(), Some(News::Acked { wa_message_id, .. }) if wa_message_id == "WA2"), "{news:?}");
    let (ids, wa_ids) = landed(&news);
    assert_eq!((ids.len(), wa_ids), (0, vec!["WA1", "WA2"]));
}

#[test]
fn news_are_held_until_the_store_is_known_to_have_taken_them() {
    let mut flights = flights();
    flights.acked("WA1".into(), Timestamp(1), now(1));
    flights.tell();
    flights.acked("WA2".into(), Timestamp(2), now(2));
    assert_eq!(landed(&flights.leave()).1, ["WA1", "WA2"], "nobody answered for the first");
    flights.acked("WA3".into(), Timestamp(3), now(3));
    flights.tell();
    flights.told();
    assert!(flights.leave().is_empty());
    flights.acked("WA5".into(), Timestamp(5), now(5));
    flights.take_over(vec![News::Acked { wa_message_id: "WA4".into(), at: Timestamp(4) }]);
    assert_eq!(landed(&tell(&mut flights)).1, ["WA4", "WA5"], "what the driver before left goes first");
}

#[test]
fn a_late_refusal_of_what_is_not_in_the_air_is_no_news() {
    let mut flights = flights();
    assert!(!flights.nacked("WA1", "479".into(), now(1)));
    assert!(!flights.has_news().0);
}
