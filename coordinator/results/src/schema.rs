//! The one schema of all parts.
//!
//! It says what a sealed file's columns must be; whether the file is still what was written is the seal's matter, and
//! known before the columns are looked at.
//!
//! The columns that resuming looks at come first, side by side, so that one short read a row group fetches them all.
//! A metric that the catalogue has gained since a part was written is absent there and reads as null; one that it has
//! lost is passed over. Everything else must be there with its type, or the file is none of ours.

use engine::metrics::catalogue;
use polars::prelude::{DataType, Field, Schema};

/// What a column of a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Flag,
    Count,
    Number,
    Counts,
    Numbers,
    Floats,
    Texts,
}

impl Kind {
    pub(crate) fn dtype(self) -> DataType {
        match self {
            Kind::Text => DataType::String,
            Kind::Flag => DataType::Boolean,
            Kind::Count => DataType::UInt32,
            Kind::Number => DataType::Float64,
            Kind::Counts => DataType::List(Box::new(DataType::UInt32)),
            Kind::Numbers => DataType::List(Box::new(DataType::Float64)),
            Kind::Floats => DataType::List(Box::new(DataType::Float32)),
            Kind::Texts => DataType::List(Box::new(DataType::String)),
        }
    }
}

pub(crate) const RUN_ID: &str = "run_id";
pub(crate) const STATUS: &str = "status";
pub(crate) const ATTEMPT: &str = "host.attempt";
pub(crate) const RECORD_CURVES: &str = "record.curves";
pub(crate) const RECORD_SAMPLES: &str = "record.samples";
pub(crate) const FOOTPRINT: &str = "footprint";
pub(crate) const ERROR: &str = "error";
pub(crate) const CONFIG: &str = "config";

/// What resuming looks at.
pub(crate) const INDEX: [(&str, Kind); 6] = [
    (RUN_ID, Kind::Text),
    (STATUS, Kind::Text),
    (ATTEMPT, Kind::Count),
    (RECORD_CURVES, Kind::Flag),
    // The samples asked for, as JSON; null for none.
    (RECORD_SAMPLES, Kind::Text),
    // Bytes that the record takes in memory, from which readers plan theirs.
    (FOOTPRINT, Kind::Count),
];

/// Numbers about when the run was computed.
pub(crate) const TIMES: [&str; 4] = ["time.simulate_s", "time.train_s", "time.evaluate_s", "time.to_target_s"];

/// Words about where the run was computed.
pub(crate) const HOSTS: [&str; 3] = ["host.name", "host.worker", "host.isa"];

/// The engine that computed the run.
pub(crate) const ENGINE_VERSION: &str = "engine.version";

/// The numbers of an epoch, as columns of the curves.
pub(crate) const CURVES: [&str; 12] = [
    "loss",
    "pnl_mean",
    "pnl_variance",
    "mean_cost",
    "sharpe",
    "grad_norm",
    "damping",
    "validation_loss",
    "step_norm",
    "trust_ratio",
    "factor_condition",
    "seconds",
];

/// The numbers of a point of a path.
pub(crate) const PATH: [&str; 3] = ["price", "variance", "position"];

/// All columns of a part, in order.
pub(crate) fn columns() -> Vec<(String, Kind)> {
    let named = |name: &str, kind| (name.to_owned(), kind);
    let mut all: Vec<(String, Kind)> = INDEX.iter().map(|&(name, kind)| named(name, kind)).collect();
    all.extend([named(ERROR, Kind::Text), named(CONFIG, Kind::Text)]);
    all.extend(catalogue().iter().map(|metric| named(&metric.name, Kind::Number)));
    all.extend(TIMES.iter().map(|name| named(name, Kind::Number)));
    all.extend(HOSTS.iter().map(|name| named(name, Kind::Text)));
    all.push(named(ENGINE_VERSION, Kind::Text));
    all.push(named("curves.epoch", Kind::Counts));
    all.extend(CURVES.iter().map(|name| (format!("curves.{name}"), Kind::Numbers)));
    all.push(named("path.step", Kind::Counts));
    all.extend(PATH.iter().map(|name| (format!("path.{name}"), Kind::Numbers)));
    // One entry for each set and epoch; P&L and costs of all of them lie end to end.
    all.push(named("samples.set", Kind::Texts));
    all.push(named("samples.epoch", Kind::Counts));
    all.push(named("samples.paths", Kind::Counts));
    all.push(named("samples.pnl", Kind::Floats));
    all.push(named("samples.cost", Kind::Floats));
    all
}

/// The schema of a part.
pub(crate) fn part_schema() -> Schema {
    Schema::from_iter(columns().into_iter().map(|(name, kind)| Field::new(name.as_str().into(), kind.dtype())))
}

/// Whether a file with these columns is a part; what is wrong with it if not.
pub(crate) fn check(found: &Schema) -> Result<(), String> {
    for (name, kind) in columns() {
        match found.get(&name) {
            Some(dtype) if *dtype == kind.dtype() => {}
            Some(dtype) => return Err(format!("column {name} is of type {dtype:?}, not {:?}", kind.dtype())),
            None if engine::metrics::index_of(&name).is_some() => {}
            None => return Err(format!("there is no column {name}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_names_are_unique_and_the_index_comes_first() {
        let all = columns();
        assert_eq!(part_schema().len(), all.len());
        assert!(all.iter().zip(INDEX).all(|(have, want)| have.0 == want.0 && have.1 == want.1));
    }

    #[test]
    fn a_metric_may_be_absent_and_nothing_else() {
        let mut schema = part_schema();
        schema.shift_remove("test.loss");
        assert_eq!(check(&schema), Ok(()));
        schema.shift_remove("status");
        assert_eq!(check(&schema), Err("there is no column status".to_owned()));
    }
}
