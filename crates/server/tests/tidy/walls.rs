//! Who may know whom, who may read the clock, and who may move a message.

use crate::source::{File, none, read, rust};
use std::collections::{BTreeMap, BTreeSet};

/// The arrows of the house: a room and the rooms it may lean on.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("store", &["sanasend-model"]),
    ("engine", &["sanasend-model", "sanasend-store"]),
    ("sandbox", &[]),
    ("server", &["sanasend-engine", "sanasend-model", "sanasend-sandbox", "sanasend-store"]),
];

/// What only tests may lean on: the engine is tried against the sandbox, and a fault story takes the write lock of
/// the product's database away, as another program would.
const TEST_ARROWS: &[(&str, &str)] = &[("engine", "sanasend-sandbox"), ("server", "sqlx")];

/// Foreign crates that only some rooms may know.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("whatsapp-rust", &["engine"]),
    ("wacore", &["engine", "sandbox"]),
    ("waproto", &["engine", "sandbox"]),
    ("sqlx", &["store"]),
    ("sea-orm", &["store"]),
    ("sea-orm-migration", &["store"]),
    ("redis", &["store"]),
    ("object_store", &["store"]),
    ("fjall", &["sandbox"]),
    ("axum", &["server", "sandbox"]),
];

/// What `model` may never lean on: it has no I/O, no async, no clock, no randomness.
const NOT_IN_MODEL: &[&str] = &["tokio", "futures", "async-trait", "rand", "getrandom", "reqwest", "tracing", "axum", "sqlx"];

/// Files that may read the machine's clock and randomness.
const CLOCKS: &[&str] = &["crates/server/src/clock.rs", "crates/sandbox/src/clock.rs"];

/// Words that take the time or random bytes from the machine. `tokio::time::Instant` is no such word: it follows
/// virtual time in tests.
const CLOCK_WORDS: &[&str] = &[
    "SystemTime::now(",
    "std::time::Instant::now(",
    "Utc::now(",
    "Local::now(",
    "Uuid::now_v7(",
    "Uuid::new_v4(",
    "rand::rng(",
    "thread_rng(",
    "getrandom::fill(",
    "OsRng",
];

struct Manifest {
    /// Dependencies of the product (normal and build).
    product: BTreeSet<String>,
    /// Dependencies of the tests.
    tests: BTreeSet<String>,
    /// The `[lints] workspace` switch.
    lints: bool,
}

fn manifest(room: &str) -> Manifest {
    let table: toml::Table = read(&format!("crates/{room}/Cargo.toml")).parse().expect("a manifest");
    let names = |sections: &[&str]| {
        let tables = sections.iter().filter_map(|name| table.get(*name)?.as_table());
        tables.flat_map(|table| table.iter().map(|(name, value)| real_name(name, value))).collect()
    };
    let lints = table.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    Manifest { product: names(&["dependencies", "build-dependencies"]), tests: names(&["dev-dependencies"]), lints: lints == Some(true) }
}

/// The package's name, also where the manifest renames it.
fn real_name(name: &str, value: &toml::Value) -> String {
    value.get("package").and_then(toml::Value::as_str).unwrap_or(name).to_owned()
}

fn manifests() -> BTreeMap<&'static str, Manifest> {
    ARROWS.iter().map(|(room, _)| (*room, manifest(room))).collect()
}

#[test]
fn the_house_has_these_rooms_and_no_others() {
    let table: toml::Table = read("Cargo.toml").parse().expect("the workspace");
    let members = table["workspace"]["members"].as_array().expect("members");
    let members: BTreeSet<&str> = members.iter().filter_map(toml::Value::as_str).collect();
    let rooms: BTreeSet<String> = ARROWS.iter().map(|(room, _)| format!("crates/{room}")).collect();
    assert_eq!(members, rooms.iter().map(String::as_str).collect(), "a new crate needs a decision record and an arrow here");
}

#[test]
fn arrows_between_rooms_go_one_way() {
    let manifests = manifests();
    let mut faults = Vec::new();
    for (room, allowed) in ARROWS {
        let ours = |names: &BTreeSet<String>| names.iter().filter(|name| name.starts_with("sanasend")).cloned().collect::<Vec<_>>();
        let wrong = ours(&manifests[room].product).into_iter().filter(|name| !allowed.contains(&name.as_str()));
        let tests = ours(&manifests[room].tests).into_iter();
        let wrong_tests = tests.filter(|name| !allowed.contains(&name.as_str()) && !TEST_ARROWS.contains(&(room, name.as_str())));
        faults.extend(wrong.chain(wrong_tests).map(|name| format!("crates/{room} leans on {name}")));
    }
    none("An arrow that the house does not have (ARCHITECTURE.md, rooms):", &faults);
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let mut faults = Vec::new();
    for (room, manifest) in &manifests() {
        let tests = manifest.tests.iter().filter(|name| !TEST_ARROWS.contains(&(*room, name.as_str())));
        for name in manifest.product.iter().chain(tests) {
            let rule = ONLY_IN.iter().find(|(known, _)| name == known || name.starts_with(&format!("{known}-")));
            if rule.is_some_and(|(_, rooms)| !rooms.contains(room)) {
                faults.push(format!("crates/{room} depends on {name}"));
            }
        }
    }
    faults.extend(manifests()["model"].product.iter().filter(|name| NOT_IN_MODEL.contains(&name.as_str())).cloned());
    none("A crate in a room that must not know it:", &faults);
}

#[test]
fn sources_name_only_what_their_room_may_know() {
    let mut faults = Vec::new();
    for file in rust().iter().filter(|file| !file.path.ends_with("tests/tidy/walls.rs")) {
        let Some(room) = file.room() else { continue };
        let allowed = |name: &str| file.is_test() && TEST_ARROWS.contains(&(room, name));
        for (name, rooms) in ONLY_IN.iter().filter(|(name, rooms)| !rooms.contains(&room) && !allowed(name)) {
            let path = format!("{}::", name.replace('-', "_"));
            for (number, line) in file.lines().filter(|(_, line)| mentions(line, &path)) {
                faults.push(format!("{} names {path} (only in {rooms:?}): {}", file.at(number), line.trim()));
            }
        }
    }
    none("A room that names what it must not know:", &faults);
}

/// Whether `line` (comments aside) uses `path` as the beginning of a path.
fn mentions(line: &str, path: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices(path).any(|(at, _)| !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':'))
}

#[test]
fn time_and_randomness_are_passed_in() {
    let mut faults = Vec::new();
    for file in rust().iter().filter(|file| !CLOCKS.contains(&file.path.as_str()) && !file.is_test()) {
        let product = File { path: file.path.clone(), text: file.product().to_owned() };
        for (number, line) in product.lines() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = CLOCK_WORDS.iter().find(|word| code.contains(**word)) {
                faults.push(format!("{} takes {word}..): ask the Clock", product.at(number)));
            }
            if code.contains("disallowed_methods") {
                faults.push(format!("{} switches the ban off", product.at(number)));
            }
        }
    }
    none("Time or randomness taken from the machine outside the clock:", &faults);
}

#[test]
fn a_message_has_one_way_in_and_one_way_back() {
    let doors = [("store.accept(", "crates/server/src/outbox"), ("store.apply(", "crates/server/src/inbox")];
    let mut faults = Vec::new();
    for file in rust().iter().filter(|file| file.path.starts_with("crates/server/src/")) {
        for (number, line) in file.lines() {
            for (call, door) in doors.iter().filter(|(call, door)| line.contains(call) && !file.path.starts_with(door)) {
                faults.push(format!("{} calls {call}..): only {door} does", file.at(number)));
            }
        }
    }
    none("Invariant 1 (one way in, one way back) is broken:", &faults);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace_and_forbids_unsafe_code() {
    let mut faults = Vec::new();
    for (room, manifest) in &manifests() {
        if !manifest.lints {
            faults.push(format!("crates/{room}/Cargo.toml: [lints] workspace = true is missing"));
        }
    }
    for file in rust().iter().filter(|file| file.path.ends_with("src/lib.rs") || file.path.ends_with("src/main.rs")) {
        if !file.text.contains("#![forbid(unsafe_code)]") {
            faults.push(format!("{}: #![forbid(unsafe_code)] is missing", file.path));
        }
    }
    none("Lints that are not taken:", &faults);
}

#[test]
fn lints_and_tools_are_set() {
    let workspace: toml::Table = read("Cargo.toml").parse().expect("the workspace");
    let clippy = &workspace["workspace"]["lints"]["clippy"];
    for lint in ["unwrap_used", "expect_used", "dbg_macro", "todo", "disallowed_methods", "too_many_lines"] {
        let level = clippy.get(lint).and_then(toml::Value::as_str);
        assert!(matches!(level, Some("warn" | "deny")), "clippy::{lint} is off (./test denies warnings)");
    }
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let limits: toml::Table = read("clippy.toml").parse().expect("clippy.toml");
    assert_eq!(limits["too-many-lines-threshold"].as_integer(), Some(80));
    let banned = limits["disallowed-methods"].as_array().expect("disallowed-methods");
    for path in ["std::time::SystemTime::now", "std::time::Instant::now", "chrono::Utc::now", "uuid::Uuid::now_v7"] {
        let ban = banned.iter().find(|ban| ban.get("path").and_then(toml::Value::as_str) == Some(path));
        assert!(ban.and_then(|ban| ban.get("reason")).is_some(), "{path} is not banned with a reason");
    }
    assert!(read("rust-toolchain.toml").contains("channel"), "the toolchain is named");
}
