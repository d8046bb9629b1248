//! What kind of reason stands beside the status of an account. Until now that was read out of the sentence.

use super::make;
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// How sentences began before they had a code, and the code that they have since.
const OPENINGS: &[(&str, &str)] = &[
    ("WhatsApp banned the account", "banned"),
    ("WhatsApp limits messages to people who never wrote to this account", "reachout_limited"),
    ("The account was unlinked", "unlinked"),
    ("Another program took over this link", "replaced"),
    ("Connection lost", "connection_lost"),
    ("WhatsApp could not be reached", "unreachable"),
    ("Connected, but", "silent"),
    ("WhatsApp wants a newer client version", "outdated"),
    ("WhatsApp limits connections from here", "rate_limited"),
    ("WhatsApp''s server is in trouble", "server_trouble"),
    ("WhatsApp refused the connection", "refused"),
    ("Linked; connecting", "linking"),
    ("Nobody used the code in time", "code_expired"),
    ("Linking failed", "linking_failed"),
    ("Linking was given up", "requested"),
    ("Logged out on request", "requested"),
    ("Disconnected on request", "requested"),
    ("The server was restarted", "restarting"),
    ("What WhatsApp told before is written down first", "restarting"),
    ("This is a sandbox account", "wrong_network"),
    ("This is a real account", "wrong_network"),
];

/// Fills the column of codes from the column of sentences.
fn fill(code: &str, sentence: &str) -> String {
    let when = |(opening, code): &(&str, &str)| format!(" WHEN {sentence} LIKE '{opening}%' THEN '{code}'");
    let cases: Vec<String> = OPENINGS.iter().map(when).collect();
    format!("UPDATE sessions SET {code} = CASE{} ELSE 'other' END WHERE {sentence} IS NOT NULL", cases.concat())
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["reason_code", "last_error_code"] {
            manager.alter_table(Table::alter().table("sessions").add_column(schema::string_null(column)).to_owned()).await?;
        }
        let (reasons, errors) = (fill("reason_code", "reason"), fill("last_error_code", "last_error"));
        make(manager, Vec::new(), &[&reasons, &errors]).await
    }
}
