//! Access and refresh tokens: JWTs signed with HMAC-SHA-256 under the server's own secret.
//!
//! Both ends are ours, so there is exactly one header that a token can have, and it is compared byte by byte
//! instead of being read: `alg: none`, another algorithm, a `kid` or an embedded key have no code to act on.
//! (A JWT library would read the header, needs a process-wide crypto provider without `rsa`, and takes the
//! time from the machine instead of our `Clock`.)

use crate::secrets::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sanasend_model::{Clock, LoginId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// The only header: `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
const ISSUER: &str = "sanasend";
/// How far another clock may be ahead of ours.
const SKEW_SECONDS: i64 = 60;
/// Longer texts are not looked at.
const LONGEST_TOKEN: usize = 2048;

/// What a token is for; told in its audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Sent with requests.
    #[serde(rename = "sanasend:access")]
    Access,
    /// Traded once for new tokens.
    #[serde(rename = "sanasend:refresh")]
    Refresh,
}

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// Who made it.
    pub iss: String,
    /// What it is for.
    pub aud: Purpose,
    /// Whose it is.
    pub sub: UserId,
    /// The login that it belongs to.
    pub sid: LoginId,
    /// Makes every token different.
    pub jti: String,
    /// When it was made, in Unix seconds.
    pub iat: i64,
    /// When it ends, in Unix seconds.
    pub exp: i64,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Not one of ours, changed, for another purpose, or from the future.
    Invalid,
    /// Ours, and over.
    Expired,
}

/// A new pair of tokens.
#[derive(Clone)]
pub struct Pair {
    /// Sent with requests.
    pub access: String,
    /// When the access token ends.
    pub access_expires_at: Timestamp,
    /// Traded once for a new pair.
    pub refresh: String,
    /// When the refresh token ends.
    pub refresh_expires_at: Timestamp,
    /// What is stored of the refresh token.
    pub refresh_digest: [u8; 32],
}

/// Makes and reads tokens.
pub struct Tokens {
    key: Secret,
    access_for: Duration,
    refresh_for: Duration,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("access_for", &self.access_for).field("refresh_for", &self.refresh_for).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Signs under `key`; access tokens last `access_for`, refresh tokens `refresh_for`.
    #[must_use]
    pub fn new(key: Secret, access_for: Duration, refresh_for: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { key, access_for, refresh_for, clock }
    }

    /// A new pair for a login.
    #[must_use]
    pub fn issue(&self, user: UserId, login: LoginId) -> Pair {
        let (access, access_expires_at) = self.make(Purpose::Access, user, login, self.access_for);
        let (refresh, refresh_expires_at) = self.make(Purpose::Refresh, user, login, self.refresh_for);
        let refresh_digest = digest(&refresh);
        Pair { access, access_expires_at, refresh, refresh_expires_at, refresh_digest }
    }

    /// Reads a token that was sent for `purpose`.
    ///
    /// # Errors
    /// [`TokenRefusal`].
    pub fn read(&self, token: &str, purpose: Purpose) -> Result<Claims, TokenRefusal> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenRefusal::Invalid);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenRefusal::Invalid)?;
        let payload = signed.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('.')).ok_or(TokenRefusal::Invalid)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenRefusal::Invalid)?;
        let mac = self.mac(signed).ok_or(TokenRefusal::Invalid)?;
        mac.verify_slice(&signature).map_err(|_| TokenRefusal::Invalid)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenRefusal::Invalid)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| TokenRefusal::Invalid)?;
        let now = self.clock.now().as_secs();
        if claims.iss != ISSUER || claims.aud != purpose || claims.iat > now + SKEW_SECONDS {
            return Err(TokenRefusal::Invalid);
        }
        if claims.exp <= now { Err(TokenRefusal::Expired) } else { Ok(claims) }
    }

    fn make(&self, aud: Purpose, sub: UserId, sid: LoginId, lasts: Duration) -> (String, Timestamp) {
        let now = self.clock.now();
        let until = Timestamp::from_secs(now.plus(lasts).as_secs());
        let mut random = [0_u8; 16];
        self.clock.fill(&mut random);
        let claims =
            Claims { iss: ISSUER.into(), aud, sub, sid, jti: URL_SAFE_NO_PAD.encode(random), iat: now.as_secs(), exp: until.as_secs() };
        (self.sign(&claims), until)
    }

    fn sign(&self, claims: &Claims) -> String {
        let payload = serde_json::to_vec(claims).unwrap_or_default();
        let signed = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature = self.mac(&signed).map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn mac(&self, signed: &str) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of any length, so there always is one.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).ok()?;
        mac.update(signed.as_bytes());
        Some(mac)
    }
}

/// What is stored of a refresh token.
#[must_use]
pub fn digest(refresh: &str) -> [u8; 32] {
    Sha256::digest(refresh.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[derive(Debug)]
    struct Still(std::sync::atomic::AtomicI64);

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(std::sync::atomic::Ordering::Relaxed))
        }
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    const NOW: i64 = 1_800_000_000;

    fn tokens() -> (Tokens, Arc<Still>) {
        let clock = Arc::new(Still((NOW * 1000).into()));
        (Tokens::new(Secret([1; 32]), Duration::from_mins(15), Duration::from_hours(24), clock.clone()), clock)
    }

    fn encode(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    #[test]
    fn the_header_is_the_one_that_is_written_down() {
        assert_eq!(HEADER, encode("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
    }

    #[test]
    fn a_token_is_good_for_its_purpose_and_its_time() {
        let (tokens, clock) = tokens();
        let pair = tokens.issue(UserId(Uuid::nil()), LoginId(Uuid::max()));
        let claims = tokens.read(&pair.access, Purpose::Access).expect("access");
        assert_eq!((claims.sub, claims.sid), (UserId(Uuid::nil()), LoginId(Uuid::max())));
        assert_eq!(tokens.read(&pair.access, Purpose::Refresh).err(), Some(TokenRefusal::Invalid));
        assert_eq!(tokens.read(&pair.refresh, Purpose::Access).err(), Some(TokenRefusal::Invalid));
        clock.0.store((NOW + 900) * 1000, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(tokens.read(&pair.access, Purpose::Access).err(), Some(TokenRefusal::Expired));
        clock.0.store((NOW - 61) * 1000, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(tokens.read(&pair.access, Purpose::Access).err(), Some(TokenRefusal::Invalid), "from the future");
    }

    #[test]
    fn forged_tokens_are_refused() {
        let (tokens, _) = tokens();
        let good = tokens.issue(UserId(Uuid::nil()), LoginId(Uuid::nil())).access;
        let parts: Vec<&str> = good.split('.').collect();
        let [header, payload, signature] = parts[..] else { panic!("three parts") };
        let resigned = |header: &str, payload: &str| {
            let signed = format!("{header}.{payload}");
            let signature = tokens.mac(&signed).expect("mac").finalize().into_bytes();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        };
        let other_key = Tokens { key: Secret([2; 32]), ..self::tokens().0 };
        let table = [
            ("none", format!("{}.{payload}.", encode("{\"alg\":\"none\"}"))),
            ("none with signature", format!("{}.{payload}.{signature}", encode("{\"alg\":\"none\",\"typ\":\"JWT\"}"))),
            ("no signature", format!("{header}.{payload}.")),
            ("two parts", format!("{header}.{payload}")),
            ("four parts", format!("{good}.x")),
            ("other algorithm", resigned(&encode("{\"alg\":\"HS512\",\"typ\":\"JWT\"}"), payload)),
            ("confusion", resigned(&encode("{\"alg\":\"RS256\",\"typ\":\"JWT\"}"), payload)),
            ("kid", resigned(&encode("{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"../../dev/null\"}"), payload)),
            ("jwk", resigned(&encode("{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AQ\"}}"), payload)),
            ("other key", other_key.issue(UserId(Uuid::nil()), LoginId(Uuid::nil())).access),
            ("not JSON", resigned(header, &encode("hello"))),
            ("no claims", resigned(header, &encode("{}"))),
            ("wrong issuer", resigned(header, &encode(&claims_text("other", "sanasend:access", NOW, NOW + 60)))),
            ("wrong audience", resigned(header, &encode(&claims_text("sanasend", "other", NOW, NOW + 60)))),
            ("changed payload", format!("{header}.{}.{signature}", encode("{}"))),
            ("too long", format!("{header}.{}.{signature}", "A".repeat(3000))),
        ];
        for (name, token) in table {
            assert_eq!(tokens.read(&token, Purpose::Access).err(), Some(TokenRefusal::Invalid), "{name}");
        }
        let over = resigned(header, &encode(&claims_text("sanasend", "sanasend:access", NOW - 60, NOW)));
        assert_eq!(tokens.read(&over, Purpose::Access).err(), Some(TokenRefusal::Expired));
    }

    fn claims_text(iss: &str, aud: &str, iat: i64, exp: i64) -> String {
        let nil = Uuid::nil();
        format!("{{\"iss\":\"{iss}\",\"aud\":\"{aud}\",\"sub\":\"{nil}\",\"sid\":\"{nil}\",\"jti\":\"x\",\"iat\":{iat},\"exp\":{exp}}}")
    }
}
