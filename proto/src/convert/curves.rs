//! The curves: rows in the domain, columns on the wire.

use engine::record::Epoch;

use super::{number_from_wire, number_to_wire};
use crate::error::{Problem, WireError};
use crate::limits::{self, MAX_EPOCHS};
use crate::v1::Curves;

/// One column: its name, its list on the wire and its field in a row.
struct Column {
    name: &'static str,
    list: fn(&Curves) -> &Vec<f64>,
    list_mut: fn(&mut Curves) -> &mut Vec<f64>,
    field: fn(&Epoch) -> Option<f64>,
    field_mut: fn(&mut Epoch) -> &mut Option<f64>,
}

macro_rules! columns {
    ($($name:ident)+) => {
        [$(Column {
            name: stringify!($name),
            list: |curves| &curves.$name,
            list_mut: |curves| &mut curves.$name,
            field: |row| row.$name,
            field_mut: |row| &mut row.$name,
        }),+]
    };
}

/// Every column but the epoch's number.
const COLUMNS: [Column; 12] = columns![
    loss pnl_mean pnl_variance mean_cost sharpe grad_norm damping validation_loss step_norm trust_ratio factor_condition seconds
];

/// Rows as columns. A column of absent values alone stays empty.
pub(super) fn to_wire(rows: &[Epoch]) -> Curves {
    let mut curves = Curves { epoch: rows.iter().map(|row| row.epoch).collect(), ..Curves::default() };
    for column in &COLUMNS {
        let values = || rows.iter().map(|row| number_to_wire((column.field)(row)));
        if values().any(|number| !number.is_nan()) {
            *(column.list_mut)(&mut curves) = values().collect();
        }
    }
    curves
}

/// Columns as rows.
pub(super) fn from_wire(curves: &Curves) -> Result<Vec<Epoch>, WireError> {
    limits::at_most("epoch", curves.epoch.len(), MAX_EPOCHS)?;
    let mut rows: Vec<Epoch> = curves.epoch.iter().map(|&epoch| Epoch { epoch, ..Epoch::default() }).collect();
    for column in &COLUMNS {
        let values = (column.list)(curves);
        if values.is_empty() {
            continue;
        }
        if values.len() != rows.len() {
            let problem = Problem::Length { length: values.len(), expected: rows.len() };
            return Err(WireError::new(column.name, problem));
        }
        for (row, &value) in rows.iter_mut().zip(values) {
            *(column.field_mut)(row) = number_from_wire(column.name, value)?;
        }
    }
    Ok(rows)
}
