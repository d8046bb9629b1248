//! Every page of the dashboard in a database as a busy server has it, and how long the server takes for it.
//!
//! The pages come from the dashboard's own table, so that none is forgotten; lists are asked in further ways: searched,
//! filtered, far behind the first page. All of it is the admin's, who sees most. What is there was made through the API,
//! but for messages, users and their usage, which the database makes.

use super::child::Process;
use super::customer::{Customer, millis};
use super::places::Temporary;
use super::report::quantile;
use super::wire::Connection;
use super::{LoadtestArgs, SERVE, SETTINGS};
use crate::cli::out;
use crate::dashboard::table;
use anyhow::{Context, bail};
use indicatif::ProgressBar;
use sanasend_model::Clock;
use sanasend_store::Database;
use sanasend_store::raw::{crowd, fill};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use tokio::time::Instant;

/// Messages, events and lines of the API log.
const MESSAGES: i64 = 100_000;
/// Users.
const USERS: i64 = 1000;
/// Contacts of the admin.
const CONTACTS: usize = 10_000;
/// Lines of one file of contacts: so small a file is taken in before it is answered.
const AT_ONCE: usize = 2_000;
/// Campaigns of the admin.
const CAMPAIGNS: usize = 100;
/// Recipients of each.
const RECIPIENTS: usize = 200;
/// Templates, recurring sends and people who opted out.
const OTHERS: usize = 100;
/// Requests for each page behind the first.
const TIMES: usize = 40;
/// What a page may take, milliseconds.
const LIMIT_MS: f64 = 50.0;
/// Password of the admin of the throw-away server.
const PASSWORD: &str = "a password for a throw-away server";
/// A form of a page of the server itself.
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: same-origin\r\n";
/// Ways to ask for lists beside the plain one.
const FURTHER: [&str; 17] = [
    "/admin/?by=day",
    "/admin/users/?search=user5",
    "/admin/users/?ordering=-username&status=active",
    "/admin/users/?page=40",
    "/admin/messages/?page=300",
    "/admin/messages/?status=failed",
    "/admin/messages/?direction=inbound",
    "/admin/messages/?type=other",
    "/admin/messages/?search=99999",
    "/admin/messages/?search=nothing-has-this",
    "/admin/requests/?page=300",
    "/admin/requests/?status=5",
    "/admin/requests/?search=contacts",
    "/admin/contacts/?search=number+99",
    "/admin/contacts/?tag=vip",
    "/admin/contacts/?page=300",
    "/admin/campaigns/?search=77",
];

/// One page.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its route or address.
    pub page: String,
    /// HTTP status: 404 for what there is none of.
    pub status: u16,
    /// The first request, milliseconds.
    pub first_ms: f64,
    /// Median of those behind it.
    pub p50_ms: f64,
    /// The slowest one in a hundred of those behind it.
    pub p99_ms: f64,
    /// Its size.
    pub bytes: usize,
}

/// Fills a database and asks for all pages.
///
/// # Errors
/// When a server can't be started, something can't be made, or a page is broken.
pub async fn measure(args: &LoadtestArgs, place: &Temporary, progress: &ProgressBar) -> anyhow::Result<Vec<Shown>> {
    let folder = place.folder("pages")?;
    let mut settings = SETTINGS.to_vec();
    settings.extend([("SANASEND_FIRST_ADMIN__PASSWORD", PASSWORD), ("SANASEND_EGRESS__ALLOW", "127.0.0.1/32")]);
    settings.extend(args.database.as_deref().map(|url| ("SANASEND_DATABASE_URL", url)));
    let database = match &args.database {
        Some(url) => Database::parse(url, &folder).map_err(anyhow::Error::msg)?,
        None => Database::Sqlite { path: crate::data_dir::database(&folder) },
    };
    progress.set_message("filling the database");
    let server = Process::start(SERVE, &folder, &settings).await?;
    let (username, key) = (server.text("/admin/username")?, server.text("/demo/api_key")?);
    let admin = Customer::of(&server)?;
    let admin = admin.logged_in(&mut admin.api().await?, &json!({"username": username, "password": PASSWORD})).await?;
    admin.go_offline(&admin.link("shop").await?).await?;
    make(&admin).await?;
    server.stop().await?;
    let now = crate::clock::SystemClock.now().0;
    fill(&database, MESSAGES, now, |_| ()).await?;
    crowd(&database, USERS, now).await?;

    let server = Process::start(SERVE, &folder, &settings).await?;
    let admin = Customer::with_key(&server, &key)?;
    let mut connection = admin.api().await?;
    let admin = admin.logged_in(&mut connection, &json!({"username": username, "password": PASSWORD})).await?;
    let paths = paths(&admin, &mut connection).await?;
    let cookie = log_in(&mut connection, &username).await?;
    progress.set_length(u64::try_from(paths.len())?);
    let mut all = Vec::with_capacity(paths.len());
    for (page, path) in paths {
        progress.set_message(page.clone());
        all.push(ask(&mut connection, page, &path, &cookie).await?);
        progress.inc(1);
    }
    server.stop().await?;
    all.sort_by(|one, other| other.p99_ms.total_cmp(&one.p99_ms));
    Ok(all)
}

/// Prints it, the slowest first.
///
/// # Errors
/// Never, but for what can't be written as JSON.
pub fn print(shown: &[Shown], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        out::line(&serde_json::to_string(shown)?);
        return Ok(());
    }
    let mut table = out::table(["page", "status", "first", "p50", "p99", "KiB"]);
    for one in shown {
        let ms = |ms: f64| format!("{ms:.1} ms");
        let size = (one.bytes / 1024).to_string();
        table.add_row([one.page.clone(), one.status.to_string(), ms(one.first_ms), ms(one.p50_ms), ms(one.p99_ms), size]);
    }
    out::line(&table.to_string());
    let slow = shown.iter().filter(|one| one.p99_ms > LIMIT_MS).count();
    out::line(&format!("{} pages, {slow} of them over {LIMIT_MS} ms", shown.len()));
    Ok(())
}

/// Makes what has an API to make it by.
async fn make(admin: &Customer) -> anyhow::Result<()> {
    let mut api = admin.api().await?;
    let phone = |number: usize| format!("+1303{}", 5_000_000 + number);
    let numbers: Vec<usize> = (0..CONTACTS).collect();
    for piece in numbers.chunks(AT_ONCE) {
        let mut csv = String::from("phone,name,tags,city\n");
        for number in piece {
            let tag = if number % 50 == 0 { "vip" } else { "customer" };
            writeln!(csv, "{},Person number {number},{tag},Town {}", phone(*number), number % 300)?;
        }
        upload(admin, &mut api, &csv, piece.len()).await?;
    }
    for number in 0..CAMPAIGNS {
        let people: Vec<Value> = (0..RECIPIENTS).map(|one| json!({"phone": phone(one), "variables": {"name": "Ann"}})).collect();
        let campaign = json!({"name": format!("Campaign {number}"), "content": "Hi {{name}}", "recipients": people});
        admin.ask(&mut api, "POST", "/api/v1/campaigns/", &campaign).await?;
    }
    for number in 0..OTHERS {
        let template = json!({"name": format!("template_{number}"), "content": "Hi {{name|there}}, {{order}} is ready."});
        admin.ask(&mut api, "POST", "/api/v1/templates/", &template).await?;
        let daily = json!({"name": format!("daily {number}"), "cron": "0 9 * * *", "recipient": phone(number), "content": "Hello"});
        admin.ask(&mut api, "POST", "/api/v1/schedules/", &daily).await?;
        admin.ask(&mut api, "POST", "/api/v1/opt-outs/", &json!({"phone": phone(number), "note": "by letter"})).await?;
        admin.ask(&mut api, "POST", "/api/v1/api-keys/", &json!({"name": format!("key {number}")})).await?;
    }
    admin.listen("http://127.0.0.1:49999/", "message.failed").await
}

async fn upload(admin: &Customer, api: &mut Connection, csv: &str, lines: usize) -> anyhow::Result<()> {
    let (path, edge) = ("/api/v1/contacts/import/", "sanasend-loadtest");
    let body = format!("--{edge}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"people.csv\"\r\n\r\n{csv}\r\n--{edge}--\r\n");
    let mut headers = format!("Content-Type: multipart/form-data; boundary={edge}\r\n");
    for line in admin.headers().lines().filter(|line| !line.starts_with("Content-Type")) {
        headers.push_str(line);
        headers.push_str("\r\n");
    }
    let answer = api.ask("POST", path, &headers, body.as_bytes()).await?;
    let created = answer.json()?.pointer("/data/created").and_then(Value::as_u64);
    anyhow::ensure!(created == u64::try_from(lines).ok(), "{path} was answered {}", String::from_utf8_lossy(&answer.body));
    Ok(())
}

/// Every page of the table with things that are there, and further ways to ask: what it is called, and its address.
async fn paths(admin: &Customer, api: &mut Connection) -> anyhow::Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = FURTHER.map(|path| (path.to_owned(), path.to_owned())).into();
    for row in table() {
        // Streams and files are no pages.
        let is_page = row.method == axum::http::Method::GET && !row.path.contains("{file}") && !row.path.contains("{phone}");
        if !is_page || ["/live/", "/media/", "/export/", "/report/", "/faults/"].iter().any(|end| row.path.ends_with(end)) {
            continue;
        }
        let thing = row.path.trim_start_matches("/admin/").split('/').next().unwrap_or_default();
        let list = match thing {
            "keys" => "/api/v1/api-keys/".to_owned(),
            "messages" => "/api/v1/messages/list/".to_owned(),
            "contacts" if row.path.contains("/imports/") => "/api/v1/contacts/imports/".to_owned(),
            other => format!("/api/v1/{other}/"),
        };
        let mut path = row.path.to_owned();
        if path.contains("{id}") {
            let Some(id) = first(admin, api, &list).await? else { continue };
            if path.contains("{delivery}") {
                let Some(delivery) = first(admin, api, &format!("{list}{id}/deliveries/")).await? else { continue };
                path = path.replace("{delivery}", &delivery);
            }
            path = path.replace("{id}", &id);
        }
        all.push((row.path.to_owned(), path));
    }
    Ok(all)
}

/// The id of the first thing of a list.
async fn first(admin: &Customer, api: &mut Connection, list: &str) -> anyhow::Result<Option<String>> {
    let answer = admin.ask(api, "GET", list, &Value::Null).await?;
    Ok(answer.pointer("/data/results/0/id").and_then(Value::as_str).map(str::to_owned))
}

async fn log_in(connection: &mut Connection, username: &str) -> anyhow::Result<String> {
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("username", username).append_pair("password", PASSWORD).finish();
    let answer = connection.ask("POST", "/admin/login/", FORM, form.as_bytes()).await?;
    let cookie = answer.cookie.filter(|_| answer.status == 303).context("the admin can't log in to the dashboard")?;
    Ok(format!("Cookie: {cookie}\r\nAccept: text/html\r\n"))
}

async fn ask(connection: &mut Connection, page: String, path: &str, headers: &str) -> anyhow::Result<Shown> {
    let (mut times, mut shown) = (Vec::with_capacity(TIMES), Shown { page, status: 0, first_ms: 0.0, p50_ms: 0.0, p99_ms: 0.0, bytes: 0 });
    for number in 0..=TIMES {
        let begun = Instant::now();
        let answer = connection.ask("GET", path, headers, b"").await?;
        let took = millis(begun);
        // Who is logged in is led on from the page to log in.
        if ![200, 303, 404].contains(&answer.status) {
            bail!("{path} was answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        if number == 0 {
            (shown.first_ms, shown.status, shown.bytes) = (took, answer.status, answer.body.len());
        } else {
            times.push(took);
        }
    }
    (shown.p50_ms, shown.p99_ms) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    Ok(shown)
}
