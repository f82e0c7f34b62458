use authority::Ailment;
use domain::Severity;
use serde::Serialize;
use time::Date;

use crate::Error;

/// What a site that works by itself has to tell: a line of the service's log.
#[derive(Debug, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Notice {
    /// The next root was made, whose subject this is, and waits for the operator.
    RolloverBegun {
        root: String,
    },
    /// The site's page has another certificate, for these names.
    PageCertificateIssued {
        names: Vec<String>,
        until: Date,
    },
    /// The page would need another certificate, for these names, and the authority is locked.
    PageCertificateOld {
        names: Vec<String>,
        until: Date,
    },
    /// So many lists of revoked certificates were signed.
    CrlsSigned {
        count: usize,
    },
    BackupWritten {
        file: String,
    },
    /// This computer's clock cannot be believed.
    #[serde(untagged)]
    Doubt(Ailment),
    /// Something was not done.
    #[serde(untagged)]
    Failed(Error),
}

impl Notice {
    /// How much it weighs.
    pub fn severity(&self) -> Severity {
        match self {
            Notice::Doubt(_) | Notice::Failed(_) => Severity::Error,
            Notice::RolloverBegun { .. } | Notice::PageCertificateOld { .. } => Severity::Warning,
            Notice::PageCertificateIssued { .. }
            | Notice::CrlsSigned { .. }
            | Notice::BackupWritten { .. } => Severity::Info,
        }
    }
}

/// Who is told; must not block.
pub type Tell = std::sync::Arc<dyn Fn(Notice) + Send + Sync>;
