//! Contacts, who opted out, and what users want of both.

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
        let of_user = || belongs_to("user_id", "users");
        // Before the tables that point at them: PostgreSQL takes only a unique column as the target of a foreign key.
        let (contacts, opt_outs) = (contacts().foreign_key(&mut of_user()).to_owned(), opt_outs().foreign_key(&mut of_user()).to_owned());
        let unique = ["CREATE UNIQUE INDEX contacts_id ON contacts (id)", "CREATE UNIQUE INDEX opt_outs_id ON opt_outs (id)"];
        make(manager, vec![contacts, opt_outs], &unique).await?;
        let tables = vec![
            contact_handles().foreign_key(&mut of_contact()).to_owned(),
            contact_labels().foreign_key(&mut of_contact()).to_owned(),
            contact_words().foreign_key(&mut of_contact()).to_owned(),
            contact_settings().foreign_key(&mut of_user()).to_owned(),
            contact_imports().foreign_key(&mut of_user()).to_owned(),
            opted_out().foreign_key(&mut belongs_to("opt_out_id", "opt_outs")).to_owned(),
            guard_version(),
        ];
        let statements = [
            "CREATE INDEX contacts_of_user ON contacts (user_id, seq)",
            "CREATE INDEX contacts_by_name ON contacts (user_id, name_key, seq)",
            "CREATE INDEX contacts_by_consent ON contacts (user_id, consent, seq)",
            "CREATE INDEX contacts_by_check ON contacts (user_id, on_whatsapp, seq)",
            "CREATE INDEX contacts_opted_out ON contacts (user_id, seq) WHERE opted_out_at IS NOT NULL",
            "CREATE INDEX contacts_to_check ON contacts (user_id, seq) WHERE check_due",
            "CREATE INDEX contact_handles_of ON contact_handles (contact_seq)",
            "CREATE INDEX contact_labels_of ON contact_labels (contact_seq)",
            "CREATE INDEX contact_words_of ON contact_words (contact_seq, word)",
            "CREATE INDEX contact_imports_of_user ON contact_imports (user_id, started_at)",
            "CREATE INDEX opt_outs_of_user ON opt_outs (user_id, seq)",
            "CREATE INDEX opt_outs_in_force ON opt_outs (user_id, seq) WHERE ended_at IS NULL",
            "CREATE INDEX opted_out_by_opt_out ON opted_out (opt_out_id)",
            // Who wrote first is asked before a send to somebody of whom no consent is known.
            "CREATE INDEX messages_inbound_chat ON messages (user_id, chat) WHERE direction = 'inbound'",
            // Everything of a person is found by any of its ids.
            "CREATE INDEX chat_aliases_by_lid ON chat_aliases (lid)",
            "CREATE INDEX chat_aliases_by_jid ON chat_aliases (jid)",
        ];
        make(manager, tables, &statements).await
    }
}

fn of_contact() -> ForeignKeyCreateStatement {
    ForeignKey::create().from_col("contact_seq").to("contacts", "seq").on_delete(ForeignKeyAction::Cascade).to_owned()
}

/// `name_key` is the place in a list by names. `opted_out_at` repeats for lists what `opted_out` decides.
fn contacts() -> TableCreateStatement {
    let columns = vec![
        schema::big_pk_auto("seq"),
        schema::uuid("id"),
        schema::uuid("user_id"),
        schema::string_null("phone"),
        schema::string_null("jid"),
        schema::string_null("lid"),
        schema::text("name"),
        schema::blob("name_key"),
        schema::text("notes"),
        schema::text("fields"),
        schema::string("source"),
        schema::string("consent"),
        schema::big_integer_null("consent_at"),
        schema::string_null("consent_source"),
        schema::text_null("consent_note"),
        schema::boolean_null("on_whatsapp"),
        schema::big_integer_null("checked_at"),
        schema::boolean("check_due"),
        schema::big_integer_null("opted_out_at"),
        schema::big_integer("created_at"),
        schema::big_integer("updated_at"),
    ];
    table("contacts", columns)
}

/// Every id that WhatsApp has for a contact: a person is one contact of a user, whatever it is called by.
fn contact_handles() -> TableCreateStatement {
    let columns = vec![schema::uuid("user_id"), schema::string("handle"), schema::big_integer("contact_seq")];
    table("contact_handles", columns).primary_key(&mut key(&["user_id", "handle"])).to_owned()
}

/// `kind`: 0 a tag, 1 a group.
fn contact_labels() -> TableCreateStatement {
    let columns = vec![schema::uuid("user_id"), schema::small_integer("kind"), schema::string("label"), schema::big_integer("contact_seq")];
    table("contact_labels", columns).primary_key(&mut key(&["user_id", "kind", "label", "contact_seq"])).to_owned()
}

/// The words by which contacts are found. Bytes, because both databases sort those alike, and a beginning is then a range.
fn contact_words() -> TableCreateStatement {
    let columns = vec![schema::uuid("user_id"), schema::blob("word"), schema::big_integer("contact_seq")];
    table("contact_words", columns).primary_key(&mut key(&["user_id", "word", "contact_seq"])).to_owned()
}

fn contact_settings() -> TableCreateStatement {
    let columns = vec![
        schema::pk_uuid("user_id"),
        schema::boolean("requires_consent"),
        schema::boolean("from_conversations"),
        schema::text_null("stop_answer"),
        schema::text_null("start_answer"),
        schema::big_integer("updated_at"),
    ];
    table("contact_settings", columns)
}

/// `state`: 0 under way, 1 done, 2 broken off. `faults`: the first lines that were refused, as JSON.
fn contact_imports() -> TableCreateStatement {
    let columns = vec![
        schema::pk_uuid("id"),
        schema::uuid("user_id"),
        schema::string("kind"),
        schema::small_integer("state"),
        schema::big_integer_null("total_bytes"),
        schema::big_integer("read_bytes"),
        schema::big_integer("lines"),
        schema::big_integer("created"),
        schema::big_integer("merged"),
        schema::big_integer("refused"),
        schema::text("faults"),
        schema::big_integer("started_at"),
        schema::big_integer("updated_at"),
        schema::big_integer_null("ended_at"),
    ];
    table("contact_imports", columns)
}

/// One row for each time that somebody opted out; it stays when they opt in again, as the proof.
fn opt_outs() -> TableCreateStatement {
    let columns = vec![
        schema::big_pk_auto("seq"),
        schema::uuid("id"),
        schema::uuid("user_id"),
        schema::string_null("phone"),
        schema::string_null("jid"),
        schema::string_null("lid"),
        schema::string("source"),
        schema::uuid_null("message_id"),
        schema::text_null("note"),
        schema::big_integer("created_at"),
        schema::big_integer_null("ended_at"),
        schema::string_null("ended_source"),
        schema::uuid_null("ended_message_id"),
        schema::text_null("ended_note"),
    ];
    table("opt_outs", columns)
}

/// Who may not be sent anything now, by every id that is known. `answer_id`: the one message that may still go.
fn opted_out() -> TableCreateStatement {
    let columns = vec![schema::uuid("user_id"), schema::string("handle"), schema::uuid("opt_out_id"), schema::uuid_null("answer_id")];
    table("opted_out", columns).primary_key(&mut key(&["user_id", "handle"])).to_owned()
}

/// One row at most (a copy of the tables must find them empty): grows whenever the writers of other nodes must look anew which users need a look at each recipient.
fn guard_version() -> TableCreateStatement {
    let mut id = schema::integer("id");
    id.primary_key();
    table("guard_version", vec![id, schema::big_integer("version")])
}
