//! Taking messages up: the first of each chat, in the order of acceptance.
//!
//! Only the heads of chats are looked at, over an index of their own, so that the cost does not grow with what waits behind
//! them. A claim that no news ever follows means a crash between the claim and the record of what became of it: the
//! message may have left, and the next claim says so and notes it for all that follow.

use super::Claimed;
use super::working::{WRITTEN, each};
use crate::dialect::{Rows, pieces, query, query_as, refused};
use crate::messages::Message;
use crate::rows::from_row;
use crate::rows::message::Model;
use crate::together::{AnswerTo, Asked, Together};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::pacing::waited;
use sanasend_model::{Jid, MessageId, SessionId, Step, Timestamp, UserId, retry};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

/// Phases of an outbox row.
pub(super) mod phase {
    /// Nothing is being tried.
    pub(crate) const WAITING: i16 = 0;
    /// Taken up; whether it was written is not known yet.
    pub(crate) const CLAIMED: i16 = 1;
    /// Written to the socket, not answered yet.
    pub(crate) const WRITTEN: i16 = 2;
}

/// Messages of a chat that are given up at once; those behind them are when their turn comes.
const CHAT_PIECE: i64 = 200;

/// A wait that is worth a word in the timeline.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// A due head.
struct Head {
    seq: i64,
    message_id: Uuid,
    session_id: Uuid,
    chat: String,
    phase: i16,
    due_at: i64,
    expires_at: i64,
}

from_row!("outbox": Head { seq, message_id, session_id, chat, phase, due_at, expires_at });

/// That an account was held: the timelines of what it takes up now say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Since when.
    pub since: Timestamp,
    /// Why, for people.
    pub why: String,
}

/// What the owner of an account wants to take up.
pub(crate) struct Claim {
    session_id: SessionId,
    generation: i64,
    now: Timestamp,
    /// Chats of which nothing is taken.
    busy: Vec<Jid>,
    limit: usize,
    held: Option<Held>,
}

impl Claim {
    /// What is told of the wait of a message that is taken up now, and since when it waited.
    fn wait_of(&self, head: &Head) -> Option<(Timestamp, String)> {
        let held = self.held.as_ref()?;
        let since = held.since.max(Timestamp(head.due_at));
        (self.now.since(since) >= WORTH_TELLING).then(|| (since, waited(since, self.now, &held.why, self.now)))
    }

    fn is_free(&self, head: &Head) -> bool {
        !self.busy.iter().any(|chat| chat.as_str() == head.chat)
    }

    /// Heads to read: enough for the limit when all busy chats are among them.
    fn most(&self) -> i64 {
        i64::try_from(self.limit.saturating_add(self.busy.len())).unwrap_or(i64::MAX)
    }
}

static CLAIM: Rows = Rows::new("UPDATE outbox SET phase = 1 WHERE seq IN (", "?", ")");
static ATTEMPT: Rows = Rows::new("UPDATE messages SET attempts = attempts + 1 WHERE id IN (", "?", ") RETURNING *");

// No order: who reads sorts, and the limit then bounds the work however many chats wait.
static DUE: Rows = Rows::new(
    "SELECT seq, message_id, session_id, chat, phase, due_at, expires_at FROM outbox WHERE session_id IN (",
    "?",
    ") AND head AND due_at <= ? LIMIT ?",
);

/// The due heads of several accounts, by one question; without those of accounts that have too many, which are asked for one
/// by one.
async fn due_heads_of_all(tx: &mut Tx, claims: &[&Claim]) -> Result<HashMap<SessionId, Vec<Head>>, StoreError> {
    let mut all: HashMap<SessionId, Vec<Head>> = HashMap::new();
    for piece in pieces(claims) {
        if piece.len() == 1 {
            continue;
        }
        let mut select = query_as::<_, Head>(DUE.sql(piece.len()));
        let (mut most, mut now) = (1_i64, Timestamp(0));
        for claim in piece {
            select = select.bind(claim.session_id.0);
            (most, now) = (most.saturating_add(claim.most()), now.max(claim.now));
        }
        let heads = select.bind(now.0).bind(most).fetch_all(&mut tx.conn).await.map_err(refused)?;
        if i64::try_from(heads.len()).is_ok_and(|found| found < most) {
            all.extend(piece.iter().map(|claim| (claim.session_id, Vec::new())));
            for head in heads {
                all.entry(SessionId(head.session_id)).or_default().push(head);
            }
        }
    }
    Ok(all)
}

/// The heads to take, in order. Those past their deadline are given up on the way: they must not hold up their chat.
async fn due_heads(tx: &mut Tx, claim: &Claim, mut known: Option<Vec<Head>>) -> Result<Vec<Head>, StoreError> {
    let sql = "SELECT seq, message_id, session_id, chat, phase, due_at, expires_at FROM outbox \
               WHERE session_id = ? AND head AND due_at <= ? ORDER BY seq LIMIT ?";
    loop {
        let mut heads = if let Some(heads) = known.take() {
            heads
        } else {
            let heads = query_as::<_, Head>(sql).bind(claim.session_id.0).bind(claim.now.0).bind(claim.most());
            heads.fetch_all(&mut tx.conn).await.map_err(refused)?
        };
        heads.sort_unstable_by_key(|head| head.seq);
        heads.retain(|head| claim.is_free(head));
        let late: Vec<(Uuid, i16)> =
            heads.iter().filter(|head| head.expires_at <= claim.now.0).map(|head| (head.message_id, head.phase)).collect();
        if late.is_empty() {
            heads.truncate(claim.limit);
            return Ok(heads);
        }
        tx.give_up(late, claim.now, retry::expired).await?;
    }
}

/// Notes the claim of these heads; their messages.
async fn take_up(tx: &mut Tx, heads: &[&Head]) -> Result<HashMap<Uuid, Model>, StoreError> {
    let mut rows: HashMap<Uuid, Model> = HashMap::with_capacity(heads.len());
    for piece in pieces(heads) {
        let mut update = query(CLAIM.sql(piece.len()));
        let mut attempt = query_as::<_, Model>(ATTEMPT.sql(piece.len()));
        for head in piece {
            update = update.bind(head.seq);
            attempt = attempt.bind(head.message_id);
        }
        update.execute(&mut tx.conn).await.map_err(refused)?;
        let messages = attempt.fetch_all(&mut tx.conn).await.map_err(refused)?;
        rows.extend(messages.into_iter().map(|row| (row.id, row)));
    }
    // Nobody knows what became of an attempt before: that one may have left, whatever is reported of the one that begins.
    let doubtful: Vec<Uuid> = heads.iter().filter(|head| head.phase != phase::WAITING).map(|head| head.message_id).collect();
    each(tx, &WRITTEN, &doubtful).await?;
    Ok(rows)
}

/// Those of the messages just taken up whose recipients opted out since they were accepted.
async fn blocked(tx: &mut Tx, rows: &HashMap<Uuid, Model>) -> Result<HashSet<MessageId>, StoreError> {
    if !tx.is_any_guarded(rows.values().map(|row| UserId(row.user_id))).await? {
        return Ok(HashSet::new());
    }
    // One that can't be read is buried by whoever took it up.
    let messages: Vec<Message> = rows.values().cloned().filter_map(|row| row.read().ok()).collect();
    tx.opted_out_since(&messages).await
}

/// Gives up what waits for somebody who opted out: what was taken up, and all behind it that is for them too.
async fn refuse_chat(tx: &mut Tx, claim: &Claim, head: &Head) -> Result<(), StoreError> {
    tx.give_up(vec![(head.message_id, head.phase)], claim.now, retry::opted_out).await?;
    let sql = "SELECT message_id, phase FROM outbox WHERE session_id = ? AND chat = ? ORDER BY seq LIMIT ?";
    let rows = query_as::<_, (Uuid, i16)>(sql).bind(head.session_id).bind(&head.chat).bind(CHAT_PIECE);
    let rows = rows.fetch_all(&mut tx.conn).await.map_err(refused)?;
    let mut messages = Vec::with_capacity(rows.len());
    for (id, _) in &rows {
        if let Ok(Some((message, _))) = tx.message(MessageId(*id)).await {
            messages.push(message);
        }
    }
    let blocked = tx.opted_out_since(&messages).await?;
    let rows = rows.into_iter().filter(|(id, _)| blocked.contains(&MessageId(*id))).collect();
    tx.give_up(rows, claim.now, retry::opted_out).await.map(drop)
}

impl Together for Claim {
    type Answer = Vec<Claimed>;

    async fn run(tx: &mut Tx, asked: &[Self]) -> Result<Vec<Result<Vec<Claimed>, StoreError>>, StoreError> {
        let fenced = tx.fence_all(asked.iter().map(|claim| (claim.session_id, claim.generation)).collect()).await?;
        let open: Vec<&Self> = asked.iter().zip(&fenced).filter(|(_, fenced)| fenced.is_ok()).map(|(claim, _)| claim).collect();
        let mut known = due_heads_of_all(tx, &open).await?;
        let mut heads = Vec::with_capacity(asked.len());
        for (claim, fenced) in asked.iter().zip(fenced) {
            heads.push(match fenced {
                Ok(()) => Ok(due_heads(tx, claim, known.remove(&claim.session_id)).await?),
                Err(refusal) => Err(refusal),
            });
        }
        let mut rows = take_up(tx, &heads.iter().flatten().flatten().collect::<Vec<_>>()).await?;
        let blocked = blocked(tx, &rows).await?;
        let mut answers = Vec::with_capacity(asked.len());
        for (claim, heads) in asked.iter().zip(heads) {
            let heads = match heads {
                Ok(heads) => heads,
                Err(refusal) => {
                    answers.push(Err(refusal));
                    continue;
                }
            };
            let mut claimed = Vec::with_capacity(heads.len());
            for head in heads {
                let Some(row) = rows.remove(&head.message_id) else { continue };
                if blocked.contains(&MessageId(head.message_id)) {
                    refuse_chat(tx, claim, &head).await?;
                    continue;
                }
                let written_before = row.written || head.phase != phase::WAITING;
                match row.read() {
                    Ok(message) => {
                        if let Some((since, text)) = claim.wait_of(&head) {
                            tx.note((message.id, since, Step::Held, message.attempts, Some(text)));
                        }
                        tx.note((message.id, claim.now, Step::Claimed, message.attempts, None));
                        let expires_at = Timestamp(head.expires_at);
                        claimed.push(Claimed { attempts: message.attempts, message, written_before, expires_at });
                    }
                    Err(error) => tx.bury(MessageId(head.message_id), &error).await?,
                }
            }
            answers.push(Ok(claimed));
        }
        Ok(answers)
    }

    fn with(self, answer: AnswerTo<Self>) -> Asked {
        Asked::Claim(self, answer)
    }
}

impl Store {
    /// Takes up to `limit` messages up: the first of each chat that is due and not busy, in the order of acceptance.
    pub async fn claim(
        &self,
        session_id: SessionId,
        generation: i64,
        now: Timestamp,
        busy_chats: &[Jid],
        limit: u32,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.claim_after(None, session_id, generation, now, busy_chats, limit).await
    }

    /// The same for an account that was held back: what waited for a second or longer says so in its timeline.
    pub async fn claim_after(
        &self,
        held: Option<Held>,
        session_id: SessionId,
        generation: i64,
        now: Timestamp,
        busy_chats: &[Jid],
        limit: u32,
    ) -> Result<Vec<Claimed>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.inner.writer.together(Claim { session_id, generation, now, busy: busy_chats.to_vec(), limit, held }).await
    }

    /// When the next message of a chat that is not busy is due; `None` when none is or all wait for a connection.
    pub async fn next_due(&self, session_id: SessionId, busy_chats: &[Jid]) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT due_at, chat FROM outbox WHERE session_id = ? AND head AND due_at IS NOT NULL ORDER BY due_at LIMIT ?";
        let most = i64::try_from(busy_chats.len().saturating_add(1)).unwrap_or(i64::MAX);
        let heads = query_as::<_, (i64, String)>(sql).bind(session_id.0).bind(most).fetch_all(&self.inner.readers);
        let busy: HashSet<&str> = busy_chats.iter().map(Jid::as_str).collect();
        let free = heads.await.map_err(refused)?.into_iter().find(|(_, chat)| !busy.contains(chat.as_str()));
        Ok(free.map(|(due_at, _)| Timestamp(due_at)))
    }

    /// Makes messages due that wait for a connection; answers how many. Only the heads of chats: what is behind another one is
    /// due when its turn comes, whatever it waited for.
    pub async fn wake_offline(&self, session_id: SessionId) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE outbox SET due_at = ? WHERE session_id = ? AND head AND due_at IS NULL";
                let update = query(sql).bind(tx.clock.now().0).bind(session_id.0);
                update.execute(&mut tx.conn).await.map(|done| done.rows_affected()).map_err(refused)
            })
        })
        .await
    }
}
