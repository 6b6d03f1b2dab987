//! Which metrics there are. `deploy/grafana/README.md` lists them, and the dashboard beside it asks for them.

use std::time::Duration;

use super::Watched;
use super::exposition::Exposition;
use super::exposition::Kind::{Counter, Gauge};
use crate::fleet::{Progress, Retries, Roster};
use crate::meter::Meter;

/// All of them, as they are now.
pub(super) fn text(watched: &Watched) -> String {
    let progress = *watched.progress.borrow();
    let ages = Ages::of(&watched.roster.borrow(), &progress, watched.total);
    written(&progress, ages, &watched.meter, watched.total)
}

/// How long things have been as they are; zero if they are not.
#[derive(Clone, Copy, Debug, Default)]
struct Ages {
    pending: Duration,
    oldest_lease: Duration,
}

impl Ages {
    /// By the roster, which is up to a second old, and of how long ago it says nothing else since.
    fn of(roster: &Roster, progress: &Progress, total: u64) -> Ages {
        let since = roster.at.map_or(Duration::ZERO, |at| at.elapsed());
        let aged = |age: Option<Duration>, is_so: bool| age.filter(|_| is_so).map_or(Duration::ZERO, |age| age + since);
        Ages {
            pending: aged(roster.pending, pending(progress, total) > 0),
            oldest_lease: aged(roster.oldest_lease, progress.counts.leased > 0),
        }
    }
}

/// Tasks that wait, those that are not planned yet among them.
fn pending(progress: &Progress, total: u64) -> u64 {
    let counts = &progress.counts;
    let begun = counts.leased + counts.storing + counts.ended();
    total.max(counts.submitted).saturating_sub(begun)
}

fn written(progress: &Progress, ages: Ages, meter: &Meter, total: u64) -> String {
    let (counts, tally) = (&progress.counts, &progress.tally);
    let mut page = Exposition::default();
    let build = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("engine_version", engine::VERSION.to_owned()),
        ("numeric_version", engine::NUMERIC_VERSION.to_string()),
        ("protocol_version", proto::PROTOCOL_VERSION.to_string()),
    ];
    page.info("hedgesweep_build_info", "Always 1; the labels say which versions run.", &build);

    let tasks = [
        ("pending", pending(progress, total)),
        ("leased", counts.leased),
        ("storing", counts.storing),
        ("ok", counts.ok),
        ("diverged", counts.diverged),
        ("failed", counts.failed),
    ];
    let help = "Tasks that were to be done when this coordinator started, by state; the last three have ended.";
    page.each(Gauge, "hedgesweep_tasks", help, "state", tasks);
    let help = "For how long tasks have been pending without a break.";
    page.one(Gauge, "hedgesweep_pending_age_seconds", help, ages.pending.as_secs_f64());
    page.one(Gauge, "hedgesweep_oldest_lease_age_seconds", "Age of the oldest lease.", ages.oldest_lease.as_secs_f64());
    page.one(Gauge, "hedgesweep_leases", "Tasks that workers have leased.", counts.leased);
    page.one(Gauge, "hedgesweep_running_tasks", "Tasks that run, by the workers' last heartbeats.", progress.running);
    let help = "Whether no more tasks are begun because the coordinator was told to end.";
    page.one(Gauge, "hedgesweep_draining", help, u8::from(progress.draining));
    let help = "Whether no more tasks are begun because results cannot be stored, as on a full disk.";
    page.one(Gauge, "hedgesweep_paused", help, u8::from(progress.paused));

    page.one(Counter, "hedgesweep_attempts_total", "Attempts that were begun, backups included.", tally.attempts);
    let Retries { lost, handed_back, unavailable, timed_out, invalid, incomplete, backup_failed } = tally.retries;
    let retries = [
        ("lost", lost),
        ("handed_back", handed_back),
        ("unavailable", unavailable),
        ("timed_out", timed_out),
        ("invalid", invalid),
        ("incomplete", incomplete),
        ("backup_failed", backup_failed),
    ];
    let help = "Attempts without a result whose tasks go on, by reason.";
    page.each(Counter, "hedgesweep_retries_total", help, "reason", retries);
    let help = "Attempts that counted against their tasks, which fail at --max-attempts of them.";
    page.one(Counter, "hedgesweep_strikes_total", help, counts.strikes);
    let help = "Leases whose workers were not heard of, backups apart.";
    page.one(Counter, "hedgesweep_lost_leases_total", help, counts.lost_leases);
    let help = "Slow tasks that were given to a second worker.";
    page.one(Counter, "hedgesweep_backups_total", help, counts.backups);
    let refused = [("invalid", tally.invalid_reports), ("unknown", tally.unknown_reports)];
    let help = "Reports that were refused: they make no sense, or no task of this sweep is known by their id.";
    page.each(Counter, "hedgesweep_refused_reports_total", help, "reason", refused);
    page.one(Counter, "hedgesweep_duplicate_results_total", "Results that came once more.", counts.duplicates);
    let help = "Results that differ from the first of their run: equal ids did not give equal numbers.";
    page.one(Counter, "hedgesweep_conflicting_results_total", help, counts.conflicts);

    page.one(Gauge, "hedgesweep_workers", "Workers that are connected.", progress.workers);
    page.one(Gauge, "hedgesweep_slots", "Tasks that they run at a time, all together.", progress.slots);
    page.one(Counter, "hedgesweep_workers_joined_total", "Workers that joined.", tally.workers_joined);
    let gone = [("left", tally.workers_left), ("lost", tally.workers_lost)];
    let help = "Workers that are gone: they said so, or were not heard of for --lease-ttl.";
    page.each(Counter, "hedgesweep_workers_gone_total", help, "how", gone);

    page.one(Counter, "hedgesweep_parts_total", "Parts that were stored.", progress.parts);
    page.one(Counter, "hedgesweep_store_failures_total", "Parts that could not be stored.", meter.store_failures());
    page.histogram("hedgesweep_store_seconds", "Time to write a part and make it durable.", &meter.store);
    page.histogram("hedgesweep_task_seconds", "Time that a run was computed for, by its worker.", &meter.task);
    page.text()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_is_exposed_is_what_is_known() {
        let mut progress = Progress { workers: 3, slots: 6, paused: true, ..Progress::default() };
        (progress.counts.ok, progress.counts.queued, progress.counts.submitted, progress.counts.leased) = (5, 2, 8, 1);
        progress.counts.strikes = 4;
        progress.tally.retries.lost = 2;
        let meter = Meter::default();
        meter.store.observe(Duration::from_millis(3));
        meter.store.observe(Duration::from_secs(100));
        let text = written(&progress, Ages { pending: Duration::from_millis(1500), ..Ages::default() }, &meter, 100);
        for line in [
            "hedgesweep_tasks{state=\"ok\"} 5",
            "hedgesweep_tasks{state=\"pending\"} 94",
            "hedgesweep_tasks{state=\"leased\"} 1",
            "hedgesweep_pending_age_seconds 1.5",
            "hedgesweep_oldest_lease_age_seconds 0",
            "hedgesweep_paused 1",
            "hedgesweep_retries_total{reason=\"lost\"} 2",
            "hedgesweep_strikes_total 4",
            "hedgesweep_workers 3",
            "# TYPE hedgesweep_store_seconds histogram",
            "hedgesweep_store_seconds_bucket{le=\"0.001\"} 0",
            "hedgesweep_store_seconds_bucket{le=\"0.004\"} 1",
            "hedgesweep_store_seconds_bucket{le=\"+Inf\"} 2",
            "hedgesweep_store_seconds_sum 100.003",
            "hedgesweep_store_seconds_count 2",
            "hedgesweep_task_seconds_count 0",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }

    #[test]
    fn ages_grow_while_nothing_is_heard_and_end_with_what_they_are_of() {
        let at = Instant::now().checked_sub(Duration::from_secs(60));
        let ten = Some(Duration::from_secs(10));
        let roster = Roster { at, pending: ten, oldest_lease: ten, ..Roster::default() };
        let mut progress = Progress::default();
        progress.counts.submitted = 1;
        let ages = Ages::of(&roster, &progress, 1);
        assert!(ages.pending >= Duration::from_secs(70), "{ages:?}");
        assert_eq!(ages.oldest_lease, Duration::ZERO);
        progress.counts.leased = 1;
        let ages = Ages::of(&roster, &progress, 1);
        assert_eq!(ages.pending, Duration::ZERO);
        assert!(ages.oldest_lease >= Duration::from_secs(70), "{ages:?}");
    }
}
