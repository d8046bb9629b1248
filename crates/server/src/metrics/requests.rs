//! Counts requests by operation and status.
//!
//! The label is the path of the operation as the OpenAPI document has it (`/api/v1/users/{id}/`), found here by the path
//! that was asked for: the function around all requests runs before the router and can't know the match. What is no
//! operation counts as `other`, so that nobody can make labels by asking.

use super::name;
use metrics::{Counter, Histogram, counter, histogram};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Statuses that have a figure of their own; others count as `0`.
const STATUSES: [u16; 26] =
    [0, 101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 400, 401, 403, 404, 405, 409, 410, 411, 413, 415, 422, 429, 500, 503];
/// Methods that have a figure of their own; others count as `other`.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"];

/// Figures of one method of an operation, found at its first request.
struct OfMethod {
    seconds: Histogram,
    by_status: [OnceLock<Counter>; STATUSES.len()],
}

/// Figures of one path.
struct Route {
    /// The label.
    label: Arc<str>,
    methods: [OnceLock<Box<OfMethod>>; METHODS.len()],
}

/// Finds the operation of a request and counts it.
pub struct Requests {
    /// Paths without parameters.
    plain: HashMap<String, usize>,
    /// Paths with parameters, in segments.
    templates: Vec<(Vec<String>, usize)>,
    /// The last one is `other`.
    routes: Vec<Route>,
}

impl Requests {
    /// For the paths of the API's document.
    #[must_use]
    pub fn new<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let (mut plain, mut templates, mut routes) = (HashMap::new(), Vec::new(), Vec::new());
        for path in paths {
            if path.contains('{') {
                templates.push((path.split('/').map(str::to_owned).collect(), routes.len()));
            } else {
                plain.insert(path.to_owned(), routes.len());
            }
            routes.push(Route::new(path));
        }
        routes.push(Route::new("other"));
        Self { plain, templates, routes }
    }

    /// Counts an answered request of `path` (without query, with its last slash).
    pub fn count(&self, method: &str, path: &str, status: u16, took: Duration) {
        let Some(route) = self.routes.get(self.find(path)) else { return };
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let figures = route.methods[method].get_or_init(|| Box::new(OfMethod::new(&route.label, METHODS[method])));
        figures.seconds.record(took);
        let status = STATUSES.binary_search(&status).unwrap_or(0);
        let counter = figures.by_status[status].get_or_init(|| {
            let labels =
                [("method", METHODS[method].to_owned()), ("route", route.label.to_string()), ("status", STATUSES[status].to_string())];
            counter!(name::HTTP_REQUESTS, &labels)
        });
        counter.increment(1);
    }

    /// The path of the operation that a path belongs to, if any.
    #[must_use]
    pub fn route(&self, path: &str) -> Option<&str> {
        let found = self.find(path);
        (found + 1 < self.routes.len()).then(|| &*self.routes[found].label)
    }

    fn find(&self, path: &str) -> usize {
        if let Some(found) = self.plain.get(path) {
            return *found;
        }
        let fits = |template: &[String]| {
            let mut parts = path.split('/');
            let all = template.iter().all(|wanted| parts.next().is_some_and(|part| wanted.starts_with('{') || wanted == part));
            all && parts.next().is_none()
        };
        let found = self.templates.iter().find(|(template, _)| fits(template));
        found.map_or(self.routes.len() - 1, |(_, index)| *index)
    }
}

impl Route {
    fn new(label: &str) -> Self {
        Self { label: label.into(), methods: [const { OnceLock::new() }; METHODS.len()] }
    }
}

impl OfMethod {
    fn new(route: &str, method: &'static str) -> Self {
        let seconds = histogram!(name::HTTP_SECONDS, "method" => method, "route" => route.to_owned());
        Self { seconds, by_status: [const { OnceLock::new() }; STATUSES.len()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_by_its_operation_and_strangers_make_no_labels() {
        let paths = ["/api/v1/users/", "/api/v1/users/{id}/", "/api/v1/users/{id}/activate/", "/api/v1/users/me/"];
        let requests = Requests::new(paths.into_iter());
        let label = |path: &str| requests.routes[requests.find(path)].label.to_string();
        for (path, told) in [
            ("/api/v1/users/", "/api/v1/users/"),
            ("/api/v1/users/123/", "/api/v1/users/{id}/"),
            ("/api/v1/users/me/", "/api/v1/users/me/"),
            ("/api/v1/users/123/activate/", "/api/v1/users/{id}/activate/"),
            ("/api/v1/users/123/activate/x/", "other"),
            ("/api/v1/+12025550123/", "other"),
            ("", "other"),
        ] {
            assert_eq!(label(path), told, "{path}");
        }
    }

    #[test]
    fn statuses_can_be_searched() {
        assert!(STATUSES.is_sorted());
    }
}
