//! Consumer groups, and groups of any other protocol type: who is a member, and which positions they committed.
//!
//! [`machine`] is Kafka's classic group protocol as a pure state machine; [`coordinator`] holds the machines, gives them
//! the time, and keeps positions in the small state. Membership is not kept: after a restart members are told that they
//! are unknown, and join again.

mod coordinator;
mod machine;

pub(crate) use coordinator::{Groups, Position};
pub(crate) use machine::{Described, Join, Joined, State, Sync};
