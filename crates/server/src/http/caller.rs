//! Who calls: the extractor that every handler behind a login takes, also one that does not look at it.
//!
//! One credential per request, in `X-API-Key` or `Authorization: Bearer`; two of them are refused, so that none
//! can override the other. `Caller` itself is what the specification calls `IsActiveUser`. What the operation asks of
//! it (`IsAdminUser`, `HasValidAPIKey` with a scope) is asked here, by the [`Gate`](super::gate::Gate), before anything
//! else of the request is read; handlers ask nothing of the kind again.

use super::error::{ApiError, ErrorCode};
use super::middleware::Exchange;
use crate::app::App;
use crate::auth::keys::KeyRefusal;
use crate::auth::tokens::{Purpose, TokenRefusal};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use sanasend_model::limit::Standing;
use sanasend_model::{LoginId, Timestamp, UserId};
use sanasend_store::limits::{Ask, Counted};
use sanasend_store::{ApiKey, User};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// An active user whose credentials were checked, and how it authenticated.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user; everything it owns is found by its id.
    pub user: Arc<User>,
    /// The API key, when it came with one.
    pub key: Option<Arc<ApiKey>>,
    /// The login, when it came with an access token.
    pub login: Option<LoginId>,
    /// The caller's address, behind trusted proxies.
    pub ip: IpAddr,
    /// The admin who acts for the user, where it is not the user itself.
    pub acting: Option<UserId>,
    /// The request and its answer.
    exchange: Arc<Exchange>,
}

impl Caller {
    /// The user's id.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.user.id
    }

    /// Whether the user is an admin *and* came by login: keys never act as admin.
    #[must_use]
    pub fn acts_as_admin(&self) -> bool {
        self.user.is_admin && self.login.is_some() && self.acting.is_none()
    }

    /// Whose things a list shows in which each user's lie apart: one's own, or for admins by login those of the user that is
    /// asked for. Of another user's nothing is shown, as of one that does not exist.
    #[must_use]
    pub fn whose(&self, asked: Option<UserId>) -> UserId {
        let own = self.id();
        match asked {
            Some(other) if other != own && !self.acts_as_admin() => UserId(uuid::Uuid::nil()),
            Some(asked) => asked,
            None => own,
        }
    }

    /// Whose things a list shows in which those of all users lie together: as [`Caller::whose`], and everybody's (`None`) for
    /// admins by login who ask for nobody's.
    #[must_use]
    pub fn whose_or_all(&self, asked: Option<UserId>) -> Option<UserId> {
        if self.acts_as_admin() { asked } else { Some(self.whose(asked)) }
    }

    /// Whether the caller may look at what is this user's: their own, or as an admin by login anybody's.
    #[must_use]
    pub fn may_see(&self, owner: UserId) -> bool {
        owner == self.id() || self.acts_as_admin()
    }

    /// The same caller acting for another user: what that user owns is found, the limits are the user's, and the audit log
    /// names who did it. `None` unless the caller is an admin by login.
    #[must_use]
    pub fn on_behalf_of(&self, user: User) -> Option<Self> {
        self.acts_as_admin().then(|| Self { user: Arc::new(user), acting: Some(self.actor()), ..self.clone() })
    }

    /// Who does it: the admin where one acts for the user, else the user.
    #[must_use]
    pub fn actor(&self) -> UserId {
        self.acting.unwrap_or(self.user.id)
    }

    /// Counts a message against the user's limit per minute. Every send calls it, before the message is accepted.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub async fn count_message(&self, app: &App) -> Result<(), ApiError> {
        let counted = app.limits.count(&[self.messages()]).await;
        self.let_message(counted.first().copied().unwrap_or(Standing::FREE))
    }

    /// Looks, without counting, whether the user's limits leave room for one more message. Sends that do costly work before the
    /// message is accepted ask before they begin; what they hear is confirmed when the message is counted.
    ///
    /// # Errors
    /// `RATE_LIMITED`, `DAILY_LIMIT_REACHED`, or when the store is down.
    pub async fn look_for_room(&self, app: &App) -> Result<(), ApiError> {
        let standing = app.limits.look(self.messages());
        if standing.wait.is_some() {
            return self.let_message(standing);
        }
        let now = app.clock.now();
        let used = app.store.usage(self.id(), now.day()).await?.accepted;
        let tomorrow = Timestamp::of_day(now.day().saturating_add(1));
        if used >= self.user.max_messages_per_day { Err(self.day_is_over(tomorrow.since(now))) } else { Ok(()) }
    }

    fn messages(&self) -> Ask {
        let per_minute = u32::try_from(self.user.max_messages_per_minute).unwrap_or(u32::MAX);
        Ask { what: Counted::Messages(self.id()), per_minute }
    }

    fn let_message(&self, standing: Standing) -> Result<(), ApiError> {
        self.exchange.note_messages(standing);
        match standing.wait {
            Some(wait) => Err(ApiError::because(ErrorCode::RateLimited, "The limit of messages per minute is reached.").retry_after(wait)),
            None => Ok(()),
        }
    }

    /// The refusal of a message when those of the day are used up, which start anew after `left`.
    #[must_use]
    pub fn day_is_over(&self, left: Duration) -> ApiError {
        let limit = u32::try_from(self.user.max_messages_per_day).unwrap_or(u32::MAX);
        self.exchange.note_day(Standing { limit, remaining: 0, reset: left, wait: Some(left) });
        ApiError::new(ErrorCode::DailyLimitReached).retry_after(left)
    }

    /// The person's login.
    ///
    /// # Errors
    /// `LOGIN_REQUIRED`.
    pub fn require_login(&self) -> Result<LoginId, ApiError> {
        self.login.ok_or_else(|| ErrorCode::LoginRequired.into())
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let exchange = Exchange::of(parts);
        exchange.note_route(parts);
        let caller = match parts.extensions.remove::<Vouched>() {
            Some(Vouched(caller)) => caller,
            None => vouch(app, &parts.headers, exchange).await?.0,
        };
        caller.exchange.gate.let_through(&caller, parts)?;
        Ok(caller)
    }
}

/// A caller whose credentials were checked, and that was counted, before its request reached its handler; an extension of the
/// request.
#[derive(Debug, Clone)]
pub(super) struct Vouched(Caller);

/// Checks the credentials of a request and counts it against the limits of who sent it.
///
/// # Errors
/// Whatever the extractor of a [`Caller`] refuses, but for what the operation asks for.
pub(super) async fn vouch(app: &App, headers: &HeaderMap, exchange: Arc<Exchange>) -> Result<Vouched, ApiError> {
    let caller = match credential(headers)? {
        Credential::Key(key) => by_key(app, key, exchange).await?,
        Credential::Token(token) => by_token(app, token, exchange).await?,
    };
    caller.count_request(app).await?;
    Ok(Vouched(caller))
}

impl Caller {
    /// Who came to the dashboard with the cookie of a login.
    ///
    /// # Errors
    /// `USER_INACTIVE`, `ADMIN_IP_NOT_ALLOWED`, `RATE_LIMITED`.
    pub(crate) async fn by_cookie(app: &App, user: User, login: LoginId, exchange: Arc<Exchange>) -> Result<Self, ApiError> {
        if !user.is_active {
            return Err(ErrorCode::UserInactive.into());
        }
        if !admin_may_come_from(app, &user, exchange.address) {
            return Err(ErrorCode::AdminIpNotAllowed.into());
        }
        let caller = Self { user: Arc::new(user), key: None, login: Some(login), ip: exchange.address, acting: None, exchange };
        caller.count_request(app).await?;
        Ok(caller)
    }

    /// Counts a request against the user's limit, and against the key's own where there is one, and among those of the user that are
    /// worked on.
    async fn count_request(&self, app: &App) -> Result<(), ApiError> {
        let limits = &app.config.limits;
        let mut asks = vec![Ask { what: Counted::Requests(self.id()), per_minute: limits.requests_per_minute }];
        if let Some(key) = self.key.as_ref().filter(|_| limits.requests_per_minute_per_key > 0) {
            asks.push(Ask { what: Counted::Key(self.id(), key.id), per_minute: limits.requests_per_minute_per_key });
        }
        let counted = app.limits.count(&asks).await;
        self.exchange.note(&counted, self.id(), self.key.as_ref().map(|key| key.id));
        match counted.iter().filter_map(|standing| standing.wait).max() {
            Some(wait) => Err(ApiError::new(ErrorCode::RateLimited).retry_after(wait)),
            None => self.exchange.work_for(Counted::Requests(self.id())),
        }
    }
}

enum Credential<'a> {
    Key(&'a str),
    Token(&'a str),
}

/// Whether a request carries anything that looks like a credential.
#[must_use]
pub fn carries_credentials(headers: &HeaderMap) -> bool {
    headers.contains_key("x-api-key") || headers.contains_key(header::AUTHORIZATION)
}

fn credential(headers: &HeaderMap) -> Result<Credential<'_>, ApiError> {
    let keys = headers.get_all("x-api-key").iter().map(|value| (true, value));
    let mut sent = keys.chain(headers.get_all(header::AUTHORIZATION).iter().map(|value| (false, value)));
    let Some((is_key, value)) = sent.next() else {
        return Err(ErrorCode::Unauthenticated.into());
    };
    if sent.next().is_some() {
        return Err(ApiError::because(ErrorCode::Unauthenticated, "Send one credential, not several."));
    }
    let text = value.to_str().map_err(|_| ApiError::new(ErrorCode::Unauthenticated))?.trim();
    if is_key {
        return Ok(Credential::Key(text));
    }
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || rest.is_empty() {
        return Err(ErrorCode::Unauthenticated.into());
    }
    Ok(if rest.starts_with("sk_") { Credential::Key(rest) } else { Credential::Token(rest) })
}

async fn by_key(app: &App, key: &str, exchange: Arc<Exchange>) -> Result<Caller, ApiError> {
    let ip = exchange.address;
    let refusal = match app.auth.keys.check(&app.store, key, ip).await? {
        Ok((user, key)) => return Ok(Caller { user, key: Some(key), login: None, ip, acting: None, exchange }),
        Err(refusal) => refusal,
    };
    Err(match refusal {
        KeyRefusal::Unknown => guessed(app, ip, ErrorCode::InvalidApiKey).await,
        KeyRefusal::Revoked => ErrorCode::ApiKeyRevoked.into(),
        KeyRefusal::Expired => ErrorCode::ApiKeyExpired.into(),
        KeyRefusal::WrongAddress => ErrorCode::IpNotAllowed.into(),
        KeyRefusal::UserInactive => ErrorCode::UserInactive.into(),
    })
}

/// The refusal of what this server never gave to anybody; an address that sends too much of it has to wait.
async fn guessed(app: &App, ip: IpAddr, code: ErrorCode) -> ApiError {
    match app.limits.bad_guess(ip).await {
        Ok(()) => code.into(),
        Err(wait) => ApiError::new(ErrorCode::RateLimited).retry_after(wait.0),
    }
}

async fn by_token(app: &App, token: &str, exchange: Arc<Exchange>) -> Result<Caller, ApiError> {
    let claims = match app.auth.tokens.read(token, Purpose::Access) {
        Ok(claims) => claims,
        Err(TokenRefusal::Invalid) => return Err(guessed(app, exchange.address, ErrorCode::InvalidToken).await),
        // It was good once, so it is no guess.
        Err(TokenRefusal::Expired) => return Err(ErrorCode::TokenExpired.into()),
    };
    let user = app.store.user(claims.sub).await?.ok_or(ErrorCode::InvalidToken)?;
    if !user.is_active {
        return Err(ErrorCode::UserInactive.into());
    }
    if !app.store.login_is_live(claims.sid).await? {
        return Err(ErrorCode::InvalidToken.into());
    }
    if !admin_may_come_from(app, &user, exchange.address) {
        return Err(ErrorCode::AdminIpNotAllowed.into());
    }
    Ok(Caller { user: Arc::new(user), key: None, login: Some(claims.sid), ip: exchange.address, acting: None, exchange })
}

/// Whether this user, if an admin, may act as one from this address.
pub fn admin_may_come_from(app: &App, user: &User, ip: IpAddr) -> bool {
    let networks = &app.config.auth.admin_ips;
    !user.is_admin || networks.is_empty() || networks.iter().any(|network| network.0.contains(&ip.to_canonical()))
}

impl From<TokenRefusal> for ApiError {
    fn from(refusal: TokenRefusal) -> Self {
        match refusal {
            TokenRefusal::Invalid => ErrorCode::InvalidToken.into(),
            TokenRefusal::Expired => ErrorCode::TokenExpired.into(),
        }
    }
}
