//! What a message says.

use crate::{Invalid, LinkPreview, Media, Rich};

/// Longest text that WhatsApp clients show whole, in characters (Unicode scalar values).
pub const MAX_TEXT_CHARS: usize = 65_536;

/// The content of a message. Kinds that SanaSend does not read yet are kept by name, never dropped.
#[derive(Clone, PartialEq)]
pub enum Content {
    /// A text.
    Text {
        /// The text itself.
        body: String,
        /// What is shown of the page that it links to.
        preview: Option<Box<LinkPreview>>,
    },
    /// A file, with or without a caption.
    Media(Box<Media>),
    /// A place, cards, a poll, or what is done to another message.
    Rich(Box<Rich>),
    /// An incoming message of a kind that is not read yet (`event`, `order`, ...).
    Other {
        /// WhatsApp's name of the kind, snake_case.
        kind: String,
    },
}

impl Content {
    /// A text to send.
    ///
    /// # Errors
    /// `Invalid` on `content` when it is empty, only white space, longer than [`MAX_TEXT_CHARS`] or holds a NUL character.
    pub fn text(body: impl Into<String>) -> Result<Self, Invalid> {
        let body = body.into();
        let refuse = |message: String| Err(Invalid::new("content", message));
        if body.trim().is_empty() {
            return refuse("must not be empty".into());
        }
        if body.contains('\0') {
            return refuse("must not hold NUL characters".into());
        }
        let chars = body.chars().count();
        if chars > MAX_TEXT_CHARS {
            return refuse(format!("has {chars} characters; at most {MAX_TEXT_CHARS} are possible, split it"));
        }
        Ok(Self::Text { body, preview: None })
    }

    /// The value of `message_type` in the API.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Text { .. } => "text",
            Self::Media(media) => media.kind.as_str(),
            Self::Rich(rich) => rich.kind(),
            Self::Other { kind } => kind,
        }
    }

    /// The words in it, where there are any: the text, the caption of a file, the question of a poll.
    #[must_use]
    pub fn body(&self) -> Option<&str> {
        match self {
            Self::Text { body, .. } => Some(body),
            Self::Media(media) => media.caption.as_deref(),
            Self::Rich(rich) => rich.body(),
            Self::Other { .. } => None,
        }
    }

    /// The text, when it is one.
    #[must_use]
    pub fn text_body(&self) -> Option<&str> {
        match self {
            Self::Text { body, .. } => Some(body),
            _ => None,
        }
    }

    /// What is more than a text or a file, when it is.
    #[must_use]
    pub fn rich(&self) -> Option<&Rich> {
        match self {
            Self::Rich(rich) => Some(rich),
            _ => None,
        }
    }

    /// What is shown of the page that a text links to.
    #[must_use]
    pub fn preview(&self) -> Option<&LinkPreview> {
        match self {
            Self::Text { preview, .. } => preview.as_deref(),
            _ => None,
        }
    }

    /// The file, when it is one.
    #[must_use]
    pub fn media(&self) -> Option<&Media> {
        match self {
            Self::Media(media) => Some(media),
            _ => None,
        }
    }
}

impl From<Rich> for Content {
    fn from(rich: Rich) -> Self {
        Self::Rich(Box::new(rich))
    }
}

/// Texts of people are not for logs: only the kind and the length are shown.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({}, {} bytes)", self.kind(), self.body().map_or(0, str::len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_the_longest_length_passes_and_one_more_character_does_not() {
        assert!(Content::text("é".repeat(MAX_TEXT_CHARS)).is_ok());
        assert!(Content::text("é".repeat(MAX_TEXT_CHARS + 1)).is_err());
    }

    #[test]
    fn empty_and_nul_are_refused() {
        for text in ["", "  \n", "a\0b"] {
            assert!(Content::text(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn debug_hides_the_text() {
        let shown = format!("{:?}", Content::text("secret words").expect("text"));
        assert!(!shown.contains("secret"));
    }
}
