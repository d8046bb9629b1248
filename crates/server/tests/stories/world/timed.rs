//! The product as a process that can be killed, with a clock that the story moves: this test binary started again, in which
//! one test is the whole server and nothing else. The simulated network lives on in the story.

use super::{Api, Database, Shop, settings};
use sanasend::clock::SystemClock;
use sanasend::config::Hidden;
use sanasend::node::Node;
use sanasend_model::{Clock, Timestamp};
use sanasend_sandbox::{Control, Sandbox};
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The variable that tells the child what to run.
const RUN: &str = "STORY_PRODUCT";

/// The machine's clock and as many milliseconds more as stand in a file.
#[derive(Debug)]
struct StoryClock(File);

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        let mut ahead = [0; 8];
        self.0.read_exact_at(&mut ahead, 0).expect("the file of the clock");
        Timestamp(SystemClock.now().0 + i64::from_le_bytes(ahead))
    }

    fn fill(&self, bytes: &mut [u8]) {
        SystemClock.fill(bytes);
    }
}

/// Runs the server as the variable says, until it is killed. Without the variable it is nobody's server, and ends at once.
#[test]
fn the_product_of_a_story() {
    let Ok(run) = std::env::var(RUN) else { return };
    let run: Value = serde_json::from_str(&run).expect("JSON");
    let text = |name: &str| run[name].as_str().map(str::to_owned);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = PathBuf::from(text("folder").expect("a folder"));
    let mut config = settings(&folder);
    config.general.database_url = text("database").map(Hidden);
    config.sandbox.enabled = false;
    config.sandbox.connect = text("network");
    config.sandbox.connect_key = text("key").map(PathBuf::from);
    config.campaigns.on_the_way = 64;
    let clock = StoryClock(File::open(folder.join("clock")).expect("the clock"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let node = Node::start(config, Arc::new(clock)).await.expect("the product starts");
        let demo = node.first_run.demo.as_ref().and_then(|shown| shown.secret.clone());
        println!("\n{}", json!({"api": format!("http://{}", node.api), "key": demo}));
        std::future::pending::<()>().await;
    });
}

/// The network here, the product in a process of its own with a clock of its own.
pub struct Timed {
    sandbox: Sandbox,
    database: Database,
    folder: TempDir,
    child: Option<Child>,
    api: String,
    key: String,
    ahead: Duration,
    /// How often it was killed.
    pub kills: usize,
}

impl Timed {
    /// A network, and the product connected to it.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = "127.0.0.1:0".parse().expect("an address");
        let config = sanasend_sandbox::Config { data_dir: folder.path().join("network"), listen: Some(free), tls_listen: None };
        let sandbox = Sandbox::start(config).await.expect("the network starts");
        std::fs::write(folder.path().join("network.key"), hex::encode(sandbox.static_key())).expect("the key file");
        let database = Database::of_this_story().await;
        let (api, key, ahead) = (String::new(), String::new(), Duration::ZERO);
        let mut timed = Self { sandbox, database, folder, child: None, api, key, ahead, kills: 0 };
        timed.write_clock();
        timed.run().await;
        timed
    }

    fn write_clock(&self) {
        let ahead = i64::try_from(self.ahead.as_millis()).expect("some years at most");
        let file = File::options().create(true).truncate(false).write(true).open(self.folder.path().join("clock")).expect("the clock");
        file.write_all_at(&ahead.to_le_bytes(), 0).expect("written");
    }

    /// Starts the product (again).
    pub async fn run(&mut self) {
        let folder = self.folder.path();
        let database = self.database.environment().first().map(|(_, url)| (*url).to_owned());
        let network = self.sandbox.addresses().ws.clone().expect("a plain port");
        let run = json!({"folder": folder, "database": database, "network": network, "key": folder.join("network.key")});
        let journal = File::options().create(true).append(true).open(folder.join("journal.txt")).expect("a journal");
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.args(["--exact", "world::timed::the_product_of_a_story", "--nocapture"]).env(RUN, run.to_string());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(journal).kill_on_drop(true).spawn();
        let mut child = child.expect("the binary");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let ready = loop {
            let line = lines.next_line().await.expect("stdout is read");
            let line = line.unwrap_or_else(|| panic!("it ended before it was ready: {}", self.journal()));
            if let Ok(ready @ Value::Object(_)) = serde_json::from_str::<Value>(&line) {
                break ready;
            }
        };
        ready["api"].as_str().expect("an address").clone_into(&mut self.api);
        if let Some(key) = ready["key"].as_str() {
            key.clone_into(&mut self.key);
        }
        // What it prints from now on is of no interest, but somebody has to take it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.child = Some(child);
    }

    /// `kill -9`, and at once a new start.
    pub async fn kill_and_run(&mut self) {
        self.child.take().expect("running").kill().await.expect("killed");
        self.kills += 1;
        self.run().await;
    }

    /// Moves the product's clock; it sees that within seconds, or at its next start.
    pub fn pass(&mut self, time: Duration) {
        self.ahead += time;
        self.write_clock();
    }

    /// The product's time.
    pub fn now(&self) -> Timestamp {
        SystemClock.now().plus(self.ahead)
    }

    /// Everything that the product wrote to its journal.
    pub fn journal(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("journal.txt")).unwrap_or_default()
    }

    /// The folder of the product's data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The network's control.
    pub fn control(&self) -> Control {
        self.sandbox.control()
    }

    /// The demo user.
    pub fn shop(&self) -> Shop {
        Shop::new(Api::new(&self.api).with_key(&self.key), self.control())
    }
}
