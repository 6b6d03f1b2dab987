//! The answer in a sentence: the same one for the page, for `report.md` and for the terminal.

mod conditions;
mod numbers;
mod ranking;
mod tally;
#[cfg(test)]
mod tests;

use engine::metrics::Direction;
use results::Comparison;

use super::data::{Metric, is_hedge, named};
use super::number::{count, list, plural, significant};
use crate::across::ALL_CELLS;
use crate::tuning::Tuning;
use conditions::conditions;
use numbers::{capital, goal, numbers, power, signed, spread, too_few};
use tally::{Places, Tally};

pub use ranking::ranking_answer;

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
    /// The same while runs are missing: it says so, and that it is no test yet.
    pub(super) fn so_far(self, runs: u64, of: u64) -> Answer {
        let sentence = format!("So far, with {} of {}: {}", count(runs), plural(of, "run"), self.sentence);
        let caution = "With runs missing, other variants may still be chosen, and a p-value that is looked at while results come is not that \
                       of one test.";
        Answer { sentence, conditions: format!("{caution} {}", self.conditions).trim_end().to_owned(), ..self }
    }

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
    let (across, within): (Vec<&Comparison>, Vec<&Comparison>) =
        rows.into_iter().partition(|row| row.cell == ALL_CELLS);
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
            let most = most_of_too_few(rows.iter().copied());
            format!("{} cannot tell {arm} from {baseline} on {name} {}", capital(&too_few(most)), places.any())
        }
        (0, 0, _) => format!("{arm} and {baseline} cannot be judged on {name} {}", places.any()),
        _ => format!("Against {baseline} on {name}{}, {arm} is {}", goal(asked.metric), verdicts.words(places.noun)),
    };
    let mut stars = across.iter().filter(|row| row.arm == *arm);
    let tail = match (stars.next(), stars.next()) {
        // Of several variants none speaks for the arm.
        (Some(star), None) if star.diff.is_some() => format!("as a mean over the cells {}", numbers(star)),
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
        let most = most_of_too_few(by_arm.iter().flat_map(|(_, rows)| rows.iter().copied()));
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
            let place =
                if best.cell == crate::report::data::DEFAULT { String::new() } else { format!(" in {}", best.cell) };
            format!("{head}; the most favourable is {}{place} with {}.", named(&best.arm, &best.variant), numbers(best))
        }
        None => format!("{head}."),
    }
}

/// The most seeds of the rows that have too few of them.
fn most_of_too_few<'a>(rows: impl Iterator<Item = &'a Comparison>) -> u64 {
    rows.filter(|row| row.verdict == "too_few_seeds").map(|row| row.n).max().unwrap_or(0)
}

/// A difference as the goal has it: the smaller, the better for the arm.
fn step(asked: &Asked<'_>, row: &Comparison) -> f64 {
    let diff = row.diff.unwrap_or(f64::INFINITY);
    if asked.metric.direction == Direction::Maximize { -diff } else { diff }
}

/// How favourable a difference is to the arm: the smaller, the more. The verdict first, what cannot be judged last; within one,
/// the difference.
fn favour(asked: &Asked<'_>, row: &Comparison) -> f64 {
    let rank = match row.verdict.as_str() {
        "better" => -1.0,
        "no_difference" => 0.0,
        "worse" => 1.0,
        _ => 2.0,
    };
    let step = step(asked, row);
    2.0 * rank + step / (1.0 + step.abs())
}

/// The baseline beside the hedges that people use today.
fn against_hedges(asked: &Asked<'_>, rows: &[&Comparison]) -> Option<String> {
    let first = rows.first()?;
    let name = |row: &Comparison| row.arm.trim_start_matches("hedge.").to_owned();
    let nearest = |rows: &[&Comparison]| -> Option<Comparison> {
        let known = rows.iter().filter(|row| row.diff.is_some());
        known.min_by(|left, right| step(asked, left).total_cmp(&step(asked, right))).map(|row| (*row).clone())
    };
    let one_variant = rows.iter().all(|row| row.baseline_variant == first.baseline_variant);
    let baseline = if one_variant { named(&first.baseline, &first.baseline_variant) } else { first.baseline.clone() };
    let cells = Places::of(rows).cells;
    let places = if cells > 1 { format!(" in {}", plural(cells as u64, "cell")) } else { String::new() };
    let mut hedges: Vec<(&str, u64)> = Vec::new();
    for row in rows {
        let won = u64::from(row.verdict == "better");
        match hedges.iter_mut().find(|(hedge, _)| *hedge == row.arm) {
            Some((_, wins)) => *wins += won,
            None => hedges.push((&row.arm, won)),
        }
    }
    let tally = Tally::of(rows);
    if tally.better == 0 {
        let nearest = nearest(rows)?;
        let all = match (tally.worse == tally.total, hedges.len()) {
            (true, 1) => format!("{baseline} beats the classical hedge{places}"),
            (true, 2) => format!("{baseline} beats both classical hedges{places}"),
            (true, more) => format!("{baseline} beats all {more} classical hedges{places}"),
            (false, count) => format!("Of {count} classical hedges{places} none is better than {baseline}"),
        };
        return Some(format!("{all}; the nearest, {}, has {}.", name(&nearest), numbers(&nearest)));
    }
    let won: Vec<&Comparison> = rows.iter().copied().filter(|row| row.verdict == "better").collect();
    let best = nearest(&won)?;
    let winners: Vec<String> = hedges
        .iter()
        .filter(|(_, wins)| *wins > 0)
        .map(|(hedge, wins)| {
            let hedge = hedge.trim_start_matches("hedge.");
            if cells > 1 { format!("{hedge} ({wins} of {})", plural(cells as u64, "cell")) } else { hedge.to_owned() }
        })
        .collect();
    let text = match &winners[..] {
        [only] => format!("The classical hedge {only} beats {baseline}, with {}.", numbers(&best)),
        several => format!(
            "Of the classical hedges, {} beat {baseline}; the best, {}, has {}.",
            list(several, NAMES),
            name(&best),
            numbers(&best)
        ),
    };
    Some(text)
}
