//! The databases that the suite runs on, with back doors that the store itself does not have.

use sanasend_store::Database;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// A database that the suite runs on.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Its module in this suite.
    const NAME: &'static str;
    /// Makes COMMIT fail when a user of the name `poison` was written: by a deferred foreign key, the only way to make
    /// exactly that fail.
    const POISON: &'static str;
    /// Makes a statement fail that writes Signal state of kind 4.
    const REFUSE_PREKEYS: &'static str;

    /// An empty database of its own; `folder` is where a file may lie.
    fn fresh(folder: &Path) -> impl Future<Output = (Self, Database)> + Send;
    /// Runs statements behind the store's back.
    fn tamper(&self, database: &Database, sql: &str) -> impl Future<Output = ()> + Send;
    /// A number that a query behind the store's back answers.
    fn ask(&self, database: &Database, sql: &str) -> impl Future<Output = i64> + Send;
    /// Keeps everybody from writing until the answer is dropped; waits in line for that.
    fn hold(&self, database: &Database) -> impl Future<Output = Box<dyn Send>> + Send;
    /// How bytes are written in a statement.
    fn bytes(bytes: &[u8]) -> String;
    /// How an id is written in a statement.
    fn id(id: Uuid) -> String;
    /// A condition: the column holds these bytes somewhere.
    fn holds(column: &str, bytes: &[u8]) -> String;
    /// A condition: the column, of whatever type, holds this text somewhere, in capitals or small letters.
    fn anywhere(column: &str, text: &str) -> String;
    /// Every table with its columns.
    fn columns(&self, database: &Database) -> impl Future<Output = Vec<(String, String)>> + Send;
}

/// SQLite in a file.
#[derive(Clone)]
pub struct Sqlite;

impl Sqlite {
    async fn connect(database: &Database) -> sqlx::SqliteConnection {
        use sqlx::ConnectOptions;
        let path = database.file().expect("a file");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(10));
        options.connect().await.expect("a second connection")
    }
}

impl Backend for Sqlite {
    const NAME: &'static str = "sqlite";
    const POISON: &'static str = "CREATE TABLE empty (id INTEGER PRIMARY KEY); \
        CREATE TABLE late (id INTEGER REFERENCES empty (id) DEFERRABLE INITIALLY DEFERRED); \
        CREATE TRIGGER poison AFTER INSERT ON users WHEN NEW.username = 'poison' BEGIN INSERT INTO late VALUES (1); END";
    const REFUSE_PREKEYS: &'static str =
        "CREATE TRIGGER refuse BEFORE INSERT ON signal WHEN NEW.kind = 4 BEGIN SELECT RAISE(ABORT, 'no'); END";

    async fn fresh(folder: &Path) -> (Self, Database) {
        (Self, Database::Sqlite { path: folder.join("sanasend.db") })
    }

    async fn tamper(&self, database: &Database, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut Self::connect(database).await).await.expect("tampering");
    }

    async fn ask(&self, database: &Database, sql: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(&mut Self::connect(database).await).await.expect("an answer")
    }

    async fn hold(&self, database: &Database) -> Box<dyn Send> {
        let mut conn = Self::connect(database).await;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut conn).await.expect("held");
        Box::new(conn)
    }

    fn bytes(bytes: &[u8]) -> String {
        format!("X'{}'", hex(bytes))
    }

    fn id(id: Uuid) -> String {
        Self::bytes(id.as_bytes())
    }

    fn holds(column: &str, bytes: &[u8]) -> String {
        format!("instr({column}, {}) > 0", Self::bytes(bytes))
    }

    fn anywhere(column: &str, text: &str) -> String {
        format!(
            "instr(CAST(lower(CAST({column} AS TEXT)) AS BLOB), {0}) > 0 OR instr(CAST({column} AS BLOB), {0}) > 0",
            Self::bytes(text.as_bytes())
        )
    }

    async fn columns(&self, database: &Database) -> Vec<(String, String)> {
        let sql = "SELECT m.name, p.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS p \
                   WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1, 2";
        sqlx::query_as(sql).fetch_all(&mut Self::connect(database).await).await.expect("columns")
    }
}

/// What the writers of all nodes on a PostgreSQL database take first.
pub const WRITE_LOCK: i64 = 0x7361_6e61_7365_6e64;

/// PostgreSQL: a database of its own in the server that the tests were given. It is dropped with the last clone.
#[derive(Clone)]
pub struct Postgres {
    _own: Arc<Own>,
}

struct Own {
    name: String,
}

/// The server's address; the test command and `ci/servers` say it.
fn server() -> String {
    std::env::var("SANASEND_TEST_POSTGRES")
        .expect("SANASEND_TEST_POSTGRES is not set: run ./test, or `eval \"$(./ci/servers start)\"` before cargo test")
}

/// Runs statements on the server itself.
async fn on_server(sql: String) {
    use sqlx::Connection;
    let mut conn = sqlx::PgConnection::connect(&server()).await.expect("the test server answers");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.expect("done");
}

impl Drop for Own {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // Not on the test's own runtime, which may be ending.
        let dropped = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(on_server(sql));
        });
        let _ = dropped.join();
    }
}

impl Postgres {
    async fn connect(database: &Database) -> sqlx::PgConnection {
        use sqlx::Connection;
        let Database::Postgres { url } = database else { panic!("another database") };
        sqlx::PgConnection::connect(url).await.expect("a second connection")
    }
}

impl Backend for Postgres {
    const NAME: &'static str = "postgres";
    const POISON: &'static str = "CREATE TABLE empty (id INTEGER PRIMARY KEY); \
        CREATE TABLE late (id INTEGER REFERENCES empty (id) DEFERRABLE INITIALLY DEFERRED); \
        CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO late VALUES (1); RETURN NULL; END'; \
        CREATE TRIGGER poison AFTER INSERT ON users FOR EACH ROW WHEN (NEW.username = 'poison') EXECUTE FUNCTION poison()";
    const REFUSE_PREKEYS: &'static str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
        CREATE TRIGGER refuse BEFORE INSERT ON signal FOR EACH ROW WHEN (NEW.kind = 4) EXECUTE FUNCTION refuse()";

    async fn fresh(_folder: &Path) -> (Self, Database) {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("sanasend_memory_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::SeqCst));
        on_server(format!("CREATE DATABASE {name}")).await;
        let server = server();
        let (place, _) = server.rsplit_once('/').expect("an address with a database");
        let url = format!("{place}/{name}");
        (Self { _own: Arc::new(Own { name }) }, Database::Postgres { url })
    }

    async fn tamper(&self, database: &Database, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut Self::connect(database).await).await.expect("tampering");
    }

    async fn ask(&self, database: &Database, sql: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(&mut Self::connect(database).await).await.expect("an answer")
    }

    async fn hold(&self, database: &Database) -> Box<dyn Send> {
        let mut conn = Self::connect(database).await;
        sqlx::query("SELECT pg_advisory_lock($1)").bind(WRITE_LOCK).execute(&mut conn).await.expect("held");
        Box::new(conn)
    }

    fn bytes(bytes: &[u8]) -> String {
        format!("'\\x{}'::bytea", hex(bytes))
    }

    fn id(id: Uuid) -> String {
        format!("'{id}'::uuid")
    }

    fn holds(column: &str, bytes: &[u8]) -> String {
        format!("position({} in {column}) > 0", Self::bytes(bytes))
    }

    fn anywhere(column: &str, text: &str) -> String {
        // Bytes are written as hexadecimal digits.
        let column = format!("lower(CAST({column} AS TEXT))");
        format!("position('{text}' in {column}) > 0 OR position('{}' in {column}) > 0", hex(text.as_bytes()))
    }

    async fn columns(&self, database: &Database) -> Vec<(String, String)> {
        let sql = "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM information_schema.columns \
                   WHERE table_schema = current_schema() ORDER BY 1, 2";
        sqlx::query_as(sql).fetch_all(&mut Self::connect(database).await).await.expect("columns")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
