//! The processes that a load test starts: the same binary, on temporary folders, ended by it and by nobody else.

use anyhow::{Context, bail};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long a process may take to become ready, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// In which Linux counts processor time towards programs, on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process of ours, and what it said when it was ready.
pub struct Process {
    child: Child,
    /// Its one line of JSON.
    pub ready: Value,
}

impl Process {
    /// Starts this binary with `arguments` on `folder` and waits for its line of JSON. No setting of the caller's
    /// environment gets through, only `settings`.
    ///
    /// # Errors
    /// When it ends or says nothing in time; its log goes to standard error.
    pub async fn start(arguments: &[&str], folder: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let binary = std::env::current_exe().context("this program's own file is not known")?;
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(crate::config::read::ENV_PREFIX) {
                command.env_remove(name);
            }
        }
        command.args(arguments).arg("--json").arg("--data-dir").arg(folder).envs(settings.iter().copied());
        command.env("SANASEND_LOG__FILTER", "error").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("the server's process can't be started")?;
        let out = child.stdout.take().context("the process has no output")?;
        let mut lines = BufReader::new(out).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.context("the process was not ready in time")??;
        let Some(line) = line else { bail!("the process ended before it was ready: {}", child.wait().await?) };
        let ready = serde_json::from_str(&line).context("the process said something else than its line of JSON")?;
        Ok(Self { child, ready })
    }

    /// A text of the line of JSON, by JSON pointer.
    ///
    /// # Errors
    /// When it is not there.
    pub fn text(&self, pointer: &str) -> anyhow::Result<String> {
        let found = self.ready.pointer(pointer).and_then(Value::as_str);
        found.map(str::to_owned).with_context(|| format!("the server did not tell {pointer}"))
    }

    /// Resident memory of the process, KiB: `VmRSS` is all of it, `RssAnon` the part that is no mapped file.
    ///
    /// # Errors
    /// Where the system does not tell it.
    pub fn resident_kib(&self, figure: &str) -> anyhow::Result<u64> {
        let pid = self.child.id().context("the process has ended")?;
        let status =
            std::fs::read_to_string(format!("/proc/{pid}/status")).context("resident memory is read from /proc, which Linux has")?;
        let found = status.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| *name == figure);
        let (_, value) = found.with_context(|| format!("the system does not tell {figure}"))?;
        value.trim().trim_end_matches("kB").trim().parse().with_context(|| format!("{figure} is no number"))
    }

    /// From now on `VmHWM` tells the most memory since this moment. Where the system does not do that, it goes on telling the
    /// most since the start.
    pub fn forget_peak(&self) {
        if let Some(pid) = self.child.id() {
            let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    /// Processor time that the process has taken so far, its own code and the system's for it, seconds.
    ///
    /// # Errors
    /// Where the system does not tell it.
    pub fn processor_seconds(&self) -> anyhow::Result<f64> {
        let pid = self.child.id().context("the process has ended")?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("processor time is read from /proc, which Linux has")?;
        // The name in parentheses may hold anything; the two times are the 12th and 13th figure behind it.
        let figures = stat.rsplit_once(')').map_or("", |(_, figures)| figures).split_ascii_whitespace().skip(11).take(2);
        let ticks: Result<Vec<u32>, _> = figures.map(str::parse).collect();
        Ok(ticks.context("processor time is no number")?.into_iter().map(f64::from).sum::<f64>() / TICKS_PER_SECOND)
    }

    /// Asks the process to stop and waits for it.
    ///
    /// # Errors
    /// When it does not stop in time (it is killed then) or ends badly.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.context("the process did not stop in time")??;
        anyhow::ensure!(status.success(), "the process ended badly: {status}");
        Ok(())
    }
}
