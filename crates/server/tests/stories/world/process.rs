//! The product as a process that can be killed, while the simulated network lives on in the test.

use super::{Api, Database, Friend, Shop};
use sanasend_sandbox::{Control, Sandbox};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A running `sanasend serve`.
pub struct Process {
    child: Child,
    /// The line it printed when it was ready.
    pub ready: Value,
    customer: OnceLock<String>,
}

impl Process {
    /// Starts the binary on `folder` with these arguments more, and waits until it is ready.
    pub async fn start(folder: &Path, arguments: &[String]) -> Self {
        Self::start_in(folder, arguments, &[]).await
    }

    /// The same with variables of its environment.
    pub async fn start_in(folder: &Path, arguments: &[String], environment: &[(&str, &str)]) -> Self {
        Self::start_under(&[], folder, arguments, environment).await
    }

    /// The same, started by another program that turns into it (`sh -c '...; exec "$@"' sh`).
    pub async fn start_under(starter: &[&str], folder: &Path, arguments: &[String], environment: &[(&str, &str)]) -> Self {
        let journal = folder.join("journal.txt");
        let stderr = File::options().create(true).append(true).open(&journal).expect("a journal");
        let words: Vec<&str> = starter.iter().copied().chain([env!("CARGO_BIN_EXE_sanasend")]).collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.join("data"))
            .args(arguments);
        command.envs(environment.iter().copied()).env("SANASEND_AUTH_PASSWORD_MEMORY_KIB", "8192");
        // Receivers of webhooks listen on this machine.
        command.env("SANASEND_EGRESS_ALLOW", "127.0.0.1");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true).spawn().expect("the binary");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let line = lines.next_line().await.expect("stdout is read");
        let line =
            line.unwrap_or_else(|| panic!("it ended before it was ready: {}", std::fs::read_to_string(&journal).unwrap_or_default()));
        Self { child, ready: serde_json::from_str(&line).expect("the ready line is JSON"), customer: OnceLock::new() }
    }

    /// The admin of a first start, logged in.
    pub async fn admin(&self) -> Api {
        let admin = &self.ready["admin"];
        let login = json!({"username": admin["username"], "password": admin["password"]});
        let answer = self.api().post("/auth/login/", &login).await;
        self.api().with_token(answer.expect(200)["access"].as_str().expect("an access token"))
    }

    /// A user with an API key, made by the admin of a first start.
    pub async fn customer(&self) -> Api {
        let admin = self.admin().await;
        let user = json!({"username": "customer", "email": "customer@example.com", "password": "a long enough password"});
        let user = admin.post("/users/", &user).await.expect(201).clone();
        let key = admin.post("/api-keys/", &json!({"user": user["id"], "name": "key"})).await;
        let key = key.expect(201)["key"].as_str().expect("shown once").to_owned();
        self.api().with_key(self.customer.get_or_init(|| key))
    }

    /// The key of that user.
    pub fn key_of_customer(&self) -> String {
        self.customer.get().expect("made before").clone()
    }

    /// From now on every write of a file fails, as on a full disk. It has to ignore the signal that comes with that.
    pub async fn fill_disk(&self) {
        let pid = self.child.id().expect("running").to_string();
        let status = Command::new("prlimit").args(["--pid", &pid, "--fsize=1:"]).status().await.expect("prlimit");
        assert!(status.success());
    }

    /// Lets it write files of any size again.
    pub async fn lift_file_limit(&self) {
        let pid = self.child.id().expect("running").to_string();
        let status = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().await.expect("prlimit");
        assert!(status.success());
    }

    /// Its API, without credentials.
    pub fn api(&self) -> Api {
        Api::new(self.ready["api"].as_str().expect("api"))
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Sends a signal by name; only to this child.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("running").to_string();
        let status = Command::new("kill").arg(format!("-{name}")).arg(pid).status().await.expect("kill");
        assert!(status.success());
    }

    /// The most memory that it has had resident so far, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let pid = self.child.id().expect("running");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").parse().expect("KiB")
    }

    /// Asks it to stop and waits; answers whether it said goodbye properly.
    pub async fn stop(mut self) -> bool {
        self.signal("TERM").await;
        self.child.wait().await.expect("ended").success()
    }
}

/// The network here, the product in a process of its own.
pub struct Split {
    sandbox: Sandbox,
    database: Database,
    folder: TempDir,
    key_file: PathBuf,
    /// The demo user's key, told at the first start only.
    key: Option<String>,
    process: Option<Process>,
    number: String,
    environment: Vec<(&'static str, String)>,
}

impl Split {
    /// A network, and the product connected to it.
    pub async fn start() -> Self {
        Self::start_on(Database::of_this_story().await).await
    }

    /// The same on a database of its own.
    pub async fn start_on(database: Database) -> Self {
        Self::start_in(database, Vec::new()).await
    }

    /// The same with variables of the product's environment.
    pub async fn start_in(database: Database, environment: Vec<(&'static str, String)>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = "127.0.0.1:0".parse().expect("an address");
        let config = sanasend_sandbox::Config { data_dir: folder.path().join("network"), listen: Some(free), tls_listen: None };
        let sandbox = Sandbox::start(config).await.expect("the network starts");
        let key_file = folder.path().join("network.key");
        std::fs::write(&key_file, hex::encode(sandbox.static_key())).expect("the key file");
        let mut split = Self { sandbox, database, folder, key_file, key: None, process: None, number: String::new(), environment };
        split.run().await;
        split
    }

    /// The same with the account linked.
    pub async fn linked() -> Self {
        Self::linked_on(Database::of_this_story().await).await
    }

    /// The same on a database of its own.
    pub async fn linked_on(database: Database) -> Self {
        let mut split = Self::start_on(database).await;
        let mut shop = split.shop();
        shop.link().await;
        split.number = shop.number;
        split
    }

    /// Starts the product (again) on its folder.
    pub async fn run(&mut self) {
        let address = self.sandbox.addresses().ws.clone().expect("a plain port");
        self.run_against(&address).await;
    }

    /// Starts the product on its folder, led to the network at this address; it expects the key of ours there.
    pub async fn run_against(&mut self, address: &str) {
        let mut environment = self.database.environment();
        environment.extend(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        let process = Process::start_in(self.folder.path(), &self.connected_to(address), &environment).await;
        if let Some(key) = process.ready["demo"]["api_key"].as_str() {
            self.key = Some(key.to_owned());
        }
        self.process = Some(process);
    }

    /// Starts another node: a folder of its own with the first one's secrets, the same database, the same network.
    pub async fn another_node(&self) -> (Process, Shop) {
        let folder = self.folder.path().join("another");
        let data = folder.join("data");
        let copied = std::process::Command::new("sh")
            .args(["-c", "mkdir -p \"$1\" && chmod 700 \"$1\" && cp -a \"$0/secrets\" \"$1/\""])
            .args([self.data_dir(), data])
            .status();
        assert!(copied.expect("sh").success());
        let address = self.sandbox.addresses().ws.clone().expect("a plain port");
        let process = Process::start_in(&folder, &self.connected_to(&address), &self.database.environment()).await;
        let mut shop = Shop::new(process.api().with_key(&self.key()), self.control());
        shop.number.clone_from(&self.number);
        (process, shop)
    }

    /// `kill -9` of the product; the network stays.
    pub async fn kill(&mut self) {
        self.process.take().expect("running").kill().await;
    }

    /// Asks the product to stop and waits; answers whether it said goodbye properly.
    pub async fn stop(&mut self) -> bool {
        self.process.take().expect("running").stop().await
    }

    /// Waits until the product has ended by itself.
    pub async fn ended(&mut self) {
        let mut process = self.process.take().expect("running");
        process.child.wait().await.expect("ended");
    }

    /// `kill -9`, and at once a new start.
    pub async fn kill_and_run(&mut self) {
        self.kill().await;
        self.run().await;
    }

    /// Starts the product again by another program that turns into it, see [`Process::start_under`].
    pub async fn run_under(&mut self, starter: &[&str]) {
        let address = self.sandbox.addresses().ws.clone().expect("a plain port");
        let process = Process::start_under(starter, self.folder.path(), &self.connected_to(&address), &[]).await;
        self.process = Some(process);
    }

    fn connected_to(&self, address: &str) -> [String; 4] {
        ["--sandbox-connect".to_owned(), address.to_owned(), "--sandbox-key-file".to_owned(), self.key_file.display().to_string()]
    }

    /// The running product.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("running")
    }

    /// What the network and the product's journal say of a message.
    pub fn history_of(&self, id: &str) -> String {
        let journal = std::fs::read_to_string(self.folder.path().join("journal.txt")).unwrap_or_default();
        let told: Vec<&str> = journal.lines().filter(|line| line.contains(id)).collect();
        format!("{}\njournal:\n{}", super::history_of(&self.sandbox.control(), id), told.join("\n"))
    }

    /// Everything that the product logged so far.
    pub fn journal(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("journal.txt")).expect("a journal")
    }

    /// The database that it runs on.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// From the next start on it runs on this one.
    pub fn take_database(&mut self, database: Database) {
        self.database = database;
    }

    /// From the next start on it runs on a new database of the same kind; SQLite's is that of its folder.
    pub async fn take_another_database(&mut self) {
        if self.database.is_postgres() {
            self.database = Database::postgres().await;
        }
    }

    /// The folder of the story.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The folder of the product's data.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The demo user's key.
    pub fn key(&self) -> String {
        self.key.clone().expect("told at the first start")
    }

    /// The network's control.
    pub fn control(&self) -> Control {
        self.sandbox.control()
    }

    /// The demo user, with the account's number when it was linked.
    pub fn shop(&self) -> Shop {
        let api = self.process().api().with_key(&self.key());
        let mut shop = Shop::new(api, self.control());
        shop.number.clone_from(&self.number);
        shop
    }

    /// A new virtual phone.
    pub async fn friend(&self, name: &str) -> Friend {
        Friend::new(self.control(), name).await
    }
}
