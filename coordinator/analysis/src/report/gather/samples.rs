//! Distributions over paths, from samples that may be many more than fit into memory.
//!
//! A value is counted under the upper bits of its float: sign, exponent and eleven bits of its fraction, so that it is known to a
//! part in two thousand, whatever its size, in one pass and without knowing the range before.

use std::collections::{BTreeMap, HashMap};

use engine::RunId;
use results::StoreError;

use super::{Ids, Place};
use crate::report::data::{Histogram, Panel, QUANTILES, SampleShape};
use crate::sources::Sources;

/// Bins of a histogram.
const BINS: usize = 60;

/// The share of values on either side that a histogram leaves out.
const TAIL: f64 = 0.001;

/// Counts of values.
#[derive(Clone, Debug, Default)]
struct Sketch {
    counts: HashMap<u32, u64>,
    n: u64,
}

impl Sketch {
    const BITS: u32 = 12;

    fn push(&mut self, value: f32) {
        if value.is_finite() {
            *self.counts.entry(Sketch::key(value)).or_default() += 1;
            self.n += 1;
        }
    }

    /// Rises with the value.
    fn key(value: f32) -> u32 {
        let bits = (value + 0.0).to_bits();
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        ordered >> Sketch::BITS
    }

    /// The middle of the values of a key.
    fn value(key: u32) -> f64 {
        let ordered = (key << Sketch::BITS) | 1 << (Sketch::BITS - 1);
        // Zero has a key of its own neighbours; its middle is a denormal, which is as good as zero.
        let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
        f64::from(f32::from_bits(bits))
    }

    /// The values, rising, each with its count.
    fn sorted(&self) -> Vec<(f64, u64)> {
        let ordered: BTreeMap<u32, u64> = self.counts.iter().map(|(key, count)| (*key, *count)).collect();
        ordered.into_iter().map(|(key, count)| (Sketch::value(key), count)).collect()
    }
}

/// The smallest value that at least a share of all are at or below.
fn quantile(sorted: &[(f64, u64)], n: u64, share: f64) -> Option<f64> {
    let rank = (share * n as f64).ceil().max(1.0) as u64;
    let mut seen = 0;
    sorted
        .iter()
        .find(|(_, count)| {
            seen += count;
            seen >= rank
        })
        .map(|(value, _)| *value)
}

fn histogram(sketch: &Sketch, low: f64, high: f64) -> Histogram {
    let sorted = sketch.sorted();
    let width = (high - low) / BINS as f64;
    let mut counts = vec![0; BINS];
    for (value, count) in &sorted {
        let bin = (value - low) / width;
        if (0.0..BINS as f64).contains(&bin) {
            counts[bin as usize] += count;
        }
    }
    Histogram {
        n: sketch.n,
        edges: (0..=BINS).map(|edge| low + edge as f64 * width).collect(),
        counts,
        quantiles: QUANTILES.into_iter().filter_map(|share| quantile(&sorted, sketch.n, share)).collect(),
    }
}

/// A group's samples of one set.
#[derive(Clone, Debug, Default)]
struct Pair {
    pnl: Sketch,
    cost: Sketch,
}

/// The samples of the run that is being read: of held-out sets those of the latest epoch.
#[derive(Default)]
struct Current {
    run: Option<RunId>,
    /// Where it is shown.
    places: Vec<Place>,
    sets: HashMap<String, (u32, Vec<(f32, f32)>)>,
}

/// Reads the samples of the shown runs into the panels; nothing if none were recorded.
pub(super) fn fill(sources: &Sources<'_>, ids: &Ids, panels: &mut [Panel]) -> Result<(), StoreError> {
    let mut all: HashMap<(String, Place), Pair> = HashMap::new();
    let mut current = Current::default();
    sources.each_sample(|run, batch, rows| {
        // A run may go on in the next batch.
        if current.run != Some(run) {
            flush(&mut current, &mut all);
            (current.run, current.places) = (Some(run), ids.places(run).to_vec());
        }
        if !current.places.is_empty() {
            for row in rows {
                let set = batch.set.get(row).unwrap_or_default();
                take(&mut current, set, batch.epoch[row], (batch.pnl[row], batch.cost[row]));
            }
        }
    })?;
    flush(&mut current, &mut all);
    // What is held out says more than what was trained on.
    let set = ["test", "validation", "train"].into_iter().find(|set| all.keys().any(|(known, _)| known == set));
    let Some(set) = set else { return Ok(()) };
    for (number, panel) in panels.iter_mut().enumerate() {
        let of_panel: Vec<(usize, &Pair)> = (0..panel.groups.len())
            .filter_map(|group| Some((group, all.get(&(set.to_owned(), (number, group)))?)))
            .collect();
        let pnl = edges(of_panel.iter().map(|(_, pair)| &pair.pnl));
        let cost = edges(of_panel.iter().map(|(_, pair)| &pair.cost));
        let (Some(pnl), Some(cost)) = (pnl, cost) else { continue };
        for (group, pair) in of_panel {
            panel.groups[group].samples = Some(SampleShape {
                set: set.to_owned(),
                pnl: histogram(&pair.pnl, pnl.0, pnl.1),
                cost: histogram(&pair.cost, cost.0, cost.1),
            });
        }
    }
    Ok(())
}

fn take(current: &mut Current, set: &str, epoch: u32, value: (f32, f32)) {
    if !current.sets.contains_key(set) {
        current.sets.insert(set.to_owned(), (epoch, Vec::new()));
    }
    let Some((latest, values)) = current.sets.get_mut(set) else { return };
    if epoch > *latest && set != "train" {
        values.clear();
    }
    *latest = epoch.max(*latest);
    values.push(value);
}

fn flush(current: &mut Current, all: &mut HashMap<(String, Place), Pair>) {
    for (set, (_, values)) in current.sets.drain() {
        for place in &current.places {
            let pair = all.entry((set.clone(), *place)).or_default();
            for (pnl, cost) in &values {
                pair.pnl.push(*pnl);
                pair.cost.push(*cost);
            }
        }
    }
}

/// The range that holds nearly all values of all sketches.
fn edges<'a>(sketches: impl Iterator<Item = &'a Sketch>) -> Option<(f64, f64)> {
    let ranges = sketches.filter_map(|sketch| {
        let sorted = sketch.sorted();
        Some((quantile(&sorted, sketch.n, TAIL)?, quantile(&sorted, sketch.n, 1.0 - TAIL)?))
    });
    let (low, high) = ranges.reduce(|left, right| (left.0.min(right.0), left.1.max(right.1)))?;
    let (low, high) = crate::report::ticks::widened(low, high);
    // The last value lies within the last bin.
    Some((low, high + 1e-9 * (high - low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_known_to_a_part_in_two_thousand_and_in_order() {
        let values = [-3e8_f32, -1.5, -1e-3, 0.0, 1e-20, 0.25, 0.3, 1.0, 12345.0];
        let keys: Vec<u32> = values.iter().map(|value| Sketch::key(*value)).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
        for value in values {
            let known = Sketch::value(Sketch::key(value));
            assert!((known - f64::from(value)).abs() <= f64::from(value.abs()) / 2000.0 + 1e-37, "{known} for {value}");
        }
        assert_eq!(Sketch::key(-0.0), Sketch::key(0.0));
    }

    #[test]
    fn quantiles_and_bins_are_those_of_the_values() {
        let mut sketch = Sketch::default();
        (1..=1000).for_each(|value| sketch.push(value as f32));
        sketch.push(f32::NAN);
        let histogram = histogram(&sketch, 0.0, 1000.0);
        assert_eq!(histogram.n, 1000);
        for (share, found) in QUANTILES.into_iter().zip(&histogram.quantiles) {
            assert!((found - 1000.0 * share).abs() <= 1000.0 * share / 1000.0, "{found} for {share}");
        }
        let total: u64 = histogram.counts.iter().sum();
        assert!(total >= 999, "{total}");
        // 1000 / 60 values a bin, up to a value at each edge.
        assert!(histogram.counts.iter().all(|count| (15..=18).contains(count)), "{:?}", histogram.counts);
    }

    #[test]
    fn of_a_held_out_set_the_last_epoch_counts_and_of_the_training_set_all() {
        let mut current = Current { places: vec![(0, 0)], ..Current::default() };
        for (set, epoch) in [("test", 1), ("train", 1), ("test", 2), ("train", 2)] {
            take(&mut current, set, epoch, (epoch as f32, 0.0));
        }
        let mut all = HashMap::new();
        flush(&mut current, &mut all);
        assert_eq!(all[&("test".to_owned(), (0, 0))].pnl.n, 1);
        assert_eq!(all[&("train".to_owned(), (0, 0))].pnl.n, 2);
        assert_eq!(all[&("test".to_owned(), (0, 0))].pnl.counts.keys().next(), Some(&Sketch::key(2.0)));
    }
}
