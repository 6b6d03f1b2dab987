//! The layout: which run stands at which index, in the order cell, arm, variant, seed.
//!
//! A grid without holes is arithmetic. With `exclude` or `include` there is one small entry for each combination of
//! cell, arm and variant, and still none for a run.

use std::collections::{BTreeMap, HashMap};

use crate::spec::Seeds;

/// The runs of one cell, arm and variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The index of its first run.
    start: u64,
    cell: u32,
    /// The variant among those of all arms.
    variant: u32,
    /// 0 for all seeds, or else one more than the place of its list.
    seeds: u32,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) enum Layout {
    /// Every combination, with every seed.
    Dense { cells: u64, variants: u64, seeds: u64 },
    /// Some of them.
    Sparse { groups: Vec<Group>, lists: Vec<Vec<u64>>, len: u64 },
}

/// A run's place, with the variant counted among those of all arms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) cell: u32,
    pub(crate) variant: u32,
    pub(crate) seed: u64,
}

impl Layout {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Layout::Dense { cells, variants, seeds } => cells * variants * seeds,
            Layout::Sparse { len, .. } => *len,
        }
    }

    /// The run at an index.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn get(&self, index: u64, all: &Seeds) -> At {
        assert!(index < self.len(), "run {index} of {}", self.len());
        match self {
            Layout::Dense { variants, seeds, .. } => {
                let group = index / seeds;
                let (cell, variant) = (group / variants, group % variants);
                At { cell: cell as u32, variant: variant as u32, seed: all.get(index % seeds) }
            }
            Layout::Sparse { groups, lists, .. } => {
                let group = groups[groups.partition_point(|group| group.start <= index) - 1];
                let place = index - group.start;
                let seed = match group.seeds {
                    0 => all.get(place),
                    list => lists[list as usize - 1][place as usize],
                };
                At { cell: group.cell, variant: group.variant, seed }
            }
        }
    }

    /// Every combination of cell and variant that has runs, in order.
    pub(crate) fn groups(&self) -> Box<dyn Iterator<Item = (u32, u32)> + '_> {
        match self {
            Layout::Dense { cells, variants, .. } => {
                let (cells, variants) = (*cells as u32, *variants as u32);
                Box::new((0..cells).flat_map(move |cell| (0..variants).map(move |variant| (cell, variant))))
            }
            Layout::Sparse { groups, .. } => Box::new(groups.iter().map(|group| (group.cell, group.variant))),
        }
    }
}

/// Puts a sparse layout together.
pub(crate) struct Builder<'s> {
    all: &'s Seeds,
    groups: BTreeMap<(u32, u32), u32>,
    lists: Vec<Vec<u64>>,
    known: HashMap<Vec<u64>, u32>,
}

impl<'s> Builder<'s> {
    pub(crate) fn new(all: &'s Seeds) -> Builder<'s> {
        Builder { all, groups: BTreeMap::new(), lists: Vec::new(), known: HashMap::new() }
    }

    /// Adds a combination with all seeds but these.
    pub(crate) fn without(&mut self, cell: u32, variant: u32, excluded: &[u64]) {
        let list = if excluded.is_empty() {
            0
        } else {
            let seeds: Vec<u64> = self.all.iter().filter(|seed| !excluded.contains(seed)).collect();
            if seeds.is_empty() {
                return;
            }
            self.list(seeds)
        };
        self.groups.insert((cell, variant), list);
    }

    /// Adds one seed or all seeds to a combination, which may be new.
    pub(crate) fn with(&mut self, cell: u32, variant: u32, seed: Option<u64>) {
        let before = self.groups.get(&(cell, variant)).copied();
        // The sweep's seeds first, in their order, then what is not among them in the order of being added.
        let had = |seed: u64| match before {
            None => false,
            Some(0) => self.all.contains(seed),
            Some(list) => self.lists[list as usize - 1].contains(&seed),
        };
        let list = match seed {
            _ if before == Some(0) && seed.is_none_or(|seed| self.all.contains(seed)) => 0,
            Some(seed) if had(seed) => return,
            _ => {
                let more = |known: u64| had(known) || seed.is_none_or(|seed| seed == known);
                let mut seeds: Vec<u64> = self.all.iter().filter(|known| more(*known)).collect();
                if let Some(list) = before.filter(|list| *list > 0) {
                    seeds.extend(self.lists[list as usize - 1].iter().filter(|seed| !self.all.contains(**seed)));
                }
                seeds.extend(seed.filter(|seed| !self.all.contains(*seed)));
                self.list(seeds)
            }
        };
        self.groups.insert((cell, variant), list);
    }

    /// The number of a list of seeds.
    fn list(&mut self, seeds: Vec<u64>) -> u32 {
        if seeds.len() as u64 == self.all.len() && self.all.iter().eq(seeds.iter().copied()) {
            return 0;
        }
        if let Some(list) = self.known.get(&seeds) {
            return *list;
        }
        self.lists.push(seeds.clone());
        let list = self.lists.len() as u32;
        self.known.insert(seeds, list);
        list
    }

    pub(crate) fn finish(self) -> Layout {
        let mut groups = Vec::with_capacity(self.groups.len());
        let mut start = 0;
        for ((cell, variant), seeds) in self.groups {
            groups.push(Group { start, cell, variant, seeds });
            start += match seeds {
                0 => self.all.len(),
                list => self.lists[list as usize - 1].len() as u64,
            };
        }
        Layout::Sparse { groups, lists: self.lists, len: start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(layout: &Layout, all: &Seeds) -> Vec<(u32, u32, u64)> {
        (0..layout.len()).map(|index| layout.get(index, all)).map(|at| (at.cell, at.variant, at.seed)).collect()
    }

    #[test]
    fn dense_is_the_product_in_order() {
        let all = Seeds::List(vec![7, 3]);
        let layout = Layout::Dense { cells: 2, variants: 1, seeds: 2 };
        assert_eq!(runs(&layout, &all), [(0, 0, 7), (0, 0, 3), (1, 0, 7), (1, 0, 3)]);
    }

    #[test]
    fn seeds_leave_and_come_back() {
        let all = Seeds::Range { start: 0, count: 3 };
        let mut builder = Builder::new(&all);
        builder.without(0, 0, &[1]);
        builder.without(0, 1, &[0, 1, 2]);
        builder.with(1, 0, Some(9));
        builder.with(1, 0, Some(2));
        builder.with(0, 1, Some(9));
        builder.with(0, 1, None);
        let layout = builder.finish();
        let expected = [(0, 0, 0), (0, 0, 2), (0, 1, 0), (0, 1, 1), (0, 1, 2), (0, 1, 9), (1, 0, 2), (1, 0, 9)];
        assert_eq!(runs(&layout, &all), expected);

        let mut builder = Builder::new(&all);
        builder.without(0, 0, &[1]);
        builder.with(0, 0, Some(1));
        assert_eq!(runs(&builder.finish(), &all), [(0, 0, 0), (0, 0, 1), (0, 0, 2)]);
    }
}
