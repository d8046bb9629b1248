//! The OpenAPI 3.1 document: generated from the handlers, completed from the catalogue of errors.
//!
//! Handlers say what only they know: parameters, bodies, answers, and by extensions which refusals they can give
//! (`x-error-codes`), which scope they ask for (`x-scope`), whether they want an admin (`x-admin`) or a person's
//! login (`x-login`). From these and from the shape of the operation every error answer is written here, so that
//! the document can't tell another story than the code.

mod examples;

use super::envelope::Refusal;
use super::error::{ApiError, ErrorCode};
use super::page;
use super::v1::messages::asked::{KEY_PATTERN, LONGEST_KEY};
use crate::app::App;
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "SanaSend",
        description = "A WhatsApp account as a REST API.\n\nEvery answer has one of two shapes: `{\"success\": true, \"message\", \"data\"}` or `{\"success\": false, \"message\", \"errors\", \"error_code\"}`. Times are RFC 3339 in UTC, ids are UUIDv7. Paths are served with and without the slash at the end. Unknown JSON fields are refused.\n\nEvery answer carries `X-Request-Id`, and the caller's limit in `RateLimit`, `RateLimit-Policy`, `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset` (seconds until the whole limit is free again)."
    ),
    components(schemas(Refusal)),
    tags(
        (name = "auth", description = "Logging in as a person."),
        (name = "users", description = "Tenants, managed by admins."),
        (name = "api-keys", description = "Keys for programs."),
        (name = "sessions", description = "Linked WhatsApp accounts."),
        (name = "groups", description = "WhatsApp groups that an account is in."),
        (name = "messages", description = "Sending, and what came in."),
        (name = "campaigns", description = "Many messages, paced so that accounts stay well."),
        (name = "events", description = "The event log."),
        (name = "templates", description = "Messages with places for values."),
        (name = "schedules", description = "What is sent again and again, and when nobody is written to."),
        (name = "jobs", description = "Background work, for admins."),
        (name = "audit", description = "What was done by whom, for admins."),
        (name = "webhooks", description = "Events posted to you, signed."),
        (name = "contacts", description = "People you write to, and who wants no messages."),
        (name = "usage", description = "What you used, and the limits in force."),
        (name = "analytics", description = "Usage of everybody, the API log, the overview; for admins."),
        (name = "health", description = "Probes."),
    )
)]
struct Base;

/// What every operation can answer, whatever it does.
const EVERYWHERE: &[ErrorCode] =
    &[ErrorCode::HttpsRequired, ErrorCode::RateLimited, ErrorCode::InternalError, ErrorCode::ServiceUnavailable];
/// What every operation behind credentials can answer.
const BEHIND_CREDENTIALS: &[ErrorCode] = &[
    ErrorCode::Unauthenticated,
    ErrorCode::InvalidToken,
    ErrorCode::TokenExpired,
    ErrorCode::InvalidApiKey,
    ErrorCode::ApiKeyExpired,
    ErrorCode::ApiKeyRevoked,
    ErrorCode::IpNotAllowed,
    ErrorCode::AdminIpNotAllowed,
    ErrorCode::UserInactive,
];
const WITH_BODY: &[ErrorCode] = &[
    ErrorCode::ValidationError,
    ErrorCode::MalformedJson,
    ErrorCode::UnknownField,
    ErrorCode::PayloadTooLarge,
    ErrorCode::UnsupportedMediaType,
];

/// Puts the routes under the document's head.
#[must_use]
pub fn collect(routes: OpenApiRouter<Arc<App>>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Base::openapi()).merge(routes)
}

/// The whole document, as it is served and as `sanasend openapi` prints it.
#[must_use]
pub fn document() -> String {
    let (_, collected) = collect(super::v1::routes()).split_for_parts();
    text(&complete(&collected))
}

/// `/api/schema/`. Written at the first request and kept: it is the most expensive thing that a start could do, and few servers
/// are ever asked for it.
pub fn routes() -> Router<Arc<App>> {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let serve = async || match tokio::task::spawn_blocking(|| TEXT.get_or_init(|| document().into()).clone()).await {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => ApiError::internal("the OpenAPI document could not be written").into_response(),
    };
    Router::new().route("/api/schema/", get(serve))
}

fn text(document: &Value) -> String {
    format!("{document:#}\n")
}

/// What was collected from the handlers, with everything that follows from it.
fn complete(collected: &utoipa::openapi::OpenApi) -> Value {
    // A document of strings and maps has no way not to be JSON.
    let mut document = serde_json::to_value(collected).unwrap_or_default();
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    if let Some(info) = document["info"].as_object_mut() {
        // The owner has chosen no licence yet, and an empty name is not one.
        info.remove("license");
    }
    document["servers"] = json!([{"url": "/", "description": "This server"}]);
    document["components"]["securitySchemes"] = json!({
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
        "bearer": {"type": "http", "scheme": "bearer", "description": "An access token from `POST /api/v1/auth/login/`, or an API key."},
    });
    document["components"]["examples"] = ErrorCode::ALL.iter().map(|code| (code.as_str().to_owned(), example(*code))).collect();
    document["security"] = json!([{"apiKey": []}, {"bearer": []}]);
    let schemas = document["components"]["schemas"].clone();
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut()).filter(|value| value.is_object()) {
        complete_operation(operation);
        examples::complete(operation, &schemas);
    }
    document
}

fn complete_operation(operation: &mut Value) {
    sort_extensions(operation);
    let is_public = operation["security"] == json!([{}]);
    let wants_login = operation["x-login"] == json!(true) || operation["x-admin"] == json!(true);
    if wants_login {
        operation["security"] = json!([{"bearer": []}]);
    }
    let needs: Vec<String> = [
        operation["x-scope"].as_str().map(|scope| format!("An API key needs the scope `{scope}`.")),
        (operation["x-admin"] == json!(true)).then(|| "For admins, by login.".to_owned()),
        (operation["x-login"] == json!(true)).then(|| "By login, not by API key.".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !needs.is_empty() {
        let said = operation["description"].as_str().unwrap_or_default();
        operation["description"] = json!(format!("{said}\n\n{}", needs.join(" ")).trim_start());
    }
    bound_pages(operation);
    bound_keys(operation);
    for (status, codes) in by_status(&codes_of(operation, is_public)) {
        operation["responses"][status.to_string()] = error_answer(&codes);
    }
}

/// Every list has the same bounds of `page` and `page_size`; they are written down here so that none can forget them.
fn bound_pages(operation: &mut Value) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten();
    for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
        let most = match parameter["name"].as_str() {
            Some("page") => page::MAX_PAGE,
            Some("page_size") => page::MAX_PAGE_SIZE,
            _ => continue,
        };
        parameter["schema"]["minimum"] = json!(1);
        parameter["schema"]["maximum"] = json!(most);
    }
}

/// The same for the header by which a request is sent once: its bounds are those that the code checks.
fn bound_keys(operation: &mut Value) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten();
    for parameter in parameters.filter(|parameter| parameter["in"] == "header" && parameter["name"] == "Idempotency-Key") {
        parameter["schema"] = json!({"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": KEY_PATTERN});
    }
}

/// Extensions come out of a hash map; the document must be the same every time.
fn sort_extensions(operation: &mut Value) {
    let Some(fields) = operation.as_object_mut() else { return };
    let mut names: Vec<String> = fields.keys().filter(|name| name.starts_with("x-")).cloned().collect();
    names.sort();
    for name in names {
        if let Some(value) = fields.shift_remove(&name) {
            fields.insert(name, value);
        }
    }
}

/// Every code that an operation can answer, in the order of the catalogue.
fn codes_of(operation: &Value, is_public: bool) -> Vec<ErrorCode> {
    let said = operation["x-error-codes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let said: Vec<&str> = said.collect();
    let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
    let has_parameter = |place: &str| parameters.iter().any(|parameter| parameter["in"] == place);
    let is_true = |name: &str| operation[name] == json!(true);
    let applies = |code: ErrorCode| {
        EVERYWHERE.contains(&code)
            || said.contains(&code.as_str())
            || (!is_public && BEHIND_CREDENTIALS.contains(&code))
            || (operation["requestBody"].is_object() && WITH_BODY.contains(&code))
            || (code == ErrorCode::ValidationError && has_parameter("query"))
            || (code == ErrorCode::NotFound && has_parameter("path"))
            || (code == ErrorCode::InsufficientScope && operation["x-scope"].is_string())
            || (code == ErrorCode::AdminRequired && is_true("x-admin"))
            || (code == ErrorCode::LoginRequired && (is_true("x-admin") || is_true("x-login")))
    };
    ErrorCode::ALL.iter().copied().filter(|code| applies(*code)).collect()
}

fn by_status(codes: &[ErrorCode]) -> BTreeMap<u16, Vec<ErrorCode>> {
    let mut grouped: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in codes {
        grouped.entry(code.status().as_u16()).or_default().push(*code);
    }
    grouped
}

fn error_answer(codes: &[ErrorCode]) -> Value {
    let names: Vec<String> = codes.iter().map(|code| format!("`{}`", code.as_str())).collect();
    let example = |code: &ErrorCode| (code.as_str().to_owned(), json!({"$ref": format!("#/components/examples/{}", code.as_str())}));
    let examples: serde_json::Map<String, Value> = codes.iter().map(example).collect();
    let mut answer = json!({
        "description": names.join(", "),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}, "examples": examples}},
    });
    if codes.iter().any(|code| matches!(code.status().as_u16(), 429 | 503)) {
        answer["headers"] = json!({"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}});
    }
    answer
}

fn example(code: ErrorCode) -> Value {
    let errors = match code {
        ErrorCode::ValidationError => json!({"name": ["is required"]}),
        ErrorCode::UnknownField => json!({"nmae": ["is not a field of this request"]}),
        _ => json!({}),
    };
    let value = json!({"success": false, "message": code.sentence(), "errors": errors, "error_code": code.as_str()});
    json!({"summary": code.sentence(), "value": value})
}
