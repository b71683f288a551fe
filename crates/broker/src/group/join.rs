//! Joining, syncing, leaving.

use super::*;

impl<J, S> Group<J, S> {
    /// A member joins, or joins again. Its answer comes out of this call or of a later one.
    pub(crate) fn join(&mut self, now: Time, join: Join, waiter: J) -> Effects<J, S> {
        let mut effects = Effects::default();
        match self.admit(now, &join) {
            Err((error, id)) => effects.joined.push((waiter, Err((error, id)))),
            Ok(Admitted::New) => {
                let id = if join.member_id.is_empty() {
                    join.new_id.clone()
                } else {
                    join.member_id.clone()
                };
                self.pending.retain(|(pending, _)| *pending != id);
                if self.members.is_empty() {
                    self.protocol_type.clone_from(&join.protocol_type);
                }
                self.members.push(member(now, id, join, Some(waiter)));
                if let Some((until, latest)) = &mut self.gathering {
                    *until = (now + self.initial_delay).min(*latest);
                }
                self.rebalance(now, &mut effects);
            }
            Ok(Admitted::Again) => {
                self.update(now, join, waiter);
                self.rebalance(now, &mut effects);
            }
            Ok(Admitted::Unchanged) => {
                let joined = self.joined(&join.member_id, true);
                effects.joined.push((waiter, Ok(joined)));
                if let Some(member) = self.find(&join.member_id) {
                    member.alive(now);
                }
            }
            Ok(Admitted::Replaces(old)) => self.replace(now, &old, join, waiter, &mut effects),
        }
        effects
    }

    fn admit(&mut self, now: Time, join: &Join) -> Result<Admitted, (ResponseError, String)> {
        let id = &join.member_id;
        let refuse = |error| Err((error, id.clone()));
        if !self.agrees(&join.protocol_type, &join.protocols) {
            return refuse(ResponseError::InconsistentGroupProtocol);
        }
        if id.is_empty() {
            return match &join.instance {
                Some(instance) => Ok(match self.id_of_instance(instance) {
                    Some(old) => Admitted::Replaces(old.to_owned()),
                    None => Admitted::New,
                }),
                None if join.must_know_id => {
                    self.pending
                        .push((join.new_id.clone(), now + join.session_timeout));
                    Err((ResponseError::MemberIdRequired, join.new_id.clone()))
                }
                None => Ok(Admitted::New),
            };
        }
        if join.instance.is_none() && self.pending.iter().any(|(pending, _)| pending == id) {
            return Ok(Admitted::New);
        }
        if let Err(error) = self.known(id, join.instance.as_deref()) {
            return refuse(error);
        }
        let unchanged = self
            .members
            .iter()
            .any(|member| member.id == *id && member.protocols == join.protocols);
        Ok(match self.state {
            // The answer to its last join was lost on the way.
            State::CompletingRebalance if unchanged => Admitted::Unchanged,
            // A leader joins again to have partitions assigned anew.
            State::Stable if unchanged && self.leader.as_ref() != Some(id) => Admitted::Unchanged,
            _ => Admitted::Again,
        })
    }

    fn update(&mut self, now: Time, join: Join, waiter: J) {
        if let Some(known) = self.find(&join.member_id) {
            known.protocols = join.protocols;
            known.session_timeout = join.session_timeout;
            known.rebalance_timeout = join.rebalance_timeout;
            known.client_id = join.client_id;
            known.client_host = join.client_host;
            known.joining = Some(waiter);
            known.alive(now);
        }
    }

    /// A static member that was started again gets a new id; while the group is stable and it wants what it had, nobody
    /// else notices.
    fn replace(&mut self, now: Time, old: &str, join: Join, waiter: J, effects: &mut Effects<J, S>) {
        let new = join.new_id.clone();
        let Some(at) = self.members.iter().position(|member| member.id == old) else {
            return;
        };
        let leads = self.leader.as_deref() == Some(old);
        let can_skip = join.can_skip_assignment;
        let replacement = member(now, new.clone(), join, Some(waiter));
        let Some(slot) = self.members.get_mut(at) else {
            return;
        };
        let mut before = std::mem::replace(slot, replacement);
        slot.assignment = before.assignment.clone();
        slot.synced = before.synced;
        let same = slot.protocols == before.protocols;
        if let Some(waiter) = before.joining.take() {
            effects
                .joined
                .push((waiter, Err((ResponseError::FencedInstanceId, old.to_owned()))));
        }
        if let Some(waiter) = before.syncing.take() {
            effects
                .synced
                .push((waiter, Err(ResponseError::FencedInstanceId)));
        }
        if leads {
            self.leader = Some(new.clone());
        }
        if self.state != State::Stable || !same {
            self.rebalance(now, effects);
            return;
        }
        let mut joined = self.joined(&new, leads && can_skip);
        if leads && can_skip {
            joined.skip_assignment = true;
        } else if leads {
            // It must not think that it has to assign.
            joined.leader = old.to_owned();
        }
        if let Some(waiter) = self.find(&new).and_then(|member| member.joining.take()) {
            effects.joined.push((waiter, Ok(joined)));
        }
    }

    /// What a member of the current generation is told; the leader hears of the members, too.
    pub(super) fn joined(&self, id: &str, as_leader: bool) -> Joined {
        let leader = self.leader.clone().unwrap_or_default();
        let listed = |member: &Member<J, S>| {
            (
                member.id.clone(),
                member.instance.clone(),
                member.metadata(&self.protocol),
            )
        };
        let members = if as_leader && leader == id {
            self.members.iter().map(listed).collect()
        } else {
            Vec::new()
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader,
            member_id: id.to_owned(),
            skip_assignment: false,
            members,
        }
    }

    /// A member asks for its assignment, the leader brings all of them.
    pub(crate) fn sync(&mut self, now: Time, sync: Sync, waiter: S) -> Effects<J, S> {
        let mut effects = Effects::default();
        if let Err(error) = self.may_sync(&sync) {
            effects.synced.push((waiter, Err(error)));
            return effects;
        }
        let completing = self.state == State::CompletingRebalance;
        if let Some(member) = self.find(&sync.member_id) {
            member.alive(now);
            member.synced = true;
            if completing {
                member.syncing = Some(waiter);
            } else {
                let assignment = member.assignment.clone();
                effects.synced.push((waiter, Ok(self.assignment(assignment))));
                return effects;
            }
        }
        if self.leader.as_ref() == Some(&sync.member_id) {
            for member in &mut self.members {
                let given = sync.assignments.iter().find(|(id, _)| *id == member.id);
                member.assignment = given
                    .map(|(_, assignment)| assignment.clone())
                    .unwrap_or_default();
            }
            self.state = State::Stable;
            self.answer_syncs(now, &mut effects);
        }
        effects
    }

    fn may_sync(&self, sync: &Sync) -> Result<(), ResponseError> {
        self.known(&sync.member_id, sync.instance.as_deref())?;
        if sync.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let other = |named: &Option<String>, ours: &str| named.as_ref().is_some_and(|named| named != ours);
        if other(&sync.protocol_type, &self.protocol_type) || other(&sync.protocol, &self.protocol) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    fn assignment(&self, assignment: Bytes) -> Assignment {
        Assignment {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment,
        }
    }

    fn answer_syncs(&mut self, now: Time, effects: &mut Effects<J, S>) {
        let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
        for member in &mut self.members {
            if let Some(waiter) = member.syncing.take() {
                member.alive(now);
                let assignment = member.assignment.clone();
                let (protocol_type, protocol) = (protocol_type.clone(), protocol.clone());
                effects.synced.push((
                    waiter,
                    Ok(Assignment {
                        protocol_type,
                        protocol,
                        assignment,
                    }),
                ));
            }
        }
    }

    /// A member leaves; one with an instance id may be named by that alone.
    pub(crate) fn leave(
        &mut self,
        now: Time,
        id: &str,
        instance: Option<&str>,
    ) -> (Result<(), ResponseError>, Effects<J, S>) {
        let mut effects = Effects::default();
        if instance.is_none() && self.pending.iter().any(|(pending, _)| pending == id) {
            self.pending.retain(|(pending, _)| pending != id);
            self.complete_if_all_joined(now, &mut effects);
            return (Ok(()), effects);
        }
        let id = match instance
            .and_then(|instance| self.id_of_instance(instance))
            .filter(|_| id.is_empty())
        {
            Some(found) => found.to_owned(),
            None => id.to_owned(),
        };
        if let Err(error) = self.known(&id, instance) {
            return (Err(error), effects);
        }
        self.remove(now, &id, &mut effects);
        (Ok(()), effects)
    }
}

/// How a member may join.
enum Admitted {
    New,
    Again,
    /// It has nothing new to say; it is told what it was told before.
    Unchanged,
    /// It takes the place of this one.
    Replaces(String),
}

fn member<J, S>(now: Time, id: String, join: Join, joining: Option<J>) -> Member<J, S> {
    Member {
        id,
        instance: join.instance,
        client_id: join.client_id,
        client_host: join.client_host,
        session_timeout: join.session_timeout,
        rebalance_timeout: join.rebalance_timeout,
        protocols: join.protocols,
        assignment: Bytes::new(),
        joining,
        syncing: None,
        synced: false,
        session_ends: now + join.session_timeout,
    }
}
