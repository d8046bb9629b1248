//! Campaigns: who is to be written to, and how far that is.
//!
//! A recipient is a row. When its turn comes, its message is accepted in the very transaction that writes the message's id
//! into the row ([`Store::campaign_turn`]): whatever is killed when, a recipient has one message or none. What becomes of a
//! message is never copied here; reports are counted from the messages that the rows point at.

mod change;
mod report;
mod rows;
mod turn;

pub use change::CampaignChanged;
pub use report::{Ahead, Funnels, RecipientFilter};
pub use turn::{CampaignTurn, CampaignTurned, Turn, TurnMessage, TurnWhat};

use crate::dialect::{On, Rows, query, query_as, query_scalar, refused};
use crate::events::NewEvent;
use crate::writer::Tx;
use crate::{Listed, NewMedia, Page, Store, StoreError};
use rows::Row;
use sanasend_model::campaign::Skip;
use sanasend_model::{CampaignId, CampaignState, EventKind, Media, MessageId, RecipientState, SessionId, Timestamp, UserId};
use serde_json::{Value, json};
use std::time::Duration;

/// Rows that one transaction writes or removes at most, so that ordinary sends get their turn.
const PIECE: usize = 500;

/// A campaign that is being filled and got nothing for so long is not being filled any more.
const BROKE_OFF: Duration = Duration::from_mins(2);

/// The kind of the jobs that move campaigns on.
pub const CAMPAIGN_JOB: &str = "campaign.step";

/// A campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// Id.
    pub id: CampaignId,
    /// Whose it is.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: String,
    /// How it stands.
    pub state: CampaignState,
    /// Why it stopped.
    pub reason: Option<String>,
    /// What is sent, as the server wrote it.
    pub content: Value,
    /// How it is paced, as the server wrote it.
    pub pacing: Value,
    /// Whether its recipients have quiet hours; `None` for as the user's setting says.
    pub quiet_hours: Option<bool>,
    /// The file that goes with every message, and how it is stored.
    pub media: Option<(Media, NewMedia)>,
    /// Recipients, those included that are skipped.
    pub total: u64,
    /// Recipients whose message was accepted.
    pub accepted: u64,
    /// Recipients that get no message.
    pub skipped: u64,
    /// Number of the next turn of the worker.
    pub step: i64,
    /// Failures are judged from this recipient on.
    pub judged_from: i32,
    /// Until when all its accounts wait.
    pub held_until: Option<Timestamp>,
    /// Why they do.
    pub held_why: Option<String>,
    /// When a recipient was last accepted or skipped.
    pub moved_at: Option<Timestamp>,
    /// When progress was last told.
    pub told_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was first started.
    pub started_at: Option<Timestamp>,
    /// When it ended or stopped.
    pub ended_at: Option<Timestamp>,
    /// When anything of it was last changed.
    pub updated_at: Timestamp,
}

impl Campaign {
    /// Recipients whose turn has not come.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.total.saturating_sub(self.accepted).saturating_sub(self.skipped)
    }

    /// What is told about a campaign.
    fn event(&self, kind: EventKind, at: Timestamp) -> NewEvent {
        let data = json!({"campaign": {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "reason": self.reason,
            "total": self.total,
            "accepted": self.accepted,
            "skipped": self.skipped,
            "left": self.left(),
            "held_until": self.held_until,
            "held_why": self.held_why,
            "at": at,
        }});
        NewEvent { user_id: self.user_id, session_id: None, kind, message_id: None, data, at }
    }
}

/// A campaign to make.
#[derive(Debug, Clone)]
pub struct NewCampaign {
    /// Id.
    pub id: CampaignId,
    /// Whose it is.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: String,
    /// What is sent.
    pub content: Value,
    /// How it is paced.
    pub pacing: Value,
    /// Whether its recipients have quiet hours; `None` for as the user's setting says.
    pub quiet_hours: Option<bool>,
    /// The file that goes with every message.
    pub media: Option<(Media, NewMedia)>,
    /// The accounts that send it.
    pub accounts: Vec<SessionId>,
    /// The caller's idempotency key and the digest of what was asked.
    pub key: Option<(String, [u8; 32])>,
}

/// Outcome of making a campaign.
#[derive(Debug, Clone, PartialEq)]
pub enum CampaignMade {
    /// Made, to be filled.
    Done(Box<Campaign>),
    /// The same key came before with the same request.
    Known(Box<Campaign>),
    /// The same key came before with another request.
    KeyReused,
}

/// A recipient to write down.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecipient {
    /// Its WhatsApp id; as it was written where it can't have one.
    pub recipient: String,
    /// Values of variables.
    pub variables: Option<Value>,
    /// Why it gets no message, and more for people, where that is known already.
    pub skip: Option<(Skip, Option<String>)>,
}

/// A recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignRecipient {
    /// Its place in the list, from 1.
    pub ordinal: i32,
    /// Its WhatsApp id; as it was written where it can't have one.
    pub recipient: String,
    /// Values of variables.
    pub variables: Option<Value>,
    /// How it stands.
    pub state: RecipientState,
    /// Why it was skipped.
    pub reason: Option<Skip>,
    /// The same for people.
    pub detail: Option<String>,
    /// Its message.
    pub message_id: Option<MessageId>,
    /// The account that it went through.
    pub session_id: Option<SessionId>,
    /// When its message was accepted.
    pub accepted_at: Option<Timestamp>,
    /// Since when it is kept back although it is next.
    pub held_since: Option<Timestamp>,
    /// Until when.
    pub held_until: Option<Timestamp>,
    /// Why.
    pub held_why: Option<String>,
    /// Until when it is night where it lives, as last looked at, and why it waits for that.
    pub quiet: Option<(Timestamp, String)>,
    /// Status of its message.
    pub message_status: Option<sanasend_model::MessageStatus>,
    /// Why its message failed.
    pub error_code: Option<String>,
}

/// An account of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignAccount {
    /// The account.
    pub session_id: SessionId,
    /// When it left the campaign.
    pub left_at: Option<Timestamp>,
    /// Why.
    pub left_why: Option<String>,
}

/// Which campaigns to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct CampaignFilter {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Only those in this state.
    pub state: Option<CampaignState>,
    /// Part of the name, without case.
    pub search: Option<String>,
}

/// A campaign, inside a transaction or outside.
async fn find<'c>(on: impl Into<On<'c>>, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
    let row = query_as::<_, Row>("SELECT * FROM campaigns WHERE id = ?").bind(id.0).fetch_optional(on);
    row.await.map_err(refused)?.map(Row::read).transpose()
}

static ACCOUNTS: Rows = Rows::insert("INSERT INTO campaign_accounts (campaign_id, session_id, ordinal) VALUES ", "(?, ?, ?)", "");

async fn create(tx: &mut Tx, new: NewCampaign) -> Result<CampaignMade, StoreError> {
    if let Some((key, fingerprint)) = &new.key {
        let sql = "SELECT * FROM campaigns WHERE user_id = ? AND idempotency_key = ?";
        let known = query_as::<_, Row>(sql).bind(new.user_id.0).bind(key.as_str()).fetch_optional(&mut tx.conn).await.map_err(refused)?;
        if let Some(known) = known {
            let same = known.fingerprint.as_deref() == Some(&fingerprint[..]);
            let known = known.read()?;
            let broke_off = known.state == CampaignState::Planning && tx.clock.now().since(known.updated_at) > BROKE_OFF;
            match (same, broke_off) {
                (false, _) => return Ok(CampaignMade::KeyReused),
                (true, false) => return Ok(CampaignMade::Known(Box::new(known))),
                // The server died while it was filled; it is swept later, and its key is free for the same request.
                (true, true) => {
                    let free = query("UPDATE campaigns SET idempotency_key = NULL WHERE id = ?").bind(known.id.0);
                    free.execute(&mut tx.conn).await.map_err(refused)?;
                }
            }
        }
    }
    let now = tx.clock.now();
    let sql = "INSERT INTO campaigns (id, user_id, name, state, content, pacing, quiet_hours, media, file_id, thumbnail, \
               idempotency_key, fingerprint, total, accepted, skipped, step, judged_from, created_at, updated_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, ?, ?)";
    let insert = query(sql).bind(new.id.0).bind(new.user_id.0).bind(new.name).bind(CampaignState::Planning.as_str());
    let insert = insert.bind(new.content.to_string()).bind(new.pacing.to_string()).bind(new.quiet_hours);
    let described = new.media.as_ref().and_then(|(media, _)| serde_json::to_string(media).ok());
    let (file, thumbnail) = new.media.map(|(_, file)| (file.file.0, file.thumbnail)).unzip();
    let insert = insert.bind(described).bind(file).bind(thumbnail.flatten());
    let (key, fingerprint) = new.key.map(|(key, fingerprint)| (key, fingerprint.to_vec())).unzip();
    insert.bind(key).bind(fingerprint).bind(now.0).bind(now.0).execute(&mut tx.conn).await.map_err(refused)?;
    let accounts: Vec<(SessionId, i32)> = new.accounts.into_iter().zip(0..).collect();
    for piece in tx.conn.pieces(&accounts) {
        let mut insert = query(ACCOUNTS.sql(piece.len()));
        for (session, ordinal) in piece {
            insert = insert.bind(new.id.0).bind(session.0).bind(*ordinal);
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    let made = find(&mut tx.conn, new.id).await?.ok_or_else(gone)?;
    Ok(CampaignMade::Done(Box::new(made)))
}

fn gone() -> StoreError {
    StoreError::Conflict { what: "campaign" }
}

static RECIPIENTS: Rows = Rows::insert(
    "INSERT INTO campaign_recipients (campaign_id, ordinal, recipient, variables, state, reason, detail) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?)",
    "",
);

async fn add(tx: &mut Tx, id: CampaignId, first: i32, recipients: &[NewRecipient]) -> Result<(), StoreError> {
    let rows: Vec<(i32, &NewRecipient)> = (first..).zip(recipients).collect();
    for piece in tx.conn.pieces(&rows) {
        let mut insert = query(RECIPIENTS.sql(piece.len()));
        for (ordinal, new) in piece {
            let (reason, detail) = new.skip.as_ref().map(|(skip, detail)| (skip.as_str(), detail.clone())).unzip();
            let state = if new.skip.is_some() { RecipientState::Skipped } else { RecipientState::Planned };
            insert = insert.bind(id.0).bind(*ordinal).bind(new.recipient.as_str()).bind(new.variables.as_ref().map(Value::to_string));
            insert = insert.bind(state.number()).bind(reason).bind(detail.flatten());
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    let skipped = i64::try_from(recipients.iter().filter(|new| new.skip.is_some()).count()).unwrap_or(0);
    let total = i64::try_from(recipients.len()).unwrap_or(0);
    let sql = "UPDATE campaigns SET total = total + ?, skipped = skipped + ?, updated_at = ? WHERE id = ? AND state = 'planning'";
    let done = query(sql).bind(total).bind(skipped).bind(tx.clock.now().0).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(gone()) }
}

impl Store {
    /// Makes a campaign that has no recipients yet and can't be started.
    pub async fn create_campaign(&self, new: NewCampaign) -> Result<CampaignMade, StoreError> {
        self.write(move |tx| Box::pin(create(tx, new))).await
    }

    /// Writes recipients down behind `before` others, a bounded number in each transaction. `Conflict` on `campaign` when it
    /// is gone or complete.
    pub async fn add_recipients(&self, id: CampaignId, before: u64, recipients: Vec<NewRecipient>) -> Result<(), StoreError> {
        let mut first = i32::try_from(before).unwrap_or(i32::MAX - 1).saturating_add(1);
        let mut rest = recipients;
        while !rest.is_empty() {
            let next = rest.split_off(rest.len().min(PIECE));
            let count = i32::try_from(rest.len()).unwrap_or(0);
            self.write(move |tx| Box::pin(async move { add(tx, id, first, &rest).await })).await?;
            (first, rest) = (first.saturating_add(count), next);
        }
        Ok(())
    }

    /// One campaign.
    pub async fn campaign(&self, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        find(&self.inner.readers, id).await
    }

    /// The campaign that a user made under an idempotency key, with whether the request was the same.
    pub async fn campaign_of_key(&self, user: UserId, key: &str, fingerprint: [u8; 32]) -> Result<Option<(Campaign, bool)>, StoreError> {
        let sql = "SELECT * FROM campaigns WHERE user_id = ? AND idempotency_key = ?";
        let row = query_as::<_, Row>(sql).bind(user.0).bind(key).fetch_optional(&self.inner.readers).await.map_err(refused)?;
        let Some(row) = row else { return Ok(None) };
        let same = row.fingerprint.as_deref() == Some(&fingerprint[..]);
        Ok(Some((row.read()?, same)))
    }

    /// A page of the campaigns, newest first.
    pub async fn list_campaigns(&self, filter: &CampaignFilter, page: Page) -> Result<Listed<Campaign>, StoreError> {
        const WHERE: &str = " FROM campaigns WHERE (CAST(? AS BOOLEAN) OR user_id = ?) AND (? IS NULL OR state = ?) \
                             AND (? IS NULL OR LOWER(name) LIKE ? ESCAPE '\\')";
        let state = filter.state.map(CampaignState::as_str);
        let search = filter.search.as_deref().map(crate::dialect::like);
        let (all, user) = (filter.user_id.is_none(), filter.user_id.map(|id| id.0).unwrap_or_default());
        let count = query_scalar::<_, i64>(crate::dialect::AssertSqlSafe(format!("SELECT COUNT(*){WHERE}")));
        let count = count.bind(all).bind(user).bind(state).bind(state).bind(search.clone()).bind(search.clone());
        let count = count.fetch_one(&self.inner.readers).await.map_err(refused)?;
        let sql = format!("SELECT *{WHERE} ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?");
        let rows = query_as::<_, Row>(crate::dialect::AssertSqlSafe(sql));
        let rows = rows.bind(all).bind(user).bind(state).bind(state).bind(search.clone()).bind(search);
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let rows = rows.bind(number(page.page_size)).bind(number(page.offset())).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let results = rows.into_iter().map(Row::read).collect::<Result<_, _>>()?;
        Ok(Listed { count: u64::try_from(count).unwrap_or(0), results })
    }

    /// The accounts of a campaign, in the order in which they were named.
    pub async fn campaign_accounts(&self, id: CampaignId) -> Result<Vec<CampaignAccount>, StoreError> {
        let sql = "SELECT session_id, left_at, left_why FROM campaign_accounts WHERE campaign_id = ? ORDER BY ordinal";
        let rows = query_as::<_, (uuid::Uuid, Option<i64>, Option<String>)>(sql).bind(id.0).fetch_all(&self.inner.readers);
        let read = |(session, left_at, left_why): (uuid::Uuid, Option<i64>, Option<String>)| CampaignAccount {
            session_id: SessionId(session),
            left_at: left_at.map(Timestamp),
            left_why,
        };
        Ok(rows.await.map_err(refused)?.into_iter().map(read).collect())
    }

    /// Removes a campaign with its recipients; the messages that were accepted stay. False when it is gone, or not over: one
    /// that could still send is to be canceled first.
    pub async fn delete_campaign(&self, id: CampaignId) -> Result<bool, StoreError> {
        let closed = self.write(move |tx| {
            Box::pin(async move {
                // Nothing can start it while its recipients go.
                let sql = "UPDATE campaigns SET state = 'canceled' WHERE id = ? AND state NOT IN ('running')";
                query(sql).bind(id.0).execute(&mut tx.conn).await.map(|done| done.rows_affected() == 1).map_err(refused)
            })
        });
        if !closed.await? {
            return Ok(false);
        }
        self.delete_in_pieces(
            "DELETE FROM campaign_recipients WHERE (campaign_id, ordinal) IN \
             (SELECT campaign_id, ordinal FROM campaign_recipients WHERE campaign_id = ? LIMIT 500)",
            id.0,
        )
        .await?;
        Ok(self.delete_in_pieces("DELETE FROM campaigns WHERE id = ?", id.0).await? > 0)
    }

    /// Removes campaigns that ended before `before`, and those whose recipients were never all written down since
    /// `unfinished`; answers how many.
    pub async fn sweep_campaigns(&self, before: Option<Timestamp>, unfinished: Timestamp) -> Result<u64, StoreError> {
        let sql = "SELECT id FROM campaigns WHERE (state = 'planning' AND created_at < ?) \
                   OR (state IN ('finished', 'canceled') AND COALESCE(ended_at, updated_at) < ?)";
        let old = query_scalar::<_, uuid::Uuid>(sql).bind(unfinished.0).bind(before.map_or(i64::MIN, |at| at.0));
        let mut gone = 0;
        for id in old.fetch_all(&self.inner.readers).await.map_err(refused)? {
            gone += u64::from(self.delete_campaign(CampaignId(id)).await?);
        }
        Ok(gone)
    }
}
