//! Contacts: a person is one contact, lists are whole and fast, and an erased person leaves nothing.

use crate::opt_outs::{both, by_lid, by_phone, writes};
use crate::world::{ANNA, Account, BEN, Backend, CARL, World};
use sanasend_model::{Clock, Consent, ContactSource, Jid, PhoneNumber, UserId};
use sanasend_store::{
    Accepted, CheckResult, Contact, ContactFilter, ContactPatch, ContactSettings, ImportKind, JobFilter, LabelKind, NewContact, NewOptOut,
    News, OptOutCause, OptOutFilter, Ordering, Page, Peer, Put, Quoted, StoreError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const HIDDEN: &str = "77000000000001@lid";

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn named(person: Peer, name: &str) -> NewContact {
    NewContact { person, name: name.into(), ..NewContact::default() }
}

async fn make<B: Backend>(w: &World<B>, user: UserId, new: NewContact) -> Contact {
    w.store.create_contact(user, new, ContactSource::Api).await.expect("made")
}

async fn listed<B: Backend>(w: &World<B>, user: UserId, filter: &ContactFilter) -> Vec<String> {
    let (found, _) = w.store.list_contacts(user, filter, Page { page: 1, page_size: 100 }).await.expect("read");
    assert_eq!(found.count, u64::try_from(found.results.len()).expect("few"));
    found.results.into_iter().map(|contact| contact.name).collect()
}

pub async fn a_contact_is_made_seen_changed_and_removed<B: Backend>(w: World<B>) {
    let (anna, ben) = (w.user("anna").await.id, w.user("ben").await.id);
    let fields = BTreeMap::from([("city".to_owned(), "Köln".to_owned())]);
    let new = NewContact {
        tags: names(&["vip"]),
        groups: names(&["friends"]),
        fields: fields.clone(),
        notes: "likes tea".into(),
        consent: Some(Consent::Granted),
        ..named(by_phone(ANNA), "Anna")
    };
    let made = make(&w, anna, new).await;
    assert_eq!((made.name.as_str(), &made.fields, made.consent, made.on_whatsapp), ("Anna", &fields, Consent::Granted, None));
    assert_eq!((made.tags.clone(), made.groups.clone(), made.source), (names(&["vip"]), names(&["friends"]), ContactSource::Api));
    assert_eq!(w.store.contact(anna, made.id).await, Ok(Some(made.clone())));
    assert_eq!(w.store.contact(ben, made.id).await, Ok(None), "another user's");
    assert_eq!(w.store.contact_of(anna, &by_phone(ANNA)).await, Ok(Some(made.clone())));
    let again = w.store.create_contact(anna, named(by_phone(ANNA), "Again"), ContactSource::Api).await;
    assert_eq!(again, Err(StoreError::Conflict { what: "phone" }));
    make(&w, ben, named(by_phone(ANNA), "Ben's Anna")).await;
    w.clock.advance(Duration::from_secs(1));
    let patch =
        ContactPatch { name: Some("Ann".into()), tags: Some(names(&["new"])), notes: Some(String::new()), ..ContactPatch::default() };
    let changed = w.store.update_contact(anna, made.id, patch).await.expect("written").expect("there");
    assert_eq!((changed.name.as_str(), changed.notes.as_str(), &changed.tags), ("Ann", "", &names(&["new"])));
    assert_eq!((changed.groups, changed.fields), (made.groups, made.fields), "what was not named stays");
    assert!(changed.updated_at > made.updated_at);
    assert_eq!(w.store.update_contact(ben, made.id, ContactPatch::default()).await, Ok(None));
    assert_eq!(w.store.delete_contact(ben, made.id).await, Ok(false));
    assert_eq!(w.store.delete_contact(anna, made.id).await, Ok(true));
    for table in ["contact_handles", "contact_labels", "contact_words"] {
        assert_eq!(w.ask(&format!("SELECT COUNT(*) FROM {table} WHERE contact_seq NOT IN (SELECT seq FROM contacts)")).await, 0, "{table}");
    }
    let nobody = w.store.create_contact(UserId(made.id.0), named(by_phone(BEN), "x"), ContactSource::Api).await;
    assert!(matches!(nobody, Err(StoreError::Conflict { .. })), "{nobody:?}");
}

pub async fn a_contact_is_replaced_but_not_by_another_person<B: Backend>(w: World<B>) {
    let (anna, other) = (w.user("anna").await.id, w.user("other").await.id);
    let consent = Some(Consent::Granted);
    let new = NewContact { tags: names(&["vip"]), notes: "likes tea".into(), consent, ..named(by_phone(ANNA), "Anna") };
    let made = make(&w, anna, new.clone()).await;
    w.clock.advance(Duration::from_secs(1));
    let replace = async |new: NewContact| w.store.replace_contact(anna, made.id, new, ContactSource::Dashboard).await;
    let same = replace(new).await.expect("written").expect("there");
    let proof = |contact: &Contact| (contact.consent, contact.consent_at, contact.consent_source.clone());
    assert_eq!((&same.tags, proof(&same)), (&made.tags, proof(&made)), "a consent that says the same keeps its proof");
    let bare = replace(named(by_phone(ANNA), "Ann")).await.expect("written").expect("there");
    assert_eq!((bare.name.as_str(), bare.notes.as_str(), &bare.tags), ("Ann", "", &BTreeSet::new()));
    assert_eq!(proof(&bare), (Consent::Unknown, None, None));
    assert_eq!(replace(named(by_phone(BEN), "Ben")).await, Err(StoreError::Conflict { what: "phone" }));
    assert_eq!(w.store.contact(anna, made.id).await, Ok(Some(bare)));
    assert_eq!(w.store.replace_contact(other, made.id, named(by_phone(ANNA), "x"), ContactSource::Api).await, Ok(None));
}

pub async fn a_file_is_put_in_and_put_in_again<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let lines = || {
        vec![
            (NewContact { tags: names(&["a"]), ..named(by_phone(ANNA), "Anna") }, false),
            (named(by_phone(BEN), "Ben"), true),
            (NewContact { tags: names(&["b"]), ..named(by_phone(ANNA), "Anna Smith") }, false),
            (named(by_phone(CARL), ""), false),
        ]
    };
    let done = w.store.put_contacts(anna, lines(), ContactSource::Import).await.expect("put");
    assert!(matches!(done[..], [Put::Created(one), Put::Created(_), Put::Merged(again), Put::Created(_)] if one == again), "{done:?}");
    let found = w.store.contact(anna, done[0].id()).await.expect("read").expect("there");
    assert_eq!((found.name.as_str(), found.tags, found.source), ("Anna Smith", names(&["a", "b"]), ContactSource::Import));
    assert_eq!(listed(&w, anna, &ContactFilter { search: Some("smith".into()), ..ContactFilter::default() }).await.len(), 1);
    let ben = w.store.contact(anna, done[1].id()).await.expect("read").expect("there");
    assert!(ben.opted_out_at.is_some() && ben.consent == Consent::Withdrawn);
    let before = w.ask("SELECT COUNT(*) FROM contacts").await + w.ask("SELECT COUNT(*) FROM contact_labels").await;
    let again = w.store.put_contacts(anna, lines(), ContactSource::Import).await.expect("put again");
    assert!(again.iter().zip(&done).all(|(again, first)| matches!(again, Put::Merged(_)) && again.id() == first.id()));
    assert_eq!(w.ask("SELECT COUNT(*) FROM contacts").await + w.ask("SELECT COUNT(*) FROM contact_labels").await, before);
    // A file does not make anybody agree who opted out, nor take a name away.
    let agreed = NewContact { consent: Some(Consent::Granted), ..named(by_phone(BEN), "") };
    w.store.put_contacts(anna, vec![(agreed, false)], ContactSource::Import).await.expect("put");
    let ben = w.store.contact(anna, done[1].id()).await.expect("read").expect("there");
    assert_eq!((ben.name.as_str(), ben.consent), ("Ben", Consent::Withdrawn));
    assert_eq!(w.store.are_contacts(anna, &[by_phone(ANNA), by_lid(HIDDEN)]).await, Ok(vec![true, false]));
    let people = [by_lid(HIDDEN), by_phone(ANNA), by_phone(CARL), by_phone(BEN)];
    let called = vec![None, Some("Anna Smith".to_owned()), None, Some("Ben".to_owned())];
    assert_eq!(w.store.contact_names(anna, &people).await, Ok(called), "Carl has no name");
    let other = w.user("other").await.id;
    assert_eq!(w.store.contact_names(other, &people).await, Ok(vec![None; 4]), "of another user nothing is known");
    // Whoever opted out before is marked when they become a contact.
    let cause = OptOutCause { source: sanasend_model::OptOutSource::Api, message_id: None, note: None };
    w.store.opt_out(anna, vec![NewOptOut { person: by_lid(HIDDEN), cause }]).await.expect("written");
    let late = make(&w, anna, named(by_lid(HIDDEN), "Late")).await;
    assert!(late.opted_out_at.is_some());
}

pub async fn people_are_found_by_the_beginnings_of_words<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let other = w.user("other").await.id;
    for (number, name) in ["Anna Maria Annas", "Ánnika O'Neill", "Bert Annan", "Zoë"].into_iter().enumerate() {
        make(&w, anna, named(by_phone(&format!("+4915123456{number:03}")), name)).await;
    }
    make(&w, other, named(by_phone(ANNA), "Anna of another")).await;
    let search = async |text: &str| listed(&w, anna, &ContactFilter { search: Some(text.into()), ..ContactFilter::default() }).await;
    assert_eq!(search("ann").await, ["Anna Maria Annas", "Bert Annan", "Ánnika O'Neill"], "each once, by the word that was found");
    assert_eq!(search("ANNA mar").await, ["Anna Maria Annas"]);
    assert_eq!(search("neill annika").await, ["Ánnika O'Neill"]);
    assert_eq!(search("zoe").await, ["Zoë"]);
    assert_eq!(search("+49 151 234-56002").await, ["Bert Annan"]);
    assert_eq!(search("49151").await.len(), 4);
    assert_eq!(search("nna").await, Vec::<String>::new(), "beginnings only");
    assert_eq!(search("%").await.len(), 4, "nothing that could be looked for");
}

pub async fn lists_are_whole_in_every_order_by_pages_and_cursors<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let mut lines = Vec::new();
    for number in 0..53_u32 {
        let name = format!("{}{number:02}", if number % 2 == 0 { "Even" } else { "odd" });
        let tags = if number % 3 == 0 { names(&["third"]) } else { BTreeSet::new() };
        let groups = if number < 10 { names(&["first"]) } else { BTreeSet::new() };
        let consent = (number % 5 == 0).then_some(Consent::Granted);
        let new = NewContact { tags, groups, consent, ..named(by_phone(&format!("+491512345{number:04}")), &name) };
        lines.push((new, number % 7 == 0));
    }
    w.store.put_contacts(anna, lines, ContactSource::Import).await.expect("put");
    let ordering = |text: &str| text.parse().expect("an order");
    let filters = [
        (ContactFilter::default(), 53),
        (ContactFilter { ordering: ordering("created_at"), ..ContactFilter::default() }, 53),
        (ContactFilter { ordering: ordering("name"), ..ContactFilter::default() }, 53),
        (ContactFilter { ordering: ordering("-name"), ..ContactFilter::default() }, 53),
        (ContactFilter { tag: Some("third".into()), ..ContactFilter::default() }, 18),
        (ContactFilter { tag: Some("third".into()), ordering: ordering("name"), ..ContactFilter::default() }, 18),
        (ContactFilter { tag: Some("third".into()), group: Some("first".into()), ..ContactFilter::default() }, 4),
        (ContactFilter { search: Some("even".into()), ..ContactFilter::default() }, 27),
        (ContactFilter { search: Some("odd".into()), tag: Some("third".into()), ..ContactFilter::default() }, 9),
        (ContactFilter { consent: Some(Consent::Withdrawn), ..ContactFilter::default() }, 8),
        (ContactFilter { consent: Some(Consent::Granted), opted_out: Some(false), ..ContactFilter::default() }, 9),
        (ContactFilter { opted_out: Some(true), ..ContactFilter::default() }, 8),
        (ContactFilter { on_whatsapp: Some(None), ..ContactFilter::default() }, 53),
        (ContactFilter { on_whatsapp: Some(Some(true)), ..ContactFilter::default() }, 0),
        (ContactFilter { tag: Some("nobody's".into()), ..ContactFilter::default() }, 0),
    ];
    for (filter, expected) in filters {
        let (whole, _) = w.store.list_contacts(anna, &filter, Page { page: 1, page_size: 100 }).await.expect("read");
        assert_eq!((whole.count, whole.results.len()), (expected, usize::try_from(expected).expect("few")), "{filter:?}");
        let mut by_page = Vec::new();
        for page in 1.. {
            let (found, next) = w.store.list_contacts(anna, &filter, Page { page, page_size: 7 }).await.expect("read");
            assert_eq!(found.count, expected, "{filter:?}");
            by_page.extend(found.results.iter().map(|contact| contact.id));
            if by_page.len() >= whole.results.len() {
                break;
            }
            assert!(next.is_some());
        }
        let (mut by_cursor, mut cursor) = (Vec::new(), None);
        loop {
            let (found, next) = w.store.list_contacts_after(anna, &filter, cursor.as_ref(), 5).await.expect("read");
            by_cursor.extend(found.iter().map(|contact| contact.id));
            // As a caller would send it back.
            cursor = next.map(|next| next.to_string().parse().expect("a cursor"));
            if cursor.is_none() {
                break;
            }
        }
        let ids: Vec<_> = whole.results.iter().map(|contact| contact.id).collect();
        assert_eq!((&by_page, &by_cursor), (&ids, &ids), "{filter:?}");
    }
    let names = listed(&w, anna, &ContactFilter { ordering: ordering("name"), ..ContactFilter::default() }).await;
    assert!(names.is_sorted_by_key(|name| name.to_lowercase()));
    let newest = listed(&w, anna, &ContactFilter { ordering: Ordering::default(), ..ContactFilter::default() }).await;
    assert_eq!(newest[0], "Even52");
}

pub async fn tags_are_counted_renamed_and_taken_off<B: Backend>(w: World<B>) {
    let (anna, ben) = (w.user("anna").await.id, w.user("ben").await.id);
    for (number, tags) in [&["a", "b"][..], &["a"], &["c"]].into_iter().enumerate() {
        make(&w, anna, NewContact { tags: names(tags), ..named(by_phone(&format!("+4915123456{number:03}")), "x") }).await;
    }
    make(&w, ben, NewContact { tags: names(&["a"]), groups: names(&["a"]), ..named(by_phone(ANNA), "x") }).await;
    let counts = async |user: UserId, kind: LabelKind| {
        let listed = w.store.list_labels(user, kind, Page::default()).await.expect("read");
        listed.results.into_iter().map(|label| (label.name, label.contacts)).collect::<Vec<_>>()
    };
    assert_eq!(counts(anna, LabelKind::Tag).await, [("a".to_owned(), 2), ("b".to_owned(), 1), ("c".to_owned(), 1)]);
    assert_eq!(counts(ben, LabelKind::Group).await, [("a".to_owned(), 1)]);
    assert_eq!(w.store.move_label(anna, LabelKind::Tag, "a".into(), Some("b".into())).await, Ok(2));
    assert_eq!(counts(anna, LabelKind::Tag).await, [("b".to_owned(), 2), ("c".to_owned(), 1)]);
    assert_eq!(w.store.move_label(anna, LabelKind::Tag, "b".into(), None).await, Ok(2));
    assert_eq!(w.store.move_label(anna, LabelKind::Tag, "c".into(), Some("c".into())).await, Ok(0));
    assert_eq!(counts(anna, LabelKind::Tag).await, [("c".to_owned(), 1)]);
    assert_eq!(counts(ben, LabelKind::Tag).await, [("a".to_owned(), 1)]);
}

pub async fn what_whatsapp_tells_makes_two_contacts_one<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let user = account.user;
    let settings = ContactSettings { from_conversations: true, ..ContactSettings::default() };
    w.store.set_contact_settings(user, settings).await.expect("written");
    let one = make(&w, user, NewContact { tags: names(&["a"]), ..named(by_phone(ANNA), "") }).await;
    writes(&w, account, by_lid(HIDDEN), "stop").await;
    let (all, _) = w.store.list_contacts(user, &ContactFilter::default(), Page::default()).await.expect("read");
    assert_eq!(all.count, 2, "whoever wrote became a contact");
    assert_eq!((all.results[0].name.as_str(), all.results[0].source), ("Anna Müller", ContactSource::Conversation));
    assert_eq!(w.store.ask_for_check(user, vec![one.id, all.results[0].id]).await, Ok(1), "one without a number can't be asked about");
    assert_eq!(w.store.ask_for_check(user, vec![one.id]).await, Ok(1));
    let jobs = w.store.list_jobs(&JobFilter { kind: Some("contact.check".into()), ..JobFilter::default() }, Page::default()).await;
    assert_eq!(jobs.expect("read").count, 1, "one job asks for all");
    let due = w.store.to_check(user, 10).await.expect("read");
    assert_eq!(due.iter().map(|due| due.id).collect::<Vec<_>>(), [one.id]);
    let phone = PhoneNumber::parse(ANNA).expect("a number");
    let result = CheckResult { jid: Some(phone.jid()), lid: Jid::parse(HIDDEN), phone };
    w.store.note_checks(user, vec![result]).await.expect("written");
    let (all, _) = w.store.list_contacts(user, &ContactFilter::default(), Page::default()).await.expect("read");
    assert_eq!(all.count, 1);
    let both = &all.results[0];
    assert_eq!((both.id, both.name.as_str(), both.on_whatsapp), (one.id, "Anna Müller", Some(true)));
    assert_eq!((both.person.lid.as_ref().map(Jid::as_str), &both.tags), (Some(HIDDEN), &names(&["a"])));
    assert!(both.opted_out_at.is_some() && both.consent == Consent::Withdrawn, "{both:?}");
    assert_eq!(w.store.accept(w.text(account, ANNA, "hello")).await, Ok(Accepted::OptedOut), "the number is who said stop");
    assert_eq!(w.store.checks_left(user).await, Ok(0));
    // Not there; and asked again only after a while.
    let ben = make(&w, user, named(by_phone(BEN), "Ben")).await;
    assert_eq!(w.store.ask_for_all_checks(user, w.clock.now()).await, Ok(1));
    let phone = PhoneNumber::parse(BEN).expect("a number");
    w.store.note_checks(user, vec![CheckResult { phone, jid: None, lid: None }]).await.expect("written");
    assert_eq!(w.store.contact(user, ben.id).await.expect("read").expect("there").on_whatsapp, Some(false));
    assert_eq!(w.store.ask_for_all_checks(user, w.clock.now()).await, Ok(0));
    w.clock.advance(Duration::from_secs(1));
    assert_eq!(w.store.ask_for_all_checks(user, w.clock.now()).await, Ok(2));
}

async fn counts<B: Backend>(w: &World<B>, account: Account) -> (i64, i64, i64) {
    let user = B::id(account.user.0);
    let of = |table: &str| format!("SELECT COUNT(*) FROM {table} WHERE user_id = {user}");
    (w.ask(&of("messages")).await, w.ask(&of("events")).await, w.ask(&of("contacts")).await)
}

pub async fn an_erased_person_leaves_nothing_but_the_wish_to_be_left_alone<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let user = account.user;
    let anna = make(&w, user, NewContact { notes: "secret".into(), ..named(both(ANNA, HIDDEN), "Anna") }).await;
    make(&w, user, named(by_phone(BEN), "Ben")).await;
    let sent = w.send(account, ANNA, "to anna").await;
    let waiting = w.send(account, ANNA, "waiting").await;
    let quoting = sanasend_store::NewMessage {
        quoted: Some(Quoted { wa_message_id: "x".into(), participant: Jid::parse(HIDDEN), text: Some("anna's words".into()) }),
        ..w.text(account, BEN, "to ben")
    };
    w.store.accept(quoting.clone()).await.expect("accepted");
    w.claim(account).await;
    let chat = by_phone(ANNA).jid.expect("an id");
    w.apply(account, vec![News::Resolved { message_id: sent.id, peer: both(ANNA, HIDDEN), chat }]).await;
    writes(&w, account, by_lid(HIDDEN), "anna's own words").await;
    writes(&w, account, both(ANNA, HIDDEN), "stop").await;
    let (messages, _, contacts) = counts(&w, account).await;
    assert_eq!((messages, contacts), (5, 2));
    let other = w.account().await;
    assert_eq!(w.store.erase_contact(other.user, anna.id).await, Ok(false));
    assert_eq!(w.store.erase_contact(user, anna.id).await, Ok(true));
    let jobs = w.store.list_jobs(&JobFilter { kind: Some("contact.erase".into()), ..JobFilter::default() }, Page::default()).await;
    let payload = jobs.expect("read").results[0].payload.clone();
    let handles: Vec<Jid> = payload["handles"].as_array().expect("ids").iter().filter_map(|id| Jid::parse(id.as_str()?)).collect();
    assert_eq!(handles.len(), 2);
    for _ in 0..2 {
        w.store.erase_traces(user, &handles).await.expect("erased, and again");
    }
    let (messages, _, contacts) = counts(&w, account).await;
    assert_eq!((messages, contacts), (1, 1));
    assert_eq!(w.store.message(None, waiting.id).await, Ok(None));
    let kept = w.store.message(None, quoting.id).await.expect("read").expect("there");
    assert_eq!(kept.quoted, None);
    for (table, column) in [("events", "data"), ("messages", "chat"), ("chat_aliases", "chat"), ("contact_handles", "handle")] {
        for needle in ["14155550101", "77000000000001", "anna"] {
            let left = w.ask(&format!("SELECT COUNT(*) FROM {table} WHERE {column} LIKE '%{needle}%'")).await;
            assert_eq!(left, 0, "{needle} in {table}.{column}");
        }
    }
    // What was asked for holds on, with nothing beside it.
    assert_eq!(w.store.accept(w.text(account, ANNA, "hello")).await, Ok(Accepted::OptedOut));
    assert_eq!(w.store.accept(w.text(account, HIDDEN, "hello")).await, Ok(Accepted::OptedOut));
    let left =
        w.store.list_opt_outs(&OptOutFilter { user_id: Some(user), ..OptOutFilter::default() }, Page::default()).await.expect("read");
    assert_eq!((left.count, left.results[0].message_id, left.results[0].note.clone()), (1, None, None));
    // Others go on.
    w.ack(account, &quoting).await;
    assert_eq!(w.store.outbox_depth().await, Ok(0));
}

pub async fn contacts_go_with_their_user<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await;
    w.user("admin").await;
    let lines = vec![(NewContact { tags: names(&["a"]), ..named(by_phone(ANNA), "Anna") }, true)];
    w.store.put_contacts(anna.id, lines, ContactSource::Import).await.expect("put");
    let id = w.store.begin_import(anna.id, ImportKind::Contacts, None).await.expect("begun");
    w.store.stage_import(id, 0, b"phone".to_vec()).await.expect("kept");
    w.store.delete_user(anna.id).await.expect("deleted");
    for table in
        ["contacts", "contact_handles", "contact_labels", "contact_words", "contact_imports", "import_pieces", "opt_outs", "opted_out"]
    {
        assert_eq!(w.ask(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
}

/// 20,000 contacts, every other one with a tag, whose lists take another way from 5,000 on; `STORE_CONTACTS=1000000` to see how
/// long that takes.
pub async fn long_lists_of_a_tag_are_whole<B: Backend>(w: World<B>) {
    let count: u32 = std::env::var("STORE_CONTACTS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let anna = w.user("anna").await.id;
    let (id, key, now) = match B::NAME {
        "sqlite" => ("randomblob(16)", "CAST(printf('%07d', (i * 7919) % 1000003) AS BLOB)", w.clock.now().0),
        _ => ("gen_random_uuid()", "convert_to(lpad(CAST((CAST(i AS BIGINT) * 7919) % 1000003 AS TEXT), 7, '0'), 'UTF8')", w.clock.now().0),
    };
    let user = B::id(anna.0);
    let numbers = format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})");
    w.tamper(&format!(
        "{numbers} INSERT INTO contacts (id, user_id, name, name_key, notes, fields, source, consent, check_due, created_at, updated_at) \
         SELECT {id}, {user}, CAST(i AS TEXT), {key}, '', '{{}}', 'api', 'unknown', FALSE, {now}, {now} FROM n; \
         INSERT INTO contact_labels (user_id, kind, label, contact_seq) SELECT user_id, 0, 'half', seq FROM contacts WHERE seq % 2 = 0; \
         INSERT INTO contact_labels (user_id, kind, label, contact_seq) SELECT user_id, 0, 'few', seq FROM contacts WHERE seq % 100 = 0; \
         ANALYZE"
    ))
    .await;
    for (tag, ordering) in [("half", "name"), ("half", "-name"), ("half", "-created_at"), ("few", "name"), ("few", "-created_at")] {
        let ordering = ordering.parse().expect("an order");
        let filter = ContactFilter { tag: Some(tag.into()), ordering, ..ContactFilter::default() };
        let mut took = Vec::new();
        for _ in 0..5 {
            let begun = tokio::time::Instant::now();
            let (found, next) = w.store.list_contacts(anna, &filter, Page { page: 1, page_size: 20 }).await.expect("read");
            assert_eq!(found.results.len(), 20);
            let (behind, _) = w.store.list_contacts_after(anna, &filter, next.as_ref(), 20).await.expect("read");
            assert!(behind.len() == 20 && behind.iter().all(|contact| contact.tags.contains(tag)));
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        eprintln!("{} {tag} by {ordering:?}: {:?} for a page and the one behind it", B::NAME, took[2]);
    }
}
