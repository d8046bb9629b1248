//! The settings in force, and where each came from. Secrets are hidden: the rows never held them.

use super::render::{Page, page};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::config::Row;
use askama::Template;
use axum::extract::State;
use std::sync::Arc;

/// Settings of one section of the file.
struct Section {
    name: String,
    rows: Vec<Setting>,
}

struct Setting {
    path: String,
    gist: String,
    value: String,
    default: String,
    source: String,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    shell: Shell,
    sections: Vec<Section>,
    changed: usize,
}

/// Shows them.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    let rows = &app.config.rows;
    let changed = rows.iter().filter(|row| row.source != "default").count();
    page(&SettingsPage { shell: visitor.shell("Settings", "settings"), sections: by_section(rows), changed })
}

fn by_section(rows: &[Row]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for row in rows {
        let name = row.path.split_once('.').map_or("general", |(section, _)| section);
        match sections.iter_mut().find(|section| section.name == name) {
            Some(section) => section.rows.push(setting(row)),
            None => sections.push(Section { name: name.to_owned(), rows: vec![setting(row)] }),
        }
    }
    sections
}

fn setting(row: &Row) -> Setting {
    let Row { path, doc, default, value, source } = row.clone();
    Setting { gist: gist(&doc), path, value, default, source }
}

/// The first sentence of what a setting is for.
fn gist(doc: &str) -> String {
    let line = doc.replace('\n', " ");
    line.split_once(". ").map_or(line.clone(), |(first, _)| format!("{first}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Profile, defaults};

    #[test]
    fn every_setting_is_in_one_section() {
        let rows = defaults(Profile::Development).rows;
        let sections = by_section(&rows);
        assert_eq!(sections.iter().map(|section| section.rows.len()).sum::<usize>(), rows.len());
        assert_eq!(gist("What it is.\nMore of it. And more."), "What it is.");
    }
}
