//! Starts the real binary on a folder of its own, and ends what it started.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A data folder that is gone after the test.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("folder")
}

/// The binary with an environment of its own: nobody's settings get in.
pub fn sanasend(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sanasend"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SANASEND_") {
            command.env_remove(name);
        }
    }
    command.arg("--data-dir").arg(folder).stdin(Stdio::null());
    // Passwords are hashed as cheaply as is allowed: these tests are not about them.
    command.env("SANASEND_AUTH__PASSWORD_MEMORY_KIB", "8192").env("SANASEND_AUTH__PASSWORD_PASSES", "1");
    command
}

/// Runs a command to its end.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    sanasend(folder).args(arguments).output().expect("runs")
}

/// What a command said on standard output, when it succeeded.
pub fn answer(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command complained about, when it failed.
pub fn complaint(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(!output.status.success(), "{arguments:?} succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asks the sandbox's control API.
pub fn curl(arguments: &[&str]) {
    let output = Command::new("curl").args(["-sSf", "-H", "Content-Type: application/json"]).args(arguments).output().expect("curl");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Links the account `shop` to a new virtual phone by the code that the command shows; `ready` is the server's own line.
pub fn link_shop(folder: &Path, ready: &Value, key: &str) {
    let (url, phones) = (ready["api"].as_str().expect("url"), ready["sandbox"]["admin"].as_str().expect("url"));
    let mut command = sanasend(folder);
    command.args(["session", "link", "shop", "--phone", "+12025550150"]).env("SANASEND_URL", url).env("SANASEND_API_KEY", key);
    let mut linking = Server::spawn(&mut command);
    let line = linking.line();
    let code = line.trim().rsplit(' ').next().expect("a code").to_owned();
    curl(&["-d", "{\"phone\":\"+12025550150\"}", &format!("{phones}/admin/phones")]);
    curl(&["-d", &format!("{{\"code\":\"{code}\"}}"), &format!("{phones}/admin/phones/+12025550150/pair-code")]);
    assert!(linking.line().contains("Connected: +12025550150"), "{line}");
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Server {
    /// Starts `serve` with free ports and these flags.
    pub fn start(folder: &Path, flags: &[&str]) -> Self {
        let ports = ["--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--sandbox-tls-listen", "127.0.0.1:0"];
        Self::spawn(sanasend(folder).arg("serve").args(ports).args(flags))
    }

    /// Starts any command that goes on running.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
        let out = BufReader::new(child.stdout.take().expect("output"));
        Self { child, out }
    }

    /// The line that it prints when it is ready.
    pub fn ready(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("a line of JSON")
    }

    /// The next line of its output; empty when it ended.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("output");
        line
    }

    /// Sends SIGTERM and waits for the end; the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill");
        assert!(killed.success());
        self.child.wait().expect("ends").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
