//! Templates: a text with places for values, filled for each message.
//!
//! The language is small on purpose, so that a person can read it aloud and a broken template is refused when it is
//! saved, not when it is sent:
//!
//! - `{{name}}` is the value; the message is refused when there is none.
//! - `{{name|there}}` is the value, or `there`. `{{name|}}` is the value, or nothing.
//! - `{{amount:money}}` is the value in a [`Format`]; a default may follow: `{{when:date|soon}}`.
//! - `{{#name}}..{{/name}}` is there when the value is, `{{^name}}..{{/name}}` when it is not.
//! - `\{{` is `{{` itself.
//!
//! An empty value counts as none: a cell of a table that nobody filled is not a name. A value is written as it is and
//! never read as a template, whatever is in it.

mod format;
mod read;

pub use format::{Format, Language};

use crate::content::MAX_TEXT_CHARS;
use crate::{FieldErrors, Invalid, TemplateId};
use std::collections::{BTreeMap, BTreeSet};

/// Most variables of a template.
pub const MOST_VARIABLES: usize = 100;
/// Deepest sections in sections.
pub const DEEPEST: usize = 8;
/// Longest name of a variable, in characters.
pub const LONGEST_NAME: usize = 64;

/// A variable of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What is written when no value is given, where it is first used with one.
    pub default: Option<String>,
    /// How its value is written, where it is first used.
    pub format: Format,
    /// Whether a message can be refused because it has no value: it is used somewhere without a default, outside a
    /// section of its own.
    pub required: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Text(String),
    Value { name: String, format: Format, default: Option<String> },
    Section { name: String, when: bool, inside: Vec<Self> },
}

/// A template that was read and found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    nodes: Vec<Node>,
    variables: Vec<Variable>,
}

/// Why a template could not be filled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unfilled {
    /// Variables that have no value and no default, in the order of their names.
    pub missing: Vec<String>,
    /// Values that don't fit their format: the name of the variable, and what to write instead.
    pub unfit: Vec<Invalid>,
    /// How many characters the message would have, when that is too many.
    pub too_long: Option<usize>,
}

impl Unfilled {
    /// The same by field, as callers are told: `variables.<name>`, and `content` for a text that is too long.
    #[must_use]
    pub fn refusals(self) -> FieldErrors {
        let mut errors = FieldErrors::default();
        for name in self.missing {
            errors.push(Invalid::new(format!("variables.{name}"), MISSING));
        }
        for Invalid { field, message } in self.unfit {
            errors.push(Invalid::new(format!("variables.{field}"), message));
        }
        if let Some(chars) = self.too_long {
            let message = format!("would have {chars} characters with these values; at most {MAX_TEXT_CHARS} are possible");
            errors.push(Invalid::new("content", message));
        }
        errors
    }
}

/// What is said of a variable that has no value.
pub const MISSING: &str = "is required by the template";
/// Longest name of a template, in characters.
pub const LONGEST_TEMPLATE_NAME: usize = 64;

/// Checks the name of a template. One that reads as an id would stand in the way of ids.
///
/// # Errors
/// On `name`.
pub fn check_name(text: &str) -> Result<String, Invalid> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    let sound = (1..=LONGEST_TEMPLATE_NAME).contains(&text.len()) && text.chars().all(fits) && text.parse::<TemplateId>().is_err();
    let message = "must have 1 to 64 lower-case letters a-z, digits, and the characters _ - . and be no id, like order_ready";
    if sound { Ok(text.to_owned()) } else { Err(Invalid::new("name", message)) }
}

/// Checks a language tag; `pt_BR` becomes `pt-BR`.
///
/// # Errors
/// On `language`.
pub fn check_language(text: &str) -> Result<String, Invalid> {
    let tag = text.trim().replace('_', "-");
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    let letters = (2..=3).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_lowercase());
    let rest = parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    let message = "must be a language tag like en, de or pt-BR";
    if letters && rest && tag.len() <= 35 { Ok(tag) } else { Err(Invalid::new("language", message)) }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// `Invalid` on `content` with line and column of the first mistake, and what to write instead.
    pub fn parse(source: &str) -> Result<Self, Invalid> {
        let chars = source.chars().count();
        if chars > MAX_TEXT_CHARS {
            let message = format!("has {chars} characters; a template has at most {MAX_TEXT_CHARS}");
            return Err(Invalid::new("content", message));
        }
        let nodes = read::nodes(source)?;
        let mut variables = Vec::new();
        gather(&nodes, &mut Vec::new(), &mut variables);
        if variables.len() > MOST_VARIABLES {
            let message = format!("has {} variables; at most {MOST_VARIABLES} are possible", variables.len());
            return Err(Invalid::new("content", message));
        }
        Ok(Self { nodes, variables })
    }

    /// Its variables, in the order in which they come first.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The text with these values, formats as in English; values that no variable asks for are passed over.
    ///
    /// # Errors
    /// The names of the variables that have no value and no default, or a value that does not fit; none when the text
    /// would be longer than [`MAX_TEXT_CHARS`]. [`Template::fill`] says which it is.
    pub fn render(&self, values: &BTreeMap<String, String>) -> Result<String, Vec<String>> {
        self.fill(values, Language::default()).map_err(|unfilled| {
            let mut names = unfilled.missing;
            names.extend(unfilled.unfit.into_iter().map(|invalid| invalid.field));
            names
        })
    }

    /// The text with these values, numbers and dates as `language` writes them.
    ///
    /// # Errors
    /// All that is wrong with the values, at once.
    pub fn fill(&self, values: &BTreeMap<String, String>, language: Language) -> Result<String, Unfilled> {
        let filling = self.written(values, language, false);
        let chars = filling.text.chars().count();
        let unfilled = Unfilled {
            missing: filling.missing.into_iter().collect(),
            unfit: filling.unfit.into_iter().map(|(name, message)| Invalid::new(name, message)).collect(),
            too_long: (chars > MAX_TEXT_CHARS).then_some(chars),
        };
        if unfilled == Unfilled::default() { Ok(filling.text) } else { Err(unfilled) }
    }

    /// The text with these values, for looking at: what is missing stands in square brackets, what does not fit as it is.
    #[must_use]
    pub fn sample(&self, values: &BTreeMap<String, String>, language: Language) -> String {
        self.written(values, language, true).text
    }

    fn written<'a>(&self, values: &'a BTreeMap<String, String>, language: Language, sample: bool) -> Filling<'a> {
        let (missing, unfit) = (BTreeSet::new(), BTreeMap::new());
        let mut filling = Filling { values, language, sample, text: String::new(), missing, unfit };
        filling.write(&self.nodes);
        filling
    }
}

/// Notes the variables of some nodes; `inside` are the sections that are shown only when their variable has a value.
fn gather<'a>(nodes: &'a [Node], inside: &mut Vec<&'a str>, found: &mut Vec<Variable>) {
    for node in nodes {
        match node {
            Node::Text(_) => {}
            Node::Value { name, format, default } => {
                let required = default.is_none() && !inside.contains(&name.as_str());
                note(found, name, *format, default.as_ref(), required);
            }
            Node::Section { name, when, inside: nodes } => {
                note(found, name, Format::Plain, None, false);
                if *when {
                    inside.push(name);
                }
                gather(nodes, inside, found);
                if *when {
                    inside.pop();
                }
            }
        }
    }
}

fn note(found: &mut Vec<Variable>, name: &str, format: Format, default: Option<&String>, required: bool) {
    let Some(known) = found.iter_mut().find(|variable| variable.name == name) else {
        found.push(Variable { name: name.to_owned(), default: default.cloned(), format, required });
        return;
    };
    known.required |= required;
    if known.format == Format::Plain {
        known.format = format;
    }
    if known.default.is_none() {
        known.default = default.cloned();
    }
}

struct Filling<'a> {
    values: &'a BTreeMap<String, String>,
    language: Language,
    /// Whether something is written for what is missing.
    sample: bool,
    text: String,
    missing: BTreeSet<String>,
    unfit: BTreeMap<String, String>,
}

impl<'a> Filling<'a> {
    fn value(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    fn write(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Text(text) => self.text.push_str(text),
                Node::Value { name, format, default } => match (self.value(name), default) {
                    (Some(value), _) => match format.write(value, self.language) {
                        Ok(text) => self.text.push_str(&text),
                        Err(message) => {
                            if self.sample {
                                self.text.push_str(value);
                            }
                            self.unfit.insert(name.clone(), message);
                        }
                    },
                    (None, Some(default)) => self.text.push_str(default),
                    (None, None) => {
                        if self.sample {
                            self.text.extend(["[", name, "]"]);
                        }
                        self.missing.insert(name.clone());
                    }
                },
                Node::Section { name, when, inside } => {
                    if self.value(name).is_some() == *when {
                        self.write(inside);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
