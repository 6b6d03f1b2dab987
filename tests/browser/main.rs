//! The pages in a real browser: at desktop and phone width, light and dark, nothing overlaps, nothing is clipped, nothing
//! scrolls sideways, and no script fails.
//!
//! Skipped where there is no Chromium; `CHROMIUM` names one that is not on the path.

mod chromium;
mod live;
mod tab;

use std::path::Path;

use chromium::{Browser, Verdict, View};
use hedgesweep_tests::{Sandbox, skipped};

/// A sweep with everything a report can show: cells, variants, tuning, samples, hedges, and an arm that diverges.
const SWEEP: &str = "\
name: looks
description: A sweep with everything that a report can show.
preset: hedging
seeds: 9
metric: {name: test.cvar95, goal: minimize}
parameters:
  costs.rate: {values: [0.001, 0.01]}
  loss.kind: {value: cvar}
  loss.alpha: {value: 0.9}
  network.hidden: {value: 6}
  training.paths: {value: 64}
  training.batch_size: {value: 32}
  training.epochs: {value: 12}
  evaluation.validation_paths: {value: 50}
  evaluation.test_paths: {value: 200}
arms:
  adam:
    parameters:
      optimizer.kind: {value: adam}
      optimizer.lr: {values: [0.003, 0.01, 0.03]}
  kfac_with_a_long_name_that_fills_a_line:
    parameters:
      optimizer.kind: {value: kfac}
      optimizer.damping: {min: 1e-3, max: 1e-1, distribution: log_uniform_values, count: 3}
      optimizer.sharing: {values: [expand, reduce]}
  wild:
    parameters:
      optimizer.kind: {value: sgd}
      optimizer.lr: {value: 1e38}
compare: {baseline: adam, metrics: [test.cvar95, test.turnover, test.sharpe], tune: {seeds: 2, by: validation.cvar95}}
record: {curves: true, samples: {sets: [test], epochs: last}}
";

const VIEWS: [View; 4] = [
    View { width: 1280, dark: false },
    View { width: 1280, dark: true },
    View { width: 390, dark: false },
    View { width: 390, dark: true },
];

/// The page looks right in all views, with its numbers closed and open.
fn looks_right(browser: &Browser, page: &Path) {
    let html = std::fs::read_to_string(page).unwrap();
    for view in VIEWS {
        for open in [false, true] {
            let verdict = browser.check(&html, view, open);
            assert_eq!(verdict.problems, Vec::<String>::new(), "{view:?}, details open: {open}");
            assert!(verdict.texts > 100 && verdict.drawings > 10, "{verdict:?}: was anything looked at?");
        }
    }
}

#[test]
fn a_report_with_everything_looks_right_everywhere() {
    let Some(browser) = Browser::find() else { return skipped("there is no Chromium") };
    let sandbox = Sandbox::new();
    sandbox.write("looks.yaml", SWEEP);
    sandbox.coordinator(["--sweep", "looks.yaml", "--out", "out"]).expect_code(0);
    let page = sandbox.path("out/report.html");
    let html = std::fs::read_to_string(&page).unwrap();
    for figure in [
        "forest",
        "paired",
        "values",
        "loss",
        "validation",
        "pnl",
        "cost",
        "pnl-distribution",
        "path",
        "sensitivity",
        "heat",
    ] {
        assert!(html.contains(&format!("<figure id=\"{figure}\"")), "the sweep shows no {figure}");
    }
    looks_right(&browser, &page);
}

#[test]
fn a_report_without_a_comparison_looks_right_everywhere() {
    let Some(browser) = Browser::find() else { return skipped("there is no Chromium") };
    let sandbox = Sandbox::new();
    let text = "name: alone\npreset: paper\nseeds: 3\nparameters:\n  training.epochs: {value: 5}\n  market.xi: {values: [0.3, 0.5, 0.7]}\n  market.rho: {values: [-0.7, 0]}\n";
    sandbox.write("alone.yaml", text);
    sandbox.coordinator(["--sweep", "alone.yaml", "--out", "out"]).expect_code(0);
    looks_right(&browser, &sandbox.path("out/report.html"));
}

#[test]
fn the_check_sees_what_is_wrong() {
    let Some(browser) = Browser::find() else { return skipped("there is no Chromium") };
    let view = View { width: 390, dark: false };
    let page = |body: &str| -> Verdict {
        let html = format!(
            "<!DOCTYPE html><html><head><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"></head><body>{body}</body></html>"
        );
        browser.check(&html, view, false)
    };
    let svg = |inside: &str| format!("<svg width=\"300\" height=\"60\" font-size=\"12\">{inside}</svg>");
    let cases = [
        (svg("<text x=\"10\" y=\"20\">one</text><text x=\"12\" y=\"22\">two</text>"), "overlap"),
        (svg("<text x=\"280\" y=\"20\">a label that is cut off</text>"), "clipped"),
        ("<div style=\"width: 900px\">wide</div>".to_owned(), "sideways"),
        ("<p style=\"color: #ccc\">pale</p>".to_owned(), "contrast"),
        (svg("<text x=\"10\" y=\"20\" font-size=\"5\">tiny</text>"), "small"),
        ("<p>one</p><p style=\"margin-top: -32px\">two</p>".to_owned(), "overlap"),
    ];
    for (body, word) in cases {
        let problems = page(&body).problems;
        assert!(problems.iter().any(|problem| problem.contains(word)), "{word} was not seen in {body}: {problems:?}");
    }
    assert_eq!(page(&svg("<text x=\"10\" y=\"20\">fine</text>")).problems, Vec::<String>::new());
}
