//! A person's passkey answer, as browsers write it, for the client library.

use crate::EngineError;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use whatsapp_rust::passkey::Assertion;

/// Reads a `PublicKeyCredential` in its JSON form (`credential.toJSON()`).
///
/// # Errors
/// `Rejected` with what is missing.
pub(crate) fn assertion(credential: &Value) -> Result<Assertion, EngineError> {
    let missing = |what: &str| EngineError::Rejected(format!("the passkey answer has no {what}"));
    let raw_id = credential.get("rawId").or_else(|| credential.get("id")).and_then(Value::as_str).ok_or_else(|| missing("rawId"))?;
    for part in ["clientDataJSON", "authenticatorData", "signature"] {
        let there = credential.get("response").and_then(|response| response.get(part)).is_some_and(Value::is_string);
        if !there {
            return Err(missing(&format!("response.{part}")));
        }
    }
    let credential_id = BASE64_URL_SAFE_NO_PAD.decode(raw_id.trim_end_matches('=')).map_err(|_| missing("rawId in base64url"))?;
    Ok(Assertion { assertion_json: credential.to_string().into_bytes(), credential_id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_of_a_browser_is_taken_and_half_of_one_is_not() {
        let whole = json!({"id": "AQID", "rawId": "AQID", "type": "public-key",
            "response": {"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA", "userHandle": null}});
        assert_eq!(assertion(&whole).expect("taken").credential_id, [1, 2, 3]);
        for half in [json!({}), json!({"rawId": "AQID"}), json!({"rawId": "!!", "response": whole["response"]}), json!("AQID")] {
            assert!(assertion(&half).is_err(), "{half}");
        }
    }
}
