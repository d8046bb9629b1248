//! From the source of a template to its parts. Apart from the rest because only this file knows where a mistake stands.

use super::{DEEPEST, Format, LONGEST_NAME, Node};
use crate::Invalid;

/// A section that is not closed yet.
struct Open<'a> {
    name: &'a str,
    when: bool,
    at: usize,
    before: Vec<Node>,
}

struct Reader<'a> {
    source: &'a str,
    nodes: Vec<Node>,
    open: Vec<Open<'a>>,
    text: String,
}

/// Reads the whole source.
pub(super) fn nodes(source: &str) -> Result<Vec<Node>, Invalid> {
    let mut reader = Reader { source, nodes: Vec::new(), open: Vec::new(), text: String::new() };
    let mut at = 0;
    while let Some(found) = source[at..].find("{{") {
        let start = at + found;
        if source[..start].ends_with('\\') {
            reader.text.push_str(&source[at..start - 1]);
            reader.text.push_str("{{");
            at = start + 2;
            continue;
        }
        reader.text.push_str(&source[at..start]);
        let inner = &source[start + 2..];
        let Some(length) = inner.find("}}") else {
            return Err(reader.refuse(start, "{{ is not closed; write }} behind the name, or \\{{ for the characters themselves"));
        };
        let end = start + 2 + length + 2;
        at = reader.tag(start, end, &inner[..length])?;
    }
    reader.text.push_str(&source[at..]);
    reader.flush();
    match reader.open.last() {
        Some(open) => Err(reader.refuse(open.at, &format!("the section {0} is not closed; write {{{{/{0}}}}} behind it", open.name))),
        None => Ok(reader.nodes),
    }
}

impl<'a> Reader<'a> {
    /// Takes the tag from `start` to `end`, and says where the text behind it begins.
    fn tag(&mut self, start: usize, end: usize, inner: &'a str) -> Result<usize, Invalid> {
        match inner.trim_start().as_bytes().first() {
            Some(b'#' | b'^') => {
                let when = inner.trim_start().starts_with('#');
                let name = self.name(start, &inner.trim_start()[1..])?;
                if self.open.len() == DEEPEST {
                    return Err(self.refuse(start, &format!("sections can be {DEEPEST} deep at most; close one before")));
                }
                let behind = self.alone(start, end);
                self.flush();
                let before = std::mem::take(&mut self.nodes);
                self.open.push(Open { name, when, at: start, before });
                Ok(behind)
            }
            Some(b'/') => {
                let name = self.name(start, &inner.trim_start()[1..])?;
                let behind = self.alone(start, end);
                self.flush();
                let Some(open) = self.open.pop() else {
                    return Err(self.refuse(start, &format!("{{{{/{name}}}}} closes a section that was not opened")));
                };
                if open.name != name {
                    let message =
                        format!("{{{{/{name}}}}} stands where the section {0} has to be closed; write {{{{/{0}}}}} first", open.name);
                    return Err(self.refuse(start, &message));
                }
                let inside = std::mem::replace(&mut self.nodes, open.before);
                self.nodes.push(Node::Section { name: name.to_owned(), when: open.when, inside });
                Ok(behind)
            }
            _ => {
                let (place, default) = inner.split_once('|').map_or((inner, None), |(place, default)| (place, Some(default)));
                if default.is_some_and(|default| default.contains("{{")) {
                    return Err(self.refuse(start, "a default is a plain text; it can't hold {{"));
                }
                let (name, format) = match place.split_once(':') {
                    None => (self.name(start, place)?, Format::Plain),
                    Some((name, format)) => (self.name(start, name)?, self.format(start, format.trim())?),
                };
                self.flush();
                let default = default.map(|default| default.trim().to_owned());
                self.nodes.push(Node::Value { name: name.to_owned(), format, default });
                Ok(end)
            }
        }
    }

    /// A line that holds nothing but the tag of a section is not part of the text.
    fn alone(&mut self, start: usize, end: usize) -> usize {
        let blank = |text: &str| text.chars().all(|c| matches!(c, ' ' | '\t' | '\r'));
        let line = self.source[..start].rfind('\n').map_or(0, |at| at + 1);
        let rest = &self.source[end..];
        let (length, with_break) = rest.find('\n').map_or((rest.len(), rest.len()), |at| (at, at + 1));
        if !blank(&self.source[line..start]) || !blank(&rest[..length]) {
            return end;
        }
        let kept = self.text.trim_end_matches([' ', '\t', '\r']).len();
        self.text.truncate(kept);
        end + with_break
    }

    fn name(&self, start: usize, text: &'a str) -> Result<&'a str, Invalid> {
        let name = text.trim();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fits) {
            let message = format!(
                "a variable has a name of 1 to {LONGEST_NAME} letters a-z, digits, and the characters _ . -; write \\{{{{ for the characters themselves"
            );
            return Err(self.refuse(start, &message));
        }
        Ok(name)
    }

    fn format(&self, start: usize, text: &str) -> Result<Format, Invalid> {
        text.parse().map_err(|()| {
            let names: Vec<&str> = Format::NAMED.iter().map(|format| format.as_str()).collect();
            self.refuse(start, &format!("there is no such format; the formats are {}", names.join(", ")))
        })
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.nodes.push(Node::Text(std::mem::take(&mut self.text)));
        }
    }

    fn refuse(&self, at: usize, message: &str) -> Invalid {
        let before = &self.source[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rfind('\n').map_or(before, |at| &before[at + 1..]).chars().count() + 1;
        Invalid::new("content", format!("line {line}, column {column}: {message}"))
    }
}
