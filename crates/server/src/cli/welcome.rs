//! What `sanasend serve` prints when it is ready: the addresses, the secrets that are shown once, and lines to paste.

use super::serve::{Ready, ReadySandbox};
use crate::node::first_run::FRIEND;
use std::fmt::Write as _;
use std::path::Path;

/// The page. With a sandbox it ends with four curl lines that link an account, scan with a virtual phone, send, look.
#[must_use]
pub fn page(ready: &Ready, data_dir: &Path) -> String {
    let mut page = String::new();
    let mut say = |line: &str| {
        page.push_str(line);
        page.push('\n');
    };
    say("SanaSend is ready.");
    say("");
    say(&format!("  Dashboard      {}/admin/", ready.api));
    say(&format!("  API            {}/api/v1/", ready.api));
    say(&format!("  API document   {}/api/schema/", ready.api));
    if let Some(sandbox) = &ready.sandbox {
        say(&format!("  Sandbox        {} (for WhatsApp clients), {} (control)", sandbox.ws, sandbox.admin));
    }
    say(&format!("  Data folder    {}", data_dir.display()));
    say("");
    for line in secrets(ready) {
        say(&line);
    }
    match &ready.sandbox {
        Some(sandbox) => page.push_str(&lines(ready, sandbox)),
        None => page.push_str(&next_steps(ready)),
    }
    page
}

fn secrets(ready: &Ready) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(admin) = &ready.admin {
        match &admin.password {
            Some(password) => lines.push(format!("  Admin          {}   password {password}", admin.username)),
            None => lines.push(format!("  Admin          {} (forgotten? sanasend user set-password {0})", admin.username)),
        }
    }
    if let Some(demo) = &ready.demo {
        match &demo.api_key {
            Some(key) => lines.push(format!("  Demo user      {}   API key {key}", demo.username)),
            None => lines.push(format!("  Demo user      {} (another key: sanasend api-key create {0})", demo.username)),
        }
    }
    let shown = ready.admin.as_ref().is_some_and(|admin| admin.password.is_some());
    if shown {
        lines.push("  The password and the key are shown this once; only their hashes are kept.".into());
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

/// The four lines. They need nothing but a shell, curl and sed.
fn lines(ready: &Ready, sandbox: &ReadySandbox) -> String {
    let key = ready.demo.as_ref().and_then(|demo| demo.api_key.clone()).unwrap_or_else(|| "$SANASEND_API_KEY".into());
    let (api, admin) = (&ready.api, &sandbox.admin);
    let mut text = String::from("Try it: link an account, scan its code with a virtual phone, send, look.\n\n");
    let _ = writeln!(
        text,
        "curl -sS -X POST {api}/api/v1/sessions/init/ -H \"X-API-Key: {key}\" | sed -n 's/.*\"text\":\"\\([^\"]*\\)\".*/\\1/p' | tee sanasend-qr.txt"
    );
    let _ = writeln!(text, "curl -sS -X POST {admin}/admin/mock-phone/scan-qr --data-binary @sanasend-qr.txt");
    let _ = writeln!(
        text,
        "curl -sS -X POST '{api}/api/v1/messages/send-text/?wait=10' -H \"X-API-Key: {key}\" -H 'Content-Type: application/json' -d '{{\"recipient\": \"{FRIEND}\", \"content\": \"Hello from SanaSend\"}}'"
    );
    let _ = writeln!(text, "curl -sS {api}/api/v1/messages/list/ -H \"X-API-Key: {key}\"");
    let _ = writeln!(text, "\nWhat the other phone shows: {admin}/admin/phones/{FRIEND}/messages");
    text
}

fn next_steps(ready: &Ready) -> String {
    format!(
        "Next: make a user and an API key (sanasend user create, sanasend api-key create), then link a WhatsApp account:\n\n\
         SANASEND_URL={} SANASEND_API_KEY=... sanasend session link\n\n\
         To try it without a phone: sanasend serve --sandbox\n",
        ready.api
    )
}
