//! Why a request did not go out, or brought nothing back.
//!
//! The sentences go to callers: they hold no address of ours and nothing of the URL.

use std::error::Error;

/// A URL, or the host that it leads to, that is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EgressRefusal {
    /// No URL at all.
    #[error("must be a full URL like https://example.com/path")]
    NotAUrl,
    /// Longer than anybody needs.
    #[error("must be a URL of at most 2048 characters")]
    TooLong,
    /// Neither HTTP nor HTTPS.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// A name or password in it.
    #[error("must hold no user name or password")]
    Userinfo,
    /// Port 0, or one where other protocols than HTTP are spoken.
    #[error("must not name a port that is kept for another protocol")]
    Port,
    /// The address, or each one that the name leads to, is not public and not allowed by the operator.
    #[error("must lead to a public address; others must be allowed by the operator (setting egress.allow)")]
    NotPublic,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// Not asked at all.
    #[error("the URL {0}")]
    Refused(#[from] EgressRefusal),
    /// No whole answer in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection, or none with a certificate that holds.
    #[error("no connection: {0}")]
    Connect(String),
    /// It broke off, or was no HTTP.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// More than was asked for.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
    /// Led on more often than is followed, or to nowhere.
    #[error("too many redirects, or one that leads nowhere")]
    Redirects,
}

impl EgressError {
    /// What the client's error means. Its own text is not used, since it holds the URL.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        let mut cause: &(dyn Error + 'static) = error;
        loop {
            if let Some(refusal) = cause.downcast_ref::<EgressRefusal>() {
                return Self::Refused(*refusal);
            }
            let Some(deeper) = cause.source() else { break };
            cause = deeper;
        }
        let said = if cause.is::<reqwest::Error>() { "the request could not be made".to_owned() } else { cause.to_string() };
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_connect() {
            Self::Connect(said)
        } else {
            Self::Broken(said)
        }
    }
}
