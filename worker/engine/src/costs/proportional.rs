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

/// A trade of one path that is charged.
struct Trade<R> {
    /// Where the price stands that it is made at, among \[T, B\].
    at: usize,
    /// Where the position stands that it comes from, among \[D, B\]; `None` if it opens.
    from: Option<usize>,
    /// Where the position stands that it leads to; `None` if it closes.
    to: Option<usize>,
    /// Change of the position.
    size: R,
    /// Cost of one unit.
    price: R,
}

impl Proportional {
    /// Calls `each` for every trade that is charged, point by point, path by path: from nothing to δ_0 if entry costs,
    /// from δ_{t−1} to δ_t, and at the last price from the last position to nothing if exit costs.
    fn for_each_trade<R: Real>(&self, book: Book<'_, R>, mut each: impl FnMut(Trade<R>)) {
        let Book { positions, price, batch } = book;
        let unit = |at: usize| self.unit_cost(price[at]);
        for at in if self.entry { 0..batch } else { 0..0 } {
            each(Trade { at, from: None, to: Some(at), size: positions[at], price: unit(at) });
        }
        for at in batch..positions.len() {
            let last = at - batch;
            each(Trade { at, from: Some(last), to: Some(at), size: positions[at] - positions[last], price: unit(at) });
        }
        for path in if self.exit { 0..batch } else { 0..0 } {
            let (last, at) = (positions.len() - batch + path, price.len() - batch + path);
            each(Trade { at, from: Some(last), to: None, size: -positions[last], price: unit(at) });
        }
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
        self.for_each_trade(book, |trade| out[trade.at] += trade.price * trade.size.abs());
    }

    fn turnover(&self, book: Book<'_, R>, out: &mut Vec<R>) {
        out.clear();
        out.resize(book.batch, R::ZERO);
        self.for_each_trade(book, |trade| out[trade.at % book.batch] += trade.size.abs());
    }

    /// The slope of |x| at 0 is 0.
    fn backward(&self, book: Book<'_, R>, d_cost: &[R], d_positions: &mut [R]) {
        self.for_each_trade(book, |trade| {
            let slope = d_cost[trade.at % book.batch] * trade.price * trade.size.signum0();
            if let Some(from) = trade.from {
                d_positions[from] -= slope;
            }
            if let Some(to) = trade.to {
                d_positions[to] += slope;
            }
        });
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
