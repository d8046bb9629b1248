//! How templates are read and filled, as tables and properties.

use super::*;
use proptest::prelude::*;

fn values(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn filled(source: &str, given: &[(&str, &str)]) -> String {
    Template::parse(source).expect("a template").render(&values(given)).expect("all values")
}

#[test]
fn values_defaults_and_sections_are_written() {
    for (source, given, text) in [
        ("Hi {{name}}!", &[("name", "Ada")][..], "Hi Ada!"),
        ("Hi {{ name }}!", &[("name", "Ada")], "Hi Ada!"),
        ("Hi {{name|there}}!", &[], "Hi there!"),
        ("Hi {{name|there}}!", &[("name", " ")], "Hi there!"),
        ("Hi{{name|}}!", &[], "Hi!"),
        ("{{1}} and {{order.id}}", &[("1", "a"), ("order.id", "b")], "a and b"),
        ("a{{#vip}} gold{{/vip}}{{^vip}} plain{{/vip}}", &[("vip", "yes")], "a gold"),
        ("a{{#vip}} gold{{/vip}}{{^vip}} plain{{/vip}}", &[], "a plain"),
        ("{{#a}}{{#b}}both{{/b}}{{^b}}{{a}}{{/b}}{{/a}}", &[("a", "1")], "1"),
        ("one\n{{#x}}\ntwo\n{{/x}}\nthree", &[("x", "1")], "one\ntwo\nthree"),
        ("one\n  {{#x}}  \ntwo\n{{/x}}\nthree", &[], "one\nthree"),
        ("write \\{{name}}", &[], "write {{name}}"),
        ("no } tag { here }}", &[], "no } tag { here }}"),
        ("a value is {{v}}", &[("v", "{{secret}} {{#x}}")], "a value is {{secret}} {{#x}}"),
        ("{{amount:money|free}}", &[], "free"),
        ("{{name:upper}}", &[("name", "straße")], "STRASSE"),
    ] {
        assert_eq!(filled(source, given), text, "{source}");
    }
}

#[test]
fn what_is_missing_is_told_by_name_and_only_where_it_is_needed() {
    let template = Template::parse("{{b}} {{a}} {{c|x}} {{#d}}{{d}} {{e}}{{/d}} {{b}}").expect("a template");
    assert_eq!(template.render(&values(&[])), Err(vec!["a".into(), "b".into()]));
    assert_eq!(template.render(&values(&[("a", "1"), ("b", ""), ("d", "1")])), Err(vec!["b".into(), "e".into()]));
    let told: Vec<(&str, bool)> = template.variables().iter().map(|variable| (variable.name.as_str(), variable.required)).collect();
    assert_eq!(told, [("b", true), ("a", true), ("c", false), ("d", false), ("e", true)]);
}

#[test]
fn a_mistake_is_told_with_its_place() {
    for (source, place, words) in [
        ("Hi {{name", "line 1, column 4", "is not closed"),
        ("Hi\nö{{}}", "line 2, column 2", "a name of 1 to 64"),
        ("{{a b}}", "line 1, column 1", "a name of 1 to 64"),
        ("{{a:euro}}", "line 1, column 1", "number, money, date"),
        ("\n{{#a}} x", "line 2, column 1", "the section a is not closed"),
        ("x{{/a}}", "line 1, column 2", "was not opened"),
        ("{{#a}}{{#b}}{{/a}}{{/b}}", "line 1, column 13", "write {{/b}} first"),
        ("{{a|{{b}}}}", "line 1, column 1", "a plain text"),
    ] {
        let refused = Template::parse(source).expect_err(source);
        assert_eq!(refused.field, "content");
        assert!(refused.message.starts_with(place), "{source}: {}", refused.message);
        assert!(refused.message.contains(words), "{source}: {}", refused.message);
    }
}

#[test]
fn limits_hold() {
    let many = |count: usize| (0..count).map(|n| format!("{{{{v{n}|}}}}")).collect::<Vec<_>>().concat();
    assert!(Template::parse(&many(MOST_VARIABLES)).is_ok());
    assert!(Template::parse(&many(MOST_VARIABLES + 1)).is_err());
    let deep = |depth: usize| "{{#a}}".repeat(depth) + &"{{/a}}".repeat(depth);
    assert!(Template::parse(&deep(DEEPEST)).is_ok());
    assert!(Template::parse(&deep(DEEPEST + 1)).is_err());
    assert!(Template::parse(&"x".repeat(MAX_TEXT_CHARS + 1)).is_err());
    let twice = Template::parse("{{a}}{{a}}").expect("a template");
    let long = values(&[("a", &"x".repeat(MAX_TEXT_CHARS / 2 + 1))]);
    assert_eq!(twice.fill(&long, Language::default()).expect_err("too long").too_long, Some(MAX_TEXT_CHARS + 2));
}

#[test]
fn numbers_and_dates_are_written_as_a_language_does() {
    for (format, language, value, text) in [
        (Format::Money, "en", "1234.5", "1,234.50"),
        (Format::Money, "de-AT", "1234567.005", "1.234.567,01"),
        (Format::Money, "ru", "1234", "1\u{a0}234,00"),
        (Format::Money, "en", "999.995", "1,000.00"),
        (Format::Money, "en", "-0.001", "0.00"),
        (Format::Money, "en", "-12.344", "-12.34"),
        (Format::Money, "en", "007", "7.00"),
        (Format::Number, "en", "1234567.25", "1,234,567.25"),
        (Format::Number, "en", "100", "100"),
        (Format::Date, "en", "2026-11-07", "7 Nov 2026"),
        (Format::Date, "de", "2026-11-07", "07.11.2026"),
        (Format::Date, "fr", "2026-11-07T23:30:00+01:00", "07/11/2026"),
        (Format::Date, "sv", "2026-11-07", "2026-11-07"),
        (Format::Time, "en", "2026-11-07T09:05:59+05:30", "09:05"),
        (Format::DateTime, "nl", "2026-11-07 09:05", "07-11-2026, 09:05"),
    ] {
        assert_eq!(format.write(value, Language::of(language)), Ok(text.to_owned()), "{format:?} {language} {value}");
    }
    for (format, value) in [
        (Format::Money, "12 EUR"),
        (Format::Money, "1,5"),
        (Format::Money, "1."),
        (Format::Number, "1e9"),
        (Format::Number, "٣"),
        (Format::Date, "2026-02-29"),
        (Format::Time, "2026-02-28"),
    ] {
        assert!(format.write(value, Language::default()).is_err(), "{format:?} {value}");
    }
    let unfit = Template::parse("{{a:money}}").expect("a template").fill(&values(&[("a", "much")]), Language::default());
    assert_eq!(unfit.expect_err("no number").unfit[0].field, "a");
}

proptest! {
    #[test]
    fn any_source_is_read_or_refused_and_what_is_read_can_be_filled(source in "[a{}#^/|:\\\\ \n]{0,40}", value in ".{1,20}") {
        if let Ok(template) = Template::parse(&source) {
            let given = template.variables().iter().map(|variable| (variable.name.clone(), value.clone())).collect();
            let filled = template.render(&given);
            prop_assert!(filled.is_ok() || value.trim().is_empty());
        }
    }

    #[test]
    fn a_value_is_written_as_it_is(value in "\\PC{1,40}") {
        prop_assume!(!value.trim().is_empty());
        prop_assert_eq!(filled("<{{v}}>", &[("v", &value)]), format!("<{value}>"));
    }

    #[test]
    fn a_text_without_tags_is_itself(text in "[^{]{0,60}") {
        prop_assert_eq!(filled(&text, &[]), text);
    }
}
