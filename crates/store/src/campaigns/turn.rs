//! One turn of a campaign: who is next, which account may send, and the acceptance itself, all in one transaction.
//!
//! What may be sent is decided here and not before, over what the transaction sees: several campaigns of an account, and
//! several nodes, then share its pacing exactly. A turn is short; it ends by writing down when the next one is due.

use super::{Campaign, find};
use crate::account_hours::{AccountCounts, PacedAccount};
use crate::dialect::{query, query_as, query_scalar, refused};
use crate::media::NewMedia;
use crate::outbox::{Accepted, MessageIds, NewMessage, Prepared, accept_together};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::campaign::Skip;
use sanasend_model::pacing::{Hold, Pace, Policy, Why, decide, moment, waited};
use sanasend_model::{
    CampaignId, CampaignState, Content, EventKind, MessageId, Reason, ReasonCode, Recipient, SessionId, SessionStatus, Step, Timestamp,
    UserId,
};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// The longest time without a turn: what changes meanwhile, such as an account that WhatsApp limits, is then seen.
const LOOK_AGAIN: Duration = Duration::from_mins(10);
/// How seldom progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Recipients of a turn that are told why they wait.
const MOST_HELD: usize = 8;

/// A recipient whose turn it may be.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Its place in the list.
    pub ordinal: i32,
    /// What is to be done.
    pub what: TurnWhat,
}

/// What is to be done about a recipient.
#[derive(Debug, Clone)]
pub enum TurnWhat {
    /// It gets no message.
    Skip {
        /// Why.
        why: Skip,
        /// The same for people.
        detail: Option<String>,
    },
    /// It sleeps: nothing before this moment, and why.
    Quiet {
        /// The end of its night.
        until: Timestamp,
        /// Why.
        why: String,
    },
    /// It gets this message, as soon as an account may send it.
    Send(Box<TurnMessage>),
}

/// The message of a recipient; the account is chosen in the turn.
#[derive(Debug, Clone)]
pub struct TurnMessage {
    /// Id.
    pub id: MessageId,
    /// WhatsApp's own id.
    pub wa_message_id: String,
    /// To whom.
    pub recipient: Recipient,
    /// What it says.
    pub content: Content,
    /// The stored file, when the content is one.
    pub media: Option<NewMedia>,
    /// Told in the events of the message.
    pub metadata: Option<Value>,
    /// The accounts that it never wrote to.
    pub cold_for: Vec<SessionId>,
    /// Since when it was kept back, until when, and why.
    pub held: Option<(Timestamp, Timestamp, String)>,
    /// Since when and until when it was night, and why that held it.
    pub quiet: Option<(Timestamp, Timestamp, String)>,
}

/// What a turn is made of.
#[derive(Debug, Clone)]
pub struct CampaignTurn {
    /// The campaign.
    pub campaign: CampaignId,
    /// Number of the turn.
    pub step: i64,
    /// How it is paced.
    pub policy: Policy,
    /// The next recipients, in their order.
    pub turns: Vec<Turn>,
    /// Whether everybody whose turn has not come sleeps, with those of `turns`.
    pub all_asleep: bool,
    /// Whether everybody is in `turns` who could go although strangers wait, as far as it fits.
    pub sees_all: bool,
    /// Accounts that must leave the campaign, and why.
    pub leaving: Vec<(SessionId, String)>,
    /// Why the campaign is to be stopped, where it is.
    pub stop: Option<String>,
    /// How long a message is tried.
    pub deadline: Duration,
    /// Most messages of the user in a day.
    pub daily_limit: i64,
}

/// What came of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CampaignTurned {
    /// The campaign does not run, or this turn was made before.
    Stale,
    /// It stopped itself.
    Stopped {
        /// Why.
        reason: String,
    },
    /// Every recipient has an outcome.
    Finished,
    /// The next turn is written down.
    Next {
        /// When it is due.
        at: Timestamp,
        /// Accounts that have messages to send.
        accepted: Vec<SessionId>,
    },
}

/// The turn at work.
struct Road<'a> {
    asked: &'a CampaignTurn,
    user: UserId,
    now: Timestamp,
    accounts: Vec<PacedAccount>,
    accepted: Vec<(i32, usize, &'a TurnMessage)>,
    skipped: Vec<(i32, Skip, Option<String>)>,
    held: Vec<(i32, Hold)>,
    quiet: Vec<(i32, Timestamp, &'a str)>,
    /// The first hold after which something could go on.
    blocked: Option<Hold>,
}

fn random(tx: &Tx) -> u64 {
    let mut bytes = [0; 8];
    tx.clock.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Why an account can't go on with a campaign, if so.
fn gone_bad(account: &PacedAccount, now: Timestamp) -> Option<String> {
    let is_ban = |reason: &&Reason| account.status == SessionStatus::Degraded && reason.code == ReasonCode::Banned;
    let banned = account.reason.as_ref().filter(is_ban);
    if !account.figures.linked {
        return Some("It is not linked any more.".into());
    }
    if let Some(reason) = banned {
        return Some(reason.text.clone());
    }
    let until = account.figures.limited_until.filter(|until| *until > now)?;
    Some(format!("WhatsApp limits it until {} (463).", moment(until, now)))
}

impl<'a> Road<'a> {
    /// The accounts that can go on; the others leave, with the reason.
    async fn open(tx: &mut Tx, campaign: &Campaign, asked: &'a CampaignTurn) -> Result<Self, StoreError> {
        let now = tx.clock.now();
        let sql = "SELECT session_id FROM campaign_accounts WHERE campaign_id = ? AND left_at IS NULL ORDER BY ordinal";
        let active = query_scalar::<_, Uuid>(sql).bind(campaign.id.0).fetch_all(&mut tx.conn).await.map_err(refused)?;
        let mut known = tx.accounts_of_campaign(campaign.id.0).await?;
        let mut accounts = Vec::with_capacity(active.len());
        for id in active.into_iter().map(SessionId) {
            let account = known.iter().position(|account| account.id == id).map(|at| known.swap_remove(at));
            let must = asked.leaving.iter().find(|(leaving, _)| *leaving == id).map(|(_, why)| why.clone());
            let why = match &account {
                None => Some("It was deleted.".to_owned()),
                Some(account) => must.or_else(|| gone_bad(account, now)),
            };
            match (why, account) {
                (Some(why), _) => leave(tx, campaign.id, id, &why, now).await?,
                (None, Some(account)) => accounts.push(account),
                (None, None) => {}
            }
        }
        let (accepted, skipped, held, quiet) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { asked, user: campaign.user_id, now, accounts, accepted, skipped, held, quiet, blocked: None })
    }

    /// Goes through the recipients until no account may send.
    fn choose(&mut self, tx: &Tx) {
        for turn in &self.asked.turns {
            match &turn.what {
                TurnWhat::Quiet { until, why } => self.quiet.push((turn.ordinal, *until, why)),
                TurnWhat::Skip { why, detail } => self.skipped.push((turn.ordinal, *why, detail.clone())),
                TurnWhat::Send(message) => {
                    let (chosen, holds) = self.ask(tx, message);
                    if let Some(index) = chosen {
                        self.take(tx, turn.ordinal, index, message);
                        continue;
                    }
                    let Some(first) = holds.iter().copied().min_by_key(|hold| hold.until) else { return };
                    self.held.push((turn.ordinal, first));
                    self.block(first);
                    // Behind somebody who is held because nobody knows them, somebody known may go.
                    if holds.iter().all(|hold| hold.why.is_of_account()) {
                        return;
                    }
                }
            }
        }
    }

    fn block(&mut self, hold: Hold) {
        self.blocked = Some(self.blocked.filter(|other| other.until <= hold.until).unwrap_or(hold));
    }

    /// The account that may send and has sent least today; the holds of the others.
    fn ask(&self, tx: &Tx, message: &TurnMessage) -> (Option<usize>, Vec<Hold>) {
        let (mut chosen, mut holds): (Option<(usize, u32)>, Vec<Hold>) = (None, Vec::new());
        for (index, paced) in self.accounts.iter().enumerate() {
            let cold = message.cold_for.contains(&paced.id);
            match decide(&self.asked.policy, &paced.account, cold, self.now, random(tx)) {
                Pace::Go if chosen.is_none_or(|(_, least)| paced.account.today < least) => chosen = Some((index, paced.account.today)),
                Pace::Go => {}
                Pace::Hold(hold) => holds.push(hold),
            }
        }
        (chosen.map(|(index, _)| index), holds)
    }

    fn take(&mut self, tx: &Tx, ordinal: i32, index: usize, message: &'a TurnMessage) {
        let next_at = self.now.plus(self.asked.policy.gap(random(tx)));
        if let Some(paced) = self.accounts.get_mut(index) {
            paced.account.took(message.cold_for.contains(&paced.id), next_at);
            self.accepted.push((ordinal, index, message));
        }
    }

    fn new_message(&self, message: &TurnMessage, session_id: SessionId) -> NewMessage {
        let ids = MessageIds { id: message.id, wa_message_id: message.wa_message_id.clone(), user_id: self.user, session_id };
        let (recipient, content) = (message.recipient.clone(), message.content.clone());
        let times = (self.now, self.now.plus(self.asked.deadline));
        NewMessage {
            media: message.media.clone(),
            metadata: message.metadata.clone(),
            ..NewMessage::plain(ids, recipient, content, times, self.asked.daily_limit)
        }
    }

    /// Accepts what was chosen; answers the accounts that got messages.
    async fn accept(&mut self, tx: &mut Tx) -> Result<Vec<SessionId>, StoreError> {
        let chosen = std::mem::take(&mut self.accepted);
        let of = |index: usize| self.accounts.get(index).map(|paced| paced.id);
        let prepared = chosen.iter().filter_map(|(_, index, message)| Some(self.new_message(message, of(*index)?)));
        let mut prepared: Vec<Prepared> = prepared.map(|new| Prepared::of(new, &*tx.clock)).collect();
        let outcomes = accept_together(tx, &mut prepared).await?;
        let mut woken = Vec::new();
        for ((ordinal, index, message), outcome) in chosen.into_iter().zip(outcomes) {
            let Some(session) = self.accounts.get(index).map(|paced| paced.id) else { continue };
            match outcome {
                Accepted::Created { .. } => {
                    self.accepted.push((ordinal, index, message));
                    self.write_accepted(tx, ordinal, session, message).await?;
                    if !woken.contains(&session) {
                        woken.push(session);
                    }
                }
                Accepted::DailyLimitReached => {
                    let until = self.now.plus(self.now.until_midnight());
                    let cap = u32::try_from(self.asked.daily_limit).unwrap_or(u32::MAX);
                    let hold = Hold { until, why: Why::UserDay { cap } };
                    self.held.push((ordinal, hold));
                    self.blocked = Some(hold);
                }
                // Since it was looked at.
                Accepted::OptedOut => self.skipped.push((ordinal, Skip::OptedOut, None)),
                Accepted::ConsentRequired => self.skipped.push((ordinal, Skip::ConsentRequired, None)),
                other => return Err(StoreError::Unavailable(format!("an answer that can't be: {other:?}"))),
            }
        }
        Ok(woken)
    }

    async fn write_accepted(&self, tx: &mut Tx, ordinal: i32, session: SessionId, message: &TurnMessage) -> Result<(), StoreError> {
        let sql = "UPDATE campaign_recipients SET state = 1, message_id = ?, session_id = ?, accepted_at = ?, held_until = NULL, \
                   held_why = NULL, quiet_until = NULL, quiet_why = NULL WHERE campaign_id = ? AND ordinal = ? AND state = 0";
        let update = query(sql).bind(message.id.0).bind(session.0).bind(self.now.0).bind(self.asked.campaign.0).bind(ordinal);
        if update.execute(&mut tx.conn).await.map_err(refused)?.rows_affected() != 1 {
            // Somebody else has it: with the error all of this turn is undone.
            return Err(StoreError::Conflict { what: "recipient" });
        }
        if let Some((since, until, why)) = &message.quiet {
            tx.note((message.id, *since, Step::Held, 0, Some(format!("held until {}: {why}", moment(*until, *since)))));
        }
        if let Some((since, until, why)) = &message.held {
            tx.note((message.id, *since, Step::Held, 0, Some(waited(*since, *until, why, self.now))));
        }
        if message.cold_for.contains(&session) {
            tx.count_account(session, AccountCounts { cold: 1, ..AccountCounts::default() });
        }
        Ok(())
    }

    async fn write_skipped(&self, tx: &mut Tx) -> Result<(), StoreError> {
        for (ordinal, why, detail) in &self.skipped {
            let sql = "UPDATE campaign_recipients SET state = 2, reason = ?, detail = ?, held_until = NULL, held_why = NULL, \
                       quiet_until = NULL, quiet_why = NULL WHERE campaign_id = ? AND ordinal = ? AND state = 0";
            let update = query(sql).bind(why.as_str()).bind(detail.as_deref()).bind(self.asked.campaign.0).bind(*ordinal);
            if update.execute(&mut tx.conn).await.map_err(refused)?.rows_affected() != 1 {
                return Err(StoreError::Conflict { what: "recipient" });
            }
        }
        Ok(())
    }

    async fn write_held(&self, tx: &mut Tx) -> Result<(), StoreError> {
        for (ordinal, until, why) in &self.quiet {
            let sql = "UPDATE campaign_recipients SET held_since = COALESCE(held_since, ?), held_until = NULL, held_why = NULL, \
                       quiet_until = ?, quiet_why = ? WHERE campaign_id = ? AND ordinal = ? AND state = 0";
            let update = query(sql).bind(self.now.0).bind(until.0).bind(*why).bind(self.asked.campaign.0).bind(*ordinal);
            update.execute(&mut tx.conn).await.map_err(refused)?;
        }
        for (ordinal, hold) in self.held.iter().take(MOST_HELD) {
            let sql = "UPDATE campaign_recipients SET held_since = COALESCE(held_since, ?), held_until = ?, held_why = ? \
                       WHERE campaign_id = ? AND ordinal = ? AND state = 0";
            let update = query(sql).bind(self.now.0).bind(hold.until.0).bind(hold.why.to_string());
            let update = update.bind(self.asked.campaign.0).bind(*ordinal);
            update.execute(&mut tx.conn).await.map_err(refused)?;
        }
        Ok(())
    }

    /// Remembers the ends of the gaps.
    async fn write_gaps(&self, tx: &mut Tx) -> Result<(), StoreError> {
        if self.asked.policy.gap_max_seconds == 0 {
            return Ok(());
        }
        let mut indexes: Vec<usize> = self.accepted.iter().map(|(_, index, _)| *index).collect();
        indexes.dedup();
        for paced in indexes.into_iter().filter_map(|index| self.accounts.get(index)) {
            let sql = "INSERT INTO account_pace (session_id, next_at) VALUES (?, ?) \
                       ON CONFLICT (session_id) DO UPDATE SET next_at = excluded.next_at";
            let next_at = paced.account.next_at.map(|at| at.0);
            query(sql).bind(paced.id.0).bind(next_at).execute(&mut tx.conn).await.map_err(refused)?;
        }
        Ok(())
    }

    /// What the campaign waits for, and why: an account, or the first morning of its recipients.
    async fn wait(&self, tx: &mut Tx) -> Result<Option<(Timestamp, String)>, StoreError> {
        // Strangers wait, and behind them may be people who are known: the next turn looks for them at once.
        let only_strangers_wait = self.blocked.is_some_and(|hold| !hold.why.is_of_account());
        let got_on = !self.accepted.is_empty() || !self.quiet.is_empty();
        if only_strangers_wait && got_on && !self.asked.sees_all {
            return Ok(None);
        }
        if let Some(hold) = self.blocked {
            return Ok(Some((hold.until, hold.why.to_string())));
        }
        if !self.asked.all_asleep {
            return Ok(None);
        }
        let sql = "SELECT quiet_until, quiet_why FROM campaign_recipients WHERE campaign_id = ? AND state = 0 AND quiet_until > ? \
                   ORDER BY quiet_until LIMIT 1";
        let first = query_as::<_, (i64, Option<String>)>(sql).bind(self.asked.campaign.0).bind(self.now.0);
        let first = first.fetch_optional(&mut tx.conn).await.map_err(refused)?;
        Ok(first.map(|(until, why)| (Timestamp(until), why.unwrap_or_default())))
    }

    /// When the next turn is due while recipients are left.
    fn due(&self, tx: &Tx, wait: Option<&(Timestamp, String)>) -> Timestamp {
        let Some((until, _)) = wait else { return self.now };
        // Several campaigns of an account wait for the same moment: chance decides who is first.
        let jitter = if self.asked.policy.gap_max_seconds > 0 { random(tx) % 1000 } else { 0 };
        until.plus(Duration::from_millis(jitter)).min(self.now.plus(LOOK_AGAIN))
    }
}

async fn leave(tx: &mut Tx, campaign: CampaignId, session: SessionId, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE campaign_accounts SET left_at = ?, left_why = ? WHERE campaign_id = ? AND session_id = ?";
    let update = query(sql).bind(now.0).bind(why).bind(campaign.0).bind(session.0);
    update.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

/// Messages of a campaign that have no outcome.
async fn on_the_way(tx: &mut Tx, campaign: CampaignId) -> Result<i64, StoreError> {
    // In this order: the outbox is short, and a campaign may be long.
    let sql = "SELECT COUNT(*) FROM outbox o CROSS JOIN campaign_recipients r WHERE r.message_id = o.message_id AND r.campaign_id = ? \
               AND o.session_id IN (SELECT session_id FROM campaign_accounts WHERE campaign_id = ?)";
    query_scalar(sql).bind(campaign.0).bind(campaign.0).fetch_one(&mut tx.conn).await.map_err(refused)
}

/// Why the last account left, for people.
async fn why_nobody_is_left(tx: &mut Tx, campaign: CampaignId) -> Result<String, StoreError> {
    let sql = "SELECT COALESCE(s.name, 'a deleted account'), a.left_why FROM campaign_accounts a LEFT JOIN sessions s ON s.id = a.session_id \
               WHERE a.campaign_id = ? AND a.left_at IS NOT NULL ORDER BY a.ordinal LIMIT 10";
    let left = query_as::<_, (String, Option<String>)>(sql).bind(campaign.0).fetch_all(&mut tx.conn).await.map_err(refused)?;
    let told: Vec<String> = left.into_iter().map(|(name, why)| format!("{name}: {}", why.unwrap_or_default())).collect();
    Ok(format!("No account is left to send with. {}", told.join(" ")))
}

async fn turn(tx: &mut Tx, asked: &CampaignTurn) -> Result<CampaignTurned, StoreError> {
    let campaign = find(&mut tx.conn, asked.campaign).await?;
    let runs = |campaign: &Campaign| campaign.state == CampaignState::Running && campaign.step == asked.step;
    let Some(campaign) = campaign.filter(runs) else { return Ok(CampaignTurned::Stale) };
    if let Some(reason) = &asked.stop {
        return stop(tx, campaign.id, reason.clone()).await;
    }
    let mut road = Road::open(tx, &campaign, asked).await?;
    if road.accounts.is_empty() && campaign.left() > 0 {
        let reason = why_nobody_is_left(tx, campaign.id).await?;
        return stop(tx, campaign.id, reason).await;
    }
    road.choose(tx);
    let accepted = if road.accepted.is_empty() { Vec::new() } else { road.accept(tx).await? };
    road.write_skipped(tx).await?;
    road.write_held(tx).await?;
    road.write_gaps(tx).await?;
    tx.finish().await?;
    end(tx, &campaign, &road, accepted).await
}

async fn stop(tx: &mut Tx, id: CampaignId, reason: String) -> Result<CampaignTurned, StoreError> {
    tx.close_campaign(id, CampaignState::Stopped, Some(&reason), EventKind::CampaignStopped).await?;
    Ok(CampaignTurned::Stopped { reason })
}

/// Writes down how far the campaign is, tells it, and makes the next turn.
async fn end(tx: &mut Tx, campaign: &Campaign, road: &Road<'_>, accepted: Vec<SessionId>) -> Result<CampaignTurned, StoreError> {
    let (took, skipped, now) = (road.accepted.len() as u64, road.skipped.len() as u64, road.now);
    let moved_at = if took + skipped > 0 { Some(now) } else { campaign.moved_at };
    let is_new = moved_at.is_some_and(|moved| campaign.told_at.is_none_or(|told| moved > told));
    let tells = is_new && campaign.told_at.is_none_or(|told| now.since(told) >= TELL_EVERY);
    let left = campaign.left().saturating_sub(took + skipped);
    let wait = if left > 0 { road.wait(tx).await? } else { None };
    let due = if left > 0 {
        road.due(tx, wait.as_ref())
    } else if on_the_way(tx, campaign.id).await? > 0 {
        let least = if road.asked.policy.is_none() { Duration::from_millis(50) } else { Duration::from_secs(1) };
        let since = moved_at.map_or(Duration::ZERO, |moved| now.since(moved));
        now.plus((since / 4).clamp(least, Duration::from_mins(1)))
    } else {
        now
    };
    let (held_until, held_why) = wait.map(|(until, why)| (until.0, why)).unzip();
    let sql = "UPDATE campaigns SET accepted = accepted + ?, skipped = skipped + ?, step = step + 1, held_until = ?, held_why = ?, \
               moved_at = ?, told_at = ?, updated_at = ? WHERE id = ?";
    let number = |count: u64| i64::try_from(count).unwrap_or(0);
    let update = query(sql).bind(number(took)).bind(number(skipped));
    let update = update.bind(held_until).bind(held_why);
    let update = update.bind(moved_at.map(|at| at.0)).bind(if tells { Some(now.0) } else { campaign.told_at.map(|at| at.0) });
    update.bind(now.0).bind(campaign.id.0).execute(&mut tx.conn).await.map_err(refused)?;
    if left == 0 && due == now {
        tx.close_campaign(campaign.id, CampaignState::Finished, None, EventKind::CampaignFinished).await?;
        return Ok(CampaignTurned::Finished);
    }
    if tells && let Some(campaign) = find(&mut tx.conn, campaign.id).await? {
        tx.record(vec![campaign.event(EventKind::CampaignProgressed, now)]).await?;
    }
    tx.next_turn(campaign, campaign.step.saturating_add(1), due).await?;
    Ok(CampaignTurned::Next { at: due, accepted })
}

impl Store {
    /// Makes a turn of a campaign: accepts the messages of those recipients that an account may send to now, skips those that
    /// get none, and writes down when the next turn is due. One transaction: all of it is on disk when this answers, or
    /// nothing. A turn that was made before is `Stale`.
    pub async fn campaign_turn(&self, asked: CampaignTurn) -> Result<CampaignTurned, StoreError> {
        self.write(move |tx| Box::pin(async move { turn(tx, &asked).await })).await
    }
}
