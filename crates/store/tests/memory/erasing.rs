//! Erasing a person: whatever their number, id or name was written to, nothing of it is left in any table or file.
//!
//! Which tables and columns there are is asked of the database: a table that is added later and holds a person is found here
//! as soon as this test writes to it, and `every_table_is_told_of` has its author think of it.

use crate::opt_outs::{both, by_lid, by_phone, writes};
use crate::webhooks::{deliveries, endpoint, report};
use crate::world::{ANNA, Account, BEN, Backend, World, key};
use sanasend_model::{
    CampaignId, Clock, ContactId, ContactSource, Content, FileId, Jid, Media, MediaKind, MessageStatus, OptOutSource, Rich, Target,
};
use sanasend_store::{
    AttemptOutcome, CampaignMade, FileStore, ImportFault, ImportKind, ImportPlace, ImportState, ImportStep, Incoming, JobFilter,
    LoggedRequest, NewCampaign, NewContact, NewJob, NewMedia, NewMessage, NewOptOut, NewRecipient, News, OptOutCause, Page, Quoted,
    RecurringContent, RecurringCreated, RecurringPlan, RequestCounts, SignalChange, SignalKind,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const HIDDEN: &str = "77000000000001@lid";
/// What nothing else holds: the number, the hidden id, and a word that stands in everything that is said of the person.
const CANARIES: [&str; 3] = ["14155550101", "77000000000001", "canary"];

/// Every table with what it holds of people; docs/contacts.md says the same.
const TABLES: [(&str, &str); 51] = [
    ("account_hours", "counts"),
    ("account_pace", "counts"),
    ("api_hourly", "counts"),
    ("api_keys", "of users"),
    ("api_log", "the path is cut to its route"),
    ("audit_head", "a proof"),
    ("audit_log", "ids of contacts, never numbers or names"),
    ("campaign_accounts", "counts"),
    ("campaign_recipients", "the place stays, without the person"),
    ("campaigns", "a text to many"),
    ("chat_aliases", "erased"),
    ("contact_handles", "erased"),
    ("contact_imports", "headings that name the person are erased"),
    ("contact_labels", "erased"),
    ("contact_settings", "texts to many"),
    ("contact_words", "erased"),
    ("contacts", "erased"),
    ("cookies", "of users"),
    ("events", "erased"),
    ("files", "erased with what carries them"),
    ("guard_version", "a number"),
    ("idempotency", "erased"),
    ("import_faults", "lines and columns, never what stands in them"),
    ("import_pieces", "waited for, and gone with the end of the import"),
    ("jobs", "erased"),
    ("logins", "of users"),
    ("message_media", "erased"),
    ("message_raw", "erased"),
    ("messages", "erased; quotations of the person, and what the person did to messages of others, as well"),
    ("node_calls", "sealed, for seconds"),
    ("nodes", "of the cluster"),
    ("opt_outs", "those in force keep the bare id; others are erased"),
    ("opted_out", "the bare id of somebody who opted out"),
    ("outbox", "erased"),
    ("proofs", "a proof"),
    ("receipts", "erased"),
    ("recurring", "erased"),
    ("refresh_tokens", "of users"),
    ("schedules", "of the server"),
    ("seaql_migrations", "of the server"),
    ("sessions", "the user's own accounts"),
    ("signal", "what was written is erased; keys of the encryption with the person's devices stay"),
    ("template_versions", "a text to many"),
    ("templates", "a text to many"),
    ("timeline", "erased"),
    ("usage_daily", "counts"),
    ("usage_hourly", "counts"),
    ("users", "users"),
    ("webhook_attempts", "erased, or what names the person"),
    ("webhook_deliveries", "erased, or what names the person"),
    ("webhook_endpoints", "of users"),
];

/// Where a canary is.
async fn found<B: Backend>(w: &World<B>, needles: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (table, column) in w.backend.columns(&w.database).await {
        for needle in needles {
            let holds = B::anywhere(&format!("\"{column}\""), needle);
            if w.ask(&format!("SELECT COUNT(*) FROM \"{table}\" WHERE {holds}")).await > 0 {
                found.insert(format!("{table}.{column}: {needle}"));
            }
        }
    }
    found
}

fn in_files(folder: &std::path::Path) -> bool {
    std::fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() { in_files(&path) } else { std::fs::read(path).expect("a file").windows(6).any(|bytes| bytes == b"canary") }
    })
}

async fn messages<B: Backend>(w: &World<B>, account: Account, file: FileId) {
    let metadata = Some(json!({"customer": "canary", "phone": ANNA}));
    let keyed = NewMessage { idempotency: key("k", 1, &format!("{{\"to\":\"{ANNA}\"}}")), ..w.text(account, ANNA, "a canary sings") };
    let keyed = NewMessage { metadata, ..keyed };
    w.store.accept(keyed.clone()).await.expect("accepted");
    let about = Media::new(MediaKind::Image, "image/png", 7, [9; 32]);
    let content = Content::Media(Box::new(Media { caption: Some("canary".into()), ..about }));
    let media = Some(NewMedia { file, thumbnail: Some(b"a canary".to_vec()) });
    w.store.accept(NewMessage { content, media, ..w.text(account, ANNA, "x") }).await.expect("accepted");
    let scheduled_at = Some(w.clock.now().plus(Duration::from_hours(1)));
    w.store.accept(NewMessage { scheduled_at, ..w.text(account, ANNA, "a canary tomorrow") }).await.expect("accepted");
    let quoted = Some(Quoted { wa_message_id: "x".into(), participant: Jid::parse(HIDDEN), text: Some("canary's words".into()) });
    w.store.accept(NewMessage { quoted, ..w.text(account, BEN, "to ben") }).await.expect("accepted");
    let to_all = w.text(account, "120363021033254949@g.us", "to all");
    w.store.accept(to_all.clone()).await.expect("accepted");
    w.claim(account).await;
    let chat = by_phone(ANNA).jid.expect("an id");
    // The person read what others read as well, told by either id.
    let read = |by| News::Receipt {
        wa_message_ids: vec![to_all.wa_message_id.clone()],
        chat: to_all.recipient.jid(),
        by: Some(by),
        status: MessageStatus::Read,
        at: w.clock.now(),
    };
    w.apply(account, vec![read(both(ANNA, HIDDEN)), read(by_lid(HIDDEN)), read(by_phone(BEN))]).await;
    let news = News::Resolved { message_id: keyed.id, peer: both(ANNA, HIDDEN), chat };
    w.apply(account, vec![news]).await;
    let incoming = |chat: &str, text: &str| Incoming {
        wa_message_id: format!("IN{}", w.number()),
        chat: Jid::parse(chat).expect("an id"),
        sender: both(ANNA, HIDDEN),
        sender_name: Some("Canary canary".into()),
        from_me: false,
        content: Content::text(text).expect("a text"),
        quoted: None,
        at: w.clock.now(),
        media: None,
        raw: Some(b"canary".to_vec()),
    };
    let all = vec![incoming("14155550101@s.whatsapp.net", "canary to you"), incoming("120363021033254949@g.us", "canary to all")];
    w.store.receive(account.id, account.generation, all).await.expect("received");
    // What the person does to a message of somebody else is shown there, and what is done to theirs names them.
    let group = "120363021033254949@g.us";
    let bens = Incoming { sender: by_phone(BEN), sender_name: None, raw: None, ..incoming(group, "from ben") };
    let of_bens = Target { wa_message_id: bens.wa_message_id.clone(), from_me: false, participant: None, message_id: None };
    let of_theirs = Target { wa_message_id: "x".into(), from_me: false, participant: Jid::parse(HIDDEN), message_id: None };
    let reaction = |target, emoji: &str| Content::from(Rich::Reaction { target, emoji: emoji.into() });
    let theirs = Incoming { content: reaction(of_bens, "👍"), ..incoming(group, "x") };
    let ours = Incoming { content: reaction(of_theirs, "🎉"), from_me: true, sender_name: None, raw: None, ..incoming(group, "x") };
    let ours = Incoming { sender: by_phone(BEN), ..ours };
    w.store.receive(account.id, account.generation, vec![bens, theirs, ours]).await.expect("received");
    let key = [b"14155550101@s.whatsapp.net".as_slice(), b"\0X"].concat();
    let put = SignalChange::Put { kind: SignalKind::SentMessage, key, value: b"canary".to_vec() };
    w.signal(account).apply(vec![put]).await.expect("written");
}

async fn plans<B: Backend>(w: &World<B>, account: Account) {
    let plan = RecurringPlan {
        name: "canary".into(),
        session_id: account.id,
        cron: "0 9 * * *".into(),
        timezone: "Europe/Berlin".into(),
        recipient: ANNA.into(),
        content: RecurringContent::Text("good morning, canary".into()),
        quiet_hours: None,
        ends_at: None,
        most_runs: None,
        is_active: true,
    };
    let made = w.store.create_recurring(account.user, plan, None, 5).await.expect("written");
    assert!(matches!(made, RecurringCreated::Done(_)));
    let campaign = NewCampaign {
        id: CampaignId::new(&*w.clock),
        user_id: account.user,
        name: "Spring".into(),
        content: json!({"text": "Hello {{n}}"}),
        pacing: json!("default"),
        accounts: vec![account.id],
        quiet_hours: None,
        media: None,
        key: None,
    };
    let id = campaign.id;
    assert!(matches!(w.store.create_campaign(campaign).await, Ok(CampaignMade::Done(_))));
    let recipient = "14155550101@s.whatsapp.net".to_owned();
    let recipient = NewRecipient { recipient, variables: Some(json!({"n": "canary"})), skip: None };
    w.store.add_recipients(id, 0, vec![recipient]).await.expect("written");
    w.store.complete_campaign(id).await.expect("written").expect("there");
}

async fn logs<B: Backend>(w: &World<B>, account: Account) {
    let path = format!("/api/v1/people/{ANNA}/");
    let logged = LoggedRequest {
        user_id: Some(account.user),
        api_key_id: None,
        method: "GET".into(),
        endpoint: "/api/v1/people/{id}/".into(),
        path,
        status_code: 404,
        latency: Duration::from_micros(1),
        ip: [192, 0, 2, 1].into(),
        request_id: "r".into(),
        at: w.clock.now(),
    };
    w.store.log_requests(Arc::new((vec![logged], RequestCounts::default()))).await.expect("written");
    let payload = json!({"session": account.id, "recipient": "14155550101@s.whatsapp.net", "wish": "stop"});
    let (user_id, due_at) = (Some(account.user), w.clock.now());
    w.store
        .enqueue_jobs(vec![NewJob { kind: "contact.answer", lane: None, bundle: None, user_id, payload, due_at }])
        .await
        .expect("written");
    // Jobs are given up, with a reason that names the person; their lanes name the chat.
    w.tamper(&format!("UPDATE jobs SET state = 2, head = FALSE, last_error = 'no canary at {ANNA}'")).await;
}

async fn imports<B: Backend>(w: &World<B>, account: Account) {
    let id = w.store.begin_import(account.user, ImportKind::Contacts, None).await.expect("begun");
    let line = format!("{ANNA};canary\n").into_bytes();
    w.store.stage_import(id, 0, line).await.expect("kept");
    let columns = [(ANNA.to_owned(), "phone".to_owned()), ("canary 14155550101".to_owned(), "name".to_owned())];
    let place = ImportPlace::default();
    w.store.start_import(id, &columns, place, 20, w.clock.now()).await.expect("started");
    let fault = ImportFault { line: 1, field: "field:canary 14155550101".into(), message: "must be shorter".into() };
    let to = ImportPlace { bytes: 20, ..place };
    let end = Some((ImportState::Done, None));
    let contact = NewContact { person: by_phone(ANNA), name: "canary".into(), ..NewContact::default() };
    let contacts = vec![(contact, false)];
    let (import, user, from, opt_outs) = (id, account.user, place, vec![]);
    let step = ImportStep { import, user, from, to, lines: 1, refused: 1, faults: vec![fault], contacts, opt_outs, end };
    assert_eq!(w.store.take_import(step).await, Ok(true));
}

/// Writes a person to everything that can hold one.
async fn live<B: Backend>(w: &World<B>, account: Account, files: &FileStore) -> ContactId {
    let word = || "canary".to_owned();
    let new = NewContact {
        tags: BTreeSet::from([word()]),
        groups: BTreeSet::from([word()]),
        fields: BTreeMap::from([("bird".to_owned(), word())]),
        notes: word(),
        consent: Some(sanasend_model::Consent::Granted),
        consent_note: Some(word()),
        person: both(ANNA, HIDDEN),
        name: "Canary Canary".into(),
    };
    let contact = w.store.create_contact(account.user, new, ContactSource::Api).await.expect("made").id;
    let staged = w.folder.path().join("staged");
    std::fs::write(&staged, b"a canary's picture").expect("written");
    let file = w.store.add_file(FileId::new(&*w.clock), account.user, [9; 32], 7).await.expect("added");
    files.put(file, &staged).await.expect("kept");
    let webhook = endpoint(w, account.user, &[]).await;
    messages(w, account, file).await;
    let cause = || OptOutCause { source: OptOutSource::Api, message_id: None, note: Some(word()) };
    w.store.opt_out(account.user, vec![NewOptOut { person: by_phone(ANNA), cause: cause() }]).await.expect("written");
    w.store.opt_in(account.user, by_phone(ANNA), cause()).await.expect("written").expect("ended");
    plans(w, account).await;
    for (number, delivery) in deliveries(w, webhook.id).await.iter().enumerate() {
        let mut report = report(delivery, AttemptOutcome::Dead, w.clock.now());
        report.error = Some(format!("a canary {number} at {ANNA}"));
        if let Some(attempt) = &mut report.attempt {
            attempt.response_body = Some(format!("canary {ANNA}"));
            attempt.request_headers = serde_json::Map::from_iter([("x".to_owned(), json!(format!("canary {ANNA}")))]);
        }
        w.store.settle_delivery(report).await.expect("written");
    }
    logs(w, account).await;
    imports(w, account).await;
    contact
}

pub async fn nothing_of_an_erased_person_is_left_in_any_table_or_file<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let files = FileStore::in_folder(&w.folder.path().join("media")).expect("a folder");
    let contact = live(&w, account, &files).await;
    writes(&w, account, by_phone(BEN), "i am ben").await;
    let before = found(&w, &CANARIES).await;
    let tables: BTreeSet<&str> = before.iter().filter_map(|place| place.split('.').next()).collect();
    let expected = [
        "api_log",
        "campaign_recipients",
        "chat_aliases",
        "contact_handles",
        "contact_imports",
        "contact_labels",
        "contact_words",
        "contacts",
        "events",
        "idempotency",
        "import_faults",
        "jobs",
        "message_media",
        "messages",
        "opt_outs",
        "outbox",
        "receipts",
        "recurring",
        "signal",
        "webhook_attempts",
        "webhook_deliveries",
    ];
    for table in expected {
        assert!(tables.contains(table), "the canary was to be written to {table}: {before:?}");
    }
    assert!(in_files(&w.folder.path().join("media")));
    assert_eq!(w.store.erase_contact(account.user, contact).await, Ok(true));
    let jobs = w.store.list_jobs(&JobFilter { kind: Some("contact.erase".into()), ..JobFilter::default() }, Page::default()).await;
    let job = jobs.expect("read").results.remove(0);
    assert_eq!(job.payload["imports"], false);
    let handles: Vec<Jid> = job.payload["handles"].as_array().expect("ids").iter().filter_map(|id| Jid::parse(id.as_str()?)).collect();
    w.store.erase_traces(account.user, &handles).await.expect("erased");
    w.tamper("DELETE FROM jobs WHERE kind = 'contact.erase'").await;
    w.clock.advance(Duration::from_secs(1));
    for id in w.store.forget_unused_files(w.clock.now()).await.expect("forgotten") {
        files.delete(id).await.expect("deleted");
    }
    assert_eq!(found(&w, &CANARIES).await, BTreeSet::new(), "left of {before:?}");
    assert!(!in_files(&w.folder.path().join("media")));
    assert_eq!(w.ask("SELECT COUNT(*) FROM messages").await, 5, "those with ben stay, and what the account did itself");
    assert_eq!(w.ask("SELECT COUNT(*) FROM receipts").await, 1, "ben read it too");
    assert!(w.ask("SELECT COUNT(*) FROM webhook_deliveries").await > 0, "what was told of ben stays");
}

pub async fn every_table_is_told_of<B: Backend>(w: World<B>) {
    let known: BTreeSet<&str> = TABLES.iter().map(|(table, _)| *table).filter(|table| !table.is_empty()).collect();
    let there: BTreeSet<String> = w.backend.columns(&w.database).await.into_iter().map(|(table, _)| table).collect();
    let unknown: Vec<&String> = there.iter().filter(|table| !known.contains(table.as_str())).collect();
    assert!(unknown.is_empty(), "say in TABLES and docs/contacts.md what these hold of people, and erase it: {unknown:?}");
    let gone: Vec<&&str> = known.iter().filter(|table| !there.contains(**table)).collect();
    assert!(gone.is_empty(), "{gone:?}");
    let docs = include_str!("../../../../docs/contacts.md");
    let untold: Vec<&&str> = known.iter().filter(|table| !docs.contains(&format!("`{table}`"))).collect();
    assert!(untold.is_empty(), "docs/contacts.md does not tell of {untold:?}");
}

pub async fn a_file_that_is_taken_in_is_waited_for_and_makes_nobody_again<B: Backend>(w: World<B>) {
    let user = w.user("anna").await.id;
    let made = |name: &str| NewContact { person: by_phone(ANNA), name: name.into(), ..NewContact::default() };
    let contact = w.store.create_contact(user, made("Anna"), ContactSource::Api).await.expect("made");
    let id = w.store.begin_import(user, ImportKind::Contacts, None).await.expect("begun");
    w.store.erase_contact(user, contact.id).await.expect("erased");
    let jobs = w.store.list_jobs(&JobFilter::default(), Page::default()).await.expect("read");
    assert_eq!(jobs.results[0].payload["imports"], true);
    assert_eq!(w.store.is_importing(user, w.clock.now()).await, Ok(true));
    w.store.put_contacts(user, vec![(made("again"), false)], ContactSource::Import).await.expect("put");
    w.store.cancel_import(id).await.expect("ended");
    assert_eq!(w.store.is_importing(user, w.clock.now()).await, Ok(false));
    w.store.erase_imported(user, &by_phone(ANNA).handles()).await.expect("erased");
    assert_eq!(w.ask("SELECT COUNT(*) FROM contacts").await, 0);
}
