//! Seeds: the replicates of every cell.

use std::collections::HashMap;

use super::context::{Context, Problem, Whole};
use super::yaml::{Data, Node};

/// Seeds are below 2⁶³, so that every table and language can hold them.
const MAX_SEED: u64 = i64::MAX as u64;

/// The replicates of a sweep, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// `count` seeds from `start` on.
    Range {
        /// The first seed.
        start: u64,
        /// How many there are; at least 1.
        count: u64,
    },
    /// These, each once; never empty.
    List(Vec<u64>),
}

impl Seeds {
    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "seeds are never empty")]
    pub fn len(&self) -> u64 {
        match self {
            Seeds::Range { count, .. } => *count,
            Seeds::List(seeds) => seeds.len() as u64,
        }
    }

    /// The seed at a place.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn get(&self, place: u64) -> u64 {
        match self {
            Seeds::Range { start, count } => {
                assert!(place < *count, "seed {place} of {count}");
                start + place
            }
            Seeds::List(seeds) => seeds[usize::try_from(place).expect("a list's places fit in memory")],
        }
    }

    /// Whether `seed` is one of them.
    pub fn contains(&self, seed: u64) -> bool {
        match self {
            Seeds::Range { start, count } => (*start..start + count).contains(&seed),
            Seeds::List(seeds) => seeds.contains(&seed),
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.len()).map(|place| self.get(place))
    }
}

/// One seed.
pub(crate) fn seed(cx: &mut Context<'_>, node: &Node, path: &str) -> Option<u64> {
    cx.whole(node, path, Whole::new(0, MAX_SEED))
}

/// `seeds: 30`, `seeds: {start: 100, count: 30}` or `seeds: [1, 2, 3]`.
pub(crate) fn read(cx: &mut Context<'_>, node: &Node) -> Option<Seeds> {
    match &node.data {
        Data::Scalar { .. } => {
            cx.whole(node, "seeds", Whole::new(1, MAX_SEED)).map(|count| Seeds::Range { start: 0, count })
        }
        Data::Map(_) => {
            let fields = cx.fields(node, "seeds", &["start", "count"])?;
            let start = match fields.get("start") {
                Some(node) => seed(cx, node, "seeds.start"),
                None => Some(0),
            };
            let Some(node) = fields.get("count") else {
                cx.error(Problem::new(fields.place, "seeds.count", "is missing").allowed("a whole number ≥ 1"));
                return None;
            };
            let count = cx.whole(node, "seeds.count", Whole::new(1, MAX_SEED))?;
            let start = start?;
            if count > MAX_SEED - start {
                let problem = Problem::new(node.place, "seeds.count", "leads to seeds of 2^63 and more");
                cx.error(problem.value(count.to_string()));
                return None;
            }
            Some(Seeds::Range { start, count })
        }
        Data::List(items) => {
            if items.is_empty() {
                cx.error(Problem::new(node.place, "seeds", "is empty: there would be no runs"));
                return None;
            }
            let mut first: HashMap<u64, usize> = HashMap::new();
            let mut seeds = Vec::with_capacity(items.len());
            let mut sound = true;
            for (place, item) in items.iter().enumerate() {
                let path = format!("seeds[{place}]");
                let Some(seed) = seed(cx, item, &path) else {
                    sound = false;
                    continue;
                };
                if let Some(first) = first.insert(seed, place) {
                    let problem = Problem::new(item.place, path, format!("is given twice: it is seeds[{first}] too"));
                    cx.error(problem.value(seed.to_string()));
                    sound = false;
                }
                seeds.push(seed);
            }
            sound.then_some(Seeds::List(seeds))
        }
    }
}
