//! Sentences about the configuration, each tried.

use super::*;

fn from_text(toml: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Loaded, Problems> {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("sanasend.toml");
    std::fs::write(&file, toml).expect("written");
    load(Sources {
        file: Some(file),
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        flags: flags.iter().map(|(path, value)| (*path, (*value).to_owned())).collect(),
    })
}

fn row<'a>(loaded: &'a Loaded, path: &str) -> &'a Row {
    loaded.rows.iter().find(|row| row.path == path).expect("a row")
}

#[test]
fn nothing_set_gives_the_defaults_on_loopback_only() {
    let loaded = load(Sources::default()).expect("defaults are sound");
    assert_eq!(loaded.config, defaults(Profile::Development).config);
    assert!(loaded.config.general.listen.ip().is_loopback());
    assert!(loaded.rows.iter().all(|row| row.source == "default"));
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let toml = "listen = '127.0.0.1:1'\ndata_dir = 'from-file'\n[http]\nbody_limit_kib = 100\n";
    let environment = [("SANASEND_LISTEN", "127.0.0.1:2"), ("SANASEND_HTTP__BODY_LIMIT_KIB", "200"), ("HOME", "/x")];
    let loaded = from_text(toml, &environment, &[("listen", "127.0.0.1:3")]).expect("sound");
    assert_eq!(loaded.config.general.listen.port(), 3);
    assert_eq!(loaded.config.http.body_limit_kib, 200);
    assert_eq!(loaded.config.general.data_dir, PathBuf::from("from-file"));
    assert_eq!(row(&loaded, "listen").source, "flag --listen (listen)");
    assert_eq!(row(&loaded, "http.body_limit_kib").source, "environment variable SANASEND_HTTP__BODY_LIMIT_KIB");
    assert!(row(&loaded, "data_dir").source.starts_with("file "), "{}", row(&loaded, "data_dir").source);
}

#[test]
fn every_problem_is_named_at_once_with_its_source() {
    let toml = "listen = 'nowhere'\nlissten = 1\n[http]\nbody_limit_kib = 1\ncors_origins = ['example.com']\n[strange]\nx = 1\n";
    let environment = [("SANASEND_LOG__FORMAT", "xml"), ("SANASEND_STORE__READERS", "many"), ("SANASEND_NO_SUCH", "1")];
    let Err(Problems(problems)) = from_text(toml, &environment, &[]) else { panic!("accepted") };
    let found: Vec<(&str, bool)> = problems.iter().map(|problem| (problem.path.as_str(), problem.source.starts_with("file "))).collect();
    for expected in [
        ("listen", true),
        ("lissten", true),
        ("http.body_limit_kib", true),
        ("http.cors_origins", true),
        ("strange.x", true),
        ("log.format", false),
        ("store.readers", false),
        ("no_such", false),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    assert_eq!(problems.len(), 8, "{problems:?}");
    let text = Problems(problems).to_string();
    assert!(text.contains("did you mean `listen`?") && text.contains("environment variable SANASEND_LOG__FORMAT"), "{text}");
}

#[test]
fn a_file_that_is_no_toml_or_not_there_is_a_problem() {
    let Err(Problems(problems)) = from_text("listen = ", &[], &[]) else { panic!("accepted") };
    assert_eq!(problems.len(), 1, "{problems:?}");
    let gone = load(Sources { file: Some("/nonexistent/sanasend.toml".into()), ..Sources::default() });
    assert!(gone.is_err_and(|problems| problems.to_string().contains("there is no such file")));
}

#[test]
fn text_from_the_environment_may_look_like_a_number_or_be_a_list() {
    let environment = [
        ("SANASEND_SESSIONS__DEVICE_NAME", "42"),
        ("SANASEND_TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.7"),
        ("SANASEND_HTTP__CORS_ORIGINS", "https://a.example"),
    ];
    let loaded = from_text("", &environment, &[]).expect("sound");
    assert_eq!(loaded.config.sessions.device_name, "42");
    assert_eq!(loaded.config.general.trusted_proxies.len(), 2);
    assert_eq!(loaded.config.http.cors_origins, ["https://a.example"]);
}

#[test]
fn the_dot_of_a_name_is_one_underscore_or_two() {
    for name in ["SANASEND_AUTH__PASSWORD_PASSES", "SANASEND_AUTH_PASSWORD_PASSES"] {
        assert_eq!(from_text("", &[(name, "7")], &[]).expect("sound").config.auth.password_passes, 7, "{name}");
    }
    let mut flat: Vec<String> = defaults(Profile::Development).rows.iter().map(|row| row.path.replace('.', "_")).collect();
    let count = flat.len();
    flat.sort();
    flat.dedup();
    assert_eq!(flat.len(), count, "two settings would share a variable");
}

#[test]
fn variables_of_the_command_line_are_no_settings() {
    let environment = [("SANASEND_URL", "http://x"), ("SANASEND_API_KEY", "k"), ("SANASEND_CONFIG", "f"), ("SANASEND_PASSWORD", "p")];
    assert!(from_text("", &environment, &[]).is_ok());
}

#[test]
fn a_profile_changes_defaults_and_not_what_was_set() {
    let loaded = from_text("profile = 'production'\n[log]\nformat = 'text'\n", &[], &[]).expect("sound");
    assert!(loaded.config.http.hsts);
    assert_eq!(loaded.config.log.format, LogFormat::Text);
}

#[test]
fn secrets_are_never_shown() {
    let loaded = from_text("[first_admin]\npassword = 'correct horse battery'\n", &[], &[]).expect("sound");
    assert_eq!(loaded.config.first_admin.password.as_ref().map(|password| password.0.as_str()), Some("correct horse battery"));
    let shown = format!("{:?} {:?}", loaded.rows, loaded.config);
    assert!(!shown.contains("horse"), "{shown}");
    let Err(problems) = from_text("", &[("SANASEND_FIRST_ADMIN__PASSWORD", "hunter2")], &[]) else { panic!("accepted") };
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
}

#[test]
fn a_sandbox_is_reached_on_this_machine_only() {
    for (url, sound) in [
        ("ws://127.0.0.1:8090/ws/chat", true),
        ("ws://[::1]:8090/ws/chat", true),
        ("ws://localhost:8090/ws/chat", false),
        ("ws://192.168.1.7:8090/ws/chat", false),
        ("wss://127.0.0.1:8090/ws/chat", false),
        ("ws://web.whatsapp.com/ws/chat", false),
    ] {
        let loaded = from_text("", &[], &[("sandbox.connect", url), ("sandbox.connect_key", "key")]);
        assert_eq!(loaded.is_ok(), sound, "{url}");
    }
    assert!(from_text("[sandbox]\nenabled = true\nlisten = '0.0.0.0:8090'\n", &[], &[]).is_err());
    assert!(from_text("profile = 'production'\n[sandbox]\nenabled = true\n", &[], &[]).is_err());
}

#[test]
fn every_setting_is_documented_and_its_name_is_told_apart_from_all_others() {
    let mut names: Vec<String> = defaults(Profile::Development).rows.iter().map(|row| row.path.clone()).collect();
    for row in defaults(Profile::Development).rows {
        assert!(row.doc.trim().len() > 10, "{} has no documentation", row.path);
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_files_in_the_repository_are_those_made_from_the_table() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, made) in [("docs/configuration.md", docs::page()), ("sanasend.example.toml", docs::example())] {
        let kept = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        assert!(kept == made, "{file} is old; write it again with `sanasend config --docs` or `--example`");
    }
}

#[test]
fn the_example_file_is_sound_with_every_line_taken_in() {
    let text = docs::example();
    let all: String = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| rest.contains(" = ") && !rest.starts_with(' ')).unwrap_or(line))
        // Empty text stands for "not set", which TOML can't say.
        .filter(|line| !line.ends_with("= \"\""))
        .fold(String::new(), |all, line| all + line + "\n");
    let loaded = from_text(&all, &[], &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.rows.iter().filter(|row| row.source != "default").count() > 30);
    // Values are compared; where they came from differs.
    let values = |config: Config| Config { rows: Vec::new(), ..config };
    assert_eq!(values(loaded.config), values(defaults(Profile::Development).config));
}
