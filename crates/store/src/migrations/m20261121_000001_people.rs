//! Users, their API keys and logins, and the audit log.

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
        let tables = vec![
            users(),
            api_keys().foreign_key(&mut belongs_to("user_id", "users")).to_owned(),
            logins().foreign_key(&mut belongs_to("user_id", "users")).to_owned(),
            refresh_tokens().foreign_key(&mut belongs_to("login_id", "logins")).to_owned(),
            audit_log(),
        ];
        let statements = [
            "CREATE UNIQUE INDEX users_username ON users (username)",
            "CREATE UNIQUE INDEX users_email ON users (lower(email))",
            "CREATE INDEX users_created ON users (created_at)",
            "CREATE UNIQUE INDEX api_keys_prefix ON api_keys (prefix)",
            "CREATE INDEX api_keys_of_user ON api_keys (user_id, created_at)",
            "CREATE INDEX logins_of_user ON logins (user_id)",
            "CREATE INDEX logins_by_end ON logins (expires_at)",
            "CREATE INDEX refresh_tokens_of_login ON refresh_tokens (login_id)",
            "CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at)",
            "CREATE INDEX audit_log_by_time ON audit_log (at)",
        ];
        make(manager, tables, &statements).await
    }
}

fn users() -> TableCreateStatement {
    let columns = vec![
        schema::pk_uuid("id"),
        schema::string("username"),
        schema::string("email"),
        schema::string("password_hash"),
        schema::boolean("is_active"),
        schema::boolean("is_admin"),
        schema::big_integer("max_messages_per_day"),
        schema::big_integer("max_messages_per_minute"),
        schema::big_integer("max_sessions"),
        schema::big_integer("created_at"),
        schema::big_integer("updated_at"),
    ];
    table("users", columns)
}

fn api_keys() -> TableCreateStatement {
    let columns = vec![
        schema::pk_uuid("id"),
        schema::uuid("user_id"),
        schema::string("name"),
        schema::string("prefix"),
        schema::blob("digest"),
        schema::text("scopes"),
        schema::text("allowed_ips"),
        schema::boolean("is_active"),
        schema::big_integer_null("expires_at"),
        schema::big_integer_null("last_used_at"),
        schema::big_integer("created_at"),
        schema::big_integer_null("revoked_at"),
        schema::uuid_null("replaced_by"),
        schema::big_integer_null("grace_until"),
    ];
    table("api_keys", columns)
}

fn logins() -> TableCreateStatement {
    let columns = vec![
        schema::pk_uuid("id"),
        schema::uuid("user_id"),
        schema::big_integer("created_at"),
        schema::big_integer("expires_at"),
        schema::big_integer_null("revoked_at"),
        schema::string_null("user_agent"),
        schema::string_null("ip"),
    ];
    table("logins", columns)
}

/// Every refresh token that was ever in force, so that the use of an old one is noticed.
fn refresh_tokens() -> TableCreateStatement {
    let mut digest = schema::blob("digest");
    digest.primary_key();
    let columns = vec![digest, schema::uuid("login_id"), schema::big_integer("expires_at"), schema::big_integer_null("used_at")];
    table("refresh_tokens", columns)
}

/// The actor is no foreign key: entries outlive their user.
fn audit_log() -> TableCreateStatement {
    let columns = vec![
        schema::big_pk_auto("seq"),
        schema::big_integer("at"),
        schema::uuid_null("actor"),
        schema::string("action"),
        schema::string("target"),
        schema::string_null("ip"),
        schema::text("detail"),
    ];
    table("audit_log", columns)
}
