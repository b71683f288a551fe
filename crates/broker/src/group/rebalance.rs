//! Rebalancing: who is in the next generation, which protocol it speaks, and what happens when time is up.

use super::*;

impl<J, S> Group<J, S> {
    /// Has everyone join anew, and completes at once when everyone has.
    pub(super) fn rebalance(&mut self, now: Time, effects: &mut Effects<J, S>) {
        if self.state != State::PreparingRebalance {
            for member in &mut self.members {
                member.assignment = Bytes::new();
                member.synced = false;
                if let Some(waiter) = member.syncing.take() {
                    member.alive(now);
                    effects
                        .synced
                        .push((waiter, Err(ResponseError::RebalanceInProgress)));
                }
            }
            let longest = self
                .members
                .iter()
                .map(|member| member.rebalance_timeout)
                .max()
                .unwrap_or(0);
            self.rebalance_ends = now + longest;
            if self.state == State::Empty && self.initial_delay > 0 {
                self.gathering = Some((now + self.initial_delay, self.rebalance_ends));
            }
            self.state = State::PreparingRebalance;
        }
        self.complete_if_all_joined(now, effects);
    }

    pub(super) fn complete_if_all_joined(&mut self, now: Time, effects: &mut Effects<J, S>) {
        let all = self.pending.is_empty() && self.members.iter().all(|member| member.joining.is_some());
        if self.state == State::PreparingRebalance && self.gathering.is_none() && all {
            self.complete(now, effects);
        }
    }

    /// Begins the next generation with those who have joined, and with static members, who may be on their way back.
    fn complete(&mut self, now: Time, effects: &mut Effects<J, S>) {
        self.gathering = None;
        self.members
            .retain(|member| member.joining.is_some() || member.instance.is_some());
        let joined = |member: &&Member<J, S>| member.joining.is_some();
        if self.members.is_empty() {
            self.generation += 1;
            self.state = State::Empty;
            self.leader = None;
            self.protocol.clear();
            return;
        }
        let longest = self
            .members
            .iter()
            .map(|member| member.rebalance_timeout)
            .max()
            .unwrap_or(0);
        self.rebalance_ends = now + longest;
        let Some(first) = self.members.iter().find(joined).map(|member| member.id.clone()) else {
            // Only static members, none of which came: until their sessions end there is nobody to lead.
            return;
        };
        let leads = self
            .members
            .iter()
            .filter(joined)
            .any(|member| Some(&member.id) == self.leader.as_ref());
        if !leads {
            self.leader = Some(first);
        }
        self.generation += 1;
        self.protocol = self.elect();
        self.state = State::CompletingRebalance;
        let answers: Vec<_> = self
            .members
            .iter()
            .map(|member| self.joined(&member.id, true))
            .collect();
        for (member, answer) in self.members.iter_mut().zip(answers) {
            member.synced = false;
            if let Some(waiter) = member.joining.take() {
                member.alive(now);
                effects.joined.push((waiter, Ok(answer)));
            }
        }
    }

    /// Of the protocols that all have, the one that most like best; of those, the one that the eldest member named first.
    fn elect(&self) -> String {
        let common = |name: &str| self.members.iter().all(|member| member.supports(name));
        let favourite = |member: &Member<J, S>| {
            member
                .protocols
                .iter()
                .find(|(name, _)| common(name))
                .map(|(name, _)| name.clone())
        };
        let votes: Vec<_> = self.members.iter().filter_map(favourite).collect();
        let count = |name: &String| votes.iter().filter(|vote| *vote == name).count();
        let most = votes.iter().map(count).max().unwrap_or(0);
        votes
            .iter()
            .find(|name| count(name) == most)
            .cloned()
            .unwrap_or_default()
    }

    /// Takes a member out; the rest share what it had.
    pub(super) fn remove(&mut self, now: Time, id: &str, effects: &mut Effects<J, S>) {
        let Some(at) = self.members.iter().position(|member| member.id == id) else {
            return;
        };
        let gone = self.members.remove(at);
        if let Some(waiter) = gone.joining {
            effects
                .joined
                .push((waiter, Err((ResponseError::UnknownMemberId, gone.id.clone()))));
        }
        if let Some(waiter) = gone.syncing {
            effects.synced.push((waiter, Err(ResponseError::UnknownMemberId)));
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
        self.rebalance(now, effects);
    }

    /// Does what is due: gives up members that have not been heard of, and rebalances that wait for some.
    pub(crate) fn expire(&mut self, now: Time) -> Effects<J, S> {
        let mut effects = Effects::default();
        let pending = self.pending.len();
        self.pending.retain(|(_, until)| *until > now);
        if self.gathering.is_some_and(|(until, _)| until <= now) {
            self.gathering = None;
        }
        let dead = |member: &&Member<J, S>| !member.waits() && member.session_ends <= now;
        let dead: Vec<_> = self
            .members
            .iter()
            .filter(dead)
            .map(|member| member.id.clone())
            .collect();
        for id in &dead {
            self.remove(now, id, &mut effects);
        }
        if pending > 0 || self.state == State::PreparingRebalance {
            self.complete_if_all_joined(now, &mut effects);
        }
        if self.rebalance_ends <= now {
            match self.state {
                State::PreparingRebalance => {
                    self.pending.clear();
                    self.complete(now, &mut effects);
                }
                State::CompletingRebalance => {
                    let late: Vec<_> = self
                        .members
                        .iter()
                        .filter(|member| !member.synced)
                        .map(|member| member.id.clone())
                        .collect();
                    for id in late {
                        self.remove(now, &id, &mut effects);
                    }
                }
                State::Empty | State::Stable => {}
            }
        }
        effects
    }
}
