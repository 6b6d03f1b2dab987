//! What a browser is shown: the page, and the part of it that changes every second.

use std::time::Duration;

use analysis::report::document;
use analysis::report::number::{count, plural, significant};
use maud::{Markup, PreEscaped, html};

use super::board::Board;
use super::pass::FIELD;
use crate::fleet::{Progress, Roster};
use crate::format;

const SCRIPT: &str = include_str!("live.js");
const STYLE: &str = include_str!("live.css");

/// More workers than these are counted together.
const MOST_WORKERS: usize = 40;

/// More happenings than these nobody reads.
const MOST_HAPPENINGS: usize = 12;

/// What the page may do: nothing but ask where it comes from.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'";

/// What the page that asks for the token may do: send it back.
pub(super) const FORM_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'";

/// The page that asks for the token; `again` after a wrong one. It says nothing of the sweep.
pub(super) fn token_form(again: bool) -> String {
    let body = html! {
        main {
            header { p.kicker { "hedgesweep" } h1 { "This dashboard asks for a token" } }
            @if again { p.wrong role="alert" { "That is not the token of this coordinator." } }
            p { "It is in the file that the coordinator was given as " code { "--token-file" } "." }
            form method="post" action="/" {
                label { "Token " input type="password" name=(FIELD) autocomplete="off" required autofocus; }
                " " button { "Look" }
            }
        }
    };
    document("Token", FORM_POLICY, &html! { style { (PreEscaped(STYLE)) } }, &body, "").into_string()
}

/// The whole page, as it is at this moment; without scripts it is loaded again every few seconds.
pub(super) fn page(board: &Board) -> String {
    let report = board.report.borrow().clone();
    let head = html! {
        style { (PreEscaped(STYLE)) }
        noscript { meta http-equiv="refresh" content="5"; }
    };
    let body = html! {
        section.live id="live" aria-live="off" { (live(board)) }
        p.live id="lost" hidden role="alert" {}
        main id="report" data-version=(report.version) { (PreEscaped(report_or_wait(&report.body))) }
    };
    document(&board.sweep.spec.name, POLICY, &head, &body, SCRIPT).into_string()
}

/// The report, or what stands in its place before there is one.
pub(super) fn report_or_wait(body: &str) -> &str {
    if body.is_empty() {
        "<p class=\"note\">The comparison so far appears here with the first results.</p>"
    } else {
        body
    }
}

/// Progress, workers and happenings.
pub(super) fn live(board: &Board) -> Markup {
    let (progress, rate) = board.pace();
    let roster = board.roster.borrow().clone();
    let total = board.sweep.total;
    let ended = progress.counts.ended();
    let percent = if total == 0 { 100.0 } else { 100.0 * ended as f64 / total as f64 };
    html! {
        div.bar role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow=(format!("{percent:.0}")) {
            div style=(format!("width:{:.2}%", percent.min(100.0))) {}
        }
        p.state { b { (board.sweep.spec.name) } " " (state(&progress, ended, total)) " " span.percent { (format!("{percent:.0}%")) } }
        dl.facts {
            (fact("done", &format!("{} of {}", count(ended), count(total))))
            (fact("rate", &if rate > 0.0 { format!("{}/s", significant(rate)) } else { "-".to_owned() }))
            (fact("to go", &to_go(&progress, rate, ended, total)))
            (fact("elapsed", &format::duration(board.elapsed())))
            (fact("workers", &format!("{}, {}", count(progress.workers as u64), plural(progress.slots, "slot"))))
            (fact("running", &count(progress.counts.leased)))
            @if board.sweep.done_before > 0 { (fact("done before", &count(board.sweep.done_before))) }
            (bad_fact("diverged", progress.counts.diverged))
            (bad_fact("failed", progress.counts.failed))
            (bad_fact("leases lost", progress.counts.lost_leases))
        }
        (workers(&roster))
        (happenings(&roster))
    }
}

fn state(progress: &Progress, ended: u64, total: u64) -> &'static str {
    if ended >= total {
        "has run: tables and report are being written"
    } else if progress.draining {
        "is draining: what runs may end, nothing else begins"
    } else if progress.paused {
        "is paused: results cannot be stored, and wait with their workers"
    } else if progress.workers == 0 {
        "waits for workers"
    } else {
        "is running"
    }
}

fn fact(name: &str, text: &str) -> Markup {
    html! { div { dt { (name) } dd { (text) } } }
}

fn bad_fact(name: &str, number: u64) -> Markup {
    html! { @if number > 0 { div.bad { dt { (name) } dd { (count(number)) } } } }
}

fn to_go(progress: &Progress, rate: f64, ended: u64, total: u64) -> String {
    let left = total.saturating_sub(ended);
    if left == 0 {
        return "nothing".to_owned();
    }
    if rate <= 0.0 || progress.draining {
        return "-".to_owned();
    }
    // A rate that is all but zero promises no more than years.
    format::duration(Duration::from_secs_f64((left as f64 / rate).min(1e9)))
}

fn workers(roster: &Roster) -> Markup {
    // What was silent then has been silent since, as far as is known.
    let since = roster.at.map_or(Duration::ZERO, |at| at.elapsed());
    let late = roster.heartbeat_interval * 2;
    html! {
        @if !roster.workers.is_empty() {
            table.workers {
                thead { tr { th { "worker" } th.number { "slots" } th.number { "tasks" } th.number { "last heartbeat" } } }
                tbody {
                    @for worker in roster.workers.iter().take(MOST_WORKERS) {
                        @let silence = worker.silence + since;
                        tr class=[(silence > late).then_some("late")] {
                            td { (worker.name) }
                            td.number { (worker.slots) }
                            td.number { (worker.leases) }
                            td.number {
                                (format!("{} s ago", silence.as_secs()))
                                @if silence > late {
                                    (format!(" · silent; lost after {} s", roster.lease_ttl.as_secs()))
                                }
                            }
                        }
                    }
                }
            }
            @if roster.workers.len() > MOST_WORKERS {
                p.note { "… and " (count((roster.workers.len() - MOST_WORKERS) as u64)) " more, all heard of more lately." }
            }
        }
    }
}

fn happenings(roster: &Roster) -> Markup {
    let since = roster.at.map_or(Duration::ZERO, |at| at.elapsed());
    html! {
        @if !roster.happenings.is_empty() {
            ul.happenings {
                @for happening in roster.happenings.iter().rev().take(MOST_HAPPENINGS) {
                    li class=[happening.bad.then_some("bad")] {
                        time { (format::duration(happening.ago + since)) " ago" }
                        span { (happening.what) }
                    }
                }
            }
        }
    }
}
