//! Factors that have no inverse, batches that are not numbers.

use super::*;

fn adaptive() -> Kfac {
    Kfac { damping_adapt: DampingAdapt::LevenbergMarquardt, damping: 1e-8, ..proper() }
}

fn step_on(
    stepper: &mut KfacStepper<f64>,
    weights: &mut [f64],
    batch: &mut StubBatch,
) -> Result<StepNotes, SingularFactor> {
    let notes = stepper.step(weights, batch);
    assert!(weights.iter().all(|weight| weight.is_finite()));
    notes
}

#[test]
fn zero_rank_one_and_singular_factors_are_stepped_on() {
    let layout = layout();
    for recurrent_factors in [RecurrentFactors::Joint, RecurrentFactors::PerGate] {
        for damping_split in [DampingSplit::Each, DampingSplit::Pi] {
            for scale in [0.0, 1.0, 1e-150, 1e9, 1e60] {
                let settings = Kfac { recurrent_factors, damping_split, kl_clip: Some(1e-3), ..adaptive() };
                let mut stepper = KfacStepper::<f64>::new(&settings, &layout);
                let mut weights = vec![0.1; layout.len()];
                // All rows alike: rank one.
                let mut batch = StubBatch::new(&layout, DIMS);
                for numbers in [&mut batch.inputs, &mut batch.states, &mut batch.gates, &mut batch.head] {
                    numbers.iter_mut().for_each(|number| *number *= scale);
                }
                for _ in 0..3 {
                    let notes = step_on(&mut stepper, &mut weights, &mut batch);
                    assert!(notes.is_ok() || scale > 1e9, "{scale}: {notes:?}");
                }
                assert!(stepper.damping().unwrap() <= 1e3);
            }
        }
    }
}

#[test]
fn damping_rises_until_a_factor_has_an_inverse() {
    let layout = layout();
    let mut stepper = KfacStepper::<f64>::new(&adaptive(), &layout);
    let mut weights = vec![0.1; layout.len()];
    // Rank one and so large that 1e-8 is lost in its rounding: the factors' entries are near 2.5e11.
    let mut batch = StubBatch::new(&layout, DIMS);
    batch.states.fill(5e5);
    let notes = step_on(&mut stepper, &mut weights, &mut batch).unwrap();
    let raised = stepper.damping().unwrap();
    assert!(raised > 1e-8 && raised < 1e3, "{raised}");
    assert!(notes.factor_condition.unwrap() > 1e6);
    assert!(weights.iter().any(|weight| *weight != 0.1));
}

#[test]
fn a_batch_with_nan_factors_is_stepped_on_with_the_last_inverses() {
    let layout = layout();
    let settings = Kfac { damping: 0.1, ema: 0.9, ..adaptive() };
    let mut stepper = KfacStepper::<f64>::new(&settings, &layout);
    let mut weights = vec![0.1; layout.len()];
    let (mut good, mut bad) = (StubBatch::random(&layout, DIMS), StubBatch::random(&layout, DIMS));
    bad.gates[5] = f64::NAN;
    // Before there are inverses there is no step.
    assert_eq!(step_on(&mut stepper, &mut weights, &mut bad), Ok(StepNotes::default()));
    assert!(weights.iter().all(|weight| *weight == 0.1));
    step_on(&mut stepper, &mut weights, &mut good).unwrap();
    let before = weights.clone();
    assert!(step_on(&mut stepper, &mut weights, &mut bad).unwrap().factor_condition.is_some());
    assert_ne!(weights, before);
    // The running means have not taken it in, and patience ends.
    step_on(&mut stepper, &mut weights, &mut good).unwrap();
    let failures = (0..100).take_while(|_| step_on(&mut stepper, &mut weights, &mut bad).is_ok()).count();
    assert_eq!(failures, damping::PATIENCE as usize);
    let singular = SingularFactor { factor: "G of the LSTM" };
    assert_eq!(step_on(&mut stepper, &mut weights, &mut bad), Err(singular));
    let message = crate::trainer::Breakdown::Factor(singular).to_string();
    assert_eq!(message, "K-FAC's factor G of the LSTM cannot be inverted");
}

#[test]
fn with_a_fixed_damping_the_factor_is_named_and_nothing_moves() {
    let layout = layout();
    let expected = [
        ("A of the LSTM", RecurrentFactors::Joint),
        ("G of the LSTM's candidate", RecurrentFactors::PerGate),
        ("A of the head", RecurrentFactors::Joint),
        ("G of the head", RecurrentFactors::Joint),
    ];
    for (factor, recurrent_factors) in expected {
        let mut stepper = KfacStepper::<f64>::new(&Kfac { recurrent_factors, ..proper() }, &layout);
        let mut batch = StubBatch::random(&layout, DIMS);
        match factor {
            "A of the LSTM" => batch.inputs[4] = f64::NAN,
            "A of the head" => *batch.states.last_mut().unwrap() = f64::INFINITY,
            "G of the head" => batch.head[3] = 1e200,
            _ => batch.gates[2 * HIDDEN + 1] = f64::NAN,
        }
        let mut weights = vec![0.1; layout.len()];
        assert_eq!(step_on(&mut stepper, &mut weights, &mut batch), Err(SingularFactor { factor }));
        assert!(weights.iter().all(|weight| *weight == 0.1));
    }
}

#[test]
fn a_look_at_a_loss_that_is_no_number_raises_the_damping() {
    let layout = layout();
    let mut stepper = KfacStepper::<f64>::new(&Kfac { damping: 0.1, ..adaptive() }, &layout);
    let mut weights = vec![0.1; layout.len()];
    let mut batch = StubBatch::random(&layout, DIMS);
    batch.losses = vec![f64::NAN];
    let notes: Vec<StepNotes> = (0..5).map(|_| step_on(&mut stepper, &mut weights, &mut batch).unwrap()).collect();
    assert!(notes.iter().all(|notes| notes.trust_ratio.is_none()));
    assert!((stepper.damping().unwrap() - 0.1 / 0.773_780_937_5).abs() < 1e-12);
}
