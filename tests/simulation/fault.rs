//! What goes wrong, by name.

/// The kinds of faults. Each is counted where it takes effect, not where it is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// A message is lost, and nobody is told.
    Drop,
    /// A connection breaks under a message, and the caller is told.
    Reset,
    /// A message takes seconds.
    Delay,
    /// A request arrives twice.
    Duplicate,
    /// A message overtakes an earlier one on its way.
    Reorder,
    /// A worker and the coordinator cannot reach each other for a while.
    Partition,
    /// The coordinator is killed, and started again.
    CoordinatorCrash,
    /// The coordinator is killed while it stores a part.
    CrashWhileStoring,
    /// The coordinator is interrupted, drains, and is started again.
    CoordinatorDrain,
    /// The coordinator is suspended: its clock jumps.
    CoordinatorSleep,
    /// A worker is killed, and started again.
    WorkerCrash,
    /// A worker is suspended.
    WorkerSleep,
    /// A worker is told to go, and another one is started.
    WorkerDrain,
    /// A worker computes slowly for a while.
    SlowWorker,
    /// There is no room on the disk for a while.
    DiskFull,
    /// A part is durable, and the store says that it is not.
    StoreLies,
    /// A task ends the process that runs it.
    KillerTask,
    /// A task panics.
    PanickingTask,
    /// A task takes too long, and ends when it is asked to.
    CrawlingTask,
    /// A task never ends.
    HangingTask,
    /// A worker lacks what a task needs.
    Unavailable,
    /// A task's config cannot run.
    Refused,
    /// A run diverges.
    Diverged,
    /// A worker computes other numbers than the others.
    WrongNumbers,
}

impl Fault {
    pub(crate) const ALL: [Fault; 24] = [
        Fault::Drop,
        Fault::Reset,
        Fault::Delay,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::Partition,
        Fault::CoordinatorCrash,
        Fault::CrashWhileStoring,
        Fault::CoordinatorDrain,
        Fault::CoordinatorSleep,
        Fault::WorkerCrash,
        Fault::WorkerSleep,
        Fault::WorkerDrain,
        Fault::SlowWorker,
        Fault::DiskFull,
        Fault::StoreLies,
        Fault::KillerTask,
        Fault::PanickingTask,
        Fault::CrawlingTask,
        Fault::HangingTask,
        Fault::Unavailable,
        Fault::Refused,
        Fault::Diverged,
        Fault::WrongNumbers,
    ];
}

/// A mistake that somebody could make. The harness makes it, in a layer around the real code, and has to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Results are acknowledged when they are on their way to the disk.
    AcknowledgedBeforeDurable,
    /// A dead worker's leases are renewed for ever.
    LeaseNotReturned,
    /// A late result is written over the first one.
    LateResultOverwrites,
    /// What counts against tasks is forgotten when the coordinator restarts.
    StrikesForgotten,
    /// A coordinator that is started again does not wait for the workers of the one before.
    WorkersForgotten,
}
