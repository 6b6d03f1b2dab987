//! Spaces: the combinations of a list of axes, addressed by a dense index and never written down.
//!
//! The block's space has the cells, an arm's has its variants. The first combinations are the grid's (the last axis
//! varies fastest) or the draws'; behind them come those that `include` adds.

use std::borrow::Cow;
use std::collections::HashMap;

use engine::Value;

use super::draw::{Block, Stream};
use crate::spec::{Axis, Domain, equal};

/// Keys with the values that an `include` entry gives them.
pub(crate) type Pins = Vec<(String, Value)>;

/// A combination that `include` adds: one of the space's own, with other values for the pinned keys.
#[derive(Clone, Copy, Debug)]
struct Extra {
    pins: u32,
    base: u32,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    axes: Vec<Axis>,
    /// How many combinations come before an axis's digit changes; for a grid.
    strides: Vec<u64>,
    /// The axes' draws, where the combinations are draws.
    draws: Option<Vec<Stream>>,
    /// How many combinations there are before the extras.
    size: u64,
    pins: Vec<Pins>,
    extras: Vec<Extra>,
    known: HashMap<(u32, u32), u32>,
}

impl Space {
    /// Every combination of the axes' values.
    pub(crate) fn grid(axes: Vec<Axis>) -> Space {
        let mut strides = vec![1_u64; axes.len()];
        let mut size = 1_u64;
        for (stride, axis) in strides.iter_mut().zip(&axes).rev() {
            *stride = size;
            size = size.saturating_mul(count(axis) as u64);
        }
        Space { axes, strides, draws: None, size, pins: Vec::new(), extras: Vec::new(), known: HashMap::new() }
    }

    /// `samples` draws; one combination if there is nothing to draw.
    pub(crate) fn random(axes: Vec<Axis>, samples: u64, sweep_seed: u64, arm: &str) -> Space {
        let stream = |axis: &Axis| {
            let distribution = match axis.domain {
                Domain::Drawn(distribution) => Some(distribution),
                Domain::Values { .. } => None,
            };
            Stream::new(sweep_seed, arm, &axis.key, distribution)
        };
        let draws = axes.iter().map(stream).collect();
        let size = if axes.iter().any(Axis::varies) { samples } else { 1 };
        Space { size, draws: Some(draws), ..Space::grid(axes) }
    }

    /// How many combinations there are, extras included.
    pub(crate) fn len(&self) -> u64 {
        self.size + self.extras.len() as u64
    }

    /// How many combinations there are before the extras.
    pub(crate) fn own_len(&self) -> u64 {
        self.size
    }

    pub(crate) fn axes(&self) -> &[Axis] {
        &self.axes
    }

    pub(crate) fn is_drawn(&self) -> bool {
        self.draws.is_some()
    }

    /// Whether `include` has added the combination.
    pub(crate) fn is_extra(&self, index: u32) -> bool {
        u64::from(index) >= self.size
    }

    /// Every key that some extra pins.
    pub(crate) fn pinned_keys(&self) -> impl Iterator<Item = &str> {
        self.pins.iter().flatten().map(|(key, _)| key.as_str())
    }

    /// Every value that some extra pins a key to.
    pub(crate) fn pinned_values<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'s Value> {
        self.pins.iter().flatten().filter(move |(pinned, _)| pinned == key).map(|(_, value)| value)
    }

    /// The keys that a combination pins, and the combination whose other values it has.
    pub(crate) fn pins(&self, index: u32) -> (&[(String, Value)], u32) {
        match u64::from(index).checked_sub(self.size) {
            None => (&[], index),
            Some(extra) => {
                let Extra { pins, base } = self.extras[extra as usize];
                (&self.pins[pins as usize], base)
            }
        }
    }

    /// Which of an axis's values a combination has, pins aside; `None` for an axis that is drawn from a distribution.
    pub(crate) fn digit(&self, axis: usize, index: u32) -> Option<usize> {
        self.digit_from(axis, index, &mut Block::none())
    }

    fn digit_from(&self, axis: usize, index: u32, block: &mut Block) -> Option<usize> {
        let (_, base) = self.pins(index);
        let Domain::Values { values, .. } = &self.axes[axis].domain else { return None };
        Some(match &self.draws {
            _ if values.len() == 1 => 0,
            None => ((u64::from(base) / self.strides[axis]) % values.len() as u64) as usize,
            Some(draws) => draws[axis].place(base, values.len(), block),
        })
    }

    /// The value that a combination gives an axis's key.
    pub(crate) fn value(&self, axis: usize, index: u32) -> Cow<'_, Value> {
        self.value_from(axis, index, &mut Block::none())
    }

    /// [`Space::value`] for going through the combinations in order; `block` is the axis's.
    pub(crate) fn value_from(&self, axis: usize, index: u32, block: &mut Block) -> Cow<'_, Value> {
        let (pins, base) = self.pins(index);
        if let Some((_, value)) = pins.iter().find(|(key, _)| *key == self.axes[axis].key) {
            return Cow::Borrowed(value);
        }
        match (&self.axes[axis].domain, &self.draws) {
            (Domain::Values { values, .. }, _) => {
                Cow::Borrowed(&values[self.digit_from(axis, base, block).expect("values have digits")])
            }
            (Domain::Drawn(distribution), Some(draws)) => Cow::Owned(draws[axis].value(base, *distribution, block)),
            (Domain::Drawn(_), None) => unreachable!("a grid's axes have values"),
        }
    }

    /// Every key that a combination sets, with its value.
    pub(crate) fn settings(&self, index: u32) -> impl Iterator<Item = (&str, Cow<'_, Value>)> {
        let (pins, _) = self.pins(index);
        let axes = (0..self.axes.len()).map(move |axis| (self.axes[axis].key.as_str(), self.value(axis, index)));
        let more = pins.iter().filter(|(key, _)| self.axes.iter().all(|axis| axis.key != *key));
        axes.chain(more.map(|(key, value)| (key.as_str(), Cow::Borrowed(value))))
    }

    /// Whether a combination of the space's own has these values.
    pub(crate) fn matches(&self, index: u32, pins: &[(usize, usize)]) -> bool {
        pins.iter().all(|(axis, digit)| self.digit(*axis, index) == Some(*digit))
    }

    /// How many combinations [`Space::select`] would give at most.
    pub(crate) fn count_selected(&self, pins: &[(String, Value)]) -> u64 {
        if self.draws.is_some() {
            return self.size;
        }
        let pinned = |axis: &&Axis| pins.iter().any(|(key, _)| axis.key == *key);
        self.axes
            .iter()
            .filter(|axis| !pinned(axis))
            .fold(1, |product, axis| product.saturating_mul(count(axis) as u64))
    }

    /// The combinations that have the pinned values and every value of the other axes. Those that the space does not
    /// have yet are added to it.
    pub(crate) fn select(&mut self, pins: &[(String, Value)]) -> Vec<u32> {
        let axis_of = |key: &str| self.axes.iter().position(|axis| axis.key == key);
        // Pins to values that an axis has select among what there is; the others make something new.
        let mut fixed: Vec<(usize, usize)> = Vec::new();
        let mut fresh: Pins = Vec::new();
        for (key, value) in pins {
            match axis_of(key).and_then(|axis| Some((axis, self.axes[axis].index_of(value)?))) {
                Some((axis, digit)) if self.draws.is_none() || !self.axes[axis].varies() => fixed.push((axis, digit)),
                _ => fresh.push((key.clone(), value.clone())),
            }
        }
        if fresh.is_empty() {
            return self.bases(&fixed, &[]);
        }
        fresh.sort_by(|a, b| a.0.cmp(&b.0));
        let replaced: Vec<usize> = fresh.iter().filter_map(|(key, _)| axis_of(key)).collect();
        let bases = self.bases(&fixed, &replaced);
        let same = |known: &Pins| {
            known.len() == fresh.len() && known.iter().zip(&fresh).all(|(a, b)| a.0 == b.0 && equal(&a.1, &b.1))
        };
        let pins = self.pins.iter().position(same).unwrap_or_else(|| {
            self.pins.push(fresh);
            self.pins.len() - 1
        }) as u32;
        bases.into_iter().map(|base| self.extra(Extra { pins, base })).collect()
    }

    /// The index of an extra, which is added if it is new.
    fn extra(&mut self, extra: Extra) -> u32 {
        let next = self.len() as u32;
        let index = *self.known.entry((extra.pins, extra.base)).or_insert(next);
        if index == next {
            self.extras.push(extra);
        }
        index
    }

    /// The space's own combinations with these digits; of those that differ in `replaced` axes alone, the first.
    fn bases(&self, fixed: &[(usize, usize)], replaced: &[usize]) -> Vec<u32> {
        if self.draws.is_some() {
            let varies = (0..self.axes.len()).any(|axis| self.axes[axis].varies() && !replaced.contains(&axis));
            return (0..if varies { self.size as u32 } else { 1 }).collect();
        }
        let mut bases = vec![0_u32];
        for (axis, stride) in self.strides.iter().enumerate() {
            let digits = match fixed.iter().find(|(fixed, _)| *fixed == axis) {
                Some((_, digit)) => *digit..digit + 1,
                None if replaced.contains(&axis) => 0..1,
                None => 0..count(&self.axes[axis]),
            };
            let with = |base: u32| digits.clone().map(move |digit| base + digit as u32 * *stride as u32);
            bases = bases.into_iter().flat_map(with).collect::<Vec<_>>();
        }
        bases
    }

    /// Whether two of the space's combinations can be one config.
    pub(crate) fn may_repeat(&self) -> bool {
        self.draws.is_some() || !self.extras.is_empty()
    }

    /// The keys that have more than one value in the space, in the order of the axes.
    pub(crate) fn varying(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        let varying = self.axes.iter().filter(|axis| axis.varies()).map(|axis| axis.key.as_str());
        for key in varying.chain(self.pinned_keys()) {
            if !keys.iter().any(|known| known == key) {
                keys.push(key.to_owned());
            }
        }
        keys
    }
}

/// How many values an axis has; 1 for one that is drawn from a distribution.
fn count(axis: &Axis) -> usize {
    match &axis.domain {
        Domain::Values { values, .. } => values.len(),
        Domain::Drawn(_) => 1,
    }
}
