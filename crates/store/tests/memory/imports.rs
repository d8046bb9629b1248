//! Imports: a file is there whole before its first line is read, and each line is read once, whoever reads it.

use crate::opt_outs::by_phone;
use crate::world::{ANNA, BEN, Backend, CARL, World};
use sanasend_model::{Clock, ImportId, OptOutSource, Timestamp, UserId};
use sanasend_store::{
    ImportFault, ImportKind, ImportPlace, ImportState, ImportStep, JobFilter, MOST_FAULTS, MOST_IMPORTS, NewContact, NewOptOut,
    OptOutCause, Page, StoreError,
};
use std::time::Duration;

const FILE: &[u8] = b"phone\n+14155550101\n+14155550102\n";

fn at(bytes: u64) -> ImportPlace {
    ImportPlace { bytes, breaks: bytes / 13, separator: b',' }
}

fn step(import: ImportId, user: UserId, from: u64, to: u64, phone: &str) -> ImportStep {
    let contact = NewContact { person: by_phone(phone), ..NewContact::default() };
    let (from, to, contacts) = (at(from), at(to), vec![(contact, false)]);
    ImportStep { import, user, from, to, lines: 1, refused: 0, faults: vec![], contacts, opt_outs: vec![], end: None }
}

async fn staged<B: Backend>(w: &World<B>, user: UserId) -> ImportId {
    let id = w.store.begin_import(user, ImportKind::Contacts, Some(1000)).await.expect("begun");
    for (number, piece) in FILE.chunks(10).enumerate() {
        assert_eq!(w.store.stage_import(id, number as u64 * 10, piece.to_vec()).await, Ok(true));
    }
    let columns = [("phone".to_owned(), "phone".to_owned())];
    w.store.start_import(id, &columns, at(6), FILE.len() as u64, w.clock.now()).await.expect("started").expect("a job");
    id
}

async fn state<B: Backend>(w: &World<B>, id: ImportId) -> ImportState {
    w.store.import(None, id).await.expect("read").expect("there").state
}

pub async fn a_step_moves_the_place_and_happens_once<B: Backend>(w: World<B>) {
    let (anna, ben) = (w.user("anna").await.id, w.user("ben").await.id);
    let id = staged(&w, anna).await;
    let import = w.store.import(Some(anna), id).await.expect("read").expect("there");
    assert_eq!((import.state, import.total_bytes, import.place), (ImportState::Running, Some(32), at(6)));
    assert_eq!(import.columns, [("phone".to_owned(), "phone".to_owned())]);
    assert_eq!(w.store.import(Some(ben), id).await, Ok(None), "another user's");
    let jobs = w.store.list_jobs(&JobFilter::default(), Page::default()).await.expect("read");
    assert_eq!(jobs.results.iter().map(|job| job.kind.as_str()).collect::<Vec<_>>(), [sanasend_store::IMPORT_JOB]);
    assert_eq!(w.store.import_piece(id, 13).await, Ok(Some((10, FILE[10..20].to_vec()))));
    assert_eq!(w.store.take_import(step(id, anna, 6, 19, ANNA)).await, Ok(true));
    assert_eq!(w.store.take_import(step(id, anna, 6, 19, CARL)).await, Ok(false), "somebody was there before");
    assert_eq!(w.ask("SELECT COUNT(*) FROM contacts").await, 1);
    assert_eq!(w.store.import_piece(id, 6).await, Ok(None), "what was read is gone");
    assert_eq!(w.store.import_piece(id, 19).await, Ok(Some((10, FILE[10..20].to_vec()))));
    let fault = |line| ImportFault { line, field: "phone".into(), message: "must be a number".into() };
    let bad = ImportStep { refused: 2, lines: 3, faults: vec![fault(3), fault(3), fault(4)], ..step(id, anna, 19, 32, BEN) };
    assert_eq!(w.store.take_import(bad).await, Ok(true));
    let end = ImportStep { end: Some((ImportState::Done, None)), lines: 0, contacts: vec![], ..step(id, anna, 32, 32, BEN) };
    assert_eq!(w.store.take_import(end.clone()).await, Ok(true));
    assert_eq!(w.store.take_import(end).await, Ok(false), "it is over");
    let import = w.store.import(Some(anna), id).await.expect("read").expect("there");
    let progress = &import.progress;
    assert_eq!((import.state, progress.lines, progress.created, progress.merged, progress.refused), (ImportState::Done, 4, 2, 0, 2));
    assert_eq!((progress.read_bytes, progress.faults.len(), import.ended_at), (32, 3, Some(w.clock.now())));
    assert_eq!(w.ask("SELECT COUNT(*) FROM import_pieces").await, 0);
    let page = Page { page: 2, page_size: 2 };
    let listed = w.store.list_import_faults(id, page).await.expect("read");
    assert_eq!((listed.count, listed.results), (3, vec![fault(4)]));
}

pub async fn a_canceled_import_writes_nothing_more<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let id = staged(&w, anna).await;
    assert_eq!(w.store.take_import(step(id, anna, 6, 19, ANNA)).await, Ok(true));
    assert_eq!(w.store.cancel_import(id).await, Ok(true));
    assert_eq!(w.store.cancel_import(id).await, Ok(false));
    assert_eq!(w.store.take_import(step(id, anna, 19, 32, BEN)).await, Ok(false));
    assert_eq!((w.ask("SELECT COUNT(*) FROM contacts").await, w.ask("SELECT COUNT(*) FROM import_pieces").await), (1, 0));
    assert_eq!(state(&w, id).await, ImportState::Canceled);
    let early = w.store.begin_import(anna, ImportKind::OptOuts, None).await.expect("begun");
    assert_eq!(w.store.cancel_import(early).await, Ok(true));
    assert_eq!(w.store.stage_import(early, 0, vec![1]).await, Ok(false));
    assert_eq!(w.store.start_import(early, &[], at(0), 1, w.clock.now()).await, Ok(None));
}

pub async fn people_are_opted_out_by_steps_as_well<B: Backend>(w: World<B>) {
    let anna = w.user("anna").await.id;
    let id = staged(&w, anna).await;
    let cause = OptOutCause { source: OptOutSource::Import, message_id: None, note: None };
    let out = |phone: &str| NewOptOut { person: by_phone(phone), cause: cause.clone() };
    let outs = ImportStep { contacts: vec![], opt_outs: vec![out(ANNA), out(BEN), out(ANNA)], lines: 3, ..step(id, anna, 6, 19, ANNA) };
    assert_eq!(w.store.take_import(outs).await, Ok(true));
    let mut marked = step(id, anna, 19, 32, CARL);
    marked.contacts[0].1 = true;
    assert_eq!(w.store.take_import(marked).await, Ok(true));
    let people = [ANNA, BEN, CARL].map(by_phone);
    assert_eq!(w.store.opted_out(anna, &people).await, Ok(vec![true; 3]));
    let progress = w.store.import(None, id).await.expect("read").expect("there").progress;
    assert_eq!((progress.created, progress.merged), (3, 1));
}

pub async fn a_user_has_a_few_imports_at_once_and_keeps_so_many_faults<B: Backend>(w: World<B>) {
    let (anna, ben) = (w.user("anna").await.id, w.user("ben").await.id);
    let mut ids = Vec::new();
    for _ in 0..MOST_IMPORTS {
        ids.push(w.store.begin_import(anna, ImportKind::Contacts, None).await.expect("begun"));
    }
    let more = w.store.begin_import(anna, ImportKind::Contacts, None).await;
    assert_eq!(more, Err(StoreError::Conflict { what: "imports" }));
    w.store.begin_import(ben, ImportKind::Contacts, None).await.expect("another user's");
    w.store.break_import(ids[0], "it broke".into()).await.expect("ended");
    let id = staged(&w, anna).await;
    let fault = |line| ImportFault { line, field: "phone".into(), message: "must be a number".into() };
    for turn in 0..3 {
        let faults = (0..4000).map(|line| fault(turn * 4000 + line)).collect();
        let (from, to) = (6 + turn, 7 + turn);
        let bad = ImportStep { faults, contacts: vec![], refused: 4000, lines: 4000, ..step(id, anna, from, to, ANNA) };
        assert_eq!(w.store.take_import(bad).await, Ok(true));
    }
    let listed = w.store.list_import_faults(id, Page { page: 1, page_size: 1 }).await.expect("read");
    assert_eq!(listed.count, MOST_FAULTS);
    assert_eq!(w.store.import(None, id).await.expect("read").expect("there").progress.refused, 12_000);
}

pub async fn imports_that_nobody_works_on_are_ended<B: Backend>(w: World<B>) {
    let (anna, ben) = (w.user("anna").await.id, w.user("ben").await.id);
    let id = staged(&w, anna).await;
    let receiving = w.store.begin_import(anna, ImportKind::Contacts, None).await.expect("begun");
    let lost = staged(&w, ben).await;
    w.tamper("DELETE FROM jobs WHERE user_id = (SELECT id FROM users WHERE username = 'ben')").await;
    w.clock.advance(Duration::from_hours(1));
    let now = w.clock.now();
    assert_eq!(w.store.sweep_imports(now, Timestamp(0)).await, Ok(0));
    assert_eq!(state(&w, id).await, ImportState::Running, "its job waits");
    assert_eq!(state(&w, receiving).await, ImportState::Broken);
    assert_eq!(state(&w, lost).await, ImportState::Broken);
    assert_eq!(w.ask("SELECT COUNT(DISTINCT import_id) FROM import_pieces").await, 1);
    w.clock.advance(Duration::from_secs(1));
    assert_eq!(w.store.sweep_imports(now, w.clock.now()).await, Ok(2));
    let listed = w.store.list_imports(Some(anna), Page::default()).await.expect("read");
    assert_eq!(listed.results.iter().map(|import| import.id).collect::<Vec<_>>(), [id]);
    assert_eq!(w.store.list_imports(None, Page::default()).await.expect("read").count, 1);
}
