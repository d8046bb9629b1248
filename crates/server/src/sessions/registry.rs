//! Who runs, and how to reach them.

use super::command::Command;
use super::driver::Start;
use super::groups::Answers;
use super::live::Live;
use super::seat::Seat;
use super::shared::{Options, Shared};
use super::supervise::supervise;
use crate::media::Files;
use sanasend_engine::{Engine, EngineError, FetchError, Found};
use sanasend_model::pacing::Rate;
use sanasend_model::retry::AttemptError;
use sanasend_model::{Clock, Jid, Network, PhoneNumber, Reason, ReasonCode, SessionId, SessionStatus, UserId};
use sanasend_store::{Message, Session, SessionPatch, Store, StoreError};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a question to a driver may take before it counts as offline.
const ANSWER_WAIT: Duration = Duration::from_secs(25);

/// What the registry is made of.
pub struct Parts {
    /// Memory.
    pub store: Store,
    /// The wire.
    pub engine: Engine,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// The network of new accounts, and the only one whose accounts this process opens.
    pub network: Network,
    /// Files of messages.
    pub media: Files,
    /// Settings.
    pub options: Options,
    /// How fast an account sends what it is asked for message by message; `None`: as fast as it can.
    pub rate: Option<Rate>,
    /// Canceled when the server stops: no account is started any more then.
    pub shutdown: CancellationToken,
}

/// The accounts of this node. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    places: Mutex<HashMap<SessionId, Arc<Place>>>,
    names: RwLock<HashMap<UserId, HashMap<String, Known>>>,
    group_answers: Answers,
}

/// A session as the send path needs it, without a visit to the database.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its id.
    pub id: SessionId,
    /// Its truth.
    pub seat: Arc<Seat>,
}

/// One session's place in the registry.
pub(super) struct Place {
    pub id: SessionId,
    pub seat: Arc<Seat>,
    /// Held while a driver is started or stopped, so that there is never more than one.
    gate: tokio::sync::Mutex<()>,
    /// Whether the truth is being fetched from the node that runs the account.
    pub(super) mirrored: AtomicBool,
    running: Mutex<Option<Running>>,
}

struct Running {
    commands: mpsc::UnboundedSender<Command>,
    task: JoinHandle<()>,
}

/// What came of starting to link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Under way, now or already.
    UnderWay,
    /// The account is linked: it can be reconnected, not linked.
    Linked,
    /// The server runs as many accounts as it may.
    ServerFull,
    /// This server does not open accounts of that network.
    OtherNetwork,
}

impl Sessions {
    /// An empty registry.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, engine, clock, network, media, options, rate, shutdown } = parts;
        let shared = Arc::new(Shared { store, engine, clock, network, media, options, rate });
        let (places, names, group_answers) = (Mutex::default(), RwLock::default(), Answers::default());
        Self { inner: Arc::new(Inner { shared, shutdown, places, names, group_answers }) }
    }

    /// The network of new accounts.
    pub fn network(&self) -> Network {
        self.shared().network
    }

    /// The settings.
    pub fn options(&self) -> Options {
        self.shared().options
    }

    /// Canceled when the server stops.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.inner.shutdown
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(super) fn group_answers(&self) -> &Answers {
        &self.inner.group_answers
    }

    /// What a session is right now.
    pub fn live(&self, row: &Session) -> Live {
        match self.find_place(row.id) {
            Some(place) => place.seat.live(),
            None => self.resting(row),
        }
    }

    /// The last sign of life of a session.
    pub fn last_active(&self, row: &Session) -> Option<sanasend_model::Timestamp> {
        self.find_place(row.id).and_then(|place| place.seat.last_active()).or(row.last_active_at)
    }

    /// Follows the truth of a session.
    pub fn watch(&self, row: &Session) -> watch::Receiver<Live> {
        let watch = self.place(row).seat.watch();
        self.mirror(row);
        watch
    }

    /// A session of a user by name, if this node knows it already.
    pub fn known(&self, user: UserId, name: &str) -> Option<Known> {
        self.inner.names.read().unwrap_or_else(PoisonError::into_inner).get(&user)?.get(name).cloned()
    }

    /// The same after a look at its row.
    pub fn learn(&self, row: &Session) -> Known {
        let place = self.place(row);
        Known { id: row.id, seat: place.seat.clone() }
    }

    /// Whether a driver runs for a session.
    pub fn is_running(&self, id: SessionId) -> bool {
        self.find_place(id).is_some_and(|place| place.commands().is_some())
    }

    /// The sessions that drivers of this node run for.
    pub fn running(&self) -> Vec<SessionId> {
        self.all_places().iter().filter(|place| place.commands().is_some()).map(|place| place.id).collect()
    }

    /// How many sessions that this node knows are in each status.
    pub fn counts(&self) -> HashMap<SessionStatus, u64> {
        let mut counts = HashMap::new();
        for place in self.all_places() {
            *counts.entry(place.seat.status()).or_insert(0) += 1;
        }
        counts
    }

    /// The outbox of a session may hold work.
    pub fn wake(&self, id: SessionId) {
        if let Some(place) = self.find_place(id) {
            place.seat.ring();
        }
    }

    /// Starts linking a session that is not linked, or goes on with it; with `phone` by a pairing code.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn begin(&self, row: &Session, phone: Option<PhoneNumber>) -> Result<Begin, StoreError> {
        if let Some(node) = self.node_of(row).await? {
            return self.begin_elsewhere(node, row, phone).await;
        }
        let place = self.place(row);
        let _gate = place.gate.lock().await;
        let row = &self.let_go(&place, row).await?;
        if let Some(commands) = place.commands() {
            if place.seat.is_linked() {
                return Ok(Begin::Linked);
            }
            let told = phone.clone().is_none_or(|phone| commands.send(Command::PairByCode(phone)).is_ok());
            // A driver that waits before its next try is asked to try now; a linking one ignores it.
            if told && commands.send(Command::TryNow).is_ok() {
                return Ok(Begin::UnderWay);
            }
        }
        if place.seat.is_linked() {
            return Ok(Begin::Linked);
        }
        if row.network != self.network() {
            return Ok(Begin::OtherNetwork);
        }
        if self.running_count() as u64 >= self.options().server_limit {
            return Ok(Begin::ServerFull);
        }
        place.seat.show(|live| {
            live.drop_codes();
            live.status = SessionStatus::Connecting;
            live.reason = Some(Reason::new(ReasonCode::Linking, "Asking WhatsApp for a code."));
        });
        self.launch(&place, row.clone(), phone).await?;
        Ok(Begin::UnderWay)
    }

    /// Brings a linked session online. `false` when it can't be: it is not linked, or of another network.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn reconnect(&self, row: &Session) -> Result<bool, StoreError> {
        if let Some(node) = self.node_of(row).await? {
            return self.reconnect_elsewhere(node, row).await;
        }
        let place = self.place(row);
        let _gate = place.gate.lock().await;
        if !place.seat.is_linked() || row.network != self.network() {
            return Ok(false);
        }
        let row = &self.let_go(&place, row).await?;
        if place.commands().is_some_and(|commands| commands.send(Command::TryNow).is_ok()) {
            return Ok(true);
        }
        let row = self.want(row).await?;
        place.seat.show(|live| {
            live.status = SessionStatus::Connecting;
            live.reason = None;
        });
        self.launch(&place, row, None).await?;
        Ok(true)
    }

    /// Writes down that an account is to be online, so that it comes back after a restart and when its node dies, also if its
    /// owner had taken it offline before. The gate of its place must be held.
    async fn want(&self, row: &Session) -> Result<Session, StoreError> {
        if row.wanted {
            return Ok(row.clone());
        }
        let store = &self.shared().store;
        let generation = store.take_session(row.id).await?;
        store.update_session(row.id, generation, SessionPatch { wanted: Some(true), ..SessionPatch::default() }).await
    }

    /// Hands over the person's passkey.
    ///
    /// # Errors
    /// `Offline` when the account is not running, else what the engine says.
    pub async fn passkey(&self, row: &Session, credential: Value) -> Result<(), EngineError> {
        match self.node_of(row).await {
            Ok(Some(node)) => self.told(node, row, json!({"do": "passkey", "credential": credential})).await.ok_or(EngineError::Offline),
            _ => self.passkey_here(row.id, credential).await,
        }
    }

    pub(super) async fn passkey_here(&self, id: SessionId, credential: Value) -> Result<(), EngineError> {
        self.ask(id, |done| Command::Passkey { credential, done }).await.unwrap_or(Err(EngineError::Offline))
    }

    /// Says that the person saw the same code.
    ///
    /// # Errors
    /// `Offline` when the account is not running, else what the engine says.
    pub async fn passkey_confirmed(&self, row: &Session) -> Result<(), EngineError> {
        match self.node_of(row).await {
            Ok(Some(node)) => self.told(node, row, json!({"do": "passkey_confirmed"})).await.ok_or(EngineError::Offline),
            _ => self.passkey_confirmed_here(row.id).await,
        }
    }

    pub(super) async fn passkey_confirmed_here(&self, id: SessionId) -> Result<(), EngineError> {
        self.ask(id, |done| Command::PasskeyConfirmed { done }).await.unwrap_or(Err(EngineError::Offline))
    }

    /// Tells a sender that its messages were read.
    ///
    /// # Errors
    /// `Offline` when the account is not running, else what the engine says.
    pub async fn mark_read(&self, row: &Session, chat: Jid, sender: Option<Jid>, wa_message_ids: Vec<String>) -> Result<(), AttemptError> {
        let Ok(Some(node)) = self.node_of(row).await else { return self.mark_read_here(row.id, chat, sender, wa_message_ids).await };
        let asked = json!({"do": "mark_read", "chat": chat, "sender": sender, "ids": wa_message_ids});
        self.told(node, row, asked).await.ok_or(AttemptError::Offline)
    }

    pub(super) async fn mark_read_here(
        &self,
        id: SessionId,
        chat: Jid,
        sender: Option<Jid>,
        wa_message_ids: Vec<String>,
    ) -> Result<(), AttemptError> {
        let command = |done| Command::MarkRead { chat, sender, wa_message_ids, done };
        self.ask(id, command).await.unwrap_or(Err(AttemptError::Offline))
    }

    /// Asks WhatsApp who is behind some numbers, through an account wherever it runs; answers in their order.
    ///
    /// # Errors
    /// `Offline` when the account is not running, else what the engine says.
    pub async fn look_up(&self, row: &Session, phones: Vec<PhoneNumber>) -> Result<Vec<Found>, AttemptError> {
        match self.node_of(row).await {
            Ok(Some(node)) => self.look_up_elsewhere(node, row, phones).await,
            _ => self.look_up_here(row.id, phones).await,
        }
    }

    pub(super) async fn look_up_here(&self, id: SessionId, phones: Vec<PhoneNumber>) -> Result<Vec<Found>, AttemptError> {
        self.ask(id, |done| Command::LookUp { phones, done }).await.unwrap_or(Err(AttemptError::Offline))
    }

    /// Asks the sender's phone for a file that WhatsApp's media host does not have any more, through the account wherever it
    /// runs; answers the new way to it.
    ///
    /// # Errors
    /// `Gone` when the phone does not have it either, `Unreachable` when nobody answers.
    pub async fn ask_for_file_again(&self, row: &Session, message: &Message, remote: Vec<u8>) -> Result<Vec<u8>, FetchError> {
        match self.node_of(row).await {
            Ok(Some(node)) => self.ask_for_file_elsewhere(node, row, message.id).await,
            _ => self.ask_for_file_here(message, remote).await,
        }
    }

    pub(super) async fn ask_for_file_here(&self, message: &Message, remote: Vec<u8>) -> Result<Vec<u8>, FetchError> {
        let boxed = Box::new(message.clone());
        let answer = self.ask(message.session_id, |done| Command::AskForFile { message: boxed, remote, done }).await;
        answer.unwrap_or_else(|| Err(FetchError::Unreachable("the account is not connected".into())))
    }

    /// Asks a driver; `None` when none runs, it ended first, or it did not answer in time.
    pub(super) async fn ask<T>(&self, id: SessionId, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (done, answer) = oneshot::channel();
        self.find_place(id)?.commands()?.send(command(done)).ok()?;
        tokio::time::timeout(ANSWER_WAIT, answer).await.ok()?.ok()
    }

    /// Starts a driver. The gate of the place must be held.
    pub(super) async fn launch(&self, place: &Arc<Place>, row: Session, phone: Option<PhoneNumber>) -> Result<(), StoreError> {
        if self.inner.shutdown.is_cancelled() {
            return Err(StoreError::Unavailable("the server is stopping".into()));
        }
        let generation = self.shared().store.take_session(row.id).await?;
        let signal = self.shared().store.signal(row.id, generation);
        let start = Start { session: row, generation, signal, pair_by_code: phone };
        let (commands, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(supervise(self.shared().clone(), place.seat.clone(), receiver, start));
        *place.running() = Some(Running { commands, task });
        Ok(())
    }

    /// A driver that shows a status in which nothing is being tried is about to end, and hears nobody any more: its
    /// end is awaited, so that the next one can start. Answers the row as it is then.
    async fn let_go(&self, place: &Place, row: &Session) -> Result<Session, StoreError> {
        use SessionStatus::{Disconnected, Failed, LoggedOut};
        if place.commands().is_none() || !matches!(place.seat.live().status, Disconnected | Failed | LoggedOut) {
            return Ok(row.clone());
        }
        self.wait_for_end(place).await;
        if place.commands().is_some() {
            // With what it has not written, credentials to be erased perhaps, nobody else may begin.
            return Err(StoreError::Unavailable("what became of the account is not written yet".into()));
        }
        let gone = || StoreError::Unavailable("the session is gone".into());
        self.shared().store.session(row.id).await?.ok_or_else(gone)
    }

    /// Holds the gate of a session's place: no driver is started or stopped meanwhile.
    pub(super) async fn at_the_gate(place: &Place) -> tokio::sync::MutexGuard<'_, ()> {
        place.gate.lock().await
    }

    /// The place of a session, made when there is none.
    pub(super) fn place(&self, row: &Session) -> Arc<Place> {
        if let Some(place) = self.find_place(row.id) {
            return place;
        }
        let seat = Arc::new(Seat::new(self.resting(row), row.last_active_at, self.shared().clock.clone()));
        let fresh =
            Place { id: row.id, seat, gate: tokio::sync::Mutex::default(), mirrored: AtomicBool::new(false), running: Mutex::default() };
        let place = self.places().entry(row.id).or_insert_with(|| Arc::new(fresh)).clone();
        let known = Known { id: row.id, seat: place.seat.clone() };
        let mut names = self.inner.names.write().unwrap_or_else(PoisonError::into_inner);
        names.entry(row.user_id).or_default().insert(row.name.clone(), known);
        place
    }

    /// Forgets a session that was deleted.
    pub(super) fn forget(&self, row: &Session) {
        self.places().remove(&row.id);
        let mut names = self.inner.names.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_user) = names.get_mut(&row.user_id) {
            of_user.remove(&row.name);
            if of_user.is_empty() {
                names.remove(&row.user_id);
            }
        }
    }

    pub(super) fn all_places(&self) -> Vec<Arc<Place>> {
        self.places().values().cloned().collect()
    }

    pub(super) fn find_place(&self, id: SessionId) -> Option<Arc<Place>> {
        self.places().get(&id).cloned()
    }

    fn running_count(&self) -> usize {
        self.places().values().filter(|place| place.commands().is_some()).count()
    }

    /// What a session is while nothing runs for it.
    pub(super) fn resting(&self, row: &Session) -> Live {
        let mut live = if self.is_elsewhere(row) { Live::elsewhere(row) } else { Live::at_rest(row) };
        if let Some(sentence) = self.wrong_network(row) {
            live.status = SessionStatus::Failed;
            live.reason = Some(Reason::new(ReasonCode::WrongNetwork, sentence));
        }
        live
    }

    /// Why an account of another network can't be opened here.
    pub(super) fn wrong_network(&self, row: &Session) -> Option<&'static str> {
        match (row.network, self.network()) {
            (Network::Sandbox, Network::Live) => {
                Some("This is a sandbox account, and the server runs without the sandbox; start it with --sandbox.")
            }
            (Network::Live, Network::Sandbox) => {
                Some("This is a real account, and the server runs with the sandbox; start it without --sandbox.")
            }
            _ => None,
        }
    }

    /// A poisoned lock only means that a caller panicked between two map operations; the map is whole.
    fn places(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Place>>> {
        self.inner.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The way to the driver, while one runs.
    pub(super) fn commands(&self) -> Option<mpsc::UnboundedSender<Command>> {
        self.running().as_ref().filter(|running| !running.commands.is_closed()).map(|running| running.commands.clone())
    }

    /// The driver's task, to be waited for.
    pub(super) fn take_task(&self) -> Option<JoinHandle<()>> {
        self.running().take().map(|running| running.task)
    }

    /// Ends the driver's task in the middle of what it does, as a fault of the runtime would.
    #[cfg(test)]
    pub(super) async fn kill(&self) {
        let Some(commands) = self.commands() else { return };
        if let Some(running) = &*self.running() {
            running.task.abort();
        }
        commands.closed().await;
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
