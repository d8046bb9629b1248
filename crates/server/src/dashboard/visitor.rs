//! Who looks at a page, and what is around every page: its title, the navigation, the message that waits, the colours.

use super::nav::{self, Entry};
use super::{assets, cookie};
use crate::app::App;
use crate::http::{ApiError, Caller, ErrorCode};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use std::convert::Infallible;
use std::sync::Arc;

/// Longest message for the next page; cookies hold some 4,000 bytes.
const LONGEST_FLASH: usize = 500;

/// Colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// As the system has them.
    #[default]
    Auto,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// Every theme.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    /// The word in the cookie and in `data-theme`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The word for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Auto => "colours as the system has them",
            Self::Light => "colours",
            Self::Dark => "colours",
        }
    }

    /// The word on the button.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    /// The same for browsers, before the style sheet is there: no white page in the dark.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Auto => "light dark",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Reads the word; anything else is `Auto`.
    pub fn named(text: &str) -> Self {
        Self::ALL.into_iter().find(|theme| theme.as_str() == text).unwrap_or_default()
    }
}

/// A message for the next page.
#[derive(Debug, Clone)]
pub struct Flash {
    /// Whether it tells of something that went wrong.
    pub is_bad: bool,
    /// The sentence.
    pub text: String,
}

/// How pages look to whoever asks, logged in or not; an extension of the request.
#[derive(Debug, Clone)]
pub struct Look {
    /// Colours.
    pub theme: Theme,
    /// The message that waits.
    pub flash: Option<Flash>,
    /// Whether cookies are secure ones.
    pub secure: bool,
    /// Whether the simulated network runs here.
    pub sandbox: bool,
}

impl Look {
    /// The look of a request.
    pub fn of(app: &App, headers: &HeaderMap, secure: bool) -> Self {
        let theme = cookie::read(headers, cookie::THEME, secure).map(|text| Theme::named(&text)).unwrap_or_default();
        let flash = cookie::read(headers, cookie::FLASH, secure).and_then(|value| cookie::unpack(&value)).and_then(|text| {
            let (kind, text) = text.split_once('|')?;
            Some(Flash { is_bad: kind == "bad", text: text.chars().take(LONGEST_FLASH).collect() })
        });
        Self { theme, flash, secure, sandbox: app.sandbox.is_some() }
    }

    /// What is around a page for somebody who is not logged in.
    pub fn shell(&self, title: impl Into<String>) -> Shell {
        Shell { title: title.into(), here: "", username: String::new(), nav: Vec::new(), look: self.clone() }
    }

    /// Leads to another page, which shows a message.
    pub fn leave(&self, to: &str, is_bad: bool, text: &str) -> Response {
        let mut response = Redirect::to(to).into_response();
        let text: String = text.chars().take(LONGEST_FLASH).collect();
        let value = cookie::pack(&format!("{}|{text}", if is_bad { "bad" } else { "ok" }));
        cookie::set(response.headers_mut(), cookie::FLASH, &value, self.secure, Some(60));
        response
    }
}

impl FromRequestParts<Arc<App>> for Look {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self::of(app, &parts.headers, false)))
    }
}

/// The digest of the cookie that somebody came with; an extension of the request.
#[derive(Debug, Clone, Copy)]
pub struct CameWith(pub [u8; 32]);

/// Somebody who is logged in. The guard has let them through.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The person, as the handlers of the API know callers.
    pub caller: Caller,
    /// What the login is known by.
    pub came_with: CameWith,
    /// How pages look to them.
    pub look: Look,
}

impl Visitor {
    /// What is around a page; `here` is the navigation's entry that it belongs to.
    pub fn shell(&self, title: impl Into<String>, here: &'static str) -> Shell {
        let nav = nav::of(self.is_admin(), self.look.sandbox);
        Shell { title: title.into(), here, username: self.caller.user.username.clone(), nav, look: self.look.clone() }
    }

    /// Whether it may see and do everything.
    pub fn is_admin(&self) -> bool {
        self.caller.user.is_admin
    }

    /// Leads to a page that says what was done.
    pub fn done(&self, to: &str, text: &str) -> Response {
        self.look.leave(to, false, text)
    }

    /// Leads to a page that says what was not done, and why.
    pub fn refused(&self, to: &str, text: &str) -> Response {
        self.look.leave(to, true, text)
    }
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = super::trouble::Trouble;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        // Missing only where a row of the table says that anyone may come.
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(|| ApiError::new(ErrorCode::InvalidToken))?;
        let came_with = parts.extensions.get::<CameWith>().copied().ok_or_else(|| ApiError::new(ErrorCode::InvalidToken))?;
        let Ok(look) = Look::from_request_parts(parts, app).await;
        Ok(Self { caller, came_with, look })
    }
}

/// What is around a page; every template of a whole page has it as `shell`.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The title.
    pub title: String,
    /// The entry of the navigation that the page belongs to.
    pub here: &'static str,
    /// Who is logged in; empty for nobody.
    pub username: String,
    /// The navigation.
    pub nav: Vec<Entry>,
    /// Colours, message, sandbox.
    pub look: Look,
}

#[expect(clippy::unused_self, reason = "templates call methods of what they are given")]
impl Shell {
    /// The style sheet's path.
    pub fn css(&self) -> &'static str {
        assets::css()
    }

    /// The script's path.
    pub fn js(&self) -> &'static str {
        assets::js()
    }

    /// The icon's path.
    pub fn icon(&self) -> &'static str {
        assets::icon()
    }

    /// The themes to choose from.
    pub fn themes(&self) -> [Theme; 3] {
        Theme::ALL
    }
}
