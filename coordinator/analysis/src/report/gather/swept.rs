//! What swept parameters do to the primary endpoint, one by one and two by two.

use std::collections::HashMap;

use results::{StoreError, Words};

use crate::reference::references;
use crate::report::data::{Heat, LevelShape, MOST_LEVELS, Sensitivity, Series};
use crate::report::quantile::quantile;
use crate::runs::Runs;
use crate::sources::Sources;

/// As many heat maps as are looked at.
const MOST_HEATS: usize = 2;

/// As many lines as can be told apart in one drawing.
const MOST_SERIES: usize = 8;

/// As many classical hedges as there is room for beside the arms.
const MOST_REFERENCES: usize = 3;

/// The swept parameters, column by column.
pub(super) struct Swept {
    parameters: Vec<(String, Words)>,
}

impl Swept {
    pub(super) fn load(sources: &Sources<'_>) -> Result<Swept, StoreError> {
        let load = |name: String| sources.column(&name).map(|words| (name, words));
        let parameters: Result<Vec<_>, _> = sources.swept().into_iter().map(load).collect();
        let varied = parameters?.into_iter().filter(|(_, words)| words.distinct.len() > 1);
        Ok(Swept { parameters: varied.collect() })
    }

    /// The parameters that at least one arm has several values of.
    pub(super) fn sensitivities(&self, runs: &Runs, metric: &str, arms: &[String]) -> Vec<Sensitivity> {
        let all = self.parameters.iter().map(|(name, words)| {
            let numbers: Vec<Option<f64>> = words.distinct.iter().map(|word| word.parse().ok()).collect();
            let ordered = numbers.iter().all(|number| number.is_some_and(f64::is_finite));
            let order = level_order(&numbers, ordered);
            let mut series = self.of_arms(runs, metric, words, &order, arms);
            if ordered && words.codes.iter().all(Option::is_some) {
                series.extend(of_hedges(runs, metric, words, &order));
            }
            Sensitivity { parameter: name.clone(), ordered, values: words.distinct.len() as u64, series }
        });
        all.filter(|sensitivity| sensitivity.series.iter().any(|series| series.look.is_some())).collect()
    }

    /// One line an arm; one for each of its cells where these are few and the parameter is no part of them.
    fn of_arms(&self, runs: &Runs, metric: &str, words: &Words, order: &[u32], arms: &[String]) -> Vec<Series> {
        let having: Vec<(usize, u32)> = arms
            .iter()
            .enumerate()
            .filter_map(|(look, arm)| Some((look, runs.arm.code_of(arm)?)))
            .filter(|(_, code)| {
                let mut own = (0..words.codes.len())
                    .filter(|row| runs.arm.codes[*row] == Some(*code))
                    .map(|row| words.codes[row]);
                let first = own.find(Option::is_some).flatten();
                first.is_some() && own.any(|value| value.is_some() && value != first)
            })
            .take(MOST_SERIES)
            .collect();
        let cells = runs.cell.distinct.len();
        let varies_in_cell = {
            let mut of_cell: HashMap<Option<u32>, Option<u32>> = HashMap::new();
            (0..words.codes.len()).any(|row| {
                let known = of_cell.entry(runs.cell.codes[row]).or_insert(words.codes[row]);
                words.codes[row].is_some() && known.is_some() && *known != words.codes[row]
            })
        };
        let by_cell = cells > 1 && varies_in_cell && having.len() * cells < MOST_SERIES;
        let mut all = Vec::new();
        for (look, arm) in &having {
            let arm_name = runs.arm.distinct[*arm as usize].clone();
            if !by_cell {
                let belongs = |row: usize| runs.arm.codes[row] == Some(*arm);
                all.push(Series {
                    name: arm_name,
                    look: Some(*look),
                    levels: levels(runs, metric, words, order, belongs),
                });
                continue;
            }
            for (cell, label) in runs.cell.distinct.iter().enumerate() {
                let belongs =
                    |row: usize| runs.arm.codes[row] == Some(*arm) && runs.cell.codes[row] == Some(cell as u32);
                let name = if having.len() > 1 { format!("{arm_name} · {label}") } else { label.clone() };
                // Lines of one arm differ by cell alone, so looks are given anew.
                all.push(Series { name, look: Some(all.len()), levels: levels(runs, metric, words, order, belongs) });
            }
        }
        all.retain(|series| series.levels.len() > 1);
        all
    }

    /// Pairs of numbers that an arm has several values of, those first that do most.
    pub(super) fn heats(&self, runs: &Runs, metric: &str, sensitivities: &[Sensitivity]) -> Vec<Heat> {
        let influence = |name: &str| -> f64 {
            let of = sensitivities.iter().find(|sensitivity| sensitivity.parameter == name && sensitivity.ordered);
            let own = of.into_iter().flat_map(|sensitivity| &sensitivity.series).filter(|series| series.look.is_some());
            let spread = own.map(|series| {
                let medians = series.levels.iter().map(|level| level.quartiles[1]);
                let (low, high) = medians.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), median| {
                    (median.min(low), median.max(high))
                });
                high - low
            });
            spread.fold(f64::NEG_INFINITY, f64::max)
        };
        let ranked: Vec<(&(String, Words), f64)> = self
            .parameters
            .iter()
            .map(|parameter| (parameter, influence(&parameter.0)))
            .filter(|(_, size)| size.is_finite())
            .collect();
        let mut pairs = Vec::new();
        for (place, left) in ranked.iter().enumerate() {
            for right in &ranked[place + 1..] {
                for arm in 0..runs.arm.distinct.len() as u32 {
                    pairs.push((left.1 + right.1, left.0, right.0, arm));
                }
            }
        }
        pairs.sort_by(|left, right| right.0.total_cmp(&left.0));
        let mut heats: Vec<Heat> = Vec::new();
        for (_, left, right, arm) in pairs {
            if heats.len() == MOST_HEATS {
                break;
            }
            heats.extend(heat(runs, metric, left, right, arm));
        }
        heats
    }
}

/// The places of values: numbers rising, others in plan order; of very many some, evenly spaced.
fn level_order(numbers: &[Option<f64>], ordered: bool) -> Vec<u32> {
    let mut order: Vec<u32> = (0..numbers.len() as u32).collect();
    if ordered {
        let number = |place: &u32| numbers[*place as usize].unwrap_or(f64::NAN);
        order.sort_by(|left, right| number(left).total_cmp(&number(right)));
    }
    if order.len() > MOST_LEVELS {
        // Evenly spaced, both ends among them.
        let last = order.len() - 1;
        order = (0..MOST_LEVELS).map(|place| order[place * last / (MOST_LEVELS - 1)]).collect();
    }
    order
}

/// The quartiles of the metric at each value, over the runs that belong; values that none of them has are left out.
fn levels(runs: &Runs, metric: &str, words: &Words, order: &[u32], belongs: impl Fn(usize) -> bool) -> Vec<LevelShape> {
    let mut by_level: HashMap<u32, Vec<f64>> = HashMap::new();
    for row in 0..words.codes.len() {
        if let Some(code) = words.codes[row].filter(|_| belongs(row))
            && let Some(value) = runs.value(metric, row)
        {
            by_level.entry(code).or_default().push(value);
        }
    }
    let level = |code: &u32| {
        let mut values = by_level.remove(code)?;
        values.sort_by(f64::total_cmp);
        let quartiles = [quantile(&values, 0.25)?, quantile(&values, 0.5)?, quantile(&values, 0.75)?];
        let value = words.distinct[*code as usize].clone();
        Some(LevelShape { number: value.parse().ok(), value, runs: values.len() as u64, quartiles })
    };
    order.iter().filter_map(level).collect()
}

/// The classical hedges that do best on average; to do nothing is none of them.
fn of_hedges(runs: &Runs, metric: &str, words: &Words, order: &[u32]) -> Vec<Series> {
    let hedges = references(metric).into_iter().filter(|hedge| hedge.arm != "hedge.none");
    let series = hedges.map(|hedge| Series {
        name: hedge.arm.trim_start_matches("hedge.").to_owned(),
        look: None,
        levels: levels(runs, &hedge.column, words, order, |_| true),
    });
    let mut series: Vec<Series> = series.filter(|series| !series.levels.is_empty()).collect();
    let level = |series: &Series| {
        series.levels.iter().map(|level| level.quartiles[1]).sum::<f64>() / series.levels.len() as f64
    };
    let is_larger_better = engine::metrics::catalogue()
        .iter()
        .any(|known| known.name == metric && known.direction == engine::metrics::Direction::Maximize);
    series.sort_by(|left, right| level(left).total_cmp(&level(right)));
    if is_larger_better {
        series.reverse();
    }
    series.truncate(MOST_REFERENCES);
    series
}

/// The medians of an arm over two parameters; `None` unless it has at least two values of both, and three of one.
fn heat(runs: &Runs, metric: &str, left: &(String, Words), right: &(String, Words), arm: u32) -> Option<Heat> {
    let mut cells: HashMap<(u32, u32), Vec<f64>> = HashMap::new();
    for row in 0..runs.seed.len() {
        if runs.arm.codes[row] != Some(arm) {
            continue;
        }
        if let (Some(x), Some(y), Some(value)) = (left.1.codes[row], right.1.codes[row], runs.value(metric, row)) {
            cells.entry((x, y)).or_default().push(value);
        }
    }
    let present = |words: &Words, of: fn(&(u32, u32)) -> u32| -> Vec<u32> {
        let numbers: Vec<Option<f64>> = words.distinct.iter().map(|word| word.parse().ok()).collect();
        let order = level_order(&numbers, true);
        order.into_iter().filter(|code| cells.keys().any(|cell| of(cell) == *code)).collect()
    };
    let (mut xs, mut ys) = (present(&left.1, |cell| cell.0), present(&right.1, |cell| cell.1));
    let (mut across, mut up) = (left, right);
    let swap = ys.len() > xs.len();
    if swap {
        // The longer one lies across.
        (xs, ys, across, up) = (ys, xs, right, left);
    }
    if xs.len() < 3 || ys.len() < 2 || xs.len() > 16 || ys.len() > 16 {
        return None;
    }
    let median = |x: u32, y: u32| {
        let mut values = cells.get(&if swap { (y, x) } else { (x, y) })?.clone();
        values.sort_by(f64::total_cmp);
        quantile(&values, 0.5)
    };
    let text = |parameter: &(String, Words), codes: &[u32]| -> (String, Vec<String>) {
        (parameter.0.clone(), codes.iter().map(|code| parameter.1.distinct[*code as usize].clone()).collect())
    };
    Some(Heat {
        arm: runs.arm.distinct[arm as usize].clone(),
        x: text(across, &xs),
        y: text(up, &ys),
        medians: ys.iter().map(|y| xs.iter().map(|x| median(*x, *y)).collect()).collect(),
    })
}
