//! `worker --coordinator URL`.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tonic::transport::Channel;
use worker::connection::Connection;
use worker::credentials::install_crypto_provider;
use worker::{AgentError, AgentOptions, EngineRunner, Shutdown, ShutdownHandle};

use super::args::Fleet;
use super::exit::Exit;

/// The agent and its connection are rarely busy; the slots have threads of their own.
const RUNTIME_THREADS: usize = 2;

pub(crate) fn run(fleet: Fleet) -> ExitCode {
    install_crypto_provider();
    worker::log::to_stderr(fleet.log_format, "info");
    let url = fleet.coordinator.as_deref().unwrap_or_default();
    let connection = match fleet.connection.connection(url) {
        Ok(connection) => connection,
        Err(error) => {
            eprintln!("error: --coordinator {url}: {error}");
            return Exit::Usage.into();
        }
    };
    match work(&fleet, connection) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            Exit::Failure.into()
        }
    }
}

fn work(fleet: &Fleet, Connection { endpoint, token }: Connection) -> anyhow::Result<Exit> {
    let name = fleet.name.clone().unwrap_or_else(|| format!("worker-{}", std::process::id()));
    let options = AgentOptions {
        exit_when_done: fleet.exit_when_done,
        give_up_after: fleet.patience(),
        token,
        ..AgentOptions::new(name, fleet.slots.0)
    };
    tracing::info!(coordinator = %endpoint.uri(), name = %options.name, slots = options.slots, "starting");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let (handle, shutdown) = ShutdownHandle::new();
    let ended = runtime.block_on(async {
        listen_for_signals(handle).context("cannot listen for signals")?;
        let channel: Channel = endpoint.connect_lazy();
        anyhow::Ok(agent(channel, options, shutdown).await)
    })?;
    // A connection that is still being tried must not keep the process.
    runtime.shutdown_background();
    match ended {
        Ok(summary) => {
            tracing::info!(
                ok = summary.ok,
                diverged = summary.diverged,
                failed = summary.failed,
                handed_back = summary.handed_back,
                undelivered = summary.undelivered,
                "done"
            );
            Ok(if fleet.exit_when_done && summary.left_early { Exit::Drained } else { Exit::Success })
        }
        Err(AgentError::Refused { message }) => {
            eprintln!("error: refused by the coordinator: {message}");
            Ok(Exit::Usage)
        }
        Err(error) => Err(error.into()),
    }
}

async fn agent(
    channel: Channel,
    options: AgentOptions,
    shutdown: Shutdown,
) -> Result<worker::AgentSummary, AgentError> {
    worker::run(channel, options, Arc::new(EngineRunner::default()), shutdown).await
}

/// The first signal drains, the second ends the process.
fn listen_for_signals(handle: ShutdownHandle) -> io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        handle.drain();
        signals.next().await;
        tracing::warn!("interrupted again: stopping at once");
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
