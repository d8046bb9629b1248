//! `sanasend session`: the WhatsApp accounts of a running server; `link` draws the QR code in the terminal.

use super::client::{Client, ServerArgs};
use super::out;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use fast_qr::qr::QRBuilder;
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// How often the status is asked for while somebody scans.
const POLL: Duration = Duration::from_millis(500);
/// Rows that one call brings.
const PAGE: &str = "100";

/// Flags of `session`.
#[derive(Debug, Args)]
pub struct SessionArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: SessionCommand,
}

/// The commands below `session`.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List the accounts.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one account.
    Show {
        /// Its name.
        #[arg(default_value = "default")]
        name: String,
    },
    /// Link an account: draws the QR code, follows it when it changes, and ends when the account is connected.
    Link {
        /// Its name.
        #[arg(default_value = "default")]
        name: String,
        /// Ask for a code to type on the phone of this number instead.
        #[arg(long, value_name = "NUMBER")]
        phone: Option<String>,
    },
    /// Unlink an account, or with --keep only take it offline.
    Disconnect {
        /// Its name.
        #[arg(default_value = "default")]
        name: String,
        /// Stay linked.
        #[arg(long)]
        keep: bool,
    },
    /// Bring an account back online.
    Reconnect {
        /// Its name.
        #[arg(default_value = "default")]
        name: String,
    },
    /// List the WhatsApp groups that an account is in, with the ids that messages are sent to.
    Groups {
        /// Its name.
        #[arg(default_value = "default")]
        name: String,
        /// Only those with this in their subject.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Does what the command says.
///
/// # Errors
/// A sentence.
pub async fn run(args: SessionArgs) -> anyhow::Result<()> {
    let client = Client::new(args.server)?;
    match args.command {
        SessionCommand::List { json } => list(&client, json).await,
        SessionCommand::Show { name } => show(&client, &name).await,
        SessionCommand::Link { name, phone } => link(&client, &name, phone).await,
        SessionCommand::Disconnect { name, keep } => disconnect(&client, &name, keep).await,
        SessionCommand::Groups { name, search, json } => groups(&client, &name, search.as_deref(), json).await,
        SessionCommand::Reconnect { name } => {
            let session = client.ask(Method::POST, "/sessions/reconnect/", &[("session", &name)], None).await?;
            say_status(&session);
            Ok(())
        }
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let mut sessions = Vec::new();
    for page in 1.. {
        let listed = client.ask(Method::GET, "/sessions/", &[("page", &page.to_string()), ("page_size", PAGE)], None).await?;
        sessions.extend(listed.get("results").and_then(Value::as_array).cloned().unwrap_or_default());
        if listed.get("next").is_none_or(Value::is_null) {
            break;
        }
    }
    if json {
        out::line(&serde_json::to_string_pretty(&sessions)?);
        return Ok(());
    }
    let mut table = out::table(["name", "status", "number", "known as", "last active", "reason"]);
    for session in &sessions {
        table.add_row(["name", "status", "phone_number", "push_name", "last_active_at", "reason"].map(|field| text(session, field)));
    }
    out::line(&table.to_string());
    Ok(())
}

async fn groups(client: &Client, name: &str, search: Option<&str>, json: bool) -> anyhow::Result<()> {
    let mut groups = Vec::new();
    for page in 1.. {
        let page = page.to_string();
        let mut query = vec![("session", name), ("page", page.as_str()), ("page_size", PAGE)];
        query.extend(search.map(|text| ("search", text)));
        let listed = client.ask(Method::GET, "/groups/", &query, None).await?;
        groups.extend(listed.get("results").and_then(Value::as_array).cloned().unwrap_or_default());
        if listed.get("next").is_none_or(Value::is_null) {
            break;
        }
    }
    if json {
        out::line(&serde_json::to_string_pretty(&groups)?);
        return Ok(());
    }
    let mut table = out::table(["subject", "members", "account is", "who writes", "id"]);
    for group in &groups {
        let is = |field: &str| group.get(field).and_then(Value::as_bool).unwrap_or_default();
        let members = group.get("participant_count").map(ToString::to_string).unwrap_or_default();
        let role = if is("is_admin") { "admin" } else { "member" };
        let writers = if is("only_admins_send") { "admins" } else { "all" };
        table.add_row([text(group, "subject"), members, role.into(), writers.into(), text(group, "jid")]);
    }
    out::line(&table.to_string());
    Ok(())
}

async fn show(client: &Client, name: &str) -> anyhow::Result<()> {
    let mut session = client.ask(Method::GET, "/sessions/status/", &[("session", name)], None).await?;
    // The pictures are for browsers.
    if let Some(code) = session.get_mut("qr_code").and_then(Value::as_object_mut) {
        code.remove("png");
        code.remove("svg");
    }
    out::line(&serde_json::to_string_pretty(&session)?);
    Ok(())
}

async fn link(client: &Client, name: &str, phone: Option<String>) -> anyhow::Result<()> {
    let mut wanted = json!({"session": name});
    if let Some(phone) = phone {
        wanted["phone_number"] = json!(phone);
    }
    let mut session = client.ask(Method::POST, "/sessions/init/", &[], Some(&wanted)).await?;
    let mut shown = String::new();
    loop {
        match text(&session, "status").as_str() {
            "connected" => {
                out::line(&format!("Connected: {} {}", text(&session, "phone_number"), text(&session, "push_name")));
                return Ok(());
            }
            "disconnected" | "failed" | "logged_out" => bail!("it was not linked: {}", text(&session, "reason")),
            "passkey_required" => {
                bail!(
                    "WhatsApp asks for a passkey; see docs/api.md, \"When WhatsApp asks for a passkey\", for the two calls that this takes: {}",
                    text(&session, "reason")
                )
            }
            _ => {}
        }
        let code = code_of(&session);
        if !code.is_empty() && code != shown {
            draw(&code, session.get("pairing_code").is_some_and(|code| !code.is_null()))?;
            shown = code;
        }
        tokio::time::sleep(POLL).await;
        session = client.ask(Method::GET, "/sessions/status/", &[("session", name)], None).await?;
    }
}

async fn disconnect(client: &Client, name: &str, keep: bool) -> anyhow::Result<()> {
    let left = client.ask(Method::POST, "/sessions/disconnect/", &[("session", name)], Some(&json!({"logout": !keep}))).await?;
    let is = |field: &str| left.get(field).and_then(Value::as_bool).unwrap_or_default();
    if is("unlinked") && !is("unlinked_at_whatsapp") {
        out::note("WhatsApp could not be told: remove the device on the phone, under Linked devices.");
    }
    say_status(left.get("session").unwrap_or(&Value::Null));
    Ok(())
}

/// What there is to scan or type now; empty while there is nothing.
fn code_of(session: &Value) -> String {
    let of = |pointer: &str| session.pointer(pointer).and_then(Value::as_str);
    let found = of("/pairing_code/code").or_else(|| of("/qr_code/text"));
    found.unwrap_or_default().to_owned()
}

fn draw(code: &str, typed: bool) -> anyhow::Result<()> {
    if typed {
        out::line(&format!("On the phone: WhatsApp > Linked devices > Link with phone number, and type {code}"));
        return Ok(());
    }
    out::text(&picture(code)?);
    out::line("On the phone: WhatsApp > Linked devices > Link a device, and scan. It changes every 20 seconds.");
    Ok(())
}

/// A QR code of half blocks: two modules above each other are one character. Dark on light, whatever the terminal's
/// colours are.
fn picture(code: &str) -> anyhow::Result<String> {
    const QUIET: usize = 2;
    let qr = QRBuilder::new(code).build().ok().context("the code is too long to draw")?;
    let side = qr.size + 2 * QUIET;
    let dark = |row: usize, column: usize| {
        let inside = |at: usize| at.checked_sub(QUIET).filter(|at| *at < qr.size);
        inside(row).zip(inside(column)).is_some_and(|(row, column)| qr[row][column].value())
    };
    let mut picture = String::new();
    for row in (0..side).step_by(2) {
        picture.push_str("\u{1b}[30;107m");
        for column in 0..side {
            let both = (dark(row, column), row + 1 < side && dark(row + 1, column));
            picture.push(match both {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        let _ = writeln!(picture, "\u{1b}[0m");
    }
    Ok(picture)
}

fn say_status(session: &Value) {
    out::line(&format!("{}: {} {}", text(session, "name"), text(session, "status"), text(session, "reason")));
}

/// A field for people: nothing where there is none.
fn text(session: &Value, field: &str) -> String {
    session.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_drawn_with_its_quiet_border() {
        let picture = picture("2@abc,def,ghi").expect("drawn");
        let lines: Vec<&str> = picture.lines().collect();
        let size = QRBuilder::new("2@abc,def,ghi").build().expect("code").size + 4;
        assert_eq!(lines.len(), size.div_ceil(2));
        assert!(lines.iter().all(|line| line.starts_with("\u{1b}[30;107m") && line.ends_with("\u{1b}[0m")));
        let dark = picture.chars().filter(|c| matches!(c, '█' | '▀' | '▄')).count();
        assert!(dark > size, "{dark}");
    }

    #[test]
    fn the_code_is_found_in_either_way_of_linking() {
        assert_eq!(code_of(&json!({"qr_code": {"text": "2@x"}})), "2@x");
        assert_eq!(code_of(&json!({"qr_code": null, "pairing_code": {"code": "ABCD1234"}})), "ABCD1234");
        assert_eq!(code_of(&json!({"qr_code": null})), "");
    }
}
