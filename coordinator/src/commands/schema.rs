//! `coordinator schema`: the JSON Schema of the sweep file.

use std::io::Write;

use crate::exit::{Exit, Failure, OrExit};

/// Prints the schema.
///
/// # Errors
/// If standard output cannot be written.
pub fn schema() -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(&sweep::spec::schema()).or_exit(Exit::Internal)?;
    writeln!(std::io::stdout(), "{text}").or_exit(Exit::Internal)?;
    Ok(Exit::Success)
}
