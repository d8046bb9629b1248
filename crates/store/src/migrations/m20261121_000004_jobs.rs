//! The queue of jobs, and the schedules of what is done again and again.

use super::{belongs_to, make, table};
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = vec![jobs().foreign_key(&mut belongs_to("user_id", "users")).to_owned(), schedules()];
        let statements = [
            "CREATE UNIQUE INDEX jobs_id ON jobs (id)",
            // Claiming looks only at what could run: the first of each lane, and what is in none.
            "CREATE INDEX jobs_due ON jobs (kind, bundle, due_at, seq, state) WHERE head",
            "CREATE INDEX jobs_lane ON jobs (lane, seq) WHERE lane IS NOT NULL AND state <> 2",
            "CREATE INDEX jobs_by_state ON jobs (state, kind, seq)",
            "CREATE INDEX jobs_of_user ON jobs (user_id) WHERE user_id IS NOT NULL",
        ];
        make(manager, tables, &statements).await
    }
}

/// `state`: 0 waits, 1 runs, 2 dead. `due_at`: when it may be claimed; while it runs, when its lease ends. `head`: may be
/// claimed at all (first of its lane, not dead). `bundle` is empty for none.
fn jobs() -> TableCreateStatement {
    let columns = vec![
        schema::big_pk_auto("seq"),
        schema::uuid("id"),
        schema::string("kind"),
        schema::string_null("lane"),
        schema::string("bundle"),
        schema::uuid_null("user_id"),
        schema::text("payload"),
        schema::small_integer("state"),
        schema::boolean("head"),
        schema::integer("attempts"),
        schema::big_integer("due_at"),
        schema::big_integer("created_at"),
        schema::big_integer_null("started_at"),
        schema::big_integer_null("ended_at"),
        schema::uuid_null("owner"),
        schema::text_null("last_error"),
    ];
    table("jobs", columns)
}

/// `leased_until` and `owner`: the node that runs it now. `outcome`: `ok` or `failed`, of the last run.
fn schedules() -> TableCreateStatement {
    let mut name = schema::string("name");
    name.primary_key();
    let columns = vec![
        name,
        schema::string("cron"),
        schema::big_integer("next_run"),
        schema::big_integer_null("leased_until"),
        schema::uuid_null("owner"),
        schema::big_integer_null("last_run"),
        schema::big_integer_null("last_took"),
        schema::string_null("outcome"),
        schema::text_null("detail"),
    ];
    table("schedules", columns)
}
