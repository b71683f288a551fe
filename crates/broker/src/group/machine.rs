//! The classic group protocol, without clock, socket or randomness: `ClassicGroup` and `GroupMetadataManager` of Kafka.
//!
//! ```text
//!             join                  all joined, or time is up              leader syncs
//!   Empty ──────────▶ PreparingRebalance ──────────▶ CompletingRebalance ──────────▶ Stable
//!     ▲                 │    ▲                              │ join, leave, expiry     │
//!     └── none is left ─┘    └──────────────────────────────┴─────────────────────────┘
//! ```
//!
//! A member that waits in JoinGroup or SyncGroup is represented by a waiter, `J` or `S`; when its answer is known it comes
//! out among the [`Effects`].

use bytes::Bytes;
use kafka_protocol::ResponseError;

/// Milliseconds on a clock that never goes back.
pub(crate) type Time = i64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl State {
    /// As DescribeGroups and ListGroups tell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// A JoinGroup request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Join {
    /// Empty for one that has none yet.
    pub(crate) member_id: String,
    /// The id it gets in that case.
    pub(crate) new_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Time,
    pub(crate) rebalance_timeout: Time,
    pub(crate) protocol_type: String,
    /// In the order of preference.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// From version 4 on a member must come back with the id it was given before it takes part (KIP-394).
    pub(crate) must_know_id: bool,
    /// From version 9 on a leader can be told that assignments stay (KIP-814).
    pub(crate) can_skip_assignment: bool,
}

/// What a member is told when it has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    pub(crate) skip_assignment: bool,
    /// For the leader: id, instance id and metadata of every member.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

/// A refusal carries the member id that the answer must have.
pub(crate) type JoinResult = Result<Joined, (ResponseError, String)>;

/// A SyncGroup request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sync {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    /// The leader's, by member id.
    pub(crate) assignments: Vec<(String, Bytes)>,
}

/// What a member is told when the assignment is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) assignment: Bytes,
}

pub(crate) type SyncResult = Result<Assignment, ResponseError>;

/// Answers that are known now, of this member and of others that waited.
#[derive(Debug)]
pub(crate) struct Effects<J, S> {
    pub(crate) joined: Vec<(J, JoinResult)>,
    pub(crate) synced: Vec<(S, SyncResult)>,
}

impl<J, S> Default for Effects<J, S> {
    fn default() -> Self {
        Self {
            joined: Vec::new(),
            synced: Vec::new(),
        }
    }
}

/// A group as DescribeGroups tells it: id, instance id, client id, host, metadata, assignment of each member.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) state: State,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) members: Vec<(String, Option<String>, String, String, Bytes, Bytes)>,
}

#[derive(Debug)]
struct Member<J, S> {
    id: String,
    instance: Option<String>,
    client_id: String,
    client_host: String,
    session_timeout: Time,
    rebalance_timeout: Time,
    protocols: Vec<(String, Bytes)>,
    assignment: Bytes,
    joining: Option<J>,
    syncing: Option<S>,
    /// It has synced in this generation.
    synced: bool,
    /// When it is given up, unless it waits for us.
    session_ends: Time,
}

impl<J, S> Member<J, S> {
    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    fn waits(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    fn alive(&mut self, now: Time) {
        self.session_ends = now + self.session_timeout;
    }
}

/// One group.
#[derive(Debug)]
pub(crate) struct Group<J, S> {
    state: State,
    generation: i32,
    protocol_type: String,
    protocol: String,
    /// The id of a member; the first that joined, while it stays.
    leader: Option<String>,
    /// In the order in which they joined.
    members: Vec<Member<J, S>>,
    /// Ids that were given out and not used yet, and until when they may be.
    pending: Vec<(String, Time)>,
    /// When a rebalance goes on without those who are missing.
    rebalance_ends: Time,
    /// A first rebalance waits so long for others to come (`group.initial.rebalance.delay.ms`).
    initial_delay: Time,
    /// Until when that is, and until when it may be put off.
    gathering: Option<(Time, Time)>,
}

impl<J, S> Group<J, S> {
    pub(crate) fn new(initial_delay: Time) -> Self {
        Self {
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: None,
            members: Vec::new(),
            pending: Vec::new(),
            rebalance_ends: Time::MAX,
            initial_delay,
            gathering: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    /// The type that a group had before a restart, or that a position was committed under.
    pub(crate) fn set_protocol_type(&mut self, protocol_type: String) {
        if self.state == State::Empty {
            self.protocol_type = protocol_type;
        }
    }

    /// Nobody is in it, or about to be.
    pub(crate) fn is_deserted(&self) -> bool {
        self.state == State::Empty && self.pending.is_empty()
    }

    pub(crate) fn describe(&self) -> Described {
        let stable = self.state == State::Stable;
        let members = self.members.iter().map(|member| {
            let metadata = if stable {
                member.metadata(&self.protocol)
            } else {
                Bytes::new()
            };
            let assignment = if stable {
                member.assignment.clone()
            } else {
                Bytes::new()
            };
            let (client_id, host) = (member.client_id.clone(), member.client_host.clone());
            (
                member.id.clone(),
                member.instance.clone(),
                client_id,
                host,
                metadata,
                assignment,
            )
        });
        Described {
            state: self.state,
            protocol_type: self.protocol_type.clone(),
            protocol: if stable {
                self.protocol.clone()
            } else {
                String::new()
            },
            members: members.collect(),
        }
    }

    /// The metadata of every member under the chosen protocol: for consumers, what they subscribe to.
    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = Bytes> {
        self.members.iter().map(|member| member.metadata(&self.protocol))
    }

    fn find(&mut self, id: &str) -> Option<&mut Member<J, S>> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    fn id_of_instance(&self, instance: &str) -> Option<&str> {
        let member = self
            .members
            .iter()
            .find(|member| member.instance.as_deref() == Some(instance));
        member.map(|member| member.id.as_str())
    }

    /// Whether this is a member, under its instance id if it has one.
    fn known(&self, id: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        match instance.map(|instance| self.id_of_instance(instance)) {
            Some(None) => Err(ResponseError::UnknownMemberId),
            Some(Some(other)) if other != id => Err(ResponseError::FencedInstanceId),
            Some(Some(_)) => Ok(()),
            None if self.members.iter().any(|member| member.id == id) => Ok(()),
            None => Err(ResponseError::UnknownMemberId),
        }
    }

    /// The whole group has a protocol in common with these.
    fn agrees(&self, protocol_type: &str, protocols: &[(String, Bytes)]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let common = |(name, _): &(String, Bytes)| self.members.iter().all(|member| member.supports(name));
        self.protocol_type == protocol_type && protocols.iter().any(common)
    }

    /// When [`Group::expire`] has something to do, if nothing happens before.
    pub(crate) fn next_deadline(&self) -> Time {
        let sessions = self
            .members
            .iter()
            .filter(|member| !member.waits())
            .map(|member| member.session_ends);
        let pending = self.pending.iter().map(|(_, until)| *until);
        let gathering = self.gathering.map(|(until, _)| until);
        let rebalance = matches!(self.state, State::PreparingRebalance | State::CompletingRebalance);
        let rebalance = rebalance.then_some(self.rebalance_ends);
        sessions
            .chain(pending)
            .chain(gathering)
            .chain(rebalance)
            .min()
            .unwrap_or(Time::MAX)
    }

    /// A member says that it lives.
    ///
    /// # Errors
    /// `REBALANCE_IN_PROGRESS` bids it to join again; others, that it is none of ours.
    pub(crate) fn heartbeat(
        &mut self,
        now: Time,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        self.known(id, instance)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if let Some(member) = self.find(id) {
            member.alive(now);
        }
        match self.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Whether positions may be committed: by a member in its generation, or by anyone to a group without members.
    pub(crate) fn may_commit(
        &mut self,
        now: Time,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        self.known(id, instance)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if self.state == State::CompletingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        // It lives, clearly.
        if let Some(member) = self.find(id) {
            member.alive(now);
        }
        Ok(())
    }
}

#[path = "join.rs"]
mod join;
#[path = "rebalance.rs"]
mod rebalance;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
