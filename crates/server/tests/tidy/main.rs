//! Tests that hold the walls of the house: they read the manifests and the sources, not the behaviour.
//!
//! Apart from every other test because they need nothing to run. Each one names the file and line to change,
//! so that a rule is learned from its failure. The rules themselves are told in ARCHITECTURE.md and CONTRIBUTING.md.
#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first thing that is not as it should be")]

mod dependencies;
mod documents;
mod guides;
mod shape;
mod source;
mod walls;
