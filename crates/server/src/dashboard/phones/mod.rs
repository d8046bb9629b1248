//! The virtual phones of the sandbox, side by side: what each of them shows, and what can be done with it.
//!
//! Which chat a phone shows and which message it answers is in the address (`c` and `a`, each with the phone's digits), so
//! that everything works without scripts. With them one stream keeps all screens up to date.

pub mod act;
mod screen;

use super::list::Asked;
use super::live::{self, Make};
use super::render::{Page, page};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::ApiError;
use askama::Template;
use axum::extract::State;
use sanasend_model::SessionStatus;
use sanasend_sandbox::{Control, Error, PhoneView};
use sanasend_store::{Page as Paging, SessionFilter};
use screen::Screen;
use std::sync::Arc;

/// Phones on the page; each is as tall as the screen.
const MOST_PHONES: usize = 24;
/// Sessions whose codes are offered.
const MOST_CODES: u64 = 20;

/// A session that shows a QR code now.
#[derive(Debug, Clone)]
struct Code {
    session: String,
    label: String,
}

/// A phone with its screen and its controls.
struct Card {
    phone: PhoneView,
    digits: String,
    screen: Screen,
    /// The message that is being answered.
    answers: Option<(String, String)>,
    back: String,
}

#[derive(Template)]
#[template(path = "phones.html")]
struct PhonesPage {
    shell: Shell,
    cards: Vec<Card>,
    codes: Vec<Code>,
    more: usize,
    query: String,
}

/// What the stream sends: every screen and the codes, each in an element with the id of its place.
#[derive(Template)]
#[template(path = "parts/screens.html")]
struct Screens {
    cards: Vec<Card>,
    codes: Vec<Code>,
}

/// The control of the sandbox, where it runs in this process.
fn control(app: &App) -> Result<Control, ApiError> {
    app.sandbox.as_ref().map(sanasend_sandbox::Sandbox::control).ok_or_else(ApiError::not_found)
}

/// The digits of a phone's number, as they stand in ids and in the address.
fn digits(phone: &str) -> String {
    phone.chars().filter(char::is_ascii_digit).collect()
}

fn cards(control: &Control, asked: &Asked) -> Result<(Vec<Card>, usize), Error> {
    let phones = control.phones();
    let more = phones.len().saturating_sub(MOST_PHONES);
    let cards = phones.iter().take(MOST_PHONES).map(|phone| {
        let digits = digits(&phone.phone);
        let screen = Screen::of(control, phone, &phones, asked.some(&format!("c{digits}")), asked)?;
        let answers = asked.some(&format!("a{digits}")).and_then(|id| screen.text_of(&id).map(|text| (id, text)));
        Ok(Card { phone: phone.clone(), digits, screen, answers, back: asked.query() })
    });
    Ok((cards.collect::<Result<_, Error>>()?, more))
}

/// Sessions that wait to be scanned.
async fn codes(app: &App) -> Result<Vec<Code>, ApiError> {
    let filter = SessionFilter { status: Some(SessionStatus::QrPending), ..SessionFilter::default() };
    let rows = app.store.list_sessions(&filter, Paging { page: 1, page_size: MOST_CODES }).await?.results;
    let names = app.store.usernames(rows.iter().map(|row| row.user_id)).await?;
    let shown = rows.into_iter().filter(|row| app.sessions.live(row).qr.is_some());
    Ok(shown
        .map(|row| {
            let owner = names.get(&row.user_id).map_or("", String::as_str);
            Code { label: format!("{} of {owner}", row.name), session: row.id.to_string() }
        })
        .collect())
}

/// Shows the phones.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let (cards, more) = cards(&control(&app)?, &asked).map_err(ApiError::internal)?;
    let codes = codes(&app).await?;
    page(&PhonesPage { shell: visitor.shell("Virtual phones", "phones"), cards, codes, more, query: asked.query() })
}

/// The screens, live.
pub async fn follow(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    control(&app)?;
    // The links on the screens lead to the page, not to this stream.
    let asked = Asked::of("/admin/phones/", &asked.query());
    let seen = app.clone();
    let make: Make = Box::new(move || {
        let (app, asked) = (seen.clone(), asked.clone());
        Box::pin(async move {
            let (cards, _) = cards(&control(&app).ok()?, &asked).ok()?;
            let codes = codes(&app).await.ok()?;
            Screens { cards, codes }.render().ok()
        })
    });
    Ok(live::follow(app, visitor, make)?)
}
