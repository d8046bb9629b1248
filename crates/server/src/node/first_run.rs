//! What an empty server gets at its first start: an admin, and with the sandbox a demo user with an API key and a
//! virtual phone to write to.
//!
//! The password and the key exist in the clear only in the value returned here, for the one time they are shown.

use crate::auth::Auth;
use crate::auth::keys::NewKey;
use crate::config::Config;
use anyhow::Context;
use sanasend_model::{Clock, Scope};
use sanasend_sandbox::Sandbox;
use sanasend_store::{AuditEntry, NewApiKey, NewUser, Page, Store, StoreError, UserFilter};
use serde_json::{Value, json};

/// Name of the user that the sandbox's examples belong to.
pub const DEMO_USER: &str = "demo";
/// Number of the virtual phone that the examples write to. Reserved for fiction in the numbering plan.
pub const FRIEND: &str = "+12025550123";
/// The demo user works in the sandbox only, where nobody is disturbed.
const DEMO_MESSAGES: i64 = 1_000_000_000;
const DEMO_SESSIONS: i64 = 10_000;
/// Length of a made password: 22 characters of base64url are 128 bits and more.
const PASSWORD_BYTES: usize = 18;

/// A name, and the secret that goes with it where it was made just now.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownOnce {
    /// User name.
    pub username: String,
    /// Password or API key; `None` on every start but the first.
    pub secret: Option<String>,
}

impl std::fmt::Debug for ShownOnce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShownOnce").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Who there is to log in as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirstRun {
    /// The first admin, while it is there under its configured name.
    pub admin: Option<ShownOnce>,
    /// The demo user, while it is there.
    pub demo: Option<ShownOnce>,
}

/// Makes the first users of an empty server; on later starts only says which of them are still there.
///
/// # Errors
/// When the database does not answer.
pub async fn prepare(config: &Config, store: &Store, auth: &Auth, clock: &dyn Clock) -> anyhow::Result<FirstRun> {
    let in_sandbox = config.sandbox.enabled || config.sandbox.connect.is_some();
    let admins = UserFilter { is_admin: Some(true), ..UserFilter::default() };
    if store.list_users(&admins, Page { page: 1, page_size: 1 }).await?.count > 0 {
        let known = async |name: &str| {
            anyhow::Ok(store.user_credentials(name).await?.map(|(user, _)| ShownOnce { username: user.username, secret: None }))
        };
        let admin = known(&config.first_admin.username).await?;
        let demo = if in_sandbox { known(DEMO_USER).await? } else { None };
        return Ok(FirstRun { admin, demo });
    }
    let password = config.first_admin.password.as_ref().map_or_else(|| make_password(clock), |password| password.0.clone());
    // The demo user comes first: an admin in the database means that all of this was done, whenever a start was cut off.
    let demo = if in_sandbox { Some(make_demo(store, auth).await?) } else { None };
    let hash = auth.passwords.hash(password.clone()).await?;
    let username = sanasend_model::user::username(&config.first_admin.username)?;
    let made = store.create_user(new_user(&username, true, hash)).await.context("the first admin could not be made")?;
    note(store, "user.created", format!("user {}", made.id), json!({"username": made.username, "is_admin": true})).await?;
    Ok(FirstRun { admin: Some(ShownOnce { username, secret: Some(password) }), demo })
}

async fn make_demo(store: &Store, auth: &Auth) -> anyhow::Result<ShownOnce> {
    // Nobody logs in as the demo user: it has no password.
    let new = NewUser {
        max_messages_per_day: DEMO_MESSAGES,
        max_messages_per_minute: DEMO_MESSAGES,
        max_sessions: DEMO_SESSIONS,
        ..new_user(DEMO_USER, false, auth.passwords.of_nobody())
    };
    let user = match store.create_user(new).await {
        // A start that was cut off made it and showed its key to nobody: it gets another.
        Err(StoreError::Conflict { .. }) => store.user_credentials(DEMO_USER).await?.map(|(user, _)| user),
        made => Some(made.context("the demo user could not be made")?),
    };
    let user = user.context("the demo user could not be made: its e-mail address is taken")?;
    note(store, "user.created", format!("user {}", user.id), json!({"username": user.username, "is_admin": false})).await?;
    let NewKey { plain, prefix, digest } = auth.keys.issue();
    let new = NewApiKey {
        user_id: user.id,
        name: "first start".into(),
        prefix,
        digest,
        scopes: Scope::ALL.to_vec(),
        allowed_ips: Vec::new(),
        expires_at: None,
    };
    let key = store.create_api_key(new).await.context("the demo user's API key could not be made")?;
    note(store, "api_key.created", format!("api_key {}", key.id), json!({"prefix": key.prefix, "user": key.user_id})).await?;
    Ok(ShownOnce { username: user.username, secret: Some(plain) })
}

/// Notes in the audit log what nobody asked for: it was made because the server was empty.
async fn note(store: &Store, action: &'static str, target: String, mut detail: Value) -> anyhow::Result<()> {
    detail["by"] = json!("first start");
    store.audit(AuditEntry { actor: None, action, target, ip: None, detail }).await.context("the audit log could not be written")
}

fn new_user(username: &str, is_admin: bool, password_hash: String) -> NewUser {
    use sanasend_model::user;
    NewUser {
        username: username.to_owned(),
        email: format!("{}@sanasend.invalid", username.replace('@', ".")),
        password_hash,
        is_admin,
        is_active: true,
        max_messages_per_day: user::DEFAULT_MESSAGES_PER_DAY,
        max_messages_per_minute: user::DEFAULT_MESSAGES_PER_MINUTE,
        max_sessions: user::DEFAULT_MAX_SESSIONS,
    }
}

/// A password that nobody can guess.
pub fn make_password(clock: &dyn Clock) -> String {
    use base64::Engine as _;
    let mut bytes = [0_u8; PASSWORD_BYTES];
    clock.fill(&mut bytes);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Makes sure that the sandbox has the phone that the examples write to.
///
/// # Errors
/// When the sandbox does not take it.
pub async fn make_friend(sandbox: &Sandbox) -> anyhow::Result<()> {
    let control = sandbox.control();
    if control.phone(FRIEND).is_err() {
        control.add_phone(Some(FRIEND), Some("Friend")).await.context("the sandbox does not take a phone")?;
    }
    Ok(())
}
