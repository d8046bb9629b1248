//! The gate: what an operation asks of its caller is asked before anything else of the request is read.
//!
//! Handlers take their parts in order, and the body or the query may be refused before their first line runs: a key
//! without the scope would learn the shape of what it may not use. So the extractor of the caller asks here. The table
//! is made from the OpenAPI document (`x-scope`, `x-admin`, `x-login`), which thereby can't promise another rule than
//! the one that holds, and no handler asks again. A handler that takes no `Caller` is open to everybody; the tests ask
//! every operation of the document as somebody who may not.

use super::caller::Caller;
use super::error::{ApiError, ErrorCode};
use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use sanasend_model::Scope;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::openapi::path::{Operation, PathItem, Paths};

/// What one operation asks for, everything of it.
#[derive(Debug, Clone, Copy, Default)]
struct Needs {
    scope: Option<Scope>,
    login: bool,
    admin: bool,
}

impl Needs {
    fn of(operation: &Operation) -> Self {
        let said = |name: &str| operation.extensions.as_ref().and_then(|extensions| extensions.get(name));
        let is_true = |name| said(name).and_then(Value::as_bool) == Some(true);
        let scope = said("x-scope").and_then(Value::as_str).and_then(|text| text.parse().ok());
        Self { scope, login: is_true("x-login"), admin: is_true("x-admin") }
    }
}

/// The needs of every operation. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    needs: Arc<HashMap<String, Vec<(Method, Needs)>>>,
}

impl Gate {
    /// The gate of a document's paths, as the handlers wrote them.
    #[must_use]
    pub fn of(paths: &Paths) -> Self {
        let of_item = |(path, item): (&String, &PathItem)| {
            let operations = [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::DELETE, &item.delete),
                (Method::OPTIONS, &item.options),
                (Method::HEAD, &item.head),
                (Method::PATCH, &item.patch),
                (Method::TRACE, &item.trace),
            ];
            let needs = operations.into_iter().filter_map(|(method, operation)| Some((method, Needs::of(operation.as_ref()?))));
            (path.clone(), needs.collect())
        };
        Self { needs: Arc::new(paths.paths.iter().map(of_item).collect()) }
    }

    /// Lets a caller through to the operation that a request is for.
    ///
    /// # Errors
    /// `INSUFFICIENT_SCOPE`, `LOGIN_REQUIRED`, `ADMIN_REQUIRED`. An operation that the document does not know lets
    /// nobody through (`INTERNAL_ERROR`).
    pub fn let_through(&self, caller: &Caller, parts: &Parts) -> Result<(), ApiError> {
        let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
        let needs = path.and_then(|path| self.needs.get(path)?.iter().find(|(known, _)| known == method));
        let Some((_, needs)) = needs else {
            return Err(ApiError::internal(format!(
                "{method} {} asks for a caller and is not in the OpenAPI document",
                path.unwrap_or("?")
            )));
        };
        needs.ask(caller)
    }
}

impl Needs {
    /// Asks for all of it. A person's login has every scope. A key is never enough where a login is asked for, so that a
    /// leaked one can't make more keys or change users; keys never act as admin.
    fn ask(self, caller: &Caller) -> Result<(), ApiError> {
        if self.admin && !caller.user.is_admin {
            return Err(ErrorCode::AdminRequired.into());
        }
        if self.admin || self.login {
            caller.require_login()?;
        }
        match (self.scope, &caller.key) {
            (Some(scope), Some(key)) if !key.scopes.iter().any(|held| held.covers(scope)) => Err(ApiError::because(
                ErrorCode::InsufficientScope,
                format!("The API key lacks the scope `{scope}`; make one that has it."),
            )),
            _ => Ok(()),
        }
    }
}
