//! The report so far: made anew from the parts as long as somebody looks, and for a tenth of the time at most.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use results::{Access, Extent, Location, Store, StoreError, Tables};

use super::board::{Board, Rendered};
use crate::outcome;
use crate::seams::PlanRows;

/// A report is made anew this often at most.
const INTERVAL: Duration = Duration::from_secs(3);

/// A report that took a second is followed by a pause of so many.
const PAUSE: u32 = 10;

/// How often it is seen whether there is anything to do.
const TICK: Duration = Duration::from_millis(500);

/// Who has not looked for this long does not look any more.
const ATTENTION: Duration = Duration::from_secs(15);

/// How often a store that changes under its reader is opened again.
const TRIES: usize = 5;

/// Makes reports until it is dropped.
pub(super) async fn refresh(board: Arc<Board>) {
    let life = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let (mut number, mut parts) = (0_u64, None);
    loop {
        let stored = board.progress.borrow().parts;
        let nothing_yet = stored == 0 && board.sweep.done_before == 0;
        if nothing_yet || !board.is_watched(ATTENTION) || parts == Some(stored) {
            tokio::time::sleep(TICK).await;
            continue;
        }
        let began = Instant::now();
        let making = Arc::clone(&board);
        match tokio::task::spawn_blocking(move || make(&making)).await {
            Ok(Ok(body)) => {
                (number, parts) = (number + 1, Some(stored));
                board.report.send_replace(Arc::new(Rendered { version: format!("{life}-{number}"), body }));
            }
            // The next part may make it whole; the sweep goes on whatever becomes of its picture.
            Ok(Err(error)) => tracing::warn!(%error, "the dashboard's report could not be made"),
            Err(error) => tracing::warn!(%error, "the dashboard's report could not be made"),
        }
        tokio::time::sleep(INTERVAL.max(began.elapsed() * PAUSE)).await;
    }
}

/// More epochs than these are not copied while the sweep runs: some hundred megabytes of temporary tables.
const MOST_EPOCHS: u64 = 5_000_000;

/// What is read of results while the sweep runs. Samples may be gigabytes, and say nothing that cannot wait.
fn extent(stored_runs: u64, epochs: u64) -> Extent {
    Extent { curves: stored_runs.saturating_mul(epochs) <= MOST_EPOCHS, samples: false }
}

/// Reads what is stored into tables of its own, and makes the report from them. Blocks.
fn make(board: &Board) -> anyhow::Result<String> {
    let sweep = &board.sweep;
    let scratch = tempfile::Builder::new().prefix("hedgesweep-dashboard-").tempdir()?;
    let folder = Location::folder(scratch.path());
    let mut tries = 0;
    loop {
        tries += 1;
        let store = Store::open(&sweep.location, &sweep.identity, Access::Read)?;
        let extent = extent(store.index().len() as u64, sweep.plan.config(0).training.epochs);
        match store.merge_into(&folder, &PlanRows::new(&sweep.plan), extent) {
            Ok(_) => break,
            // A part was compacted away between the two.
            Err(StoreError::Missing { .. }) if tries < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
    let tables = Tables::open(&folder)?;
    let data = outcome::report_of(&tables, &sweep.spec, &sweep.plan)?;
    Ok(analysis::report::body(&data).into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_a_sweep_runs_its_samples_are_left_and_curves_only_as_long_as_they_are_few() {
        assert_eq!(extent(50_000, 100), Extent { curves: true, samples: false });
        assert_eq!(extent(50_001, 100), Extent { curves: false, samples: false });
        assert_eq!(extent(u64::MAX, 2), Extent { curves: false, samples: false });
    }
}
