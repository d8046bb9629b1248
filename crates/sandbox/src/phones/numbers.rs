//! Numbers for phones that were asked for without one.
//!
//! Apart because the numbers must satisfy others: products check them with
//! libphonenumber, and they should belong to nobody. They are taken from the block
//! that North America sets aside for fiction (555-0100 to 555-0199), in the order of
//! the area codes below, and only when that is used up from the rest of 555.

/// Area codes in use, so that libphonenumber calls the numbers valid.
const AREA_CODES: [u16; 24] =
    [202, 303, 212, 213, 214, 215, 216, 217, 301, 302, 304, 305, 312, 313, 314, 315, 402, 404, 405, 406, 503, 504, 505, 512];

const FICTION_PER_AREA: usize = 100;
const REST_PER_AREA: usize = 9_000;

/// The `n`th number as digits of E.164 without the plus; `None` when there are no
/// more (after 218,400).
pub(super) fn nth(n: usize) -> Option<String> {
    let fiction = AREA_CODES.len() * FICTION_PER_AREA;
    let (area, line) = if n < fiction {
        (n / FICTION_PER_AREA, 100 + n % FICTION_PER_AREA)
    } else {
        let n = n - fiction;
        (n / REST_PER_AREA, 1_000 + n % REST_PER_AREA)
    };
    let area = AREA_CODES.get(area)?;
    Some(format!("1{area}555{line:04}"))
}

/// Reads a phone number as people write it: `+`, then digits, with spaces, dots,
/// dashes and parentheses between them. Answers the digits.
pub(super) fn parse(text: &str) -> Option<String> {
    let mut digits = String::with_capacity(text.len());
    for c in text.trim().trim_start_matches('+').chars() {
        match c {
            '0'..='9' => digits.push(c),
            ' ' | '-' | '.' | '(' | ')' => {}
            _ => return None,
        }
    }
    let sensible = (7..=15).contains(&digits.len()) && !digits.starts_with('0');
    sensible.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn generated_numbers_are_valid_and_different() {
        let mut seen = HashSet::new();
        let last = AREA_CODES.len() * (FICTION_PER_AREA + REST_PER_AREA) - 1;
        for n in (0..2_500).chain((2_500..last).step_by(997)).chain([last]) {
            let digits = nth(n).unwrap();
            let parsed = phonenumber::parse(None, format!("+{digits}")).unwrap();
            assert!(phonenumber::is_valid(&parsed), "+{digits}");
            assert!(seen.insert(digits));
        }
        assert_eq!(nth(0).as_deref(), Some("12025550100"));
        assert_eq!(nth(last + 1), None);
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let cases = [
            ("+1 (202) 555-0100", Some("12025550100")),
            ("12025550100", Some("12025550100")),
            ("+55 11 91234.5678", Some("5511912345678")),
            ("+0123456789", None),
            ("123456", None),
            ("+12025550100 ext 4", None),
            ("", None),
        ];
        for (text, digits) in cases {
            assert_eq!(parse(text).as_deref(), digits, "{text}");
        }
    }
}
