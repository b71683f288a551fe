//! What brokers answer, and what follows for the batches.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use rdkafka::error::RDKafkaErrorCode as Code;

use super::super::answer::Verdict;
use super::super::connection::answer_of;
use super::{Identity, PRODUCE, Refusal, Request, Sender};

impl Sender {
    pub(super) fn on_answer(&mut self, id: u64, mut answer: Bytes) -> io::Result<()> {
        let Some(link) = self.links.values_mut().find(|link| link.id == id) else {
            return Ok(());
        };
        let version = link.up.as_ref().map_or(PRODUCE, |(version, _)| *version);
        let (correlation, answer) = answer_of::<ProduceRequest>(&mut answer, version)?;
        let request = match link.requests.pop_front() {
            Some(request) if request.correlation == correlation => request,
            _ => return Err(io::Error::other("an answer that nobody waits for")),
        };
        if let Ok(throttle @ 1..) = u64::try_from(answer.throttle_time_ms) {
            link.muted = Some(Instant::now() + Duration::from_millis(throttle));
        }
        let waiting = std::mem::take(&mut link.waiting);
        self.settle(request, &answer);
        self.list_all(waiting);
        Ok(())
    }

    /// What each batch of a request came to.
    fn settle(&mut self, mut request: Request, answer: &ProduceResponse) {
        for topic in &answer.responses {
            for part in &topic.partition_responses {
                let lanes = self.topics.get(&topic.name.0).map(|topic| &topic.lanes);
                let at = lanes
                    .and_then(|lanes| lanes.get(usize::try_from(part.index).ok()?))
                    .copied();
                if let Some((at, sequence)) = at.and_then(|at| request.parts.remove_entry(&at)) {
                    let said = part.error_message.as_ref().map_or("", |message| message.as_str());
                    self.judge(at, sequence, part.error_code, said);
                }
            }
        }
        for (at, sequence) in request.parts {
            self.again(at, sequence);
        }
    }

    fn judge(&mut self, at: usize, sequence: i32, code: i16, said: &str) {
        let Some(partition) = self.lanes.get_mut(at) else {
            return;
        };
        match Verdict::of(code) {
            Verdict::Done => {
                partition.pace.reset();
                if let Some(load) = partition.lane.acknowledged(sequence) {
                    load.settled();
                }
                self.list(at);
            }
            Verdict::Again => self.again(at, sequence),
            Verdict::Elsewhere => {
                self.again(at, sequence);
                self.stale = true;
            }
            Verdict::Gap if !partition.lane.is_first(sequence) => self.again(at, sequence),
            Verdict::Gap | Verdict::Renew => {
                tracing::warn!(
                    client = %self.settings.dial.client,
                    "topic {} partition {}: the broker has lost this producer's place (Kafka error {code}); another producer id is asked for",
                    partition.topic.as_str(),
                    partition.index,
                );
                self.again(at, sequence);
                self.identity = Identity::Spent;
            }
            Verdict::Never(what) => {
                let why = format!(
                    "topic {} partition {}: Kafka error {code} {said}",
                    partition.topic.as_str(),
                    partition.index
                );
                if let Some(load) = partition.lane.rejected(sequence) {
                    load.failed(what, &why);
                }
                self.identity = Identity::Spent;
            }
            Verdict::Fatal(what) => {
                let why = format!("topic {}: Kafka error {code} {said}", partition.topic.as_str());
                self.fail_lane(at, what, &why);
            }
        }
    }

    pub(super) fn again(&mut self, at: usize, sequence: i32) {
        if let Some(partition) = self.lanes.get_mut(at) {
            let wait = partition.pace.wait();
            partition.lane.failed(sequence, Instant::now() + wait);
        }
        self.list(at);
    }

    pub(super) fn fail_lane(&mut self, at: usize, code: Code, why: &str) {
        if let Some(partition) = self.lanes.get_mut(at) {
            for load in partition.lane.drain() {
                load.failed(code, why);
                self.identity = Identity::Spent;
            }
        }
    }

    /// Nothing can be sent any more.
    pub(super) fn refuse(&mut self, code: Code, why: &str) {
        for at in 0..self.lanes.len() {
            self.fail_lane(at, code, why);
        }
        let refusal = Refusal {
            code,
            why: why.to_owned(),
        };
        for topic in self.topics.values_mut() {
            for reply in topic.waiting.drain(..) {
                let _gone = reply.send(Err(refusal.clone()));
            }
        }
        self.refused = Some(refusal);
    }
}
