//! The answer in a sentence: the same one for the page, for `report.md` and for the terminal.

use engine::metrics::Direction;
use results::Comparison;

use super::data::{ACROSS, Metric, Tuning, interval_of, is_hedge, named};
use super::number::{count, list, p_words, plural, significant};
use crate::summary::Block;

/// At most so many names in a sentence.
const NAMES: usize = 4;

/// An answer in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The sentence.
    pub sentence: String,
    /// How the baseline stands beside the classical hedges, if there are any.
    pub hedges: Option<String>,
    /// Under which conditions it holds.
    pub conditions: String,
}

impl Answer {
    /// All of it as one paragraph.
    pub fn paragraph(&self) -> String {
        let parts = [Some(self.sentence.as_str()), self.hedges.as_deref(), Some(self.conditions.as_str())];
        parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// What an answer is an answer to.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The metric.
    pub metric: &'a Metric,
    /// How variants were chosen, if they were.
    pub tuning: Option<&'a Tuning>,
}

/// The answer to how arms compare with the baseline on a metric: all rows of that metric, those of other metrics are passed over.
pub fn answer(asked: &Asked<'_>, comparisons: &[Comparison]) -> Answer {
    let rows: Vec<&Comparison> = comparisons.iter().filter(|row| row.metric == asked.metric.name).collect();
    let (across, within): (Vec<&Comparison>, Vec<&Comparison>) = rows.into_iter().partition(|row| row.cell == ACROSS);
    let (hedges, arms): (Vec<&Comparison>, Vec<&Comparison>) = within.into_iter().partition(|row| is_hedge(&row.arm));
    let Some(first) = arms.first() else {
        let metric = &asked.metric.name;
        let sentence =
            format!("Nothing can be said about {metric} yet: no arm and no seed has a value beside the baseline's.");
        return Answer { sentence, hedges: against_hedges(asked, &hedges), conditions: conditions(asked, &hedges) };
    };
    let mut by_arm: Vec<(&str, Vec<&Comparison>)> = Vec::new();
    for row in &arms {
        match by_arm.iter_mut().find(|(arm, _)| *arm == row.arm) {
            Some((_, rows)) => rows.push(row),
            None => by_arm.push((&row.arm, vec![row])),
        }
    }
    let sentence = match &by_arm[..] {
        [(_, rows)] => match rows[..] {
            [only] => of_pair(asked, only),
            _ => of_arm(asked, rows, &across),
        },
        _ => of_arms(asked, &first.baseline, &by_arm),
    };
    Answer { sentence, hedges: against_hedges(asked, &hedges), conditions: conditions(asked, &arms) }
}

/// One arm's variant against the baseline's in one cell.
fn of_pair(asked: &Asked<'_>, row: &Comparison) -> String {
    let metric = asked.metric;
    let (arm, baseline) = (named(&row.arm, &row.variant), named(&row.baseline, &row.baseline_variant));
    let means = match (row.mean, row.baseline_mean) {
        (Some(mean), Some(other)) => format!("{} against {}", significant(mean), significant(other)),
        _ => String::new(),
    };
    let name = &metric.name;
    match row.verdict.as_str() {
        "better" => format!("{arm} beats {baseline} on {name}{}: {means}, {}.", goal(metric), numbers(row)),
        "worse" => format!("{arm} does worse than {baseline} on {name}{}: {means}, {}.", goal(metric), numbers(row)),
        "no_difference" => {
            format!(
                "No difference between {arm} and {baseline} was found on {name}: {means}, {}{}.",
                numbers(row),
                power(row)
            )
        }
        "too_few_seeds" => format!(
            "{} cannot tell {arm} from {baseline} on {name}: {}{}.",
            capital(&too_few(row.n)),
            if means.is_empty() { "there is no pair".to_owned() } else { means },
            row.diff.map(|diff| format!(", a difference of {}", signed(diff))).unwrap_or_default(),
        ),
        _ if row.n == 0 => {
            format!("{arm} and {baseline} cannot be compared on {name}: there is no seed at which both have a value.")
        }
        _ if metric.direction == Direction::Neutral => {
            format!("{arm} has {means} of {baseline} on {name}, which is neither better nor worse: {}.", numbers(row))
        }
        _ => format!(
            "{arm} and {baseline} cannot be judged on {name}: {means} where both have a value ({}), but not every seed has \
             one, or none differs from another.",
            plural(row.n, "seed"),
        ),
    }
}

/// One arm against the baseline in several cells, or several of its variants.
fn of_arm(asked: &Asked<'_>, rows: &[&Comparison], across: &[&Comparison]) -> String {
    let (name, first) = (&asked.metric.name, rows[0]);
    let (arm, baseline) = (&first.arm, &first.baseline);
    let places = Places::of(rows);
    let verdicts = Tally::of(rows);
    let head = match (verdicts.better, verdicts.worse, verdicts.total) {
        (better, _, total) if better == total => {
            format!("{arm} beats {baseline} on {name}{} {}", goal(asked.metric), places.all())
        }
        (_, worse, total) if worse == total => {
            format!("{arm} does worse than {baseline} on {name}{} {}", goal(asked.metric), places.all())
        }
        (0, 0, _) if verdicts.no_difference > 0 => {
            format!("No difference between {arm} and {baseline} was found on {name} {}", places.any())
        }
        (0, 0, _) if verdicts.too_few > 0 => {
            let most = rows.iter().map(|row| row.n).max().unwrap_or(0);
            format!("{} cannot tell {arm} from {baseline} on {name} {}", capital(&too_few(most)), places.any())
        }
        (0, 0, _) => format!("{arm} and {baseline} cannot be judged on {name} {}", places.any()),
        _ => format!("Against {baseline} on {name}{}, {arm} is {}", goal(asked.metric), verdicts.words(places.noun)),
    };
    let star = across.iter().find(|row| row.arm == *arm);
    let tail = match star {
        Some(star) if star.diff.is_some() => format!("across cells {}", numbers_across(star)),
        _ => spread(rows),
    };
    if tail.is_empty() { format!("{head}.") } else { format!("{head}: {tail}.") }
}

/// Several arms against the baseline.
fn of_arms(asked: &Asked<'_>, baseline: &str, by_arm: &[(&str, Vec<&Comparison>)]) -> String {
    let several = by_arm.iter().any(|(_, rows)| rows.len() > 1);
    let of = |wanted: fn(&Tally) -> u64| -> Vec<String> {
        let named = by_arm.iter().filter_map(|(arm, rows)| {
            let tally = Tally::of(rows);
            match wanted(&tally) {
                0 => None,
                some if several => Some(format!("{arm} ({some} of {})", Places::of(rows).counted())),
                _ => Some((*arm).to_owned()),
            }
        });
        named.collect()
    };
    let (better, worse) = (of(|tally| tally.better), of(|tally| tally.worse));
    let (equal, few) = (of(|tally| tally.no_difference), of(|tally| tally.too_few));
    let undefined = of(|tally| tally.undefined);
    let mut clauses = Vec::new();
    if better.is_empty() && (!worse.is_empty() || !equal.is_empty()) {
        clauses.push(format!("none is better than {baseline}"));
    } else if !better.is_empty() {
        clauses.push(format!("{} beat{} {baseline}", list(&better, NAMES), if better.len() == 1 { "s" } else { "" }));
    }
    if !worse.is_empty() {
        clauses.push(format!("{} do{} worse", list(&worse, NAMES), if worse.len() == 1 { "es" } else { "" }));
    }
    if !equal.is_empty() {
        clauses.push(format!("no difference was found for {}", list(&equal, NAMES)));
    }
    if !few.is_empty() {
        let most = by_arm.iter().flat_map(|(_, rows)| rows.iter().map(|row| row.n)).max().unwrap_or(0);
        clauses.push(format!("{} say nothing about {}", too_few(most), list(&few, NAMES)));
    }
    if !undefined.is_empty() {
        clauses.push(format!("{} cannot be judged", list(&undefined, NAMES)));
    }
    let head = format!(
        "Of {} arms held against {baseline} on {}{}, {}",
        by_arm.len(),
        asked.metric.name,
        goal(asked.metric),
        clauses.join("; ")
    );
    let all = by_arm.iter().flat_map(|(_, rows)| rows.iter().copied());
    match all
        .filter(|row| row.diff.is_some())
        .min_by(|left, right| favour(asked, left).total_cmp(&favour(asked, right)))
    {
        Some(best) => {
            let place = if best.cell == super::data::DEFAULT { String::new() } else { format!(" in {}", best.cell) };
            format!("{head}; the most favourable is {}{place} with {}.", named(&best.arm, &best.variant), numbers(best))
        }
        None => format!("{head}."),
    }
}

/// How favourable a difference is to the arm: the smaller, the more.
fn favour(asked: &Asked<'_>, row: &Comparison) -> f64 {
    let diff = row.diff.unwrap_or(f64::INFINITY);
    let rank = match row.verdict.as_str() {
        "better" => -1.0,
        "worse" => 1.0,
        _ => 0.0,
    };
    let step = if asked.metric.direction == Direction::Maximize { -diff } else { diff };
    // The verdict first; within one, the difference.
    2.0 * rank + step / (1.0 + step.abs())
}

/// The baseline beside the hedges that people use today.
fn against_hedges(asked: &Asked<'_>, rows: &[&Comparison]) -> Option<String> {
    let first = rows.first()?;
    let name = |row: &Comparison| row.arm.trim_start_matches("hedge.").to_owned();
    let judged = rows.iter().filter(|row| row.verdict == "better" || row.verdict == "worse");
    let best = judged.min_by(|left, right| favour(asked, left).total_cmp(&favour(asked, right)));
    let tally = Tally::of(rows);
    let baseline = named(&first.baseline, &first.baseline_variant);
    let several = Places::of(rows).cells > 1;
    let hedges = rows.iter().map(|row| row.arm.as_str()).collect::<std::collections::HashSet<_>>().len();
    let places = if several { format!(" in {}", plural(Places::of(rows).cells as u64, "cell")) } else { String::new() };
    let best = best?;
    if tally.worse == tally.total {
        let all = match hedges {
            1 => "the classical hedge".to_owned(),
            2 => "both classical hedges".to_owned(),
            more => format!("all {more} classical hedges"),
        };
        return Some(format!("{baseline} beats {all}{places}; the nearest, {}, has {}.", name(best), numbers(best)));
    }
    let better: Vec<String> = rows.iter().filter(|row| row.verdict == "better").map(|row| name(row)).collect();
    let mut distinct = better.clone();
    distinct.dedup();
    match &distinct[..] {
        [] => {}
        [only] => {
            return Some(format!("The classical hedge {only} beats {baseline}{places}, with {}.", numbers(best)));
        }
        several => {
            return Some(format!(
                "Of the classical hedges, {} beat {baseline}{places}; the best, {}, has {}.",
                list(several, NAMES),
                name(best),
                numbers(best)
            ));
        }
    }
    Some(format!(
        "Of {hedges} classical hedges{places} none is better than {baseline}; the nearest, {}, has {}.",
        name(best),
        numbers(best)
    ))
}

/// A difference with its interval, its seeds and its p.
fn numbers(row: &Comparison) -> String {
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

/// The same over cells.
fn numbers_across(row: &Comparison) -> String {
    let diff = row.diff.map(signed).unwrap_or_default();
    let mut details = vec![plural(row.n, "cell")];
    if let Some(p) = row.p_holm.or(row.p_wilcoxon) {
        details.push(format!("{} by Wilcoxon on their means", p_words(p)));
    }
    let middle = match (row.iqm_diff, row.iqm_diff_low.zip(row.iqm_diff_high)) {
        (Some(middle), Some((low, high))) => format!(
            ", and that of the interquartile means {} (95% interval {} to {})",
            signed(middle),
            signed(low),
            signed(high)
        ),
        _ => String::new(),
    };
    format!("the mean difference is {diff} ({}){middle}", details.join(", "))
}

/// The differences of several rows, from the smallest to the largest.
fn spread(rows: &[&Comparison]) -> String {
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
fn power(row: &Comparison) -> String {
    match row.seeds_for_power80 {
        Some(seeds) if seeds.is_finite() && seeds > row.n as f64 => {
            format!("; to find one of this size four times in five takes {}", plural(seeds.ceil() as u64, "seed"))
        }
        _ => String::new(),
    }
}

fn too_few(n: u64) -> String {
    match n {
        0 => "no seeds".to_owned(),
        1 => "one seed".to_owned(),
        _ => format!("{n} seeds, whose smallest possible p is {},", significant(2.0_f64.powi(1 - n.min(60) as i32))),
    }
}

fn signed(number: f64) -> String {
    if number > 0.0 { format!("+{}", significant(number)) } else { significant(number) }
}

fn goal(metric: &Metric) -> &'static str {
    match metric.direction {
        Direction::Minimize => " (smaller is better)",
        Direction::Maximize => " (larger is better)",
        Direction::Neutral => "",
    }
}

/// Sentences begin with a capital; the names of arms stay as they are.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if text.contains(' ') && !text.contains('=') => first.to_uppercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

/// How many rows came to which verdict.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    total: u64,
    better: u64,
    worse: u64,
    no_difference: u64,
    too_few: u64,
    undefined: u64,
}

impl Tally {
    fn of(rows: &[&Comparison]) -> Tally {
        let mut tally = Tally { total: rows.len() as u64, ..Tally::default() };
        for row in rows {
            *match row.verdict.as_str() {
                "better" => &mut tally.better,
                "worse" => &mut tally.worse,
                "no_difference" => &mut tally.no_difference,
                "too_few_seeds" => &mut tally.too_few,
                _ => &mut tally.undefined,
            } += 1;
        }
        tally
    }

    fn words(&self, noun: &str) -> String {
        let all = [
            (self.better, "better"),
            (self.worse, "worse"),
            (self.no_difference, "no different"),
            (self.too_few, "unknown for want of seeds"),
            (self.undefined, "not to be judged"),
        ];
        let parts = all.into_iter().filter(|(number, _)| *number > 0);
        let parts: Vec<String> = parts.map(|(number, word)| format!("{word} in {number}")).collect();
        format!("{} of {} {noun}s", list(&parts, usize::MAX), self.total)
    }
}

/// What rows are spread over: cells, or variants.
struct Places {
    cells: usize,
    rows: usize,
    noun: &'static str,
}

impl Places {
    fn of(rows: &[&Comparison]) -> Places {
        let mut cells: Vec<&str> = rows.iter().map(|row| row.cell.as_str()).collect();
        cells.sort_unstable();
        cells.dedup();
        let noun = match (cells.len(), rows.len()) {
            (1, _) => "variant",
            (cells, rows) if cells == rows => "cell",
            _ => "comparison",
        };
        Places { cells: cells.len(), rows: rows.len(), noun }
    }

    fn counted(&self) -> String {
        plural(self.rows as u64, self.noun)
    }

    fn all(&self) -> String {
        if self.rows == 2 { format!("in both {}s", self.noun) } else { format!("in all {}", self.counted()) }
    }

    fn any(&self) -> String {
        if self.rows == 2 { format!("in either {}", self.noun) } else { format!("in any of {}", self.counted()) }
    }
}

/// What the answer rests on: tuning, its budgets, and the paths that all seeds share.
fn conditions(asked: &Asked<'_>, rows: &[&Comparison]) -> String {
    let mut parts = Vec::new();
    match asked.tuning {
        Some(tuning) => {
            parts.push(format!(
                "Each arm's variant was chosen by {} on {} and confirmed on the others, which are the ones counted here.",
                tuning.by,
                plural(tuning.seeds, "seed")
            ));
            parts.extend(budgets(tuning));
        }
        None if rows.iter().any(|row| row.variant != super::data::DEFAULT) => {
            parts.push("Nothing was tuned: every variant is compared as it is configured.".to_owned());
        }
        None if !rows.is_empty() => parts.push("Nothing was tuned: each arm runs as it is configured.".to_owned()),
        None => {}
    }
    parts.extend(shared_paths(&asked.metric.name));
    parts.join(" ")
}

/// Unequal budgets are an advantage to whoever has the larger one.
fn budgets(tuning: &Tuning) -> Option<String> {
    let (first, rest) = tuning.budgets.split_first()?;
    if rest.iter().all(|(_, variants)| *variants == first.1) {
        return (first.1 > 1).then(|| format!("Every arm had {} to choose from.", plural(first.1, "variant")));
    }
    let all: Vec<String> = tuning.budgets.iter().map(|(arm, variants)| format!("{arm} {}", count(*variants))).collect();
    Some(format!("Budgets are unequal, in favour of the larger: of variants to choose from, {}.", have(&all)))
}

fn have(all: &[String]) -> String {
    let had: Vec<String> = all
        .iter()
        .map(|each| match each.rsplit_once(' ') {
            Some((arm, number)) => format!("{arm} had {number}"),
            None => each.clone(),
        })
        .collect();
    list(&had, 12)
}

/// What all seeds of a cell have in common, and what intervals therefore do not cover.
fn shared_paths(metric: &str) -> Option<String> {
    let set = match metric.split_once('.')?.0 {
        "test" => "test",
        "validation" => "validation",
        "train" => {
            return Some(format!(
                "Replicates are seeds, each with its own paths and initial weights; {metric} is measured on training paths, so \
                 it says how training went and not how well the result hedges."
            ));
        }
        _ => return None,
    };
    Some(format!(
        "Replicates are seeds, and all seeds of a cell are scored on one {set} set: intervals and p-values hold given these \
         paths."
    ))
}

/// The answer where nothing is compared: who is best, and what that means.
pub fn ranking_answer(metric: &Metric, ranking: &[Block]) -> Answer {
    let lines = ranking.iter().flat_map(|block| block.lines.iter().map(move |line| (block, line)));
    let known: Vec<_> = lines.filter(|(_, line)| line.mean.is_some() && !is_hedge(&line.arm)).collect();
    let value = |line: &crate::summary::Line| line.mean.unwrap_or(f64::NAN);
    let better = |left: f64, right: f64| match metric.direction {
        Direction::Maximize => left > right,
        _ => left < right,
    };
    let best =
        known.iter().copied().reduce(|best, next| if better(value(next.1), value(best.1)) { next } else { best });
    let worst =
        known.iter().copied().reduce(|worst, next| if better(value(worst.1), value(next.1)) { next } else { worst });
    let name = &metric.name;
    let Some(((block, line), (worst_block, worst))) = best.zip(worst) else {
        let sentence = format!("Nothing can be said about {name} yet: no run has a value.");
        return Answer { sentence, ..Answer::default() };
    };
    let place = |block: &Block, line: &crate::summary::Line| {
        let mut words = Vec::new();
        if ranking.iter().flat_map(|block| &block.lines).any(|other| other.arm != line.arm && !is_hedge(&other.arm))
            || line.variant != super::data::DEFAULT
        {
            words.push(named(&line.arm, &line.variant));
        }
        if block.cell != super::data::DEFAULT {
            words.push(block.cell.clone());
        }
        words.join(" at ")
    };
    let spread = |line: &crate::summary::Line| match line.sd {
        Some(sd) => format!("{} ± {} over {}", significant(value(line)), significant(sd), plural(line.n, "seed")),
        None => format!("{} at {}", significant(value(line)), plural(line.n, "seed")),
    };
    let word = match metric.direction {
        Direction::Maximize => "largest",
        _ => "smallest",
    };
    let here = place(block, line);
    let mut sentence = match (known.len(), here.is_empty()) {
        (1, true) => format!("{name} is {} (mean ± SD)", spread(line)),
        (1, false) => format!("{name} of {here} is {} (mean ± SD)", spread(line)),
        _ => format!("{name} is {word} for {here}: {} (mean ± SD)", spread(line)),
    };
    if known.len() > 1 {
        let verb = if metric.direction == Direction::Maximize { "smallest" } else { "largest" };
        sentence.push_str(&format!(", and {verb} for {}: {}", place(worst_block, worst), spread(worst)));
    }
    sentence.push('.');
    let mut parts = vec![
        "Nothing is compared: the sweep has no `compare`, so there are no tests and no adjustment for looking at many."
            .to_owned(),
    ];
    parts.extend(shared_paths(name));
    Answer { sentence, hedges: None, conditions: parts.join(" ") }
}

#[cfg(test)]
mod tests;
