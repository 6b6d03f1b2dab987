//! Costs in proportion to what is traded.

use super::{Book, CostBase, CostModel};
use crate::config::Range;
use crate::config::declare::section;
use crate::real::Real;

section! {
    /// Proportional costs. By default neither building up the first position nor closing the last one costs anything.
    pub struct Proportional {
        /// Cost of trading one unit of the base.
        rate: f64 = 0.01, Range::NON_NEGATIVE;
        /// What a trade's size is measured in.
        base: CostBase = CostBase::Units, Range::ANY;
        /// Whether building up the first position costs.
        entry: bool = false, Range::ANY;
        /// Whether closing the last position costs.
        exit: bool = false, Range::ANY;
    }
}

/// The trades of all paths at one point that are charged: from where to where. Rows hold a number a path.
struct Trades<'a, R> {
    positions: &'a [R],
    price: &'a [R],
    /// Where the prices are that they are made at, among \[T, B\].
    at: std::ops::Range<usize>,
    /// Where the positions are that they come from and lead to, among \[D, B\]; `None` if they open or close.
    from: Option<std::ops::Range<usize>>,
    to: Option<std::ops::Range<usize>>,
}

impl<R: Real> Trades<'_, R> {
    /// Calls `each` with every path's own of `others`, its change of the position and the price.
    #[inline(always)]
    fn for_each<T>(&self, others: impl Iterator<Item = T>, mut each: impl FnMut(T, R, R)) {
        let others = self.price[self.at.clone()].iter().zip(others);
        let held = |row: &Option<std::ops::Range<usize>>| row.clone().map(|row| &self.positions[row]);
        match (held(&self.from), held(&self.to)) {
            (Some(from), Some(to)) => {
                others.zip(to.iter().zip(from)).for_each(|((price, own), (to, from))| each(own, *to - *from, *price));
            }
            (None, Some(to)) => others.zip(to).for_each(|((price, own), to)| each(own, *to, *price)),
            (Some(from), None) => others.zip(from).for_each(|((price, own), from)| each(own, -*from, *price)),
            (None, None) => {}
        }
    }
}

impl Proportional {
    /// The trades that are charged, point by point: from nothing to δ_0 if entry costs, from δ_{t−1} to δ_t, and at the last
    /// price from the last position to nothing if exit costs.
    fn trades<'a, R>(&self, book: Book<'a, R>) -> impl Iterator<Item = Trades<'a, R>> {
        let Book { positions, price, batch } = book;
        let (held, priced) = (positions.len() / batch, price.len() / batch);
        let row = move |point: usize| point * batch..(point + 1) * batch;
        let trades = move |at: usize, from: Option<usize>, to: Option<usize>| Trades {
            positions,
            price,
            at: row(at),
            from: from.map(row),
            to: to.map(row),
        };
        let entry = self.entry.then(|| trades(0, None, Some(0)));
        let exit = self.exit.then(|| trades(priced - 1, Some(held - 1), None));
        entry.into_iter().chain((1..held).map(move |at| trades(at, Some(at - 1), Some(at)))).chain(exit)
    }
}

impl<R: Real> CostModel<R> for Proportional {
    fn unit_cost(&self, price: R) -> R {
        let rate = R::from_f64(self.rate);
        match self.base {
            CostBase::Units => rate,
            CostBase::Notional => rate * price,
        }
    }

    fn charges(&self, book: Book<'_, R>, out: &mut Vec<R>) {
        out.clear();
        out.resize(book.price.len(), R::ZERO);
        for trades in self.trades(book) {
            let out = out[trades.at.clone()].iter_mut();
            trades.for_each(out, |out, size, price| *out += self.unit_cost(price) * size.abs());
        }
    }

    fn turnover(&self, book: Book<'_, R>, out: &mut Vec<R>) {
        out.clear();
        out.resize(book.batch, R::ZERO);
        for trades in self.trades(book) {
            trades.for_each(out.iter_mut(), |out, size, _| *out += size.abs());
        }
    }

    /// The slope of |x| at 0 is 0.
    fn backward(&self, book: Book<'_, R>, d_cost: &[R], d_positions: &mut [R]) {
        for trades in self.trades(book) {
            let slope = |d_cost: R, size: R, price: R| d_cost * self.unit_cost(price) * size.signum0();
            if let Some(from) = &trades.from {
                let d_from = d_positions[from.clone()].iter_mut().zip(d_cost);
                trades.for_each(d_from, |(d, d_cost), size, price| *d -= slope(*d_cost, size, price));
            }
            if let Some(to) = &trades.to {
                let d_to = d_positions[to.clone()].iter_mut().zip(d_cost);
                trades.for_each(d_to, |(d, d_cost), size, price| *d += slope(*d_cost, size, price));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::sum_over_time;
    use crate::golden::assert_close;

    const POSITIONS: [f64; 6] = [0.5, -0.2, 0.7, 0.3, 0.1, 0.25];
    const PRICE: [f64; 6] = [100.0, 50.0, 110.0, 40.0, 90.0, 60.0];

    fn book(positions: &[f64]) -> Book<'_, f64> {
        Book { positions, price: &PRICE, batch: 2 }
    }

    fn cost(model: &Proportional, positions: &[f64]) -> Vec<f64> {
        let (mut charges, mut cost) = (Vec::new(), Vec::new());
        model.charges(book(positions), &mut charges);
        sum_over_time(&charges, 2, &mut cost);
        cost
    }

    #[test]
    fn the_papers_cost_is_the_sum_of_changes_in_between() {
        let model = Proportional::default();
        assert_close(&cost(&model, &POSITIONS), &[0.01 * (0.2 + 0.6), 0.01 * (0.5 + 0.05)], 1e-15);
        let mut turnover = Vec::new();
        model.turnover(book(&POSITIONS), &mut turnover);
        assert_close(&turnover, &[0.8, 0.55], 1e-15);
    }

    #[test]
    fn notional_costs_with_entry_and_exit() {
        let model = Proportional { base: CostBase::Notional, entry: true, exit: true, ..Proportional::default() };
        let first = 100.0 * 0.5 + 110.0 * 0.2 + 90.0 * 0.6 + 90.0 * 0.1;
        let second = 50.0 * 0.2 + 40.0 * 0.5 + 60.0 * 0.05 + 60.0 * 0.25;
        assert_close(&cost(&model, &POSITIONS), &[0.01 * first, 0.01 * second], 1e-15);
        let mut turnover = Vec::new();
        model.turnover(book(&POSITIONS), &mut turnover);
        assert_close(&turnover, &[0.5 + 0.2 + 0.6 + 0.1, 0.2 + 0.5 + 0.05 + 0.25], 1e-15);
    }

    #[test]
    fn the_gradient_is_the_difference_quotient() {
        for (base, entry, exit) in [
            (CostBase::Units, false, false),
            (CostBase::Units, true, false),
            (CostBase::Notional, false, true),
            (CostBase::Notional, true, true),
        ] {
            let model = Proportional { rate: 0.03, base, entry, exit };
            let d_cost = [1.5, -0.5];
            let value = |positions: &[f64]| -> f64 {
                cost(&model, positions).iter().zip(d_cost).map(|(cost, weight)| cost * weight).sum()
            };
            let mut gradient = vec![0.0; 6];
            model.backward(book(&POSITIONS), &d_cost, &mut gradient);
            // Piecewise linear: the quotient is exact up to rounding, 1e-16 · 10 / 1e-4.
            crate::golden::assert_gradient(value, &POSITIONS, &gradient, 1e-4, 1e-10);
            // Nothing is held after the last but one point.
            let mut gradient = vec![0.0; 4];
            model.backward(book(&POSITIONS[..4]), &d_cost, &mut gradient);
            crate::golden::assert_gradient(value, &POSITIONS[..4], &gradient, 1e-4, 1e-10);
        }
    }

    #[test]
    fn what_is_held_to_the_end_is_sold_at_the_last_price() {
        let model = Proportional { base: CostBase::Notional, entry: true, exit: true, ..Proportional::default() };
        let first = 100.0 * 0.5 + 110.0 * 0.2 + 90.0 * 0.7;
        let second = 50.0 * 0.2 + 40.0 * 0.5 + 60.0 * 0.3;
        assert_close(&cost(&model, &POSITIONS[..4]), &[0.01 * first, 0.01 * second], 1e-15);
        let open = Proportional { exit: false, ..model };
        assert_close(&cost(&open, &POSITIONS[..4]), &[0.01 * (50.0 + 22.0), 0.01 * (10.0 + 20.0)], 1e-15);
    }

    #[test]
    fn no_trade_has_no_slope() {
        let mut gradient = vec![0.0; 6];
        Proportional::default().backward(book(&[0.5; 6]), &[1.0, 1.0], &mut gradient);
        assert_eq!(gradient, [0.0; 6]);
    }
}
