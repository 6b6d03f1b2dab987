//! Sensitivity: what each swept parameter does to a metric, averaged over everything else.

use results::Words;

use crate::runs::Runs;
use crate::stats::mean;

/// One swept parameter's table.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// The parameter's dotted name.
    pub parameter: String,
    /// Its values, in plan order.
    pub levels: Vec<Level>,
}

/// One value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// The value as text.
    pub value: String,
    /// Runs that have it.
    pub runs: u64,
    /// Runs of these that have the first metric.
    pub measured: u64,
    /// Mean of each metric over these runs, in the metrics' order; `None` where none has it.
    pub means: Vec<Option<f64>>,
}

/// The means of `metrics` at each value of a parameter, over all runs that have the value: cells, arms, variants and
/// seeds alike. A grid has them in equal numbers; where runs are missing, `measured` says how many there are. `None` for a
/// parameter with fewer than two values.
pub fn sensitivity(runs: &Runs, parameter: &str, values: &Words, metrics: &[String]) -> Option<Sensitivity> {
    if values.distinct.len() < 2 {
        return None;
    }
    let level = |code: u32| {
        let rows: Vec<usize> = (0..values.codes.len()).filter(|row| values.codes[*row] == Some(code)).collect();
        let mean_of = |metric: &String| {
            let known: Vec<f64> = rows.iter().filter_map(|row| runs.value(metric, *row)).collect();
            mean(&known)
        };
        Level {
            value: values.distinct[code as usize].clone(),
            runs: rows.len() as u64,
            measured: metrics
                .first()
                .map_or(0, |metric| rows.iter().filter(|row| runs.value(metric, **row).is_some()).count() as u64),
            means: metrics.iter().map(mean_of).collect(),
        }
    };
    let levels = (0..values.distinct.len() as u32).map(level).collect();
    Some(Sensitivity { parameter: parameter.to_owned(), levels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn words(distinct: &[&str], codes: &[Option<u32>]) -> Words {
        Words { distinct: distinct.iter().map(ToString::to_string).collect(), codes: codes.to_vec() }
    }

    #[test]
    fn means_are_over_the_runs_that_have_the_value_and_the_metric() {
        let column = vec![Some(1.0), Some(3.0), None, Some(10.0), Some(7.0)];
        let runs = Runs { metrics: BTreeMap::from([("test.loss".to_owned(), column)]), ..Runs::default() };
        let rate = words(&["0.0", "0.01"], &[Some(0), Some(0), Some(0), Some(1), None]);
        let metrics = ["test.loss".to_owned(), "test.turnover".to_owned()];
        let table = sensitivity(&runs, "costs.rate", &rate, &metrics).unwrap();
        let expected = [("0.0", 3, 2, Some(2.0)), ("0.01", 1, 1, Some(10.0))];
        for (level, (value, count, measured, mean)) in table.levels.iter().zip(expected) {
            assert_eq!((level.value.as_str(), level.runs, level.measured), (value, count, measured));
            assert_eq!(level.means, [mean, None]);
        }
    }

    #[test]
    fn a_parameter_that_does_not_vary_has_no_sensitivity() {
        let constant = words(&["cvar"], &[Some(0), Some(0)]);
        assert_eq!(sensitivity(&Runs::default(), "loss.kind", &constant, &[]), None);
    }
}
