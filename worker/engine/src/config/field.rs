//! Typed fields: how a [`Value`] becomes a field of a section, and what a field allows.

use super::Value;

/// What a key accepts, for error messages and the JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A finite number, or a fraction such as `1/250`.
    Number,
    /// A finite number or `null`.
    OptionalNumber,
    /// A whole number.
    Integer,
    /// A whole number or `null`.
    OptionalInteger,
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these words, each at most once.
    Choices(&'static [&'static str]),
    /// One of these words, or the path of a `.safetensors` file.
    ChoiceOrWeights(&'static [&'static str]),
    /// One of these words, or a finite number.
    ChoiceOrNumber(&'static [&'static str]),
    /// One of these words, or a whole number.
    ChoiceOrInteger(&'static [&'static str]),
}

impl Kind {
    /// Whether it accepts numbers, and so a range of them.
    pub fn has_range(&self) -> bool {
        match self {
            Kind::Number | Kind::OptionalNumber | Kind::Integer | Kind::OptionalInteger => true,
            Kind::ChoiceOrNumber(_) | Kind::ChoiceOrInteger(_) => true,
            Kind::Boolean | Kind::Choice(_) | Kind::Choices(_) | Kind::ChoiceOrWeights(_) => false,
        }
    }

    /// The kind in the words of an error message.
    pub fn describe(&self) -> String {
        match self {
            Kind::Number => "a finite number".into(),
            Kind::OptionalNumber => "a finite number, or null".into(),
            Kind::Integer => "a whole number".into(),
            Kind::OptionalInteger => "a whole number, or null".into(),
            Kind::Boolean => "true or false".into(),
            Kind::Choice(words) => words.join(", "),
            Kind::Choices(words) => format!("a list of {}", words.join(", ")),
            Kind::ChoiceOrWeights(words) => format!("{}, or the path of a .safetensors file", words.join(", ")),
            Kind::ChoiceOrNumber(words) => format!("{}, or a finite number", words.join(", ")),
            Kind::ChoiceOrInteger(words) => format!("{}, or a whole number", words.join(", ")),
        }
    }
}

/// The numbers that a key accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    low: f64,
    low_open: bool,
    high: f64,
    high_open: bool,
}

impl Range {
    /// Any finite number; also for keys that are not numbers.
    pub const ANY: Range = Range { low: f64::NEG_INFINITY, low_open: true, high: f64::INFINITY, high_open: true };
    /// Greater than zero.
    pub const POSITIVE: Range = Range { low: 0.0, ..Range::ANY };
    /// Zero or greater.
    pub const NON_NEGATIVE: Range = Range::at_least(0.0);

    /// `low` or greater.
    pub const fn at_least(low: f64) -> Range {
        Range { low, low_open: false, ..Range::ANY }
    }

    /// From `low` to `high`, both included.
    pub const fn closed(low: f64, high: f64) -> Range {
        Range { low, low_open: false, high, high_open: false }
    }

    /// From `low` included to `high` excluded.
    pub const fn half_open(low: f64, high: f64) -> Range {
        Range { low, low_open: false, high, high_open: true }
    }

    /// Between `low` and `high`, both excluded.
    pub const fn open(low: f64, high: f64) -> Range {
        Range { low, low_open: true, high, high_open: true }
    }

    /// Whether `number` is in the range; never for NaN.
    pub fn contains(&self, number: f64) -> bool {
        let above = if self.low_open { number > self.low } else { number >= self.low };
        let below = if self.high_open { number < self.high } else { number <= self.high };
        above && below
    }

    /// The lower end and whether it is excluded, where there is one.
    pub fn low(&self) -> Option<(f64, bool)> {
        self.low.is_finite().then_some((self.low, self.low_open))
    }

    /// The upper end and whether it is excluded, where there is one.
    pub fn high(&self) -> Option<(f64, bool)> {
        self.high.is_finite().then_some((self.high, self.high_open))
    }

    /// The range in the words of an error message; `None` where anything is allowed.
    pub fn describe(&self) -> Option<String> {
        let low = |(end, open)| format!("{} {end}", if open { ">" } else { "≥" });
        let high = |(end, open)| format!("{} {end}", if open { "<" } else { "≤" });
        match (self.low(), self.high()) {
            (None, None) => None,
            (Some(end), None) => Some(low(end)),
            (None, Some(end)) => Some(high(end)),
            (Some((a, false)), Some((b, false))) if a == b => Some(format!("only {a}")),
            (Some(a), Some(b)) => Some(format!("{} and {}", low(a), high(b))),
        }
    }
}

/// One key of a section: its name within the section, what it accepts and what it means.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// The name within its section, e.g. `lr`.
    pub name: &'static str,
    /// One sentence or two, from the field's doc comment.
    pub doc: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// The numbers it accepts.
    pub range: Range,
    /// The value it has when neither preset nor user says otherwise.
    pub default: fn() -> Value,
}

impl KeySpec {
    /// What is allowed, in the words of an error message.
    pub fn allowed(&self) -> String {
        match self.range.describe() {
            None => self.kind.describe(),
            Some(range) => format!("{}, {range}", self.kind.describe()),
        }
    }
}

/// Why a value does not fit a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    /// What is wrong, e.g. `is out of range`.
    pub problem: String,
    /// What to do about it, if there is something better to say than what is allowed.
    pub help: Option<String>,
}

impl Misfit {
    pub(crate) fn new(problem: impl Into<String>) -> Misfit {
        Misfit { problem: problem.into(), help: None }
    }

    pub(crate) fn with_help(self, help: impl Into<String>) -> Misfit {
        Misfit { help: Some(help.into()), ..self }
    }

    pub(crate) fn wrong_type(value: &Value) -> Misfit {
        Misfit::new(format!("is {}", value.type_name()))
    }
}

/// A type that a key of a section can have.
pub trait Field: Sized + Clone {
    /// What it accepts.
    const KIND: Kind;

    /// Takes the value that a user wrote.
    fn parse(value: &Value) -> Result<Self, Misfit>;

    /// The value that a user would write for it.
    fn value(&self) -> Value;

    /// The number whose [`Range`] is checked, for fields that are numbers.
    fn number(&self) -> Option<f64> {
        None
    }

    /// Appends the bytes that stand for it in a run's identity. Two values are equal exactly when their bytes are.
    fn write_canonical(&self, out: &mut Vec<u8>);
}

/// Appends `bytes` with their length, so that neighbours cannot be confused.
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads `a/b` with two plain numbers, the one arithmetic that a sweep file has.
fn parse_fraction(text: &str) -> Option<f64> {
    let (numerator, denominator) = text.split_once('/')?;
    let numerator: f64 = numerator.trim().parse().ok()?;
    let denominator: f64 = denominator.trim().parse().ok()?;
    let quotient = numerator / denominator;
    quotient.is_finite().then_some(quotient)
}

impl Field for f64 {
    const KIND: Kind = Kind::Number;

    fn parse(value: &Value) -> Result<f64, Misfit> {
        match value {
            Value::Float(float) if float.is_finite() => Ok(*float),
            Value::Float(_) => Err(Misfit::new("is not finite")),
            Value::Int(int) => Ok(*int as f64),
            Value::Text(text) => parse_fraction(text).ok_or_else(|| {
                let misfit = Misfit::wrong_type(value);
                if text.parse::<f64>().is_ok() {
                    misfit.with_help(format!("write {text} without quotes"))
                } else if text.contains('/') {
                    misfit.with_help("a fraction is written like 1/250")
                } else {
                    misfit
                }
            }),
            other => Err(Misfit::wrong_type(other)),
        }
    }

    fn value(&self) -> Value {
        Value::Float(*self)
    }

    fn number(&self) -> Option<f64> {
        Some(*self)
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        // −0 and 0 are one number to a user, so they are one identity.
        out.extend_from_slice(&(self + 0.0).to_bits().to_le_bytes());
    }
}

/// An optional number: `null` is its absence.
macro_rules! optional {
    ($ty:ty, $kind:expr) => {
        impl Field for Option<$ty> {
            const KIND: Kind = $kind;

            fn parse(value: &Value) -> Result<Option<$ty>, Misfit> {
                match value {
                    Value::Null => Ok(None),
                    other => <$ty>::parse(other).map(Some),
                }
            }

            fn value(&self) -> Value {
                self.as_ref().map_or(Value::Null, Field::value)
            }

            fn number(&self) -> Option<f64> {
                self.as_ref().and_then(Field::number)
            }

            fn write_canonical(&self, out: &mut Vec<u8>) {
                out.push(u8::from(self.is_some()));
                if let Some(number) = self {
                    number.write_canonical(out);
                }
            }
        }
    };
}
optional!(f64, Kind::OptionalNumber);
optional!(u64, Kind::OptionalInteger);

impl Field for u64 {
    const KIND: Kind = Kind::Integer;

    fn parse(value: &Value) -> Result<u64, Misfit> {
        // Floats above 2⁵³ no longer tell neighbours apart, so `1e3` is an integer and `1e18` is not.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match value {
            Value::Int(int) => u64::try_from(*int).map_err(|_| Misfit::new("is negative")),
            Value::Float(float) if *float >= 0.0 && *float <= EXACT && float.fract() == 0.0 => Ok(*float as u64),
            Value::Float(_) => Err(Misfit::new("is not a whole number")),
            other => Err(Misfit::wrong_type(other)),
        }
    }

    fn value(&self) -> Value {
        Value::Int(i64::try_from(*self).unwrap_or(i64::MAX))
    }

    fn number(&self) -> Option<f64> {
        Some(*self as f64)
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl Field for bool {
    const KIND: Kind = Kind::Boolean;

    fn parse(value: &Value) -> Result<bool, Misfit> {
        match value {
            Value::Bool(flag) => Ok(*flag),
            other => Err(Misfit::wrong_type(other)),
        }
    }

    fn value(&self) -> Value {
        Value::Bool(*self)
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

/// The nearest of `known` to `word`, near enough to be what the user meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| {
            let tail = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
            let whole = strsim::jaro_winkler(word, candidate);
            // `lr` for `optimizer.lr`, `features.normalization` for `normalization`.
            let last = if tail(word) == tail(candidate) { 0.95 } else { 0.0 };
            (whole.max(last), candidate)
        })
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Parses one word of a closed set.
pub(crate) fn parse_word<C>(
    value: &Value,
    words: &'static [&'static str],
    from_word: impl Fn(&str) -> Option<C>,
) -> Result<C, Misfit> {
    let Value::Text(text) = value else { return Err(Misfit::wrong_type(value)) };
    from_word(text).ok_or_else(|| {
        let misfit = Misfit::new("is not known");
        match nearest(text, words.iter().copied()) {
            Some(near) => misfit.with_help(format!("did you mean `{near}`?")),
            None => misfit,
        }
    })
}

/// Parses a list of words of a closed set, each at most once.
pub(crate) fn parse_words<C: PartialEq + Copy>(
    value: &Value,
    words: &'static [&'static str],
    from_word: impl Fn(&str) -> Option<C>,
) -> Result<Vec<C>, Misfit> {
    let Value::List(items) = value else { return Err(Misfit::wrong_type(value)) };
    let mut parsed = Vec::with_capacity(items.len());
    for item in items {
        let choice = parse_word(item, words, &from_word)
            .map_err(|misfit| Misfit { problem: format!("has the item {item}, which {}", misfit.problem), ..misfit })?;
        if parsed.contains(&choice) {
            return Err(Misfit::new(format!("names {item} twice")));
        }
        parsed.push(choice);
    }
    Ok(parsed)
}

/// Parses `value` into `field` and checks its range; `field` is unchanged if either fails.
pub(crate) fn assign<F: Field>(field: &mut F, value: &Value, range: &Range) -> Result<(), Misfit> {
    let parsed = F::parse(value)?;
    if parsed.number().is_some_and(|number| !range.contains(number)) {
        return Err(Misfit::new("is out of range"));
    }
    *field = parsed;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_yaml_users_mean() {
        assert_eq!(f64::parse(&Value::Float(1e-5)), Ok(1e-5));
        assert_eq!(f64::parse(&Value::Int(30)), Ok(30.0));
        assert_eq!(f64::parse(&Value::from("1/250")), Ok(1.0 / 250.0));
        assert_eq!(f64::parse(&Value::from("1e-5")).unwrap_err().help.as_deref(), Some("write 1e-5 without quotes"));
        for bad in [Value::Float(f64::NAN), Value::Float(f64::INFINITY), Value::from("1/0"), Value::Bool(true)] {
            assert!(f64::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whole_numbers_are_exact() {
        assert_eq!(u64::parse(&Value::Float(1e3)), Ok(1000));
        for bad in [Value::Int(-1), Value::Float(0.5), Value::Float(1e18), Value::Float(f64::NAN)] {
            assert!(u64::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_include_what_they_say() {
        assert!(Range::closed(-1.0, 1.0).contains(1.0));
        assert!(!Range::POSITIVE.contains(0.0));
        assert!(!Range::NON_NEGATIVE.contains(f64::NAN));
        assert!(!Range::half_open(0.0, 1.0).contains(1.0));
        assert_eq!(Range::half_open(0.0, 1.0).describe().as_deref(), Some("≥ 0 and < 1"));
        assert_eq!(Range::closed(1.0, 1.0).describe().as_deref(), Some("only 1"));
    }

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["optimizer.lr", "optimizer.damping", "market.rho"];
        assert_eq!(nearest("optimizer.dampng", known), Some("optimizer.damping"));
        assert_eq!(nearest("lr", known), Some("optimizer.lr"));
        assert_eq!(nearest("zebra", known), None);
    }
}
