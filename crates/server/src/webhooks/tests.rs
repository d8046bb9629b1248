//! What is signed and read, against the convention's own vectors and its own crate.

use super::deliver::retry_after;
use super::secret;
use super::sign::sign;
use crate::clock::SystemClock;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use sanasend_model::Timestamp;
use std::time::Duration;

#[test]
fn the_vector_of_the_convention_is_met() {
    let secret = secret::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
    let signature = sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn each_secret_of_a_rotation_verifies() {
    let secrets = [secret::make(&SystemClock), secret::make(&SystemClock)];
    let now = sanasend_model::Clock::now(&SystemClock).as_secs();
    let signature = sign(&secrets, "id", now, b"{}");
    let mut headers = HeaderMap::new();
    for (name, value) in [("webhook-id", "id"), ("webhook-timestamp", &now.to_string()), ("webhook-signature", &signature)] {
        headers.insert(name, HeaderValue::from_str(value).expect("a value"));
    }
    for own in &secrets {
        let verifier = standardwebhooks::Webhook::new(&secret::show(own)).expect("a secret");
        assert!(verifier.verify(b"{}", &headers).is_ok());
        assert!(verifier.verify(b"{ }", &headers).is_err());
    }
}

#[test]
fn secrets_are_read_back_as_shown_and_others_refused() {
    let made = secret::make(&SystemClock);
    assert_eq!(secret::read(&secret::show(&made)), Some(made));
    for wrong in ["", "whsec_", "whsec_!!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", &format!("whsec_{}", "A".repeat(100))] {
        assert_eq!(secret::read(wrong), None, "{wrong}");
    }
    assert_eq!(format!("{:?}", secret::make(&SystemClock)), "[hidden]");
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = Timestamp::parse("2026-11-21T12:00:00Z").expect("a time");
    for (text, wait) in [
        ("120", Some(120)),
        ("Sat, 21 Nov 2026 12:01:00 GMT", Some(60)),
        ("Sat, 21 Nov 2026 11:00:00 GMT", Some(0)),
        ("soon", None),
        ("-1", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        assert_eq!(retry_after(&headers, now), wait.map(Duration::from_secs), "{text}");
    }
}
