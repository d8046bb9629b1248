//! Joins the sandbox's pipes to the engine's door: the two crates do not know each other.

use bytes::Bytes;
use sanasend_engine::{BytePipe, Dial, SandboxDoor};
use sanasend_sandbox::Sandbox;
use std::fmt;
use std::sync::Arc;

/// Dials the sandbox of this process.
struct InProcess(Sandbox);

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl Dial for InProcess {
    fn dial(&self) -> BytePipe {
        let pipe: sanasend_sandbox::Pipe = self.0.dial();
        let (outgoing, incoming): (tokio::sync::mpsc::Sender<Bytes>, _) = (pipe.outgoing, pipe.incoming);
        BytePipe { outgoing, incoming }
    }
}

/// The door through which sandbox accounts of this process reach `sandbox`, and nothing else.
pub fn door(sandbox: &Sandbox) -> SandboxDoor {
    SandboxDoor { dial: Arc::new(InProcess(sandbox.clone())), pinned_key: sandbox.static_key() }
}
