//! What the sender knows of topics, and how it learns.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Instant;

use kafka_protocol::protocol::StrBytes;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::super::answer::{code_of, may_pass};
use super::super::cluster::{Ask, Led, Told};
use super::super::lane::Lane;
use super::{Identity, Partition, Refusal, Sender, UNKNOWN};

impl Sender {
    pub(super) fn ask(&mut self, now: Instant) {
        let identity = matches!(self.identity, Identity::None);
        let wanted = self.stale || identity || self.topics.values().any(|topic| topic.wanted);
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask_at = None;
        }
        if self.asking || !wanted || self.ask_at.is_some() || self.refused.is_some() {
            return;
        }
        let stale = std::mem::take(&mut self.stale);
        if stale {
            self.refreshed = now;
        }
        let topics = self
            .topics
            .iter()
            .filter(|(_, topic)| topic.wanted || stale)
            .map(|(name, _)| name.clone())
            .collect();
        self.asking = self.asks.try_send(Ask { topics, identity }).is_ok();
    }

    pub(super) fn on_told(&mut self, told: io::Result<Told>) {
        self.asking = false;
        let told = match told {
            Ok(told) => told,
            Err(error) => {
                tracing::info!(client = %self.settings.dial.client, "no metadata: {error}");
                // Who asked for leaders still wants to know them.
                self.stale = true;
                self.ask_at = Some(Instant::now() + self.ask_pace.wait());
                return;
            }
        };
        match told.identity {
            Some(Ok((producer, epoch))) => self.identity = Identity::Known(producer, epoch),
            Some(Err(code)) if may_pass(code) || matches!(code, 15 | 16 | 51) => {}
            Some(Err(code)) => self.refuse(code_of(code), &format!("no producer id: Kafka error {code}")),
            None => {}
        }
        if !told.brokers.is_empty() {
            self.brokers = told.brokers;
        }
        let mut unsettled = false;
        for (name, led) in told.topics {
            unsettled |= !self.on_topic(&name, led);
        }
        let resting = std::mem::take(&mut self.resting);
        self.list_all(resting);
        if unsettled || !matches!(self.identity, Identity::Known(..)) {
            self.ask_at = Some(Instant::now() + self.ask_pace.wait());
        } else {
            self.ask_at = None;
            self.ask_pace.reset();
        }
    }

    /// Whether all is known that there is to know of the topic.
    fn on_topic(&mut self, name: &StrBytes, led: Result<Vec<Led>, i16>) -> bool {
        // The name in the answer holds the whole answer: what is kept is the name as it was asked for.
        let Some(own) = self.topics.get_key_value(name).map(|(own, _)| own.clone()) else {
            return true;
        };
        let Some(topic) = self.topics.get_mut(name) else {
            return true;
        };
        let led = match led {
            Ok(led) if !led.is_empty() => led,
            Ok(_) => return false,
            Err(code) => {
                let since = *topic.unknown_since.get_or_insert_with(Instant::now);
                if may_pass(code) && since.elapsed() < UNKNOWN {
                    return false;
                }
                let why = format!(
                    "no metadata of topic {name}: Kafka error {code}",
                    name = name.as_str()
                );
                let refusal = Refusal {
                    code: code_of(code),
                    why,
                };
                for reply in topic.waiting.drain(..) {
                    let _gone = reply.send(Err(refusal.clone()));
                }
                topic.wanted = false;
                topic.unknown_since = None;
                for at in topic.lanes.clone() {
                    self.fail_lane(at, refusal.code, &refusal.why);
                }
                return true;
            }
        };
        topic.unknown_since = None;
        topic.wanted = false;
        for Led { partition, leader } in &led {
            let place = usize::try_from(*partition).unwrap_or(usize::MAX);
            match topic.lanes.get(place) {
                Some(at) => {
                    if let Some(known) = self.lanes.get_mut(*at) {
                        known.leader = *leader;
                    }
                }
                None if place == topic.lanes.len() => {
                    topic.lanes.push(self.lanes.len());
                    self.lanes.push(Partition {
                        topic: own.clone(),
                        index: *partition,
                        leader: *leader,
                        lane: Lane::default(),
                        listed: false,
                        pace: self.settings.pace(),
                    });
                }
                None => {}
            }
        }
        let count = u32::try_from(led.len()).unwrap_or(u32::MAX);
        let gone: Vec<usize> = topic.lanes.iter().skip(led.len()).copied().collect();
        topic.count.store(count, Ordering::Release);
        for reply in topic.waiting.drain(..) {
            let _gone = reply.send(Ok(topic.count.clone()));
        }
        for at in gone {
            // It was deleted and made anew.
            let why = format!("topic {} has only {count} partitions now", name.as_str());
            self.fail_lane(at, Code::UnknownTopicOrPartition, &why);
        }
        led.iter().all(|led| led.leader.is_some())
    }
}
