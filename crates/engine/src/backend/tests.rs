//! The storage over a real store on disk, held against the client library's own reference in memory.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use sanasend_model::{Clock, Network, SessionId, Timestamp};
use sanasend_store::{Created, Database, NewSession, NewUser, Options, SealKey, Store};
use std::sync::Arc;
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::store::traits::{
    AppStateSyncKey, AppSyncStore, DeviceInfo, DeviceListRecord, DeviceStore, LidPnMappingEntry, MsgSecretEntry, MsgSecretStore,
    PendingInboundKey, PendingInboundRow, ProtocolStore, SignalStore, TcTokenEntry,
};
use whatsapp_rust::wacore::store::{Device, InMemoryBackend};

#[derive(Debug)]
struct Seeded(std::sync::atomic::AtomicU64);

impl Clock for Seeded {
    fn now(&self) -> Timestamp {
        Timestamp(1_763_700_000_000)
    }
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let next = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_le_bytes();
            chunk.copy_from_slice(&next[..chunk.len()]);
        }
    }
}

/// A store on disk with one account, and its storage.
pub(crate) struct Bench {
    store: Store,
    session: SessionId,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let clock: Arc<dyn Clock> = Arc::new(Seeded(1.into()));
        let options = Options {
            database: Database::Sqlite { path: folder.path().join("db.sqlite") },
            seal_key: SealKey::new(1, [7; 32]),
            older_keys: Vec::new(),
            readers: 2,
            timeout: std::time::Duration::from_secs(5),
        };
        let store = Store::open(options, clock.clone()).await.expect("store");
        store.migrate().await.expect("tables");
        let user = NewUser {
            username: "anna".into(),
            email: "anna@example.com".into(),
            password_hash: "x".into(),
            is_admin: false,
            is_active: true,
            max_messages_per_day: 1000,
            max_messages_per_minute: 60,
            max_sessions: 1,
        };
        let user = store.create_user(user).await.expect("user");
        let session = SessionId::new(clock.as_ref());
        let new = NewSession { id: session, user_id: user.id, name: "shop".into(), network: Network::Sandbox };
        assert!(matches!(store.create_session(new, 1).await.expect("session"), Created::Done(_)));
        Self { store, session, _folder: folder }
    }

    /// The account's rows for a new owner; owners before it are fenced.
    pub(crate) async fn rows(&self) -> SignalState {
        let generation = self.store.take_session(self.session).await.expect("generation");
        self.store.signal(self.session, generation)
    }

    /// Writes the credentials of a linked account, as if a phone had scanned its code.
    pub(crate) async fn link_by_hand(&self) {
        let backend = self.backend().await;
        let mut device = Device::new();
        device.pn = Some("14155550100:3@s.whatsapp.net".parse().expect("jid"));
        device.account = Some(Arc::default());
        backend.save(&device).await.expect("saved");
    }

    /// Forgets the account's credentials, as after a log-out.
    pub(crate) async fn erase(&self) {
        let generation = self.store.take_session(self.session).await.expect("generation");
        self.store.erase_credentials(self.session, generation).await.expect("erased");
    }

    async fn backend(&self) -> Backend {
        Backend::new(self.rows().await)
    }
}

#[tokio::test]
async fn a_device_comes_back_whole() {
    let bench = Bench::new().await;
    let backend = bench.backend().await;
    assert!(!backend.exists().await.expect("asked"));
    backend.create().await.expect("made");
    let mut device = backend.load().await.expect("read").expect("there");
    device.push_name = "Anna".into();
    device.pn = Some("15550100:3@s.whatsapp.net".parse().expect("jid"));
    device.server_has_prekeys = true;
    backend.save(&device).await.expect("saved");
    backend.create().await.expect("made again");
    let read = bench.backend().await.load().await.expect("read").expect("there");
    assert_eq!(encode(&read).expect("json"), encode(&device).expect("json"));
}

#[tokio::test]
async fn an_owner_that_was_replaced_writes_nothing() {
    let bench = Bench::new().await;
    let old = bench.backend().await;
    old.put_session("1@s.whatsapp.net", b"old").await.expect("written");
    let new = bench.backend().await;
    assert!(old.put_session("1@s.whatsapp.net", b"stale").await.is_err());
    assert!(old.store_prekeys_batch(&[(1, Bytes::from_static(b"k"))], false).await.is_err());
    assert_eq!(new.get_session("1@s.whatsapp.net").await.expect("read").as_deref(), Some(&b"old"[..]));
    assert_eq!(new.get_max_prekey_id().await.expect("read"), 0);
}

#[tokio::test]
async fn prekeys_of_a_first_login_are_one_batch_and_come_back_by_id() {
    let backend = Bench::new().await.into_backend().await;
    let keys: Vec<(u32, Bytes)> = (1..=812).map(|id| (id, Bytes::from(format!("record {id}")))).collect();
    backend.store_prekeys_batch(&keys, false).await.expect("written");
    assert_eq!(backend.get_max_prekey_id().await.expect("max"), 812);
    backend.remove_prekey(300).await.expect("removed");
    backend.mark_prekeys_uploaded(&[299, 300, 301]).await.expect("marked");
    let mut found = backend.load_prekeys_batch(&[299, 300, 301, 9999]).await.expect("read");
    found.sort_by_key(|(id, _)| *id);
    assert_eq!(found, [(299, Bytes::from("record 299")), (301, Bytes::from("record 301"))], "a used key stays away");
}

impl Bench {
    async fn into_backend(self) -> Kept {
        Kept { backend: self.backend().await, _bench: self }
    }
}

/// A storage whose folder lives as long as itself.
struct Kept {
    backend: Backend,
    _bench: Bench,
}

impl std::ops::Deref for Kept {
    type Target = Backend;
    fn deref(&self) -> &Backend {
        &self.backend
    }
}

#[tokio::test]
async fn waiting_messages_are_kept_until_their_commit() {
    let backend = Bench::new().await.into_backend().await;
    let rows = [
        PendingInboundRow { chat: "g@g.us", sender: "1@lid", id: "A", message: b"one" },
        PendingInboundRow { chat: "g@g.us", sender: "2@lid", id: "A", message: b"two" },
    ];
    backend.store_pending_inbound_batch(&rows).await.expect("written");
    assert_eq!(backend.get_pending_inbound("g@g.us", "2@lid", "A").await.expect("read").as_deref(), Some(&b"two"[..]));
    backend.delete_pending_inbound_batch(&[PendingInboundKey { chat: "g@g.us", sender: "1@lid", id: "A" }]).await.expect("deleted");
    assert_eq!(backend.get_pending_inbound("g@g.us", "1@lid", "A").await.expect("read"), None);
    assert!(backend.get_pending_inbound("g@g.us", "2@lid", "A").await.expect("read").is_some());
}

#[tokio::test]
async fn a_sent_message_is_taken_once() {
    let backend = Bench::new().await.into_backend().await;
    backend.store_sent_message("1@lid", "A", b"payload").await.expect("written");
    let (first, second) = tokio::join!(backend.take_sent_message("1@lid", "A"), backend.take_sent_message("1@lid", "A"));
    let taken: Vec<Vec<u8>> = [first, second].into_iter().filter_map(|taken| taken.expect("taken")).collect();
    assert_eq!(taken, [b"payload".to_vec()]);
}

#[tokio::test]
async fn two_writers_of_a_token_lose_nothing_of_each_other() {
    let backend = Bench::new().await.into_backend().await;
    let (received, touched) =
        tokio::join!(backend.store_received_tc_token("1@lid", b"token", 50), backend.touch_tc_token_sender_timestamp("1@lid", 70));
    received.and(touched).expect("written");
    let entry = backend.get_tc_token("1@lid").await.expect("read").expect("there");
    assert_eq!((entry.token.as_slice(), entry.sender_timestamp), (&b"token"[..], Some(70)));
}

/// One call of the storage; small names, so that calls meet each other.
#[derive(Debug, Clone)]
enum Call {
    PutSessions(Vec<(u8, u8)>),
    DeleteSession(u8),
    PutIdentities(Vec<(u8, u8)>),
    DeleteIdentity(u8),
    SenderKeys(Vec<(u8, u8)>),
    Prekeys(Vec<(u8, u8)>),
    RemovePrekey(u8),
    SignedPrekey(u8, u8),
    SyncKey(u8, u8),
    Version(u8, u8),
    Macs(u8, Vec<(u8, u8)>),
    DeleteMacs(u8, Vec<u8>),
    ClearMacs(u8),
    SenderKeyStatus(u8, Vec<(u8, bool)>),
    ClearSenderKeyDevices(u8),
    DeleteSenderKeyRows(Vec<u8>),
    Mappings(Vec<(u8, u8)>),
    BaseKey(u8, u8, u8),
    Devices(Vec<(u8, u8)>),
    DeleteDevices(u8),
    TcToken(u8, u8, u8),
    TouchTcToken(u8, u8),
    ReceivedTcToken(u8, u8, u8),
    DeleteTcToken(u8),
    Secrets(Vec<(u8, u8, u8)>),
    Group(u8, Option<u8>),
    Sent(u8, u8),
    TakeSent(u8),
}

fn call() -> impl Strategy<Value = Call> {
    let name = || 0..4_u8;
    let pairs = || prop::collection::vec((0..4_u8, any::<u8>()), 0..4);
    prop_oneof![
        pairs().prop_map(Call::PutSessions),
        name().prop_map(Call::DeleteSession),
        pairs().prop_map(Call::PutIdentities),
        name().prop_map(Call::DeleteIdentity),
        pairs().prop_map(Call::SenderKeys),
        pairs().prop_map(Call::Prekeys),
        name().prop_map(Call::RemovePrekey),
        (name(), any::<u8>()).prop_map(|(id, value)| Call::SignedPrekey(id, value)),
        (name(), any::<u8>()).prop_map(|(id, value)| Call::SyncKey(id, value)),
        (name(), any::<u8>()).prop_map(|(id, value)| Call::Version(id, value)),
        (name(), pairs()).prop_map(|(id, macs)| Call::Macs(id, macs)),
        (name(), prop::collection::vec(0..4_u8, 0..3)).prop_map(|(id, macs)| Call::DeleteMacs(id, macs)),
        name().prop_map(Call::ClearMacs),
        (name(), prop::collection::vec((0..4_u8, any::<bool>()), 0..4)).prop_map(|(id, rows)| Call::SenderKeyStatus(id, rows)),
        name().prop_map(Call::ClearSenderKeyDevices),
        prop::collection::vec(0..4_u8, 0..3).prop_map(Call::DeleteSenderKeyRows),
        // Numbers are not shared by hidden ids here: the reference then forgets more than it should.
        prop::collection::vec((0..4_u8, 0..3_u8), 0..4)
            .prop_map(|rows| Call::Mappings(rows.into_iter().map(|(lid, n)| (lid, lid * 10 + n)).collect())),
        (name(), name(), any::<u8>()).prop_map(|(address, id, key)| Call::BaseKey(address, id, key)),
        pairs().prop_map(Call::Devices),
        name().prop_map(Call::DeleteDevices),
        (name(), any::<u8>(), any::<u8>()).prop_map(|(id, token, at)| Call::TcToken(id, token, at)),
        (name(), any::<u8>()).prop_map(|(id, at)| Call::TouchTcToken(id, at)),
        (name(), any::<u8>(), any::<u8>()).prop_map(|(id, token, at)| Call::ReceivedTcToken(id, token, at)),
        name().prop_map(Call::DeleteTcToken),
        prop::collection::vec((0..4_u8, any::<u8>(), 0..3_u8), 0..4).prop_map(Call::Secrets),
        (name(), prop::option::of(any::<u8>())).prop_map(|(id, blob)| Call::Group(id, blob)),
        (name(), any::<u8>()).prop_map(|(id, payload)| Call::Sent(id, payload)),
        name().prop_map(Call::TakeSent),
    ]
}

trait Whole: SignalStore + AppSyncStore + ProtocolStore + MsgSecretStore {}
impl<T: SignalStore + AppSyncStore + ProtocolStore + MsgSecretStore> Whole for T {}

fn user(id: u8) -> String {
    format!("1{id}@s.whatsapp.net")
}

fn shared(rows: &[(u8, u8)]) -> Vec<(Arc<str>, Bytes)> {
    rows.iter().map(|(id, value)| (Arc::from(user(*id)), Bytes::from(vec![*value; 5]))).collect()
}

/// Makes a call and answers what it answered.
async fn make(storage: &dyn Whole, call: &Call) -> Result<String> {
    let mut answer = String::new();
    match call.clone() {
        Call::PutSessions(rows) => storage.put_sessions_batch(&shared(&rows)).await?,
        Call::DeleteSession(id) => storage.delete_session(&user(id)).await?,
        Call::PutIdentities(rows) => {
            let rows: Vec<(Arc<str>, [u8; 32])> = rows.iter().map(|(id, value)| (Arc::from(user(*id)), [*value; 32])).collect();
            storage.put_identities_batch(&rows).await?;
        }
        Call::DeleteIdentity(id) => storage.delete_identity(&user(id)).await?,
        Call::SenderKeys(rows) => storage.put_sender_keys_batch(&shared(&rows)).await?,
        Call::Prekeys(rows) => {
            let rows: Vec<(u32, Bytes)> = rows.iter().map(|(id, value)| (u32::from(*id), Bytes::from(vec![*value]))).collect();
            storage.store_prekeys_batch(&rows, false).await?;
        }
        Call::RemovePrekey(id) => storage.remove_prekey(id.into()).await?,
        Call::SignedPrekey(id, value) => storage.store_signed_prekey(id.into(), &[value]).await?,
        Call::SyncKey(id, value) => {
            storage.set_sync_key(&[id], AppStateSyncKey { key_data: vec![value], fingerprint: vec![id], timestamp: value.into() }).await?;
        }
        Call::Version(id, value) => storage.set_version(&user(id), HashState { version: value.into(), ..Default::default() }).await?,
        Call::Macs(id, macs) => {
            let macs: Vec<AppStateMutationMAC> =
                macs.iter().map(|(index, value)| AppStateMutationMAC { index_mac: vec![*index; 32], value_mac: vec![*value] }).collect();
            storage.put_mutation_macs(&user(id), 1, &macs).await?;
        }
        Call::DeleteMacs(id, macs) => {
            let macs: Vec<Vec<u8>> = macs.iter().map(|index| vec![*index; 32]).collect();
            storage.delete_mutation_macs(&user(id), &macs).await?;
        }
        Call::ClearMacs(id) => storage.clear_mutation_macs(&user(id)).await?,
        call => answer = make_protocol(storage, call).await?,
    }
    Ok(answer)
}

async fn make_protocol(storage: &dyn Whole, call: Call) -> Result<String> {
    match call {
        Call::SenderKeyStatus(id, rows) => {
            let names: Vec<(String, bool)> = rows.iter().map(|(device, has)| (user(*device), *has)).collect();
            let rows: Vec<(&str, bool)> = names.iter().map(|(name, has)| (name.as_str(), *has)).collect();
            storage.set_sender_key_status(&user(id), &rows).await?;
        }
        Call::ClearSenderKeyDevices(id) => storage.clear_sender_key_devices(&user(id)).await?,
        Call::DeleteSenderKeyRows(ids) => {
            let names: Vec<String> = ids.iter().map(|id| user(*id)).collect();
            storage.delete_sender_key_device_rows(&names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        }
        Call::Mappings(rows) => {
            let entry = |(lid, phone): &(u8, u8)| LidPnMappingEntry {
                lid: format!("9{lid}"),
                phone_number: format!("1{phone}"),
                created_at: 1,
                updated_at: 2,
                learning_source: "usync".into(),
            };
            storage.put_lid_mappings(&rows.iter().map(entry).collect::<Vec<_>>()).await?;
        }
        Call::BaseKey(address, id, key) => storage.save_base_key(&user(address), &user(id), &[key]).await?,
        Call::Devices(rows) => {
            let record = |(id, device): &(u8, u8)| DeviceListRecord {
                user: user(*id),
                devices: vec![DeviceInfo::new((*device).into(), Some(1))],
                timestamp: 3,
                phash: None,
                raw_id: Some(4),
            };
            storage.update_device_lists(rows.iter().map(record).collect()).await?;
        }
        Call::DeleteDevices(id) => storage.delete_devices(&user(id)).await?,
        Call::TcToken(id, token, at) => {
            let entry = TcTokenEntry { token: vec![token], token_timestamp: at.into(), sender_timestamp: None };
            storage.put_tc_token(&user(id), &entry).await?;
        }
        Call::TouchTcToken(id, at) => storage.touch_tc_token_sender_timestamp(&user(id), at.into()).await?,
        Call::ReceivedTcToken(id, token, at) => storage.store_received_tc_token(&user(id), &[token], at.into()).await?,
        Call::DeleteTcToken(id) => storage.delete_tc_token(&user(id)).await?,
        Call::Secrets(rows) => {
            let entry = |(id, secret, until): &(u8, u8, u8)| MsgSecretEntry {
                chat: Arc::from(user(*id)),
                sender: Arc::from("s"),
                msg_id: Arc::from("m"),
                secret: [*secret; 32],
                expires_at: (*until).into(),
                message_ts: (*until).into(),
            };
            return Ok(storage.put_msg_secrets(rows.iter().map(entry).collect()).await?.to_string());
        }
        Call::Group(id, Some(blob)) => storage.put_group_metadata(&user(id), &[blob]).await?,
        Call::Group(id, None) => storage.delete_group_metadata(&user(id)).await?,
        Call::Sent(id, payload) => storage.store_sent_message(&user(id), "m", &[payload]).await?,
        Call::TakeSent(id) => return Ok(format!("{:?}", storage.take_sent_message(&user(id), "m").await?)),
        _ => {}
    }
    Ok(String::new())
}

/// Everything that can be read, in a fixed order.
async fn everything(storage: &dyn Whole) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for id in 0..4_u8 {
        let name = user(id);
        all.push(format!("{:?} {:?}", storage.get_session(&name).await?, storage.has_session(&name).await?));
        all.push(format!("{:?} {}", storage.load_identity(&name).await?, storage.has_signal_state_for_user(&format!("1{id}")).await?));
        all.push(format!("{:?} {:?}", storage.get_sender_key(&name).await?, storage.load_signed_prekey(id.into()).await?));
        all.push(format!("{:?}", storage.load_prekey(id.into()).await?));
        all.push(format!("{:?} {}", storage.get_sync_key(&[id]).await?, storage.get_version(&name).await?.version));
        let macs = storage.get_mutation_macs(&name, &[[0; 32], [1; 32], [2; 32], [3; 32]]).await?;
        all.push(format!(
            "{:?} {:?}",
            macs.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            storage.get_mutation_mac(&name, &[1; 32]).await?
        ));
        let mut devices = storage.get_sender_key_devices(&name).await?;
        devices.sort();
        all.push(format!("{devices:?} {:?}", storage.get_devices(&name).await?));
        all.push(format!("{:?}", storage.get_lid_mapping(&format!("9{id}")).await?));
        for phone in 0..3_u8 {
            all.push(format!("{:?}", storage.get_pn_mapping(&format!("1{}", id * 10 + phone)).await?));
        }
        all.push(format!("{:?} {:?}", storage.get_tc_token(&name).await?, storage.get_group_metadata(&name).await?));
        all.push(format!("{:?}", storage.get_msg_secret_with_ts(&name, "s", "m").await?));
        all.push(format!(
            "{} {}",
            storage.has_same_base_key(&name, &user(1), &[7]).await?,
            storage.has_same_base_key(&name, &user(1), &[8]).await?
        ));
    }
    let mut signed = storage.load_all_signed_prekeys().await?;
    signed.sort();
    let mut tokens = storage.get_all_tc_token_jids().await?;
    tokens.sort();
    let mut mappings: Vec<String> = storage.get_all_lid_mappings().await?.iter().map(|entry| format!("{entry:?}")).collect();
    mappings.sort();
    all.push(format!(
        "{signed:?} {tokens:?} {mappings:?} {} {:?}",
        storage.get_max_prekey_id().await?,
        storage.get_latest_sync_key_id().await?
    ));
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_calls_read_back_as_from_the_reference(calls in prop::collection::vec(call(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let bench = Bench::new().await;
            let (ours, reference) = (bench.backend().await, InMemoryBackend::new());
            for call in &calls {
                let (ours, reference) = (make(&ours, call).await, make(&reference, call).await);
                assert_eq!(ours.expect("ours"), reference.expect("reference"), "{call:?}");
            }
            assert_eq!(everything(&ours).await.expect("ours"), everything(&reference).await.expect("reference"));
        });
    }
}
