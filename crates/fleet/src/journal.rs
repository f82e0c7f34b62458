use domain::{Step, StepState};
use serde::Serialize;
use store::{StepRow, Store};
use tokio::time::Instant;

use crate::{Error, Progress, StepOutcome};

/// The steps of one enrolment as they happen: timed, told, and stored once there is a row to store them in.
pub(crate) struct Journal<'a> {
    progress: Progress<'a>,
    store: &'a Store,
    enrolment: Option<String>,
    current: Option<(Step, Instant)>,
    pub(crate) steps: Vec<StepOutcome>,
}

impl<'a> Journal<'a> {
    pub(crate) fn new(store: &'a Store, progress: Progress<'a>) -> Journal<'a> {
        Journal { progress, store, enrolment: None, current: None, steps: Vec::new() }
    }

    /// Begins a step, or goes on with it.
    pub(crate) fn begin(&mut self, step: Step) {
        if self.current.is_some_and(|(current, _)| current == step) {
            return;
        }
        self.current = Some((step, Instant::now()));
        (self.progress)(step, None);
    }

    /// Ends the step that was begun last.
    pub(crate) async fn end(&mut self, state: StepState, said: &impl Serialize) -> Result<(), Error> {
        let Some((step, since)) = self.current.take() else { return Ok(()) };
        let text = serde_json::to_value(said).map_err(store::Error::from)?;
        self.push(StepOutcome { step, state, seconds: since.elapsed().as_secs_f64(), text }).await
    }

    /// The step is waiting for somebody, who is told so now, and goes on.
    pub(crate) async fn wait(&mut self, said: &impl Serialize) -> Result<(), Error> {
        let Some((step, since)) = self.current else { return Ok(()) };
        self.end(StepState::Waiting, said).await?;
        self.current = Some((step, since));
        Ok(())
    }

    pub(crate) async fn done(&mut self, said: &impl Serialize) -> Result<(), Error> {
        self.end(StepState::Done, said).await
    }

    pub(crate) async fn skip(&mut self, step: Step, said: &impl Serialize) -> Result<(), Error> {
        self.begin(step);
        self.end(StepState::Skipped, said).await
    }

    /// From now on steps are stored; those that ended before are stored now.
    pub(crate) async fn store_under(&mut self, enrolment: &str) -> Result<(), Error> {
        self.enrolment = Some(enrolment.to_owned());
        for step in &self.steps {
            store_step(self.store, enrolment, step).await?;
        }
        Ok(())
    }

    /// Marks every step that changed the device as taken back.
    pub(crate) async fn taken_back(&mut self, said: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_value(said).map_err(store::Error::from)?;
        for step in &mut self.steps {
            let changes = matches!(step.step, Step::Request | Step::Install | Step::Verify);
            if changes && step.state == StepState::Done {
                step.state = StepState::RolledBack;
                step.text = text.clone();
                (self.progress)(step.step, Some(step));
                if let Some(enrolment) = &self.enrolment {
                    store_step(self.store, enrolment, step).await?;
                }
            }
        }
        Ok(())
    }

    async fn push(&mut self, outcome: StepOutcome) -> Result<(), Error> {
        (self.progress)(outcome.step, Some(&outcome));
        if let Some(enrolment) = &self.enrolment {
            store_step(self.store, enrolment, &outcome).await?;
        }
        // A step that waited has ended.
        self.steps.retain(|earlier| earlier.step != outcome.step);
        self.steps.push(outcome);
        Ok(())
    }
}

async fn store_step(store: &Store, enrolment: &str, step: &StepOutcome) -> Result<(), Error> {
    let row = StepRow {
        step: step.step,
        state: step.state,
        milliseconds: (step.seconds * 1000.0) as u64,
        text: &step.text.to_string(),
    };
    Ok(store.record_step(enrolment, &row).await?)
}
