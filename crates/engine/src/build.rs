//! Building the client of a link: its storage, its way out, its settings.
//!
//! Here it is decided where an account's bytes go: by its network, once, and by nothing else.

use crate::admission::Turn;
use crate::engine::Options;
use crate::hook::Hook;
use crate::live::LiveTransport;
use crate::sandbox::{self, SandboxHttp, SandboxTransport};
use crate::version::Versions;
use crate::{ClientVersion, SandboxDoor};
use sanasend_model::Network;
use std::sync::Arc;
use std::time::Duration;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::transport::TransportFactory;
use whatsapp_rust::wacore::runtime::Runtime;
use whatsapp_rust::wacore::store::DeviceCommand;
use whatsapp_rust::wacore::store::device::DevicePropsOverride;
use whatsapp_rust::waproto::whatsapp::device_props::PlatformType;
use whatsapp_rust::{CacheConfig, Client};

/// How often the device is saved at least, beside every change.
const SAVE_EVERY: Duration = Duration::from_mins(1);
/// Re-sends per chat that may come at once, and per minute: storms of them have got accounts locked.
const RESENDS: (u32, u32) = (20, 10);
/// Sent messages kept in memory for a re-send; older ones are on disk.
const RECENT: u64 = 256;

/// Where a link goes.
pub(crate) enum Way {
    /// To WhatsApp.
    Live(Arc<Versions>),
    /// To the sandbox.
    Sandbox(SandboxDoor),
}

impl Way {
    /// The network at its end.
    pub(crate) fn network(&self) -> Network {
        match self {
            Self::Live(_) => Network::Live,
            Self::Sandbox(_) => Network::Sandbox,
        }
    }

    /// The only HTTP client that files of this network go through.
    pub(crate) fn media_http(&self) -> Arc<dyn HttpClient> {
        match self {
            Self::Live(versions) => versions.live.http(),
            Self::Sandbox(door) => Arc::new(SandboxHttp(Arc::clone(&door.media))),
        }
    }

    /// The version to claim, and the only transport and HTTP client that an account of this network can have.
    async fn out(&self, device: &Arc<PersistenceManager>, turn: Arc<Turn>) -> Result<Out, String> {
        match self {
            Self::Live(versions) => {
                let version = versions.current().await.map_err(|error| format!("WhatsApp can't be reached: {error}"))?;
                let live = Arc::clone(&versions.live);
                Ok(Out { version, http: live.http(), transport: Arc::new(LiveTransport { live, turn }) })
            }
            Self::Sandbox(door) => {
                sandbox::pin(device, door).await;
                // Nobody is asked for a version here; the library's own does.
                let own = device.get_device_snapshot();
                let version = ClientVersion(own.app_version_primary, own.app_version_secondary, own.app_version_tertiary);
                let transport = SandboxTransport { door: door.clone(), turn, device: Arc::clone(device) };
                Ok(Out { version, http: Arc::new(SandboxHttp(Arc::clone(&door.media))), transport: Arc::new(transport) })
            }
        }
    }
}

struct Out {
    version: ClientVersion,
    transport: Arc<dyn TransportFactory>,
    http: Arc<dyn HttpClient>,
}

/// A client over the account's rows, not connected yet. Answers a sentence when it can't be had.
pub(crate) async fn client(
    way: &Way,
    device: &Arc<PersistenceManager>,
    turn: Arc<Turn>,
    hook: Hook,
    runtime: Arc<dyn Runtime>,
    options: &Options,
) -> Result<Arc<Client>, String> {
    let Out { version, transport, http } = way.out(device, turn).await?;
    // The pin and the first keys of a new device: what is not on disk must not be shown to anybody.
    device.flush().await.map_err(|error| format!("its keys could not be saved: {error}"))?;
    let built = Client::builder()
        .with_runtime_arc(runtime)
        .with_persistence_manager(Arc::clone(device))
        .with_transport_factory_arc(transport)
        .with_http_client_arc(http)
        .with_version_override((version.0, version.1, version.2))
        .with_cache_config(caches())
        .with_inbound_durability_hook(hook)
        .with_skip_history_sync(options.skip_history)
        .with_wanted_pre_key_count(options.prekeys)
        .with_resend_rate_limit(RESENDS.0, RESENDS.1)
        .with_background_saver_interval(SAVE_EVERY)
        .build()
        .await;
    built.map(whatsapp_rust::ClientBuild::into_client).map_err(|error| format!("the client could not be built: {error}"))
}

/// What the account shows of itself. None of it is kept in the rows by the client library, but the name.
pub(crate) async fn dress(device: &PersistenceManager, options: &Options, name: Option<&str>) {
    let props = DevicePropsOverride::new().with_os(options.device_name.clone()).with_platform_type(PlatformType::CHROME);
    device.process_command(DeviceCommand::SetDeviceProps(props)).await;
    if let Some(name) = name.filter(|_| device.get_device_snapshot().push_name.is_empty()) {
        device.process_command(DeviceCommand::SetPushName(name.to_owned())).await;
    }
}

fn caches() -> CacheConfig {
    let mut caches = CacheConfig::default();
    // With a copy in memory the one on disk is written beside the send, not before it.
    caches.recent_messages.capacity = RECENT;
    caches
}
