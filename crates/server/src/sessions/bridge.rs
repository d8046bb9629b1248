//! Joins the sandbox's pipes to the engine's door: the two crates do not know each other.

use bytes::Bytes;
use sanasend_engine::{BytePipe, Dial, MediaDoor, SandboxDoor};
use sanasend_sandbox::{MediaHost, Sandbox};
use std::fmt;
use std::io::{self, Read};
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

/// The sandbox's media host, without HTTP.
struct Hosts(MediaHost);

impl MediaDoor for Hosts {
    fn exchange(
        &self,
        method: &str,
        path_and_query: &str,
        headers: &[(String, String)],
        body: &mut dyn Read,
    ) -> io::Result<(u16, Box<dyn Read + Send>)> {
        let answer = self.0.exchange(method, path_and_query, headers, body)?;
        Ok((answer.status, answer.body))
    }
}

/// The door through which sandbox accounts of this process reach `sandbox`, and nothing else.
pub fn door(sandbox: &Sandbox) -> SandboxDoor {
    SandboxDoor { dial: Arc::new(InProcess(sandbox.clone())), pinned_key: sandbox.static_key(), media: Arc::new(Hosts(sandbox.media())) }
}
