//! A table, before it is HTML or Markdown.

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its head.
    pub(super) name: String,
    /// Whether it holds numbers, which stand to the right.
    pub(super) numeric: bool,
}

/// A table of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// The columns.
    pub(super) columns: Vec<Column>,
    /// The rows, each as long as the columns.
    pub(super) rows: Vec<Vec<String>>,
    /// More rows, which are looked at when somebody asks for them.
    pub(super) folded: Vec<Vec<String>>,
    /// Rows that were left out, because nobody would read them here.
    pub(super) left_out: usize,
}

impl Table {
    /// More rows than these are for the Parquet files.
    pub(super) const MOST_ROWS: usize = 300;

    /// A table without rows; columns whose name begins with `#` hold numbers.
    pub(super) fn new<const N: usize>(columns: [&str; N]) -> Table {
        let column = |name: &str| match name.strip_prefix('#') {
            Some(name) => Column { name: name.to_owned(), numeric: true },
            None => Column { name: name.to_owned(), numeric: false },
        };
        Table { columns: columns.map(column).to_vec(), rows: Vec::new(), folded: Vec::new(), left_out: 0 }
    }

    /// Adds a row, or counts it if there are enough.
    pub(super) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.columns.len(), "a row has as many cells as there are columns");
        if self.rows.len() < Table::MOST_ROWS { self.rows.push(row) } else { self.left_out += 1 }
    }

    /// Adds a row that is not shown at first, or counts it if there are enough.
    pub(super) fn push_folded(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.columns.len(), "a row has as many cells as there are columns");
        let is_full = self.rows.len() + self.folded.len() >= Table::MOST_ROWS;
        if is_full { self.left_out += 1 } else { self.folded.push(row) }
    }

    /// All rows, those that are folded away last.
    fn all_rows(&self) -> impl Iterator<Item = &Vec<String>> {
        self.rows.iter().chain(&self.folded)
    }

    /// The table without the named columns in which a predicate holds of every cell.
    pub(super) fn without(mut self, names: &[&str], says_nothing: impl Fn(&str) -> bool) -> Table {
        for name in names {
            let Some(place) = self.columns.iter().position(|column| column.name == *name) else { continue };
            if self.all_rows().all(|row| says_nothing(&row[place])) {
                self.columns.remove(place);
                self.rows.iter_mut().chain(&mut self.folded).for_each(|row| drop(row.remove(place)));
            }
        }
        self
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table without the named columns that say the same in every row.
    pub(super) fn without_constant(mut self, names: &[&str]) -> Table {
        for name in names {
            let Some(place) = self.columns.iter().position(|column| column.name == *name) else { continue };
            let first = self.rows.first().map(|row| row[place].clone());
            if self.rows.iter().all(|row| Some(&row[place]) == first.as_ref()) {
                self.columns.remove(place);
                self.rows.iter_mut().for_each(|row| {
                    row.remove(place);
                });
            }
        }
        self
    }

    /// The table as GitHub's Markdown, its columns lined up for those who read it in a terminal.
    pub(super) fn markdown(&self) -> String {
        let cell = |text: &str| text.replace('|', "\\|").replace(['\n', '\r'], " ");
        let length = |text: &str| text.chars().count();
        let heads: Vec<String> = self.columns.iter().map(|column| cell(&column.name)).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(|text| cell(text)).collect()).collect();
        let widths: Vec<usize> = (0..heads.len())
            .map(|place| {
                rows.iter().map(|row| length(&row[place])).chain([length(&heads[place]), 3]).max().unwrap_or(3)
            })
            .collect();
        let line = |cells: &[String]| {
            let padded = cells.iter().enumerate().map(|(place, text)| {
                let blanks = " ".repeat(widths[place] - length(text));
                if self.columns[place].numeric { format!("{blanks}{text}") } else { format!("{text}{blanks}") }
            });
            format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
        };
        let rule = self.columns.iter().zip(&widths).map(|(column, width)| {
            if column.numeric { format!("{}:", "-".repeat(width - 1)) } else { "-".repeat(*width) }
        });
        let mut text = line(&heads);
        text.push_str(&format!("| {} |\n", rule.collect::<Vec<_>>().join(" | ")));
        rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_lines_up_and_escapes_what_would_end_a_cell() {
        let mut table = Table::new(["arm", "#n"]);
        table.push(vec!["a|b".into(), "10".into()]);
        table.push(vec!["kfac".into(), "7".into()]);
        let expected = "\
| arm  |   n |
| ---- | --: |
| a\\|b |  10 |
| kfac |   7 |
";
        assert_eq!(table.markdown(), expected);
    }

    #[test]
    fn columns_that_say_nothing_are_left_out() {
        let mut table = Table::new(["cell", "arm"]);
        table.push(vec!["default".into(), "a".into()]);
        table.push(vec!["default".into(), "b".into()]);
        let table = table.without_constant(&["cell", "arm"]);
        assert_eq!(table.columns.len(), 1);
        assert_eq!(table.rows, [["a"], ["b"]]);
    }
}
