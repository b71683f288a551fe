//! Runs the connector by itself, as a worker would, and prints its records as JSON lines.
//!
//! `drive CONFIG.json OFFSETS.json SECONDS [TOPIC]`: ends after that time, or when TOPIC has had a record. Offsets are read
//! from and written to the file, so that a second run goes on where the first one stopped. With `SECONDS` of the form
//! `bench:N` nothing is printed but the rate at which N records came.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::BytesMut;
use serde_json::{Map, Value as Json, json};
use tapline_api::config::Config;
use tapline_api::connector::AnyConnector;
use tapline_api::convert::{Converter as _, Encoded, HeaderConverter as _};
use tapline_api::metrics::Registry;
use tapline_api::offset::{CommittedOffsets, Offset, Partition};
use tapline_api::source::{OffsetReader, SourceContext};
use tapline_api::topic_log::{NewTopic, TopicLog, TopicLogs};
use tapline_api::{Error, Record, Result, SchemaRef, Value};
use tapline_formats::{json as json_format, simple_header};
use tokio_util::sync::CancellationToken;

type Stored = Arc<Mutex<Map<String, Json>>>;

struct Offsets(Stored);

#[async_trait]
impl OffsetReader for Offsets {
    async fn offset(&self, partition: &Partition) -> Result<Option<Offset>> {
        let key = serde_json::to_string(&*partition.0).unwrap_or_default();
        let stored = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(stored
            .get(&key)
            .and_then(Json::as_object)
            .map(|map| Offset(Arc::new(map.clone()))))
    }
}

struct NoLogs;

#[async_trait]
impl TopicLogs for NoLogs {
    async fn open(&self, _: &str, _: &Config, _: Option<NewTopic>) -> Result<Arc<dyn TopicLog>> {
        Err(Error::fatal("no topics here"))
    }
}

fn converter(key: bool) -> Result<json_format::Converter> {
    let config: Config = [
        ("schemas.enable", "true"),
        ("converter.type", if key { "key" } else { "value" }),
    ]
    .into_iter()
    .collect();
    json_format::Converter::new(&config)
}

fn encode(
    converter: &mut json_format::Converter,
    topic: &Arc<str>,
    schema: Option<&SchemaRef>,
    value: &Value,
) -> Result<Json> {
    let mut out = BytesMut::new();
    Ok(match converter.encode(topic, schema, value, &mut out)? {
        Encoded::Null => Json::Null,
        Encoded::Bytes => serde_json::from_slice(&out).unwrap_or(Json::Null),
    })
}

fn print(
    record: &Record,
    keys: &mut json_format::Converter,
    values: &mut json_format::Converter,
    next: &mut HashMap<Arc<str>, u64>,
) -> Result<()> {
    let mut headers = Vec::new();
    for header in &record.headers {
        let mut out = BytesMut::new();
        simple_header::Converter::new().encode(
            &record.topic,
            &header.key,
            header.schema.as_ref(),
            &header.value,
            &mut out,
        )?;
        headers.push(json!([&*header.key, String::from_utf8_lossy(&out)]));
    }
    let offset = next.entry(record.topic.clone()).or_default();
    let line = json!({
        "topic": &*record.topic, "partition": record.partition.unwrap_or(0), "offset": *offset, "headers": headers,
        "key": encode(keys, &record.topic, record.key_schema.as_ref(), &record.key)?,
        "value": encode(values, &record.topic, record.value_schema.as_ref(), &record.value)?,
    });
    *offset += 1;
    println!("{line}");
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter("info")
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(drive())
}

async fn drive() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, config, offsets, time, rest @ ..] = arguments.as_slice() else {
        return Err("drive CONFIG.json OFFSETS.json SECONDS [TOPIC]".into());
    };
    let config: Map<String, Json> = serde_json::from_str(&std::fs::read_to_string(config)?)?;
    let config: Config = config
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str().unwrap_or_default()))
        .collect();
    let stored: Map<String, Json> = std::fs::read_to_string(offsets)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let stored: Stored = Arc::new(Mutex::new(stored));
    let AnyConnector::Source(connector) = tapline_source_postgres::PLUGIN.connector else {
        return Err("no source".into());
    };
    for (option, finding) in connector.validate(&config).await {
        eprintln!("{option}: {finding}");
    }
    let mut task = connector.task();
    let cancel = CancellationToken::new();
    task.start(SourceContext {
        connector: "golden".into(),
        task: 0,
        config,
        offsets: Arc::new(Offsets(stored.clone())),
        logs: Arc::new(NoLogs),
        metrics: Registry::default().scope(&[]),
        cancel: cancel.clone(),
    })
    .await?;
    let bench: Option<u64> = time.strip_prefix("bench:").map(str::parse).transpose()?;
    let limit = if bench.is_some() { 600 } else { time.parse()? };
    let deadline = Instant::now() + Duration::from_secs(limit);
    let (mut keys, mut values, mut next) = (converter(true)?, converter(false)?, HashMap::new());
    let (mut count, mut batches, mut begun, mut seen) = (0u64, 0u64, None, false);
    while Instant::now() < deadline && !seen {
        let wait = tokio::time::timeout(Duration::from_millis(200), task.poll());
        let Ok(batch) = wait.await else { continue };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                eprintln!("{:?} {}", error.kind(), error.trace());
                break;
            }
        };
        begun.get_or_insert_with(Instant::now);
        batches += 1;
        count += batch.records.len() as u64;
        for record in &batch.records {
            seen |= rest.first().is_some_and(|topic| **topic == *record.topic);
            if bench.is_none() {
                print(record, &mut keys, &mut values, &mut next)?;
            }
        }
        let mut newest = CommittedOffsets::default();
        for mark in &batch.marks {
            newest.0.push((mark.partition.clone(), mark.offset.clone()));
            let key = serde_json::to_string(&*mark.partition.0)?;
            let value = mark
                .offset
                .as_ref()
                .map_or(Json::Null, |offset| Json::Object((*offset.0).clone()));
            stored
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .insert(key, value);
        }
        if bench.is_none() {
            std::io::stdout().flush()?;
            save(offsets, &stored)?;
        }
        task.commit(&newest).await?;
        seen |= bench.is_some_and(|wanted| count >= wanted);
    }
    if let (Some(_), Some(begun)) = (bench, begun) {
        let seconds = begun.elapsed().as_secs_f64();
        let usage = std::fs::read_to_string("/proc/self/stat")?;
        let fields: Vec<&str> = usage
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks: u64 = fields.get(11).zip(fields.get(12)).map_or(0, |(user, system)| {
            user.parse::<u64>().unwrap_or(0) + system.parse::<u64>().unwrap_or(0)
        });
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap_or_default();
        eprintln!(
            "{count} records in {batches} batches, {seconds:.2} s, {:.0}/s, {:.2} µs CPU each, {peak}",
            count as f64 / seconds,
            ticks as f64 * 10_000.0 / count as f64
        );
    }
    task.stop().await;
    save(offsets, &stored)?;
    Ok(())
}

/// Whole or not at all, so that a kill leaves offsets to go on from.
fn save(path: &str, stored: &Stored) -> std::io::Result<()> {
    let text = serde_json::to_string(&*stored.lock().unwrap_or_else(std::sync::PoisonError::into_inner))?;
    let new = format!("{path}.new");
    std::fs::write(&new, text)?;
    std::fs::rename(new, path)
}
