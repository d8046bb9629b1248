//! Words as people mean them: compared whatever their case, accents, punctuation and spacing.
//!
//! One rule for two things that must not disagree with what people type on a phone: the words by which they opt out, and
//! the names by which contacts are looked for.

/// A text in small letters, without accents, its words with one space between.
#[must_use]
pub fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut gap = false;
    for letter in text.chars().flat_map(char::to_lowercase) {
        if is_mark(letter) {
            continue;
        }
        if !letter.is_alphanumeric() {
            gap = true;
            continue;
        }
        if gap && !folded.is_empty() {
            folded.push(' ');
        }
        gap = false;
        match plain(letter) {
            Ok(letter) => folded.push(letter),
            Err(letters) => folded.push_str(letters),
        }
    }
    folded
}

/// Marks that are written above or below a letter, and signs that nobody sees.
const fn is_mark(letter: char) -> bool {
    // Latin accents, Arabic vowel signs and the stretched line, joiners, the byte order mark, variants of pictures.
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

/// The letter without what is written on it.
const fn plain(letter: char) -> Result<char, &'static str> {
    Ok(match letter {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => 'i',
        'ł' | 'ĺ' | 'ļ' | 'ľ' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => 'o',
        'ŕ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => 's',
        'ţ' | 'ť' | 'ț' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        'أ' | 'إ' | 'آ' => 'ا',
        'ى' => 'ي',
        'ة' => 'ه',
        'ё' => 'е',
        'ß' => return Err("ss"),
        'æ' => return Err("ae"),
        'œ' => return Err("oe"),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("  STOP!! ", "stop")]
    #[case("Arrête", "arrete")]
    #[case("Arre\u{302}te", "arrete")]
    #[case("İPTAL", "iptal")]
    #[case("ABONELİKTEN ÇIK", "abonelikten cik")]
    #[case("Straße", "strasse")]
    #[case("إِلْغاء", "الغاء")]
    #[case("Jean-Luc  O'Neill", "jean luc o neill")]
    #[case("🛑 stop 🛑\u{fe0f}", "stop")]
    #[case("…", "")]
    fn texts_are_what_they_mean(#[case] text: &str, #[case] meant: &str) {
        assert_eq!(folded(text), meant);
    }

    proptest! {
        #[test]
        fn what_is_folded_stays_so(text in "\\PC{0,40}") {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }
    }
}
