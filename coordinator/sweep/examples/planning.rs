//! How long planning takes: `cargo run --release -p sweep --example planning -- sweeps/noop.yaml`.

use std::sync::Arc;
use std::time::Instant;

use sweep::plan::{Plan, PlanOrder};
use sweep::spec::{NoWeights, parse};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: planning FILE")?;
    let text = std::fs::read_to_string(&file)?;
    let start = Instant::now();
    let (spec, warnings) = parse(&text, &file, &[], &mut NoWeights)?;
    for warning in warnings {
        println!("{warning}");
    }
    println!("{:>10.1?} read", start.elapsed());
    let start = Instant::now();
    let plan = Arc::new(Plan::build(&spec)?);
    println!("{:>10.1?} planned and checked: {} runs", start.elapsed(), plan.len());
    let start = Instant::now();
    let sum = (0..plan.len()).fold(0_u128, |sum, index| sum ^ plan.run_id(index).as_u128());
    println!("{:>10.1?} ids, whose sum is {sum:032x}", start.elapsed());
    let start = Instant::now();
    let tasks = PlanOrder::new(Arc::clone(&plan), |_| false).count();
    println!("{:>10.1?} in order: {tasks} tasks", start.elapsed());
    let start = Instant::now();
    let label = |index| {
        let run = plan.get(index);
        plan.cell_label(run.cell).len() + plan.variant_label(run.arm, run.variant).len()
    };
    let length: usize = (0..plan.len()).map(label).sum();
    println!("{:>10.1?} labels: {length} characters", start.elapsed());
    Ok(())
}
