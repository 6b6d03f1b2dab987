//! `coordinator schema`: the JSON Schema of the sweep file.

use crate::exit::{Exit, Failure, OrExit, print};

/// Prints the schema.
///
/// # Errors
/// If standard output cannot be written.
pub fn schema() -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(&sweep::spec::schema()).or_exit(Exit::Internal)?;
    print(&format!("{text}\n"))?;
    Ok(Exit::Success)
}
