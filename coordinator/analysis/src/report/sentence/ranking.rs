//! The answer where nothing is compared.

use engine::metrics::Direction;

use super::Answer;
use super::conditions::shared_paths;
use crate::report::data::{DEFAULT, Metric, is_hedge, named};
use crate::report::number::{plural, significant};
use crate::summary::{Block, Line};

/// The answer where nothing is compared: who is best, and what that means.
pub fn ranking_answer(metric: &Metric, ranking: &[Block]) -> Answer {
    let lines = ranking.iter().flat_map(|block| block.lines.iter().map(move |line| (block, line)));
    let known: Vec<_> = lines.filter(|(_, line)| line.mean.is_some() && !is_hedge(&line.arm)).collect();
    let value = |line: &Line| line.mean.unwrap_or(f64::NAN);
    let better = |left: f64, right: f64| match metric.direction {
        Direction::Maximize => left > right,
        _ => left < right,
    };
    let best =
        known.iter().copied().reduce(|best, next| if better(value(next.1), value(best.1)) { next } else { best });
    let worst =
        known.iter().copied().reduce(|worst, next| if better(value(worst.1), value(next.1)) { next } else { worst });
    let name = &metric.name;
    let Some(((block, line), (worst_block, worst))) = best.zip(worst) else {
        let sentence = format!("Nothing can be said about {name} yet: no run has a value.");
        return Answer { sentence, ..Answer::default() };
    };
    let place = |block: &Block, line: &Line| {
        let mut words = Vec::new();
        if ranking.iter().flat_map(|block| &block.lines).any(|other| other.arm != line.arm && !is_hedge(&other.arm))
            || line.variant != DEFAULT
        {
            words.push(named(&line.arm, &line.variant));
        }
        if block.cell != DEFAULT {
            words.push(block.cell.clone());
        }
        words.join(" at ")
    };
    let spread = |line: &Line| match line.sd {
        Some(sd) => format!("{} ± {} over {}", significant(value(line)), significant(sd), plural(line.n, "seed")),
        None => format!("{} at {}", significant(value(line)), plural(line.n, "seed")),
    };
    let word = match metric.direction {
        Direction::Maximize => "largest",
        _ => "smallest",
    };
    let here = place(block, line);
    let mut sentence = match (known.len(), here.is_empty()) {
        (1, true) => format!("{name} is {} (mean ± SD)", spread(line)),
        (1, false) => format!("{name} of {here} is {} (mean ± SD)", spread(line)),
        _ => format!("{name} is {word} for {here}: {} (mean ± SD)", spread(line)),
    };
    if known.len() > 1 {
        let verb = if metric.direction == Direction::Maximize { "smallest" } else { "largest" };
        sentence.push_str(&format!(", and {verb} for {}: {}", place(worst_block, worst), spread(worst)));
    }
    sentence.push('.');
    let mut parts = vec![
        "Nothing is compared: the sweep has no `compare`, so there are no tests and no adjustment for looking at many."
            .to_owned(),
    ];
    parts.extend(shared_paths(name));
    Answer { sentence, hedges: None, conditions: parts.join(" ") }
}
