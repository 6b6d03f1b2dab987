//! What happened, as a digest, and as lines for people if they ask for them.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};

pub(crate) struct Trace {
    hasher: DefaultHasher,
    lines: u64,
    print: bool,
}

impl Trace {
    pub(crate) fn new(print: bool) -> Trace {
        Trace { hasher: DefaultHasher::new(), lines: 0, print }
    }

    pub(crate) fn line(&mut self, now: u64, what: fmt::Arguments<'_>) {
        struct Feed<'a>(&'a mut DefaultHasher);
        impl fmt::Write for Feed<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.write(text.as_bytes());
                Ok(())
            }
        }
        self.lines += 1;
        self.hasher.write_u64(now);
        // Feeding a hasher cannot fail.
        let _ = fmt::write(&mut Feed(&mut self.hasher), what);
        if self.print {
            println!("{:>9.3}  {what}", now as f64 / 1e3);
        }
    }

    /// The digest of all lines, and their number.
    pub(crate) fn digest(&self) -> (u64, u64) {
        (self.hasher.finish(), self.lines)
    }
}
