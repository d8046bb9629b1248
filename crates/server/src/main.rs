//! The binary: sets the process up and hands over to the command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

/// glibc keeps the memory of a burst of password hashes; this one gives it back. Built without transparent huge pages
/// (cargo feature `no_thp`): with them an empty process is 17 MB larger.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Hashing, media and large frames run on these; more would only add memory.
const BLOCKING_THREADS: usize = 32;
/// How long an idle one of them stays. A thread that hashed a password keeps 19 MB until it ends.
const BLOCKING_IDLE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // Before anything can open a TLS connection: rustls must not choose a provider by itself.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return sanasend::cli::fail(&anyhow::anyhow!("another TLS provider was installed before ours"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_IDLE)
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(sanasend::cli::main());
            // What still runs in the background has been told to end, or does not matter any more.
            runtime.shutdown_background();
            code
        }
        Err(error) => sanasend::cli::fail(&error.into()),
    }
}
