//! The binary as operators and scripts meet it: first and second start, one process per folder, lines to paste, commands.

mod commands;
mod plans;
mod server;
mod starts;
