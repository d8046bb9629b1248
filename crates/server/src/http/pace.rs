//! How long each operation may take.
//!
//! Most are answered in a moment. Those that bring or fetch a file, or take a list in, last as long as the other side's line
//! needs; they say so where they are written: operations of the API by `x-time-limit` with the name of the setting, pages by
//! their row. The function around all requests runs before the router, so it asks here.

use crate::config::Config;
use axum::http::Method;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use utoipa::openapi::path::{Operation, PathItem, Paths as Documented};

/// How long a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As `http.request_timeout_seconds` says.
    #[default]
    Usual,
    /// It brings a file, or may have to fetch one: `media.request_seconds`.
    File,
    /// It brings a list of people: `contacts.import_seconds`.
    Import,
}

impl Pace {
    /// As an operation names it in `x-time-limit`.
    fn named(setting: &str) -> Option<Self> {
        [Self::File, Self::Import].into_iter().find(|pace| pace.setting() == setting)
    }

    /// The setting that bounds it.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Usual => "http.request_timeout_seconds",
            Self::File => "media.request_seconds",
            Self::Import => "contacts.import_seconds",
        }
    }

    fn of(operation: &Operation) -> Self {
        let said = operation.extensions.as_ref().and_then(|extensions| extensions.get("x-time-limit"));
        said.and_then(Value::as_str).and_then(Self::named).unwrap_or_default()
    }

    /// As configured; never less than the usual time.
    #[must_use]
    pub fn patience(self, config: &Config) -> Duration {
        let usual = config.http.request_timeout_seconds;
        Duration::from_secs(match self {
            Self::Usual => usual,
            Self::File => usual.max(config.media.request_seconds),
            Self::Import => usual.max(config.contacts.import_seconds),
        })
    }
}

/// The operations that are slower than usual.
#[derive(Debug, Clone, Default)]
pub struct Paces {
    /// Paths without parameters.
    plain: HashMap<String, Vec<(Method, Pace)>>,
    /// Paths with parameters, in segments.
    templates: Vec<(Method, Vec<String>, Pace)>,
}

impl Paces {
    /// Of the API's document, and of other rows.
    pub fn new<'a>(documented: &'a Documented, rows: impl IntoIterator<Item = (Method, &'a str, Pace)>) -> Self {
        let mut paces = Self::default();
        for (path, item) in &documented.paths {
            for (method, operation) in operations(item) {
                paces.add(method, path, Pace::of(operation));
            }
        }
        for (method, path, pace) in rows {
            paces.add(method, path, pace);
        }
        paces
    }

    fn add(&mut self, method: Method, path: &str, pace: Pace) {
        if pace == Pace::Usual {
            return;
        }
        if path.contains('{') {
            self.templates.push((method, path.split('/').map(str::to_owned).collect(), pace));
        } else {
            self.plain.entry(path.to_owned()).or_default().push((method, pace));
        }
    }

    /// How long a request of this path (with its last slash) may take.
    #[must_use]
    pub fn of(&self, method: &Method, path: &str) -> Pace {
        if let Some(known) = self.plain.get(path) {
            return known.iter().find(|(of, _)| of == method).map(|(_, pace)| *pace).unwrap_or_default();
        }
        let fits = |template: &[String]| {
            let mut parts = path.split('/');
            template.iter().all(|wanted| parts.next().is_some_and(|part| wanted.starts_with('{') || wanted == part))
                && parts.next().is_none()
        };
        let found = self.templates.iter().find(|(of, template, _)| of == method && fits(template));
        found.map(|(_, _, pace)| *pace).unwrap_or_default()
    }
}

/// The operations of a path that can be slow.
fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let all = [(Method::GET, &item.get), (Method::POST, &item.post), (Method::PUT, &item.put), (Method::PATCH, &item.patch)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{openapi, v1};

    fn paces() -> (Paces, Documented) {
        let (_, collected) = openapi::collect(v1::routes()).split_for_parts();
        (super::super::paces(&collected.paths), collected.paths)
    }

    #[test]
    fn whatever_brings_or_fetches_a_file_has_the_time_for_it() {
        let (paces, _) = paces();
        for (method, path, pace) in [
            (Method::POST, "/api/v1/messages/send-media/", Pace::File),
            (Method::GET, "/api/v1/messages/0192f0c1/media/", Pace::File),
            (Method::POST, "/api/v1/messages/send-bulk/", Pace::File),
            (Method::POST, "/api/v1/campaigns/", Pace::File),
            (Method::POST, "/api/v1/templates/", Pace::File),
            (Method::PUT, "/api/v1/templates/0192f0c1/", Pace::File),
            (Method::PATCH, "/api/v1/templates/0192f0c1/", Pace::File),
            (Method::POST, "/api/v1/contacts/import/", Pace::Import),
            (Method::POST, "/api/v1/opt-outs/import/", Pace::Import),
            (Method::POST, "/admin/messages/send-file/", Pace::File),
            (Method::GET, "/admin/messages/0192f0c1/media/", Pace::File),
            (Method::POST, "/admin/campaigns/new/", Pace::File),
            (Method::POST, "/admin/templates/new/", Pace::File),
            (Method::POST, "/admin/templates/0192f0c1/edit/", Pace::File),
            (Method::POST, "/admin/phones/12025550123/send-file/", Pace::File),
            (Method::POST, "/admin/contacts/import/", Pace::Import),
            (Method::POST, "/admin/opt-outs/import/", Pace::Import),
            (Method::GET, "/api/v1/templates/0192f0c1/", Pace::Usual),
            (Method::GET, "/api/v1/campaigns/", Pace::Usual),
            (Method::GET, "/admin/templates/new/", Pace::Usual),
            (Method::POST, "/api/v1/messages/send-text/", Pace::Usual),
            (Method::POST, "/nowhere/", Pace::Usual),
        ] {
            assert_eq!(paces.of(&method, path), pace, "{method} {path}");
        }
    }

    #[test]
    fn an_operation_that_may_find_a_file_too_large_says_that_it_takes_its_time() {
        let (_, documented) = paces();
        for (path, item) in &documented.paths {
            for (method, operation) in operations(item) {
                let codes = operation.extensions.as_ref().and_then(|extensions| extensions.get("x-error-codes"));
                let takes_file = codes.and_then(Value::as_array).is_some_and(|codes| codes.contains(&Value::from("MEDIA_TOO_LARGE")));
                assert_eq!(Pace::of(operation) == Pace::File, takes_file, "{method} {path}");
            }
        }
    }
}
