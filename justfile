# Shortcuts. Everything here is a plain command, and nothing needs `just`.

# What there is
default:
    @just --list

# The whole product with the simulated WhatsApp
serve *ARGS:
    cargo run --release -- serve --sandbox {{ARGS}}

# Everything that must pass before a change lands
test:
    ./test

# Rust tests only, or those whose name holds WHAT
rust WHAT="":
    ./test rust {{WHAT}}

# WhatsApp clients that others wrote, against the sandbox
interop:
    ./test build interop

# Line coverage of our own crates; needs the LLVM tools of the compiler's version
coverage BAR="85":
    ci/coverage {{BAR}}

# Walls of the house: arrows, sizes, licences, papers
tidy:
    cargo test -p sanasend --test tidy

# Formats, then shows every warning
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# The OpenAPI document
openapi:
    cargo run -- openapi

# Every setting with its source
config:
    cargo run -- config

# Speed, memory, latency of this machine
loadtest *ARGS:
    cargo run --release -- loadtest {{ARGS}}

# Licences, bans and sources, where cargo-deny is installed (the tidy tests read the same file)
deny:
    cargo deny check bans licenses sources

# Documentation of the crates
doc:
    cargo doc --workspace --no-deps --open
