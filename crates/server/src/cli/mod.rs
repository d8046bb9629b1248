//! The command line: one module per command, and what they share.
//!
//! Three kinds of commands: those that run something (`serve`, `sandbox`, `loadtest`), those that work on the data
//! folder (`migrate`, `user`, `api-key`, ...), and those that ask a running server over its API (`session`, `send`).

pub mod api_keys;
pub mod audit;
pub mod backup;
pub mod campaign;
pub mod client;
pub mod config;
pub mod contacts;
pub mod data;
pub mod doctor;
pub mod health;
pub mod migrate;
pub mod out;
pub mod restore;
pub mod sandbox;
pub mod schedule;
pub mod secrets;
pub mod send;
pub mod serve;
pub mod session;
pub mod template;
#[cfg(test)]
mod tests;
pub mod users;
pub mod webhook;
pub mod welcome;

use crate::config::{Loaded, Sources};
use clap::{CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// WhatsApp accounts as a REST API, on your own server.
#[derive(Debug, Parser)]
#[command(name = "sanasend", version, max_term_width = 110)]
#[command(after_help = "SanaSend is an unofficial client: WhatsApp's terms apply to what you do with it.")]
pub struct Cli {
    /// The configuration file (TOML).
    #[arg(long, global = true, env = "SANASEND_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder that holds everything: database, secrets, the sandbox's state.
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Run the simulated WhatsApp network alone, for a server in another process (for tests).
    Sandbox(sandbox::SandboxArgs),
    /// Bring the database up to date.
    Migrate(migrate::MigrateArgs),
    /// Make an admin.
    Createsuperuser(users::CreateSuperuserArgs),
    /// List, make and change users.
    #[command(subcommand)]
    User(users::UserCommand),
    /// List, make and revoke API keys.
    #[command(subcommand)]
    ApiKey(api_keys::ApiKeyCommand),
    /// Look at, link and steer the WhatsApp accounts of a running server.
    Session(session::SessionArgs),
    /// Send a text through a running server.
    Send(send::SendArgs),
    /// Send to many through a running server, paced, and follow how it gets on.
    Campaign(campaign::CampaignArgs),
    /// Read and verify the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// List, test and replay the webhook endpoints of a running server.
    Webhook(webhook::WebhookArgs),
    /// Import and export the contacts of a running server.
    Contacts(contacts::ContactsArgs),
    /// List, write, try out and delete the templates of a running server.
    Template(template::TemplateArgs),
    /// What a running server sends later, and again and again.
    Schedule(schedule::ScheduleArgs),
    /// Look at the keys that the database is sealed with, and change them.
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
    /// Measure this machine: starts its own server on a temporary folder.
    Loadtest(crate::loadtest::LoadtestArgs),
    /// Show the settings in force and where each came from.
    Config(config::ConfigArgs),
    /// Write everything of a server into one file, also while it serves.
    Backup(backup::BackupArgs),
    /// Make a data folder of such a file.
    Restore(restore::RestoreArgs),
    /// Check this installation and say what is wrong with it.
    Doctor(doctor::DoctorArgs),
    /// Ask a running server whether it can work; exit code 0 when it can.
    Health(health::HealthArgs),
    /// Print the OpenAPI document.
    Openapi,
    /// Print the completions of a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Reads the command line and does what it says. The exit code is 0 when it was done, 1 when not, 2 when the
/// command line or the configuration was not understood.
pub async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Says what went wrong, with its causes, and gives the exit code of it.
#[must_use]
pub fn fail(error: &anyhow::Error) -> ExitCode {
    out::problem(&format!("error: {error:#}"));
    ExitCode::from(if error.is::<crate::config::Problems>() { 2 } else { 1 })
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { config: file, data_dir, command } = cli;
    let places = Places { file, data_dir };
    match command {
        Command::Serve(args) => serve::run(args, &places).await?,
        Command::Sandbox(args) => sandbox::run(args, &places).await?,
        Command::Migrate(args) => migrate::run(&args, &places).await?,
        Command::Createsuperuser(args) => users::create_superuser(args, &places).await?,
        Command::User(command) => users::run(command, &places).await?,
        Command::ApiKey(command) => api_keys::run(command, &places).await?,
        Command::Session(args) => session::run(args).await?,
        Command::Send(args) => return send::run(args).await,
        Command::Campaign(args) => return campaign::run(args).await,
        Command::Webhook(args) => return webhook::run(args).await,
        Command::Contacts(args) => return contacts::run(args).await,
        Command::Template(args) => return template::run(args).await,
        Command::Schedule(args) => return schedule::run(args).await,
        Command::Secrets(command) => secrets::run(command, &places).await?,
        Command::Audit(command) => return audit::run(command, &places).await,
        Command::Loadtest(args) => crate::loadtest::run(args).await?,
        Command::Backup(args) => backup::run(args, &places).await?,
        Command::Restore(args) => restore::run(args, &places).await?,
        Command::Config(args) => config::run(&args, &places)?,
        Command::Doctor(args) => return doctor::run(&args, &places).await,
        Command::Health(args) => return health::run(&args, &places).await,
        Command::Openapi => out::line(&crate::http::openapi_document()),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sanasend", &mut text);
            out::text(&String::from_utf8_lossy(&text));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The flags that every command has.
#[derive(Debug, Default)]
pub struct Places {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
}

impl Places {
    /// The configuration of this process: file, environment, and these flags with `more` of a command's own.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(&self, more: Vec<(&'static str, String)>) -> Result<Loaded, crate::config::Problems> {
        let mut flags = more;
        if let Some(data_dir) = &self.data_dir {
            flags.push(("data_dir", data_dir.display().to_string()));
        }
        crate::config::load(Sources { file: self.file.clone(), environment: environment(), flags })
    }
}

/// The environment, without what is no text: no setting of ours can be in it.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}
