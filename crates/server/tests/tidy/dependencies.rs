//! What other people's code is in the tree: sources, licences, bans, features. Reads `deny.toml`, so that the rules
//! hold on machines without cargo-deny.

use crate::source::{none, read, top};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// Output of a cargo command that reads the lock file and changes nothing.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).args(["--locked"]).current_dir(top()).output().expect("cargo");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Packages that are compiled on this platform (all of the workspace, tests too).
fn packages() -> Vec<Value> {
    let json = cargo(&["metadata", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"]);
    let mut metadata: Value = serde_json::from_str(&json).expect("metadata");
    let compiled: BTreeSet<String> = cargo(&["tree", "--workspace", "--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}"])
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    let Value::Array(packages) = metadata["packages"].take() else { panic!("packages") };
    packages.into_iter().filter(|package| compiled.contains(text(package, "name"))).collect()
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

fn deny() -> toml::Table {
    read("deny.toml").parse().expect("deny.toml")
}

#[test]
fn every_dependency_comes_from_the_registry() {
    let registry = deny()["sources"]["allow-registry"][0].as_str().expect("the registry").to_owned();
    let mut faults = Vec::new();
    for package in packages().iter().filter(|package| !text(package, "name").starts_with("sanasend")) {
        if text(package, "source") != format!("registry+{registry}") {
            faults.push(format!("{} from {:?}", text(package, "name"), package["source"]));
        }
    }
    none("A dependency from somewhere else:", &faults);
    for line in read("Cargo.lock").lines().filter(|line| line.starts_with("source = ")) {
        assert_eq!(line, format!("source = \"registry+{registry}\""), "Cargo.lock");
    }
}

#[test]
fn every_licence_is_permissive() {
    let deny = deny();
    let allowed: Vec<&str> = deny["licenses"]["allow"].as_array().expect("allow").iter().filter_map(toml::Value::as_str).collect();
    let mut faults = Vec::new();
    for package in packages().iter().filter(|package| !text(package, "name").starts_with("sanasend")) {
        let licence = text(package, "license").replace('/', " OR ");
        if !satisfied(&licence, &allowed) {
            faults.push(format!("{}: {licence:?}", text(package, "name")));
        }
    }
    none("A licence that deny.toml does not allow:", &faults);
}

/// Whether an SPDX expression can be met with the allowed licences: any side of OR, every side of AND.
/// Parentheses are only ever one level deep in practice; deeper ones are refused, never guessed.
fn satisfied(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.trim();
    if let Some((before, rest)) = expression.split_once('(') {
        let Some((inside, after)) = rest.split_once(')') else { return false };
        let inside = if satisfied(inside, allowed) { allowed.first().copied().unwrap_or_default() } else { "refused" };
        return !after.contains("((") && satisfied(&format!("{before} {inside} {after}"), allowed);
    }
    expression.split(" OR ").any(|side| side.split(" AND ").all(|licence| allowed.contains(&licence.trim())))
}

#[test]
fn licence_expressions_are_read_as_written() {
    let allowed = ["MIT", "ISC", "Apache-2.0"];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("", false),
        ("Apache-2.0 OR GPL-2.0-only", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("(GPL-2.0 OR GPL-3.0) AND ISC", false),
    ] {
        assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn banned_crates_are_not_compiled() {
    let deny = deny();
    let banned: BTreeSet<&str> =
        deny["bans"]["deny"].as_array().expect("deny").iter().filter_map(|ban| ban.get("crate")?.as_str()).collect();
    assert!(["aws-lc-sys", "openssl-sys", "native-tls", "rsa"].iter().all(|name| banned.contains(name)), "deny.toml lost a ban");
    let faults: Vec<String> =
        packages().iter().map(|package| text(package, "name").to_owned()).filter(|name| banned.contains(name.as_str())).collect();
    none("A banned crate is in the tree (cargo tree -i NAME tells who asks for it):", &faults);
}

#[test]
fn there_is_one_sqlite() {
    let copies: Vec<String> =
        packages().iter().map(|package| text(package, "name").to_owned()).filter(|name| name == "libsqlite3-sys").collect();
    assert_eq!(copies.len(), 1, "exactly one libsqlite3-sys");
}

#[test]
fn no_dangerous_feature_is_switched_on() {
    let tree = cargo(&["tree", "--workspace", "--edges", "features,normal,build,dev"]);
    let word = ["dan", "ger"].concat();
    let faults: Vec<String> = tree.lines().filter(|line| line.to_lowercase().contains(&word)).map(str::to_owned).collect();
    none("A feature that weakens the verification of WhatsApp's certificates:", &faults);
    assert!(tree.contains("whatsapp-rust"), "the tree was read");
}

#[test]
fn the_client_library_is_pinned_and_its_crates_take_no_default_features() {
    let mut faults = Vec::new();
    for room in ["engine", "sandbox"] {
        let table: toml::Table = read(&format!("crates/{room}/Cargo.toml")).parse().expect("a manifest");
        for section in ["dependencies", "dev-dependencies"] {
            let Some(dependencies) = table.get(section).and_then(toml::Value::as_table) else { continue };
            for (name, value) in
                dependencies.iter().filter(|(name, _)| name.starts_with("wacore") || *name == "whatsapp-rust" || *name == "waproto")
            {
                let version = value.as_str().or_else(|| value.get("version")?.as_str()).unwrap_or_default();
                let defaults = value.get("default-features").and_then(toml::Value::as_bool).unwrap_or(true);
                if !version.starts_with('=') || (defaults && name != "waproto") {
                    faults.push(format!("crates/{room} [{section}] {name}: {value}"));
                }
            }
        }
    }
    none("Pin these exactly, without default features:", &faults);
}
