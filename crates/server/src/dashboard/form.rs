//! Forms: what was entered, what was wrong with it, and the fields that show both.
//!
//! A form that is refused comes back with everything that was entered (but passwords) and with each refusal beside its
//! field, by the names of fields that the API uses.

use super::trouble::Trouble;
use crate::app::App;
use crate::http::{ApiError, ErrorCode};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use sanasend_model::{FieldErrors, Invalid};
use std::sync::Arc;
use std::time::Duration;

/// A form as it was sent, or as it is shown first.
#[derive(Debug, Clone, Default)]
pub struct Form {
    sent: Vec<(String, String)>,
    errors: FieldErrors,
    trouble: Option<String>,
    code: Option<ErrorCode>,
    wait: Option<Duration>,
}

impl FromRequest<Arc<App>> for Form {
    type Rejection = Trouble;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Trouble> {
        let form = axum::Form::<Vec<(String, String)>>::from_request(request, app).await;
        let axum::Form(sent) = form.map_err(|refused| match refused.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::PayloadTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
            _ => ErrorCode::BadRequest,
        })?;
        Ok(Self { sent, ..Self::default() })
    }
}

impl Form {
    /// A form to be shown with these values.
    pub fn of<const N: usize>(values: [(&str, String); N]) -> Self {
        Self { sent: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), ..Self::default() }
    }

    /// The same where a field has several values.
    pub fn with(values: Vec<(&str, String)>) -> Self {
        Self { sent: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), ..Self::default() }
    }

    /// The first value of a field; empty without one.
    pub fn text(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// The value of a field, trimmed; `None` when nothing was entered.
    pub fn some(&self, name: &str) -> Option<String> {
        Some(self.text(name).trim()).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Every value of a field.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.sent.iter().filter(move |(sent, _)| sent == name).map(|(_, value)| value.as_str())
    }

    /// Whether a list is narrowed by it; an order leaves nothing out.
    pub fn is_filled(&self) -> bool {
        self.sent.iter().any(|(name, value)| name != "ordering" && !value.trim().is_empty())
    }

    /// Whether a box is ticked.
    pub fn is_on(&self, name: &str) -> bool {
        self.all(name).any(|value| value == "on" || value == "true")
    }

    /// A whole number; refused beside its field if it is none. What is wrong with its size says the API's own rule.
    pub fn number(&mut self, name: &str) -> i64 {
        let read = self.text(name).trim().parse();
        read.unwrap_or_else(|_| {
            self.errors.push(Invalid::new(name, "must be a whole number"));
            0
        })
    }

    /// Whether nothing is wrong so far.
    pub fn is_sound(&self) -> bool {
        self.errors.0.is_empty()
    }

    /// Notes that something is wrong with a field.
    pub fn refuse(&mut self, field: &str, message: &str) {
        self.errors.push(Invalid::new(field, message));
        self.code = Some(ErrorCode::ValidationError);
    }

    /// The form with a refusal of the API, to be shown again.
    ///
    /// # Errors
    /// The refusal, where no other entry would help.
    pub fn refused(mut self, refusal: ApiError) -> Result<Self, Trouble> {
        use ErrorCode::{AdminIpNotAllowed, InvalidCredentials, UserInactive};
        let status = refusal.code.status();
        let curable = matches!(status.as_u16(), 400 | 409 | 410 | 413 | 422 | 429 | 503)
            || matches!(refusal.code, InvalidCredentials | UserInactive | AdminIpNotAllowed);
        if !curable {
            return Err(Trouble(refusal));
        }
        let told = if refusal.errors.0.is_empty() { refusal.message } else { "Please look at the marked fields.".to_owned() };
        (self.trouble, self.code, self.wait) = (Some(told), Some(refusal.code), refusal.retry_after);
        for (field, messages) in refusal.errors.0 {
            self.errors.0.entry(field).or_default().extend(messages);
        }
        Ok(self)
    }

    /// The form without a value that must not be shown again.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.sent.retain(|(sent, _)| sent != name);
        self
    }

    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        match self.code {
            Some(code) => code.status(),
            None if self.is_sound() => StatusCode::OK,
            None => StatusCode::BAD_REQUEST,
        }
    }

    /// Writes `Retry-After` where the refusal asked to wait.
    pub fn tell_wait(&self, headers: &mut HeaderMap) {
        let seconds = self.wait.map(|wait| wait.as_millis().div_ceil(1000).max(1).to_string());
        if let Some(value) = seconds.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(header::RETRY_AFTER, value);
        }
    }

    /// The sentence above the form.
    pub fn trouble(&self) -> Option<&str> {
        let marked = (!self.is_sound()).then_some("Please look at the marked fields.");
        self.trouble.as_deref().or(marked)
    }

    /// What is wrong with a field, in one sentence.
    pub fn error(&self, name: &str) -> Option<String> {
        self.errors.0.get(name).map(|messages| messages.join("; "))
    }

    /// A field for one line of text.
    pub fn line(&self, name: &'static str, label: &'static str) -> Field {
        Field { value: self.text(name).to_owned(), error: self.error(name), ..Field::new(name, label, "text") }
    }

    /// A field for a whole number.
    pub fn count(&self, name: &'static str, label: &'static str) -> Field {
        Field { kind: "number", ..self.line(name, label) }
    }

    /// A field for a password; never filled.
    pub fn password(&self, name: &'static str, label: &'static str, autocomplete: &'static str) -> Field {
        Field { error: self.error(name), autocomplete, ..Field::new(name, label, "password") }
    }

    /// A field for several lines.
    pub fn lines(&self, name: &'static str, label: &'static str) -> Field {
        Field { kind: "lines", ..self.line(name, label) }
    }

    /// A field for a day.
    pub fn date(&self, name: &'static str, label: &'static str) -> Field {
        Field { kind: "date", ..self.line(name, label) }
    }

    /// A field for a date and time; browsers send it without a zone.
    pub fn moment(&self, name: &'static str, label: &'static str) -> Field {
        Field { kind: "datetime-local", ..self.line(name, label) }
    }

    /// A box to tick.
    pub fn tick(&self, name: &'static str, label: &'static str) -> Field {
        Field { ticked: self.is_on(name), error: self.error(name), ..Field::new(name, label, "checkbox") }
    }

    /// One value of several to choose from.
    pub fn choice(&self, name: &'static str, label: &'static str, options: &[(&'static str, &'static str)]) -> Field {
        Field { kind: "choice", options: options.to_vec(), ..self.line(name, label) }
    }
}

/// A field with its label, its hint and what was wrong with it.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/field.html")]
pub struct Field {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    value: String,
    ticked: bool,
    error: Option<String>,
    hint: &'static str,
    autocomplete: &'static str,
    optional: bool,
    focus: bool,
    options: Vec<(&'static str, &'static str)>,
}

impl HtmlSafe for Field {}

impl Field {
    fn new(name: &'static str, label: &'static str, kind: &'static str) -> Self {
        Self {
            name,
            label,
            kind,
            value: String::new(),
            ticked: false,
            error: None,
            hint: "",
            autocomplete: "off",
            optional: false,
            focus: false,
            options: Vec::new(),
        }
    }

    /// A sentence below the label.
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// What browsers may fill in.
    pub fn filled_by(self, autocomplete: &'static str) -> Self {
        Self { autocomplete, ..self }
    }

    /// It may be left empty.
    pub fn may_be_empty(self) -> Self {
        Self { optional: true, ..self }
    }

    /// The cursor is here at first.
    pub fn first(self) -> Self {
        Self { focus: true, ..self }
    }

    /// Ids of what describes it.
    fn described_by(&self) -> String {
        let hint = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        let error = self.error.is_some().then(|| format!("{}-error", self.name));
        hint.into_iter().chain(error).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_form_keeps_what_was_entered_and_names_the_field() {
        let form = Form::of([("username", "<b>anna</b>".into()), ("password", "secret".into())]);
        let refusal = ApiError::field("username", "must be shorter");
        let form = form.refused(refusal).expect("curable").without("password");
        let html = form.line("username", "Username").to_string();
        assert!(html.contains("&#60;b&#62;anna") && !html.contains("<b>anna"), "{html}");
        assert!(html.contains("must be shorter") && html.contains("aria-invalid=\"true\""), "{html}");
        assert!(!form.password("password", "Password", "current-password").to_string().contains("secret"));
        assert_eq!(form.status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn what_no_other_entry_cures_is_a_page_of_its_own() {
        assert!(Form::default().refused(ApiError::not_found()).is_err());
        assert!(Form::default().refused(ErrorCode::AdminRequired.into()).is_err());
        assert!(Form::default().refused(ErrorCode::LastAdmin.into()).is_ok());
    }

    #[test]
    fn a_number_that_is_none_is_marked() {
        let mut form = Form::of([("max", "many".into())]);
        assert!(form.is_filled() && !Form::of([("max", " ".into())]).is_filled());
        form.number("max");
        assert_eq!((form.is_sound(), form.status()), (false, StatusCode::BAD_REQUEST));
        assert!(form.error("max").is_some());
    }
}
