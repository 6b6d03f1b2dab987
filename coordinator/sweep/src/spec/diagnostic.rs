//! What is wrong with a sweep file, said the way a compiler says it: where, what, what is allowed, what to do.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The sweep cannot start.
    Error,
    /// The sweep can start, but probably does not do what was meant.
    Warning,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file's name, or `--set`.
    pub file: String,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// Where in the tree, e.g. `arms.kfac.parameters.optimizer.lr`; empty for the whole file.
    pub path: String,
    /// The offending value, where a value offends.
    pub value: Option<String>,
    /// What is wrong, as the rest of a sentence that begins with the path or the value.
    pub message: String,
    /// What is allowed.
    pub allowed: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// The line's text, for showing it.
    pub snippet: Option<String>,
    /// How many characters are meant, from `column` on.
    pub width: u32,
}

/// The `file` of what stands on the command line.
pub(crate) const SETTING: &str = "--set";

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", shown(&self.path, 200))?;
        }
        if let Some(value) = &self.value {
            write!(f, "{} ", shown(value, 120))?;
        }
        f.write_str(&self.message)?;
        match (&self.snippet, self.line) {
            (Some(setting), _) if self.file == SETTING => {
                let (text, before, width) = window(setting, self.column, self.width);
                let lead = format!("  --> {SETTING} ");
                let space = " ".repeat(lead.len() + before);
                write!(f, "\n{lead}{text}\n{space}{}", "^".repeat(width))?;
            }
            (_, 0) => write!(f, "\n  --> {}", self.file)?,
            (snippet, line) => {
                write!(f, "\n  --> {}:{line}:{}", self.file, self.column)?;
                if let Some(snippet) = snippet {
                    let number = line.to_string();
                    let margin = " ".repeat(number.len());
                    let (text, before, width) = window(snippet, self.column, self.width);
                    let (space, carets) = (" ".repeat(before), "^".repeat(width));
                    write!(f, "\n{margin} |\n{number} | {text}\n{margin} | {space}{carets}")?;
                }
            }
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "\n  allowed: {allowed}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// `text` on one line without control characters, and not longer than a terminal bears.
fn shown(text: &str, limit: usize) -> String {
    let mut short: String = text.chars().take(limit).map(|c| if c.is_control() { '·' } else { c }).collect();
    if text.chars().nth(limit).is_some() {
        short.push('…');
    }
    short
}

/// The part of a line around a column, how many characters of it stand before the column, and how many carets fit.
fn window(line: &str, column: u32, width: u32) -> (String, usize, usize) {
    const SHOWN: usize = 110;
    const BEFORE: usize = 70;
    let at = column.saturating_sub(1) as usize;
    let start = at.saturating_sub(BEFORE);
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut text: String = line.chars().skip(start).take(SHOWN).map(clean).collect();
    let length = text.chars().count();
    let (mut before, cut) = ((at - start).min(length), line.chars().nth(start + SHOWN).is_some());
    let width = (width.max(1) as usize).min((length - before).max(1));
    if cut {
        text.push('…');
    }
    if start > 0 {
        text.insert(0, '…');
        before += 1;
    }
    (text.trim_end().to_owned(), before, width)
}

/// Everything that is wrong with a sweep, at once; never empty.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        for (place, diagnostic) in self.0.iter().take(SHOWN).enumerate() {
            if place > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_shown_around_the_column() {
        let line = format!("values: [{}]", (0..200).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
        let column = line.find(" 150,").unwrap() as u32 + 2;
        let (text, before, width) = window(&line, column, 3);
        assert_eq!(text.chars().skip(before).take(width).collect::<String>(), "150");
        assert!(text.starts_with('…') && text.ends_with('…') && text.chars().count() < 120);
    }

    #[test]
    fn a_column_beyond_the_line_does_no_harm() {
        assert_eq!(window("ab", 9, 5), ("ab".to_owned(), 2, 1));
        assert_eq!(window("", 1, 0), (String::new(), 0, 1));
    }
}
