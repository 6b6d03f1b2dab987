//! `report.html`: one page that needs nothing else, no network and no script.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::data::ReportData;
use super::figures::{Drawing, Figure, Section, sections};
use super::number::{count, list, numeric_version, plural};
use super::sentence::Answer;
use super::table::{Column, Table};
use super::{answer_to, headline, tables};

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub fn page(data: &ReportData) -> String {
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    document(&data.name, policy, &html! {}, &html! { main { (body(data)) } }, "").into_string()
}

/// A document around a body, with more in its head. `script` is put at its end as it is.
pub fn document(title: &str, policy: &str, head: &Markup, body: &Markup, script: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content="hedgesweep";
                title { (title) " · hedgesweep" }
                style { (PreEscaped(STYLE)) }
                (head)
            }
            body {
                (body)
                @if !script.is_empty() { script { (PreEscaped(script)) } }
            }
        }
    }
}

/// The report without the document around it, as the dashboard shows it too.
pub fn body(data: &ReportData) -> Markup {
    let answer = headline(data);
    html! {
        header {
            p.kicker { "hedgesweep report" }
            h1 { (data.name) }
            @if let Some(question) = &data.question { p.question { (question) } }
        }
        section.answer aria-label="Answer" {
            (in_words(&answer))
            (facts(data))
        }
        (failures(data))
        (comparison(data))
        (paper(data))
        @for section in sections(data) { (figures(&section)) }
        (convergence(data))
        (origin(data))
    }
}

fn in_words(answer: &Answer) -> Markup {
    html! {
        p.sentence { (answer.sentence) }
        @if let Some(hedges) = &answer.hedges { p.aside { (hedges) } }
        @if !answer.conditions.is_empty() { p.conditions { (answer.conditions) } }
    }
}

/// How many of what there is.
fn facts(data: &ReportData) -> Markup {
    let counts = &data.counts;
    let mut all = vec![("runs", counts.runs), ("seeds", counts.seeds), ("cells", counts.cells), ("arms", counts.arms)];
    if counts.variants > counts.arms {
        all.push(("variants", counts.variants));
    }
    if counts.missing > 0 {
        all.push(("missing", counts.missing));
    }
    let bad = [("diverged", counts.diverged), ("failed", counts.failed)];
    html! {
        dl.facts {
            @for (name, number) in all { div { dt { (name) } dd { (count(number)) } } }
            @for (name, number) in bad {
                @if number > 0 { div.bad { dt { (name) } dd { (count(number)) } } }
            }
            @if counts.diverged + counts.failed + counts.missing == 0 { div { dt { "ended well" } dd { "all" } } }
        }
    }
}

fn failures(data: &ReportData) -> Markup {
    html! {
        @if !data.failures.is_empty() {
            section id="failures" {
                h2 { "What went wrong" }
                p { "Runs without a result, by reason. Diverged runs are results: they count against their arm. Failed ones are tried again by the same command." }
                (table(&tables::failures(&data.failures), true))
            }
        }
    }
}

fn comparison(data: &ReportData) -> Markup {
    let primary = data.primary();
    html! {
        section id="comparison" {
            h2 { "Comparison" }
            @if data.comparisons.is_empty() && data.ranking.is_empty() {
                p.note { "There is no pair of an arm and the baseline yet." }
            } @else if data.comparisons.is_empty() {
                h3 { (primary.name) }
                (table(&tables::ranking(&data.ranking), true))
            } @else {
                @let of_primary = tables::comparison(data, &primary.name);
                h3 { (primary.name) (goal(primary.direction)) }
                @if !of_primary.folded.is_empty() { p.note { "Each arm's most favourable variants come first; the others are one click away." } }
                (table(&of_primary, true))
                p.note {
                    "Differences are arm − baseline, paired by seed. " em { "d_z" } " is the mean difference over the SD of the differences; "
                    em { "p" } " is that of the paired t test, adjusted by Holm over all rows of arms (and over all rows of classical hedges); the verdict is at 5%. "
                    "Intervals are each row's own, not adjusted: the bootstrap's (BCa) from 30 seeds on, the paired t's below. One may leave out 0 where there is no verdict."
                }
                @for metric in &data.metrics[1..] {
                    details.metric {
                        summary {
                            span.name { (metric.name) (goal(metric.direction)) }
                            span.words { (answer_to(data, metric).sentence) }
                        }
                        (table(&tables::comparison(data, &metric.name), true))
                    }
                }
            }
        }
    }
}

fn goal(direction: engine::metrics::Direction) -> Markup {
    let words = match direction {
        engine::metrics::Direction::Minimize => "smaller is better",
        engine::metrics::Direction::Maximize => "larger is better",
        engine::metrics::Direction::Neutral => return html! {},
    };
    html! { span.goal { " " (words) } }
}

fn paper(data: &ReportData) -> Markup {
    html! {
        @if let Some(paper) = &data.paper {
            section id="paper" {
                h2 { "The paper's tables, and ours" }
                p { "Enkhbayar 2024, “Kronecker-Factored Approximate Curvature Deep Hedging”: one seed, training paths of all epochs, P&L gross of costs." }
                h3 { "Table 2" }
                p.note { "Ours: " @if paper.seeds == 1 { "one seed." } @else { "means over " (plural(paper.seeds, "seed")) "." } " Training times are each machine's own." }
                (table(&tables::performance(paper), true))
                @if let Some(first) = paper.tests.first() {
                    h3 { "Table 1" }
                    p.note { "Welch's t of Adam − K-FAC over pooled training paths, which takes paths for replicates. Ours: seed " (first.seed) "." }
                    (table(&tables::tests(paper), true))
                }
            }
        }
    }
}

fn figures(section: &Section) -> Markup {
    html! {
        section {
            h2 { (section.title) }
            div.figures { @for each in &section.figures { (figure(each)) } }
            @for line in &section.absent { p.absent { (line) } }
        }
    }
}

fn figure(figure: &Figure) -> Markup {
    html! {
        figure id=(figure.id) class=[(figure.drawings.len() > 1).then_some("full")] {
            h3 { (figure.title) }
            div.drawings { @for each in &figure.drawings { (drawing(each)) } }
            figcaption { (figure.caption) }
            @if !figure.numbers.is_empty() {
                details.numbers { summary { "Numbers" } (table(&figure.numbers, false)) }
            }
        }
    }
}

fn drawing(drawing: &Drawing) -> Markup {
    html! {
        div.drawing {
            @if !drawing.heading.is_empty() { h4 { (drawing.heading) } }
            div.wide { (PreEscaped(&drawing.wide)) }
            div.narrow { (PreEscaped(&drawing.narrow)) }
        }
    }
}

fn convergence(data: &ReportData) -> Markup {
    html! {
        @if let Some(first) = data.convergence.first() {
            section id="convergence" {
                h2 { "Speed" }
                p.note { "Epochs and seconds to the validation loss at which " (first.baseline) " ends: medians over seeds, ratios to the baseline's, and 95% intervals of the median ratio. ∞: not within the epochs that it had." }
                (table(&tables::convergence(&data.convergence), true))
            }
        }
    }
}

/// Where the numbers come from.
fn origin(data: &ReportData) -> Markup {
    let origin = &data.provenance;
    let hashes = list(&origin.sweep_hashes, 4);
    html! {
        section id="origin" {
            h2 { "Where this comes from" }
            dl.origin {
                div { dt { "engine" } dd { (list(&origin.engines, 4)) ", " (numeric_version(&origin.numeric)) } }
                @if !hashes.is_empty() { div { dt { "sweep" } dd { code { (hashes) } } } }
                @if !origin.hosts.is_empty() { div { dt { "computed on" } dd { (list(&origin.hosts, 6)) } } }
            }
            details { summary { "What the metrics are" } (table(&tables::glossary(data), true)) }
            @for (name, text) in &data.files {
                details {
                    summary { "The sweep file" @if data.files.len() > 1 { " of " (name) } }
                    pre { code { (text) } }
                }
            }
            p.note { (parquet_files(data)) }
        }
    }
}

/// Which Parquet files hold what the page shows.
fn parquet_files(data: &ReportData) -> Markup {
    let tables = [
        ("comparisons", !data.comparisons.is_empty()),
        ("convergence", !data.convergence.is_empty()),
        ("pooled", !data.pooled.is_empty()),
    ];
    let own =
        [("runs", true), ("curves", data.record.curves), ("paths", true), ("samples", data.record.samples.is_some())];
    let names = |all: &[(&str, bool)]| -> Vec<String> {
        all.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| format!("{name}.parquet")).collect()
    };
    let several = data.files.len() > 1;
    let beside = if several { names(&tables) } else { [names(&own), names(&tables)].concat() };
    html! {
        @if !beside.is_empty() { "The numbers behind this page lie beside it, in " (list(&beside, 8)) "." }
        @if several { " The runs are in each sweep's own folder, in " (list(&names(&own), 8)) "." }
    }
}

/// A table, with more of its rows one click away. One that stacks has a card a row on a phone; others are scrolled.
fn table(table: &Table, stacks: bool) -> Markup {
    html! {
        (rows(&table.columns, &table.rows, stacks))
        @if !table.folded.is_empty() {
            details.more {
                summary { (plural(table.folded.len() as u64, "more row")) }
                (rows(&table.columns, &table.folded, stacks))
            }
        }
        @if table.left_out > 0 { p.note { "… and " (plural(table.left_out as u64, "more row")) ", in the Parquet files." } }
    }
}

/// Rows under their heads. Those of a cell stand under its name, which would take too much of every row's width.
fn rows(columns: &[Column], rows: &[Vec<String>], stacks: bool) -> Markup {
    let by_cell = columns.first().is_some_and(|column| column.name == "cell");
    let own = usize::from(by_cell);
    let cells = rows.chunk_by(|left, right| !by_cell || left[0] == right[0]);
    html! {
        div.scroll role="region" tabindex="0" aria-label="table" {
            table class=[stacks.then_some("stack")] {
                thead { tr { @for column in &columns[own..] { th scope="col" class=[column.numeric.then_some("number")] { (column.name.trim()) } } } }
                @for cell in cells {
                    tbody {
                        @if by_cell { tr.cell { th scope="rowgroup" colspan=(columns.len() - own) { (cell[0][0]) } } }
                        @for row in cell {
                            tr class=[row.last().filter(|last| *last == "baseline")] {
                                @for (column, text) in columns.iter().zip(row).skip(own) {
                                    td class=(kind(column, text)) data-label=(column.name.trim()) { span { (sign(&column.name, text)) (breakable(text)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A text that may be broken behind an equals sign, rather than within a number.
fn breakable(text: &str) -> Markup {
    let mut pieces = text.split_inclusive('=');
    html! {
        (pieces.next().unwrap_or_default())
        @for piece in pieces { wbr; (piece) }
    }
}

/// A verdict's sign, so that it is not told by colour alone.
fn sign(column: &str, text: &str) -> Markup {
    match (column, text) {
        ("verdict", "better") => html! { span.sign aria-hidden="true" { "▲ " } },
        ("verdict", "worse") => html! { span.sign aria-hidden="true" { "▼ " } },
        _ => html! {},
    }
}

/// The classes of a cell.
fn kind(column: &Column, text: &str) -> &'static str {
    match (column.name.as_str(), text) {
        (_, "") => "blank",
        ("verdict", "better") => "better",
        ("verdict", "worse") => "worse",
        ("verdict", _) => "verdict",
        ("arm" | "metric", _) => "name",
        _ if column.numeric => "number",
        _ => "plain",
    }
}
