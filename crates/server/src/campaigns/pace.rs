//! How a campaign is paced: as the server is set, by its own wish, or, in the sandbox alone, not at all.

use sanasend_model::Invalid;
use sanasend_model::pacing::{Policy, Wish};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The pacing of a campaign as it lies in its row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// As the server is set, also when that changes.
    #[default]
    Default,
    /// None.
    None,
    /// With values of its own.
    Own(Wish),
}

impl Pacing {
    /// Reads what a caller wrote: `"default"`, `"none"`, or an object.
    ///
    /// # Errors
    /// What is wrong with it, under `pacing`.
    pub fn parse(value: Option<&Value>) -> Result<Self, Invalid> {
        match value {
            None | Some(Value::Null) => Ok(Self::Default),
            Some(Value::String(text)) if text == "default" => Ok(Self::Default),
            Some(Value::String(text)) if text == "none" => Ok(Self::None),
            Some(value @ Value::Object(_)) => {
                let wish = Wish::deserialize(value).map_err(|error| {
                    let text = error.to_string();
                    Invalid::new("pacing", text.split(", expected").next().unwrap_or("is not valid").to_owned())
                })?;
                Ok(Self::Own(wish))
            }
            Some(_) => Err(Invalid::new("pacing", "must be \"default\", \"none\" or an object")),
        }
    }

    /// Checks it: only in the sandbox a campaign may be without pacing, or harsher than the server.
    ///
    /// # Errors
    /// The field that is out of bounds.
    pub fn check(&self, server: &Policy, all_in_sandbox: bool) -> Result<(), Invalid> {
        match self {
            Self::Default => Ok(()),
            Self::None if all_in_sandbox => Ok(()),
            Self::None => Err(Invalid::new("pacing", "can be \"none\" only when all accounts are sandbox accounts")),
            Self::Own(wish) => wish.check(server, all_in_sandbox),
        }
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self, server: &Policy) -> Policy {
        match self {
            Self::Default => server.clone(),
            Self::None => Policy::none(),
            Self::Own(wish) => wish.over(server),
        }
    }

    /// As callers read it.
    #[must_use]
    pub fn told(&self) -> Value {
        match self {
            Self::Default => "default".into(),
            Self::None => "none".into(),
            Self::Own(wish) => serde_json::to_value(wish).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pacing_is_read_in_its_three_shapes() {
        let wish = Wish { per_day: Some(3), ..Wish::default() };
        for (value, read) in [
            (None, Pacing::Default),
            (Some(json!("default")), Pacing::Default),
            (Some(json!("none")), Pacing::None),
            (Some(json!({"per_day": 3})), Pacing::Own(wish)),
        ] {
            let pacing = Pacing::parse(value.as_ref()).expect("read");
            assert_eq!(pacing, read);
            let row = serde_json::to_value(&pacing).expect("JSON");
            assert_eq!(serde_json::from_value::<Pacing>(row).expect("read back"), pacing);
        }
        for value in [json!(3), json!("fast"), json!({"per_week": 3}), json!({"per_day": "many"}), json!({"per_day": -1})] {
            assert_eq!(Pacing::parse(Some(&value)).map_err(|invalid| invalid.field), Err("pacing".to_owned()), "{value}");
        }
    }
}
