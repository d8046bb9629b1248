//! Campaigns whose turns are lost, keep failing, or can't be read.

use crate::campaigns::planned;
use crate::world::{Backend, World};
use sanasend_model::{CampaignState, Clock, EventKind};
use sanasend_store::StoreError;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

pub async fn a_lost_turn_is_made_once_and_what_can_not_be_read_is_stopped<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let account = w.connected(account).await;
    let [first, broken, last] = [
        w.started(account.user, &[account], vec![planned(1)]).await,
        w.started(account.user, &[account], vec![planned(2)]).await,
        w.started(account.user, &[account], vec![planned(3)]).await,
    ];
    let jobs = "SELECT COUNT(*) FROM jobs WHERE kind = 'campaign.step' AND state <> 2";
    assert_eq!(w.ask(jobs).await, 3);
    // Their turns keep failing: the jobs are there, and are tried again.
    w.clock.advance(HOUR);
    for _ in 0..2 {
        assert_eq!(w.store.wake_campaigns(w.clock.now()).await, Ok(0));
        assert_eq!(w.ask(jobs).await, 3, "no job beside one that is there");
    }
    // Given up, dropped.
    w.tamper("UPDATE jobs SET state = 2").await;
    w.tamper(&format!("UPDATE campaigns SET content = 'not JSON' WHERE id = {}", B::id(broken.0))).await;
    assert_eq!(w.store.wake_campaigns(w.clock.now()).await, Ok(2), "the broken one keeps nobody from it");
    assert_eq!(w.ask(jobs).await, 2);
    assert_eq!(w.store.wake_campaigns(w.clock.now()).await, Ok(0));
    let why = format!("SELECT COUNT(*) FROM campaigns WHERE state = 'stopped' AND reason LIKE '%content%' AND id = {}", B::id(broken.0));
    assert_eq!(w.ask(&why).await, 1);
    for id in [first, last] {
        assert_eq!(w.state(id).await, CampaignState::Running);
    }
    // Where only its content makes no sense, its end is told.
    let error = StoreError::Corrupt { table: "campaigns", row: first.to_string(), column: "content".into() };
    assert_eq!(w.store.stop_unreadable_campaign(first, &error).await, Ok(true));
    assert_eq!(w.store.stop_unreadable_campaign(first, &error).await, Ok(false));
    let events = w.store.events_after(account.user, 0, 100).await.expect("read");
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::CampaignStopped).count(), 1);
}
