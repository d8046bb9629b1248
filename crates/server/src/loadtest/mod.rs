//! Measures a server of this machine: accepts, sends, memory, waits. See `sanasend loadtest --help`.
