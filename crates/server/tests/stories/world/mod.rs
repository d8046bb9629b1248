//! The world of a story: a server in this process with its own folder and network, a shop that is its customer, and
//! friends who are virtual phones.

mod api;
mod bucket;
mod checker;
mod customer;
mod database;
mod friend;
mod process;
mod shop;
mod timed;
#[path = "../../waiting/mod.rs"]
mod waiting;

pub use api::{Answer, Api};
pub use bucket::{ACCESS_KEY, BUCKET, Bucket, SECRET_KEY};
pub use checker::{Transcript, history_of, shown_once, shown_once_in_order};
pub use customer::{Customer, Heard, Manner};
pub(crate) use database::also_on_postgres;
pub use database::{Database, Servers, on_postgres};
pub use friend::Friend;
pub use process::{Process, Split};
pub use shop::{Shop, qr_text, text_of};
pub use timed::Timed;
pub use waiting::{PATIENCE, becomes, eventually, settled_within};

use futures::FutureExt as _;
use sanasend::clock::SystemClock;
use sanasend::config::{self, Config, Profile};
use sanasend::node::Node;
use sanasend_model::{Content, Recipient, Timestamp};
use sanasend_sandbox::Control;
use sanasend_store::{MessageIds, NewMessage, Page, SessionFilter};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A server with the sandbox inside, as `serve --sandbox` starts it.
pub struct World {
    node: Option<Node>,
    database: Database,
    folder: TempDir,
    /// The demo user's key, shown at the first start.
    key: String,
    /// The first admin's password.
    pub admin_password: String,
}

impl World {
    /// A new server in a new folder.
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// The same, with settings of its own.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::of_this_story().await;
        let mut config = settings(folder.path());
        config.general.database_url = database.setting();
        change(&mut config);
        let node = Node::start(config, Arc::new(SystemClock)).await.expect("the server starts");
        let secret = |shown: &Option<sanasend::node::ShownOnce>| shown.as_ref().and_then(|shown| shown.secret.clone());
        let key = secret(&node.first_run.demo).unwrap_or_default();
        let admin_password = secret(&node.first_run.admin).expect("an admin at the first start");
        Self { node: Some(node), database, folder, key, admin_password }
    }

    /// Clears up among the files of messages, as a schedule does every hour.
    pub async fn sweep_media(&self) {
        self.node().app.media.sweep(None).await.expect("swept");
    }

    /// Stops the server in order and starts it again on the same folder.
    pub async fn restart(&mut self) {
        self.node.take().expect("running").stop().await;
        let mut config = settings(self.folder.path());
        config.general.database_url = self.database.setting();
        self.node = Some(Node::start(config, Arc::new(SystemClock)).await.expect("the server starts again"));
    }

    /// Stops the server in order.
    pub async fn stop(mut self) {
        self.node.take().expect("running").stop().await;
    }

    /// Hands in a text of the only account and gives up before it is on disk, as a caller does that hangs up.
    pub async fn gives_up_on(&self, friend: &Friend, text: &str) {
        let app = &self.node().app;
        let sessions = app.store.list_sessions(&SessionFilter::default(), Page { page: 1, page_size: 1 }).await.expect("read");
        let session = sessions.results.first().expect("an account");
        let (id, wa_message_id) = app.outbox.new_ids();
        let ids = MessageIds { id, wa_message_id, user_id: session.user_id, session_id: session.id };
        let recipient = Recipient::parse(&friend.number).expect("a recipient");
        let message = NewMessage::plain(ids, recipient, Content::text(text).expect("a text"), app.outbox.times(), 1000);
        assert!(app.outbox.accept(message).now_or_never().is_none(), "the disk is waited for");
    }

    /// Runs a statement behind the server's back. Only with SQLite.
    pub async fn tamper(&self, sql: &'static str) {
        use sqlx::Connection as _;
        let mut connection = self.behind().await;
        sqlx::query(sql).execute(&mut connection).await.expect("done");
        connection.close().await.expect("closed");
    }

    /// A number that a query answers behind the server's back. Only with SQLite.
    pub async fn ask(&self, sql: &'static str) -> i64 {
        let mut connection = self.behind().await;
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("answered")
    }

    async fn behind(&self) -> sqlx::SqliteConnection {
        use sqlx::ConnectOptions as _;
        let database = sanasend::data_dir::database(&self.folder.path().join("data"));
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database).busy_timeout(Duration::from_secs(30));
        options.connect().await.expect("the database opens")
    }

    fn node(&self) -> &Node {
        self.node.as_ref().expect("running")
    }

    /// What the server takes for now.
    pub fn now(&self) -> Timestamp {
        self.node().app.clock.now()
    }

    /// The sandbox's control.
    pub fn control(&self) -> Control {
        self.node().app.sandbox.as_ref().expect("a sandbox").control()
    }

    /// The API without credentials.
    pub fn api(&self) -> Api {
        Api::new(&format!("http://{}", self.node().api))
    }

    /// The demo user.
    pub fn shop(&self) -> Shop {
        Shop::new(self.api().with_key(&self.key), self.control())
    }

    /// The demo user with its account linked to a new phone.
    pub async fn linked_shop(&self) -> Shop {
        let mut shop = self.shop();
        shop.link().await;
        shop
    }

    /// The admin, logged in.
    pub async fn admin(&self) -> Api {
        let login = serde_json::json!({"username": "admin", "password": self.admin_password});
        let answer = self.api().post("/auth/login/", &login).await;
        self.api().with_token(answer.expect(200)["access"].as_str().expect("an access token"))
    }

    /// A phone of before a restart: the network was restarted with the server.
    pub fn again(&self, friend: &Friend) -> Friend {
        friend.in_network(self.control())
    }

    /// A new virtual phone.
    pub async fn friend(&self, name: &str) -> Friend {
        Friend::new(self.control(), name).await
    }
}

/// Settings of a server in `folder`: free ports, the cheapest password hash allowed.
pub fn settings(folder: &Path) -> Config {
    let free = "127.0.0.1:0".parse().expect("an address");
    let mut config = config::defaults(Profile::Development).config;
    config.general.data_dir = folder.join("data");
    config.general.listen = free;
    config.sandbox.enabled = true;
    config.sandbox.listen = free;
    config.sandbox.tls_listen = free;
    config.sessions.sandbox_prekeys = 30;
    config.auth.password_memory_kib = 8192;
    config.auth.password_passes = 1;
    config
}
