//! What a user sees while a sweep runs: a bar in a terminal, a line every ten seconds elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sweep::plan::Shard;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::fleet::Progress;
use crate::format;

/// How often there is a line where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How often the bar moves at most.
const BAR_INTERVAL: Duration = Duration::from_millis(200);

/// Shows the progress until it is told that there is no more.
pub struct Reporter {
    task: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Begins to show `progress` towards `total` tasks, those of a shard if it is one; shows nothing if `quiet`.
    pub fn start(progress: watch::Receiver<Progress>, total: u64, shard: Option<Shard>, quiet: bool) -> Reporter {
        let title = shard.map_or_else(String::new, |shard| format!("shard {shard} · "));
        let task = (!quiet).then(|| {
            if std::io::stderr().is_terminal() {
                tokio::spawn(show_bar(progress, total, title))
            } else {
                tokio::spawn(show_lines(progress, total, title))
            }
        });
        Reporter { task }
    }

    /// Waits until the last state is shown. The fleet has ended, and with it the progress.
    pub async fn finish(self) {
        if let Some(task) = self.task {
            // It was only for show.
            let _ = task.await;
        }
    }
}

async fn show_bar(mut progress: watch::Receiver<Progress>, total: u64, title: String) {
    let template = "{prefix}{elapsed_precise} [{bar:32}] {percent:>3}% {human_pos}/{human_len} · {msg}";
    let style = ProgressStyle::with_template(template).expect("a valid template").progress_chars("█▉▊▋▌▍▎▏ ");
    let bar = ProgressBar::new(total).with_style(style).with_prefix(title);
    let mut pace = Pace::starting(progress.borrow().counts.ended());
    loop {
        let now = *progress.borrow_and_update();
        bar.set_position(now.counts.ended());
        bar.set_message(pace.describe(&now, total));
        tokio::time::sleep(BAR_INTERVAL).await;
        if progress.has_changed().is_err() {
            break;
        }
    }
    let last = *progress.borrow();
    bar.set_position(last.counts.ended());
    bar.set_message(pace.describe(&last, total));
    bar.abandon();
}

async fn show_lines(mut progress: watch::Receiver<Progress>, total: u64, title: String) {
    let mut pace = Pace::starting(progress.borrow().counts.ended());
    loop {
        // Ends at once when the fleet does.
        let ended = async { while progress.changed().await.is_ok() {} };
        if tokio::time::timeout(LINE_INTERVAL, ended).await.is_ok() {
            return;
        }
        let now = *progress.borrow();
        let ended = now.counts.ended();
        let percent = 100 * ended / total.max(1);
        let (ended, of) = (format::count(ended), format::count(total));
        eprintln!("{title}{ended} of {of} ({percent}%) · {}", pace.describe(&now, total));
    }
}

/// Rate and time to go, over the last while rather than since the beginning: machines come and go.
pub(crate) struct Pace {
    seen: std::collections::VecDeque<(Instant, u64)>,
}

impl Pace {
    const WINDOW: Duration = Duration::from_secs(30);

    /// From now on, when so many have ended already.
    pub(crate) fn starting(ended: u64) -> Pace {
        Pace { seen: std::collections::VecDeque::from([(Instant::now(), ended)]) }
    }

    fn describe(&mut self, progress: &Progress, total: u64) -> String {
        let rate = self.rate(progress.counts.ended());
        describe(progress, total, rate)
    }

    /// Tasks a second, now that so many have ended.
    pub(crate) fn rate(&mut self, ended: u64) -> f64 {
        let now = Instant::now();
        self.seen.push_back((now, ended));
        while self.seen.len() > 2 && now.duration_since(self.seen[0].0) > Pace::WINDOW {
            self.seen.pop_front();
        }
        let (then, before) = self.seen[0];
        let seconds = now.duration_since(then).as_secs_f64();
        if seconds > 0.0 { ended.saturating_sub(before) as f64 / seconds } else { 0.0 }
    }
}

/// One line: rate, time to go, who works, and what went wrong.
pub(crate) fn describe(progress: &Progress, total: u64, rate: f64) -> String {
    let counts = progress.counts;
    let mut parts = Vec::new();
    if rate > 0.0 {
        let rate_text = if rate >= 100.0 { format!("{rate:.0}/s") } else { format!("{}/s", format::significant(rate)) };
        parts.push(rate_text);
        let left = total.saturating_sub(counts.ended());
        if left > 0 && !progress.draining {
            parts.push(format!("{} to go", format::duration(Duration::from_secs_f64(left as f64 / rate))));
        }
    }
    if progress.paused {
        parts.push("paused: results cannot be stored, is the disk full?".to_owned());
    }
    if progress.draining {
        parts.push(format!("draining, {} running", format::count(counts.leased)));
    } else if progress.workers == 0 {
        parts.push("waiting for workers".to_owned());
    } else {
        let workers = format::plural(progress.workers as u64, "worker");
        parts.push(format!("{workers}, {}", format::plural(progress.slots, "slot")));
    }
    for (number, word) in [(counts.diverged, "diverged"), (counts.failed, "failed"), (counts.lost_leases, "lost")] {
        if number > 0 {
            parts.push(format!("{} {word}", format::count(number)));
        }
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_rate_time_to_go_and_what_went_wrong() {
        let mut progress = Progress { workers: 1, slots: 2, ..Progress::default() };
        progress.counts.ok = 40;
        assert_eq!(describe(&progress, 100, 2.0), "2.000/s · 30s to go · 1 worker, 2 slots");
        progress.paused = true;
        assert!(describe(&progress, 100, 0.0).starts_with("paused: results cannot be stored"));
        progress.paused = false;
        progress.counts.failed = 1;
        progress.draining = true;
        progress.counts.leased = 2;
        assert_eq!(describe(&progress, 100, 0.0), "draining, 2 running · 1 failed");
    }

    #[test]
    fn without_workers_it_says_that_it_waits() {
        assert_eq!(describe(&Progress::default(), 100, 0.0), "waiting for workers");
    }
}
