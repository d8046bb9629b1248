//! Starting, starting again, starting twice, stopping.

use super::server::{Server, answer, complaint, folder, sanasend};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn the_first_start_shows_the_secrets_and_the_second_does_not() {
    let folder = folder();
    let data = folder.path().join("data");
    let mut server = Server::start(&data, &["--sandbox", "--json"]);
    let ready = server.ready();
    for text in [
        "/api",
        "/sandbox/ws",
        "/sandbox/wss",
        "/sandbox/admin",
        "/sandbox/ca_file",
        "/admin/username",
        "/admin/password",
        "/demo/username",
        "/demo/api_key",
    ] {
        assert!(ready.pointer(text).is_some_and(serde_json::Value::is_string), "{text} in {ready}");
    }
    assert!(ready["pid"].is_u64());
    assert!(fs::read_to_string(ready["sandbox"]["ca_file"].as_str().expect("path")).expect("file").contains("BEGIN CERTIFICATE"));
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("secrets")), 0o700);
    for name in ["secrets/seal_key_1", "secrets/api_key_hmac", "secrets/jwt_hmac", "sanasend.db"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    assert_eq!(server.stop(), Some(0));

    let mut again = Server::start(&data, &["--sandbox", "--json"]);
    let ready = again.ready();
    assert_eq!(ready["admin"], serde_json::json!({"username": "admin"}));
    assert_eq!(ready["demo"], serde_json::json!({"username": "demo"}));
    assert_eq!(again.stop(), Some(0));
}

#[test]
fn a_second_process_can_not_open_the_folder_of_a_running_server() {
    let folder = folder();
    let mut server = Server::start(folder.path(), &["--sandbox", "--json"]);
    let pid = server.ready()["pid"].to_string();
    let said = complaint(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert!(said.contains("another process") && said.contains(&pid), "{said}");
    let said = complaint(folder.path(), &["migrate"]);
    assert!(said.contains(&pid), "{said}");
}

#[test]
fn a_start_without_the_key_of_the_database_is_refused() {
    let folder = folder();
    let mut server = Server::start(folder.path(), &["--sandbox", "--json"]);
    server.ready();
    assert_eq!(server.stop(), Some(0));
    fs::remove_file(folder.path().join("secrets/seal_key_1")).expect("removed");
    let said = complaint(folder.path(), &["serve", "--sandbox"]);
    assert!(said.contains("seal_key_1 is missing"), "{said}");
}

#[test]
fn a_kill_at_any_moment_of_the_first_start_leaves_a_folder_that_starts() {
    for wait_ms in [0, 5, 10, 20, 40, 60, 80, 120, 200] {
        let folder = folder();
        let killed = Server::start(folder.path(), &["--sandbox", "--json"]);
        // Not a wait for something to happen: the moment of the kill is what is tried.
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        drop(killed);
        let mut server = Server::start(folder.path(), &["--sandbox", "--json"]);
        let ready = server.ready();
        assert_eq!(ready["admin"]["username"], "admin", "killed after {wait_ms} ms: {ready}");
        assert_eq!(ready["demo"]["username"], "demo", "killed after {wait_ms} ms: {ready}");
    }
}

#[test]
fn all_bad_settings_are_named_and_nothing_is_made() {
    let folder = folder();
    let data = folder.path().join("data");
    let output = sanasend(&data)
        .args(["serve"])
        .env("SANASEND_HTTP__BODY_LIMIT_KIB", "many")
        .env("SANASEND_LISSTEN", "127.0.0.1:1")
        .env("SANASEND_LOG__FORMAT", "xml")
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    for name in ["SANASEND_HTTP__BODY_LIMIT_KIB", "SANASEND_LISSTEN", "SANASEND_LOG__FORMAT", "did you mean `listen`"] {
        assert!(said.contains(name), "{name} in {said}");
    }
    assert_eq!(output.status.code(), Some(2));
    assert!(!data.exists());
}

#[test]
fn the_four_lines_work_when_they_are_pasted() {
    let folder = folder();
    let mut server = Server::start(&folder.path().join("data"), &["--sandbox"]);
    let mut lines = Vec::new();
    while lines.len() < 4 {
        let line = server.line();
        assert!(!line.is_empty(), "it ended before it printed four lines");
        if line.starts_with("curl ") {
            lines.push(line);
        }
    }
    let said: Vec<String> = lines.iter().map(|line| paste(folder.path(), line)).collect();
    assert!(said[0].contains(','), "the text of a QR code: {}", said[0]);
    assert!(said[1].contains("\"jid\""), "{}", said[1]);
    assert!(said[2].contains("Hello from SanaSend") && said[2].contains("\"success\":true"), "{}", said[2]);
    assert!(said[3].contains("Hello from SanaSend"), "{}", said[3]);
    assert!(!said[3].contains("\"failed\""), "{}", said[3]);
}

fn paste(folder: &std::path::Path, line: &str) -> String {
    let output = Command::new("sh").arg("-c").arg(line).current_dir(folder).output().expect("a shell");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_server_can_use_a_sandbox_of_another_process() {
    let folder = folder();
    let network_folder = folder.path().join("network");
    let mut network =
        Server::spawn(sanasend(&network_folder).args(["sandbox", "--json", "--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]));
    let network_ready = network.ready();
    for text in ["ws", "wss", "admin", "ca_file", "static_key", "key_file", "root_key"] {
        assert!(network_ready[text].is_string(), "{text} in {network_ready}");
    }
    let (ws, key) = (network_ready["ws"].as_str().expect("ws"), network_ready["key_file"].as_str().expect("key"));
    let data = folder.path().join("data");
    let mut server = Server::spawn(sanasend(&data).args([
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--sandbox-connect",
        ws,
        "--sandbox-key-file",
        key,
    ]));
    let ready = server.ready();
    assert_eq!(ready["sandbox"]["ws"], network_ready["ws"]);
    assert_eq!(ready["sandbox"]["admin"], network_ready["admin"]);
    assert!(ready["demo"]["api_key"].is_string());
    let shown = answer(&data, &["user", "list", "--json"]);
    assert!(shown.contains("\"demo\""), "{shown}");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(network.stop(), Some(0));
}
