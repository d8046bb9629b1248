//! Users, API keys, logins, the audit log.

use crate::webhooks::count_commits;
use crate::world::{ANNA, Backend, START, World};
use futures::future::join_all;
use sanasend_model::{ApiKeyId, LoginId, Scope, Timestamp, UserId};
use sanasend_store::{
    ApiKeyFilter, AuditEntry, MessageFilter, NewApiKey, NewCookie, NewLogin, NewUser, Page, Rotation, SignalChange, SignalKind, StoreError,
    Updated, UserFilter, UserPatch,
};
use std::sync::atomic::Ordering;
use std::time::Duration;

pub async fn names_and_addresses_are_taken_once<B: Backend>(w: World<B>) {
    w.user("anna").await;
    let same_name = NewUser { email: "other@example.com".into(), ..w.new_user("anna") };
    assert_eq!(w.store.create_user(same_name).await, Err(StoreError::Conflict { what: "username" }));
    let same_mail = NewUser { email: "ANNA@example.com".into(), ..w.new_user("other") };
    assert_eq!(w.store.create_user(same_mail).await, Err(StoreError::Conflict { what: "email" }));
    let ben = w.user("ben").await;
    let patch = UserPatch { username: Some("anna".into()), ..UserPatch::default() };
    assert_eq!(w.store.update_user(ben.id, patch).await, Err(StoreError::Conflict { what: "username" }));
}

fn demote() -> UserPatch {
    UserPatch { is_admin: Some(false), ..UserPatch::default() }
}

fn deactivate() -> UserPatch {
    UserPatch { is_active: Some(false), ..UserPatch::default() }
}

pub async fn the_last_active_admin_stays<B: Backend>(w: World<B>) {
    let admin = w.store.create_user(NewUser { is_admin: true, ..w.new_user("admin") }).await.expect("admin");
    let asleep = w.store.create_user(NewUser { is_admin: true, is_active: false, ..w.new_user("asleep") }).await.expect("admin");
    assert_eq!(w.store.update_user(admin.id, demote()).await, Ok(Updated::LastAdmin));
    assert_eq!(w.store.update_user(admin.id, deactivate()).await, Ok(Updated::LastAdmin));
    assert_eq!(w.store.delete_user(admin.id).await, Ok(Updated::LastAdmin));
    let renamed = UserPatch { username: Some("chief".into()), ..UserPatch::default() };
    assert!(matches!(w.store.update_user(admin.id, renamed).await, Ok(Updated::Done(user)) if user.username == "chief" && user.is_active));
    // An inactive admin is not what is protected.
    assert_eq!(w.store.delete_user(asleep.id).await, Ok(Updated::Done(())));
    w.store.create_user(NewUser { is_admin: true, ..w.new_user("second") }).await.expect("admin");
    assert!(matches!(w.store.update_user(admin.id, demote()).await, Ok(Updated::Done(user)) if !user.is_admin));
    assert_eq!(w.store.update_user(UserId(uuid::Uuid::nil()), demote()).await, Ok(Updated::Missing));
}

pub async fn two_admins_cannot_demote_each_other_at_once<B: Backend>(w: World<B>) {
    let mut admins = Vec::new();
    for n in 0..8 {
        admins.push(w.store.create_user(NewUser { is_admin: true, ..w.new_user(&format!("admin{n}")) }).await.expect("admin"));
    }
    let answers = join_all(admins.iter().map(|admin| w.store.update_user(admin.id, demote()))).await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(Updated::LastAdmin))).count(), 1);
    assert_eq!(w.ask("SELECT COUNT(*) FROM users WHERE is_admin AND is_active").await, 1);
}

pub async fn a_password_hash_leaves_only_for_a_login<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    let (found, hash) = w.store.user_credentials("anna").await.expect("read").expect("there");
    assert_eq!((found, hash.as_str()), (user.clone(), "hash of anna"));
    assert_eq!(w.store.user_credentials("nobody").await, Ok(None));
    let patch = UserPatch { password_hash: Some("new hash".into()), ..UserPatch::default() };
    w.clock.advance(Duration::from_secs(1));
    let Ok(Updated::Done(changed)) = w.store.update_user(user.id, patch).await else { panic!("changed") };
    assert!(changed.updated_at > user.updated_at);
    assert!(!format!("{changed:?}").contains("hash"));
    assert_eq!(w.store.user_credentials("anna").await.expect("read").expect("there").1, "new hash");
}

pub async fn users_are_listed_filtered_and_sorted<B: Backend>(w: World<B>) {
    for name in ["carl", "anna", "ben_x"] {
        w.clock.advance(Duration::from_secs(1));
        w.user(name).await;
    }
    let names = async |filter: UserFilter, page: Page| {
        let listed = w.store.list_users(&filter, page).await.expect("listed");
        (listed.count, listed.results.into_iter().map(|user| user.username).collect::<Vec<_>>())
    };
    assert_eq!(names(UserFilter::default(), Page::default()).await, (3, vec!["ben_x".into(), "anna".into(), "carl".into()]));
    let by_name = UserFilter { ordering: "username".parse().expect("an order"), ..UserFilter::default() };
    assert_eq!(names(by_name.clone(), Page { page: 2, page_size: 2 }).await, (3, vec!["carl".into()]));
    assert_eq!(names(UserFilter { search: Some("ANNA@".into()), ..by_name.clone() }, Page::default()).await.1, ["anna"]);
    assert_eq!(names(UserFilter { search: Some("_".into()), ..by_name.clone() }, Page::default()).await.1, ["ben_x"]);
    assert_eq!(names(UserFilter { is_admin: Some(true), ..by_name.clone() }, Page::default()).await.0, 0);
    assert_eq!(names(UserFilter { is_active: Some(true), ..by_name }, Page::default()).await.0, 3);
    assert!("password_hash".parse::<sanasend_store::Ordering<sanasend_store::UserOrder>>().is_err());
}

pub async fn deleting_a_user_takes_everything_along<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let other = w.account().await;
    for account in [account, other] {
        let sent = w.send(account, ANNA, "hello").await;
        w.ack(account, &sent).await;
        w.send(account, ANNA, "waits").await;
        w.store.create_api_key(new_key(&w, account.user)).await.expect("key");
        w.store.create_login(new_login(&w, account.user, u8::try_from(w.number()).expect("few"))).await.expect("login");
        let put = SignalChange::Put { kind: SignalKind::Device, key: b"d".to_vec(), value: b"v".to_vec() };
        w.signal(account).apply(vec![put]).await.expect("put");
    }
    assert_eq!(w.store.delete_user(account.user).await, Ok(Updated::Done(())));
    for table in ["users", "api_keys", "logins", "refresh_tokens", "sessions", "signal", "outbox", "usage_daily"] {
        assert_eq!(w.ask(&format!("SELECT COUNT(*) FROM {table}")).await, 1, "{table}");
    }
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, 2);
    assert_eq!(w.store.events_after(account.user, 0, 10).await, Ok(Vec::new()));
    assert!(w.store.list_messages(&MessageFilter { user_id: Some(other.user), ..MessageFilter::default() }, Page::default()).await.is_ok());
    assert_eq!(w.store.delete_user(account.user).await, Ok(Updated::Missing));
}

/// Numbers from 1 to 2,500.
const MANY: &str = "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 2500)";

pub async fn what_a_user_has_much_of_goes_in_pieces<B: Backend>(w: World<B>) {
    let (little, much) = (w.account().await, w.account().await);
    w.send(much, "120363021033254949@g.us", "to all").await;
    w.tamper(&format!(
        "INSERT INTO receipts (message_id, participant, delivered_at) {MANY} SELECT messages.id, CAST(n AS TEXT) || '@lid', 1 FROM many, messages"
    ))
    .await;
    w.tamper(&format!(
        "INSERT INTO usage_daily (user_id, day, accepted, sent, received, failed) {MANY} SELECT messages.user_id, n, 0, 0, 0, 0 FROM many, messages"
    ))
    .await;
    let commits = count_commits(&w);
    assert_eq!(w.store.delete_user(little.user).await, Ok(Updated::Done(())));
    let of_little = commits.swap(0, Ordering::SeqCst);
    assert_eq!(w.store.delete_user(much.user).await, Ok(Updated::Done(())));
    // The message, three times a thousand receipts, three times a thousand days.
    assert!(commits.load(Ordering::SeqCst) >= of_little + 7, "others had their turn in between");
    for table in ["receipts", "messages", "usage_daily", "users"] {
        assert_eq!(w.ask(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
}

pub async fn who_is_being_removed_stays_as_it_is<B: Backend>(w: World<B>) {
    let admin = w.store.create_user(NewUser { is_admin: true, ..w.new_user("admin") }).await.expect("admin").id;
    let anna = w.user("anna").await;
    assert_eq!(anna.removal_at, None);
    w.clock.advance(Duration::from_secs(1));
    let begun = w.store.begin_user_removal(anna.id, admin, [127_u8, 0, 0, 1].into()).await;
    let Ok(Updated::Done((going, _))) = begun else { panic!("it may go") };
    assert_eq!((going.is_active, going.removal_at), (false, Some(START.plus(Duration::from_secs(1)))));
    w.clock.advance(Duration::from_secs(1));
    let activate = UserPatch { is_active: Some(true), ..UserPatch::default() };
    let rename = UserPatch { username: Some("carl".into()), ..UserPatch::default() };
    for patch in [activate, rename, demote(), deactivate()] {
        assert_eq!(w.store.update_user(anna.id, patch).await, Ok(Updated::BeingRemoved));
    }
    assert_eq!(w.store.user(anna.id).await, Ok(Some(going.clone())));
    assert!(w.store.list_users(&UserFilter::default(), Page::default()).await.expect("read").results.contains(&going));
    let again = w.store.begin_user_removal(anna.id, admin, [127_u8, 0, 0, 1].into()).await;
    assert!(matches!(&again, Ok(Updated::Done((user, _))) if *user == going), "asked once more: {again:?}");
    // A job is to end it, and where it is lost another one.
    assert_eq!(w.store.resume_user_removals().await, Ok(0));
    w.tamper("DELETE FROM jobs").await;
    assert_eq!((w.store.resume_user_removals().await, w.store.resume_user_removals().await), (Ok(1), Ok(0)));
    assert_eq!(w.ask("SELECT COUNT(*) FROM jobs WHERE kind = 'user.remove'").await, 1);
    assert_eq!(w.store.delete_user(anna.id).await, Ok(Updated::Done(())));
    assert_eq!(w.store.user(anna.id).await, Ok(None));
    assert_eq!(w.store.resume_user_removals().await, Ok(0));
    assert!(matches!(w.store.update_user(admin, demote()).await, Ok(Updated::LastAdmin)));
}

fn new_key<B: Backend>(w: &World<B>, user_id: UserId) -> NewApiKey {
    NewApiKey {
        user_id,
        name: "shop".into(),
        prefix: format!("prefix{:06}", w.number()),
        digest: [9; 32],
        scopes: vec![Scope::MessagesSend, Scope::EventsRead],
        allowed_ips: vec!["10.0.0.0/8".parse().expect("a network"), "2001:db8::/32".parse().expect("a network")],
        expires_at: Some(START.plus(Duration::from_mins(1))),
    }
}

pub async fn keys_are_found_by_prefix_and_read_back_whole<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    let new = new_key(&w, user.id);
    let key = w.store.create_api_key(new.clone()).await.expect("made");
    assert_eq!((&key.scopes, &key.allowed_ips, key.expires_at), (&new.scopes, &new.allowed_ips, new.expires_at));
    let found = w.store.api_key_by_prefix(&new.prefix).await.expect("read").expect("there");
    assert_eq!(found, (key.clone(), new.digest, user.clone()));
    assert_eq!(w.store.api_key_by_prefix("nothing").await, Ok(None));
    assert_eq!(w.store.create_api_key(new).await, Err(StoreError::Conflict { what: "prefix" }));
    let stray = new_key(&w, UserId(uuid::Uuid::nil()));
    assert_eq!(w.store.create_api_key(stray).await, Err(StoreError::Conflict { what: "owner" }));
    let bare = NewApiKey { scopes: vec![], allowed_ips: vec![], expires_at: None, ..new_key(&w, user.id) };
    let bare = w.store.create_api_key(bare).await.expect("made");
    assert_eq!(w.store.api_key(bare.id).await, Ok(Some(bare)));
    let filter = ApiKeyFilter { user_id: Some(user.id), search: Some("SHOP".into()), ..ApiKeyFilter::default() };
    assert_eq!(w.store.list_api_keys(&filter, Page::default()).await.map(|listed| listed.count), Ok(2));
}

pub async fn a_revoked_key_stays_revoked_and_a_rotated_one_has_grace<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    let old = w.store.create_api_key(new_key(&w, user.id)).await.expect("made");
    let grace = START.plus(Duration::from_hours(1));
    let new = w.store.rotate_api_key(old.id, new_key(&w, user.id), grace).await.expect("rotated").expect("there");
    let before = w.store.api_key(old.id).await.expect("read").expect("there");
    assert_eq!((before.is_active, before.replaced_by, before.grace_until), (true, Some(new.id), Some(grace)));
    assert_eq!(w.store.rotate_api_key(old.id, new_key(&w, user.id), grace).await, Ok(None), "twice");
    let revoked = w.store.revoke_api_key(new.id).await.expect("revoked").expect("there");
    assert_eq!((revoked.is_active, revoked.revoked_at), (false, Some(START)));
    w.clock.advance(Duration::from_secs(5));
    assert_eq!(w.store.revoke_api_key(new.id).await, Ok(Some(revoked)));
    assert_eq!(w.store.rotate_api_key(new.id, new_key(&w, user.id), grace).await, Ok(None), "revoked");
    assert_eq!(w.store.revoke_api_key(ApiKeyId(uuid::Uuid::nil())).await, Ok(None));
}

pub async fn last_use_never_moves_back<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    let key = w.store.create_api_key(new_key(&w, user.id)).await.expect("made");
    for at in [5, 9, 7] {
        w.store.touch_api_keys(vec![(key.id, Timestamp(at))]).await.expect("noted");
    }
    assert_eq!(w.store.api_key(key.id).await.expect("read").expect("there").last_used_at, Some(Timestamp(9)));
}

fn new_login<B: Backend>(w: &World<B>, user_id: UserId, digest: u8) -> NewLogin {
    NewLogin {
        id: LoginId::new(&*w.clock),
        user_id,
        refresh_digest: [digest; 32],
        expires_at: START.plus(Duration::from_secs(100)),
        user_agent: Some("a browser".into()),
        ip: Some("192.0.2.7".parse().expect("an address")),
    }
}

pub async fn a_refresh_token_used_twice_ends_the_family<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    let login = w.store.create_login(new_login(&w, user.id, 1)).await.expect("login");
    let later = START.plus(Duration::from_secs(500));
    let rotated = w.store.rotate_refresh([1; 32], [2; 32], START, later).await.expect("rotated");
    let Rotation::Rotated { login: renewed, user: who } = rotated else { panic!("{rotated:?}") };
    assert_eq!((renewed.id, renewed.expires_at, renewed.ip, who.id), (login.id, later, login.ip, user.id));
    assert_eq!(w.store.rotate_refresh([1; 32], [3; 32], START, later).await, Ok(Rotation::Reused));
    assert_eq!(w.store.login_is_live(login.id).await, Ok(false));
    assert_eq!(w.store.rotate_refresh([2; 32], [4; 32], START, later).await, Ok(Rotation::Unknown), "the good one died with it");
}

pub async fn of_two_refreshes_at_once_one_is_a_reuse<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    w.store.create_login(new_login(&w, user.id, 1)).await.expect("login");
    let later = START.plus(Duration::from_secs(500));
    let both = join_all([2, 3].map(|new| w.store.rotate_refresh([1; 32], [new; 32], START, later))).await;
    assert_eq!(both.iter().filter(|one| matches!(one, Ok(Rotation::Rotated { .. }))).count(), 1, "{both:?}");
    assert!(both.contains(&Ok(Rotation::Reused)), "{both:?}");
}

pub async fn expired_and_revoked_logins_are_dead<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    let [old, out, live] = [1, 2, 3].map(|digest| new_login(&w, user.id, digest));
    let live = NewLogin { expires_at: START.plus(Duration::from_secs(1000)), ..live };
    for login in [&old, &out, &live] {
        w.store.create_login(login.clone()).await.expect("login");
    }
    w.store.revoke_login(out.id).await.expect("revoked");
    assert_eq!(w.store.login_is_live(out.id).await, Ok(false));
    assert_eq!(w.store.login_is_live(old.id).await, Ok(true));
    w.clock.advance(Duration::from_secs(100));
    let now = START.plus(Duration::from_secs(100));
    assert_eq!(w.store.login_is_live(old.id).await, Ok(false));
    assert_eq!(w.store.rotate_refresh([1; 32], [9; 32], now, now).await, Ok(Rotation::Expired));
    assert_eq!(w.store.rotate_refresh([8; 32], [9; 32], now, now).await, Ok(Rotation::Unknown));
    assert_eq!(w.store.delete_expired_logins(now).await, Ok(4), "two logins and a token of each");
    assert_eq!(w.store.login_is_live(live.id).await, Ok(true));
    w.store.revoke_logins_of(user.id).await.expect("revoked");
    assert_eq!(w.store.login_is_live(live.id).await, Ok(false));
}

pub async fn audit_entries_are_added<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    for actor in [Some(user.id), None] {
        let detail = serde_json::json!({"field": "is_active"});
        let entry = AuditEntry { actor, action: "user.deactivated", target: "user x".into(), ip: None, detail };
        w.store.audit(entry).await.expect("written");
    }
    assert_eq!(w.ask("SELECT COUNT(*) FROM audit_log WHERE action = 'user.deactivated'").await, 2);
}

pub async fn a_cookie_is_good_while_it_is_used_and_its_login_lives<B: Backend>(w: World<B>) {
    let user = w.user("anna").await;
    let idle = Duration::from_mins(1);
    let new = |number: u8| NewCookie {
        id: LoginId::new(&*w.clock),
        user_id: user.id,
        digest: [number; 32],
        expires_at: START.plus(Duration::from_secs(150)),
        user_agent: Some("a browser".into()),
        ip: Some("192.0.2.7".parse().expect("an address")),
    };
    let (used, unused, ended) = (new(1), new(2), new(3));
    for cookie in [&used, &unused, &ended] {
        w.store.create_cookie(cookie.clone()).await.expect("a cookie");
    }
    let found = w.store.cookie([1; 32], idle).await.expect("read").expect("good");
    assert_eq!((found.login, found.user, found.seen_at), (used.id, user.clone(), START));
    assert_eq!(w.store.cookie([9; 32], idle).await, Ok(None), "nobody's");
    w.store.revoke_login(ended.id).await.expect("ended");
    assert_eq!(w.store.cookie([3; 32], idle).await, Ok(None), "logged out");
    w.clock.advance(Duration::from_secs(50));
    w.store.touch_cookie([1; 32]).await.expect("noted");
    w.clock.advance(Duration::from_secs(50));
    assert!(w.store.cookie([1; 32], idle).await.expect("read").is_some(), "used a while ago");
    assert_eq!(w.store.cookie([2; 32], idle).await, Ok(None), "not used for long");
    w.store.touch_cookie([1; 32]).await.expect("noted");
    w.clock.advance(Duration::from_secs(50));
    assert_eq!(w.store.cookie([1; 32], idle).await, Ok(None), "its end is its end");
    assert_eq!(w.store.delete_expired_logins(START.plus(Duration::from_secs(150))).await, Ok(3));
    assert_eq!(w.ask("SELECT COUNT(*) FROM cookies").await, 0);
}
