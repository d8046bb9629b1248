//! What a campaign sends: a text with variables, kept with the campaign as it was when that was made, so that a template
//! that is changed later changes nothing that is under way.

use sanasend_model::campaign::Skip;
use sanasend_model::template::{Language, Template};
use sanasend_model::{Content, Invalid, Media, TemplateId};
use sanasend_store::NewMedia;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most bytes of the values of one recipient.
pub const MOST_VALUES: usize = 16 * 1024;

/// The content of a campaign as it lies in its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignContent {
    /// The text with its variables.
    pub text: String,
    /// How numbers and dates are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The saved template that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<FromTemplate>,
}

/// A saved template in one of its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromTemplate {
    /// Its id.
    pub id: TemplateId,
    /// The version, which never changes.
    pub version: i32,
    /// Its name at that time.
    pub name: String,
}

/// A content that was read, to be filled for each recipient.
#[derive(Debug, Clone)]
pub struct Form {
    template: Template,
    language: Language,
    /// The file that the text is the caption of.
    file: Option<(Media, NewMedia)>,
}

impl CampaignContent {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with the text, under `content`.
    pub fn form(&self) -> Result<Form, Invalid> {
        let language = self.language.as_deref().map_or_else(Language::default, Language::of);
        Ok(Form { template: Template::parse(&self.text)?, language, file: None })
    }
}

impl Form {
    /// Names of the variables that a recipient must have a value for.
    #[must_use]
    pub fn required(&self) -> Vec<&str> {
        self.template.variables().iter().filter(|variable| variable.required).map(|variable| variable.name.as_str()).collect()
    }

    /// The same with a file.
    #[must_use]
    pub fn with_file(self, file: Option<(Media, NewMedia)>) -> Self {
        Self { file, ..self }
    }

    /// The message of a recipient with these values, and its file.
    ///
    /// # Errors
    /// Why it gets none, and the same for people.
    pub fn fill(&self, values: Option<&Value>) -> Result<(Content, Option<NewMedia>), (Skip, String)> {
        let values = values.and_then(Value::as_object).map(texts).unwrap_or_default();
        let text = self.template.fill(&values, self.language).map_err(|unfilled| {
            if !unfilled.missing.is_empty() {
                return (Skip::VariablesMissing, format!("no value for {}", unfilled.missing.join(", ")));
            }
            let unfit: Vec<String> = unfilled.unfit.iter().map(ToString::to_string).collect();
            let why = if unfit.is_empty() { "the text is too long with these values".to_owned() } else { unfit.join("; ") };
            (Skip::ContentInvalid, why)
        })?;
        let unfit = |invalid: Invalid| (Skip::ContentInvalid, invalid.message);
        let Some((media, file)) = &self.file else { return Ok((Content::text(text).map_err(unfit)?, None)) };
        let caption = media.kind.caption(Some(text)).map_err(unfit)?;
        Ok((Content::Media(Box::new(Media { caption, ..media.clone() })), Some(file.clone())))
    }
}

/// Values as texts: what is no text in JSON is written as JSON writes it; `null` is no value.
fn texts(values: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    values.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form(text: &str) -> Form {
        CampaignContent { text: text.into(), language: None, template: None }.form().expect("sound")
    }

    #[test]
    fn a_recipient_gets_its_own_text_or_the_reason_why_not() {
        let form = form("Hi {{name}}, {{count|no}} left");
        let filled = |values: Value| form.fill(Some(&values)).map(|(content, _)| content.body().unwrap_or_default().to_owned());
        assert_eq!(filled(json!({"name": "Ann", "count": 3})), Ok("Hi Ann, 3 left".into()));
        assert_eq!(filled(json!({"name": "Ann", "count": null})), Ok("Hi Ann, no left".into()));
        assert_eq!(filled(json!({"count": 3})), Err((Skip::VariablesMissing, "no value for name".into())));
        assert_eq!(form.fill(None).map_err(|(skip, _)| skip), Err(Skip::VariablesMissing));
        assert_eq!(form.required(), ["name"]);
        let empty = self::form("{{a|}}");
        assert_eq!(empty.fill(None).map_err(|(skip, _)| skip), Err(Skip::ContentInvalid), "an empty text can't be sent");
    }
}
