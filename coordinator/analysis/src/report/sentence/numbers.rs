//! Numbers as sentences have them.

use engine::metrics::Direction;
use results::Comparison;

use crate::report::data::{Metric, interval_of};
use crate::report::number::{count, p_words, plural, significant};
use crate::stats::MOST_PAIRS;

/// A difference with its interval, its seeds and its p.
pub(super) fn numbers(row: &Comparison) -> String {
    let mut text = match row.diff {
        Some(diff) => format!("a difference of {}{}", signed(diff), percent(row)),
        None => "no difference known".to_owned(),
    };
    let mut details = Vec::new();
    if let Some((low, high)) = interval_of(row) {
        details.push(format!("95% interval {} to {}", signed(low), signed(high)));
    }
    details.push(plural(row.n, "seed"));
    if let Some(p) = row.p_holm {
        details.push(format!("{} by paired t and Holm", p_words(p)));
    }
    text.push_str(&format!(" ({})", details.join(", ")));
    text
}

/// The differences of several rows, from the smallest to the largest.
pub(super) fn spread(rows: &[&Comparison]) -> String {
    let diffs: Vec<f64> = rows.iter().filter_map(|row| row.diff).collect();
    let (Some(least), Some(most)) = (diffs.iter().copied().reduce(f64::min), diffs.iter().copied().reduce(f64::max))
    else {
        return String::new();
    };
    let seeds = rows.iter().map(|row| row.n);
    let (fewest, seeds) = (seeds.clone().min().unwrap_or(0), seeds.max().unwrap_or(0));
    let n =
        if fewest == seeds { plural(seeds, "seed") } else { format!("{} to {}", count(fewest), plural(seeds, "seed")) };
    let largest = rows.iter().filter_map(|row| row.p_holm).reduce(f64::max);
    let p = largest.map(|p| format!(", the largest {} by paired t and Holm", p_words(p))).unwrap_or_default();
    let low = rows.iter().filter_map(|row| Some(interval_of(row)?.0)).reduce(f64::min);
    let high = rows.iter().filter_map(|row| Some(interval_of(row)?.1)).reduce(f64::max);
    let intervals = match (low, high) {
        (Some(low), Some(high)) => format!(", 95% intervals within {} to {}", signed(low), signed(high)),
        _ => String::new(),
    };
    format!("differences of {} to {} ({n} each{intervals}{p})", signed(least), signed(most))
}

/// The difference in percent of the baseline, where that means something.
fn percent(row: &Comparison) -> String {
    match (row.diff, row.baseline_mean, row.mean) {
        (Some(diff), Some(base), Some(mean)) if base * mean > 0.0 => {
            let share = 100.0 * diff / base.abs();
            if !(0.05..1000.0).contains(&share.abs()) { String::new() } else { format!(", {share:+.1}%") }
        }
        _ => String::new(),
    }
}

/// How many seeds would do, if these did not.
pub(super) fn power(row: &Comparison) -> String {
    match row.seeds_for_power80 {
        Some(seeds) if seeds.is_finite() && seeds > row.n as f64 => {
            format!("; to find one of this size four times in five takes {}", plural(seeds.ceil() as u64, "seed"))
        }
        None if row.d_z.is_some_and(|d_z| d_z != 0.0) => {
            format!("; to find one of this size takes more than {}", plural(MOST_PAIRS, "seed"))
        }
        _ => String::new(),
    }
}

pub(super) fn too_few(n: u64) -> String {
    match n {
        0 => "no seeds".to_owned(),
        1 => "one seed".to_owned(),
        _ => format!("{n} seeds, whose smallest possible p is {},", significant(2.0_f64.powi(1 - n.min(60) as i32))),
    }
}

pub(super) fn signed(number: f64) -> String {
    if number > 0.0 { format!("+{}", significant(number)) } else { significant(number) }
}

pub(super) fn goal(metric: &Metric) -> &'static str {
    match metric.direction {
        Direction::Minimize => " (smaller is better)",
        Direction::Maximize => " (larger is better)",
        Direction::Neutral => "",
    }
}

/// Sentences begin with a capital; the names of arms stay as they are.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if text.contains(' ') && !text.contains('=') => first.to_uppercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}
