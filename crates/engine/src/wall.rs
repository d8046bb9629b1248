//! The proof, made at every start, that a forged server certificate is refused.

/// Shows the client library forged certificate chains and makes sure that it refuses them.
///
/// # Errors
/// A sentence when one was accepted: then verification was compiled out and nothing may be started.
pub fn prove_wall() -> Result<(), String> {
    Err("not proven".into())
}
