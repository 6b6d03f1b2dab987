//! `--linger`: what answers goes on answering after the sweep's end, so that an autoscaler hears that nobody is needed any
//! more, and people can look at the end.

use std::str::FromStr;
use std::time::Duration;

use crate::cli::Timeout;
use crate::format;
use crate::interrupt::Stage;

/// How long to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    /// This long.
    For(Duration),
    /// Until a signal.
    Forever,
}

impl FromStr for Linger {
    type Err = String;

    fn from_str(text: &str) -> Result<Linger, String> {
        if text == "forever" {
            return Ok(Linger::Forever);
        }
        let Timeout(duration) = text.parse().map_err(|error| format!("{error}; or forever"))?;
        Ok(Linger::For(duration))
    }
}

impl Linger {
    /// Stays; a signal ends it, or has ended it before it began.
    pub async fn stay(self, stage: &Stage) {
        // Before anybody is told: whoever reads it may send a signal at once.
        stage.linger();
        match self {
            Linger::For(duration) => {
                eprintln!("answering for another {}; Ctrl-C ends it", format::duration(duration));
                // That the time is over is as good an end as the signal.
                let _ = tokio::time::timeout(duration, stage.signalled()).await;
            }
            Linger::Forever => {
                eprintln!("answering until Ctrl-C");
                stage.signalled().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_duration_or_forever() {
        assert_eq!("forever".parse(), Ok(Linger::Forever));
        assert_eq!("90s".parse(), Ok(Linger::For(Duration::from_secs(90))));
        for bad in ["", "never", "-1s", "0"] {
            let error = bad.parse::<Linger>().unwrap_err();
            assert!(error.contains("forever"), "{error}");
        }
    }
}
