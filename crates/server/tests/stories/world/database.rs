//! The database of a story: SQLite in its folder, or PostgreSQL in the server that the tests were given or in one that
//! the story starts and stops itself.

use sanasend::config::Hidden;
use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

thread_local! {
    static ON_POSTGRES: Cell<bool> = const { Cell::new(false) };
}

/// Tells a story again on PostgreSQL. (A story runs on the thread of its test.)
pub fn on_postgres(story: fn()) {
    ON_POSTGRES.set(true);
    story();
    ON_POSTGRES.set(false);
}

/// Tells these stories of a module again on PostgreSQL.
macro_rules! also_on_postgres {
    ($($story:ident),* $(,)?) => {
        mod postgres {
            $(#[test]
            fn $story() {
                crate::world::on_postgres(super::$story);
            })*
        }
    };
}
pub(crate) use also_on_postgres;

/// A database.
#[derive(Clone)]
pub struct Database {
    url: Option<String>,
    _own: Option<Arc<Own>>,
}

/// A database in the tests' server; dropped at the end.
struct Own {
    server: String,
    name: String,
}

impl Drop for Own {
    fn drop(&mut self) {
        let (server, sql) = (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(on_server(&server, sql));
        });
        let _ = dropped.join();
    }
}

async fn on_server(server: &str, sql: String) {
    use sqlx::{Connection as _, Executor as _};
    let mut conn = sqlx::PgConnection::connect(server).await.expect("the PostgreSQL server of the tests answers");
    conn.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.expect("done");
}

/// Makes a database; answers its address and name.
async fn new_in(server: &str) -> (String, String) {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("sanasend_story_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::SeqCst));
    on_server(server, format!("CREATE DATABASE {name}")).await;
    let (place, _) = server.rsplit_once('/').expect("an address with a database");
    (format!("{place}/{name}"), name)
}

impl Database {
    /// The database that the story was told to play on.
    pub async fn of_this_story() -> Self {
        if ON_POSTGRES.get() { Self::postgres().await } else { Self::sqlite() }
    }

    /// SQLite in the folder of the story.
    pub fn sqlite() -> Self {
        Self { url: None, _own: None }
    }

    /// Whether it is one of PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.url.is_some()
    }

    /// A new one in the tests' PostgreSQL server.
    pub async fn postgres() -> Self {
        let server = std::env::var("SANASEND_TEST_POSTGRES")
            .expect("SANASEND_TEST_POSTGRES is not set: run ./test, or `eval \"$(./ci/servers start)\"` before cargo test");
        let (url, name) = new_in(&server).await;
        Self { url: Some(url), _own: Some(Arc::new(Own { server, name })) }
    }

    /// The setting `database_url`.
    pub fn setting(&self) -> Option<Hidden> {
        self.url.clone().map(Hidden)
    }

    /// The same as a variable.
    pub fn environment(&self) -> Vec<(&str, &str)> {
        self.url.as_deref().map(|url| ("SANASEND_DATABASE_URL", url)).into_iter().collect()
    }
}

/// Servers of the story's own, which it may stop and freeze.
pub struct Servers {
    folder: String,
    postgres: String,
}

impl Servers {
    /// Starts them.
    pub fn start() -> Self {
        let told = script("start", None);
        let value = |name: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
            line.unwrap_or_else(|| panic!("no {name}: {told}")).to_owned()
        };
        Self { folder: value("SANASEND_TEST_SERVERS"), postgres: value("SANASEND_TEST_POSTGRES") }
    }

    /// A database in them; it goes with them.
    pub async fn database(&self) -> Database {
        Database { url: Some(new_in(&self.postgres).await.0), _own: None }
    }

    /// `down`, `up`, `freeze` or `thaw`.
    pub fn postgres(&self, what: &str) {
        script(what, Some(&self.folder));
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        script("stop", Some(&self.folder));
    }
}

fn script(what: &str, servers: Option<&str>) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../ci/servers");
    let output = Command::new(script).arg(what).envs(servers.map(|folder| ("SANASEND_TEST_SERVERS", folder))).output().expect("ci/servers");
    assert!(output.status.success(), "ci/servers {what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
