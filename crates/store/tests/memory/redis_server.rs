//! A Redis of a test's own: started on a free port, killed, frozen and emptied at will. The server's tests use it too.

use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A running `redis-server`. It ends with the value.
pub struct RedisServer {
    child: Child,
    port: u16,
}

impl RedisServer {
    pub async fn start() -> Self {
        loop {
            // The port may be taken between finding and using it: then the server ends, and another one is tried.
            let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
            if let Some(server) = Self::start_on(free.port()).await {
                return server;
            }
        }
    }

    pub async fn start_on(port: u16) -> Option<Self> {
        Self::start_with(port, &[]).await
    }

    /// The same with arguments more.
    pub async fn start_with(port: u16, more: &[String]) -> Option<Self> {
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.args(more);
        command.current_dir(std::env::temp_dir()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("redis-server is installed (./test does it)");
        let mut server = Self { child, port };
        while server.child.try_wait().expect("its state").is_none() {
            if server.answers().await {
                return Some(server);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    async fn answers(&self) -> bool {
        self.ask("PING").await.is_some_and(|answer| answer.starts_with("+PONG"))
    }

    /// A command in the plain form that needs no client.
    async fn ask(&self, command: &str) -> Option<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        connection.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Forgets everything.
    pub async fn flush(&self) {
        assert!(self.ask("FLUSHALL").await.is_some_and(|answer| answer.starts_with("+OK")));
    }

    /// Sends a signal by name; only to this child.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().expect("kill");
        assert!(status.success());
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
