//! Which weights a block has, and which keys go together.

use super::*;

#[test]
fn every_weight_has_its_place_and_two_biases_share_a_step() {
    let layout = layout();
    let numbers: Vec<f64> = (0..layout.len()).map(|place| place as f64).collect();
    for block in Block::all(&layout, KfacLayers::All, Bias::Homogeneous, RecurrentFactors::Joint) {
        // What a step of `change` takes off the weights is `change` again, and nothing else moves.
        let change = change_of(&block, &direction());
        let mut moved = numbers.clone();
        block.take(&change, &mut moved);
        let taken: Vec<f64> = numbers.iter().zip(&moved).map(|(before, after)| before - after).collect();
        assert_close(change_of(&block, &taken).as_slice(), change.as_slice(), 1e-13);
        let ranges: Vec<_> = layout.tensors().iter().map(|spec| spec.range.clone()).collect();
        let recurrent = block.needs_gates();
        for (place, range) in ranges.iter().enumerate() {
            assert_eq!(taken[range.clone()].iter().all(|x| *x == 0.0), recurrent != (place < 4));
        }
        if recurrent {
            assert_close(&taken[ranges[2].clone()], &taken[ranges[3].clone()], 1e-12);
        }
    }
}

#[test]
fn everything_that_is_not_trained_stays() {
    let head = train::<f64>(&Case::new("", Kfac { fisher: Fisher::Ggn, ..Kfac::default() }), 2);
    let start = golden::kfac().numbers("weights");
    assert_eq!(head[1].1[layout().body()], start[layout().body()]);
    assert!(head[1].1[layout().head()].iter().zip(&start[layout().head()]).all(|(a, b)| a != b));
    let all = train::<f64>(&Case::new("", proper()), 2);
    assert!(all[1].1.iter().zip(&start).all(|(a, b)| a != b));
}

#[test]
fn a_loss_without_curvature_is_refused_where_curvature_is_needed() {
    use crate::{Preset, RunConfig, Value};
    let resolve = |keys: &[(&str, Value)]| {
        let all: Vec<(&str, Value)> = [("optimizer.kind", Value::from("kfac"))].iter().chain(keys).cloned().collect();
        RunConfig::resolve(Preset::Paper, 0, all.iter().map(|(key, value)| (*key, value)))
    };
    let cvar = ("loss.kind", Value::from("cvar"));
    let ggn = ("optimizer.fisher", Value::from("ggn"));
    let adapt = ("optimizer.damping_adapt", Value::from("levenberg_marquardt"));
    let errors = resolve(&[cvar.clone(), ggn.clone(), adapt.clone()]).unwrap_err();
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "optimizer.fisher: ggn needs a loss with a curvature; loss.kind cvar is piecewise linear; allowed: empirical, or another loss",
            "optimizer.damping_adapt: levenberg_marquardt needs a loss with a curvature; loss.kind cvar is piecewise linear; allowed: none, or another loss",
        ]
    );
    assert!(resolve(&[cvar]).is_ok());
    for loss in ["variance_plus_cost", "mean_variance", "entropic"] {
        assert!(resolve(&[("loss.kind", loss.into()), ggn.clone(), adapt.clone()]).is_ok());
    }
}
