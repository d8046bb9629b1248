//! What is wrong with an input, in the words of the person who sent it.
//!
//! One type for the whole house, so that every refusal can name the field and say what to change.

use std::collections::BTreeMap;

/// One refused field: its name as the caller wrote it and a sentence that says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// Name of the field in the request, dotted for nested ones.
    pub field: String,
    /// A sentence for the caller.
    pub message: String,
}

impl Invalid {
    /// A refusal of `field` with a sentence that says what to change.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Field name -> messages, the shape of `errors` in the API's error envelope.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct FieldErrors(pub BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// Adds one refusal.
    pub fn push(&mut self, invalid: Invalid) {
        self.0.entry(invalid.field).or_default().push(invalid.message);
    }

    /// Keeps the value of `result`, or notes why there is none.
    pub fn take<T>(&mut self, result: Result<T, Invalid>) -> Option<T> {
        result.map_err(|invalid| self.push(invalid)).ok()
    }

    /// `Ok(())` when nothing was refused.
    ///
    /// # Errors
    /// The collected refusals, when there are any.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Invalid> for FieldErrors {
    fn from(invalid: Invalid) -> Self {
        let mut errors = Self::default();
        errors.push(invalid);
        errors
    }
}
