//! What the process uses of the machine, read from `/proc`, which Linux has; elsewhere nothing is told.
//!
//! Names are those of Prometheus' own client libraries, which ready-made dashboards know.

/// Size of a page as the kernel counts resident memory, and ticks of processor time in a second: both are fixed on the
/// platforms that the binary is made for.
const PAGE_BYTES: u64 = 4096;
const TICKS_PER_SECOND: u32 = 100;

/// Memory, files and processor time of this process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// Memory that is really there.
    pub resident_bytes: u64,
    /// Open files and sockets.
    pub open_fds: u64,
    /// Most of them that are allowed.
    pub max_fds: Option<u64>,
    /// Processor time, all threads.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u64,
}

impl Usage {
    /// Reads the figures; `None` where they can't be read.
    pub(super) fn read() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let open_fds = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        let (cpu_seconds, threads, pages) = parse(&stat)?;
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Some(Self { resident_bytes: pages * PAGE_BYTES, open_fds, max_fds: limit, cpu_seconds, threads })
    }
}

/// Processor time, threads, resident pages. The program's name comes in brackets and may hold anything: what is read stands
/// behind the last bracket.
fn parse(stat: &str) -> Option<(f64, u64, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let ticks = u32::try_from(number(11)? + number(12)?).ok()?;
    Some((f64::from(ticks) / f64::from(TICKS_PER_SECOND), number(17)?, number(21)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_read_whatever_the_program_is_called() {
        let line = "17 (a) b c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 1000 999999 2560 18446744073709551615";
        assert_eq!(parse(line), Some((2.0, 9, 2560)));
    }

    #[test]
    fn this_process_is_somewhere() {
        let usage = Usage::read().expect("Linux");
        assert!(usage.resident_bytes > 1024 * 1024 && usage.open_fds > 2 && usage.threads >= 1, "{usage:?}");
    }
}
