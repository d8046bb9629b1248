//! Requests of the busiest kinds, run together: what many accounts ask at one moment costs the statements of one.
//!
//! An account alone asks for little at a time: a claim, the news of a few messages, one ratchet. Twenty accounts ask that
//! twenty times, and each request would cost a savepoint and all its statements. So requests of these kinds are gathered
//! over all accounts, as accepts are, and written by statements over many rows. When one of them can't be written, each
//! is run again by itself, so that it spoils no other.

use crate::StoreError;
use crate::inbox::Receiving;
use crate::outbox::{Claim, Telling};
use crate::signal::Writing;
use crate::webhooks::AttemptReport;
use crate::writer::Tx;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use tokio::sync::oneshot;

/// A request that can be run together with others of its kind.
pub(crate) trait Together: Send + Sync + Sized + 'static {
    /// What it is answered.
    type Answer: Send + 'static;

    /// Does the work of all, in their order; one answer for each. The outer error means that what was written must be undone.
    /// What was queued in the transaction is written by the caller.
    fn run(tx: &mut Tx, asked: &[Self]) -> impl Future<Output = Result<Vec<Result<Self::Answer, StoreError>>, StoreError>> + Send;

    /// The request with the place where it is answered.
    fn with(self, answer: AnswerTo<Self>) -> Asked;
}

/// Where a request is answered.
pub(crate) type AnswerTo<T> = oneshot::Sender<Result<<T as Together>::Answer, StoreError>>;

/// A request of any of these kinds.
pub(crate) enum Asked {
    /// News about messages of an account.
    Tell(Telling, AnswerTo<Telling>),
    /// Messages to take up for an account.
    Claim(Claim, AnswerTo<Claim>),
    /// Changes of an account's Signal state.
    Write(Writing, AnswerTo<Writing>),
    /// Messages that came in for an account.
    Receive(Receiving, AnswerTo<Receiving>),
    /// What became of an attempt to deliver.
    Settle(Box<AttemptReport>, AnswerTo<AttemptReport>),
}

/// Requests of one kind.
struct Pile<T: Together> {
    asked: Vec<T>,
    answers: Vec<AnswerTo<T>>,
    results: Vec<Result<T::Answer, StoreError>>,
}

impl<T: Together> Default for Pile<T> {
    fn default() -> Self {
        Self { asked: Vec::new(), answers: Vec::new(), results: Vec::new() }
    }
}

impl<T: Together> Pile<T> {
    fn add(&mut self, asked: T, answer: AnswerTo<T>) {
        self.asked.push(asked);
        self.answers.push(answer);
    }

    async fn all(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        if !self.asked.is_empty() {
            self.results = T::run(tx, &self.asked).await?;
        }
        Ok(())
    }

    /// Runs each by itself.
    async fn each(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        self.results.clear();
        for one in &self.asked {
            let told = tx.events.len();
            tx.command("SAVEPOINT one").await?;
            let result = sound(async {
                let mut results = T::run(tx, std::slice::from_ref(one)).await?;
                tx.finish().await?;
                results.pop().unwrap_or_else(|| Err(StoreError::Unavailable("a request was not answered".into())))
            });
            let result = result.await;
            if result.is_err() {
                tx.undo(told);
                tx.command("ROLLBACK TO one").await?;
            }
            tx.command("RELEASE one").await?;
            self.results.push(result);
        }
        Ok(())
    }

    fn answer(self, committed: &Result<(), StoreError>) {
        let missing = std::iter::repeat_with(|| Err(StoreError::Unavailable("the transaction ended early".into())));
        for (answer, result) in self.answers.into_iter().zip(self.results.into_iter().chain(missing)) {
            let _ = answer.send(committed.clone().and(result));
        }
    }
}

/// All of a transaction.
#[derive(Default)]
pub(crate) struct Piles {
    told: Pile<Telling>,
    claims: Pile<Claim>,
    written: Pile<Writing>,
    received: Pile<Receiving>,
    settled: Pile<AttemptReport>,
}

impl Piles {
    /// Adds a request.
    pub(crate) fn add(&mut self, asked: Asked) {
        match asked {
            Asked::Tell(asked, answer) => self.told.add(asked, answer),
            Asked::Claim(asked, answer) => self.claims.add(asked, answer),
            Asked::Write(asked, answer) => self.written.add(asked, answer),
            Asked::Receive(asked, answer) => self.received.add(asked, answer),
            Asked::Settle(asked, answer) => self.settled.add(*asked, answer),
        }
    }

    /// How many requests there are.
    pub(crate) fn len(&self) -> usize {
        let of_accounts = self.told.asked.len() + self.claims.asked.len() + self.written.asked.len() + self.received.asked.len();
        of_accounts + self.settled.asked.len()
    }

    /// Runs all. News go before claims: what they settle makes room for the next message of its chat.
    pub(crate) async fn run(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        if self.len() == 0 {
            return Ok(());
        }
        let told = tx.events.len();
        tx.command("SAVEPOINT together").await?;
        if let Err(error) = sound(self.all(tx)).await {
            tracing::debug!(%error, "requests could not be run together; each is run by itself");
            tx.undo(told);
            tx.command("ROLLBACK TO together").await?;
            self.told.each(tx).await?;
            self.claims.each(tx).await?;
            self.written.each(tx).await?;
            self.received.each(tx).await?;
            self.settled.each(tx).await?;
        }
        tx.command("RELEASE together").await
    }

    async fn all(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        self.told.all(tx).await?;
        self.claims.all(tx).await?;
        self.written.all(tx).await?;
        self.received.all(tx).await?;
        self.settled.all(tx).await?;
        tx.finish().await
    }

    /// Answers all.
    pub(crate) fn answer(self, committed: &Result<(), StoreError>) {
        self.told.answer(committed);
        self.claims.answer(committed);
        self.written.answer(committed);
        self.received.answer(committed);
        self.settled.answer(committed);
    }
}

/// A panic in one request must not end the writer, and with it every other request.
async fn sound<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|_| Err(StoreError::Unavailable("a write panicked".into())))
}
