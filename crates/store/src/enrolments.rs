use domain::{EnrolmentState, KeyTransport, Step, StepState};
use sqlx::Row;

use crate::{
    Error, Store,
    values::{from_word, word},
};

/// An enrolment as stored.
#[derive(Clone, Debug)]
pub struct EnrolmentRow {
    /// The mark that it leaves on the device.
    pub id: String,
    /// How it stands.
    pub state: EnrolmentState,
    /// What the driver needs to go back, JSON.
    pub before: String,
    /// The certificate that was issued in it.
    pub serial: Option<String>,
    /// How the key was going to the device when that certificate was about to be installed.
    pub key_transport: Option<KeyTransport>,
}

impl EnrolmentRow {
    /// The serial number of the certificate that was given to a person to carry, if it was.
    pub fn handed_out(&self) -> Option<&str> {
        self.serial.as_deref().filter(|_| self.key_transport == Some(KeyTransport::ByHand))
    }
}

/// One step of an enrolment.
#[derive(Debug)]
pub struct StepRow<'a> {
    /// Which.
    pub step: Step,
    /// How it stands.
    pub state: StepState,
    /// How long it took.
    pub milliseconds: u64,
    /// A code with its arguments, JSON.
    pub text: &'a str,
}

/// One step of an enrolment, read back.
#[derive(Clone, Debug)]
pub struct StoredStep {
    /// Which.
    pub step: Step,
    /// How it stands.
    pub state: StepState,
    /// How long it took.
    pub milliseconds: u64,
    /// A code with its arguments, JSON.
    pub text: String,
}

/// A certificate that left this machine for a device that was never seen to serve one of ours.
#[derive(Clone, Debug)]
pub struct GivenAway {
    /// The name of that device.
    pub device: String,
    /// Serial number of the certificate.
    pub serial: String,
    /// It was revoked since.
    pub revoked: bool,
}

impl Store {
    /// What was given away and never verified, the newest of each device.
    pub async fn given_away(&self) -> Result<Vec<GivenAway>, Error> {
        let rows = sqlx::query(
            "SELECT d.name, c.serial, c.revoked_at IS NOT NULL AS revoked FROM enrolment e
             JOIN device d ON d.id = e.device_id JOIN certificate c ON c.serial = e.serial
             WHERE d.serial IS NULL AND c.der IS NOT NULL AND e.key_transport <> $1
               AND e.sequence = (SELECT max(sequence) FROM enrolment WHERE device_id = d.id AND serial IS NOT NULL)
             ORDER BY d.name, d.id",
        )
        .bind(word(&KeyTransport::ByHand)?)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(GivenAway {
                    device: row.try_get("name")?,
                    serial: row.try_get("serial")?,
                    revoked: row.try_get("revoked")?,
                })
            })
            .collect()
    }

    /// Opens an enrolment, before anything is changed on the device.
    pub async fn begin_enrolment(&self, id: &str, device_id: i64, before: &str) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO enrolment (id, device_id, state, before, started_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id)
        .bind(device_id)
        .bind(word(&EnrolmentState::Open)?)
        .bind(before)
        .bind(self.now())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Stores how a step ended.
    pub async fn record_step(&self, enrolment: &str, row: &StepRow<'_>) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO enrolment_step (enrolment_id, step, state, milliseconds, text) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (enrolment_id, step) DO UPDATE
             SET state = excluded.state, milliseconds = excluded.milliseconds, text = excluded.text",
        )
        .bind(enrolment)
        .bind(row.step.name())
        .bind(word(&row.state)?)
        .bind(i64::try_from(row.milliseconds).unwrap_or(i64::MAX))
        .bind(row.text)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Notes the certificate that the enrolment is about to install, and how its key will travel.
    pub async fn record_installing(
        &self,
        enrolment: &str,
        serial: &str,
        key_transport: KeyTransport,
    ) -> Result<(), Error> {
        sqlx::query("UPDATE enrolment SET serial = $1, key_transport = $2 WHERE id = $3")
            .bind(serial)
            .bind(word(&key_transport)?)
            .bind(enrolment)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Ends an enrolment.
    pub async fn end_enrolment(&self, id: &str, state: EnrolmentState) -> Result<(), Error> {
        sqlx::query("UPDATE enrolment SET state = $1, ended_at = $2 WHERE id = $3")
            .bind(word(&state)?)
            .bind(self.now())
            .bind(id)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// The marks of a device's enrolments but the one that brought this certificate.
    pub async fn other_marks(&self, device_id: i64, serial: &str) -> Result<Vec<String>, Error> {
        let marks = sqlx::query_scalar(
            "SELECT id FROM enrolment WHERE device_id = $1 AND coalesce(serial, '') <> $2 ORDER BY sequence",
        )
        .bind(device_id)
        .bind(serial)
        .fetch_all(&self.readers)
        .await?;
        Ok(marks)
    }

    /// The steps of a device's latest enrolment, in the order in which they ended.
    pub async fn latest_steps(&self, device_id: i64) -> Result<Vec<StoredStep>, Error> {
        let rows = sqlx::query(
            "SELECT step, state, milliseconds, text FROM enrolment_step WHERE enrolment_id =
             (SELECT id FROM enrolment WHERE device_id = $1 ORDER BY sequence DESC LIMIT 1) ORDER BY sequence",
        )
        .bind(device_id)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let milliseconds: i64 = row.try_get("milliseconds")?;
                Ok(StoredStep {
                    step: from_word(row.try_get("step")?)?,
                    state: from_word(row.try_get("state")?)?,
                    milliseconds: u64::try_from(milliseconds).unwrap_or_default(),
                    text: row.try_get("text")?,
                })
            })
            .collect()
    }

    /// Enrolments of a device that left something to do: begun by a run that died, or failed without going
    /// back. The oldest first, because the oldest knows what the device had before all of them.
    pub async fn unfinished_enrolments(&self, device_id: i64) -> Result<Vec<EnrolmentRow>, Error> {
        let rows = sqlx::query(
            "SELECT id, state, before, serial, key_transport FROM enrolment
             WHERE device_id = $1 AND state IN ($2, $3) ORDER BY sequence",
        )
        .bind(device_id)
        .bind(word(&EnrolmentState::Open)?)
        .bind(word(&EnrolmentState::Failed)?)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let key_transport: Option<String> = row.try_get("key_transport")?;
                Ok(EnrolmentRow {
                    id: row.try_get("id")?,
                    state: from_word(row.try_get("state")?)?,
                    before: row.try_get("before")?,
                    serial: row.try_get("serial")?,
                    key_transport: key_transport.as_deref().map(from_word).transpose()?,
                })
            })
            .collect()
    }
}
