//! The page: what was counted, and behind it what is looked at when it is asked for.

use super::process::Usage;
use crate::app::App;
use crate::vitals;
use sanasend_model::SessionStatus;
use sanasend_store::JobCount;
use std::fmt::{Display, Write};

/// The whole page, in Prometheus' text format.
pub async fn render(app: &App) -> String {
    let mut page = Page(super::start().render());
    let seen = vitals::look(app).await;
    let (counts, uptime) = (app.sessions.counts(), app.clock.now().since(app.started_at).as_secs());
    let statuses = SessionStatus::ALL.iter().map(|status| (status.as_str(), counts.get(status).copied().unwrap_or(0)));
    page.family("sanasend_sessions", "gauge", "Accounts that this server knows, by status.", "status", statuses);
    if let Some(backlog) = seen.backlog {
        page.gauge("sanasend_outbox_depth", "Messages that wait for their outcome.", backlog.depth);
        let age = backlog.oldest.map_or(0, |at| app.clock.now().since(at).as_secs());
        page.gauge("sanasend_outbox_oldest_seconds", "Age of the oldest of them.", age);
    }
    for (state, help, of) in JOBS {
        let counts = seen.jobs.iter().map(|count| (count.kind.as_str(), of(count)));
        page.family(state, "gauge", help, "kind", counts);
    }
    if let Some(bytes) = seen.free_disk {
        page.gauge("sanasend_disk_free_bytes", "Free space where the data folder lies.", bytes);
    }
    let parts = seen.parts.iter().map(|part| (part.name, u8::from(part.status.is_ok())));
    page.family("sanasend_part_ok", "gauge", "1 while a part of the server is as it should be.", "part", parts);
    page.family("sanasend_build_info", "gauge", "The program.", "version", [(env!("CARGO_PKG_VERSION"), 1)].into_iter());
    page.gauge("sanasend_uptime_seconds", "Since when it serves.", uptime);
    if let Some(usage) = Usage::read() {
        page.process(&usage, app.started_at.0);
    }
    page.0
}

/// A family of figures about the kinds of jobs: name, help, and how it is read.
type OfJobs = (&'static str, &'static str, fn(&JobCount) -> u64);

const JOBS: [OfJobs; 3] = [
    ("sanasend_jobs_waiting", "Background jobs that wait.", |count| count.waiting),
    ("sanasend_jobs_running", "Background jobs that run.", |count| count.running),
    ("sanasend_jobs_dead", "Background jobs that were given up.", |count| count.dead),
];

/// The text as it grows.
struct Page(String);

impl Page {
    fn process(&mut self, usage: &Usage, started_ms: i64) {
        self.gauge("process_resident_memory_bytes", "Resident memory.", usage.resident_bytes);
        self.gauge("process_open_fds", "Open file descriptors.", usage.open_fds);
        if let Some(most) = usage.max_fds {
            self.gauge("process_max_fds", "Most open file descriptors.", most);
        }
        self.gauge("process_threads", "Threads.", usage.threads);
        self.one("process_cpu_seconds_total", "counter", "Processor time.", usage.cpu_seconds);
        self.gauge("process_start_time_seconds", "When it started, since 1970.", started_ms / 1000);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.one(name, "gauge", help, value);
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        // Writing to a string can't fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
    }

    fn family<'a, V: Display>(&mut self, name: &str, kind: &str, help: &str, label: &str, values: impl Iterator<Item = (&'a str, V)>) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (which, value) in values {
            let _ = writeln!(self.0, "{name}{{{label}=\"{which}\"}} {value}");
        }
        self.0.push('\n');
    }
}
