//! Asking before something is done that can't be undone. It is a page; with scripts its form is shown in a dialog over the
//! page that led to it.

use super::form::Field;
use super::render::{Page, page};
use super::visitor::Shell;
use askama::Template;

/// The question.
#[derive(Debug, Template)]
#[template(path = "confirm.html")]
pub struct Confirm {
    /// What is around it; its title is the question.
    pub shell: Shell,
    /// What will happen, a paragraph each.
    pub text: Vec<String>,
    /// Where the form is sent.
    pub action: String,
    /// What the button says.
    pub button: &'static str,
    /// Whether it can't be undone.
    pub is_grave: bool,
    /// Where to go instead.
    pub back: String,
    /// What is sent along.
    pub hidden: Vec<(&'static str, String)>,
    /// What may still be chosen.
    pub fields: Vec<Field>,
}

impl Confirm {
    /// The page.
    ///
    /// # Errors
    /// As [`page`].
    pub fn show(&self) -> Page {
        page(self)
    }
}
