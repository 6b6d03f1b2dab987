//! `coordinator watch ADDR`: how far a running coordinator is, from elsewhere.

use std::time::{Duration, Instant};

use proto::Standing;
use proto::v1::GetProgressRequest;
use proto::v1::watch_client::WatchClient;
use sweep::ledger::Counts;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use worker::connection::Connection;
use worker::credentials::Token;

use crate::cli::WatchArgs;
use crate::exit::{Exit, Failure, OrExit, print};
use crate::fleet::Progress;
use crate::format;
use crate::progress::{Reporter, describe};

/// How often it is asked. The answer waits as long, or for the end.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a coordinator that is being restarted is waited for.
const RESTART: Duration = Duration::from_secs(120);

/// Shows the progress until the sweep is done, as the coordinator itself would; a coordinator that is being restarted is waited
/// for. Ends with the coordinator's exit code as far as it is known: [`Exit::TasksFailed`] if some tasks failed,
/// [`Exit::Interrupted`] if it drained and went.
///
/// # Errors
/// With [`Exit::Usage`] for an address or credentials that are none, or are refused; with [`Exit::Output`] if nobody answers the
/// first time, or for two minutes later on.
pub fn watch(args: &WatchArgs) -> Result<Exit, Failure> {
    let url = url(args);
    let connection = args.connection.connection(&url);
    let connection = connection.map_err(|error| anyhow::anyhow!("{url}: {error}")).or_exit(Exit::Usage)?;
    Builder::new_current_thread().enable_all().build().or_exit(Exit::Internal)?.block_on(async {
        let mut seat = Seat::at(connection);
        let first = seat.ask(Duration::ZERO).await.map_err(|status| refused(&url, &status))?;
        if args.once {
            print(&format!("{}\n", line(&first)))?;
            return Ok(Exit::Success);
        }
        eprintln!(
            "{}: {} done before, {} to do",
            first.sweep,
            format::count(first.done_before),
            format::count(first.total)
        );
        seat.watch(first, &url).await
    })
}

/// An address alone means https where something is to be checked or shown in a handshake, else http.
fn url(args: &WatchArgs) -> String {
    let connection = &args.connection;
    let has_handshake = connection.tls_ca.is_some() || connection.tls_cert.is_some() || connection.tls_domain.is_some();
    match args.address.contains("://") {
        true => args.address.clone(),
        false => format!("{}://{}", if has_handshake { "https" } else { "http" }, args.address),
    }
}

fn refused(url: &str, status: &Status) -> Failure {
    let (exit, problem) = match status.code() {
        Code::Unauthenticated => (Exit::Usage, status.message().to_owned()),
        Code::Unimplemented => (Exit::Usage, "this coordinator is of a version that cannot be watched".to_owned()),
        _ => (Exit::Output, format!("nobody answers: {}", describe_status(status))),
    };
    Failure { exit, report: crate::exit::Report::Error(anyhow::anyhow!("{url}: {problem}")) }
}

/// A status with what caused it.
fn describe_status(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Where one looks on from.
struct Seat {
    client: WatchClient<Channel>,
    token: Option<Token>,
}

impl Seat {
    fn at(connection: Connection) -> Seat {
        Seat { client: WatchClient::new(connection.endpoint.connect_lazy()), token: connection.token }
    }

    /// Asks for an answer that waits so long, or for the end.
    async fn ask(&mut self, wait: Duration) -> Result<Standing, Status> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let mut request = Request::new(GetProgressRequest { wait_ms });
        request.set_timeout(PATIENCE);
        if let Some(token) = &self.token {
            request.metadata_mut().insert(Token::HEADER, token.header());
        }
        let answer = tokio::time::timeout(PATIENCE, self.client.get_progress(request)).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded("no answer within 10 s"))??.into_inner();
        Standing::try_from(answer).map_err(|error| Status::internal(error.to_string()))
    }

    /// Shows what is answered, until the sweep is done or somebody ends it.
    async fn watch(&mut self, first: Standing, url: &str) -> Result<Exit, Failure> {
        let mut last = first;
        let (mut sender, receiver) = watch::channel(progress(&last));
        let mut reporter = Reporter::start(receiver, last.total, None, false);
        let mut away: Option<Instant> = None;
        let exit = loop {
            if ended(&last) >= last.total {
                break if last.failed > 0 { Exit::TasksFailed } else { Exit::Success };
            }
            let status = match self.ask(INTERVAL).await {
                Ok(now) => {
                    if (&now.sweep, now.total) != (&last.sweep, last.total) {
                        // Another coordinator, which has less left to do.
                        drop(sender);
                        reporter.finish().await;
                        let (next, receiver) = watch::channel(progress(&now));
                        (sender, reporter) = (next, Reporter::start(receiver, now.total, None, false));
                    }
                    sender.send_replace(progress(&now));
                    (last, away) = (now, None);
                    continue;
                }
                Err(status) => status,
            };
            if status.code() == Code::Unauthenticated {
                return Err(refused(url, &status));
            }
            if last.draining {
                break Exit::Interrupted;
            }
            let since = *away.get_or_insert_with(|| {
                let problem = describe_status(&status);
                eprintln!(
                    "{url} does not answer ({problem}): the sweep has ended, or its coordinator is being restarted; it is asked \
                     for another {}",
                    format::duration(RESTART)
                );
                Instant::now()
            });
            if since.elapsed() >= RESTART {
                return Err(refused(url, &status));
            }
            tokio::time::sleep(INTERVAL).await;
        };
        drop(sender);
        reporter.finish().await;
        print(&format!("{}\n", line(&last)))?;
        Ok(exit)
    }
}

fn ended(standing: &Standing) -> u64 {
    standing.ok + standing.diverged + standing.failed
}

fn progress(standing: &Standing) -> Progress {
    Progress {
        counts: Counts {
            leased: standing.leased,
            ok: standing.ok,
            diverged: standing.diverged,
            failed: standing.failed,
            lost_leases: standing.lost_leases,
            ..Counts::default()
        },
        workers: usize::try_from(standing.workers).unwrap_or(usize::MAX),
        slots: standing.slots,
        draining: standing.draining,
        paused: standing.paused,
        ..Progress::default()
    }
}

/// One line of where the sweep is.
fn line(standing: &Standing) -> String {
    let (ended, total) = (ended(standing), standing.total);
    let percent = 100 * ended / total.max(1);
    let rest = describe(&progress(standing), total, 0.0);
    format!("{}: {} of {} ({percent}%) · {rest}", standing.sweep, format::count(ended), format::count(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_alone_is_a_url() {
        let url_of = |words: &[&str]| {
            use clap::Parser;
            let words = ["coordinator", "watch"].iter().chain(words);
            match crate::cli::Cli::try_parse_from(words).unwrap().command {
                Some(crate::cli::Command::Watch(args)) => url(&args),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(url_of(&["127.0.0.1:4750"]), "http://127.0.0.1:4750");
        assert_eq!(url_of(&["fleet.example:4750", "--tls-ca", "ca.pem"]), "https://fleet.example:4750");
        assert_eq!(url_of(&["https://fleet.example"]), "https://fleet.example");
    }

    #[test]
    fn a_standing_is_one_line() {
        let standing = Standing {
            sweep: "damping".into(),
            total: 40,
            ok: 9,
            failed: 1,
            workers: 2,
            slots: 8,
            ..Standing::default()
        };
        assert_eq!(line(&standing), "damping: 10 of 40 (25%) · 2 workers, 8 slots · 1 failed");
    }
}
