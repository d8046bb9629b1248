//! One task per link that sees it through from the first connection to the end.
//!
//! Apart from [`crate::Link`], which is what the caller holds: the supervisor owns the client, hears what
//! happens to it, tells it on, and takes everything down at the end. "Ended" is told when nothing runs any
//! more, so that the next link over the same rows can be opened at once.

use crate::admission::{Admission, Turn};
use crate::backend::{Backend, Missed};
use crate::build::{self, Way};
use crate::engine::Options;
use crate::events::{Handler, ReceiptNews, Signal};
use crate::hook::Hook;
use crate::keep::Keep;
use crate::runtime::LinkRuntime;
use crate::wish::Wishes;
use crate::{Account, LinkEvent, hook, jid};
use sanasend_model::session::LinkEnd;
use sanasend_model::{Clock, Network, SessionId, Timestamp};
use sanasend_store::{SignalChange, SignalKind, SignalState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use whatsapp_rust::store::error::StoreError;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::wacore::runtime::Runtime;
use whatsapp_rust::wacore::types::events::{PairSuccess, Subscription};
use whatsapp_rust::wacore_binary::Jid as WireJid;
use whatsapp_rust::{Client, NodeBuilder, RawNodeLease, RetryRequestOptions};

/// How long somebody who wants to link waits for the first code before it is called a failure.
const FIRST_CODE: Duration = Duration::from_secs(20);
/// How long what waited while the account was offline may take; then the connection is made anew, since an
/// interrupted hand-over would leave its rest behind.
const OFFLINE_DELIVERY: Duration = Duration::from_secs(90);
/// How long a pairing code can be used.
const PAIR_CODE: Duration = Duration::from_mins(3);
/// How often the client library is asked whether it still saves the device; it gives up after ten failures.
const SAVING_CHECK: Duration = Duration::from_secs(30);
/// How long a client may take to say good-bye, flush and close.
const GOODBYE: Duration = Duration::from_secs(15);
/// How long its loop may take to notice.
const LOOP_END: Duration = Duration::from_secs(2);
/// How often at most WhatsApp is asked about its limit on cold contacts.
const LIMIT_ASKED: Duration = Duration::from_mins(1);

/// What link and supervisor share.
pub(crate) struct Shared {
    /// There once the connection is being made.
    pub(crate) client: OnceLock<Arc<Client>>,
    /// Whether codes are being shown, so that a pairing code can be asked for.
    pub(crate) pairing: watch::Sender<bool>,
    /// Set by the link when it is closed or dropped.
    pub(crate) stop: watch::Sender<bool>,
    /// Set when nothing more is to be told but what WhatsApp will not tell again.
    pub(crate) hushed: AtomicBool,
    /// Set when WhatsApp said that the account is not linked any more.
    pub(crate) unlinked: AtomicBool,
    /// Becomes true when nothing of the link runs any more.
    pub(crate) over: watch::Sender<bool>,
}

impl Shared {
    fn new() -> Self {
        Self {
            client: OnceLock::new(),
            pairing: watch::Sender::new(false),
            stop: watch::Sender::new(false),
            hushed: AtomicBool::new(false),
            unlinked: AtomicBool::new(false),
            over: watch::Sender::new(false),
        }
    }
}

/// Says that the link is over even if its supervisor broke.
struct OverAtTheEnd(Arc<Shared>);

impl Drop for OverAtTheEnd {
    fn drop(&mut self) {
        self.0.over.send_replace(true);
    }
}

pub(crate) struct Supervisor {
    pub(crate) shared: Arc<Shared>,
    session_id: SessionId,
    rows: SignalState,
    way: Way,
    device: Arc<PersistenceManager>,
    runtime: Arc<LinkRuntime>,
    turn: Arc<Turn>,
    hook: Hook,
    tell: mpsc::UnboundedSender<LinkEvent>,
    signals: mpsc::UnboundedReceiver<Signal>,
    handler: Option<Arc<Handler<Now>>>,
    /// Held until nothing of the client runs any more: what it hears without us it acknowledges all the same.
    listening: Option<(Subscription, RawNodeLease)>,
    running: Option<JoinHandle<()>>,
    options: Options,
    /// What the caller believes, and what the rows hold.
    expected_linked: bool,
    linked: bool,
    named: Option<String>,
    limit_asked: Option<Instant>,
    code_by: Option<Instant>,
    delivered_by: Option<Instant>,
    delivered: bool,
}

type Now = Box<dyn Fn() -> Timestamp + Send + Sync>;

impl Supervisor {
    /// Reads the account's rows and makes ready what can be made without a connection.
    pub(crate) async fn prepare(
        account: Account,
        way: Way,
        admission: &Admission,
        options: &Options,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let (sender, signals) = mpsc::unbounded_channel();
        let keep = Keep::new(account.session_id, Some(sender.clone()));
        let (rows, wishes) = (account.signal.clone(), Wishes { rows: account.signal.clone(), keep: keep.clone() });
        let backend = Backend::with(account.signal, keep.clone());
        let device = Arc::new(PersistenceManager::new(Arc::new(backend)).await?);
        let linked = device.get_device_snapshot().account.is_some();
        let turn = admission.turn(sender.clone());
        let handler = Handler { signals: sender, advanced: advanced(&turn), wishes, own: own(&device), now: now(clock) };
        let named = account.push_name.filter(|name| !name.is_empty());
        build::dress(&device, options, named.as_deref()).await;
        Ok(Self {
            shared: Arc::new(Shared::new()),
            session_id: account.session_id,
            rows,
            way,
            device,
            runtime: Arc::new(LinkRuntime::new()),
            turn,
            hook: Hook { inbox: account.inbox, keep },
            tell: account.events,
            signals,
            handler: Some(Arc::new(handler)),
            listening: None,
            running: None,
            options: options.clone(),
            expected_linked: account.linked,
            linked,
            named,
            limit_asked: None,
            code_by: None,
            delivered_by: None,
            delivered: false,
        })
    }

    /// Sees the link through. Returns when nothing of it runs any more.
    pub(crate) async fn run(mut self) {
        let _over = OverAtTheEnd(Arc::clone(&self.shared));
        let end = self.live().await;
        self.take_down().await;
        self.hear_out(end.as_ref()).await;
        if let Some(end) = end {
            tracing::info!(session = %self.session_id, ?end, "link ended");
            self.say(LinkEvent::Ended(end));
        }
    }

    /// The life of the link; `None` when the caller closed it.
    async fn live(&mut self) -> Option<LinkEnd> {
        let mut stop = self.shared.stop.subscribe();
        if self.expected_linked && !self.linked {
            return Some(LinkEnd::LoggedOut { code: None });
        }
        if self.linked && !self.expected_linked {
            self.tell_paired(String::new());
        }
        let begun = tokio::select! {
            biased;
            () = stopped(&mut stop) => return None,
            begun = self.begin() => begun,
        };
        match begun {
            Ok(()) => self.watch(&mut stop).await,
            Err(end) => Some(end),
        }
    }

    /// Builds the client and starts it.
    async fn begin(&mut self) -> Result<(), LinkEnd> {
        let lost = |reason| LinkEnd::Lost { reason };
        let (turn, hook, runtime) = (Arc::clone(&self.turn), self.hook.clone(), self.runtime.clone());
        let client = build::client(&self.way, &self.device, turn, hook, runtime, &self.options).await.map_err(lost)?;
        let handler = self.handler.take().ok_or_else(|| lost("the link was begun twice".into()))?;
        self.listening = Some((client.subscribe_handler(handler), client.acquire_raw_node_forwarding()));
        let _ = self.shared.client.set(Arc::clone(&client));
        self.turn.admitted().await;
        if !self.linked {
            self.code_by = Some(Instant::now() + FIRST_CODE);
        }
        self.running = self.runtime.start(Box::pin(async move { client.run().await }));
        Ok(())
    }

    /// Hears what happens until the link is over; `None` when the caller closed it.
    async fn watch(&mut self, stop: &mut watch::Receiver<bool>) -> Option<LinkEnd> {
        let mut check = tokio::time::interval(SAVING_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let end = tokio::select! {
                biased;
                () = stopped(stop) => return None,
                Some(signal) = self.signals.recv() => match signal {
                    // Not left half-way when the caller closes the link meanwhile: it is not told twice.
                    news if news.is_told_once() => self.hear(news).await,
                    other => tokio::select! {
                        biased;
                        () = stopped(stop) => return None,
                        end = self.hear(other) => end,
                    },
                },
                () = ended(&mut self.running) => Some(LinkEnd::Lost { reason: "the client stopped".into() }),
                () = until(self.code_by) => Some(self.code_is_late()),
                () = until(self.delivered_by) => { self.connect_anew(stop).await; None }
                _ = check.tick() => self.device.is_saver_halted().then(|| LinkEnd::Lost { reason: "its keys could not be saved".into() }),
            };
            if end.is_some() {
                return end;
            }
        }
    }

    /// One signal; `Some` when the link is over.
    async fn hear(&mut self, signal: Signal) -> Option<LinkEnd> {
        tracing::debug!(session = %self.session_id, ?signal, "link");
        match signal {
            Signal::Tell(event) => self.pass_on(event),
            Signal::Receipt { chat, by, wa_message_ids, kind, at } => self.receipt(&chat, by.as_ref(), wa_message_ids, kind, at).await,
            Signal::Named(name) => self.name(name),
            Signal::Paired(paired) => return self.paired(paired).await,
            Signal::Connected => self.connected().await,
            Signal::OfflineDelivered => self.delivered = self.delivered_by.take().is_none(),
            Signal::Recovered(batch) => self.recovered(batch),
            Signal::Missed(missed) => self.ask_anew(missed),
            Signal::Lost(reason) => {
                self.turn.lost();
                self.offline(reason);
            }
            Signal::DialFailed(reason) if !self.linked => return Some(LinkEnd::Lost { reason }),
            Signal::DialFailed(reason) => self.offline(reason),
            Signal::HandshakeFailed => return self.handshake_failed(),
            Signal::OnlyPairCodeLeft => self.code_by = Some(Instant::now() + PAIR_CODE),
            Signal::End(end) => return Some(end),
        }
        None
    }

    fn pass_on(&mut self, event: LinkEvent) {
        match &event {
            LinkEvent::Code(_) => {
                self.code_by = None;
                self.shared.pairing.send_replace(true);
            }
            LinkEvent::PasskeyRequested { .. } | LinkEvent::PairCode { .. } => self.code_by = None,
            LinkEvent::Ack { error: Some(code), .. } if code == "463" => self.ask_for_the_limit(),
            _ => {}
        }
        self.say(event);
    }

    /// The credentials have to be on disk before anybody hears that the account is linked.
    async fn paired(&mut self, paired: PairSuccess) -> Option<LinkEnd> {
        if let Err(error) = self.device.flush().await {
            return Some(LinkEnd::PairingFailed { reason: format!("the credentials could not be saved ({error})") });
        }
        self.linked = true;
        self.code_by = None;
        self.shared.pairing.send_replace(false);
        self.tell_paired(paired.business_name);
        None
    }

    fn tell_paired(&mut self, business: String) {
        let device = self.device.get_device_snapshot();
        let Some(jid) = device.pn.as_ref().and_then(jid::from_wire) else { return };
        let push_name = Some(device.push_name.clone()).filter(|name| !name.is_empty());
        self.named.clone_from(&push_name);
        self.say(LinkEvent::Paired {
            phone: device.pn.as_ref().and_then(jid::phone),
            jid,
            lid: device.lid.as_ref().and_then(jid::from_wire),
            push_name,
            business: Some(business).filter(|name| !name.is_empty()),
        });
    }

    async fn connected(&mut self) {
        if !std::mem::take(&mut self.delivered) {
            self.delivered_by = Some(Instant::now() + OFFLINE_DELIVERY);
        }
        self.name(self.device.get_device_snapshot().push_name.clone());
        self.say(LinkEvent::Connected);
        let Some(client) = self.shared.client.get() else { return };
        // Senders see a second tick only from devices that are there. Without a name there is no presence to
        // send, so the receipts are told to say so by themselves.
        if client.push_name().is_empty() {
            client.set_force_active_delivery_receipts(true);
        } else if let Err(error) = client.presence().set_available().await {
            tracing::debug!(session = %self.session_id, %error, "presence was not sent");
        }
    }

    fn name(&mut self, name: String) {
        if !name.is_empty() && self.named.as_ref() != Some(&name) {
            self.named = Some(name.clone());
            self.say(LinkEvent::Named { push_name: name });
        }
    }

    async fn receipt(&self, chat: &WireJid, by: Option<&WireJid>, wa_message_ids: Vec<String>, kind: ReceiptNews, at: Timestamp) {
        let Some(client) = self.shared.client.get() else { return };
        let Some(chat) = hook::canonical(client, chat).await else {
            return tracing::warn!(session = %self.session_id, ?kind, "a receipt from an id of an unknown kind is left out");
        };
        let by = match by {
            Some(by) => Some(hook::person(client, by).await),
            None => None,
        };
        self.say(match kind {
            ReceiptNews::Reached(status) => LinkEvent::Receipt { wa_message_ids, chat, by, status, at },
            ReceiptNews::RetryAsked => LinkEvent::RetryAsked { wa_message_ids, chat },
            ReceiptNews::FileMissed => LinkEvent::FileMissed { wa_message_ids, chat },
        });
    }

    /// WhatsApp was told already, and the message can't be had again: it is offered to the store for as long as that is
    /// down, also beyond the end of the link.
    fn recovered(&self, batch: Arc<[InboundMessage]>) {
        let Some(client) = self.shared.client.get().cloned() else { return };
        let (hook, session) = (self.hook.clone(), self.session_id);
        tokio::spawn(async move {
            if let Err(error) = hook.recover(&client, &batch).await {
                tracing::error!(%session, %error, "a recovered message was lost");
            }
        });
    }

    /// Asks the sender of a message for it, and notes that it was done.
    fn ask_anew(&self, missed: Missed) {
        let Some(client) = self.shared.client.get().cloned() else { return };
        let (rows, session) = (self.rows.clone(), self.session_id);
        tracing::warn!(%session, id = missed.id, "a message was read and lost by the end of the last process; asking for it again");
        self.runtime.spawn_detached(Box::pin(async move {
            let group = missed.chat.ends_with("@g.us");
            let stanza = NodeBuilder::new("message").attr("id", missed.id.as_str()).attr("type", "text").attr("t", "0");
            let stanza = if group {
                stanza.attr("from", missed.chat.as_str()).attr("participant", missed.sender.as_str())
            } else {
                stanza.attr("from", missed.sender.as_str())
            };
            // The sender begins anew with these keys, whatever became of the old ratchet.
            let options = RetryRequestOptions::new().with_force_include_keys(true);
            if let Err(error) = client.request_message_retry(&stanza.build().as_node_ref(), options).await {
                // Not acknowledged, it comes again with the next connection.
                return tracing::warn!(%session, id = missed.id, %error, "a lost message could not be asked for");
            }
            let asked = SignalChange::Put { kind: SignalKind::Missed, key: missed.key(), value: Vec::new() };
            if let Err(error) = rows.apply(vec![asked]).await {
                tracing::warn!(%session, %error, "a lost message may be asked for twice");
            }
        }));
    }

    /// Without the right key on the other side a sandbox link is over. WhatsApp itself changes its keys, and
    /// the client library then takes the handshake that checks certificates.
    fn handshake_failed(&mut self) -> Option<LinkEnd> {
        let reason = match self.way.network() {
            Network::Sandbox => "the sandbox did not prove its key",
            Network::Live => "the connection to WhatsApp broke before it was secured",
        };
        if self.linked && self.way.network() == Network::Live {
            self.offline(reason.into());
            return None;
        }
        Some(LinkEnd::Lost { reason: reason.into() })
    }

    fn offline(&mut self, reason: String) {
        self.delivered = false;
        self.delivered_by = None;
        self.shared.pairing.send_replace(false);
        self.say(LinkEvent::Offline { reason });
    }

    fn code_is_late(&self) -> LinkEnd {
        if *self.shared.pairing.borrow() {
            LinkEnd::CodesExhausted
        } else {
            LinkEnd::Lost { reason: format!("WhatsApp gave no code within {} s", FIRST_CODE.as_secs()) }
        }
    }

    async fn connect_anew(&mut self, stop: &mut watch::Receiver<bool>) {
        self.delivered_by = None;
        tracing::warn!(session = %self.session_id, "what waited for the account did not come to an end; connecting anew");
        if let Some(client) = self.shared.client.get() {
            tokio::select! {
                biased;
                () = stopped(stop) => {}
                () = client.reconnect_immediately() => {}
            }
        }
    }

    /// Asks until when WhatsApp limits messages to people who never wrote to the account, and tells it.
    fn ask_for_the_limit(&mut self) {
        if self.limit_asked.is_some_and(|asked| asked.elapsed() < LIMIT_ASKED) {
            return;
        }
        self.limit_asked = Some(Instant::now());
        let Some(client) = self.shared.client.get().cloned() else { return };
        let tell = self.tell.clone();
        self.runtime.spawn_detached(Box::pin(async move {
            let limit = client.mex().fetch_reachout_timelock().await.ok();
            let until = limit.and_then(|limit| limit.time_enforcement_ends).and_then(|ends| moment(&ends));
            let _ = tell.send(LinkEvent::ReachoutLimited { until });
        }));
    }

    /// Good-bye, flush, close, and every task stopped.
    async fn take_down(&mut self) {
        let client = self.shared.client.get();
        if let Some(client) = client
            && tokio::time::timeout(GOODBYE, client.disconnect()).await.is_err()
        {
            tracing::warn!(session = %self.session_id, "the client did not close in time");
        }
        // Its loop ends by itself; one that hangs in a connect is stopped with the other tasks.
        if self.running.is_some() {
            let _ = tokio::time::timeout(LOOP_END, ended(&mut self.running)).await;
        }
        self.runtime.stop().await;
        // A save may have been stopped half-way, so the device is saved whether it looks changed or not. One
        // that never had a client holds nothing worth keeping.
        if client.is_some() {
            self.device.modify_device(|_| ()).await;
            if let Err(error) = self.device.flush().await {
                tracing::warn!(session = %self.session_id, %error, "the device could not be saved at the end");
            }
        }
    }

    /// What came in while the link was taken down. WhatsApp counts it as told, so acknowledgements, receipts and recovered
    /// messages are passed on; of the rest it matters only whether the account was unlinked.
    async fn hear_out(&mut self, end: Option<&LinkEnd>) {
        let unlinked = |end: &LinkEnd| matches!(end, LinkEnd::LoggedOut { code: Some(_) });
        let mut noted = end.is_some_and(unlinked);
        while let Ok(signal) = self.signals.try_recv() {
            match signal {
                Signal::End(end) => noted |= unlinked(&end),
                Signal::Tell(event @ LinkEvent::Ack { .. }) => self.say(event),
                Signal::Receipt { chat, by, wa_message_ids, kind, at } => {
                    self.receipt(&chat, by.as_ref(), wa_message_ids, kind, at).await;
                }
                Signal::Recovered(batch) => self.recovered(batch),
                _ => {}
            }
        }
        self.shared.unlinked.fetch_or(noted, Ordering::AcqRel);
    }

    fn say(&self, event: LinkEvent) {
        // Who closed the link wants to hear no more than what is not told again; who dropped the receiver not even that.
        if event.is_told_once() || !self.shared.hushed.load(Ordering::Acquire) {
            let _ = self.tell.send(event);
        }
    }
}

fn advanced(turn: &Arc<Turn>) -> Box<dyn Fn() + Send + Sync> {
    let turn = Arc::clone(turn);
    Box::new(move || turn.advanced())
}

fn own(device: &Arc<PersistenceManager>) -> Box<dyn Fn(&WireJid) -> bool + Send + Sync> {
    let device = Arc::clone(device);
    Box::new(move |id| {
        let own = device.get_device_snapshot();
        [&own.pn, &own.lid].into_iter().flatten().any(|own| own.is_same_chat_as(id))
    })
}

fn now(clock: &Arc<dyn Clock>) -> Now {
    let clock = Arc::clone(clock);
    Box::new(move || clock.now())
}

/// A time as WhatsApp's GraphQL writes it: RFC 3339, or unix seconds.
fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<i64>().map(Timestamp::from_secs).ok().or_else(|| Timestamp::parse(text))
}

/// Waits until the caller has closed the link.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The sender lives as long as the supervisor.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits for the client's loop to end; for ever when there is none.
async fn ended(running: &mut Option<JoinHandle<()>>) {
    match running {
        Some(task) => {
            let _ = task.await;
            *running = None;
        }
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
