//! What a load test found: the JSON for scripts and the table for people.

use crate::cli::out;
use serde::Serialize;

/// All figures. The names are a contract with scripts.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What is measured first.
    #[serde(flatten)]
    pub accepts: Accepts,
    /// All else, unless accepts alone were asked for.
    #[serde(flatten)]
    pub rest: Option<Rest>,
}

/// Accepts and lists, and the machine's limits beside them.
#[derive(Debug, Clone, Serialize)]
pub struct Accepts {
    /// Durable accepts.
    pub accept: Accept,
    /// Lists of the newest twenty messages, with many clients.
    pub list: Rate,
    /// What the disk and a bare database did in the same minute.
    pub raw: Raw,
}

/// What linked accounts are needed for, and the time to start.
#[derive(Debug, Clone, Serialize)]
pub struct Rest {
    /// Resident memory of the serving process.
    pub memory: Memory,
    /// Waiting times.
    pub latency: Latency,
    /// Texts sent to the end: from accept to WhatsApp's acknowledgement.
    pub sends_per_s: Sends,
    /// Webhooks.
    pub webhooks: Hooks,
}

/// Webhooks, from a virtual phone to the receiver.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Hooks {
    /// Median time from the phone to the receiver at 200 a second, milliseconds.
    pub p50_ms: f64,
    /// The slowest hundredth takes at least this.
    pub p99_ms: f64,
    /// Per second, when phones write as fast as they can.
    pub per_s: f64,
    /// Per second, when deliveries have piled up.
    pub drain_per_s: f64,
    /// The slowest hundredth while another user is told as much, milliseconds.
    pub beside_alive_p99_ms: f64,
    /// The same while that user's receiver is dead.
    pub beside_dead_p99_ms: f64,
}

/// Durable accepts by number of clients, each waiting for its answer before it sends the next.
#[derive(Debug, Clone, Serialize)]
pub struct Accept {
    /// One client.
    pub c1: Rate,
    /// Many clients (64 unless told otherwise).
    pub c64: Rate,
    /// Processor time of the server for one accept with many clients, microseconds.
    pub c64_cpu_us: f64,
}

/// How many per second, and how long one took.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rate {
    /// Accepted per second, each on disk before its answer.
    pub per_s: f64,
    /// Median time of one, milliseconds.
    pub p50_ms: f64,
    /// The slowest hundredth takes at least this, milliseconds.
    pub p99_ms: f64,
}

/// The machine's limits.
#[derive(Debug, Clone, Serialize)]
pub struct Raw {
    /// 4 KiB written and synced to disk, per second.
    pub fsync_per_s: f64,
    /// SQLite transactions of one row, per second.
    pub commit_per_s: f64,
    /// SQLite rows in transactions of 64, per second.
    pub rows_per_s_batch64: f64,
    /// Bare queries for twenty rows of the same table, one connection, per second.
    pub lists_per_s: f64,
}

/// Resident memory of the serving process; the sandbox runs in another one here.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// Without any account.
    pub empty_kib: u64,
    /// Of it, what is no mapped file: the binary itself lies in memory once, shared and given back under pressure.
    pub empty_private_kib: u64,
    /// What each linked account added.
    pub per_account_kib: f64,
    /// Accounts that were linked for it.
    pub accounts: usize,
}

/// Waiting times, milliseconds; medians unless named otherwise.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are a contract with scripts")]
pub struct Latency {
    /// From the start of the process to its first answer.
    pub start_ms: f64,
    /// From the request that starts linking to its answer with a QR code.
    pub qr_ms: f64,
    /// From the scan of the code to the status `connected`.
    pub link_ms: f64,
    /// From the request to WhatsApp's acknowledgement of the text.
    pub ack_p50_ms: f64,
    /// The slowest hundredth takes at least this.
    pub ack_p99_ms: f64,
}

/// Texts per second, from accept to acknowledgement.
#[derive(Debug, Clone, Serialize)]
pub struct Sends {
    /// All through one linked account.
    pub one_account: f64,
    /// Through twenty at once.
    pub twenty_accounts: f64,
}

impl Report {
    /// The table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = out::table(["figure", "value", ""]);
        let rate = |rate: &Rate| format!("p50 {:.2} ms, p99 {:.2} ms", rate.p50_ms, rate.p99_ms);
        table.add_row(["durable accepts, 1 client", &format!("{:.0} /s", self.accepts.accept.c1.per_s), &rate(&self.accepts.accept.c1)]);
        table.add_row([
            "durable accepts, many clients",
            &format!("{:.0} /s", self.accepts.accept.c64.per_s),
            &rate(&self.accepts.accept.c64),
        ]);
        let cpu = format!("{:.1} us", self.accepts.accept.c64_cpu_us);
        table.add_row(["processor time of one of them", &cpu, "the server's, all threads"]);
        table.add_row(["fsync of 4 KiB", &format!("{:.0} /s", self.accepts.raw.fsync_per_s), "the disk alone"]);
        table.add_row(["SQLite commits of one row", &format!("{:.0} /s", self.accepts.raw.commit_per_s), "a bare file, same minute"]);
        table.add_row([
            "SQLite rows, 64 per commit",
            &format!("{:.0} /s", self.accepts.raw.rows_per_s_batch64),
            "a bare file, same minute",
        ]);
        table.add_row(["lists of 20, many clients", &format!("{:.0} /s", self.accepts.list.per_s), &rate(&self.accepts.list)]);
        table.add_row(["bare queries for 20 rows", &format!("{:.0} /s", self.accepts.raw.lists_per_s), "one connection, same table"]);
        if let Some(rest) = &self.rest {
            rest.tell(&mut table);
        }
        table.to_string()
    }
}

impl Rest {
    fn tell(&self, table: &mut comfy_table::Table) {
        let private = format!("resident; {} KiB without the mapped binary", self.memory.empty_private_kib);
        table.add_row(["memory, empty", &format!("{} KiB", self.memory.empty_kib), &private]);
        let accounts = format!("at {} accounts", self.memory.accounts);
        table.add_row(["memory per linked account", &format!("{:.0} KiB", self.memory.per_account_kib), &accounts]);
        table.add_row(["process start to first answer", &format!("{:.0} ms", self.latency.start_ms), "new data folder"]);
        table.add_row(["link request to QR code", &format!("{:.1} ms", self.latency.qr_ms), "median"]);
        table.add_row(["scan to connected", &format!("{:.1} ms", self.latency.link_ms), "median"]);
        let slow = format!("p99 {:.2} ms", self.latency.ack_p99_ms);
        table.add_row(["accept to acknowledgement", &format!("{:.2} ms", self.latency.ack_p50_ms), &slow]);
        table.add_row(["texts sent, one account", &format!("{:.0} /s", self.sends_per_s.one_account), "accept to acknowledgement"]);
        table.add_row(["texts sent, twenty accounts", &format!("{:.0} /s", self.sends_per_s.twenty_accounts), "accept to acknowledgement"]);
        self.webhook_rows(table);
    }

    fn webhook_rows(&self, table: &mut comfy_table::Table) {
        let hooks = &self.webhooks;
        let slow = format!("p99 {:.2} ms, at 200 /s", hooks.p99_ms);
        table.add_row(["phone to webhook receiver", &format!("{:.2} ms", hooks.p50_ms), &slow]);
        table.add_row(["webhooks, phones at full speed", &format!("{:.0} /s", hooks.per_s), "simulated network in the same process"]);
        table.add_row(["webhooks that have piled up", &format!("{:.0} /s", hooks.drain_per_s), "one receiver"]);
        let alive = format!("p99; {:.2} ms while it is alive", hooks.beside_alive_p99_ms);
        table.add_row(["beside another's dead receiver", &format!("{:.2} ms", hooks.beside_dead_p99_ms), &alive]);
    }
}

/// The value below which `share` (0 to 1) of the samples lie; 0 without samples.
#[must_use]
pub fn quantile(samples: &mut [f64], share: f64) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    samples.sort_unstable_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list in memory"
    )]
    let index = ((samples.len() - 1) as f64 * share).round() as usize;
    samples[index.min(samples.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_hundred_and_one_samples() {
        let mut samples: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert!((quantile(&mut samples, 0.5) - 50.0).abs() < f64::EPSILON);
        assert!((quantile(&mut samples, 0.99) - 99.0).abs() < f64::EPSILON);
        assert!(quantile(&mut [], 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn the_shape_is_the_one_that_scripts_were_promised() {
        let rate = Rate { per_s: 1.0, p50_ms: 2.0, p99_ms: 3.0 };
        let raw = Raw { fsync_per_s: 1.0, commit_per_s: 1.0, rows_per_s_batch64: 1.0, lists_per_s: 1.0 };
        let accepts = Accepts { accept: Accept { c1: rate, c64: rate, c64_cpu_us: 4.0 }, list: rate, raw };
        let rest = Rest {
            memory: Memory { empty_kib: 1, empty_private_kib: 1, per_account_kib: 1.0, accounts: 100 },
            latency: Latency { start_ms: 1.0, qr_ms: 1.0, link_ms: 1.0, ack_p50_ms: 1.0, ack_p99_ms: 1.0 },
            sends_per_s: Sends { one_account: 1.0, twenty_accounts: 1.0 },
            webhooks: Hooks { p50_ms: 1.0, p99_ms: 2.0, per_s: 3.0, drain_per_s: 4.0, beside_alive_p99_ms: 5.0, beside_dead_p99_ms: 6.0 },
        };
        let report = Report { accepts, rest: Some(rest) };
        let shape = serde_json::json!({
            "accept": {"c1": {"per_s": 1.0, "p50_ms": 2.0, "p99_ms": 3.0}, "c64": {"per_s": 1.0, "p50_ms": 2.0, "p99_ms": 3.0},
                "c64_cpu_us": 4.0},
            "raw": {"fsync_per_s": 1.0, "commit_per_s": 1.0, "rows_per_s_batch64": 1.0, "lists_per_s": 1.0},
            "list": {"per_s": 1.0, "p50_ms": 2.0, "p99_ms": 3.0},
            "memory": {"empty_kib": 1, "empty_private_kib": 1, "per_account_kib": 1.0, "accounts": 100},
            "latency": {"start_ms": 1.0, "qr_ms": 1.0, "link_ms": 1.0, "ack_p50_ms": 1.0, "ack_p99_ms": 1.0},
            "sends_per_s": {"one_account": 1.0, "twenty_accounts": 1.0},
            "webhooks": {"p50_ms": 1.0, "p99_ms": 2.0, "per_s": 3.0, "drain_per_s": 4.0, "beside_alive_p99_ms": 5.0,
                         "beside_dead_p99_ms": 6.0},
        });
        assert_eq!(serde_json::to_value(report).expect("json"), shape);
    }
}
