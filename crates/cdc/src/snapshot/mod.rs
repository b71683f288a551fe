//! A snapshot cut into chunks that outlives a kill.
//!
//! ```text
//!  first run   ├ chunk 0 ┤ chunk 1 ┤ chunk 2 …✗      all see the database as it was at V
//!  catch-up    ────────── changes since V ──────▶ V'  of what is done: all; of what is not: deletes alone
//!  second run                        ┤ chunk 2 ┤ …   sees the database as it is at V'
//!  streaming                                         goes on at V'
//! ```
//!
//! A database's snapshot dies with the session that took it, so what a killed run has left over is read in another one. In
//! between rows have changed. The changes go out first, by these rules, and then the rest of the rows:
//!
//! - A key in a chunk that is done: the change goes out, unless the chunk's own snapshot had seen it.
//! - A key in a chunk that is not done: its row is still to be read, as new as the change or newer. Only a delete goes out,
//!   because the killed run may have told of the row, and the next one won't find it.
//! - A key whose chunk can't be told (the database's order of it can't be reproduced): the change goes out. It may come
//!   again, as part of a row that is read.
//!
//! So of every key the records only grow newer, none is missing, and what a kill repeats are chunks that were being read.
//!
//! A database supplies how to find bounds, how to read a range, and a name for what a snapshot sees (a log position, a GTID
//! set), with the means to say whether that includes a transaction. What is to be read, what was told and what is stored
//! is decided here: `chunks`, `progress`, `ledger` and `sieve` are pure; `run`, `work` and `outlet` are the traffic between
//! the readers, the one who plans, and what is stored.

mod chunks;
mod ledger;
mod outlet;
mod progress;
mod run;
mod sieve;
mod work;

pub use chunks::{Chunks, Key, KeyOrder};
pub use ledger::{Claim, Ledger};
pub use outlet::Outlet;
pub use progress::{Change, Progress, Verdict, progress_partition};
pub use run::{COMPLETED, Parts, RUNNING, Run, is_own, run_partition, stale, stored_progress, wait};
pub use sieve::Sieve;
pub use work::{Asks, Database, Planned, Work, read};
