//! Held-out sets: the same paths, with what the contract is worth on them, for every run in a market cell.

use super::{BLOCK_PATHS, Valuation};
use crate::RunConfig;
use crate::features::{Inputs, Scales, ScalesFit};
use crate::market::{Market, Paths};
use crate::pricing::{Greeks, PricingError};
use crate::random::{Purpose, StreamPerPath};

/// Some paths of a set.
pub(crate) struct Scenarios {
    /// The paths.
    pub(crate) paths: Paths,
    /// The price and greeks of the contract for its holder, \[T, B\], time-major; empty without a contract.
    pub(crate) greeks: Vec<Greeks>,
}

/// Sets above this are not kept in memory, but simulated again whenever they are used.
const KEPT_SET_BYTES: u64 = 128 << 20;

/// A set of paths that no network is trained on. It depends on market, contract, purpose and count alone.
pub(crate) struct HeldOut {
    market: Market,
    purpose: Purpose,
    count: usize,
    block_paths: usize,
    valuation: Option<Valuation>,
    kept: Option<Vec<Scenarios>>,
}

/// Bytes of a block of this many paths of `points` points.
pub(crate) fn block_bytes(config: &RunConfig, paths: u64) -> u64 {
    let points = config.market.model().steps() as u64 + 1;
    let greeks = if config.contract.claim().is_some() { size_of::<Greeks>() as u64 } else { 0 };
    paths * points * (2 * size_of::<f64>() as u64 + greeks)
}

/// Bytes that a set of this many paths keeps.
pub(crate) fn kept_bytes(config: &RunConfig, count: u64) -> u64 {
    let whole = block_bytes(config, count);
    let paths = if whole <= KEPT_SET_BYTES { whole } else { block_bytes(config, BLOCK_PATHS as u64) };
    paths + Valuation::most_bytes(config)
}

impl HeldOut {
    /// The first `count` paths of a set.
    ///
    /// # Errors
    /// If a price cannot be computed.
    pub(crate) fn new(config: &RunConfig, purpose: Purpose, count: usize) -> Result<HeldOut, PricingError> {
        let kept = block_bytes(config, count as u64) <= KEPT_SET_BYTES;
        HeldOut::in_blocks(config, purpose, count, BLOCK_PATHS, kept)
    }

    /// The same in blocks of another size, kept or simulated again: it changes no number.
    pub(super) fn in_blocks(
        config: &RunConfig,
        purpose: Purpose,
        count: usize,
        block_paths: usize,
        kept: bool,
    ) -> Result<HeldOut, PricingError> {
        let market = config.market.clone();
        let valuation = Valuation::of(config)?;
        let mut set = HeldOut { market, purpose, count, block_paths, valuation, kept: None };
        if kept {
            let mut blocks = Vec::with_capacity(count.div_ceil(block_paths));
            set.simulate(|paths| blocks.push(set.valued(paths)));
            set.kept = Some(blocks);
            // Its work is done.
            set.valuation = None;
        }
        Ok(set)
    }

    /// Whether the set is in memory, or else simulated whenever it is used.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Bytes that the set keeps.
    pub(crate) fn bytes(&self) -> u64 {
        let of = |block: &Scenarios| {
            2 * block.paths.price.len() * size_of::<f64>() + block.greeks.len() * size_of::<Greeks>()
        };
        let blocks: u64 = self.kept.iter().flatten().map(|block| of(block) as u64).sum();
        blocks + self.valuation.as_ref().map_or(0, Valuation::bytes)
    }

    /// Calls `each` with every block of the set, in order.
    pub(crate) fn for_each_block(&self, mut each: impl FnMut(&Scenarios)) {
        match &self.kept {
            Some(blocks) => blocks.iter().for_each(each),
            None => self.simulate(|paths| each(&self.valued(paths))),
        }
    }

    /// The whole set's scales.
    pub(crate) fn scales(&self, inputs: Inputs<'_>) -> Scales {
        let mut fit = ScalesFit::new(inputs);
        match &self.kept {
            Some(blocks) => blocks.iter().for_each(|block| fit.push(&block.paths)),
            None => self.simulate(|paths| fit.push(paths)),
        }
        fit.scales()
    }

    fn valued(&self, paths: &Paths) -> Scenarios {
        let greeks = self.valuation.as_ref().map_or_else(Vec::new, |valuation| valuation.on(paths));
        Scenarios { paths: paths.copy(), greeks }
    }

    fn simulate(&self, mut each: impl FnMut(&Paths)) {
        let block_paths = self.block_paths;
        let model = self.market.model();
        let mut normals = StreamPerPath { purpose: self.purpose, seed: 0 };
        let mut paths = Paths::zeros(block_paths.min(self.count), model.steps() + 1);
        for first in (0..self.count).step_by(block_paths) {
            let here = block_paths.min(self.count - first);
            if here < paths.count() {
                paths = Paths::zeros(here, model.steps() + 1);
            }
            paths.simulate(model, &mut normals, first as u64);
            each(&paths);
        }
    }
}
