//! What a looker-on is told.

use crate::error::WireError;
use crate::limits::{self, MAX_NAME_BYTES, clip};
use crate::v1::GetProgressResponse;

/// How far a coordinator is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The sweep's name.
    pub sweep: String,
    /// Tasks that are to be done in this coordinator's life.
    pub total: u64,
    /// Runs that were done before it.
    pub done_before: u64,
    /// Tasks that are leased to workers.
    pub leased: u64,
    /// Tasks that ended with finite numbers.
    pub ok: u64,
    /// Tasks that diverged.
    pub diverged: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Leases that were lost.
    pub lost_leases: u64,
    /// How many workers there are.
    pub workers: u64,
    /// How many tasks they run at a time, all together.
    pub slots: u64,
    /// No more tasks are begun.
    pub draining: bool,
    /// Results cannot be stored for now.
    pub paused: bool,
}

impl From<Standing> for GetProgressResponse {
    fn from(standing: Standing) -> GetProgressResponse {
        GetProgressResponse {
            sweep: clip(&standing.sweep, MAX_NAME_BYTES).to_owned(),
            total: standing.total,
            done_before: standing.done_before,
            leased: standing.leased,
            ok: standing.ok,
            diverged: standing.diverged,
            failed: standing.failed,
            lost_leases: standing.lost_leases,
            workers: standing.workers,
            slots: standing.slots,
            draining: standing.draining,
            paused: standing.paused,
        }
    }
}

impl TryFrom<GetProgressResponse> for Standing {
    type Error = WireError;

    fn try_from(response: GetProgressResponse) -> Result<Standing, WireError> {
        Ok(Standing {
            sweep: limits::bounded("sweep", response.sweep, MAX_NAME_BYTES)?,
            total: response.total,
            done_before: response.done_before,
            leased: response.leased,
            ok: response.ok,
            diverged: response.diverged,
            failed: response.failed,
            lost_leases: response.lost_leases,
            workers: response.workers,
            slots: response.slots,
            draining: response.draining,
            paused: response.paused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_comes_back_as_it_went() {
        let standing = Standing {
            sweep: "damping".into(),
            total: 1,
            done_before: 2,
            leased: 3,
            ok: 4,
            diverged: 5,
            failed: 6,
            lost_leases: 7,
            workers: 8,
            slots: 9,
            draining: true,
            paused: false,
        };
        assert_eq!(Standing::try_from(GetProgressResponse::from(standing.clone())), Ok(standing.clone()));
        let long = GetProgressResponse { sweep: "x".repeat(256), ..GetProgressResponse::from(standing) };
        assert!(Standing::try_from(long).unwrap_err().to_string().contains("sweep"));
    }
}
