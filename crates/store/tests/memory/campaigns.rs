//! Campaigns: one message or none for each recipient, whatever is repeated or killed; pacing that holds for an account
//! whoever uses it; and reports that add up.

use crate::opt_outs::{by_lid, by_phone, opt_out, writes};
use crate::world::{ANNA, Account, BEN, Backend, World};
use sanasend_model::campaign::{CampaignWish, Skip};
use sanasend_model::pacing::{Level, Policy};
use sanasend_model::{
    CampaignId, CampaignState, Clock, Content, EventKind, Failure, FileId, Media, MediaKind, MessageId, PhoneNumber, Reason, ReasonCode,
    Recipient, RecipientState, SessionId, SessionStatus, Step, Timestamp, UserId,
};
use sanasend_store::{
    Ahead, CampaignChanged, CampaignFilter, CampaignMade, CampaignRecipient, CampaignTurn, CampaignTurned, Incoming, NewCampaign, NewMedia,
    NewRecipient, News, Page, RecipientFilter, SessionPatch, Store, StoreError, Turn, TurnMessage, TurnWhat,
};
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Ten seconds between messages, and no other rule.
fn gaps() -> Policy {
    Policy { gap_min_seconds: 10, gap_max_seconds: 10, on_the_way: 1000, ..Policy::none() }
}

fn number(index: usize) -> String {
    format!("+1415555{index:04}")
}

fn jid(index: usize) -> String {
    PhoneNumber::parse(&number(index)).expect("a number").jid().to_string()
}

pub fn planned(index: usize) -> NewRecipient {
    NewRecipient { recipient: jid(index), variables: Some(json!({"n": index})), skip: None }
}

impl<B: Backend> World<B> {
    /// A linked and connected account.
    pub async fn connected(&self, account: Account) -> Account {
        let phone = PhoneNumber::parse(&format!("+1202555{:04}", 100 + self.number())).ok();
        let patch = SessionPatch {
            status: Some(SessionStatus::Connected),
            linked: Some(true),
            wanted: Some(true),
            phone: Some(phone),
            ..SessionPatch::default()
        };
        self.store.update_session(account.id, account.generation, patch).await.expect("changed");
        account
    }

    async fn campaign(&self, user: UserId, accounts: &[Account], recipients: Vec<NewRecipient>) -> CampaignId {
        let new = NewCampaign {
            id: CampaignId::new(&*self.clock),
            user_id: user,
            name: "Spring".into(),
            content: json!({"text": "Hello {{n}}"}),
            pacing: json!("default"),
            quiet_hours: None,
            media: None,
            accounts: accounts.iter().map(|account| account.id).collect(),
            key: None,
        };
        let id = new.id;
        assert!(matches!(self.store.create_campaign(new).await, Ok(CampaignMade::Done(_))));
        self.store.add_recipients(id, 0, recipients).await.expect("written");
        self.store.complete_campaign(id).await.expect("written").expect("there");
        id
    }

    pub async fn started(&self, user: UserId, accounts: &[Account], recipients: Vec<NewRecipient>) -> CampaignId {
        let id = self.campaign(user, accounts, recipients).await;
        self.change(id, CampaignWish::Start).await;
        id
    }

    async fn change(&self, id: CampaignId, wish: CampaignWish) {
        let changed = self.store.change_campaign(id, wish).await.expect("answered");
        assert!(matches!(changed, CampaignChanged::Done(_)), "{wish:?}: {changed:?}");
    }

    pub async fn state(&self, id: CampaignId) -> CampaignState {
        self.store.campaign(id).await.expect("read").expect("there").state
    }

    /// What a worker would hand in now.
    async fn prepare(&self, store: &Store, id: CampaignId, policy: &Policy, most: u32) -> CampaignTurn {
        self.prepare_of(store, id, policy, (Ahead::All, most)).await
    }

    async fn prepare_of(&self, store: &Store, id: CampaignId, policy: &Policy, (whom, most): (Ahead, u32)) -> CampaignTurn {
        let campaign = store.campaign(id).await.expect("read").expect("there");
        let next = store.next_recipients(id, whom, 0, self.clock.now(), most).await.expect("read");
        let accounts: Vec<SessionId> =
            store.campaign_accounts(id).await.expect("read").into_iter().map(|account| account.session_id).collect();
        let people: Vec<String> = next.iter().map(|one| one.recipient.clone()).collect();
        let cold = if policy.cold_per_day == u32::MAX { Vec::new() } else { store.cold_contacts(&accounts, &people).await.expect("read") };
        let turn = |one: CampaignRecipient| {
            let cold_for = cold.iter().filter(|(who, _)| *who == one.recipient).map(|(_, account)| *account).collect();
            let message = TurnMessage {
                id: MessageId::new(&*self.clock),
                wa_message_id: format!("3EB0{:016X}", self.number()),
                recipient: Recipient::parse(&one.recipient).expect("a recipient"),
                content: Content::text("hello").expect("a text"),
                media: None,
                metadata: None,
                cold_for,
                held: one.held_since.zip(one.held_until).zip(one.held_why).map(|((since, until), why)| (since, until, why)),
                quiet: one.held_since.zip(one.quiet).map(|(since, (until, why))| (since, until, why)),
            };
            Turn { ordinal: one.ordinal, what: TurnWhat::Send(Box::new(message)) }
        };
        CampaignTurn {
            campaign: id,
            step: campaign.step,
            policy: policy.clone(),
            all_asleep: false,
            sees_all: true,
            turns: next.into_iter().map(turn).collect(),
            leaving: Vec::new(),
            stop: None,
            deadline: DAY,
            daily_limit: 1_000_000,
        }
    }

    async fn turn(&self, id: CampaignId, policy: &Policy) -> CampaignTurned {
        let asked = self.prepare(&self.store, id, policy, 32).await;
        self.store.campaign_turn(asked).await.expect("a turn")
    }

    /// WhatsApp takes everything that waits in an account.
    async fn takes_all(&self, account: Account) -> usize {
        let claimed = self.claimed(account).await;
        let news = claimed.iter().map(|claimed| News::Acked { wa_message_id: claimed.message.wa_message_id.clone(), at: self.clock.now() });
        self.apply(account, news.collect()).await;
        claimed.len()
    }

    async fn recipients(&self, id: CampaignId) -> Vec<CampaignRecipient> {
        let page = Page { page: 1, page_size: 100_000 };
        self.store.list_recipients(id, &RecipientFilter::default(), page).await.expect("read").results
    }

    /// Names of the events of campaigns, in order.
    async fn told(&self, user: UserId) -> Vec<EventKind> {
        let events = self.store.events_after(user, 0, 100_000).await.expect("read");
        events.into_iter().map(|event| event.kind).filter(|kind| kind.as_str().starts_with("campaign.")).collect()
    }
}

pub async fn a_campaign_goes_through_its_states_and_tells_them<B: Backend>(w: World<B>) {
    use EventKind::{CampaignFinished, CampaignPaused, CampaignProgressed, CampaignResumed, CampaignStarted};
    let account = w.account().await;
    let account = w.connected(account).await;
    let skipped = NewRecipient { recipient: "nobody".into(), variables: None, skip: Some((Skip::Invalid, Some("no number".into()))) };
    let id = w.campaign(account.user, &[account], vec![planned(1), skipped, planned(2)]).await;
    let campaign = w.store.campaign(id).await.expect("read").expect("there");
    assert_eq!((campaign.state, campaign.total, campaign.skipped, campaign.left()), (CampaignState::Draft, 3, 1, 2));
    assert_eq!(w.store.change_campaign(id, CampaignWish::Pause).await, Ok(CampaignChanged::WrongState(CampaignState::Draft)));
    assert_eq!(w.store.add_recipients(id, 3, vec![planned(3)]).await, Err(StoreError::Conflict { what: "campaign" }), "it is whole");
    w.change(id, CampaignWish::Start).await;
    w.change(id, CampaignWish::Pause).await;
    assert_eq!(w.turn(id, &Policy::none()).await, CampaignTurned::Stale, "nothing is accepted while it is paused");
    w.change(id, CampaignWish::Resume).await;
    assert!(matches!(w.turn(id, &Policy::none()).await, CampaignTurned::Next { accepted, .. } if accepted == [account.id]));
    assert!(matches!(w.turn(id, &Policy::none()).await, CampaignTurned::Next { .. }), "two are on their way");
    assert_eq!(w.takes_all(account).await, 2);
    assert_eq!(w.turn(id, &Policy::none()).await, CampaignTurned::Finished);
    assert_eq!((w.state(id).await, w.turn(id, &Policy::none()).await), (CampaignState::Finished, CampaignTurned::Stale));
    let expected = [CampaignStarted, CampaignPaused, CampaignResumed, CampaignProgressed, CampaignFinished];
    assert_eq!(w.told(account.user).await, expected);
    let funnel = w.store.campaign_funnels(id).await.expect("counted").all;
    assert_eq!((funnel.total, funnel.sent, funnel.all_skipped(), funnel.sums_up()), (3, 2, 1, true));
    let listed =
        w.store.list_campaigns(&CampaignFilter { search: Some("SPRI".into()), ..CampaignFilter::default() }, Page::default()).await;
    assert_eq!(listed.expect("listed").count, 1);
    assert!(w.store.delete_campaign(id).await.expect("deleted"));
    assert_eq!((w.store.campaign(id).await, w.recipients(id).await.len()), (Ok(None), 0));
}

pub async fn a_turn_that_comes_twice_or_breaks_doubles_nobody<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let account = w.connected(account).await;
    let id = w.started(account.user, &[account], (0..20).map(planned).collect()).await;
    let asked = w.prepare(&w.store, id, &Policy::none(), 8).await;
    let other = w.reopen().await;
    let twice = tokio::join!(w.store.campaign_turn(asked.clone()), other.campaign_turn(asked.clone()));
    let stale = [twice.0.expect("a turn"), twice.1.expect("a turn")].into_iter().filter(|turned| *turned == CampaignTurned::Stale).count();
    assert_eq!(stale, 1, "of two nodes with the same turn one makes it");
    assert_eq!(w.store.campaign_turn(asked.clone()).await, Ok(CampaignTurned::Stale), "and a job that runs again does nothing");
    // The number of the turn is right, and the recipients are not: all of it is undone.
    let wrong = CampaignTurn { step: asked.step + 1, ..asked };
    assert!(matches!(w.store.campaign_turn(wrong).await, Err(StoreError::Conflict { .. })));
    assert_eq!(w.ask("SELECT COUNT(*) FROM outbox").await, 8);
    assert_eq!(w.ask("SELECT COUNT(*) FROM campaign_recipients WHERE state = 1 AND message_id IS NOT NULL").await, 8);
    while w.store.campaign(id).await.expect("read").expect("there").left() > 0 {
        w.takes_all(account).await;
        w.turn(id, &Policy::none()).await;
    }
    assert_eq!(w.ask("SELECT COUNT(DISTINCT chat) FROM messages").await, 20);
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, 20);
}

pub async fn campaigns_and_ordinary_sends_share_the_caps_of_an_account<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let account = w.connected(account).await;
    let policy = Policy { per_hour: 6, ..gaps() };
    let one = w.started(account.user, &[account], (0..10).map(planned).collect()).await;
    let two = w.started(account.user, &[account], (10..20).map(planned).collect()).await;
    // Two ordinary messages count; they are never held.
    w.send(account, ANNA, "one").await;
    w.send(account, BEN, "two").await;
    for round in 0..12 {
        w.turn(if round % 2 == 0 { one } else { two }, &policy).await;
        w.takes_all(account).await;
        w.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, 6, "six in the hour, whoever sent them");
    let campaign = w.store.campaign(two).await.expect("read").expect("there");
    assert_eq!(campaign.held_why.as_deref(), Some("hourly cap, 6 of 6 sent"));
    let held = w.recipients(two).await.into_iter().find(|one| one.held_why.is_some()).expect("somebody is told why it waits");
    assert_eq!((held.state, held.held_why.as_deref()), (RecipientState::Planned, Some("hourly cap, 6 of 6 sent")));
    w.clock.advance(HOUR);
    w.turn(two, &policy).await;
    let accepted = w.recipients(two).await.into_iter().find(|one| one.ordinal == held.ordinal).expect("there");
    let timeline = w.store.timeline(accepted.message_id.expect("accepted")).await.expect("read");
    let steps: Vec<Step> = timeline.iter().map(|entry| entry.step).collect();
    assert_eq!(steps, [Step::Held, Step::Accepted]);
    let told = timeline[0].detail.as_deref().expect("a reason");
    assert!(told.starts_with("held until 01:00 UTC: hourly cap, 6 of 6 sent"), "{told}");
}

pub async fn accounts_share_the_work_and_one_that_is_limited_leaves<B: Backend>(w: World<B>) {
    let user = w.user("anna").await.id;
    let first = w.account_of(user, "first").await;
    let second = w.account_of(user, "second").await;
    let (first, second) = (w.connected(first).await, w.connected(second).await);
    let id = w.started(user, &[first, second], (0..12).map(planned).collect()).await;
    for _ in 0..3 {
        w.turn(id, &gaps()).await;
        w.clock.advance(Duration::from_secs(10));
    }
    let took = |account: Account| {
        let store = &w.store;
        async move {
            let by_account = store.campaign_funnels(id).await.expect("counted").by_account;
            by_account.into_iter().find(|(session, ..)| *session == account.id).map_or(0, |(_, accepted, ..)| accepted)
        }
    };
    assert_eq!((took(first).await, took(second).await), (3, 3));
    let until = w.clock.now().plus(DAY);
    let limited = SessionPatch { limited_until: Some(Some(until)), ..SessionPatch::default() };
    w.store.update_session(first.id, first.generation, limited.clone()).await.expect("changed");
    for _ in 0..2 {
        w.turn(id, &gaps()).await;
        w.clock.advance(Duration::from_secs(10));
    }
    assert_eq!((took(first).await, took(second).await), (3, 5), "the other goes on alone");
    let accounts = w.store.campaign_accounts(id).await.expect("read");
    assert!(accounts[0].left_why.as_deref().is_some_and(|why| why.contains("463")), "{accounts:?}");
    w.store.update_session(second.id, second.generation, limited).await.expect("changed");
    assert!(matches!(w.turn(id, &gaps()).await, CampaignTurned::Stopped { reason } if reason.contains("second: WhatsApp limits it")));
    let campaign = w.store.campaign(id).await.expect("read").expect("there");
    assert_eq!((campaign.state, campaign.left()), (CampaignState::Stopped, 4));
    // The limit is over, and its owner goes on.
    w.clock.advance(DAY);
    w.change(id, CampaignWish::Resume).await;
    w.turn(id, &gaps()).await;
    assert_eq!((took(first).await, took(second).await), (4, 6));
}

pub async fn a_banned_account_leaves_and_one_that_is_silent_is_waited_for<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let account = w.connected(account).await;
    let id = w.started(account.user, &[account], vec![planned(0)]).await;
    let becomes = async |code| {
        // It is the code that counts, whatever the sentence says.
        let reason = Some(Some(Reason::new(code, "WhatsApp banned the account or not.")));
        let patch = SessionPatch { status: Some(SessionStatus::Degraded), reason, ..SessionPatch::default() };
        w.store.update_session(account.id, account.generation, patch).await.expect("changed");
        w.turn(id, &gaps()).await
    };
    assert!(matches!(becomes(ReasonCode::Silent).await, CampaignTurned::Next { .. }));
    assert!(matches!(becomes(ReasonCode::Banned).await, CampaignTurned::Stopped { .. }));
}

pub async fn cold_contacts_have_a_budget_and_known_people_do_not<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let account = w.connected(account).await;
    for known in [3, 5] {
        writes(&w, account, by_phone(&number(known)), "hi").await;
    }
    let policy = Policy { gap_min_seconds: 0, gap_max_seconds: 0, per_day: 1000, cold_per_day: 2, ..gaps() };
    let id = w.started(account.user, &[account], (0..6).map(planned).collect()).await;
    w.turn(id, &policy).await;
    let accepted: Vec<i32> =
        w.recipients(id).await.into_iter().filter(|one| one.state == RecipientState::Accepted).map(|one| one.ordinal).collect();
    assert_eq!(accepted, [1, 2, 4, 6], "two strangers, and all who wrote before");
    w.takes_all(account).await;
    let paced = w.store.paced_account(account.id).await.expect("read").expect("there");
    assert_eq!((paced.account.cold_today, paced.account.today, paced.figures.sent), (2, 4, 4));
    w.clock.advance(DAY);
    w.turn(id, &policy).await;
    assert_eq!(w.store.campaign(id).await.expect("read").expect("there").left(), 0);
}

pub async fn known_people_are_found_behind_strangers<B: Backend>(w: World<B>) {
    let (account, other) = (w.account().await, w.account().await);
    let (account, other) = (w.connected(account).await, w.connected(other).await);
    writes(&w, account, by_phone(&number(41)), "hi").await;
    writes(&w, other, by_phone(&number(7)), "hi, somebody else").await;
    // Known by another id than the one in the list, in a conversation of people whose numbers are hidden.
    let hidden = crate::opt_outs::both(&number(45), "4545@lid");
    let incoming = Incoming {
        wa_message_id: format!("IN{}", w.number()),
        chat: hidden.lid.clone().expect("an id"),
        sender: hidden,
        sender_name: None,
        from_me: false,
        content: Content::text("hi").expect("a text"),
        quoted: None,
        at: w.clock.now(),
        media: None,
        raw: None,
    };
    w.store.receive(account.id, account.generation, vec![incoming]).await.expect("stored");
    let id = w.started(account.user, &[account], (0..50).map(planned).collect()).await;
    let known = async |behind: i32| {
        let found = w.store.next_recipients(id, Ahead::Known, behind, w.clock.now(), 8).await.expect("read");
        found.into_iter().map(|one| one.ordinal).collect::<Vec<_>>()
    };
    assert_eq!((known(0).await, known(42).await), (vec![42, 46], vec![46]), "who wrote to the account of the campaign");
    let people = [jid(41), jid(45), jid(7)];
    let cold = w.store.cold_contacts(&[account.id], &people).await.expect("read");
    assert_eq!(cold, [(jid(7), account.id)], "the same people");
    let policy = Policy { gap_min_seconds: 0, gap_max_seconds: 0, per_day: 1000, cold_per_day: 1, ..gaps() };
    let asked = w.prepare_of(&w.store, id, &policy, (Ahead::Known, 8)).await;
    w.store.campaign_turn(asked).await.expect("a turn");
    assert!(known(0).await.is_empty(), "they have their messages");
}

pub async fn who_sleeps_is_not_looked_at_until_the_morning<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let account = w.connected(account).await;
    let id = w.started(account.user, &[account], (0..3).map(planned).collect()).await;
    let (early, late) = (w.clock.now().plus(HOUR), w.clock.now().plus(HOUR * 2));
    let mut asked = w.prepare(&w.store, id, &gaps(), 3).await;
    for (turn, until) in asked.turns.iter_mut().zip([late, early, early]) {
        turn.what = TurnWhat::Quiet { until, why: "quiet hours in Europe/Berlin".into() };
    }
    asked.all_asleep = true;
    let CampaignTurned::Next { at, accepted } = w.store.campaign_turn(asked).await.expect("a turn") else { panic!("it goes on") };
    assert!(accepted.is_empty() && at <= w.clock.now().plus(Duration::from_mins(10)), "it is looked at now and then");
    let campaign = w.store.campaign(id).await.expect("read").expect("there");
    assert_eq!((campaign.held_until, campaign.held_why.as_deref()), (Some(early), Some("quiet hours in Europe/Berlin")));
    let awake = async || w.store.next_recipients(id, Ahead::All, 0, w.clock.now(), 8).await.expect("read").len();
    assert_eq!(awake().await, 0);
    w.clock.advance(HOUR);
    assert_eq!(awake().await, 2);
    w.turn(id, &gaps()).await;
    let second = w.recipients(id).await.remove(1);
    assert_eq!((second.state, second.quiet), (RecipientState::Accepted, None));
    let message = w.store.message(None, second.message_id.expect("a message")).await.expect("read").expect("there");
    let timeline = w.store.timeline(message.id).await.expect("read");
    assert!(timeline[0].detail.as_deref().is_some_and(|told| told.ends_with("UTC: quiet hours in Europe/Berlin")), "{timeline:?}");
}

pub async fn the_file_of_a_campaign_stays_as_long_as_the_campaign<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let file = w.store.add_file(FileId::new(&*w.clock), account.user, [7; 32], 3).await.expect("added");
    let media = Media::new(MediaKind::Image, "image/png", 3, [7; 32]);
    let new = NewCampaign {
        id: CampaignId::new(&*w.clock),
        user_id: account.user,
        name: "Spring".into(),
        content: json!({"text": ""}),
        pacing: json!("default"),
        quiet_hours: Some(true),
        media: Some((media.clone(), NewMedia { file, thumbnail: Some(vec![1, 2]) })),
        accounts: vec![account.id],
        key: None,
    };
    let id = new.id;
    let CampaignMade::Done(made) = w.store.create_campaign(new).await.expect("made") else { panic!("made") };
    assert_eq!(
        (made.quiet_hours, made.media.as_ref().map(|(media, file)| (media, file.thumbnail.as_deref()))),
        (Some(true), Some((&media, Some(&[1, 2][..]))))
    );
    let end = Timestamp(i64::MAX);
    assert_eq!(w.store.forget_unused_files(end).await, Ok(Vec::new()), "the campaign has it");
    w.store.delete_campaign(id).await.expect("gone");
    assert_eq!(w.store.forget_unused_files(end).await, Ok(vec![file]));
}

pub async fn who_opted_out_or_was_erased_gets_nothing<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let account = w.connected(account).await;
    let id = w.started(account.user, &[account], (0..4).map(planned).collect()).await;
    // The worker looked before they opted out: the store looks again.
    let asked = w.prepare(&w.store, id, &Policy::none(), 8).await;
    opt_out(&w.store, account.user, by_phone(&number(1))).await;
    assert!(matches!(w.store.campaign_turn(asked).await, Ok(CampaignTurned::Next { .. })));
    let rows = w.recipients(id).await;
    assert_eq!((rows[1].state, rows[1].reason, rows[1].message_id), (RecipientState::Skipped, Some(Skip::OptedOut), None));
    assert_eq!(rows.iter().filter(|one| one.state == RecipientState::Accepted).count(), 3);
    let next = w.started(account.user, &[account], (2..5).map(planned).collect()).await;
    let gone = PhoneNumber::parse(&number(2)).expect("a number").jid();
    w.store.erase_traces(account.user, std::slice::from_ref(&gone)).await.expect("erased");
    let erased = w.recipients(next).await;
    assert_eq!((erased[0].recipient.as_str(), erased[0].reason), ("erased", Some(Skip::Erased)));
    assert_eq!(w.ask(&format!("SELECT COUNT(*) FROM campaign_recipients WHERE recipient = '{gone}'")).await, 0);
    let funnel = w.store.campaign_funnels(id).await.expect("counted").all;
    assert!(funnel.sums_up() && funnel.removed == 1, "its message is gone too: {funnel:?}");
}

pub async fn an_account_tells_when_it_fares_otherwise<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let account = w.connected(account).await;
    let policy = Policy { warm_up: vec![2], per_day: 50, ..gaps() };
    let check = || w.store.check_account_health(&policy);
    assert_eq!(check().await, Ok(0), "that it is new is no news");
    for (to, text) in [(ANNA, "one"), (BEN, "two")] {
        let sent = w.send(account, to, text).await;
        w.ack(account, &sent).await;
    }
    assert_eq!((check().await, check().await), (Ok(1), Ok(0)));
    let limited = SessionPatch { limited_until: Some(Some(w.clock.now().plus(HOUR))), ..SessionPatch::default() };
    w.store.update_session(account.id, account.generation, limited).await.expect("changed");
    assert_eq!(check().await, Ok(0), "it was told at once");
    w.clock.advance(DAY);
    assert_eq!(check().await, Ok(1));
    let refused = w.send(account, ANNA, "three").await;
    w.claim(account).await;
    let failed =
        News::Failed { message_id: refused.id, at: w.clock.now(), failure: Failure::ReachoutLimited, text: "WhatsApp refused it.".into() };
    w.apply(account, vec![failed]).await;
    assert_eq!(check().await, Ok(0), "a 463 is told at once too");
    w.clock.advance(DAY);
    assert_eq!(check().await, Ok(1));
    let banned = Reason::banned(None, "spam");
    let patch = SessionPatch { status: Some(SessionStatus::Degraded), reason: Some(Some(banned)), ..SessionPatch::default() };
    w.store.update_session(account.id, account.generation, patch).await.expect("changed");
    let patch = SessionPatch { status: Some(SessionStatus::Connected), reason: Some(None), ..SessionPatch::default() };
    w.store.update_session(account.id, account.generation, patch).await.expect("changed");
    assert_eq!(check().await, Ok(1));
    let events = w.store.events_after(account.user, 0, 100).await.expect("read");
    let told: Vec<String> = events
        .into_iter()
        .filter(|event| event.kind == EventKind::SessionHealthChanged)
        .map(|event| format!("{} {}", event.data["session"]["before"], event.data["session"]["health"]))
        .collect();
    assert_eq!(
        told,
        [
            r#""warming_up" "resting""#,
            r#""resting" "limited""#,
            r#""limited" "good""#,
            r#""good" "limited""#,
            r#""limited" "good""#,
            r#""good" "limited""#,
            r#""limited" "good""#,
        ]
    );
    assert_eq!(w.store.paced_account(account.id).await.expect("read").expect("there").level, Some(Level::Good));
    writes(&w, account, by_phone(ANNA), "thank you").await;
    let answers = w.store.account_answers(account.user, account.id, w.clock.now().minus(DAY * 7)).await.expect("counted");
    assert_eq!((answers.written_to, answers.answered), (2, 1));
    let hours = w.store.account_hours(account.id, 0).await.expect("read");
    assert_eq!(hours.iter().map(|(_, counts)| (counts.sent, counts.received)).collect::<Vec<_>>(), [(2, 0), (0, 0), (0, 1)]);
}

/// 5,000 people (a fifth of that on PostgreSQL, where each commit travels), three accounts, three days of pacing; every few turns the store is opened anew and a turn is repeated, some
/// messages fail, some people opt out under way, and one account is limited by WhatsApp on the second day.
pub async fn five_thousand_over_three_days_each_once<B: Backend>(w: World<B>) {
    let scale = if w.store.is_shared() { 5 } else { 1 };
    let people_count = 5_000 / scale;
    let cap = |full: u32| full / u32::try_from(scale).expect("small");
    let user = w.user("anna").await.id;
    let mut accounts = Vec::new();
    for name in ["one", "two", "three"] {
        let account = w.account_of(user, name).await;
        accounts.push(w.connected(account).await);
    }
    let policy = Policy {
        gap_min_seconds: 20,
        gap_max_seconds: 60,
        per_hour: cap(60),
        per_day: cap(1500),
        warm_up: vec![cap(400), cap(800)],
        ..gaps()
    };
    let people = |index: usize| NewRecipient { recipient: format!("1{:010}@lid", index + 1), variables: None, skip: None };
    let id = w.started(user, &accounts, (0..people_count).map(people).collect()).await;
    let (mut store, mut limited, mut opted) = (w.reopen().await, false, HashSet::new());
    let begin = w.clock.now();
    for round in 0.. {
        let campaign = store.campaign(id).await.expect("read").expect("there");
        if campaign.state != CampaignState::Running {
            break;
        }
        assert!(round < 20_000, "it ends: {campaign:?}");
        let asked = w.prepare(&store, id, &policy, 16).await;
        let turned = store.campaign_turn(asked.clone()).await.expect("a turn");
        if round % 97 == 0 {
            // Killed after the commit: whoever comes back repeats what the job says.
            store = w.reopen().await;
            assert_eq!(store.campaign_turn(asked).await, Ok(CampaignTurned::Stale));
        }
        if round % (251 / scale) == 0 && opted.len() < 8 {
            let who = format!("1{:010}@lid", people_count * 9 / 10 + opted.len() * 7);
            opt_out(&w.store, user, by_lid(&who)).await;
            opted.insert(who);
        }
        for account in &accounts {
            let claimed = w.claimed(*account).await;
            let news: Vec<News> = claimed.iter().map(|claimed| outcome(&w, claimed)).collect();
            if !news.is_empty() {
                w.apply(*account, news).await;
            }
        }
        if !limited && w.clock.now().since(begin) > DAY + HOUR * 3 {
            limited = true;
            let patch = SessionPatch { limited_until: Some(Some(w.clock.now().plus(DAY * 30))), ..SessionPatch::default() };
            w.store.update_session(accounts[1].id, accounts[1].generation, patch).await.expect("changed");
        }
        if let CampaignTurned::Next { at, .. } = turned {
            // All accounts are ready after the longest gap: fewer turns, the same rules.
            let wait = at.since(w.clock.now()).max(Duration::from_mins(1));
            w.clock.advance(wait);
        }
    }
    assert!(limited && w.clock.now().since(begin) > DAY * 2, "it took days");
    check_story(&w, id, &policy, &accounts, &opted).await;
}

/// Most are taken, some fail.
fn outcome<B: Backend>(w: &World<B>, claimed: &sanasend_store::Claimed) -> News {
    let at = w.clock.now();
    if claimed.message.chat.as_str().ends_with("77@lid") {
        let (failure, text) = (Failure::NotOnWhatsApp, "nobody there".to_owned());
        return News::Failed { message_id: claimed.message.id, at, failure, text };
    }
    News::Acked { wa_message_id: claimed.message.wa_message_id.clone(), at }
}

async fn check_story<B: Backend>(w: &World<B>, id: CampaignId, policy: &Policy, accounts: &[Account], opted: &HashSet<String>) {
    let campaign = w.store.campaign(id).await.expect("read").expect("there");
    assert_eq!(campaign.state, CampaignState::Finished, "{campaign:?}");
    let rows = w.recipients(id).await;
    let mut ids = HashSet::new();
    let mut by_hour: HashMap<(SessionId, i32), u32> = HashMap::new();
    let mut by_day: BTreeMap<(SessionId, i32), u32> = BTreeMap::new();
    let mut last: HashMap<SessionId, sanasend_model::Timestamp> = HashMap::new();
    for row in &rows {
        match row.state {
            RecipientState::Accepted => {
                assert!(ids.insert(row.message_id.expect("a message")), "one message each");
                let (session, at) = (row.session_id.expect("an account"), row.accepted_at.expect("a moment"));
                *by_hour.entry((session, at.hour())).or_default() += 1;
                *by_day.entry((session, at.day())).or_default() += 1;
                if let Some(before) = last.insert(session, at) {
                    assert!(at.since(before) >= Duration::from_secs(u64::from(policy.gap_min_seconds)), "a gap between two");
                }
            }
            RecipientState::Skipped => assert!(row.reason == Some(Skip::OptedOut) && opted.contains(&row.recipient), "{row:?}"),
            RecipientState::Planned => panic!("nobody is left: {row:?}"),
        }
    }
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, i64::try_from(ids.len()).expect("few"), "and no message beside");
    assert!(by_hour.values().all(|count| *count <= policy.per_hour), "{by_hour:?}");
    let linked = w.store.session(accounts[0].id).await.expect("read").expect("there").linked_at.expect("linked");
    for ((session, day), count) in &by_day {
        let (cap, _) = policy.cap_of_day(linked, *day);
        assert!(*count <= cap, "{session} sent {count} of {cap} on day {day}");
    }
    let funnels = w.store.campaign_funnels(id).await.expect("counted");
    assert!(funnels.all.sums_up() && funnels.all.total == rows.len() as u64, "{funnels:?}");
    assert!(funnels.all.all_failed() > 0 && funnels.all.all_skipped() > 0 && funnels.all.planned == 0, "{funnels:?}");
    let blocked = w.ask("SELECT COUNT(*) FROM messages m JOIN opted_out o ON o.handle = m.chat WHERE o.user_id = m.user_id").await;
    let late = w
        .ask(
            "SELECT COUNT(*) FROM messages m JOIN opted_out o ON o.handle = m.chat JOIN opt_outs p ON p.id = o.opt_out_id \
                      WHERE m.created_at >= p.created_at",
        )
        .await;
    assert_eq!(late, 0, "nobody who opted out was written to afterwards ({blocked} before)");
    let left = w.store.campaign_accounts(id).await.expect("read");
    assert!(left[1].left_why.as_deref().is_some_and(|why| why.contains("463")), "{left:?}");
}
