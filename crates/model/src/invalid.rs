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

    /// The value of the last field to be read, when neither it nor another was refused.
    ///
    /// # Errors
    /// The collected refusals, that of the last field among them.
    pub fn last<T>(mut self, result: Result<T, Invalid>) -> Result<T, Self> {
        let value = self.take(result);
        value.filter(|_| self.0.is_empty()).ok_or(self)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_field_counts_when_all_are_sound() {
        let wrong = |field: &str| Invalid::new(field, "is wrong");
        assert_eq!(FieldErrors::default().last(Ok(7)), Ok(7));
        assert_eq!(FieldErrors::from(wrong("a")).last(Ok(7)), Err(wrong("a").into()));
        assert_eq!(FieldErrors::default().last(Err::<(), _>(wrong("b"))), Err(wrong("b").into()));
        let both = FieldErrors::from(wrong("a")).last(Err::<(), _>(wrong("b")));
        assert_eq!(both.map_err(|errors| errors.0.into_keys().collect::<Vec<_>>()), Err(vec!["a".into(), "b".into()]));
    }
}
