//! `coordinator metrics`: the metric catalogue.

use engine::metrics::{Direction, catalogue};

use crate::exit::{Exit, Failure, print};

/// Prints the catalogue as a Markdown table, as it stands in the documentation.
///
/// # Errors
/// If standard output cannot be written.
pub fn metrics() -> Result<Exit, Failure> {
    print(&table())?;
    Ok(Exit::Success)
}

/// The catalogue as a Markdown table.
pub fn table() -> String {
    let mut text = String::from("| metric | what it is | unit | better | null when |\n|---|---|---|---|---|\n");
    for metric in catalogue() {
        let better = match metric.direction {
            Direction::Minimize => "smaller",
            Direction::Maximize => "larger",
            Direction::Neutral => "",
        };
        let row = format!(
            "| `{}` | {} | {} | {better} | {} |\n",
            metric.name, metric.definition, metric.unit, metric.null_when
        );
        text.push_str(&row);
    }
    text
}
