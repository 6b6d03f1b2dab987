//! Durations on the command line.

use std::str::FromStr;
use std::time::Duration;

/// A duration, as people write it: `500ms`, `90s`, `15m`, `2h`, `1d`; a number alone is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(pub Duration);

impl FromStr for Timeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Timeout, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit_s = match unit {
            "ms" => 1e-3,
            "" | "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => f64::NAN,
        };
        let seconds = number.parse::<f64>().ok().map(|number| number * unit_s);
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let allowed = Duration::from_millis(1)..=Duration::from_secs(366 * 86_400);
        duration
            .filter(|duration| allowed.contains(duration))
            .map(Timeout)
            .ok_or_else(|| format!("{text:?} is not a duration such as 90s, 15m or 2h, from 1ms to 366d"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_what_people_write() {
        let read = |text: &str| text.parse::<Timeout>().map(|timeout| timeout.0.as_millis());
        let cases = [("90s", 90_000), ("90", 90_000), ("1.5m", 90_000), ("250ms", 250), ("2h", 7_200_000)];
        for (text, millis) in cases {
            assert_eq!(read(text), Ok(millis), "{text}");
        }
        for bad in ["", "s", "0s", "-1s", "1 fortnight", "1e9d", "1..2s", "nan", "inf"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
