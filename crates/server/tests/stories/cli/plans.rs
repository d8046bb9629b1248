//! Templates, schedules, campaigns and seal keys by command.

use super::server::{Server, answer, complaint, curl, folder, link_shop, sanasend};
use std::path::Path;
use std::process::Output;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ask(folder: &Path, url: &str, key: &str, arguments: &[&str]) -> Output {
    sanasend(folder).args(arguments).env("SANASEND_URL", url).env("SANASEND_API_KEY", key).output().expect("runs")
}

#[test]
fn templates_are_written_shown_tried_out_and_deleted() {
    let folder = folder();
    let mut server = Server::start(folder.path(), &["--sandbox", "--json"]);
    let url = server.ready()["api"].as_str().expect("url").to_owned();
    let key = answer(folder.path(), &["api-key", "create", "demo"]).trim().to_owned();
    let template = |arguments: &[&str]| ask(folder.path(), &url, &key, &[&["template"], arguments].concat());
    let made = template(&["create", "ready", "Hi {{name|there}}, {{order}} is ready."]);
    assert!(made.status.success() && said(&made).trim().len() == 36, "{made:?}");
    let file = folder.path().join("text");
    std::fs::write(&file, "Hallo {{name}}").expect("written");
    let from_file = format!("@{}", file.display());
    assert!(template(&["create", "ready", &from_file, "--language", "de"]).status.success());
    let listed = said(&template(&["list"]));
    assert!(listed.contains("ready") && listed.contains("Hallo {{name}}"), "{listed}");
    let json: serde_json::Value = serde_json::from_str(&said(&template(&["list", "--json"]))).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(2));
    let which = template(&["show", "ready"]);
    assert!(String::from_utf8_lossy(&which.stderr).contains("say --language with one of de, en"), "{which:?}");
    let shown = said(&template(&["show", "ready", "--language", "en"]));
    assert!(shown.contains("order: needed") && shown.contains("name: \"there\" without a value"), "{shown}");
    let short = template(&["preview", "ready", "--language", "en"]);
    assert_eq!(short.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&short.stderr).contains("order"), "{short:?}");
    let filled = template(&["preview", "ready", "--language", "en", "--set", "order=17"]);
    assert!(filled.status.success() && said(&filled).trim() == "Hi there, 17 is ready.", "{filled:?}");
    assert!(template(&["delete", "ready", "--language", "de"]).status.success());
    assert!(template(&["delete", "ready"]).status.success());
    let gone = template(&["delete", "ready"]);
    assert!(String::from_utf8_lossy(&gone.stderr).contains("there is no template ready"), "{gone:?}");
}

#[test]
fn schedules_are_listed_and_quiet_hours_set() {
    let folder = folder();
    let mut server = Server::start(folder.path(), &["--sandbox", "--json"]);
    let url = server.ready()["api"].as_str().expect("url").to_owned();
    let key = answer(folder.path(), &["api-key", "create", "demo"]).trim().to_owned();
    let schedule = |arguments: &[&str]| ask(folder.path(), &url, &key, &[&["schedule"], arguments].concat());
    assert!(said(&schedule(&["list"])).contains("when"));
    assert_eq!(said(&schedule(&["list", "--json"])).trim(), "[]");
    assert!(said(&schedule(&["recurring", "list"])).contains("next run"));
    let nobody = "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77";
    for arguments in [&["cancel", nobody][..], &["recurring", "pause", nobody], &["recurring", "delete", nobody]] {
        let output = schedule(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
    assert!(said(&schedule(&["quiet-hours"])).starts_with("Off"));
    assert_eq!(schedule(&["quiet-hours", "--from", "22:00"]).status.code(), Some(2), "both or none");
    let set = schedule(&["quiet-hours", "--from", "22:00", "--to", "07:00"]);
    assert!(said(&set).contains("from 22:00 to 07:00"), "{set:?}");
    assert!(said(&schedule(&["quiet-hours", "--off"])).starts_with("Off (else from 22:00"));
}

#[test]
fn a_campaign_takes_a_file_for_everybody_and_says_whether_it_waits_for_the_morning() {
    let folder = folder();
    let mut server = Server::start(folder.path(), &["--sandbox", "--json"]);
    let ready = server.ready();
    let url = ready["api"].as_str().expect("url");
    let key = answer(folder.path(), &["api-key", "create", "demo"]).trim().to_owned();
    link_shop(folder.path(), &ready, &key);
    curl(&["-d", "{\"phone\":\"+12025550151\"}", &format!("{}/admin/phones", ready["sandbox"]["admin"].as_str().expect("url"))]);
    let (people, menu) = (folder.path().join("people.csv"), folder.path().join("menu.png"));
    std::fs::write(&people, "phone,name\n+12025550151,Ann\n").expect("written");
    image::DynamicImage::new_rgb8(64, 48).save(&menu).expect("written");
    let (people, menu) = (people.to_str().expect("text"), menu.to_str().expect("text"));
    let campaign = |flags: &[&str]| ask(folder.path(), url, &key, &[&["campaign", "run", people, "--pacing", "none"], flags].concat());
    let misspelt: [&[&str]; 4] =
        [&[], &["--media", menu, "--template", "x"], &["--text", "x", "--type", "image"], &["--text", "x", "--quiet-hours=maybe"]];
    for wrong in misspelt {
        assert_eq!(campaign(wrong).status.code(), Some(2), "{wrong:?}");
    }
    for (wrong, why) in [
        (["--media", "/nowhere/menu.png", "--type", "image"], "can't read /nowhere/menu.png"),
        (["--media", menu, "--type", "painting"], "media_type: must be one of: image"),
        (["--media", people, "--type", "image"], "MEDIA_TYPE_NOT_ALLOWED"),
    ] {
        let refused = campaign(&wrong);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && said.contains(why), "{wrong:?}: {said}");
    }
    assert_eq!(said(&ask(folder.path(), url, &key, &["campaign", "list", "--json"])).trim(), "[]", "nothing was made");
    let tried = campaign(&["--media", menu, "--dry-run"]);
    assert!(said(&tried).starts_with("1 recipients, 1 would get a message"), "{tried:?}");
    let done = campaign(&["--media", menu, "--text", "Hi {{name}}", "--quiet-hours=false", "--json"]);
    assert!(done.status.success(), "{done:?}");
    let report: serde_json::Value = serde_json::from_str(&said(&done)).expect("JSON");
    assert_eq!((&report["state"], &report["quiet_hours"]), (&"finished".into(), &false.into()), "{report}");
    assert_eq!((&report["media"]["media_type"], &report["media"]["filename"]), (&"image".into(), &"menu.png".into()), "{report}");
    assert_eq!((&report["content"], &report["accepted"]), (&"Hi {{name}}".into(), &1.into()), "{report}");
}

#[test]
fn a_seal_key_is_changed_and_the_old_one_retired() {
    let folder = folder();
    let secrets = folder.path().join("secrets");
    let mut server = Server::start(folder.path(), &["--sandbox", "--json"]);
    server.ready();
    assert!(complaint(folder.path(), &["secrets", "rotate"]).contains("stop it first"), "a server that runs would not know the key");
    server.stop();
    assert!(complaint(folder.path(), &["secrets", "activate"]).contains("no key waits here"));
    assert!(answer(folder.path(), &["secrets", "rotate", "--prepare"]).contains("The seal key 2 waits"));
    assert!(secrets.join("seal_key_2.waiting").exists());
    assert!(answer(folder.path(), &["secrets", "rotate"]).contains("The seal key 2 is in use"));
    assert!(secrets.join("seal_key_2").exists() && !secrets.join("seal_key_2.waiting").exists());
    assert!(complaint(folder.path(), &["secrets", "retire", "2"]).contains("is in use"));
    assert!(complaint(folder.path(), &["secrets", "retire", "7"]).contains("no old seal key 7"));
    let status: serde_json::Value = serde_json::from_str(&answer(folder.path(), &["secrets", "status", "--json"])).expect("JSON");
    assert_eq!((&status["keys"][0]["state"], &status["keys"][1]["state"]), (&serde_json::json!("old"), &serde_json::json!("in use")));
    if status["keys"][0]["values"] != 0 {
        assert!(complaint(folder.path(), &["secrets", "retire", "1"]).contains("is still needed by"));
    }
    assert!(answer(folder.path(), &["secrets", "reseal"]).contains("values were sealed anew"));
    assert!(answer(folder.path(), &["secrets", "retire", "1"]).contains("The seal key 1 is gone"));
    assert!(!secrets.join("seal_key_1").exists() && secrets.join("mac_key_1").exists());
    assert!(answer(folder.path(), &["audit", "verify"]).contains("all as they were written"));
    let log = answer(folder.path(), &["audit", "list", "--action", "secrets", "--json"]);
    for action in ["secrets.begun", "secrets.prepared", "secrets.rotated", "secrets.retired"] {
        assert!(log.contains(action), "{action}: {log}");
    }
    let mut server = Server::start(folder.path(), &["--sandbox", "--json"]);
    server.ready();
}
