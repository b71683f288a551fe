//! The task: a put becomes bulks, sent in order; each write's own outcome is looked at.
//!
//! What may pass (a lost connection, a server that steps down) is the worker's to try again, with the same batch. A write that the
//! server refuses is its record's error: it is reported, and where that is tolerated the writes behind it go on.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bson::{Bson, DateTime, Document, RawDocumentBuf, cstr};
use tapline_api::config::Config;
use tapline_api::record::SinkRecord;
use tapline_api::sink::{ErrantRecordReporter, SinkContext, SinkTask};
use tapline_api::{Error, Kind, Result};
use tokio_util::sync::CancellationToken;

use crate::bulk::{self, Guess, Making, Refusal, Verb};
use crate::client::{Client, Failure};
use crate::id::{ID, hash};
use crate::message::Message;
use crate::namespace::Namespace;
use crate::settings::{Tolerance, Topic};
use crate::write::Write;

/// So many records at a time become documents, which take several times the bytes.
const SLICE: usize = 1000;
/// Bytes of a document, until one is made.
const ROOM: usize = 256;
/// The server's code for a key that is there already.
const DUPLICATE: i32 = 11000;

#[derive(Default)]
pub(crate) struct Task(Option<Running>);

struct Running {
    client: Client,
    config: Config,
    /// Each topic's settings, in the order in which they came.
    topics: Vec<Topic>,
    by_name: HashMap<Arc<str>, usize>,
    /// Bulks written, by topic.
    bulks: Vec<usize>,
    /// Whether what a topic's records say to be new is, by topic.
    guesses: Vec<Guess>,
    errant: Arc<dyn ErrantRecordReporter>,
    cancel: CancellationToken,
    /// Tells connectors apart in ids.
    seed: u64,
}

/// Writes to one collection, in a row.
struct Group {
    topic: usize,
    namespace: Namespace,
    writes: Vec<Write>,
    /// The record of each write, as it stands in the batch.
    records: Vec<usize>,
}

#[async_trait]
impl SinkTask for Task {
    async fn start(&mut self, context: SinkContext) -> Result<()> {
        self.0 = Some(Running {
            client: Client::new(&context.config).await?,
            config: context.config,
            topics: Vec::new(),
            by_name: HashMap::new(),
            bulks: Vec::new(),
            guesses: Vec::new(),
            errant: context.errant,
            cancel: context.cancel,
            seed: hash(0, context.connector.as_bytes()),
        });
        Ok(())
    }

    async fn put(&mut self, batch: &[SinkRecord]) -> Result<()> {
        let Some(running) = &mut self.0 else {
            return Err(Error::fatal("used before it was started"));
        };
        if let Some(sink) = batch.first() {
            running.topic(&sink.record.topic)?;
        }
        let mut first = 0;
        while first < batch.len() {
            let slice = first..running.slice(batch, first);
            first = slice.end;
            for group in running.groups(batch, slice).await? {
                running.write(batch, &group).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn stop(&mut self) {
        if let Some(running) = self.0.take() {
            running.client.close().await;
        }
    }
}

impl Running {
    /// The place of a topic's settings.
    fn topic(&mut self, name: &Arc<str>) -> Result<usize> {
        if let Some(index) = self.by_name.get(name) {
            return Ok(*index);
        }
        self.topics.push(Topic::new(&self.config, name)?);
        self.bulks.push(0);
        self.guesses.push(Guess::default());
        let index = self.topics.len() - 1;
        self.by_name.insert(name.clone(), index);
        Ok(index)
    }

    /// Where the records end that are made documents together: all of them where bulks are counted or cut by the user.
    fn slice(&self, batch: &[SinkRecord], first: usize) -> usize {
        let counted = self
            .topics
            .iter()
            .any(|topic| topic.rate.is_some() || topic.most != usize::MAX);
        if counted {
            batch.len()
        } else {
            batch.len().min(first + SLICE)
        }
    }

    /// The writes of a range of records, by collection.
    async fn groups(&mut self, batch: &[SinkRecord], range: Range<usize>) -> Result<Vec<Group>> {
        let now = DateTime::now();
        // As many bytes as the document before.
        let mut room = ROOM;
        let mut groups: Vec<Group> = Vec::new();
        let mut last: Option<(Arc<str>, usize)> = None;
        let records = batch.iter().enumerate().take(range.end).skip(range.start);
        for (record, sink) in records {
            let topic = match &last {
                Some((name, index)) if *name == sink.record.topic => *index,
                _ => {
                    let index = self.topic(&sink.record.topic)?;
                    last = Some((sink.record.topic.clone(), index));
                    index
                }
            };
            let Some(settings) = self.topics.get(topic) else {
                continue;
            };
            let mut message = Message::new(sink);
            let made = settings.made(&mut message, self.seed, now, room);
            let (namespace, write) = match made {
                Ok(Some(made)) => {
                    room = made.1.room();
                    made
                }
                Ok(None) => continue,
                Err(error) => {
                    self.refuse(topic, batch, record, error).await?;
                    continue;
                }
            };
            match groups.last_mut() {
                Some(group)
                    if group.topic == topic
                        && group.writes.len() < settings.most
                        && namespace
                            .as_ref()
                            .is_none_or(|namespace| *namespace == group.namespace) =>
                {
                    group.writes.push(write);
                    group.records.push(record);
                }
                _ => groups.push(Group {
                    topic,
                    namespace: namespace.unwrap_or_else(|| settings.mapper.default.clone()),
                    writes: vec![write],
                    records: vec![record],
                }),
            }
        }
        Ok(groups)
    }

    /// Writes a group to its end.
    async fn write(&mut self, batch: &[SinkRecord], group: &Group) -> Result<()> {
        let ordered = self.topics.get(group.topic).is_none_or(|topic| topic.ordered);
        let mut guess = self.guesses.get_mut(group.topic).is_some_and(Guess::may);
        let mut at = 0;
        // One by one up to here, since the command as a whole was refused.
        let mut singly_until = 0;
        while let Some((verb, guessed)) = bulk::next(&group.writes, at, guess) {
            let most = if at < singly_until {
                1
            } else if verb == Verb::Update {
                self.client.updates_at_once().await
            } else {
                usize::MAX
            };
            let making = Making {
                collection: &group.namespace.collection,
                verb,
                guessed,
                most,
                ordered,
                concern: self.client.concern(),
            };
            let command = match bulk::command(&group.writes, at, making) {
                Ok(command) => command,
                Err((index, error)) => {
                    self.refuse_write(batch, group, index, error).await?;
                    at = index + 1;
                    continue;
                }
            };
            let (first, count) = (command.first, command.count);
            let answer = match self.client.run(&group.namespace.database, command.body).await {
                Ok(answer) => bulk::answer(&answer),
                Err(Failure::Refused(_)) if count > 1 => {
                    singly_until = first + count;
                    continue;
                }
                Err(Failure::Refused(error)) => {
                    self.refuse_write(batch, group, first, error).await?;
                    at = first + 1;
                    continue;
                }
                Err(Failure::Other(error)) => return Err(located(error, batch, group, first)),
            };
            if let Some((code, message)) = answer.concern {
                let text = format!("v=1, code={code}, message={message}, details={{}}");
                let error = if bulk::may_pass(code) {
                    Error::retriable(text)
                } else {
                    Error::fatal(text)
                };
                let error = error.exception("com.mongodb.kafka.connect.sink.dlq.WriteConcernException");
                return Err(located(error, batch, group, first));
            }
            at = first + count;
            let mut right = true;
            for refusal in answer.refusals {
                let index = first + refusal.index;
                if guessed && refusal.code == DUPLICATE {
                    // It is there already: from here on all are put in place of what there is, once more where they were
                    // inserted behind it.
                    (right, guess, at) = (false, false, index);
                    break;
                }
                if ordered {
                    // The server stopped at it.
                    at = index + 1;
                }
                self.refused(batch, group, index, refusal).await?;
            }
            if guessed && let Some(guess) = self.guesses.get_mut(group.topic) {
                guess.was(right);
            }
        }
        self.slow_down(group.topic).await;
        Ok(())
    }

    /// A write that the server refused: this batch is to come again, the document is there already, or the record is bad.
    async fn refused(
        &self,
        batch: &[SinkRecord],
        group: &Group,
        index: usize,
        refusal: Refusal,
    ) -> Result<()> {
        let text = format!(
            "v=1, code={}, message={}, details={{}}",
            refusal.code, refusal.message
        );
        if bulk::may_pass(refusal.code) {
            return Err(located(Error::retriable(text), batch, group, index));
        }
        if refusal.code == DUPLICATE && self.is_repeat(group, index).await? {
            return Ok(());
        }
        let error = Error::data(text).exception("com.mongodb.kafka.connect.sink.dlq.WriteException");
        self.refuse_write(batch, group, index, error).await
    }

    /// Whether an insert was refused because this very record was inserted before.
    async fn is_repeat(&self, group: &Group, index: usize) -> Result<bool> {
        let of_place = self
            .topics
            .get(group.topic)
            .is_some_and(|topic| topic.id.is_of_place());
        let Some(Write::Insert(document)) = group.writes.get(index) else {
            return Ok(false);
        };
        let (true, Ok(Some(id))) = (of_place, document.get(ID)) else {
            return Ok(false);
        };
        let (mut find, mut filter) = (RawDocumentBuf::new(), RawDocumentBuf::new());
        filter.append(cstr!("_id"), id);
        find.append(cstr!("find"), group.namespace.collection.as_str());
        find.append(cstr!("filter"), filter);
        find.append(cstr!("limit"), 1_i32);
        find.append(cstr!("singleBatch"), true);
        let answer = self.client.run(&group.namespace.database, find).await;
        let answer = answer.map_err(Failure::into_error)?;
        let found = answer
            .get_document("cursor")
            .ok()
            .and_then(|cursor| cursor.get("firstBatch"));
        Ok(matches!(found, Some(Bson::Array(found)) if !found.is_empty()))
    }

    async fn refuse_write(
        &self,
        batch: &[SinkRecord],
        group: &Group,
        index: usize,
        error: Error,
    ) -> Result<()> {
        let record = group.records.get(index).copied().unwrap_or_default();
        let exception = error.exception_class();
        let text = match batch.get(record) {
            Some(sink) => format!("could not write to {} ({})", group.namespace, place(sink)),
            None => format!("could not write to {}", group.namespace),
        };
        let error = Error::data(format!("{text}: {}", error.message()))
            .exception(exception)
            .cause(error);
        self.refuse(group.topic, batch, record, error).await
    }

    /// Lets a record go, or says that it may not.
    async fn refuse(&self, topic: usize, batch: &[SinkRecord], record: usize, error: Error) -> Result<()> {
        let tolerance = self
            .topics
            .get(topic)
            .map_or(Tolerance::Worker, |topic| topic.tolerance);
        let Some(sink) = batch.get(record) else {
            return Err(error);
        };
        if error.kind() != Kind::Data {
            return Err(error.at_record(record));
        }
        if tolerance == Tolerance::None {
            return Err(error.with_kind(Kind::Fatal).at_record(record));
        }
        match self.errant.report(sink, error).await {
            Ok(()) => Ok(()),
            Err(error) if tolerance == Tolerance::All && error.kind() == Kind::Data => {
                tracing::error!(%error, "let go, as mongo.errors.tolerance says: {}", place(sink));
                Ok(())
            }
            Err(error) => Err(error.at_record(record)),
        }
    }

    /// Waits, where the rate is limited.
    async fn slow_down(&mut self, topic: usize) {
        let Some(bulks) = self.bulks.get_mut(topic) else {
            return;
        };
        *bulks += 1;
        let rate = self.topics.get(topic).and_then(|topic| topic.rate);
        if let Some((every, pause)) = rate
            && bulks.is_multiple_of(every)
        {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.cancel.cancelled() => {}
            }
        }
    }
}

impl Topic {
    /// A record's write; `None` where there is nothing to do. The namespace is `None` where all have one.
    pub(crate) fn made(
        &self,
        message: &mut Message<'_>,
        seed: u64,
        now: DateTime,
        room: usize,
    ) -> Result<Option<(Option<Namespace>, Write)>> {
        let namespace = if self.mapper.is_fixed() {
            None
        } else {
            Some(self.mapper.map(message)?)
        };
        if let Some(write) = self.straight(message, seed, room)? {
            return Ok(Some((namespace, write)));
        }
        let write = match self.handler {
            Some(handler) => handler.write(message, seed, self.without_nulls)?,
            None => {
                for processor in &self.chain {
                    processor.apply(message, &self.id, seed)?;
                }
                Some(self.modelled(message, seed, now)?)
            }
        };
        let encoded = write.as_ref().map(Write::encoded).transpose()?;
        Ok(encoded.map(|write| (namespace, write)))
    }

    fn modelled(&self, message: &mut Message<'_>, seed: u64, now: DateTime) -> Result<Write<Document>> {
        if message.value()?.is_some() {
            return self.write.make(message, &self.id, seed, now);
        }
        if message.sink.record.key.is_null() {
            return Err(Error::data(
                "Invalid Sink Record neither key doc nor value doc were present",
            ));
        }
        let Some(delete) = self.delete else {
            return Err(Error::data("Could not create write model")
                .hint("the value is null: delete.on.null.values=true deletes the document of the key"));
        };
        delete.make(message, &self.id, seed, now)
    }
}

fn place(sink: &SinkRecord) -> String {
    let origin = &sink.origin;
    format!(
        "topic '{}', partition {}, offset {}",
        origin.topic, origin.partition, origin.offset
    )
}

/// Says where a command was to go, and what was first in it.
fn located(error: Error, batch: &[SinkRecord], group: &Group, index: usize) -> Error {
    let sink = group.records.get(index).and_then(|record| batch.get(*record));
    let place = sink.map_or_else(String::new, |sink| format!(" ({} and what follows)", place(sink)));
    let (kind, exception) = (error.kind(), error.exception_class());
    Error::fatal(format!(
        "could not write to {}{place}: {}",
        group.namespace,
        error.message()
    ))
    .with_kind(kind)
    .exception(exception)
    .cause(error)
}
