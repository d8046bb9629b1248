//! What a user may be called, and which passwords and limits are accepted.

use crate::Invalid;

/// Messages per day when an admin sets none.
pub const DEFAULT_MESSAGES_PER_DAY: i64 = 1000;
/// Messages per minute when an admin sets none.
pub const DEFAULT_MESSAGES_PER_MINUTE: i64 = 60;
/// Linked accounts when an admin sets none.
pub const DEFAULT_MAX_SESSIONS: i64 = 1;
/// Shortest password.
pub const MIN_PASSWORD_CHARS: usize = 10;
/// Longest password, so that hashing stays bounded.
pub const MAX_PASSWORD_CHARS: usize = 256;

/// A login name: 3 to 64 of letters, digits, `.`, `_`, `-`, `@`; compared without case, so stored in lower case.
///
/// # Errors
/// `Invalid` on `username`.
pub fn username(text: &str) -> Result<String, Invalid> {
    let name = text.trim().to_lowercase();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if !(3..=64).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(Invalid::new("username", "must have 3 to 64 of the characters a-z, 0-9, '.', '_', '-', '@'"));
    }
    Ok(name)
}

/// An e-mail address, checked for its shape only: only a message to it could prove more.
///
/// # Errors
/// `Invalid` on `email`.
pub fn email(text: &str) -> Result<String, Invalid> {
    let refuse = || Invalid::new("email", "must be an e-mail address like anna@example.com");
    let address = text.trim();
    let (local, domain) = address.rsplit_once('@').ok_or_else(refuse)?;
    let printable = |c: char| !c.is_whitespace() && !c.is_control();
    let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let sound =
        !local.is_empty() && local.chars().all(|c| printable(c) && c != '@') && domain.contains('.') && domain.split('.').all(label);
    if sound && address.len() <= 254 { Ok(address.to_owned()) } else { Err(refuse()) }
}

/// Checks a new password against the policy: long enough, not one repeated character, not the user's own name,
/// not one of the well-worn ones.
///
/// # Errors
/// `Invalid` on `password`.
pub fn password(text: &str, username: &str) -> Result<(), Invalid> {
    const WORN: &[&str] =
        &["password", "passw0rd", "1234567890", "qwertyuiop", "letmein", "iloveyou", "administrator", "changeme", "welcome"];
    let refuse = |message: &str| Err(Invalid::new("password", message));
    let chars = text.chars().count();
    if chars < MIN_PASSWORD_CHARS {
        return refuse("must have at least 10 characters");
    }
    if chars > MAX_PASSWORD_CHARS {
        return refuse("must have at most 256 characters");
    }
    let lower = text.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 {
        return refuse("must hold at least 5 different characters");
    }
    if !username.is_empty() && lower.contains(&username.to_lowercase()) {
        return refuse("must not contain the username");
    }
    if WORN.iter().any(|worn| lower.starts_with(worn) && lower.len() < worn.len() + 5) {
        return refuse("is one of the most guessed passwords; choose another");
    }
    Ok(())
}

/// A limit within `min..=max`.
///
/// # Errors
/// `Invalid` on `field`.
pub fn limit(field: &str, value: i64, min: i64, max: i64) -> Result<i64, Invalid> {
    if (min..=max).contains(&value) { Ok(value) } else { Err(Invalid::new(field, format!("must be from {min} to {max}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Anna", Some("anna"))]
    #[case(" a.b-c_d@e ", Some("a.b-c_d@e"))]
    #[case("ab", None)]
    #[case("anna smith", None)]
    #[case("anna/..", None)]
    fn usernames(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(username(text).ok().as_deref(), expected);
    }

    #[rstest]
    #[case("anna@example.com", true)]
    #[case("a+b@x.example.com", true)]
    #[case("anna@localhost", false)]
    #[case("anna@", false)]
    #[case("an na@example.com", false)]
    #[case("anna@example..com", false)]
    fn emails(#[case] text: &str, #[case] sound: bool) {
        assert_eq!(email(text).is_ok(), sound);
    }

    #[rstest]
    #[case("correct horse battery", true)]
    #[case("short", false)]
    #[case("aaaaaaaaaaaaaaaa", false)]
    #[case("anna-anna-12345", false)]
    #[case("Password123", false)]
    fn passwords(#[case] text: &str, #[case] sound: bool) {
        assert_eq!(password(text, "anna").is_ok(), sound);
    }
}
