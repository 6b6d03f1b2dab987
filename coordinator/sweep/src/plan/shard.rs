//! Shards: a plan in pieces that know nothing of each other, as batch schedulers run them.

use std::fmt;
use std::str::FromStr;

use engine::RunId;

/// One of several pieces of a plan: the runs with `run_id mod count = index`, the id taken as an integer.
///
/// Ids are hashes, so that shards are about as large as each other, whatever the plan looks like; and a run stays in its
/// shard when the plan is extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    index: u64,
    count: u64,
}

/// Why a text names no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// It is not two whole numbers.
    #[error("{text:?} is not of the form I/N, such as 0/8: shard I of N, counted from 0")]
    Form {
        /// The text.
        text: String,
    },
    /// There are no shards to be one of.
    #[error("{index}/0 is a shard of none; allowed: N from 1")]
    None {
        /// The number of the shard.
        index: u64,
    },
    /// There is no shard of this number.
    #[error("there is no shard {index} of {count}; allowed: 0 to {} (shards count from 0)", count - 1)]
    Beyond {
        /// The number of the shard.
        index: u64,
        /// The number of shards.
        count: u64,
    },
}

impl Shard {
    /// Shard `index` of `count`, from 0.
    ///
    /// # Errors
    /// [`ShardError`] if there is no such shard.
    pub fn new(index: u64, count: u64) -> Result<Shard, ShardError> {
        match count {
            0 => Err(ShardError::None { index }),
            _ if index >= count => Err(ShardError::Beyond { index, count }),
            _ => Ok(Shard { index, count }),
        }
    }

    /// Its number, from 0.
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many shards there are.
    pub fn count(self) -> u64 {
        self.count
    }

    /// Whether a run is one of this shard's.
    pub fn contains(self, run_id: RunId) -> bool {
        run_id.as_u128() % u128::from(self.count) == u128::from(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Shard, ShardError> {
        let number = |digits: &str| digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
        let pair = text.split_once('/').and_then(|(index, count)| Some((number(index)?, number(count)?)));
        let (index, count) = pair.ok_or_else(|| ShardError::Form { text: text.to_owned() })?;
        Shard::new(index, count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<Shard>().unwrap_err().to_string()
    }

    #[test]
    fn the_command_line_says_index_and_count() {
        assert_eq!("0/1".parse(), Shard::new(0, 1));
        assert_eq!("7/8".parse::<Shard>().unwrap().to_string(), "7/8");
        for text in
            ["", "/", "3", "1/", "/2", "-1/2", "+1/2", "a/b", "1/2/3", " 1/2", "1.5/2", "18446744073709551616/2"]
        {
            assert!(
                refusal(text).ends_with("is not of the form I/N, such as 0/8: shard I of N, counted from 0"),
                "{text}"
            );
        }
        assert_eq!(refusal("0/0"), "0/0 is a shard of none; allowed: N from 1");
        assert_eq!(refusal("8/8"), "there is no shard 8 of 8; allowed: 0 to 7 (shards count from 0)");
    }

    #[test]
    fn the_whole_id_counts_as_one_integer() {
        let shard = Shard::new(1, 3).unwrap();
        // 2⁶⁴ mod 3 = 1, so that each half alone would say otherwise.
        let id = RunId(((1_u128 << 64) | 3).to_be_bytes());
        assert!(shard.contains(id) && !Shard::new(0, 3).unwrap().contains(id));
    }

    proptest! {
        #[test]
        fn every_run_is_in_one_shard(bytes: [u8; 16], count in 1..200_u64) {
            let shards = (0..count).map(|index| Shard::new(index, count).unwrap());
            prop_assert_eq!(shards.filter(|shard| shard.contains(RunId(bytes))).count(), 1);
        }
    }
}
