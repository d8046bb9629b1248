//! The table of all settings: name, type, default, bounds, and what each is for.
//!
//! The macro makes of each section a struct, and of each field one question to the [`Reader`]; the doc comment
//! is the text of `docs/configuration.md`. There is no other list of settings anywhere.

use super::kinds::{Cidr, DayCaps, Hidden, LogFormat, MediaFetch, Profile};
use super::read::Reader;
use sanasend_store::Database;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// `name: Type = default` or `name: Type = default, within bounds`, where bounds is a range of numbers.
/// A default may ask `profile`.
macro_rules! section {
    (
        $(#[doc = $outer:literal])* $section:ident($prefix:literal, $profile:ident) {
            $($(#[doc = $doc:literal])* $field:ident: $type:ty = $default:expr $(, within $bounds:expr)?;)*
        }
    ) => {
        $(#[doc = $outer])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $section { $($(#[doc = $doc])* pub $field: $type,)* }

        impl $section {
            /// Asks the reader for every field of the section.
            fn read(reader: &mut Reader, $profile: Profile) -> Self {
                let _ = $profile;
                Self {
                    $($field: {
                        let path = concat!($prefix, stringify!($field));
                        let check = |_value: &$type| -> Result<(), String> {
                            $(within(_value, &$bounds)?;)?
                            Ok(())
                        };
                        reader.take(path, concat!($($doc, "\n",)*), $default, check)
                    },)*
                }
            }
        }
    };
}

section! {
    /// What concerns the process as a whole. These settings stand at the top of the file, in no section.
    General("", profile) {
        /// The set of defaults to start from: `development` or `production`.
        profile: Profile = profile;
        /// The folder that holds everything: database, secrets, the sandbox's state. Made at the first start, for
        /// this user alone (mode 700).
        data_dir: PathBuf = PathBuf::from("sanasend-data");
        /// The database: `postgres://user:password@host/name?sslmode=verify-full`, or `sqlite:///path/to/file` (without the
        /// third slash the file lies in the data folder). Empty: the file `sanasend.db` in the data folder.
        database_url: Option<Hidden> = None;
        /// Where the API listens. Port 0 picks a free one. Anything but 127.0.0.1 is reachable from outside: put
        /// HTTPS in front of it.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        /// The address under which callers reach the API, without a path (`https://api.example.com`), for the links
        /// in lists. Empty: taken from each request. When it begins with `https://`, the cookies of the dashboard are `Secure`.
        public_url: Option<String> = None;
        /// Reverse proxies whose `X-Forwarded-For` is believed: networks or addresses. From everybody else the
        /// header is ignored.
        trusted_proxies: Vec<Cidr> = Vec::new();
        /// How long a stop may take, in seconds, before open requests and links are cut.
        shutdown_seconds: u64 = 20, within 1..=600;
    }
}

section! {
    /// Log lines, on standard error.
    Log("log.", profile) {
        /// `text` for people or `json` for collectors.
        format: LogFormat = match profile { Profile::Development => LogFormat::Text, Profile::Production => LogFormat::Json };
        /// What is logged, as tracing filter directives: `info`, `warn,sanasend=debug`.
        filter: String = "warn,sanasend=info,sanasend_store=info,sanasend_engine=info,sanasend_sandbox=info".to_owned();
    }
}

section! {
    /// The HTTP API.
    Http("http.", profile) {
        /// Largest request body, in KiB; larger ones are answered 413.
        body_limit_kib: u64 = 1024, within 64..=1_048_576;
        /// How long a request may take, in seconds; live streams and `?wait=` are not bound by it.
        request_timeout_seconds: u64 = 30, within 1..=600;
        /// Origins whose pages may call the API from a browser (CORS), like `https://app.example.com`. Empty: none.
        cors_origins: Vec<String> = Vec::new();
        /// Whether answers to requests that reached a trusted proxy by HTTPS tell browsers to insist on it (HSTS).
        hsts: bool = profile == Profile::Production;
        /// Whether requests that reached a trusted proxy by plain HTTP (`X-Forwarded-Proto: http`) are sent on to HTTPS;
        /// those with a body are refused with `HTTPS_REQUIRED`. Health checks are answered either way.
        https_redirect: bool = profile == Profile::Production;
        /// Requests that are worked on at once; those above are answered 503 with `Retry-After`. Of one user, or of one address
        /// without credentials, a quarter at most (16 at least); those above are answered 429.
        requests_at_once: usize = 4096, within 16..=1_000_000;
        /// Connections that are open at once; others wait until one ends. Never more than half of the files that the process may
        /// open. One address that is no trusted proxy has half of them at most; its others are closed.
        connections: usize = 10_000, within 16..=1_000_000;
        /// How long the head of a request may take, in seconds, from its first byte on; a new connection has as long to begin.
        head_seconds: u64 = 30, within 1..=600;
        /// How long a connection is kept without a request, in seconds, and an answer of which the caller takes nothing. Longer than a
        /// reverse proxy in front keeps its own, or requests may meet a connection that was just closed.
        idle_seconds: u64 = 180, within 1..=86_400;
    }
}

section! {
    /// Logins, passwords and API keys.
    Auth("auth.", profile) {
        /// How long an access token is valid, in minutes.
        access_token_minutes: u64 = 15, within 1..=1440;
        /// How long a login lasts without being refreshed, in days.
        refresh_token_days: u64 = 30, within 1..=365;
        /// How long a login to the dashboard lasts, in hours, however much it is used.
        dashboard_hours: u64 = 12, within 1..=720;
        /// After how many minutes without a request a login to the dashboard ends.
        dashboard_idle_minutes: u64 = 60, within 1..=43_200;
        /// Networks or addresses from which admins may log in and act as such. Empty: from everywhere.
        admin_ips: Vec<Cidr> = Vec::new();
        /// Wrong passwords, API keys or tokens that one address may send in a minute; more are answered 429.
        bad_credentials_per_minute: u32 = 10, within 1..=100_000;
        /// Wrong passwords in a row for one user name before it is locked for a while.
        failures_before_lock: u32 = 5, within 1..=1000;
        /// Longest lock after wrong passwords, in minutes; the first is a second, and each doubles.
        longest_lock_minutes: u64 = 15, within 1..=1440;
        /// Memory of one password hash (Argon2id), in KiB.
        password_memory_kib: u32 = 19_456, within 8192..=1_048_576;
        /// Passes of one password hash.
        password_passes: u32 = 2, within 1..=100;
        /// Passwords that are hashed at once; more wait.
        password_hashes_at_once: usize = 2, within 1..=256;
        /// How long the old key stays valid after a rotation, in hours, when the caller names no time.
        rotation_grace_hours: u64 = 24, within 0..=720;
    }
}

section! {
    /// How much callers may ask for. Messages per minute and per day and the number of accounts are set per user.
    Limits("limits.", profile) {
        /// API requests of one user in a minute; more are answered 429. 0: no limit.
        requests_per_minute: u32 = 6000, within 0..=100_000_000;
        /// API requests with one API key in a minute, within those of its user. 0: no limit of its own.
        requests_per_minute_per_key: u32 = 0, within 0..=100_000_000;
        /// Linked accounts on this server, all users together.
        sessions: u32 = 10_000, within 1..=1_000_000;
        /// Live streams (server-sent events) of one user at once.
        streams_per_user: u32 = 32, within 1..=10_000;
    }
}

section! {
    /// Linked WhatsApp accounts.
    Sessions("sessions.", profile) {
        /// Connections to WhatsApp that are set up at once; more wait their turn, so that a restart is no storm.
        handshakes_at_once: usize = 32, within 1..=1000;
        /// One-time keys that an account keeps on WhatsApp's server for people who write to it first.
        prekeys: usize = 812, within 5..=812;
        /// The same for accounts in the sandbox, where fewer do.
        sandbox_prekeys: usize = 100, within 5..=812;
        /// How long a call that starts linking waits for the first code, in seconds.
        first_code_seconds: u64 = 20, within 1..=120;
        /// Name that the phone shows under "linked devices".
        device_name: String = "SanaSend".to_owned();
    }
}

section! {
    /// Messages on their way.
    Messages("messages.", profile) {
        /// How long a message is tried before it fails, in hours, when the caller sets no time.
        deadline_hours: u64 = 24, within 1..=720;
        /// How long an `Idempotency-Key` is remembered, in hours.
        idempotency_hours: u64 = 24, within 1..=720;
        /// Longest `?wait=`, in seconds.
        longest_wait_seconds: u64 = 60, within 1..=300;
        /// How long WhatsApp's acknowledgement may take before a message is sent again (with the same id), in seconds.
        ack_timeout_seconds: u64 = 20, within 1..=300;
        /// Messages of one account that are written and not yet acknowledged, at most; one per chat.
        in_flight_per_account: usize = 64, within 1..=4096;
    }
}

section! {
    /// How fast an account sends what is asked for message by message. What is too much waits in its order, and says so.
    PacingSettings("pacing.", profile) {
        /// Messages of one account in a minute; everything that it sends counts. 0: as fast as it can.
        per_minute: u32 = 60, within 0..=60_000;
        /// Messages that may go at once after a quiet time; never more than a minute's.
        burst: u32 = 30, within 1..=60_000;
        /// `per_minute` on the first, second, third day (UTC) after an account was linked, and so on.
        warm_up: DayCaps = DayCaps(vec![6, 9, 12, 18, 24, 36, 48]);
        /// Whether accounts in the sandbox wait as well.
        sandbox: bool = false;
    }
}

section! {
    /// Campaigns: how accounts are paced. A campaign may be gentler than this, never harsher; only in the sandbox it may be
    /// whatever it likes. Hours and days are UTC's, and everything that an account sends counts.
    CampaignSettings("campaigns.", profile) {
        /// Shortest gap between two messages of campaigns through one account, in seconds.
        gap_min_seconds: u32 = 20, within 1..=86_400;
        /// Longest gap; each is drawn between the two.
        gap_max_seconds: u32 = 60, within 1..=86_400;
        /// Most messages of one account in an hour before campaigns wait.
        per_hour: u32 = 60, within 1..=1_000_000;
        /// Most messages of one account in a day before campaigns wait.
        per_day: u32 = 500, within 1..=1_000_000;
        /// The same on the first, second, third day after an account was linked, and so on; afterwards `per_day` holds.
        warm_up: DayCaps = DayCaps(vec![20, 40, 60, 90, 140, 210, 320]);
        /// Most messages of campaigns in a day, through one account, to people who never wrote to it.
        cold_per_day: u32 = 50, within 1..=1_000_000;
        /// Messages of campaigns that may be on their way through one account at once.
        on_the_way: u32 = 5, within 1..=1000;
        /// A campaign stops by itself when more than this share of its last 50 messages failed, in percent.
        failure_percent: u32 = 30, within 1..=100;
        /// Most recipients of one campaign.
        max_recipients: u64 = 100_000, within 1..=1_000_000;
        /// Largest file with recipients, in MiB.
        file_limit_mib: u64 = 64, within 1..=1024;
        /// How long campaigns that ended are kept with their recipients, in days. 0: for ever.
        keep_days: u64 = 365, within 0..=36_500;
    }
}

section! {
    /// Events posted to the endpoints of users.
    WebhookSettings("webhooks.", profile) {
        /// How long a receiver may take to answer, in seconds.
        timeout_seconds: u64 = 15, within 1..=60;
        /// Endpoints of one user.
        endpoints_per_user: u32 = 20, within 1..=1000;
        /// For how many days an endpoint may fail without one success before it is switched off.
        disable_after_days: u64 = 5, within 1..=60;
        /// Deliveries under way at once on this node.
        at_once: usize = 1024, within 1..=100_000;
        /// Deliveries under way at once to one endpoint, so that a slow one takes no places from others.
        at_once_per_endpoint: usize = 32, within 1..=10_000;
        /// How long the old secret signs as well after a rotation, in hours, when the caller names no time.
        rotation_grace_hours: u64 = 24, within 0..=720;
        /// How long ended deliveries and their attempts are kept, in days. 0: for ever.
        keep_days: u64 = 30, within 0..=36_500;
    }
}

section! {
    /// Contacts, and how people opt out.
    ContactsSettings("contacts.", profile) {
        /// Languages whose words for STOP and START count, by their codes: en, de, fr, es, pt, it, nl, pl, tr, ar, hi, id, ru, uk.
        opt_out_languages: Vec<String> = sanasend_model::opt_out::LANGUAGES.iter().map(|language| language.code.to_owned()).collect();
        /// More words by which people opt out. A word counts when it is the whole message, whatever case, accents and punctuation.
        stop_words: Vec<String> = Vec::new();
        /// More words by which people opt in again.
        start_words: Vec<String> = Vec::new();
        /// Numbers that one user's contacts are looked up by in a minute, in the background. Accounts that ask WhatsApp about too
        /// many strangers get banned.
        checks_per_minute: u32 = 30, within 1..=600;
        /// How long an answer about a number is believed, in days: those who were asked about since are not asked about again.
        check_days: u64 = 30, within 1..=365;
        /// Largest file of contacts or of opt-outs that is taken, in MiB; it is read as it comes.
        import_limit_mib: u64 = 100, within 1..=2048;
        /// How long an import may take, in seconds.
        import_seconds: u64 = 1800, within 30..=7200;
        /// How long reports of imports are kept, in days. 0: for ever.
        keep_imports_days: u64 = 90, within 0..=36_500;
    }
}

section! {
    /// The way out to hosts that callers name: webhook receivers and `media_url`s. Only public addresses are reached.
    EgressSettings("egress.", profile) {
        /// Networks and addresses that may be reached although they are not public, for receivers in your own
        /// network: `10.1.0.0/16`, `127.0.0.1`. Every API user can then have this server connect to them.
        allow: Vec<Cidr> = Vec::new();
        /// A file of certificate authorities (PEM) to trust besides the public ones, for receivers with certificates
        /// of your own.
        ca_file: Option<PathBuf> = None;
    }
}

section! {
    /// How long things are kept; what is older is removed in the background, in small pieces. 0: kept for ever.
    Retention("retention.", profile) {
        /// Messages with their timelines and originals, in days. Kept for ever by default: they are the users' own records,
        /// nobody can bring them back, and a million of them take about 1 GB.
        messages_days: u64 = 0, within 0..=36_500;
        /// The encrypted originals of incoming messages, in days; the messages stay. They are needed to read again what a
        /// later version understands better.
        originals_days: u64 = 90, within 0..=36_500;
        /// Files of messages, in days; the messages stay and say that the file is gone.
        media_days: u64 = 90, within 0..=36_500;
        /// The event log, in days: how long a client of `GET /events/` may be away and still miss nothing.
        events_days: u64 = 30, within 0..=36_500;
        /// The API log, in days. The counts of usage stay.
        api_log_days: u64 = 30, within 0..=36_500;
        /// Jobs that were given up, in days.
        dead_jobs_days: u64 = 30, within 0..=36_500;
        /// Sessions that no account was ever linked to, in hours after they were last changed.
        unlinked_sessions_hours: u64 = 24, within 0..=876_000;
    }
}

section! {
    /// Files of messages: pictures, films, sound, documents.
    MediaSettings("media.", profile) {
        /// Where files are stored: `file:///srv/media` or `s3://bucket/prefix`. Empty: the folder `media` in the data
        /// folder.
        storage_url: Option<String> = None;
        /// Address of a server that speaks S3, when it is not Amazon's: `http://127.0.0.1:9000`.
        s3_endpoint: Option<String> = None;
        /// Region of the bucket.
        s3_region: String = "us-east-1".to_owned();
        /// Access key id for the bucket.
        s3_access_key_id: Option<Hidden> = None;
        /// Secret access key for the bucket.
        s3_secret_access_key: Option<Hidden> = None;
        /// Largest document that is taken, in MiB (WhatsApp itself takes 2 GB). Pictures, sound and stickers have WhatsApp's
        /// own limits: 16, 16 and 1 MiB, films 100.
        document_limit_mib: u64 = 100, within 1..=2048;
        /// Largest JSON body with a file in `media_base64`, in MiB; such a body is in memory as a whole, uploads by form
        /// are not.
        json_limit_mib: u64 = 24, within 1..=256;
        /// How long a request that brings or fetches a file may take, in seconds.
        request_seconds: u64 = 600, within 10..=7200;
        /// Transfers to and from WhatsApp's media host at once, all accounts together; more wait their turn. Those of one user take
        /// half of them at most.
        transfers_at_once: usize = 8, within 1..=24;
        /// When files of incoming messages are fetched: `on_demand` or `always`.
        fetch: MediaFetch = MediaFetch::OnDemand;
        /// Largest picture that is taken, in millions of pixels: a small file can be a picture that fills the memory of
        /// whoever opens it.
        max_megapixels: u64 = 50, within 1..=1000;
        /// The program ffmpeg, for thumbnails of films and for voice notes made of other sound. Empty: looked for in `PATH`;
        /// without it films have no thumbnail and voice notes must be Ogg Opus.
        ffmpeg: Option<PathBuf> = None;
    }
}

section! {
    /// The database.
    Store("store.", profile) {
        /// Connections that read; one more writes, and with PostgreSQL another one listens.
        readers: u32 = 4, within 1..=64;
        /// How long PostgreSQL may take to answer, in seconds, before a request is answered 503.
        timeout_seconds: u64 = 5, within 1..=120;
        /// Free space on the disk below which `doctor` warns, in MiB.
        low_disk_mib: u64 = 512, within 0..=1_048_576;
        /// Free space below which the server says that it is not ready, in MiB.
        full_disk_mib: u64 = 64, within 0..=1_048_576;
    }
}

section! {
    /// Figures for Prometheus, at `/metrics`. To everybody else there is nothing at that path.
    Metrics("metrics.", profile) {
        /// Networks or addresses that may read them. Behind a proxy only with `trusted_proxies`.
        allow: Vec<Cidr> = Cidr::loopback();
        /// A token that opens them from everywhere, sent as `Authorization: Bearer <token>`. Empty: none.
        token: Option<Hidden> = None;
    }
}

section! {
    /// Spans for an OpenTelemetry collector: requests, messages on their way, jobs, webhooks.
    Traces("traces.", profile) {
        /// Base URL of a collector that takes OTLP over HTTP (protobuf), like `http://127.0.0.1:4318`; `/v1/traces` is added.
        /// Empty: no spans are made.
        otlp_url: Option<String> = None;
        /// Headers of the requests to it, for its credentials: `name=value,name=value`.
        headers: Option<Hidden> = None;
        /// The share of traces that is sent, in percent.
        sample_percent: u32 = 100, within 0..=100;
        /// The name of this service in the spans.
        service_name: String = "sanasend".to_owned();
    }
}

section! {
    /// Reports of errors and panics to Sentry, or to what speaks its protocol. They hold what the log lines hold, never texts.
    SentrySettings("sentry.", profile) {
        /// Where to report to: `https://key@host/project`. Empty: nothing is reported.
        dsn: Option<Hidden> = None;
        /// The environment that reports name. Empty: the profile.
        environment: Option<String> = None;
    }
}

section! {
    /// The API log: one row per request, beside the counts, which are always kept. `retention.api_log_days` is how long.
    ApiLogSettings("api_log.", profile) {
        /// Whether requests are logged. Usage is counted all the same.
        enabled: bool = true;
        /// Rows that are written in a second at most, so that a flood does not fill the disk; requests above that (and
        /// above 50,000 that wait) are counted and not logged.
        rows_per_second: usize = 2000, within 10..=100_000;
    }
}

section! {
    /// The Redis in which several nodes count their limits together. One process alone needs none.
    Redis("redis.", profile) {
        /// Its address: `redis://user:password@host:6379/0`, or `rediss://` for TLS. Empty: limits are counted in this process.
        /// While Redis does not answer they are as well.
        url: Option<Hidden> = None;
        /// A file of certificate authorities (PEM) to trust instead of the public ones, for `rediss://`.
        ca_file: Option<PathBuf> = None;
        /// What its keys begin with, so that several installations can share one Redis.
        prefix: String = "sanasend".to_owned();
        /// How long an answer may take, in milliseconds, before the process counts for itself.
        timeout_ms: u64 = 50, within 5..=5000;
    }
}

section! {
    /// The simulated WhatsApp network. Accounts linked in it never reach the real one.
    SandboxSettings("sandbox.", profile) {
        /// Whether to run it in this process (`serve --sandbox`). New accounts are then sandbox accounts.
        enabled: bool = false;
        /// Where clients and the control API reach it. Port 0 picks a free one.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8090));
        /// The same with TLS.
        tls_listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8443));
        /// For tests: use a sandbox that runs in another process (`sanasend sandbox`), at this address
        /// (`ws://127.0.0.1:PORT/ws/chat`). Loopback addresses only.
        connect: Option<String> = None;
        /// For tests: the file with the static key (64 hexadecimal digits) of that other sandbox.
        connect_key: Option<PathBuf> = None;
    }
}

section! {
    /// The admin that is made at the first start of an empty server.
    FirstAdmin("first_admin.", profile) {
        /// Its user name.
        username: String = "admin".to_owned();
        /// Its password. Empty: a random one is made and shown once.
        password: Option<Hidden> = None;
    }
}

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The process as a whole.
    pub general: General,
    /// Log lines.
    pub log: Log,
    /// The HTTP API.
    pub http: Http,
    /// Logins, passwords, keys.
    pub auth: Auth,
    /// How much callers may ask for.
    pub limits: Limits,
    /// Linked accounts.
    pub sessions: Sessions,
    /// Messages on their way.
    pub messages: Messages,
    /// How accounts are paced.
    pub pacing: PacingSettings,
    /// How accounts are paced in campaigns.
    pub campaigns: CampaignSettings,
    /// Events posted to the endpoints of users.
    pub webhooks: WebhookSettings,
    /// Contacts, and how people opt out.
    pub contacts: ContactsSettings,
    /// The way out to hosts that callers name.
    pub egress: EgressSettings,
    /// How long things are kept.
    pub retention: Retention,
    /// Files of messages.
    pub media: MediaSettings,
    /// The database.
    pub store: Store,
    /// Figures for Prometheus.
    pub metrics: Metrics,
    /// Spans for a collector.
    pub traces: Traces,
    /// Reports of errors.
    pub sentry: SentrySettings,
    /// The API log.
    pub api_log: ApiLogSettings,
    /// The Redis that nodes share.
    pub redis: Redis,
    /// The simulated network.
    pub sandbox: SandboxSettings,
    /// The admin made at the first start.
    pub first_admin: FirstAdmin,
    /// The same as rows, as they were read: name, value and source of each, secrets hidden.
    pub rows: Vec<super::Row>,
}

impl Config {
    /// Asks the reader for every setting, starting from the defaults of `profile`, and for what must hold
    /// between settings.
    pub(super) fn read(reader: &mut Reader, profile: Profile) -> Self {
        let config = Self {
            general: General::read(reader, profile),
            log: Log::read(reader, profile),
            http: Http::read(reader, profile),
            auth: Auth::read(reader, profile),
            limits: Limits::read(reader, profile),
            sessions: Sessions::read(reader, profile),
            messages: Messages::read(reader, profile),
            pacing: PacingSettings::read(reader, profile),
            campaigns: CampaignSettings::read(reader, profile),
            webhooks: WebhookSettings::read(reader, profile),
            contacts: ContactsSettings::read(reader, profile),
            egress: EgressSettings::read(reader, profile),
            retention: Retention::read(reader, profile),
            media: MediaSettings::read(reader, profile),
            store: Store::read(reader, profile),
            metrics: Metrics::read(reader, profile),
            traces: Traces::read(reader, profile),
            sentry: SentrySettings::read(reader, profile),
            api_log: ApiLogSettings::read(reader, profile),
            redis: Redis::read(reader, profile),
            sandbox: SandboxSettings::read(reader, profile),
            first_admin: FirstAdmin::read(reader, profile),
            rows: Vec::new(),
        };
        super::check::whole(&config, reader);
        config
    }
}

impl Config {
    /// The words by which people opt out and in.
    ///
    /// # Errors
    /// What is wrong with them; a configuration that was loaded has been checked for that.
    pub fn words(&self) -> Result<sanasend_model::opt_out::Words, sanasend_model::Invalid> {
        let contacts = &self.contacts;
        sanasend_model::opt_out::Words::of(&contacts.opt_out_languages, &contacts.stop_words, &contacts.start_words)
    }

    /// The database.
    ///
    /// # Errors
    /// A sentence, when the URL names none; a configuration that was loaded has been checked for that.
    pub fn database(&self) -> Result<Database, String> {
        let data_dir = &self.general.data_dir;
        match &self.general.database_url {
            Some(url) => Database::parse(&url.0, data_dir),
            None => Ok(Database::Sqlite { path: crate::data_dir::database(data_dir) }),
        }
    }
}

fn within<N: PartialOrd + std::fmt::Display>(value: &N, bounds: &RangeInclusive<N>) -> Result<(), String> {
    if bounds.contains(value) { Ok(()) } else { Err(format!("must be from {} to {}, not {value}", bounds.start(), bounds.end())) }
}
