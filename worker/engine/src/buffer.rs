//! Vectors that are filled again in every step.

/// Has these numbers from now on, and takes memory only for more than there ever were.
pub(crate) fn refill<T>(numbers: &mut Vec<T>, with: impl IntoIterator<Item = T>) {
    numbers.clear();
    numbers.extend(with);
}

#[cfg(test)]
mod tests {
    use super::refill;

    #[test]
    fn what_was_there_is_gone_and_its_memory_stays() {
        let mut numbers = vec![1, 2, 3];
        let place = numbers.as_ptr();
        refill(&mut numbers, [4, 5]);
        assert_eq!(numbers, [4, 5]);
        assert_eq!(numbers.as_ptr(), place);
    }
}
