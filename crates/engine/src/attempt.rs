//! The client library's errors in our words. What matters most is whether something may have been written.

use crate::EngineError;
use sanasend_model::retry::AttemptError;
use std::error::Error;
use std::time::Duration;
use whatsapp_rust::pair_code::PairError;
use whatsapp_rust::socket::error::{EncryptSendError, EncryptSendErrorKind};
use whatsapp_rust::{ErrorChainExt, SendError, ServerRejection};

/// A send that came to nothing.
pub(crate) fn sending(error: &SendError) -> AttemptError {
    match error {
        SendError::NotLoggedIn => return AttemptError::Offline,
        SendError::InvalidRequest(reason) => return AttemptError::Impossible { reason: format!("The message can't be sent: {reason}.") },
        _ => {}
    }
    // A write that broke may have arrived, and one whose fate nobody reported too.
    let broke = error.sources().filter_map(|cause| cause.downcast_ref::<EncryptSendError>()).any(|write| {
        matches!(write.kind, EncryptSendErrorKind::Transport | EncryptSendErrorKind::ChannelClosed | EncryptSendErrorKind::Join)
    });
    if broke { AttemptError::Unanswered } else { asking(error) }
}

/// A question that WhatsApp did not answer well.
pub(crate) fn asking(error: &(impl Error + 'static)) -> AttemptError {
    if let Some(rejection) = error.server_rejection() {
        return refusal(&rejection);
    }
    if error.is_transport_unavailable() {
        return AttemptError::Offline;
    }
    AttemptError::Transient { reason: innermost(error) }
}

/// A pairing code that could not be had.
pub(crate) fn pairing(error: &PairError) -> EngineError {
    let Some(rejection) = error.server_rejection() else {
        return if error.is_transport_unavailable() { EngineError::Offline } else { EngineError::Rejected(error.to_string()) };
    };
    match (rejection.code, error.backoff()) {
        (_, Some(wait)) => EngineError::RetryAfter(wait),
        (429, None) => EngineError::RetryAfter(Duration::from_mins(1)),
        (452, None) => EngineError::Rejected("WhatsApp does not offer linking by code for this account; use the QR code".into()),
        // WhatsApp answers so both for numbers it does not take and for too many codes for one number.
        (400, None) => {
            EngineError::Rejected("WhatsApp refused a code for this number; it may be wrong, or too many codes were asked for".into())
        }
        (code, None) => EngineError::Rejected(format!("WhatsApp refused a code for this number (code {code})")),
    }
}

fn refusal(rejection: &ServerRejection<'_>) -> AttemptError {
    let wait = rejection.backoff.map(|secs| Duration::from_secs(secs.into()));
    if rejection.code == 429 || wait.is_some() {
        return AttemptError::Limited { wait };
    }
    AttemptError::Transient { reason: format!("WhatsApp answered with code {} {}", rejection.code, rejection.text) }
}

/// The same of an error of any type.
pub(crate) fn cause(error: &anyhow::Error) -> String {
    error.root_cause().to_string()
}

/// The cause at the bottom, which says most.
fn innermost(error: &(impl Error + 'static)) -> String {
    error.sources().last().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use whatsapp_rust::{ClientError, IqError};

    fn server(code: u16, backoff: Option<u32>) -> IqError {
        IqError::ServerError { code, text: "x".into(), error_type: None, backoff }
    }

    fn written(kind: &EncryptSendErrorKind) -> SendError {
        let source = anyhow::anyhow!("broken pipe");
        let error = match kind {
            EncryptSendErrorKind::Transport => EncryptSendError::transport(source),
            _ => EncryptSendError::crypto(source),
        };
        SendError::Client(ClientError::EncryptSend(error))
    }

    #[test]
    fn what_may_have_been_written_is_never_called_offline() {
        assert_eq!(sending(&written(&EncryptSendErrorKind::Transport)), AttemptError::Unanswered);
        assert!(matches!(sending(&written(&EncryptSendErrorKind::Crypto)), AttemptError::Transient { .. }));
        assert_eq!(sending(&SendError::Client(ClientError::NotConnected)), AttemptError::Offline);
        assert_eq!(sending(&SendError::NotLoggedIn), AttemptError::Offline);
        assert_eq!(sending(&SendError::Iq(IqError::NotConnected)), AttemptError::Offline);
        assert!(matches!(sending(&SendError::InvalidRequest("x".into())), AttemptError::Impossible { .. }));
    }

    #[test]
    fn patience_is_asked_for_in_whatsapps_own_measure() {
        let wait = Some(Duration::from_secs(7));
        assert_eq!(sending(&SendError::Iq(server(503, Some(7)))), AttemptError::Limited { wait });
        assert_eq!(asking(&server(429, None)), AttemptError::Limited { wait: None });
        assert!(matches!(asking(&server(500, None)), AttemptError::Transient { .. }));
        assert_eq!(pairing(&PairError::RequestFailed(server(400, Some(7)))), EngineError::RetryAfter(Duration::from_secs(7)));
        assert!(matches!(pairing(&PairError::RequestFailed(server(400, None))), EngineError::Rejected(_)));
    }
}
