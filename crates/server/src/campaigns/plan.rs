//! From a list to recipients: who gets a message, and who is skipped and why.
//!
//! It goes through the list once and keeps of each recipient eight bytes, so that a hundred thousand cost no memory to speak
//! of. The same planner serves the campaign and its dry run.

use super::content::{Form, MOST_VALUES};
use sanasend_model::campaign::Skip;
use sanasend_model::{Jid, Recipient};
use sanasend_store::NewRecipient;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// Longest text that is kept of a recipient that can't be one.
const LONGEST_KEPT: usize = 64;
/// Skipped recipients that a dry run tells one by one.
const MOST_SAMPLES: usize = 100;

/// A line of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// Whom, as it was written.
    pub recipient: String,
    /// Values of variables.
    pub variables: Option<Value>,
}

/// A recipient that is skipped, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its place in the list, from 1.
    pub ordinal: u64,
    /// As it was written.
    pub recipient: String,
    /// Why.
    pub reason: Skip,
    /// The same for people.
    pub detail: Option<String>,
}

/// Who gets no message.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many, by reason.
    pub skipped: BTreeMap<Skip, u64>,
    /// The first of them.
    pub samples: Vec<Sample>,
}

impl Tally {
    /// Counts somebody.
    pub fn note(&mut self, ordinal: u64, recipient: &str, reason: Skip, detail: Option<String>) {
        *self.skipped.entry(reason).or_default() += 1;
        if self.samples.len() < MOST_SAMPLES {
            let recipient = recipient.trim().chars().take(LONGEST_KEPT).collect();
            self.samples.push(Sample { ordinal, recipient, reason, detail });
        }
    }

    /// How many in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Two counts of one list.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (reason, count) in other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
        self.samples.extend(other.samples);
        self.samples.sort_by_key(|sample| sample.ordinal);
        self.samples.truncate(MOST_SAMPLES);
        self
    }
}

/// Goes through a list.
#[derive(Debug)]
pub struct Planner {
    form: Form,
    seen: HashSet<u64>,
    seen_others: HashSet<String>,
    /// Lines so far.
    pub total: u64,
    /// Who is skipped.
    pub tally: Tally,
}

impl Planner {
    /// For a content.
    #[must_use]
    pub fn new(form: Form) -> Self {
        let (seen, seen_others) = (HashSet::new(), HashSet::new());
        Self { form, seen, seen_others, total: 0, tally: Tally::default() }
    }

    /// How many get a message.
    #[must_use]
    pub fn planned(&self) -> u64 {
        self.total - self.tally.count()
    }

    /// The next line.
    pub fn take(&mut self, line: Listed) -> NewRecipient {
        self.total += 1;
        let Listed { recipient, variables } = line;
        let (shown, skip) = match who(&recipient) {
            Err(why) => (recipient.trim().chars().take(LONGEST_KEPT).collect(), Some((Skip::Invalid, Some(why)))),
            Ok(jid) => {
                let skip = self.check(&jid, variables.as_ref());
                (jid.as_str().to_owned(), skip)
            }
        };
        if let Some((reason, detail)) = &skip {
            self.tally.note(self.total, &recipient, *reason, detail.clone());
        }
        let variables = variables.filter(|values| values.as_object().is_some_and(|values| !values.is_empty()));
        NewRecipient { recipient: shown, variables: variables.filter(|_| skip.is_none()), skip }
    }

    fn check(&mut self, jid: &Jid, variables: Option<&Value>) -> Option<(Skip, Option<String>)> {
        let is_new = match number(jid) {
            Some(number) => self.seen.insert(number),
            None => self.seen_others.insert(jid.as_str().to_owned()),
        };
        if !is_new {
            return Some((Skip::Duplicate, Some("it stands in the list before".into())));
        }
        if let Some(values) = variables
            && values.to_string().len() > MOST_VALUES
        {
            return Some((Skip::ContentInvalid, Some(format!("its values have more than {MOST_VALUES} bytes"))));
        }
        self.form.fill(variables).err().map(|(skip, why)| (skip, Some(why)))
    }
}

/// Whom a campaign can write to: people, by number or id.
fn who(text: &str) -> Result<Jid, String> {
    match Recipient::parse(text) {
        Ok(Recipient::Group(_)) => Err("a campaign writes to people, not to groups".into()),
        Ok(recipient) => Ok(recipient.jid()),
        Err(invalid) => Err(invalid.message),
    }
}

/// A number for an id whose user part is one; ids that hide the number have their own half.
fn number(jid: &Jid) -> Option<u64> {
    let number: u64 = jid.user().parse().ok().filter(|number| *number < 1 << 62)?;
    if jid.user().starts_with('0') {
        return None;
    }
    Some(if jid.is_lid() { number | 1 << 63 } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaigns::content::CampaignContent;
    use serde_json::json;

    fn planner(text: &str) -> Planner {
        Planner::new(CampaignContent { text: text.into(), language: None, template: None }.form().expect("sound"))
    }

    fn line(recipient: &str, variables: Value) -> Listed {
        Listed { recipient: recipient.into(), variables: Some(variables) }
    }

    #[test]
    fn everybody_gets_one_message_or_a_reason() {
        let mut planner = planner("Hi {{name}}");
        let lines = [
            line("+1 202 555 0123", json!({"name": "Ann"})),
            line("12025550123@s.whatsapp.net", json!({"name": "Ann again"})),
            line("12025550123@lid", json!({"name": "somebody else"})),
            line("nobody", json!({"name": "x"})),
            line("120363041234567890@g.us", json!({"name": "a group"})),
            line("+12025550124", json!({"nam": "Ben"})),
            line("+12025550125", json!({"name": "long".repeat(5000)})),
        ];
        let reasons: Vec<Option<Skip>> = lines.into_iter().map(|line| planner.take(line).skip.map(|(skip, _)| skip)).collect();
        let expected = [
            None,
            Some(Skip::Duplicate),
            None,
            Some(Skip::Invalid),
            Some(Skip::Invalid),
            Some(Skip::VariablesMissing),
            Some(Skip::ContentInvalid),
        ];
        assert_eq!(reasons, expected);
        assert_eq!((planner.total, planner.planned(), planner.tally.samples.len()), (7, 2, 5));
        assert_eq!(planner.tally.samples.first().map(|sample| sample.ordinal), Some(2));
    }
}
