//! `report.md`: the same answer and tables for a terminal or a pull request.

use super::data::ReportData;
use super::number::{count, list, numeric_version, plural};
use super::table::Table;
use super::{answer_to, headline, tables};

/// The report as GitHub's Markdown.
pub fn markdown(data: &ReportData) -> String {
    let answer = headline(data);
    let mut text = format!("# {}\n\n", data.name);
    if let Some(question) = &data.question {
        paragraph(&mut text, question);
    }
    paragraph(&mut text, &format!("**{}**", escaped(&answer.sentence)));
    if let Some(hedges) = &answer.hedges {
        paragraph(&mut text, &escaped(hedges));
    }
    paragraph(&mut text, &escaped(&answer.conditions));
    paragraph(&mut text, &counted(data));
    if !data.failures.is_empty() {
        text.push_str("## What went wrong\n\n");
        table(&mut text, &tables::failures(&data.failures));
    }
    if data.comparisons.is_empty() {
        text.push_str(&format!("## {}\n\n", data.primary().name));
        table(&mut text, &tables::ranking(&data.ranking));
    }
    for (place, metric) in data.metrics.iter().enumerate() {
        if data.comparisons.is_empty() {
            break;
        }
        text.push_str(&format!("## {}\n\n", metric.name));
        if place > 0 {
            paragraph(&mut text, &escaped(&answer_to(data, metric).sentence));
        }
        table(&mut text, &tables::comparison(data, &metric.name));
    }
    if let Some(paper) = &data.paper {
        text.push_str("## The paper's Table 2, and ours\n\n");
        table(&mut text, &tables::performance(paper));
        if !paper.tests.is_empty() {
            text.push_str("## The paper's Table 1, and ours\n\n");
            table(&mut text, &tables::tests(paper));
        }
    }
    if let Some(first) = data.convergence.first() {
        text.push_str(&format!("## Epochs to the validation loss at which {} ends\n\n", first.baseline));
        table(&mut text, &tables::convergence(&data.convergence));
    }
    let origin = &data.provenance;
    paragraph(
        &mut text,
        &format!(
            "Engine {}, {}. Figures are in report.html.",
            list(&origin.engines, 4),
            numeric_version(&origin.numeric)
        ),
    );
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// `900 runs: 3 cells, 2 arms, 30 seeds; 2 diverged.`
fn counted(data: &ReportData) -> String {
    let counts = &data.counts;
    let mut words = vec![plural(counts.cells, "cell"), plural(counts.arms, "arm")];
    if counts.variants > counts.arms {
        words.push(plural(counts.variants, "variant"));
    }
    words.push(plural(counts.seeds, "seed"));
    let mut text = format!("{}: {}", plural(counts.runs, "run"), words.join(", "));
    let bad = [(counts.diverged, "diverged"), (counts.failed, "failed"), (counts.missing, "missing")];
    let bad: Vec<String> = bad
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{} {word}", count(number)))
        .collect();
    text.push_str(if bad.is_empty() { "; all ended well." } else { "; " });
    if !bad.is_empty() {
        text.push_str(&format!("{}.", bad.join(", ")));
    }
    text
}

fn paragraph(text: &mut String, words: &str) {
    if !words.is_empty() {
        text.push_str(words.trim());
        text.push_str("\n\n");
    }
}

fn table(text: &mut String, table: &Table) {
    text.push_str(&table.markdown());
    let more = (table.folded.len() + table.left_out) as u64;
    if more > 0 {
        text.push_str(&format!("\n... and {}, in the Parquet files.\n", plural(more, "more row")));
    }
    text.push('\n');
}

/// Names may hold what Markdown would take for emphasis or for HTML; `p < 0.001` is neither.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let begins_a_tag = character == '<' && characters.peek().is_some_and(|next| !next.is_whitespace());
        if begins_a_tag || matches!(character, '*' | '`' | '[' | ']') {
            safe.push('\\');
        }
        safe.push(character);
    }
    safe
}
