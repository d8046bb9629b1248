//! Lists from files: CSV with a heading line, of which one column is the recipient and the others are values.
//!
//! The file lies on this machine's disk and is read line by line on a thread that may wait; what was read goes on in bunches.

use super::plan::Listed;
use sanasend_model::Invalid;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use tokio::sync::mpsc;

/// Lines that go on together.
const BUNCH: usize = 500;
/// Headings that are taken for the recipient, the first that is there.
const RECIPIENT: [&str; 7] = ["recipient", "phone", "phone_number", "number", "mobile", "to", "jid"];
/// Most columns.
const MOST_COLUMNS: usize = 100;
/// Longest heading line, in bytes.
const LONGEST_HEAD: u64 = 64 * 1024;

/// The next lines, or what is wrong with the file.
pub type Bunch = Result<Vec<Listed>, Invalid>;

/// Reads a file; lines come as they are read. `column` is the heading of the recipients, where the caller names it.
#[must_use]
pub fn read(path: &Path, column: Option<String>) -> mpsc::Receiver<Bunch> {
    let (sender, receiver) = mpsc::channel(2);
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let opened = File::open(&path).map_err(|error| Invalid::new("file", format!("could not be read: {error}")));
        if let Err(invalid) = opened.and_then(|file| lines(BufReader::new(file), column.as_deref(), &sender)) {
            // Whoever asked has gone otherwise.
            let _ = sender.blocking_send(Err(invalid));
        }
    });
    receiver
}

fn refuse(why: impl Into<String>) -> Invalid {
    Invalid::new("file", why)
}

fn lines(mut file: impl BufRead, column: Option<&str>, to: &mpsc::Sender<Bunch>) -> Result<(), Invalid> {
    let mut head = Vec::new();
    let read = (&mut file).take(LONGEST_HEAD).read_until(b'\n', &mut head);
    read.map_err(|error| refuse(format!("could not be read: {error}")))?;
    let head = std::str::from_utf8(&head).map_err(|_| refuse("is not UTF-8 text; save it as CSV in UTF-8"))?;
    let head = head.trim_start_matches('\u{feff}');
    let delimiter = delimiter(head);
    let mut rows = csv::ReaderBuilder::new();
    rows.delimiter(delimiter).has_headers(false).flexible(true).trim(csv::Trim::All);
    let first = rows.from_reader(head.as_bytes()).records().next();
    let names: Vec<String> = match first {
        Some(Ok(record)) => record.iter().map(str::to_owned).collect(),
        _ => return Err(refuse("is empty; the first line must name the columns, like: phone,name")),
    };
    let at = recipient_of(&names, column)?;
    let mut bunch = Vec::with_capacity(BUNCH);
    for (number, record) in rows.from_reader(file).into_byte_records().enumerate() {
        let line = number + 2;
        let record = record.map_err(|_| refuse(format!("can't be read at line {line}")))?;
        let record = csv::StringRecord::from_byte_record(record).map_err(|_| refuse(format!("is not UTF-8 text at line {line}")))?;
        if record.iter().all(str::is_empty) {
            continue;
        }
        bunch.push(listed(&names, at, &record));
        if bunch.len() == BUNCH && to.blocking_send(Ok(std::mem::take(&mut bunch))).is_err() {
            return Ok(());
        }
    }
    let _ = to.blocking_send(Ok(bunch));
    Ok(())
}

/// Comma, semicolon or tabulator: whatever there is most of in the heading line.
fn delimiter(head: &str) -> u8 {
    let count = |wanted: char| head.chars().filter(|letter| *letter == wanted).count();
    // The last of equals wins, so the comma stands last.
    [(b'\t', '\t'), (b';', ';'), (b',', ',')].into_iter().max_by_key(|(_, letter)| count(*letter)).map_or(b',', |(byte, _)| byte)
}

/// The place of the column with the recipients.
fn recipient_of(names: &[String], column: Option<&str>) -> Result<usize, Invalid> {
    if names.len() > MOST_COLUMNS {
        return Err(refuse(format!("has {} columns; at most {MOST_COLUMNS} are possible", names.len())));
    }
    let find = |wanted: &str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
    let found = match column {
        Some(column) => find(column).ok_or_else(|| Invalid::new("column", "is no column of the file; its first line names them")),
        None => RECIPIENT
            .into_iter()
            .find_map(find)
            .ok_or_else(|| refuse(format!("has no column with the recipients; name one in the first line: {}", RECIPIENT.join(", ")))),
    };
    let found = found?;
    let twice = names.iter().enumerate().any(|(at, name)| !name.is_empty() && names.iter().take(at).any(|other| other == name));
    if twice { Err(refuse("names a column twice in its first line")) } else { Ok(found) }
}

fn listed(names: &[String], at: usize, record: &csv::StringRecord) -> Listed {
    let mut values = Map::new();
    for (index, (name, cell)) in names.iter().zip(record.iter()).enumerate() {
        // What nobody filled in is no value, so that a default can stand for it.
        if index != at && !name.is_empty() && !cell.is_empty() {
            values.insert(name.clone(), Value::from(cell));
        }
    }
    let recipient = record.get(at).unwrap_or_default().trim_start_matches('\'').to_owned();
    Listed { recipient, variables: Some(Value::Object(values)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_all(text: &[u8], column: Option<&str>) -> Result<Vec<(String, Value)>, (String, String)> {
        let (sender, mut receiver) = mpsc::channel(1000);
        lines(BufReader::new(text), column, &sender).map_err(|invalid| (invalid.field, invalid.message))?;
        drop(sender);
        let mut all = Vec::new();
        while let Ok(bunch) = receiver.try_recv() {
            all.extend(bunch.expect("sound").into_iter().map(|line| (line.recipient, line.variables.expect("values"))));
        }
        Ok(all)
    }

    #[test]
    fn a_table_is_read_whatever_its_spelling() {
        let rows = vec![("+12025550123".to_owned(), json!({"name": "Ann, B."})), ("+12025550124".to_owned(), json!({}))];
        for text in [
            "phone,name\n+12025550123,\"Ann, B.\"\n+12025550124,\n",
            "\u{feff}Phone;name\r\n+12025550123;Ann, B.\r\n\r\n+12025550124;\r\n",
            "name\tnumber\nAnn, B.\t+12025550123\n\t'+12025550124",
        ] {
            assert_eq!(read_all(text.as_bytes(), None), Ok(rows.clone()), "{text}");
        }
        assert_eq!(read_all(b"who,phone\n+1,x\n", Some("WHO")), Ok(vec![("+1".to_owned(), json!({"phone": "x"}))]));
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_line() {
        for (text, column, field, told) in [
            (&b""[..], None, "file", "is empty"),
            (b"name\nAnn\n", None, "file", "no column with the recipients"),
            (b"phone,name,name\n", None, "file", "twice"),
            (b"phone\n1\n", Some("who"), "column", "is no column"),
            (b"phone,name\n1,a\n2,\xff\n", None, "file", "line 3"),
            (b"ph\xffone\n", None, "file", "UTF-8"),
        ] {
            let (refused, message) = read_all(text, column).expect_err(told);
            assert!(refused == field && message.contains(told), "{refused}: {message}");
        }
    }
}
