//! `sanasend user` and `sanasend createsuperuser`: users, on the data folder itself.
//!
//! They work when nobody can log in any more, which is why they do not go through the API.

use super::data::Data;
use super::{Places, out};
use crate::node::first_run::make_password;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sanasend_model::user;
use sanasend_store::{AuditEntry, NewUser, Page, Updated, User, UserFilter, UserPatch};
use serde_json::json;

/// Why nothing of a user can be changed any more.
const BEING_DELETED: &str = "the user is being deleted, which can't be undone";
/// Rows that one call of the store brings.
const PAGE: u64 = 100;

/// Where a password comes from: made, from the environment variable `SANASEND_PASSWORD`, or asked for without echo.
/// There is no flag for it, since other people on a machine can see command lines.
#[derive(Debug, Clone, Args)]
pub struct PasswordArgs {
    /// Make a random password and print it; else it is taken from SANASEND_PASSWORD, or asked for.
    #[arg(long)]
    pub random_password: bool,
}

/// Flags of `createsuperuser`.
#[derive(Debug, Args)]
pub struct CreateSuperuserArgs {
    /// User name.
    #[arg(long, default_value = "admin")]
    pub username: String,
    /// E-mail address.
    #[arg(long)]
    pub email: Option<String>,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordArgs,
}

/// The commands below `user`.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List users.
    List {
        /// Only those whose name or e-mail address holds this.
        #[arg(long)]
        search: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a user.
    Create(CreateArgs),
    /// Give a user a new password. Asks for it, or takes it from SANASEND_PASSWORD.
    SetPassword {
        /// Whose.
        username: String,
        /// Where it comes from.
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Let a user work again.
    Activate {
        /// Whom.
        username: String,
    },
    /// Stop a user: keys, logins and sending end at once.
    Deactivate {
        /// Whom.
        username: String,
    },
    /// Delete a user with everything that belongs to it. No server may be running on the folder.
    Delete {
        /// Whom.
        username: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Flags of `user create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// User name.
    pub username: String,
    /// E-mail address.
    #[arg(long)]
    pub email: Option<String>,
    /// May manage other users.
    #[arg(long)]
    pub admin: bool,
    /// Messages per day.
    #[arg(long, default_value_t = user::DEFAULT_MESSAGES_PER_DAY)]
    pub max_messages_per_day: i64,
    /// Messages per minute.
    #[arg(long, default_value_t = user::DEFAULT_MESSAGES_PER_MINUTE)]
    pub max_messages_per_minute: i64,
    /// Linked WhatsApp accounts.
    #[arg(long, default_value_t = user::DEFAULT_MAX_SESSIONS)]
    pub max_sessions: i64,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordArgs,
}

/// Makes an admin.
///
/// # Errors
/// A sentence.
pub async fn create_superuser(args: CreateSuperuserArgs, places: &Places) -> anyhow::Result<()> {
    let args = CreateArgs {
        username: args.username,
        email: args.email,
        admin: true,
        max_messages_per_day: user::DEFAULT_MESSAGES_PER_DAY,
        max_messages_per_minute: user::DEFAULT_MESSAGES_PER_MINUTE,
        max_sessions: user::DEFAULT_MAX_SESSIONS,
        password: args.password,
    };
    run(UserCommand::Create(args), places).await
}

/// Does what the command says.
///
/// # Errors
/// A sentence.
pub async fn run(command: UserCommand, places: &Places) -> anyhow::Result<()> {
    let data = Data::open(places).await?;
    let done = match command {
        UserCommand::List { search, json } => list(&data, search, json).await,
        UserCommand::Create(args) => create(&data, args).await,
        UserCommand::SetPassword { username, password } => set_password(&data, &username, &password).await,
        UserCommand::Activate { username } => set_active(&data, &username, true).await,
        UserCommand::Deactivate { username } => set_active(&data, &username, false).await,
        UserCommand::Delete { username, yes } => delete(&data, &username, yes).await,
    };
    data.store.close().await;
    done
}

async fn list(data: &Data, search: Option<String>, json: bool) -> anyhow::Result<()> {
    let filter = UserFilter { search, ..UserFilter::default() };
    let mut users = Vec::new();
    loop {
        let page = Page { page: users.len() as u64 / PAGE + 1, page_size: PAGE };
        let listed = data.store.list_users(&filter, page).await?;
        let last = listed.results.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        users.extend(listed.results);
        if last {
            break;
        }
    }
    if json {
        out::line(&serde_json::to_string_pretty(&users.iter().map(as_json).collect::<Vec<_>>())?);
        return Ok(());
    }
    let mut table = out::table(["username", "e-mail", "active", "admin", "per day", "per minute", "sessions", "created"]);
    for user in &users {
        table.add_row([
            user.username.clone(),
            user.email.clone(),
            active(user).into(),
            yes_no(user.is_admin).into(),
            user.max_messages_per_day.to_string(),
            user.max_messages_per_minute.to_string(),
            user.max_sessions.to_string(),
            user.created_at.to_string(),
        ]);
    }
    out::line(&table.to_string());
    Ok(())
}

async fn create(data: &Data, args: CreateArgs) -> anyhow::Result<()> {
    let username = user::username(&args.username)?;
    let email = match args.email {
        Some(email) => user::email(&email)?,
        None => format!("{}@sanasend.invalid", username.replace('@', ".")),
    };
    for (field, value) in [
        ("max_messages_per_day", args.max_messages_per_day),
        ("max_messages_per_minute", args.max_messages_per_minute),
        ("max_sessions", args.max_sessions),
    ] {
        user::limit(field, value, 0, i64::from(i32::MAX))?;
    }
    let password = password(data, &args.password, &username)?;
    let new = NewUser {
        username,
        email,
        password_hash: data.auth.passwords.hash(password.text.clone()).await?,
        is_admin: args.admin,
        is_active: true,
        max_messages_per_day: args.max_messages_per_day,
        max_messages_per_minute: args.max_messages_per_minute,
        max_sessions: args.max_sessions,
    };
    let made = data.store.create_user(new).await?;
    note(data, "user.created", &made).await?;
    out::line(&format!("{} {} ({})", if made.is_admin { "admin" } else { "user" }, made.username, made.id));
    password.show();
    Ok(())
}

async fn set_password(data: &Data, username: &str, source: &PasswordArgs) -> anyhow::Result<()> {
    let user = find(data, username).await?;
    let password = password(data, source, &user.username)?;
    let patch = UserPatch { password_hash: Some(data.auth.passwords.hash(password.text.clone()).await?), ..UserPatch::default() };
    if data.store.update_user(user.id, patch).await? == Updated::BeingRemoved {
        bail!("{BEING_DELETED}");
    }
    // Whoever knew the old password may be logged in.
    data.store.revoke_logins_of(user.id).await?;
    note(data, "user.password_changed", &user).await?;
    out::line(&format!("{} has a new password; its logins ended", user.username));
    password.show();
    Ok(())
}

async fn set_active(data: &Data, username: &str, is_active: bool) -> anyhow::Result<()> {
    let user = find(data, username).await?;
    if !is_active && data.server.is_some() {
        bail!(
            "a server is running on this folder and may be sending for {username}: use its API (POST /api/v1/users/{}/deactivate/)",
            user.id
        );
    }
    let patch = UserPatch { is_active: Some(is_active), ..UserPatch::default() };
    match data.store.update_user(user.id, patch).await? {
        Updated::Done(user) => {
            if !is_active {
                data.store.revoke_logins_of(user.id).await?;
            }
            note(data, if is_active { "user.activated" } else { "user.deactivated" }, &user).await?;
            out::line(&format!("{} is {}", user.username, if is_active { "active" } else { "inactive" }));
            Ok(())
        }
        Updated::LastAdmin => bail!("{username} is the last active admin; make another one first"),
        Updated::BeingRemoved => bail!("{BEING_DELETED}"),
        Updated::Missing => bail!("there is no user {username}"),
    }
}

async fn delete(data: &Data, username: &str, yes: bool) -> anyhow::Result<()> {
    let user = find(data, username).await?;
    if data.server.is_some() {
        bail!("a server is running on this folder and may hold accounts of {username}: use its API (DELETE /api/v1/users/{}/)", user.id);
    }
    out::note("Its WhatsApp accounts are not logged out by this command: unlink them on their phones, or use the API of a running server.");
    if !yes && !agreed(&format!("Delete {username} with all sessions, keys and messages? [y/N] "))? {
        bail!("nothing was deleted");
    }
    match data.store.delete_user(user.id).await? {
        Updated::Done(()) => {
            note(data, "user.deleted", &user).await?;
            out::line(&format!("{username} is deleted"));
            Ok(())
        }
        Updated::LastAdmin => bail!("{username} is the last active admin; make another one first"),
        Updated::BeingRemoved => bail!("{BEING_DELETED}"),
        Updated::Missing => bail!("there is no user {username}"),
    }
}

/// The user of a name.
///
/// # Errors
/// When there is none.
pub async fn find(data: &Data, username: &str) -> anyhow::Result<User> {
    let found = data.store.user_credentials(&username.trim().to_lowercase()).await?;
    found.map(|(user, _)| user).with_context(|| format!("there is no user {username}"))
}

async fn note(data: &Data, action: &'static str, user: &User) -> anyhow::Result<()> {
    let detail = json!({"by": "command line", "username": user.username});
    Ok(data.store.audit(AuditEntry { actor: None, action, target: format!("user {}", user.id), ip: None, detail }).await?)
}

/// A new password, and whether the person has to be told.
struct Password {
    text: String,
    made: bool,
}

impl Password {
    fn show(&self) {
        if self.made {
            out::line(&format!("password {}", self.text));
        }
    }
}

fn password(data: &Data, source: &PasswordArgs, username: &str) -> anyhow::Result<Password> {
    if source.random_password {
        return Ok(Password { text: make_password(&*data.clock), made: true });
    }
    let text = match std::env::var("SANASEND_PASSWORD") {
        Ok(text) => text,
        Err(_) => ask_password()?,
    };
    user::password(&text, username)?;
    Ok(Password { text, made: false })
}

fn ask_password() -> anyhow::Result<String> {
    let hint = "no terminal to ask for a password; use --random-password or set SANASEND_PASSWORD";
    let first = rpassword::prompt_password("Password: ").context(hint)?;
    let second = rpassword::prompt_password("Once more: ").context(hint)?;
    anyhow::ensure!(first == second, "the two passwords differ");
    Ok(first)
}

fn agreed(question: &str) -> anyhow::Result<bool> {
    out::note(question);
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("no terminal to ask; use --yes")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Whether a user may do anything, or never will again.
fn active(user: &User) -> &'static str {
    if user.removal_at.is_some() { "being deleted" } else { yes_no(user.is_active) }
}

fn as_json(user: &User) -> serde_json::Value {
    json!({
        "id": user.id, "username": user.username, "email": user.email, "is_active": user.is_active, "is_admin": user.is_admin,
        "max_messages_per_day": user.max_messages_per_day, "max_messages_per_minute": user.max_messages_per_minute,
        "max_sessions": user.max_sessions, "deleting_since": user.removal_at, "created_at": user.created_at, "updated_at": user.updated_at,
    })
}

/// A truth for people.
#[must_use]
pub const fn yes_no(truth: bool) -> &'static str {
    if truth { "yes" } else { "no" }
}
