//! The command line, as people write it.

use super::*;
use crate::cli::serve::{Ready, ReadyAdmin, ReadyDemo, ReadySandbox};

fn parse(line: &str) -> Cli {
    Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn the_definition_of_the_command_line_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn serve_takes_the_flags_of_the_contract_as_settings() {
    let cli = parse(
        "sanasend serve --sandbox --json --data-dir d --listen 127.0.0.1:0 --sandbox-listen 127.0.0.1:1 --sandbox-tls-listen 127.0.0.1:2",
    );
    let Command::Serve(args) = cli.command else { panic!("another command") };
    assert!(args.json);
    let settings = args.as_settings();
    for expected in
        [("sandbox.enabled", "true"), ("listen", "127.0.0.1:0"), ("sandbox.listen", "127.0.0.1:1"), ("sandbox.tls_listen", "127.0.0.1:2")]
    {
        assert!(settings.iter().any(|(path, value)| (*path, value.as_str()) == expected), "{expected:?} in {settings:?}");
    }
    assert_eq!(cli.data_dir.as_deref(), Some(std::path::Path::new("d")));
}

#[test]
fn every_flag_of_serve_is_a_setting_that_exists() {
    let cli = parse("sanasend serve --listen 127.0.0.1:0 --sandbox-connect ws://127.0.0.1:1/ws/chat --sandbox-key-file k");
    let Command::Serve(args) = cli.command else { panic!("another command") };
    let loaded = crate::config::load(Sources { flags: args.as_settings(), ..Sources::default() });
    assert_eq!(
        loaded.map(|loaded| loaded.config.sandbox.connect).map_err(|problems| problems.to_string()),
        Ok(Some("ws://127.0.0.1:1/ws/chat".into()))
    );
}

#[test]
fn a_sandbox_of_another_process_needs_its_key_and_excludes_one_of_its_own() {
    for line in [
        "sanasend serve --sandbox-connect ws://127.0.0.1:1/ws/chat",
        "sanasend serve --sandbox-key-file k",
        "sanasend serve --sandbox --sandbox-connect ws://127.0.0.1:1/ws/chat --sandbox-key-file k",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

#[test]
fn every_command_of_the_issue_is_there() {
    for line in [
        "sanasend serve",
        "sanasend migrate",
        "sanasend createsuperuser --random-password",
        "sanasend user list",
        "sanasend api-key create anna",
        "sanasend session link shop",
        "sanasend session groups shop --search bread --json",
        "sanasend send +12025550123 hello --wait",
        "sanasend config --check",
        "sanasend doctor",
        "sanasend health --wait 5",
        "sanasend openapi",
        "sanasend completions bash",
        "sanasend loadtest --seconds 1 --accounts 2 --clients 3 --json",
        "sanasend sandbox --json",
    ] {
        parse(line);
    }
}

fn ready(secret: Option<&str>) -> Ready {
    Ready {
        api: "http://127.0.0.1:8080".into(),
        sandbox: Some(ReadySandbox {
            ws: "ws://127.0.0.1:8090/ws/chat".into(),
            wss: Some("wss://127.0.0.1:8443/ws/chat".into()),
            admin: "http://127.0.0.1:8090".into(),
            ca_file: Some("/data/ca.pem".into()),
        }),
        admin: Some(ReadyAdmin { username: "admin".into(), password: secret.map(Into::into) }),
        demo: Some(ReadyDemo { username: "demo".into(), api_key: secret.map(Into::into) }),
        pid: 7,
    }
}

#[test]
fn the_line_for_scripts_has_the_shape_that_was_promised() {
    let line = serde_json::to_value(ready(Some("s"))).expect("json");
    let expected = serde_json::json!({
        "api": "http://127.0.0.1:8080",
        "sandbox": {"ws": "ws://127.0.0.1:8090/ws/chat", "wss": "wss://127.0.0.1:8443/ws/chat", "admin": "http://127.0.0.1:8090", "ca_file": "/data/ca.pem"},
        "admin": {"username": "admin", "password": "s"},
        "demo": {"username": "demo", "api_key": "s"},
        "pid": 7,
    });
    assert_eq!(line, expected);
}

#[test]
fn secrets_are_absent_on_a_second_start() {
    let line = serde_json::to_value(ready(None)).expect("json");
    assert_eq!(
        (line["admin"].clone(), line["demo"].clone()),
        (serde_json::json!({"username": "admin"}), serde_json::json!({"username": "demo"}))
    );
    assert!(!format!("{:?}", ready(Some("hunter2"))).contains("hunter2"));
}

#[test]
fn the_page_holds_four_lines_to_paste_with_the_key_where_it_is_known() {
    let folder = std::path::Path::new("sanasend-data");
    let first = welcome::page(&ready(Some("sk_x_y")), folder);
    let lines: Vec<&str> = first.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(lines.len(), 4, "{first}");
    assert_eq!(lines.iter().filter(|line| line.contains("sk_x_y")).count(), 3);
    let later = welcome::page(&ready(None), folder);
    assert!(later.contains("$SANASEND_API_KEY") && !later.contains("sk_x_y"));
}

#[test]
fn the_line_that_links_cuts_the_code_out_of_an_answer() {
    let page = welcome::page(&ready(Some("k")), std::path::Path::new("d"));
    let sed = page.lines().find_map(|line| line.split(" | ").find(|part| part.starts_with("sed "))).expect("a line with sed").to_owned();
    let answer = r#"{"success":true,"message":"m","data":{"id":"1","qr_code":{"text":"2@a/b+c,d==,e,f","png":"data:image/png;base64,AA","expires_at":"t"}}}"#;
    let out = std::process::Command::new("sh").arg("-c").arg(format!("printf '%s' '{answer}' | {sed}")).output().expect("sh");
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "2@a/b+c,d==,e,f");
}
