//! Where an axis has its ticks.
//!
//! Linear axes: the search of Talbot, Lin and Hanrahan, *An Extension of Wilkinson's Algorithm for Positioning Tick Labels
//! on Axes* (InfoVis 2010), without its legibility term: labels are laid out here with one format and one size.
//! Logarithmic axes: decades, or 1, 2, 5 where there are few of them.

/// Steps in the order of their niceness.
const NICE: [f64; 6] = [1.0, 5.0, 2.0, 2.5, 4.0, 3.0];

/// Weights of simplicity, coverage and density.
const WEIGHTS: [f64; 3] = [0.25, 0.2, 0.55];

/// Ticks of a linear axis over `[low, high]`, about `wanted` of them (at least two): rising, evenly apart, and nice.
///
/// A range without width gets one of its own around the value. Bounds that are not finite have no ticks.
pub(super) fn linear(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    if !low.is_finite() || !high.is_finite() {
        return Vec::new();
    }
    let (low, high) = widened(low.min(high), low.max(high));
    // Beyond these sizes the arithmetic below loses its digits, and nobody looks for nice numbers there.
    if !(1e-290..1e290).contains(&(high - low)) {
        return vec![low, high];
    }
    let wanted = wanted.max(2) as f64;
    let mut best: Option<(f64, f64, f64, usize)> = None;
    let score_to_beat = |best: &Option<(f64, f64, f64, usize)>| best.map_or(-2.0, |(score, ..)| score);
    'skip: for skip in 1..=MAX_SKIP {
        let skip = f64::from(skip);
        for (place, nice) in NICE.into_iter().enumerate() {
            if total(simplicity_bound(place, skip), 1.0, 1.0) < score_to_beat(&best) {
                break 'skip;
            }
            for count in 2..=MAX_TICKS {
                let ticks = count as f64;
                if total(simplicity_bound(place, skip), 1.0, density_bound(ticks, wanted)) < score_to_beat(&best) {
                    break;
                }
                let delta = (high - low) / ((ticks + 1.0) * skip * nice);
                let first_power = delta.log10().ceil() as i32;
                for power in first_power..first_power + MAX_POWERS {
                    let step = skip * nice * 10_f64.powi(power);
                    let span = step * (ticks - 1.0);
                    let bound = total(
                        simplicity_bound(place, skip),
                        coverage_bound(low, high, span),
                        density_bound(ticks, wanted),
                    );
                    if bound < score_to_beat(&best) {
                        break;
                    }
                    let unit = step / skip;
                    let (first, last) = ((high / unit).floor() - (ticks - 1.0) * skip, (low / unit).ceil());
                    if first > last || last - first > 1000.0 {
                        continue;
                    }
                    for shift in 0..=(last - first) as u32 {
                        let start = first + f64::from(shift);
                        let (begin, end) = (start * unit, start * unit + span);
                        let score = total(
                            simplicity(place, skip, begin, end, step),
                            coverage(low, high, begin, end),
                            density(ticks, wanted, low, high, begin, end),
                        );
                        if score > score_to_beat(&best) {
                            best = Some((score, begin, step, count));
                        }
                    }
                }
            }
        }
    }
    let Some((_, begin, step, count)) = best else { return vec![low, high] };
    // From whole multiples, so that no tick is 0.30000000000000004 or 1e-17.
    let first = (begin / step).round();
    let exact = (begin / step - first).abs() < 1e-6;
    let tick =
        |place: usize| if exact { snapped((first + place as f64) * step, step) } else { begin + place as f64 * step };
    (0..count).map(tick).collect()
}

const MAX_SKIP: u32 = 6;
const MAX_TICKS: usize = 12;
const MAX_POWERS: i32 = 6;

fn total(simplicity: f64, coverage: f64, density: f64) -> f64 {
    WEIGHTS[0] * simplicity + WEIGHTS[1] * coverage + WEIGHTS[2] * density
}

fn simplicity_bound(place: usize, skip: f64) -> f64 {
    2.0 - place as f64 / (NICE.len() - 1) as f64 - skip
}

fn simplicity(place: usize, skip: f64, begin: f64, end: f64, step: f64) -> f64 {
    let has_zero = begin <= 0.0 && end >= 0.0 && (begin / step - (begin / step).round()).abs() < 1e-10;
    simplicity_bound(place, skip) - if has_zero { 0.0 } else { 1.0 }
}

fn coverage(low: f64, high: f64, begin: f64, end: f64) -> f64 {
    let range = high - low;
    1.0 - 0.5 * ((high - end).powi(2) + (low - begin).powi(2)) / (0.1 * range).powi(2)
}

fn coverage_bound(low: f64, high: f64, span: f64) -> f64 {
    let range = high - low;
    if span > range { 1.0 - ((span - range) / 2.0).powi(2) / (0.1 * range).powi(2) } else { 1.0 }
}

fn density(ticks: f64, wanted: f64, low: f64, high: f64, begin: f64, end: f64) -> f64 {
    let rate = (ticks - 1.0) / (end - begin);
    let target = (wanted - 1.0) / (high.max(end) - low.min(begin));
    2.0 - (rate / target).max(target / rate)
}

fn density_bound(ticks: f64, wanted: f64) -> f64 {
    if ticks >= wanted { 2.0 - (ticks - 1.0) / (wanted - 1.0) } else { 1.0 }
}

/// The decimal nearest to a value, as far as the step has digits.
fn snapped(value: f64, step: f64) -> f64 {
    let decimals = decimals_of(step);
    format!("{value:.decimals$}").parse().map_or(value, |decimal: f64| decimal + 0.0)
}

/// As many decimals as a step needs.
pub(super) fn decimals_of(step: f64) -> usize {
    if step == 0.0 || !step.is_finite() {
        return 0;
    }
    // 2.5 has one more digit than 2, and no nice step has three.
    let exponent = step.abs().log10().floor() as i32;
    let most = usize::try_from((1 - exponent).clamp(0, 300)).unwrap_or(0);
    let written = format!("{:.most$}", step.abs());
    match written.split_once('.') {
        Some((_, decimals)) => decimals.trim_end_matches('0').len(),
        None => 0,
    }
}

/// A range that has a width: one around its value, if it has none.
pub(super) fn widened(low: f64, high: f64) -> (f64, f64) {
    let scale = low.abs().max(high.abs());
    if high - low > 1e-12 * scale && high - low > 0.0 {
        return (low, high);
    }
    let half = if scale > 0.0 { 0.5 * scale } else { 1.0 };
    let middle = 0.5 * low + 0.5 * high;
    (middle - half, middle + half)
}

/// Ticks of a logarithmic axis within `[low, high]`, both positive: decades, thinned to at most about `wanted`, or multiples of 1, 2
/// and 5 where there would be fewer than three decades.
pub(super) fn logarithmic(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    if !(low > 0.0 && high >= low && high.is_finite()) {
        return Vec::new();
    }
    // A hair of room for bounds that are ticks themselves.
    let (first, last) = ((low.log10() - 1e-9).ceil() as i32, (high.log10() + 1e-9).floor() as i32);
    let decades = last - first + 1;
    if decades >= 3 {
        let every = (decades as usize).div_ceil(wanted.max(2)) as i32;
        return (first..=last)
            .filter(|power| power.rem_euclid(every) == 0)
            .map(|power| power_of_ten(power, 1.0))
            .collect();
    }
    let within = |tick: &f64| *tick >= low * (1.0 - 1e-9) && *tick <= high * (1.0 + 1e-9);
    let fine: Vec<f64> = (first - 1..=last)
        .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| power_of_ten(power, digit)))
        .filter(within)
        .collect();
    // Less than half a decade may have none of them: it is nearly linear.
    if fine.len() >= 2 { fine } else { linear(low, high, wanted).into_iter().filter(within).collect() }
}

/// The float nearest to digit · 10^power.
fn power_of_ten(power: i32, digit: f64) -> f64 {
    format!("{digit}e{power}").parse().unwrap_or(digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn textbook_ranges_have_the_ticks_that_one_would_draw() {
        assert_eq!(linear(0.0, 100.0, 5), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(linear(0.0, 1.0, 6), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(linear(1.0, 100.0, 5), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(linear(-0.0003, 0.0003, 5).iter().filter(|tick| **tick == 0.0).count(), 1);
        assert_eq!(logarithmic(1e-4, 1e-1, 5), [1e-4, 1e-3, 1e-2, 1e-1]);
        assert_eq!(logarithmic(3e-4, 3e-3, 5), [5e-4, 1e-3, 2e-3]);
    }

    #[test]
    fn steps_have_as_many_decimals_as_they_need() {
        for (step, decimals) in [(1.0, 0), (2.5, 1), (0.25, 2), (0.1, 1), (20.0, 0), (4e-7, 7)] {
            assert_eq!(decimals_of(step), decimals, "{step}");
        }
    }

    proptest! {
        #[test]
        fn linear_ticks_rise_evenly_near_the_range(low in -1e6..1e6_f64, width in 1e-6..1e6_f64, wanted in 2..9_usize) {
            let high = low + width;
            let ticks = linear(low, high, wanted);
            prop_assert!((2..=12).contains(&ticks.len()), "{ticks:?}");
            let step = ticks[1] - ticks[0];
            for pair in ticks.windows(2) {
                prop_assert!(((pair[1] - pair[0]) - step).abs() <= 1e-6 * step, "{ticks:?}");
            }
            // They may lie outside, as Wilkinson's do, but by less than half a range in all.
            prop_assert!(ticks[0] > low - 0.5 * width && ticks[ticks.len() - 1] < high + 0.5 * width, "{ticks:?}");
            prop_assert!(ticks[0] < high && ticks[ticks.len() - 1] > low, "{ticks:?} are beside [{low}, {high}]");
        }

        #[test]
        fn ticks_scale_with_the_range(low in -100..100_i32, width in 1..100_i32, power in -12..9_i32) {
            let (low, high) = (f64::from(low), f64::from(low + width));
            let scale = 10_f64.powi(power);
            let (plain, scaled) = (linear(low, high, 5), linear(low * scale, high * scale, 5));
            prop_assert_eq!(plain.len(), scaled.len());
            for (plain, scaled) in plain.iter().zip(&scaled) {
                prop_assert!((plain * scale - scaled).abs() <= 1e-9 * high.abs().max(low.abs()) * scale);
            }
        }

        #[test]
        fn logarithmic_ticks_are_within_and_rise(low in -12.0..12.0_f64, width in 0.5..20.0_f64) {
            let (low, high) = (10_f64.powf(low), 10_f64.powf(low + width));
            let ticks = logarithmic(low, high, 6);
            prop_assert!(!ticks.is_empty() && ticks.len() <= 9, "{ticks:?}");
            prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(ticks.iter().all(|tick| *tick >= low * 0.999_999 && *tick <= high * 1.000_001));
        }

        #[test]
        fn no_input_is_too_odd(low in any::<f64>(), high in any::<f64>()) {
            prop_assert!(linear(low, high, 5).len() <= 12);
            prop_assert!(logarithmic(low, high, 5).iter().all(|tick| tick.is_finite()));
        }
    }
}
