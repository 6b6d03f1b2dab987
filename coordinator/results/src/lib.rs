//! The durable results of a sweep: parts, lock, resume and merge, over one object store: a local folder, or
//! `s3://bucket/prefix`.
//!
//! An output holds, beside the tables for users (`runs.parquet` and its companions):
//!
//! - `parts/`: the durable state. Each part is one immutable Parquet file of one schema, created at once and fsynced
//!   before [`Store::append`] returns. Sixteen small ones of a level are compacted into one. There is no other database:
//!   [`Store::open`] reads the parts' index columns, and that is all that a restart needs. Each part carries a digest of
//!   its content, which is verified before anything of it is decoded: a part that is torn or damaged is set aside.
//! - `locks/`: kernel locks, which a crash does not leave behind; in a bucket leases, which end half a minute after one. No
//!   guarantee rests on them: parts have unique names, and of several rows of one id readers keep the same one.
//! - `blobs/`: weights files that configs name by their content's digest.
//! - `attempts/`: what a later coordinator is to know beside the results (see [`Handover`]).
//! - `.hedgesweep.json`: the name of the sweep that the output holds, and how its file was read; and `sweep.yaml`, the file
//!   as it was given.
//!
//! [`Store::merge`] makes the tables, in the order of the plan and in bounded memory; [`Tables`] reads them again, and
//! writes what the analysis finds. Tables are a function of plan and records: however the parts were cut, the bytes are
//! the same.
//!
//! Every call blocks. Asynchronous code calls from `spawn_blocking` or from a thread of its own.

mod batches;
mod blobs;
mod bridge;
#[cfg(test)]
mod bucket_tests;
mod cache;
mod compact;
mod comparisons;
mod copies;
mod decode;
mod encode;
mod error;
mod folder;
mod handover;
mod holder;
mod identity;
mod index;
mod lease;
#[cfg(test)]
mod line;
mod load;
mod location;
mod lock;
mod merge;
mod parquet;
mod part;
mod pieces;
mod plan_table;
mod s3;
mod schema;
mod seal;
mod store;
mod table;
mod tables;
mod unique;
#[cfg(test)]
mod unlocked_tests;
mod upload;

pub use batches::{Batches, CurveBatch, PathBatch, SampleBatch, TrainingBatch};
pub use blobs::Blobs;
pub use comparisons::{COMPARISONS, CONVERGENCE, Comparison, Convergence, POOLED, Pooled, WITHIN, Within};
pub use error::StoreError;
pub use handover::Handover;
pub use holder::Holder;
pub use identity::{FORMAT_VERSION, Footer, Reading, SweepFile, SweepIdentity, Versions};
pub use index::{Index, Stored};
pub use location::Location;
pub use merge::{CURVES, Extent, MergeSummary, PATHS, RUNS, SAMPLES};
pub use plan_table::{PlanTable, RowLabels, SweptColumn, SweptKind};
pub use store::{Access, Custody, SetAside, Store};
pub use tables::{Tables, Words};
