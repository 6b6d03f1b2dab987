//! From the blocking calls of this crate to the object store's asynchronous ones.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of its own, so that results can be read and written from any thread: a plain one, one of `spawn_blocking`,
/// or (blocking it) one of an asynchronous runtime.
#[derive(Debug)]
pub(crate) struct Bridge {
    runtime: Option<Runtime>,
}

impl Bridge {
    /// For calls that do nothing while nobody waits for them.
    pub(crate) fn calling() -> std::io::Result<Bridge> {
        Ok(Bridge { runtime: Some(Builder::new_current_thread().enable_all().build()?) })
    }

    /// With a thread of its own, which also looks after connections and leases while nobody waits.
    pub(crate) fn working() -> std::io::Result<Bridge> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("object-store").enable_all().build()?;
        Ok(Bridge { runtime: Some(runtime) })
    }

    /// Where tasks can be spawned that go on while nobody waits; see [`Bridge::working`].
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime().handle()
    }

    /// Waits for a call's end.
    pub(crate) fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        let runtime = self.runtime();
        if Handle::try_current().is_err() {
            return runtime.block_on(future);
        }
        // A runtime must not be entered from within another one; another thread may.
        let outcome = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join());
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("taken only when dropped")
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // The plain drop of a runtime panics within another one's asynchronous context.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
