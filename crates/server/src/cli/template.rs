//! `sanasend template`: the templates of a running server.

use super::client::{Client, ServerArgs};
use super::out;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Rows that one call brings.
const PAGE: &str = "100";

/// Flags of `template`.
#[derive(Debug, Args)]
pub struct TemplateArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: TemplateCommand,
}

/// The commands below `template`.
#[derive(Debug, Subcommand)]
pub enum TemplateCommand {
    /// List the templates.
    List {
        /// Those that are put away instead of those in use.
        #[arg(long)]
        archived: bool,
        /// Part of the name.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a template with its variables.
    Show {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a new template; its id is printed.
    Create {
        /// What to call it.
        name: String,
        /// The text, with its variables: `Hi {{name|there}}`. `@PATH` reads it from a file.
        #[arg(value_name = "TEXT")]
        content: String,
        /// Its language.
        #[arg(long, value_name = "LANGUAGE", default_value = "en")]
        language: String,
    },
    /// Delete a template with its versions. What needs it is named, and keeps it from being deleted without --force.
    Delete {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// Also when recurring sends or campaigns need it: they fail then until they are changed.
        #[arg(long)]
        force: bool,
    },
    /// Fill a template with values and print what comes out. The exit code is 1 when values are missing.
    Preview {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// A value: `--set order=17`.
        #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
        values: Vec<(String, String)>,
    },
}

/// A template.
#[derive(Debug, Args)]
pub struct Which {
    /// Its name or id.
    pub template: String,
    /// Which of its languages, where there are several.
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be like order=17")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// Does what the command says.
///
/// # Errors
/// A sentence.
pub async fn run(args: TemplateArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server)?;
    match args.command {
        TemplateCommand::List { archived, search, json } => list(&client, archived, search.as_deref(), json).await?,
        TemplateCommand::Show { which, json } => show(&find(&client, &which).await?, json)?,
        TemplateCommand::Create { name, content, language } => {
            let content = match content.strip_prefix('@') {
                Some(path) => std::fs::read_to_string(path).with_context(|| format!("can't read {path}"))?,
                None => content,
            };
            let wanted = json!({"name": name, "content": content, "language": language});
            let made = client.ask(Method::POST, "/templates/", &[], Some(&wanted)).await?;
            out::line(word(&made, "id"));
        }
        TemplateCommand::Delete { which, force } => {
            let template = find(&client, &which).await?;
            let query = [("force", "true")];
            let query = if force { &query[..] } else { &[] };
            client.ask(Method::DELETE, &format!("/templates/{}/", word(&template, "id")), query, None).await?;
            out::line(&format!("{} ({}) was deleted", word(&template, "name"), word(&template, "language")));
        }
        TemplateCommand::Preview { which, values } => return preview(&client, &which, values).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

async fn all(client: &Client, query: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
    let mut templates = Vec::new();
    for page in 1.. {
        let page = page.to_string();
        let query: Vec<(&str, &str)> = query.iter().copied().chain([("page", page.as_str()), ("page_size", PAGE)]).collect();
        let listed = client.ask(Method::GET, "/templates/", &query, None).await?;
        templates.extend(listed.get("results").and_then(Value::as_array).cloned().unwrap_or_default());
        if listed.get("next").is_none_or(Value::is_null) {
            break;
        }
    }
    Ok(templates)
}

/// The template of this id or name.
async fn find(client: &Client, which: &Which) -> anyhow::Result<Value> {
    if which.template.parse::<uuid::Uuid>().is_ok() {
        return client.ask(Method::GET, &format!("/templates/{}/", which.template), &[], None).await;
    }
    let named = all(client, &[("search", &which.template)]).await?;
    let wanted = |template: &Value| {
        word(template, "name") == which.template && which.language.as_deref().is_none_or(|language| word(template, "language") == language)
    };
    let mut named: Vec<Value> = named.into_iter().filter(wanted).collect();
    if named.len() > 1 {
        let languages: Vec<&str> = named.iter().map(|template| word(template, "language")).collect();
        bail!("{} is there in several languages: say --language with one of {}", which.template, languages.join(", "));
    }
    named.pop().with_context(|| format!("there is no template {}; `sanasend template list` shows all", which.template))
}

async fn list(client: &Client, archived: bool, search: Option<&str>, json: bool) -> anyhow::Result<()> {
    let mut query = vec![("is_archived", if archived { "true" } else { "false" })];
    query.extend(search.map(|text| ("search", text)));
    let templates = all(client, &query).await?;
    if json {
        out::line(&serde_json::to_string_pretty(&templates)?);
        return Ok(());
    }
    let mut table = out::table(["id", "name", "language", "version", "text"]);
    for template in &templates {
        let text: String = word(template, "content").chars().take(60).collect();
        let row = [word(template, "id"), word(template, "name"), word(template, "language")].map(str::to_owned);
        table.add_row(row.into_iter().chain([template["version"].to_string(), text]));
    }
    out::line(&table.to_string());
    Ok(())
}

fn show(template: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        out::line(&serde_json::to_string_pretty(template)?);
        return Ok(());
    }
    out::line(&format!("{} ({}), version {}", word(template, "name"), word(template, "language"), template["version"]));
    out::line(word(template, "content"));
    for variable in template["variables"].as_array().into_iter().flatten() {
        let without = match (variable["default"].as_str(), &variable["required"]) {
            (Some(default), _) => format!("{default:?} without a value"),
            (None, Value::Bool(true)) => "needed".to_owned(),
            _ => "may be left out".to_owned(),
        };
        out::line(&format!("  {}: {without}", word(variable, "name")));
    }
    Ok(())
}

async fn preview(client: &Client, which: &Which, values: Vec<(String, String)>) -> anyhow::Result<ExitCode> {
    let template = find(client, which).await?;
    let variables: Map<String, Value> = values.into_iter().map(|(name, value)| (name, json!(value))).collect();
    let path = format!("/templates/{}/preview/", word(&template, "id"));
    let shown = client.ask(Method::POST, &path, &[], Some(&json!({"variables": variables}))).await?;
    out::line(word(&shown, "text"));
    for (field, problems) in shown["problems"].as_object().into_iter().flatten() {
        for problem in problems.as_array().into_iter().flatten().filter_map(Value::as_str) {
            out::problem(&format!("{field} {problem}"));
        }
    }
    Ok(if shown["is_complete"] == json!(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_all_behind_the_first_sign() {
        assert_eq!(pair("url=https://x.example/?a=b"), Ok(("url".into(), "https://x.example/?a=b".into())));
        assert!(pair("order").is_err());
    }
}
