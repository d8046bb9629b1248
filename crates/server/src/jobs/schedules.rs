//! The list of everything that is done again and again, one line each.
//!
//! Each sweep removes what is past its time in bounded pieces (see `sanasend_store`), so that callers never wait for it.
//! Whoever adds something that grows adds its sweep here.

use super::{Schedule, ScheduleAct};
use crate::config::Config;
use crate::media::Files;
use crate::sessions::Sessions;
use anyhow::Context;
use futures::future::BoxFuture;
use sanasend_model::{Clock, Timestamp};
use sanasend_store::{AuditBreak, AuditCheck, AuditStep, SignalKind, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// What the schedules work on.
#[derive(Clone)]
pub struct Parts {
    /// Memory.
    pub store: Store,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The linked accounts.
    pub sessions: Sessions,
    /// Files of messages.
    pub media: Files,
}

/// Of the Signal state, what is only needed for a while, and how long. The client library would remove it per account; its
/// deletes do nothing with us, because one sweep of all accounts costs less than one per account.
const SIGNAL: [(SignalKind, Duration); 5] = [
    // Remembered while a retry for a message is under way.
    (SignalKind::BaseKey, Duration::from_hours(24)),
    // WhatsApp's privacy tokens are good for four weeks.
    (SignalKind::TcToken, Duration::from_hours(24 * 35)),
    // What was sent, in case the recipient asks for it again; a device that was off for longer asks in vain.
    (SignalKind::SentMessage, Duration::from_hours(24 * 14)),
    (SignalKind::PendingInbound, Duration::from_hours(24 * 14)),
    // For edits, reactions and votes on messages of others.
    (SignalKind::MsgSecret, Duration::from_hours(24 * 90)),
];

/// A recipient's wish for a message is answered at once, or it was in vain.
const WISHES_KEPT: Duration = Duration::from_hours(1);

/// Counts by hour are for charts; those by day are kept with each user.
const HOURS_KEPT: Duration = Duration::from_hours(24 * 400);

/// Looks how linked accounts fare.
pub const ACCOUNT_HEALTH: &str = "accounts.health";

/// Campaigns whose recipients were not all written down by then never will be: their request broke off.
const UNFINISHED_KEPT: Duration = Duration::from_hours(24);

/// A running campaign has a turn every ten minutes; without one for so long its job was dropped or given up.
const TURN_LOST: Duration = Duration::from_mins(30);

/// The check of the audit log; `/health` looks at how its last run ended.
pub const AUDIT_CHECK: &str = "audit.check";

/// Under which other id a recipient is reached is asked of WhatsApp again after this time; numbers change hands.
const ALIASES_KEPT: Duration = Duration::from_hours(24 * 90);

/// An import that tells nothing for so long was cut by the end of its server.
const IMPORT_SILENT: Duration = Duration::from_mins(10);

/// All schedules of the program. Times are UTC, and spread so that they do not meet.
#[must_use]
pub fn all(config: &Config, parts: &Parts) -> Vec<Schedule> {
    let keep = &config.retention;
    let mut all = vec![
        make("idempotency.sweep", "Forgets idempotency keys that are past their end.", "*/10 * * * *", parts, |p| {
            Box::pin(async move { removed(p.store.delete_expired_idempotency(p.clock.now()).await, "keys") })
        }),
        make("logins.sweep", "Removes logins and refresh tokens that have expired.", "3 * * * *", parts, |p| {
            Box::pin(async move { removed(p.store.delete_expired_logins(p.clock.now()).await, "rows") })
        }),
        make("hours.sweep", "Removes counts by hour that no chart shows any more.", "33 3 * * *", parts, |p| {
            Box::pin(async move { removed(p.store.sweep_hours(p.before(HOURS_KEPT)).await, "hours") })
        }),
        make("aliases.sweep", "Forgets under which ids recipients were reached that nobody wrote to for long.", "51 3 * * *", parts, |p| {
            Box::pin(async move { removed(p.store.sweep_aliases(p.before(ALIASES_KEPT)).await, "recipients") })
        }),
        make("signal.sweep", "Removes Signal state that is only needed for a while.", "11 * * * *", parts, |p| Box::pin(sweep_signal(p))),
        make("users.remove", "Goes on with the removal of users that was cut.", "13 * * * *", parts, |p| {
            Box::pin(async move { Ok(format!("went on with {} users", p.store.resume_user_removals().await?)) })
        }),
        make(AUDIT_CHECK, "Checks that the audit log is as it was written.", "7 2 * * *", parts, |p| Box::pin(check_audit(p))),
    ];
    let media = days(keep.media_days);
    all.push(make("media.sweep", "Lets old files of messages go, and those that no message carries.", "47 * * * *", parts, move |p| {
        Box::pin(async move { p.media.sweep(media).await })
    }));
    if let Some(age) = days(keep.messages_days) {
        all.push(make("messages.sweep", "Removes old messages.", "17 * * * *", parts, move |p| {
            Box::pin(async move { removed(p.store.sweep_messages(p.before(age)).await, "messages") })
        }));
    }
    if let Some(age) = days(keep.originals_days) {
        all.push(make("originals.sweep", "Removes the originals of old incoming messages.", "23 * * * *", parts, move |p| {
            Box::pin(async move { removed(p.store.sweep_originals(p.before(age)).await, "originals") })
        }));
    }
    if let Some(age) = days(keep.events_days) {
        all.push(make("events.sweep", "Removes old entries of the event log.", "29 * * * *", parts, move |p| {
            Box::pin(async move { removed(p.store.sweep_events(p.before(age)).await, "events") })
        }));
    }
    if let Some(age) = days(keep.api_log_days) {
        all.push(make("api_log.sweep", "Removes old entries of the API log.", "31 * * * *", parts, move |p| {
            Box::pin(async move { removed(p.store.sweep_requests(p.before(age)).await, "requests") })
        }));
    }
    if let Some(age) = days(keep.dead_jobs_days) {
        all.push(make("jobs.sweep", "Removes jobs that were given up long ago.", "37 * * * *", parts, move |p| {
            Box::pin(async move { removed(p.store.sweep_dead_jobs(p.before(age)).await, "jobs") })
        }));
    }
    if let Some(age) = days(config.webhooks.keep_days) {
        all.push(make("deliveries.sweep", "Removes old webhook deliveries with their attempts.", "47 * * * *", parts, move |p| {
            Box::pin(async move { removed(p.store.sweep_deliveries(p.before(age)).await, "deliveries") })
        }));
    }
    all.extend(of_campaigns(config, parts));
    all.push(make("secrets.reseal", "Seals anew what has an older seal key.", "*/5 * * * *", parts, |p| Box::pin(reseal(p.store.clone()))));
    let kept = days(config.contacts.keep_imports_days);
    all.push(make("imports.sweep", "Ends imports whose server died, and removes old reports.", "*/15 * * * *", parts, move |p| {
        let old = kept.map_or(Timestamp(i64::MIN), |age| p.before(age));
        Box::pin(async move { removed(p.store.sweep_imports(p.before(IMPORT_SILENT), old).await, "reports") })
    }));
    if keep.unlinked_sessions_hours > 0 {
        let age = Duration::from_secs(keep.unlinked_sessions_hours * 3600);
        all.push(make("sessions.sweep", "Removes sessions that no account was ever linked to.", "41 * * * *", parts, move |p| {
            Box::pin(async move { removed(p.sessions.sweep_never_linked(p.before(age)).await, "sessions") })
        }));
    }
    all
}

/// Seals anew what has an older key; without one there is nothing to look for.
async fn reseal(store: Store) -> anyhow::Result<String> {
    if store.seal_key() <= 1 {
        return Ok("There is no older key.".into());
    }
    let done = store.reseal().await?;
    if done.stuck > 0 {
        tracing::error!(values = done.stuck, "sealed values can't be opened; they are damaged, and keep their old key from being retired");
    }
    Ok(format!("{} values were sealed anew.", done.done))
}

/// What is done for campaigns and the accounts that send them.
fn of_campaigns(config: &Config, parts: &Parts) -> Vec<Schedule> {
    let keep = days(config.campaigns.keep_days);
    let policy = crate::campaigns::Settings::of(config).policy;
    vec![
        make("campaigns.sweep", "Removes campaigns that ended long ago, and those never made whole.", "53 * * * *", parts, move |p| {
            Box::pin(async move {
                let before = keep.map(|age| p.before(age));
                removed(p.store.sweep_campaigns(before, p.before(UNFINISHED_KEPT)).await, "campaigns")
            })
        }),
        make("campaign.wake", "Moves campaigns on whose next turn was lost.", "*/10 * * * *", parts, |p| {
            Box::pin(async move { Ok(format!("moved {} campaigns on", p.store.wake_campaigns(p.before(TURN_LOST)).await?)) })
        }),
        make(ACCOUNT_HEALTH, "Looks how linked accounts fare, and tells of changes.", "* * * * *", parts, move |p| {
            let policy = policy.clone();
            Box::pin(async move { Ok(format!("{} accounts fare otherwise than before", p.store.check_account_health(&policy).await?)) })
        }),
        make("account_hours.sweep", "Removes counts of accounts by hour that nobody looks at.", "39 3 * * *", parts, |p| {
            Box::pin(async move { removed(p.store.sweep_account_hours(p.before(HOURS_KEPT)).await, "hours") })
        }),
    ]
}

impl Parts {
    /// The moment so long ago.
    fn before(&self, age: Duration) -> Timestamp {
        self.clock.now().minus(age)
    }
}

/// So many days; `None` for ever.
fn days(days: u64) -> Option<Duration> {
    (days > 0).then(|| Duration::from_secs(days * 86_400))
}

/// A schedule over the parts.
fn make(
    name: &'static str,
    about: &'static str,
    cron: &str,
    parts: &Parts,
    run: impl Fn(Parts) -> BoxFuture<'static, anyhow::Result<String>> + Send + Sync + 'static,
) -> Schedule {
    let parts = parts.clone();
    let act: ScheduleAct = Arc::new(move || run(parts.clone()));
    Schedule { name, about, cron: cron.to_owned(), run: act }
}

fn removed(count: Result<u64, StoreError>, what: &str) -> anyhow::Result<String> {
    Ok(format!("removed {} {what}", count?))
}

/// A broken log fails, so that it stays in sight until a run finds it whole. The head is told to the server's log, which
/// lies elsewhere: against an older database that is put back, it is the only proof.
async fn check_audit(parts: Parts) -> anyhow::Result<String> {
    let mut check = AuditCheck::default();
    loop {
        match parts.store.check_audit(&mut check).await.context("the audit log can't be read")? {
            AuditStep::SoFar => {}
            AuditStep::Whole { entries, head } => {
                tracing::info!(entries, head, "the audit log is whole");
                return Ok(format!("{entries} entries, all as they were written"));
            }
            AuditStep::Broken(AuditBreak { seq, why }) => {
                tracing::error!(seq, why, "the audit log was changed");
                anyhow::bail!("the audit log was changed at entry {seq}: {why}");
            }
        }
    }
}

async fn sweep_signal(parts: Parts) -> anyhow::Result<String> {
    let mut gone = 0;
    for (kind, age) in SIGNAL {
        gone += parts.store.sweep_signal(kind, parts.before(age)).await?;
    }
    gone += parts.store.forget_wishes(&parts.sessions.running(), parts.before(WISHES_KEPT)).await?;
    Ok(format!("removed {gone} values"))
}
