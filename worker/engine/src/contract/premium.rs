//! What is charged for a contract.

use crate::config::field::{parse_word, write_bytes};
use crate::config::{Field, Kind, Misfit, Value};

/// How the premium comes about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Premium {
    /// Nothing is charged.
    Zero,
    /// The semi-analytic price under the Heston model, at rate 0.
    Heston,
    /// The Black–Scholes price at the volatility √θ, at rate 0.
    BlackScholes,
    /// This much, in currency.
    Amount(f64),
}

impl Premium {
    const WORDS: &'static [&'static str] = &["zero", "heston", "black_scholes"];
}

impl Field for Premium {
    const KIND: Kind = Kind::ChoiceOrNumber(Premium::WORDS);

    fn parse(value: &Value) -> Result<Premium, Misfit> {
        match value {
            Value::Text(text) if !text.contains('/') => parse_word(value, Premium::WORDS, |word| match word {
                "zero" => Some(Premium::Zero),
                "heston" => Some(Premium::Heston),
                "black_scholes" => Some(Premium::BlackScholes),
                _ => None,
            }),
            number => f64::parse(number).map(Premium::Amount),
        }
    }

    fn value(&self) -> Value {
        match self {
            Premium::Zero => "zero".into(),
            Premium::Heston => "heston".into(),
            Premium::BlackScholes => "black_scholes".into(),
            Premium::Amount(amount) => amount.value(),
        }
    }

    fn number(&self) -> Option<f64> {
        if let Premium::Amount(amount) = self { Some(*amount) } else { None }
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        match self.value() {
            Value::Text(word) => write_bytes(word.as_bytes(), out),
            _ => {
                let mut bytes = Vec::new();
                self.number().unwrap_or_default().write_canonical(&mut bytes);
                write_bytes(&bytes, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_read_back() {
        for premium in [Premium::Zero, Premium::Heston, Premium::BlackScholes, Premium::Amount(3.25)] {
            assert_eq!(Premium::parse(&premium.value()), Ok(premium));
        }
        assert_eq!(Premium::parse(&"13/4".into()), Ok(Premium::Amount(3.25)));
        assert_eq!(Premium::parse(&Value::Int(3)), Ok(Premium::Amount(3.0)));
    }

    #[test]
    fn a_mistyped_word_is_met_with_the_nearest() {
        let misfit = Premium::parse(&"hesston".into()).unwrap_err();
        assert_eq!(misfit.help.as_deref(), Some("did you mean `heston`?"));
        assert!(Premium::parse(&Value::Float(f64::NAN)).is_err());
    }

    #[test]
    fn every_premium_has_bytes_of_its_own() {
        let bytes = |premium: Premium| {
            let mut out = Vec::new();
            premium.write_canonical(&mut out);
            out
        };
        let all = [Premium::Zero, Premium::Heston, Premium::BlackScholes, Premium::Amount(0.0), Premium::Amount(1.0)];
        for (place, a) in all.into_iter().enumerate() {
            assert!(all[..place].iter().all(|b| bytes(a) != bytes(*b)), "{a:?}");
        }
    }
}
