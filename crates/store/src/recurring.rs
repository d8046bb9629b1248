//! Recurring sends: what a user wants sent again and again, and when it is due next.
//!
//! The row says when the next run is due. Whoever does it accepts the message under an idempotency key of the row and that
//! time, and then moves the row on, if it still says the same: so a run is done once, whatever dies between the two.

use crate::dialect::{On, query, query_as, query_scalar, refused};
use crate::events::NewEvent;
use crate::rows::{Place, from_row};
use crate::writer::Tx;
use crate::{Listed, Page, Store, StoreError};
use sanasend_model::{EventKind, MessageId, ScheduleId, SessionId, TemplateId, Timestamp, UserId};
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What is sent.
#[derive(Clone, PartialEq, Eq)]
pub enum RecurringContent {
    /// A text.
    Text(String),
    /// The present version of a template at each run.
    Template {
        /// Which.
        id: TemplateId,
        /// The values of its variables.
        variables: BTreeMap<String, String>,
    },
}

/// Texts of people are not for logs.
impl std::fmt::Debug for RecurringContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text"),
            Self::Template { id, .. } => write!(f, "Template({id})"),
        }
    }
}

/// A recurring send as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecurringPlan {
    /// What its owner calls it, unique among the owner's.
    pub name: String,
    /// The account it goes through.
    pub session_id: SessionId,
    /// When, as a cron expression.
    pub cron: String,
    /// By the clock of this zone.
    pub timezone: String,
    /// To whom: a number or an id.
    pub recipient: String,
    /// What.
    pub content: RecurringContent,
    /// Whether quiet hours hold a run; `None` for as the user's setting says.
    pub quiet_hours: Option<bool>,
    /// No run after this.
    pub ends_at: Option<Timestamp>,
    /// Not more runs than this.
    pub most_runs: Option<i32>,
    /// Whether runs are done.
    pub is_active: bool,
}

/// A recurring send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurring {
    /// Id.
    pub id: ScheduleId,
    /// Whose it is.
    pub user_id: UserId,
    /// As it is wanted.
    pub plan: RecurringPlan,
    /// When the next run is due; `None` when none is left.
    pub next_at: Option<Timestamp>,
    /// Runs that were due so far, failed ones among them.
    pub runs: i32,
    /// When the last run was done.
    pub last_run_at: Option<Timestamp>,
    /// The message of the last run that accepted one.
    pub last_message: Option<MessageId>,
    /// Why the last run accepted none.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its owner changed it last.
    pub updated_at: Timestamp,
}

/// What came of making one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecurringCreated {
    /// Made.
    Done(Box<Recurring>),
    /// The user has as many as it may have.
    LimitReached,
}

/// A run that was done.
#[derive(Debug, Clone)]
pub struct RecurringRun {
    /// Of which.
    pub id: ScheduleId,
    /// When it was due: the row must still say so.
    pub due_at: Timestamp,
    /// When the next is due, if any is left.
    pub next_at: Option<Timestamp>,
    /// The message, or why there is none.
    pub outcome: Result<MessageId, String>,
}

struct Row {
    id: Uuid,
    user_id: Uuid,
    session_id: Uuid,
    name: String,
    cron: String,
    timezone: String,
    recipient: String,
    content: Option<String>,
    template_id: Option<Uuid>,
    variables: String,
    quiet_hours: Option<bool>,
    next_at: Option<i64>,
    ends_at: Option<i64>,
    most_runs: Option<i32>,
    runs: i32,
    is_active: bool,
    last_run_at: Option<i64>,
    last_message_id: Option<Uuid>,
    last_error: Option<String>,
    created_at: i64,
    updated_at: i64,
}

from_row!("recurring": Row {
    id, user_id, session_id, name, cron, timezone, recipient, content, template_id, variables, quiet_hours, next_at, ends_at,
    most_runs, runs, is_active, last_run_at, last_message_id, last_error, created_at, updated_at
});

impl Row {
    fn read(self) -> Result<Recurring, StoreError> {
        let place = Place { table: "recurring", row: &self.id };
        let content = match (self.content, self.template_id) {
            (Some(text), _) => RecurringContent::Text(text),
            (None, Some(id)) => RecurringContent::Template {
                id: TemplateId(id),
                variables: place.json("variables", Some(&self.variables))?.unwrap_or_default(),
            },
            (None, None) => return Err(place.corrupt("content")),
        };
        Ok(Recurring {
            id: ScheduleId(self.id),
            user_id: UserId(self.user_id),
            plan: RecurringPlan {
                name: self.name,
                session_id: SessionId(self.session_id),
                cron: self.cron,
                timezone: self.timezone,
                recipient: self.recipient,
                content,
                quiet_hours: self.quiet_hours,
                ends_at: self.ends_at.map(Timestamp),
                most_runs: self.most_runs,
                is_active: self.is_active,
            },
            next_at: self.next_at.map(Timestamp),
            runs: self.runs,
            last_run_at: self.last_run_at.map(Timestamp),
            last_message: self.last_message_id.map(MessageId),
            last_error: self.last_error,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
        })
    }
}

async fn find<'c>(conn: impl Into<On<'c>>, id: ScheduleId) -> Result<Option<Recurring>, StoreError> {
    let row = query_as::<_, Row>("SELECT * FROM recurring WHERE id = ?").bind(id.0).fetch_optional(conn);
    row.await.map_err(refused)?.map(Row::read).transpose()
}

/// Text, template and variables as columns.
fn columns(content: &RecurringContent) -> (Option<String>, Option<Uuid>, String) {
    match content {
        RecurringContent::Text(text) => (Some(text.clone()), None, "{}".to_owned()),
        RecurringContent::Template { id, variables } => (None, Some(id.0), json!(variables).to_string()),
    }
}

async fn create(
    tx: &mut Tx,
    user: UserId,
    plan: RecurringPlan,
    next_at: Option<Timestamp>,
    limit: u64,
) -> Result<RecurringCreated, StoreError> {
    let count = query_scalar::<_, i64>("SELECT COUNT(*) FROM recurring WHERE user_id = ?").bind(user.0);
    let count = count.fetch_one(&mut tx.conn).await.map_err(refused)?;
    if u64::try_from(count).is_ok_and(|count| count >= limit) {
        return Ok(RecurringCreated::LimitReached);
    }
    let (id, now) = (ScheduleId::new(&*tx.clock), tx.clock.now());
    let (text, template, variables) = columns(&plan.content);
    let sql = "INSERT INTO recurring (id, user_id, session_id, name, cron, timezone, recipient, content, template_id, variables, \
               quiet_hours, next_at, ends_at, most_runs, runs, is_active, created_at, updated_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)";
    let insert = query(sql).bind(id.0).bind(user.0).bind(plan.session_id.0).bind(plan.name).bind(plan.cron).bind(plan.timezone);
    let insert = insert.bind(plan.recipient).bind(text).bind(template).bind(variables).bind(plan.quiet_hours);
    let insert = insert.bind(next_at.map(|at| at.0)).bind(plan.ends_at.map(|at| at.0)).bind(plan.most_runs).bind(plan.is_active);
    insert.bind(now.0).bind(now.0).execute(&mut tx.conn).await.map_err(refused)?;
    let made = find(&mut tx.conn, id).await?.ok_or_else(|| StoreError::Unavailable("the schedule was not written".into()))?;
    Ok(RecurringCreated::Done(Box::new(made)))
}

async fn replace(tx: &mut Tx, id: ScheduleId, plan: RecurringPlan, next_at: Option<Timestamp>) -> Result<Option<Recurring>, StoreError> {
    let (text, template, variables) = columns(&plan.content);
    let sql = "UPDATE recurring SET session_id = ?, name = ?, cron = ?, timezone = ?, recipient = ?, content = ?, template_id = ?, \
               variables = ?, quiet_hours = ?, next_at = ?, ends_at = ?, most_runs = ?, is_active = ?, updated_at = ? WHERE id = ?";
    let update = query(sql).bind(plan.session_id.0).bind(plan.name).bind(plan.cron).bind(plan.timezone).bind(plan.recipient);
    let update = update.bind(text).bind(template).bind(variables).bind(plan.quiet_hours).bind(next_at.map(|at| at.0));
    let update = update.bind(plan.ends_at.map(|at| at.0)).bind(plan.most_runs).bind(plan.is_active);
    update.bind(tx.clock.now().0).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
    find(&mut tx.conn, id).await
}

async fn end_run(tx: &mut Tx, run: RecurringRun) -> Result<bool, StoreError> {
    let (message, error) = match &run.outcome {
        Ok(message) => (Some(message.0), None),
        Err(error) => (None, Some(error.clone())),
    };
    let now = tx.clock.now();
    let sql = "UPDATE recurring SET next_at = ?, runs = runs + 1, last_run_at = ?, last_message_id = COALESCE(?, last_message_id), \
               last_error = ? WHERE id = ? AND next_at = ?";
    let update = query(sql).bind(run.next_at.map(|at| at.0)).bind(now.0).bind(message).bind(error.as_deref());
    let done = update.bind(run.id.0).bind(run.due_at.0).execute(&mut tx.conn).await.map_err(refused)?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    if let Some(error) = error
        && let Some(recurring) = find(&mut tx.conn, run.id).await?
    {
        let told = json!({"id": recurring.id, "name": recurring.plan.name, "due_at": run.due_at, "reason": error, "next_at": run.next_at});
        let event = NewEvent {
            user_id: recurring.user_id,
            session_id: Some(recurring.plan.session_id),
            kind: EventKind::ScheduleFailed,
            message_id: None,
            data: json!({"schedule": told}),
            at: now,
        };
        tx.record(vec![event]).await?;
    }
    Ok(true)
}

impl Store {
    /// Makes a recurring send unless the user has `limit` of them. `Conflict` on `name` when there is one of that name, on
    /// `owner` when the user or the account is gone.
    pub async fn create_recurring(
        &self,
        user: UserId,
        plan: RecurringPlan,
        next_at: Option<Timestamp>,
        limit: u64,
    ) -> Result<RecurringCreated, StoreError> {
        self.write(move |tx| Box::pin(create(tx, user, plan, next_at, limit))).await
    }

    /// One recurring send.
    pub async fn recurring(&self, id: ScheduleId) -> Result<Option<Recurring>, StoreError> {
        find(&self.inner.readers, id).await
    }

    /// A page of the recurring sends of a user, or of all; by name.
    pub async fn list_recurring(&self, user: Option<UserId>, page: Page) -> Result<Listed<Recurring>, StoreError> {
        let user = user.map(|user| user.0);
        let count = query_scalar::<_, i64>("SELECT COUNT(*) FROM recurring WHERE (? IS NULL OR user_id = ?)").bind(user).bind(user);
        let count = count.fetch_one(&self.inner.readers).await.map_err(refused)?;
        let sql = "SELECT * FROM recurring WHERE (? IS NULL OR user_id = ?) ORDER BY name, id LIMIT ? OFFSET ?";
        let rows = query_as::<_, Row>(sql).bind(user).bind(user);
        let rows = rows.bind(i64::try_from(page.page_size).unwrap_or(i64::MAX)).bind(i64::try_from(page.offset()).unwrap_or(i64::MAX));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let results = rows.into_iter().map(Row::read).collect::<Result<_, _>>()?;
        Ok(Listed { count: u64::try_from(count).unwrap_or(0), results })
    }

    /// Changes a recurring send as a whole; what was done stays counted. `None` when it is not there.
    pub async fn replace_recurring(
        &self,
        id: ScheduleId,
        plan: RecurringPlan,
        next_at: Option<Timestamp>,
    ) -> Result<Option<Recurring>, StoreError> {
        self.write(move |tx| Box::pin(replace(tx, id, plan, next_at))).await
    }

    /// Removes a recurring send; false when it is not there. Messages of earlier runs stay.
    pub async fn delete_recurring(&self, id: ScheduleId) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let delete = query("DELETE FROM recurring WHERE id = ?").bind(id.0).execute(&mut tx.conn).await;
                delete.map(|done| done.rows_affected() > 0).map_err(refused)
            })
        })
        .await
    }

    /// Active ones whose next run is due, the longest overdue first.
    pub async fn due_recurring(&self, now: Timestamp, most: u32) -> Result<Vec<Recurring>, StoreError> {
        let sql = "SELECT * FROM recurring WHERE is_active AND next_at <= ? ORDER BY next_at LIMIT ?";
        let rows = query_as::<_, Row>(sql).bind(now.0).bind(i64::from(most)).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let mut due = Vec::with_capacity(rows.len());
        for row in rows {
            let id = ScheduleId(row.id);
            match row.read() {
                Ok(recurring) => due.push(recurring),
                Err(error) => self.switch_off(id, &error).await?,
            }
        }
        Ok(due)
    }

    /// Ends one whose row can't be read, so that it does not stay due for ever.
    async fn switch_off(&self, id: ScheduleId, error: &StoreError) -> Result<(), StoreError> {
        tracing::error!(%error, "a recurring send can't be read; it is switched off");
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE recurring SET is_active = FALSE, last_error = 'The stored schedule can''t be read.' WHERE id = ?";
                query(sql).bind(id.0).execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// When the next run of any active one is due.
    pub async fn next_recurring(&self) -> Result<Option<Timestamp>, StoreError> {
        let next: Option<i64> =
            query_scalar("SELECT MIN(next_at) FROM recurring WHERE is_active").fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(next.map(Timestamp))
    }

    /// Moves a recurring send on after a run; false when somebody did, or its owner changed it meanwhile.
    pub async fn end_recurring_run(&self, run: RecurringRun) -> Result<bool, StoreError> {
        self.write(move |tx| Box::pin(end_run(tx, run))).await
    }
}
