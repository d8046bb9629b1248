//! Campaigns with their accounts and recipients, and what each account sent by the hour.

use super::{belongs_to, key, make, table};
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = vec![
            campaigns().foreign_key(&mut belongs_to("user_id", "users")).to_owned(),
            campaign_accounts().foreign_key(&mut belongs_to("campaign_id", "campaigns")).to_owned(),
            campaign_recipients().foreign_key(&mut belongs_to("campaign_id", "campaigns")).to_owned(),
            account_hours().foreign_key(&mut belongs_to("session_id", "sessions")).to_owned(),
            account_pace().foreign_key(&mut belongs_to("session_id", "sessions")).to_owned(),
        ];
        let statements = [
            "CREATE INDEX campaigns_of_user ON campaigns (user_id, created_at)",
            "CREATE UNIQUE INDEX campaigns_key ON campaigns (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL",
            "CREATE INDEX campaign_recipients_by_state ON campaign_recipients (campaign_id, state, ordinal)",
            "CREATE UNIQUE INDEX campaign_recipients_message ON campaign_recipients (message_id) WHERE message_id IS NOT NULL",
            // Whether somebody ever wrote to an account, and since when: asked before a stranger is written to.
            "CREATE INDEX messages_from_chat ON messages (session_id, chat, created_at) WHERE direction = 'inbound'",
            "ALTER TABLE sessions ADD COLUMN linked_at BIGINT",
            "UPDATE sessions SET linked_at = created_at WHERE linked",
        ];
        make(manager, tables, &statements).await
    }
}

/// `step` numbers the turns of the worker, so that one that comes twice is known. `judged_from`: the recipient from which on
/// failures are judged. The key is the caller's.
fn campaigns() -> TableCreateStatement {
    let columns = vec![
        schema::pk_uuid("id"),
        schema::uuid("user_id"),
        schema::string("name"),
        schema::string("state"),
        schema::text_null("reason"),
        schema::text("content"),
        schema::text("pacing"),
        schema::string_null("idempotency_key"),
        schema::blob_null("fingerprint"),
        schema::big_integer("total"),
        schema::big_integer("accepted"),
        schema::big_integer("skipped"),
        schema::big_integer("step"),
        schema::integer("judged_from"),
        schema::big_integer_null("held_until"),
        schema::text_null("held_why"),
        schema::big_integer_null("moved_at"),
        schema::big_integer_null("told_at"),
        schema::big_integer("created_at"),
        schema::big_integer_null("started_at"),
        schema::big_integer_null("ended_at"),
        schema::big_integer("updated_at"),
    ];
    table("campaigns", columns)
}

/// The account is no foreign key: that it was deleted is told.
fn campaign_accounts() -> TableCreateStatement {
    let columns = vec![
        schema::uuid("campaign_id"),
        schema::uuid("session_id"),
        schema::integer("ordinal"),
        schema::big_integer_null("left_at"),
        schema::text_null("left_why"),
    ];
    table("campaign_accounts", columns).primary_key(&mut key(&["campaign_id", "session_id"])).to_owned()
}

/// `state`: 0 planned, 1 accepted, 2 skipped. The message is no foreign key: it may be swept before its campaign is.
fn campaign_recipients() -> TableCreateStatement {
    let columns = vec![
        schema::uuid("campaign_id"),
        schema::integer("ordinal"),
        schema::text("recipient"),
        schema::text_null("variables"),
        schema::small_integer("state"),
        schema::string_null("reason"),
        schema::text_null("detail"),
        schema::uuid_null("message_id"),
        schema::uuid_null("session_id"),
        schema::big_integer_null("accepted_at"),
        schema::big_integer_null("held_since"),
        schema::big_integer_null("held_until"),
        schema::text_null("held_why"),
    ];
    table("campaign_recipients", columns).primary_key(&mut key(&["campaign_id", "ordinal"])).to_owned()
}

fn account_hours() -> TableCreateStatement {
    let columns = vec![
        schema::uuid("session_id"),
        schema::integer("hour"),
        schema::big_integer("sent"),
        schema::big_integer("failed"),
        schema::big_integer("received"),
        schema::big_integer("cold"),
    ];
    table("account_hours", columns).primary_key(&mut key(&["session_id", "hour"])).to_owned()
}

/// The end of the gap after an account's last message of a campaign, and how it fared when that was last told.
fn account_pace() -> TableCreateStatement {
    let columns = vec![
        schema::pk_uuid("session_id"),
        schema::big_integer_null("next_at"),
        schema::string_null("level"),
        schema::big_integer_null("level_at"),
    ];
    table("account_pace", columns)
}
