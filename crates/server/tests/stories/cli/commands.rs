//! Commands on a data folder, beside a running server and without one.

use super::server::{Server, answer, complaint, folder, link_shop, run, sanasend};

#[test]
fn a_folder_is_prepared_without_a_server() {
    let folder = folder();
    let data = folder.path().join("data");
    assert!(complaint(&data, &["user", "list"]).contains("sanasend migrate"));
    assert!(answer(&data, &["migrate"]).contains("applied"));
    assert!(answer(&data, &["migrate", "--check"]).contains("up to date"));
    let made = answer(&data, &["createsuperuser", "--username", "Root", "--random-password"]);
    assert!(made.starts_with("admin root ") && made.contains("\npassword "), "{made}");
    assert!(complaint(&data, &["createsuperuser", "--username", "root", "--random-password"]).contains("already taken"));
    let listed = answer(&data, &["user", "list"]);
    assert!(listed.contains("root") && listed.contains("yes"), "{listed}");
    assert!(complaint(&data, &["user", "deactivate", "root"]).contains("last active admin"));
    assert!(complaint(&data, &["user", "delete", "root", "--yes"]).contains("last active admin"));
}

#[test]
fn users_and_keys_live_and_end() {
    let folder = folder();
    answer(folder.path(), &["migrate"]);
    answer(folder.path(), &["createsuperuser", "--random-password"]);
    let weak = sanasend(folder.path()).args(["user", "create", "anna"]).env("SANASEND_PASSWORD", "short").output().expect("runs");
    assert!(String::from_utf8_lossy(&weak.stderr).contains("at least 10 characters"));
    let made =
        sanasend(folder.path()).args(["user", "create", "anna"]).env("SANASEND_PASSWORD", "correct horse battery").output().expect("runs");
    assert!(made.status.success());
    assert!(!String::from_utf8_lossy(&made.stdout).contains("horse"), "a password that was given is not repeated");

    let key = answer(
        folder.path(),
        &["api-key", "create", "anna", "--scope", "messages:send", "--allow-ip", "10.0.0.0/8", "--expires-in-days", "3"],
    );
    assert!(key.trim().starts_with("sk_") && key.trim().lines().count() == 1, "{key}");
    let prefix = key.trim().split('_').nth(1).expect("prefix").to_owned();
    let listed = answer(folder.path(), &["api-key", "list", "--user", "anna", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(
        (&listed[0]["scopes"], &listed[0]["allowed_ips"]),
        (&serde_json::json!(["messages:send"]), &serde_json::json!(["10.0.0.0/8"]))
    );
    assert!(listed[0]["expires_at"].is_string() && listed[0].get("key").is_none());
    assert!(complaint(folder.path(), &["api-key", "create", "anna", "--scope", "all"]).contains("messages:send"));
    answer(folder.path(), &["api-key", "revoke", &prefix]);
    let listed: serde_json::Value = serde_json::from_str(&answer(folder.path(), &["api-key", "list", "--json"])).expect("JSON");
    assert_eq!(listed[0]["is_active"], false);

    assert!(answer(folder.path(), &["user", "deactivate", "anna"]).contains("inactive"));
    assert!(answer(folder.path(), &["user", "activate", "anna"]).contains("anna is active"));
    assert!(answer(folder.path(), &["user", "set-password", "anna", "--random-password"]).contains("password "));
    assert!(answer(folder.path(), &["user", "delete", "anna", "--yes"]).contains("deleted"));
    assert!(complaint(folder.path(), &["user", "activate", "anna"]).contains("there is no user anna"));
}

#[test]
fn a_key_made_beside_a_running_server_works_there_and_links_and_sends() {
    let folder = folder();
    let mut server = Server::start(folder.path(), &["--sandbox", "--json"]);
    let ready = server.ready();
    let url = ready["api"].as_str().expect("url");
    let made = run(folder.path(), &["api-key", "create", "demo"]);
    assert!(made.status.success());
    assert!(String::from_utf8_lossy(&made.stderr).contains("has this folder open"));
    let key = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let ask = |arguments: &[&str]| {
        sanasend(folder.path()).args(arguments).env("SANASEND_URL", url).env("SANASEND_API_KEY", &key).output().expect("runs")
    };
    let listed = ask(&["session", "list"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let unlinked = ask(&["send", "+12025550123", "hello"]);
    assert!(!unlinked.status.success());

    link_shop(folder.path(), &ready, &key);
    let sent = ask(&["send", "+12025550123", "hello", "--wait", "20"]);
    let said = String::from_utf8_lossy(&sent.stdout).into_owned();
    assert!(
        sent.status.success() && (said.contains("sent") || said.contains("delivered")),
        "{said} {}",
        String::from_utf8_lossy(&sent.stderr)
    );
    let groups = ask(&["session", "groups", "shop", "--search", "bread", "--json"]);
    assert_eq!(String::from_utf8_lossy(&groups.stdout).trim(), "[]", "{}", String::from_utf8_lossy(&groups.stderr));
    let table = ask(&["session", "groups", "shop"]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("subject"), "{}", String::from_utf8_lossy(&table.stderr));
    let off = ask(&["session", "disconnect", "shop", "--keep"]);
    assert!(String::from_utf8_lossy(&off.stdout).contains("disconnected"), "{}", String::from_utf8_lossy(&off.stderr));
    assert!(complaint(folder.path(), &["user", "delete", "demo", "--yes"]).contains("use its API"));
}

#[test]
fn the_doctor_is_content_with_a_sound_folder_and_names_what_is_wrong() {
    let folder = folder();
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = port.local_addr().expect("address").to_string();
    answer(folder.path(), &["migrate"]);
    answer(folder.path(), &["createsuperuser", "--random-password"]);
    let examine = |listen: &str| sanasend(folder.path()).args(["doctor", "--json"]).env("SANASEND_LISTEN", listen).output().expect("runs");
    drop(port);
    let sound = examine(&taken);
    assert!(sound.status.success(), "{}", String::from_utf8_lossy(&sound.stdout));
    let port = std::net::TcpListener::bind(&taken).expect("the same port");
    let findings = String::from_utf8_lossy(&examine(&taken).stdout).into_owned();
    assert!(findings.contains("can't be listened on"), "{findings}");
    drop(port);
    std::fs::remove_file(folder.path().join("secrets/jwt_hmac")).expect("removed");
    let output = examine(&taken);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("jwt_hmac is missing"));
}

#[test]
fn texts_made_from_the_code_are_printed() {
    let folder = folder();
    let document: serde_json::Value = serde_json::from_str(&answer(folder.path(), &["openapi"])).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    assert!(answer(folder.path(), &["completions", "bash"]).contains("sanasend"));
    assert!(answer(folder.path(), &["config", "--check"]).contains("sound"));
    assert!(answer(folder.path(), &["config"]).contains("--data-dir"), "the source of the data folder is told");
    assert!(answer(folder.path(), &["config", "--docs"]).starts_with("# Configuration"));
}

#[test]
fn health_says_by_its_exit_code_whether_a_server_can_work() {
    let folder = folder();
    assert!(complaint(folder.path(), &["health", "--url", "http://127.0.0.1:9"]).contains("does not answer"));
    assert!(complaint(folder.path(), &["health", "--url", "nowhere"]).contains("is no URL"));
    let mut server = Server::start(folder.path(), &["--json"]);
    let ready = server.ready();
    let url = ready["api"].as_str().expect("url");
    assert_eq!(answer(folder.path(), &["health", "--url", url]), "Ready.\n");
    assert_eq!(answer(folder.path(), &["health", "--live", "--url", url]), "Alive.\n");
    let by_setting =
        sanasend(folder.path()).arg("health").env("SANASEND_LISTEN", url.trim_start_matches("http://")).output().expect("runs");
    assert!(by_setting.status.success(), "{}", String::from_utf8_lossy(&by_setting.stderr));
    // Another server than ours answers something, and that is no good news.
    let strange = complaint(folder.path(), &["health", "--url", &format!("{url}/api/v1/users")]);
    assert!(strange.contains("404"), "{strange}");
}

#[test]
fn health_waits_for_a_server_that_starts() {
    let (folder, port) = (folder(), std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    let address = port.local_addr().expect("address").to_string();
    let waiting = sanasend(folder.path())
        .args(["health", "--wait", "60", "--url", &format!("http://{address}")])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    // It has asked once, and nobody answered it, before there is a server.
    drop(port.accept().expect("a question"));
    drop(port);
    let _server = Server::spawn(sanasend(folder.path()).args(["serve", "--json", "--listen", &address]));
    let output = waiting.wait_with_output().expect("ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Ready.\n");
}

#[test]
fn contacts_go_in_and_out_by_files() {
    let folder = folder();
    let mut server = Server::start(folder.path(), &["--sandbox", "--json"]);
    let ready = server.ready();
    let url = ready["api"].as_str().expect("url").to_owned();
    let key = answer(folder.path(), &["api-key", "create", "demo"]).trim().to_owned();
    let contacts = |arguments: &[&str]| {
        let mut command = sanasend(folder.path());
        command.arg("contacts").args(arguments).env("SANASEND_URL", &url).env("SANASEND_API_KEY", &key).output().expect("runs")
    };
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let file = folder.path().join("people.csv");
    let file = file.to_str().expect("a path");
    std::fs::write(file, "Handy;Name;Kunde\n+14155550101;Anna;17\n12;Nobody;18\n").expect("written");
    let looked = contacts(&["import", file, "--map", "Kunde=field:customer", "--dry-run"]);
    assert_eq!(looked.status.code(), Some(1), "a line was refused");
    assert!(said(&looked).contains("Kunde -> field:customer") && said(&looked).contains("there would be 1 new"), "{}", said(&looked));
    assert!(String::from_utf8_lossy(&looked.stderr).contains("line 3: phone must"), "{}", String::from_utf8_lossy(&looked.stderr));
    contacts(&["import", file, "--map", "Kunde=field:customer"]);
    let all = said(&contacts(&["export"]));
    assert!(all.starts_with("phone,name,") && all.contains("'+14155550101,Anna,") && all.lines().count() == 2, "{all}");
    let copy = folder.path().join("all.csv");
    assert!(contacts(&["export", copy.to_str().expect("a path"), "--search", "ann"]).status.success());
    assert_eq!(std::fs::read_to_string(&copy).expect("read"), all);
    std::fs::write(file, "+14155550101\n").expect("written");
    let out = contacts(&["import", file, "--opt-outs"]);
    assert!(out.status.success() && said(&out).contains("1 new"), "{}", said(&out));
    assert!(said(&contacts(&["export"])).contains(",withdrawn,"));
    let nowhere = contacts(&["import", "/nowhere.csv"]);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("can't read /nowhere.csv"));
}
