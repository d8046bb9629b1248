//! An API key as callers see it, and as they write it.

use crate::app::App;
use sanasend_model::{ApiKeyId, FieldErrors, Invalid, Scope, Timestamp, UserId, api_key};
use sanasend_store::ApiKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest name.
const LONGEST_NAME: usize = 100;
/// Most entries of an allow-list.
const MOST_NETWORKS: usize = 100;

/// An API key, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "ApiKey")]
pub struct ApiKeyView {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub id: ApiKeyId,
    /// Id of the user it acts for.
    #[schema(value_type = String, format = "uuid")]
    pub user: UserId,
    /// What its owner calls it.
    #[schema(example = "shop backend")]
    pub name: String,
    /// How the key begins, after `sk_`.
    #[schema(example = "h4n8w2k9p3ta")]
    pub prefix: String,
    /// False once it was revoked.
    #[schema(example = true)]
    pub is_active: bool,
    /// What it may do.
    #[schema(value_type = Vec<String>, example = json!(["messages:send", "messages:read"]))]
    pub scopes: Vec<Scope>,
    /// Networks it may be used from; empty for all.
    #[schema(value_type = Vec<String>, example = json!(["10.0.0.0/8"]))]
    pub allowed_ips: Vec<String>,
    /// When it stops working by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// Id of the key that took its place.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub replaced_by: Option<ApiKeyId>,
    /// Until when it still works after its rotation.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub grace_until: Option<Timestamp>,
}

impl ApiKeyView {
    /// The key with the latest time of use that this process knows of.
    pub fn of(app: &App, key: ApiKey) -> Self {
        Self {
            last_used_at: app.auth.keys.last_used(&key),
            id: key.id,
            user: key.user_id,
            name: key.name,
            prefix: key.prefix,
            is_active: key.is_active,
            scopes: key.scopes,
            allowed_ips: key.allowed_ips.iter().map(ToString::to_string).collect(),
            expires_at: key.expires_at,
            created_at: key.created_at,
            revoked_at: key.revoked_at,
            replaced_by: key.replaced_by,
            grace_until: key.grace_until,
        }
    }
}

/// A key that was made just now: the only answer that ever holds its secret.
#[derive(Serialize, ToSchema)]
#[schema(title = "NewApiKey")]
pub struct NewApiKeyView {
    /// The key itself. Keep it: it is not shown again.
    #[schema(example = "sk_h4n8w2k9p3ta_...")]
    pub key: String,
    /// Everything else.
    #[serde(flatten)]
    pub view: ApiKeyView,
}

/// A key to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedKey {
    /// Id of the user it acts for; left out: yourself. Only an admin can name somebody else.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub user: Option<UserId>,
    /// What to call it, up to 100 characters.
    #[schema(example = "shop backend", min_length = 1, max_length = 100)]
    pub name: String,
    /// What it may do; left out: everything that a key can.
    #[serde(default)]
    #[schema(example = json!(["messages:send", "messages:read"]))]
    pub scopes: Option<Vec<String>>,
    /// Networks (`10.0.0.0/8`) and addresses it may be used from; left out: all.
    #[serde(default)]
    #[schema(example = json!(["203.0.113.0/24"]))]
    pub allowed_ips: Option<Vec<String>>,
    /// When it stops working by itself; left out: never.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-01T00:00:00Z")]
    pub expires_at: Option<Timestamp>,
}

/// What was checked of a wanted key.
pub struct CheckedKey {
    /// Trimmed.
    pub name: String,
    /// Without doubles.
    pub scopes: Vec<Scope>,
    /// Read.
    pub allowed_ips: Vec<ipnet::IpNet>,
}

impl WantedKey {
    /// Checks every field.
    ///
    /// # Errors
    /// All refusals at once.
    pub fn check(&self, now: Timestamp) -> Result<CheckedKey, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take(check_name(&self.name));
        let scopes = errors.take(self.scopes.as_deref().map_or_else(|| Ok(Scope::ALL.to_vec()), check_scopes));
        let allowed_ips = errors.take(check_networks(self.allowed_ips.as_deref().unwrap_or_default()));
        if self.expires_at.is_some_and(|at| at <= now) {
            errors.push(Invalid::new("expires_at", "must lie in the future"));
        }
        errors.into_result()?;
        Ok(CheckedKey { name: name.unwrap_or_default(), scopes: scopes.unwrap_or_default(), allowed_ips: allowed_ips.unwrap_or_default() })
    }
}

fn check_name(text: &str) -> Result<String, Invalid> {
    let name = text.trim();
    let sound = !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control);
    if sound { Ok(name.to_owned()) } else { Err(Invalid::new("name", "must have 1 to 100 characters, none of them a control character")) }
}

fn check_scopes(texts: &[String]) -> Result<Vec<Scope>, Invalid> {
    let known = || Scope::ALL.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
    let mut scopes = Vec::new();
    for text in texts {
        let scope: Scope = text.parse().map_err(|()| Invalid::new("scopes", format!("must be a list of these: {}", known())))?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() { Err(Invalid::new("scopes", format!("must hold at least one of these: {}", known()))) } else { Ok(scopes) }
}

fn check_networks(texts: &[String]) -> Result<Vec<ipnet::IpNet>, Invalid> {
    if texts.len() > MOST_NETWORKS {
        return Err(Invalid::new("allowed_ips", "must have at most 100 entries"));
    }
    let refuse = || Invalid::new("allowed_ips", "must be a list of networks like 10.0.0.0/8 and addresses like 192.168.1.7");
    texts.iter().map(|text| api_key::parse_network(text).ok_or_else(refuse)).collect()
}
