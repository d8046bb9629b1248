//! Taking in the lines of a file that is there: by the job of the import, or at once by a request whose file is small. Both may
//! do so at the same time: a step that somebody else made is no step any more.

use super::{BATCH, SHOWN, contact_of, faults_of, not_utf8, opt_out_of};
use crate::contacts::file::{Lines, Record, TooLong};
use crate::jobs::Worker;
use async_trait::async_trait;
use sanasend_model::contact_file::{Line, Mapping};
use sanasend_model::{Clock, ImportId};
use sanasend_store::{
    IMPORT_JOB, Import, ImportFault, ImportKind, ImportPlace, ImportState, ImportStep, Job, JobOutcome, Store, StoreError,
};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait where the store is down.
const LATER: Duration = Duration::from_secs(10);

/// Does the jobs [`IMPORT_JOB`].
pub struct Work {
    /// Memory.
    pub store: Store,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Worker for Work {
    fn kind(&self) -> &'static str {
        IMPORT_JOB
    }

    fn at_once(&self) -> usize {
        2
    }

    fn at_once_per_owner(&self) -> usize {
        1
    }

    /// So that another node goes on soon when this one dies.
    fn lease(&self) -> Duration {
        Duration::from_secs(15)
    }

    async fn run(&self, job: &Job) -> JobOutcome {
        let id = job.payload.get("import").and_then(serde_json::Value::as_str).and_then(|id| id.parse().ok());
        let Some(id) = id else { return JobOutcome::Dead { reason: "The job does not say which import.".into() } };
        match take_in(&self.store, id).await {
            Ok(_) => JobOutcome::Done,
            Err(error) => JobOutcome::Retry { due_at: self.clock.now().plus(LATER), reason: error.to_string(), keep_lane: false },
        }
    }
}

/// What this run saw of a file.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// The first lines as they were understood.
    pub shown: Vec<Line>,
}

/// Takes in the lines of a file that were not taken in yet, until its end or until somebody ends it.
///
/// # Errors
/// When the store is down; whoever comes next goes on from there.
pub async fn take_in(store: &Store, id: ImportId) -> Result<Taken, StoreError> {
    let mut taken = Taken::default();
    let Some(import) = store.import(None, id).await?.filter(|import| import.state == ImportState::Running) else { return Ok(taken) };
    let Ok(mapping) = Mapping::read_back(import.columns.iter().map(|(_, holds)| holds.as_str())) else {
        store.break_import(id, "What its columns hold can't be read any more.".into()).await?;
        return Ok(taken);
    };
    let place = import.place;
    let mut batch = Batch { store, import, mapping, place, step: None, shown: &mut taken.shown };
    batch.run().await?;
    Ok(taken)
}

/// Lines that are gathered for the next step.
struct Batch<'a> {
    store: &'a Store,
    import: Import,
    mapping: Mapping,
    /// Behind the last step.
    place: ImportPlace,
    step: Option<ImportStep>,
    shown: &'a mut Vec<Line>,
}

/// Whether there is more to do.
#[derive(PartialEq)]
enum Go {
    On,
    Stop,
}

impl Batch<'_> {
    async fn run(&mut self) -> Result<(), StoreError> {
        let (mut lines, mut begins) = (Lines::at(self.place), self.place.bytes);
        while let Some((first, bytes)) = self.store.import_piece(self.import.id, begins).await? {
            let skip = usize::try_from(begins.saturating_sub(first)).unwrap_or(usize::MAX);
            begins = first + bytes.len() as u64;
            match lines.push(bytes.get(skip..).unwrap_or_default()) {
                Ok(records) => {
                    if self.take(records).await? == Go::Stop {
                        return Ok(());
                    }
                }
                Err(endless) => return self.endless(endless).await,
            }
        }
        if self.import.total_bytes.is_some_and(|total| total > begins) {
            // Ended meanwhile, with its file; or, were it not, with a hole in it that nobody could fill.
            let reason = "A piece of its file is missing.".to_owned();
            return self.store.break_import(self.import.id, reason).await.map(drop);
        }
        match lines.finish() {
            Ok(records) => {
                if self.take(records).await? == Go::Stop {
                    return Ok(());
                }
                self.end(ImportState::Done, None).await
            }
            Err(endless) => self.endless(endless).await,
        }
    }

    async fn endless(&mut self, TooLong { line }: TooLong) -> Result<(), StoreError> {
        let reason = format!("The file has no end of line {line}: a quote was opened there and not closed.");
        self.end(ImportState::Broken, Some(reason)).await
    }

    async fn take(&mut self, records: Vec<Record>) -> Result<Go, StoreError> {
        for record in records {
            self.add(record);
            if self.step.as_ref().is_some_and(|step| step.lines >= BATCH as u64) && self.write().await? == Go::Stop {
                return Ok(Go::Stop);
            }
        }
        Ok(Go::On)
    }

    fn step(&mut self) -> &mut ImportStep {
        let (import, user, from) = (self.import.id, self.import.user_id, self.place);
        self.step.get_or_insert_with(|| ImportStep {
            import,
            user,
            from,
            to: from,
            lines: 0,
            refused: 0,
            faults: Vec::new(),
            contacts: Vec::new(),
            opt_outs: Vec::new(),
            end: None,
        })
    }

    fn add(&mut self, Record { line, cells, end }: Record) {
        let read = cells.map_or_else(|| Err(not_utf8()), |cells| self.mapping.read(cells.iter().map(String::as_str)));
        if let Ok(read) = &read
            && self.shown.len() < SHOWN
        {
            self.shown.push(read.clone());
        }
        let kind = self.import.kind;
        let step = self.step();
        step.lines += 1;
        step.to = end;
        match (read, kind) {
            (Ok(read), ImportKind::Contacts) => {
                let out = read.opted_out;
                step.contacts.push((contact_of(read), out));
            }
            (Ok(read), ImportKind::OptOuts) => step.opt_outs.push(opt_out_of(&read)),
            (Err(invalid), _) => {
                step.refused += 1;
                let faults: Vec<ImportFault> = faults_of(line, invalid).collect();
                step.faults.extend(faults);
            }
        }
    }

    async fn write(&mut self) -> Result<Go, StoreError> {
        let Some(step) = self.step.take() else { return Ok(Go::On) };
        self.place = step.to;
        Ok(if self.store.take_import(step).await? { Go::On } else { Go::Stop })
    }

    async fn end(&mut self, state: ImportState, reason: Option<String>) -> Result<(), StoreError> {
        let total = self.import.total_bytes.filter(|_| state == ImportState::Done);
        let step = self.step();
        step.to.bytes = total.unwrap_or(step.to.bytes);
        step.end = Some((state, reason));
        self.write().await.map(drop)
    }
}
