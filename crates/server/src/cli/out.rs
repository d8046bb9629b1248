//! What commands say to people and scripts: results on standard output, everything else on standard error.
//!
//! Apart so that a closed pipe (`sanasend user list | head`) ends a command quietly instead of with a panic.

use std::io::Write;

/// Writes one line of result.
pub fn line(text: &str) {
    // A reader that went away wants no more; that is no failure of ours.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Writes a result that ends its own lines.
pub fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Says something to the person at the terminal, beside the result.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Says what went wrong.
pub fn problem(text: &str) {
    note(text);
}

/// A table of results.
#[must_use]
pub fn table<const N: usize>(head: [&str; N]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED).set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(head);
    table
}

/// A spinner for work of unknown length; shown only at a terminal.
#[must_use]
pub fn spinner(text: &str) -> indicatif::ProgressBar {
    let spinner = indicatif::ProgressBar::new_spinner().with_message(text.to_owned());
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    spinner
}

/// A bar for work of known length; shown only at a terminal.
#[must_use]
pub fn progress(length: u64, text: &str) -> indicatif::ProgressBar {
    indicatif::ProgressBar::new(length).with_message(text.to_owned())
}
