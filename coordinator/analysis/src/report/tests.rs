//! The whole report from data of every kind: what must hold of it whatever it shows.

use engine::metrics::Direction;
use engine::record::{PathPoint, Record};
use results::Comparison;

use super::data::*;
use super::{markdown, page};
use crate::tuning::{Choice, Tuning};

/// A name that is out to break HTML, SVG, Markdown and layouts.
const HOSTILE: &str = "<script>alert('a|b')</script>&\"quoted\"_a_very_long_name_without_any_space_in_it";

fn band(level: f64) -> Band {
    let quantiles = (0..40).map(|epoch| [0.5, 0.8, 1.0, 1.3, 4.0].map(|share| share * level / f64::from(epoch + 1)));
    Band { epochs: (1..=40).collect(), quantiles: quantiles.collect() }
}

fn histogram(shift: f64) -> Histogram {
    let counts = (0..20).map(|bin: i32| (100 - (bin - 10).pow(2)) as u64).collect();
    let edges = (0..=20).map(|edge| shift + f64::from(edge) / 10.0).collect();
    Histogram { n: 1500, edges, counts, quantiles: QUANTILES.map(|share| shift + 2.0 * share).to_vec() }
}

fn group(arm: &str, level: f64) -> Group {
    let values: Vec<(u64, f64)> = (0..12).map(|seed| (seed, level + 0.1 * ((seed * 7 % 12) as f64))).collect();
    let points = (0..=10).map(|step| PathPoint {
        step,
        price: 100.0 + f64::from(step),
        variance: 0.04,
        position: level * f64::from(step) / 10.0,
    });
    Group {
        arm: arm.into(),
        variant: "optimizer.damping=0.0003162277660168379".into(),
        hindsight: false,
        differences: values.iter().map(|(seed, value)| (*seed, value - 1.5)).collect(),
        correlations: values.clone(),
        values,
        curves: Some(Curves {
            loss: band(level),
            validation: band(level),
            pnl: band(-level),
            cost: band(level),
            seeds: 12,
            of: 12,
        }),
        path: Some(Walk { seed: 0, points: points.collect() }),
        samples: Some(SampleShape { set: "test".into(), pnl: histogram(level), cost: histogram(0.0) }),
    }
}

fn comparison(cell: &str, metric: &str, arm: &str) -> Comparison {
    Comparison {
        cell: cell.into(),
        metric: metric.into(),
        arm: arm.into(),
        variant: "optimizer.damping=0.0003162277660168379".into(),
        baseline: "adam".into(),
        baseline_variant: "default".into(),
        stage: "confirm".into(),
        n: 12,
        mean: Some(2.0),
        baseline_mean: Some(1.5),
        sd: Some(0.25),
        baseline_sd: Some(0.5),
        diff: Some(0.5),
        t_low: Some(0.25),
        t_high: Some(0.75),
        p_t: Some(0.01),
        p_holm: Some(0.02),
        d_z: Some(1.5),
        verdict: "worse".into(),
        ..Comparison::default()
    }
}

fn choice(cell: &str, arm: &str, variants: u64) -> Choice {
    Choice { cell: cell.into(), arm: arm.into(), variant: "default".into(), variants, score: Some(1.0) }
}

fn level(value: &str, middle: f64) -> LevelShape {
    LevelShape {
        value: value.into(),
        number: value.parse().ok(),
        runs: 9,
        quartiles: [0.9 * middle, middle, 1.2 * middle],
    }
}

/// A report with everything in it.
pub(super) fn full(arm: &str) -> ReportData {
    let metrics = [("test.loss", Direction::Minimize), ("test.sharpe", Direction::Maximize)];
    let cells = ["market.xi=0.3", "market.xi=0.5"];
    let comparisons = metrics.iter().flat_map(|(metric, _)| {
        cells.iter().flat_map(|cell| [comparison(cell, metric, arm), comparison(cell, metric, "hedge.heston_delta")])
    });
    let series = |name: &str, look| Series {
        name: name.into(),
        look,
        levels: vec![level("0.0001", 3.0), level("0.001", 2.0), level("0.01", 200.0)],
    };
    ReportData {
        name: "everything".into(),
        question: Some("Does it work?".into()),
        metrics: metrics
            .iter()
            .map(|(name, direction)| Metric {
                name: (*name).into(),
                direction: *direction,
                unit: "1".into(),
                definition: "A number.".into(),
            })
            .collect(),
        baseline: Some("adam".into()),
        tuning: Some(Tuning {
            by: "validation.loss".into(),
            direction: Direction::Minimize,
            seeds: vec![0, 1, 2, 3],
            choices: [("adam", 1), (arm, 7)].map(|(arm, variants)| choice(cells[0], arm, variants)).to_vec(),
        }),
        arms: vec!["adam".into(), arm.into()],
        counts: Counts {
            runs: 96,
            ok: 90,
            diverged: 4,
            failed: 2,
            missing: 0,
            seeds: 16,
            cells: 2,
            arms: 2,
            variants: 8,
        },
        failures: vec![Failures {
            status: "failed".into(),
            reason: format!("{arm} ran out of memory"),
            runs: 2,
            arms: vec![arm.into()],
            example: "00112233445566778899aabbccddeeff".into(),
        }],
        comparisons: comparisons.collect(),
        ranking: Vec::new(),
        convergence: Vec::new(),
        pooled: Vec::new(),
        panels: cells
            .iter()
            .map(|cell| Panel {
                cell: (*cell).into(),
                groups: vec![
                    Group { differences: Vec::new(), variant: DEFAULT.into(), ..group("adam", 1.5) },
                    group(arm, 2.0),
                ],
                hedges: vec![("none".into(), 11.0), ("heston_delta".into(), 2.6), ("black_scholes_delta".into(), 2.7)],
            })
            .collect(),
        sensitivities: vec![
            Sensitivity {
                parameter: "optimizer.damping".into(),
                ordered: true,
                values: 3,
                series: vec![series(arm, Some(1)), series("heston_delta", None)],
            },
            Sensitivity {
                parameter: "optimizer.layers".into(),
                ordered: false,
                values: 3,
                series: vec![Series {
                    name: arm.into(),
                    look: Some(1),
                    levels: vec![level("head", 2.0), level(HOSTILE, 3.0)],
                }],
            },
        ],
        heats: vec![Heat {
            arm: arm.into(),
            x: ("optimizer.damping".into(), vec!["0.0001".into(), "0.0003162277660168379".into(), "0.01".into()]),
            y: ("market.xi".into(), vec!["0.3".into(), "0.5".into()]),
            medians: vec![vec![Some(1.0), Some(2.0), None], vec![Some(3.0), Some(1e-9), Some(4.0)]],
        }],
        paper: Some(Paper {
            performance: vec![PaperLine {
                arm: "adam".into(),
                printed: [0.003176, 0.003432, -0.0025, 3.4],
                ours: [Some(0.003176), None, None, None],
            }],
            tests: vec![PaperTest {
                of: "P&L".into(),
                printed: [-1.5372, 0.1243],
                ours: [Some(-1.54), Some(0.124)],
                seed: 0,
            }],
            seeds: 1,
        }),
        record: Record::default(),
        live: false,
        provenance: Provenance {
            engines: vec!["0.1.0".into()],
            numeric: vec![3],
            sweep_hashes: vec!["abc".into()],
            hosts: vec![HOSTILE.into()],
        },
        files: vec![("everything".into(), format!("name: everything\ndescription: {HOSTILE}\n"))],
    }
}

/// The drawings of a page.
fn drawings(page: &str) -> Vec<&str> {
    page.match_indices("<svg ")
        .map(|(begin, _)| {
            let end = page[begin..].find("</svg>").expect("a drawing ends");
            &page[begin..begin + end + "</svg>".len()]
        })
        .collect()
}

#[test]
fn every_drawing_is_well_formed_and_every_figure_is_there() {
    let page = page(&full("kfac"));
    let all = drawings(&page);
    // Two widths each; the path has three plots.
    assert_eq!(all.len() % 2, 0);
    assert!(all.len() >= 2 * 16, "{}", all.len());
    for drawing in all {
        let parsed = roxmltree::Document::parse(drawing).unwrap_or_else(|error| panic!("{error}\n{drawing}"));
        assert!(parsed.descendants().count() > 10, "{drawing}");
    }
    for id in [
        "forest",
        "paired",
        "values",
        "correlation",
        "loss",
        "validation",
        "pnl",
        "cost",
        "pnl-distribution",
        "cost-distribution",
        "path",
        "sensitivity",
        "heat",
    ] {
        assert!(page.contains(&format!("id=\"{id}\"")), "no figure {id}");
    }
}

#[test]
fn nothing_in_a_page_is_not_a_number() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e300, -1e300, 5e-324];
    let mut data = full("kfac");
    for panel in &mut data.panels {
        for group in &mut panel.groups {
            group.values.extend(odd.iter().map(|value| (99, *value)));
            group.differences.extend(odd.iter().map(|value| (99, *value)));
            group.correlations = vec![(0, f64::NAN)];
            if let Some(curves) = &mut group.curves {
                curves.loss.quantiles[3] = [f64::NAN; 5];
                curves.pnl.quantiles[3] = [f64::NEG_INFINITY, -1e300, 0.0, 1e300, f64::INFINITY];
            }
        }
        panel.hedges.push(("broken".into(), f64::NAN));
    }
    data.sensitivities[0].series[0].levels[1].quartiles = [f64::NAN; 3];
    data.heats[0].medians[0][0] = Some(f64::NAN);
    data.comparisons[0].diff = Some(f64::NAN);
    let page = page(&data);
    for text in [&page, &markdown(&data)] {
        let around = text.find("NaN").map(|place| text[..place].chars().rev().take(80).collect::<String>());
        assert_eq!(around.map(|text| text.chars().rev().collect::<String>()), None, "stands before a NaN");
    }
    for drawing in drawings(&page) {
        assert!(!drawing.contains("NaN") && !drawing.contains("\"inf") && !drawing.contains("\"-inf"), "{drawing}");
        roxmltree::Document::parse(drawing).unwrap();
    }
}

#[test]
fn names_are_escaped_wherever_they_stand() {
    let page = page(&full(HOSTILE));
    assert!(!page.contains("<script"), "a script got into the page");
    assert!(page.contains("&lt;script&gt;"));
    drawings(&page).into_iter().for_each(|drawing| drop(roxmltree::Document::parse(drawing).unwrap()));
    // Every row of a Markdown table has as many cells as its head.
    let markdown = markdown(&full(HOSTILE));
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let lines: Vec<&str> = markdown.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair.iter().all(|line| line.starts_with('|'))) {
        assert_eq!(cells(pair[0]), cells(pair[1]), "{pair:?}");
    }
}

#[test]
fn a_page_needs_nothing_else() {
    let page = page(&full("kfac"));
    for forbidden in ["<script", "<link", "<img", "src=", "url(", "@import", "http://", "https://"] {
        let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn what_was_not_recorded_is_left_out_and_said() {
    let mut data = full("kfac");
    for group in data.panels.iter_mut().flat_map(|panel| &mut panel.groups) {
        (group.curves, group.samples) = (None, None);
    }
    let page = page(&data);
    assert!(!page.contains("id=\"loss\"") && !page.contains("id=\"pnl-distribution\""));
    assert!(
        page.contains("record: {curves: true}") && page.contains("record: {samples: {sets: [test], epochs: last}}")
    );
}

#[test]
fn the_markdown_says_what_the_page_says() {
    let data = full("kfac");
    let (markdown, page) = (markdown(&data), page(&data));
    let answer = super::headline(&data);
    assert!(markdown.contains(&answer.sentence) && page.contains(&answer.sentence.replace("&", "&amp;")));
    insta::assert_snapshot!(markdown);
}

#[test]
fn a_page_stays_small_whatever_it_shows() {
    let mut data = full("kfac");
    let many = |group: &Group, arm: usize| {
        let values: Vec<(u64, f64)> = (0..5000).map(|seed| (seed, 1.0 + (seed * 7919 % 5000) as f64)).collect();
        let quantiles = (0..512).map(|epoch| [0.5, 0.8, 1.0, 1.3, 4.0].map(|share| share / f64::from(epoch + 1)));
        let band = Band { epochs: (1..=512).collect(), quantiles: quantiles.collect() };
        let curves = Curves {
            loss: band.clone(),
            validation: band.clone(),
            pnl: band.clone(),
            cost: band,
            seeds: 5000,
            of: 5000,
        };
        Group {
            arm: format!("arm_{arm}"),
            differences: values.clone(),
            correlations: values.clone(),
            values,
            curves: Some(curves),
            ..group.clone()
        }
    };
    let group = data.panels[0].groups[1].clone();
    data.arms = (0..12).map(|arm| format!("arm_{arm}")).collect();
    let panel = Panel { groups: (0..12).map(|arm| many(&group, arm)).collect(), ..data.panels[0].clone() };
    data.panels = (0..4).map(|cell| Panel { cell: format!("cell={cell}"), ..panel.clone() }).collect();
    data.comparisons = (0..1000)
        .flat_map(|cell| data.arms.iter().map(move |arm| comparison(&format!("cell={cell}"), "test.loss", arm)))
        .collect();
    let size = page(&data).len();
    assert!(size < 5_000_000, "{size}");
}
