//! Pacing by tables and properties: what is told of every wait, and that no history of asking passes a cap.

use super::*;
use proptest::prelude::*;
use rstest::rstest;

/// 2026-11-21T00:00:00Z.
const MIDNIGHT: Timestamp = Timestamp(1_795_219_200_000);

fn policy() -> Policy {
    let warm_up = vec![20, 40, 60];
    Policy { gap_min_seconds: 20, gap_max_seconds: 60, per_hour: 30, per_day: 200, warm_up, cold_per_day: 10, on_the_way: 5 }
}

fn account() -> Account {
    let linked_at = MIDNIGHT.minus(Duration::from_hours(24 * 30));
    Account { linked_at, connected: true, this_hour: 0, today: 0, cold_today: 0, on_the_way: 0, next_at: None }
}

fn at(hours: u64, minutes: u64) -> Timestamp {
    MIDNIGHT.plus(Duration::from_mins(hours * 60 + minutes))
}

#[rstest]
#[case::free(account(), true, None)]
#[case::gap(Account { next_at: Some(at(14, 1)), ..account() }, false, Some("held until 14:01 UTC: account pacing"))]
#[case::gap_over(Account { next_at: Some(at(14, 0)), ..account() }, false, None)]
#[case::hour(Account { this_hour: 30, today: 30, ..account() }, false, Some("held until 15:00 UTC: hourly cap, 30 of 30 sent"))]
#[case::day(Account { today: 200, ..account() }, false, Some("held until 2026-11-22 00:00 UTC: daily cap, 200 of 200 sent"))]
#[case::warm_up(Account { linked_at: MIDNIGHT.minus(Duration::from_secs(1)), today: 40, ..account() }, false,
    Some("held until 2026-11-22 00:00 UTC: warm-up, day 2 of 3, 40 of 40 sent"))]
#[case::warm(Account { linked_at: MIDNIGHT.minus(Duration::from_hours(60)), today: 199, ..account() }, false, None)]
#[case::cold(Account { cold_today: 10, ..account() }, true,
    Some("held until 2026-11-22 00:00 UTC: people who never wrote to the account, 10 of 10 sent today"))]
#[case::known(Account { cold_today: 10, ..account() }, false, None)]
#[case::offline(Account { connected: false, ..account() }, false, Some("held until 14:00 UTC: the account is not connected"))]
#[case::busy(Account { on_the_way: 5, ..account() }, false, Some("held until 14:00 UTC: 5 messages before it are on their way"))]
#[case::longest(Account { next_at: Some(at(14, 1)), this_hour: 30, today: 200, ..account() }, false,
    Some("held until 2026-11-22 00:00 UTC: daily cap, 200 of 200 sent"))]
fn every_wait_says_why(#[case] account: Account, #[case] cold: bool, #[case] told: Option<&str>) {
    let now = at(14, 0);
    let pace = decide(&policy(), &account, cold, now, 0);
    let sentence = match pace {
        Pace::Go => None,
        Pace::Hold(hold) => Some(hold.sentence(now)),
    };
    assert_eq!(sentence.as_deref(), told);
}

#[test]
fn a_wait_that_is_over_is_told_by_its_length_or_its_end() {
    let (since, now) = (at(14, 0), at(14, 0).plus(Duration::from_secs(41)));
    assert_eq!(waited(since, now, "account pacing", now), "held 41 s: account pacing");
    assert_eq!(waited(since, at(15, 2), "hourly cap, 30 of 30 sent", at(15, 2)), "held until 15:02 UTC: hourly cap, 30 of 30 sent");
}

#[test]
fn without_pacing_nothing_but_what_is_on_its_way_holds() {
    let none = Policy::none();
    let busy = Account { linked_at: MIDNIGHT, this_hour: 9_000, today: 90_000, cold_today: 90_000, ..account() };
    assert!(none.is_none() && !policy().is_none());
    assert_eq!(decide(&none, &busy, true, MIDNIGHT, 7), Pace::Go);
    let full = Account { on_the_way: 32, ..busy };
    assert!(matches!(decide(&none, &full, true, MIDNIGHT, 7), Pace::Hold(Hold { why: Why::OnTheWay { count: 32 }, .. })));
    assert_eq!(none.gap(u64::MAX), Duration::ZERO);
}

#[rstest]
#[case(Wish { per_day: Some(201), ..Wish::default() }, "pacing.per_day")]
#[case(Wish { per_hour: Some(31), ..Wish::default() }, "pacing.per_hour")]
#[case(Wish { cold_per_day: Some(11), ..Wish::default() }, "pacing.cold_per_day")]
#[case(Wish { gap_min_seconds: Some(19), ..Wish::default() }, "pacing.gap_min_seconds")]
#[case(Wish { gap_max_seconds: Some(59), ..Wish::default() }, "pacing.gap_max_seconds")]
#[case(Wish { warm_up: Some(vec![20, 41, 60]), ..Wish::default() }, "pacing.warm_up")]
#[case(Wish { warm_up: Some(vec![20]), ..Wish::default() }, "pacing.warm_up")]
fn on_the_real_network_nobody_is_harsher_than_the_server(#[case] wish: Wish, #[case] field: &str) {
    assert_eq!(wish.check(&policy(), false).map_err(|invalid| invalid.field), Err(field.to_owned()));
    assert_eq!(wish.check(&policy(), true), Ok(()), "in the sandbox");
}

#[test]
fn a_gentler_wish_is_taken_and_nonsense_is_refused_everywhere() {
    let wish = Wish { per_day: Some(10), gap_min_seconds: Some(90), warm_up: Some(vec![1, 2, 3, 4]), ..Wish::default() };
    assert_eq!(wish.check(&policy(), false), Ok(()));
    let made = wish.over(&policy());
    assert_eq!((made.per_day, made.gap_min_seconds, made.gap_max_seconds, made.per_hour), (10, 90, 90, 30));
    for (wish, field) in [
        (Wish { per_day: Some(0), ..Wish::default() }, "pacing.per_day"),
        (Wish { per_hour: Some(LARGEST_CAP + 1), ..Wish::default() }, "pacing.per_hour"),
        (Wish { gap_min_seconds: Some(70), gap_max_seconds: Some(60), ..Wish::default() }, "pacing.gap_max_seconds"),
        (Wish { gap_max_seconds: Some(LONGEST_GAP + 1), ..Wish::default() }, "pacing.gap_max_seconds"),
        (Wish { warm_up: Some(vec![0]), ..Wish::default() }, "pacing.warm_up"),
        (Wish { warm_up: Some(vec![1; LONGEST_WARM_UP + 1]), ..Wish::default() }, "pacing.warm_up"),
    ] {
        assert_eq!(wish.check(&policy(), true).map_err(|invalid| invalid.field), Err(field.to_owned()));
    }
}

/// What one account did: the moment of each message, and whether it was to a cold contact.
fn play(policy: &Policy, linked_at: Timestamp, asks: &[(u64, bool, bool, u64)]) -> Vec<(Timestamp, bool)> {
    let mut account = Account { linked_at, ..account() };
    let (mut now, mut sent): (Timestamp, Vec<(Timestamp, bool)>) = (MIDNIGHT.plus(Duration::from_secs(7)), Vec::new());
    for (wait, cold, patient, random) in asks {
        let before = now;
        now = now.plus(Duration::from_millis(*wait));
        if now.hour() != before.hour() {
            account.this_hour = account.on_the_way;
        }
        if now.day() != before.day() {
            (account.today, account.cold_today) = (account.on_the_way, 0);
        }
        match decide(policy, &account, *cold, now, *random) {
            Pace::Go => {
                account.took(*cold, now.plus(policy.gap(*random)));
                account.on_the_way = 0;
                sent.push((now, *cold));
            }
            Pace::Hold(hold) => {
                assert!(hold.until > now, "a hold ends later than now: {hold:?}");
                assert!(hold.until.since(now) <= Duration::from_hours(24) + Duration::from_mins(1), "and it ends: {hold:?}");
                // Whoever comes back at its end is not held for the same reason.
                if *patient {
                    let then = hold.until;
                    let mut later = account.clone();
                    if then.hour() != now.hour() {
                        later.this_hour = 0;
                    }
                    if then.day() != now.day() {
                        (later.today, later.cold_today) = (0, 0);
                    }
                    assert_eq!(decide(policy, &later, *cold, then, *random), Pace::Go, "{hold:?}");
                }
            }
        }
    }
    sent
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (0_u32..40, 0_u32..60, 1_u32..20, 1_u32..60, proptest::collection::vec(1_u32..30, 0..5), 1_u32..10).prop_map(
        |(gap, more, per_hour, per_day, warm_up, cold_per_day)| Policy {
            gap_min_seconds: gap,
            gap_max_seconds: gap + more,
            per_hour,
            per_day,
            warm_up,
            cold_per_day,
            on_the_way: 5,
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_asked_and_when_no_cap_is_passed(
        policy in any_policy(),
        age in 0_u64..6,
        asks in proptest::collection::vec((prop_oneof![0_u64..30_000, 0_u64..4_000_000, 0_u64..90_000_000], any::<bool>(), any::<bool>(), any::<u64>()), 0..400),
    ) {
        let linked_at = MIDNIGHT.minus(Duration::from_hours(24 * age));
        let sent = play(&policy, linked_at, &asks);
        for (index, (at, _)) in sent.iter().enumerate() {
            let until_then = sent.get(..=index).unwrap_or_default();
            let hour = until_then.iter().filter(|(other, _)| other.hour() == at.hour()).count();
            let day = until_then.iter().filter(|(other, _)| other.day() == at.day()).count();
            let cold = until_then.iter().filter(|(other, cold)| *cold && other.day() == at.day()).count();
            let (cap, _) = policy.cap_of_day(linked_at, at.day());
            prop_assert!(hour <= policy.per_hour as usize && day <= cap as usize && cold <= policy.cold_per_day as usize);
            if let Some((before, _)) = index.checked_sub(1).and_then(|index| sent.get(index)) {
                prop_assert!(at.since(*before) >= Duration::from_secs(u64::from(policy.gap_min_seconds)));
            }
        }
    }

    #[test]
    fn gaps_lie_between_their_bounds(policy in any_policy(), random in any::<u64>()) {
        let gap = policy.gap(random);
        prop_assert!(gap >= Duration::from_secs(policy.gap_min_seconds.into()) && gap <= Duration::from_secs(policy.gap_max_seconds.into()));
    }

    #[test]
    fn a_forecast_lists_no_day_above_its_caps_and_always_ends(
        policy in any_policy(), warm in 0_u64..5_000, cold in 0_u64..5_000, accounts in 1_usize..4, minute in 0_u64..1440,
    ) {
        let accounts = vec![Account { linked_at: MIDNIGHT, ..account() }; accounts];
        let told = forecast(&policy, &accounts, warm, cold, at(0, minute));
        prop_assert!(told.ends_at.is_some());
        for (day, count) in told.days {
            let (cap, _) = policy.cap_of_day(MIDNIGHT, day);
            prop_assert!(count <= u64::from(cap) * accounts.len() as u64);
        }
    }
}

#[test]
fn a_forecast_says_what_would_happen() {
    let old = account();
    let told = forecast(&policy(), std::slice::from_ref(&old), 450, 0, at(0, 0));
    assert_eq!(told.days.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [200, 200, 50]);
    let ends = told.ends_at.expect("an end");
    // 50 messages at 30 an hour take an hour and 40 minutes of the third day.
    assert_eq!(ends, MIDNIGHT.plus(Duration::from_hours(48)).plus(Duration::from_mins(100)));
    let cold = forecast(&policy(), &[old.clone(), old.clone()], 0, 1_000, at(0, 0));
    assert_eq!(cold.ends_at.map(|at| at.since(MIDNIGHT).as_secs() / 86_400), Some(50), "20 cold contacts a day");
    assert_eq!(forecast(&policy(), &[], 1, 0, at(0, 0)).ends_at, None);
    assert_eq!(forecast(&policy(), &[old], 0, 0, at(3, 0)).ends_at, Some(at(3, 0)));
}

#[test]
fn health_is_told_by_the_worst_there_is() {
    let figures = Figures { linked: true, ..Figures::default() };
    let now = at(14, 0);
    let level = |account: &Account, figures: &Figures| health(&policy(), account, figures, now).level;
    let new = Account { linked_at: MIDNIGHT, today: 3, ..account() };
    assert_eq!(level(&account(), &figures), Level::Good);
    assert_eq!(level(&new, &figures), Level::WarmingUp);
    assert_eq!(level(&Account { today: 20, ..new.clone() }, &figures), Level::Resting);
    assert_eq!(level(&Account { connected: false, ..new.clone() }, &figures), Level::Offline);
    assert_eq!(level(&new, &Figures { sent: 14, failed: 6, ..figures.clone() }), Level::Failing);
    assert_eq!(level(&new, &Figures { sent: 2, failed: 6, ..figures.clone() }), Level::WarmingUp, "too few to judge");
    assert_eq!(level(&new, &Figures { limited_until: Some(at(15, 0)), ..figures.clone() }), Level::Limited);
    assert_eq!(level(&new, &Figures { limited_until: Some(at(13, 0)), ..figures.clone() }), Level::WarmingUp, "it is over");
    assert_eq!(level(&new, &Figures { warning: Some("WhatsApp banned the account".into()), ..figures.clone() }), Level::Limited);
    assert_eq!(level(&new, &Figures { refused_at: Some(at(9, 30)), ..figures.clone() }), Level::Limited, "a 463 of today");
    assert_eq!(level(&new, &Figures { refused_at: Some(MIDNIGHT.minus(Duration::from_secs(1))), ..figures }), Level::WarmingUp);
    assert_eq!(level(&new, &Figures::default()), Level::Unlinked);
    for level in Level::ALL {
        assert_eq!(level.as_str().parse(), Ok(level));
    }
}
