//! What lookers-on are told: a service of its own beside the workers', behind the same guard.

use std::time::Duration;

use proto::Standing;
use proto::v1::watch_server::Watch;
use proto::v1::{GetProgressRequest, GetProgressResponse};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::progress::Progress;

/// How long a call is kept waiting at most.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a fleet is about, for those who look on from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errand {
    /// The sweep's name.
    pub sweep: String,
    /// Tasks that are to be done in this coordinator's life.
    pub total: u64,
    /// Runs that were done before it.
    pub done_before: u64,
}

/// Answers with what the driver has published; it is not asked for it.
#[derive(Clone, Debug)]
pub(super) struct Lookout {
    errand: Errand,
    progress: watch::Receiver<Progress>,
}

impl Lookout {
    pub(super) fn new(errand: Errand, progress: watch::Receiver<Progress>) -> Lookout {
        Lookout { errand, progress }
    }

    fn standing(&self) -> Standing {
        let Errand { sweep, total, done_before } = self.errand.clone();
        let progress = *self.progress.borrow();
        let counts = progress.counts;
        Standing {
            sweep,
            total,
            done_before,
            leased: counts.leased,
            ok: counts.ok,
            diverged: counts.diverged,
            failed: counts.failed,
            lost_leases: counts.lost_leases,
            workers: progress.workers as u64,
            slots: progress.slots,
            draining: progress.draining,
            paused: progress.paused,
        }
    }
}

#[tonic::async_trait]
impl Watch for Lookout {
    async fn get_progress(
        &self,
        request: Request<GetProgressRequest>,
    ) -> Result<Response<GetProgressResponse>, Status> {
        let wait = Duration::from_millis(request.into_inner().wait_ms).min(LONGEST_WAIT);
        let mut progress = self.progress.clone();
        let ended = async { while progress.changed().await.is_ok() {} };
        // That the sweep goes on meanwhile is what is usual.
        let _ = tokio::time::timeout(wait, ended).await;
        Ok(Response::new(self.standing().into()))
    }
}
