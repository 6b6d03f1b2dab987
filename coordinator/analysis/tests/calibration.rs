//! What the tests and intervals promise, counted on samples of which the truth is known.
//!
//! Each count is of 2,000 trials, so that a rate of 5% has a standard error of 0.49% and one of 82% of 0.86%. All numbers
//! are drawn from seeded sources: a count is the same on every machine. `-- --nocapture` shows the counts.

use analysis::stats::{
    Interval, Losses, PairBootstrap, crossed_cvar, grambsch, hodges_lehmann, memmel, paired_t, pitman_morgan, power,
    sign_flip, studentised_sharpe, superiority, wilcoxon,
};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

const TRIALS: u64 = 2_000;

/// Polar method; the one of the pair that is not needed is not kept.
fn normal(random: &mut impl Rng) -> f64 {
    loop {
        let [x, y] = [random.random_range(-1.0..1.0), random.random_range(-1.0..1.0)];
        let squared: f64 = x * x + y * y;
        if squared > 0.0 && squared < 1.0 {
            return x * (-2.0 * squared.ln() / squared).sqrt();
        }
    }
}

fn normals(random: &mut impl Rng, mean: f64, n: usize) -> Vec<f64> {
    (0..n).map(|_| mean + normal(random)).collect()
}

/// The share of trials in which something is so, each with a source of its own.
fn rate(trials: u64, mut is_so: impl FnMut(&mut Xoshiro256PlusPlus) -> bool) -> f64 {
    let hits = (0..trials).filter(|trial| is_so(&mut Xoshiro256PlusPlus::seed_from_u64(*trial))).count();
    hits as f64 / trials as f64
}

fn rejects(p: Option<f64>) -> bool {
    p.unwrap() < 0.05
}

fn assert_near(rate: f64, wanted: f64, tolerance: f64, what: &str) {
    assert_within(rate, wanted - tolerance, wanted + tolerance, what);
}

fn assert_within(rate: f64, low: f64, high: f64, what: &str) {
    println!("{what}: {rate:.4}");
    assert!((low..=high).contains(&rate), "{what}: {rate} is not from {low} to {high}");
}

#[test]
fn the_paired_t_rejects_as_often_as_it_says() {
    for n in [5, 15, 30] {
        let found = rate(TRIALS, |random| rejects(paired_t(&normals(random, 0.0, n)).test.p));
        assert_near(found, 0.05, 0.015, &format!("paired t, {n} pairs"));
        // Its interval is the same statement.
        let covered = rate(TRIALS, |random| paired_t(&normals(random, 2.0, n)).interval.unwrap().contains(2.0));
        assert_near(covered, 0.95, 0.015, &format!("t interval, {n} pairs"));
    }
}

#[test]
fn wilcoxon_and_sign_flips_reject_as_often_as_they_say() {
    for n in [10, 15, 20, 30, 60] {
        let found = rate(TRIALS, |random| rejects(wilcoxon(&normals(random, 0.0, n))));
        assert_near(found, 0.05, 0.015, &format!("Wilcoxon, {n} pairs"));
    }
    for n in [10, 15, 20, 21, 30] {
        let found = rate(TRIALS, |random| {
            let differences = normals(random, 0.0, n);
            rejects(sign_flip(random, &differences))
        });
        assert_near(found, 0.05, 0.015, &format!("sign-flip, {n} pairs"));
    }
}

#[test]
fn the_bootstrap_covers_as_much_as_its_size_allows() {
    let mut bootstrap = PairBootstrap::default();
    let mut covers = |n: usize| {
        rate(TRIALS, |random| {
            let (arm, baseline) = (normals(random, 0.7, n), vec![0.0; n]);
            bootstrap.intervals(random, &arm, &baseline).difference.unwrap().contains(0.7)
        })
    };
    let [fifteen, thirty, hundred] = [15, 30, 100].map(&mut covers);
    assert_within(fifteen, 0.9, 0.965, "BCa, 15 pairs");
    assert_within(thirty, 0.92, 0.965, "BCa, 30 pairs");
    assert_near(hundred, 0.95, 0.015, "BCa, 100 pairs");
}

#[test]
fn the_ratio_of_means_is_covered_too() {
    let mut bootstrap = PairBootstrap::default();
    let found = rate(500, |random| {
        let baseline: Vec<f64> = normals(random, 0.0, 40).into_iter().map(|z| (0.4 * z).exp()).collect();
        // Pairs with something in common, and a ratio of the means of 1.3.
        let arm: Vec<f64> = baseline.iter().map(|value| 1.3 * value * (0.2 * normal(random) - 0.02).exp()).collect();
        bootstrap.intervals(random, &arm, &baseline).ratio.unwrap().contains(1.3)
    });
    assert_near(found, 0.94, 0.03, "BCa of the ratio, 40 pairs, 500 trials");
}

#[test]
fn fifteen_seeds_see_a_large_effect_as_often_as_the_power_says() {
    let found = rate(TRIALS, |random| rejects(paired_t(&normals(random, 0.8, 15)).test.p));
    assert_near(found, 0.82, 0.026, "d_z 0.8, 15 pairs");
    assert_near(power(0.8, 15, 0.05), 0.82, 0.005, "as computed");
}

#[test]
fn estimates_are_where_the_truth_is() {
    let (mut shifts, mut shares) = (0.0, 0.0);
    for trial in 0..TRIALS {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(trial);
        let differences = normals(&mut random, 0.5, 20);
        shifts += hodges_lehmann(&differences).unwrap();
        let wins = differences.iter().filter(|difference| **difference > 0.0).count();
        shares += f64::from(superiority(wins, 0, 20).unwrap().interval.contains(0.691_462_461_274_013));
    }
    let trials = TRIALS as f64;
    // Hodges–Lehmann has 1.05 times the variance of the mean, 1/20.
    assert_near(shifts / trials, 0.5, 4.0 * (1.05 / 20.0 / trials).sqrt(), "Hodges–Lehmann");
    assert_near(shares / trials, 0.95, 0.02, "Wilson");
}

/// A path's P&L of two arms: correlated, with equal variances and Sharpe ratios; Student's with five degrees of freedom if
/// the tails are heavy.
fn two_arms(random: &mut impl Rng, n: usize, heavy: bool) -> (Vec<f64>, Vec<f64>) {
    let mut pair = || {
        let common = normal(random);
        let own = [normal(random), normal(random)];
        let squares: f64 = (0..5).map(|_| normal(random).powi(2)).sum();
        let scale = if heavy { (5.0 / squares).sqrt() } else { 1.0 };
        own.map(|own| 0.1 + scale * (0.8 * common + 0.6 * own))
    };
    (0..n).map(|_| pair()).map(|[x, y]| (x, y)).unzip()
}

#[test]
fn only_grambsch_survives_heavy_tails() {
    let [mut grambsch_rejects, mut morgan_rejects] = [[0.0; 2]; 2];
    for (place, heavy) in [false, true].into_iter().enumerate() {
        grambsch_rejects[place] = rate(TRIALS, |random| {
            let (x, y) = two_arms(random, 300, heavy);
            rejects(grambsch(&x, &y).p)
        });
        morgan_rejects[place] = rate(TRIALS, |random| {
            let (x, y) = two_arms(random, 300, heavy);
            rejects(pitman_morgan(&x, &y).p)
        });
    }
    assert_near(grambsch_rejects[0], 0.05, 0.015, "Grambsch, normal");
    assert_near(morgan_rejects[0], 0.05, 0.015, "Pitman–Morgan, normal");
    assert_within(grambsch_rejects[1], 0.0, 0.065, "Grambsch, heavy tails");
    assert_within(morgan_rejects[1], 0.15, 1.0, "Pitman–Morgan, heavy tails");
}

#[test]
fn equal_sharpe_ratios_are_seldom_told_apart() {
    let memmel_rejects = rate(TRIALS, |random| {
        let (x, y) = two_arms(random, 200, false);
        rejects(memmel(&x, &y).p)
    });
    assert_near(memmel_rejects, 0.05, 0.015, "Memmel");
    let bootstrap_rejects = rate(400, |random| {
        let (x, y) = two_arms(random, 200, true);
        rejects(studentised_sharpe(random, &x, &y).map(|found| found.p))
    });
    assert_near(bootstrap_rejects, 0.05, 0.033, "studentised bootstrap, heavy tails, 400 trials");
}

/// Losses of several seeds' networks of an arm and of the baseline on one test set: both lose what the market brings, the
/// arm three times as much of it, and a little of their own.
fn test_set(random: &mut impl Rng, seeds: usize, paths: usize) -> Vec<[Vec<f64>; 2]> {
    let market = normals(random, 0.0, paths);
    let mut losses = |exposure: f64| {
        let skill = 0.05 * normal(random);
        market.iter().map(|shock| skill + exposure * shock + 0.2 * normal(random)).collect()
    };
    (0..seeds).map(|_| [losses(EXPOSURES[0]), losses(EXPOSURES[1])]).collect()
}

const EXPOSURES: [f64; 2] = [1.5, 0.5];

/// The nested bootstrap, which is wrong here: each seed draws paths of its own.
fn nested(random: &mut Xoshiro256PlusPlus, by_seed: &[[Vec<f64>; 2]], level: f64) -> Interval {
    let (seeds, paths) = (by_seed.len(), by_seed[0][0].len());
    let size = (paths as f64 * (1.0 - level)).round() as usize;
    let mut tail = Vec::with_capacity(paths);
    let mut cvar = |losses: &[f64], drawn: &[usize]| {
        tail.clear();
        tail.extend(drawn.iter().map(|path| losses[*path]));
        tail.select_nth_unstable_by(size, |left, right| right.total_cmp(left));
        tail[..size].iter().sum::<f64>() / size as f64
    };
    let mut resample = || {
        let of_a_seed = |_| {
            let [arm, baseline] = &by_seed[random.random_range(0..seeds)];
            let drawn: Vec<usize> = (0..paths).map(|_| random.random_range(0..paths)).collect();
            cvar(arm, &drawn) - cvar(baseline, &drawn)
        };
        (0..seeds).map(of_a_seed).sum::<f64>() / seeds as f64
    };
    let mut differences: Vec<f64> = (0..199).map(|_| resample()).collect();
    differences.sort_unstable_by(f64::total_cmp);
    Interval { low: differences[4], high: differences[194] }
}

#[test]
fn seeds_that_share_a_test_set_need_the_crossed_bootstrap() {
    const LEVEL: f64 = 0.9;
    let (trials, seeds, paths) = (200, 20, 200);
    // Of a normal loss: its deviation times φ(z)/(1 − level).
    let deviations = EXPOSURES.map(|exposure| (exposure * exposure + 0.04).sqrt());
    let truth = 1.754_983_319_324_868 * (deviations[0] - deviations[1]);
    let crossed = rate(trials, |random| {
        let losses = test_set(random, seeds, paths).into_iter();
        let pairs: Vec<_> = losses.map(|[arm, baseline]| (Losses::new(arm), Losses::new(baseline))).collect();
        crossed_cvar(random, &pairs, LEVEL).unwrap().interval.unwrap().contains(truth)
    });
    let nested = rate(trials, |random| {
        let losses = test_set(random, seeds, paths);
        nested(random, &losses, LEVEL).contains(truth)
    });
    // Two hundred trials have a standard error of 1.9% at 92% and of 3.5% at 43%.
    assert_within(crossed, 0.86, 1.0, "crossed bootstrap");
    assert_within(nested, 0.0, 0.54, "nested bootstrap");
}
