//! Measures `put` against a real Postgres: `put URL USER PASSWORD [ROWS] [ROWS PER PUT]`.
//!
//! Rows of about 200 bytes in ten columns, as Debezium envelopes: all of them inserted, a tenth updated, a hundredth
//! deleted. Prints rows per second and the process' CPU time per row.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use tapline_api::config::Config;
use tapline_api::connector::AnyConnector;
use tapline_api::metrics::Registry;
use tapline_api::record::{Origin, SinkRecord, TimestampType};
use tapline_api::schema::logical;
use tapline_api::sink::{ErrantRecordReporter, SinkContext, SinkTask};
use tapline_api::{Record, Schema, SchemaRef, Struct, Value};
use tokio_util::sync::CancellationToken;

struct Fail;

#[async_trait]
impl ErrantRecordReporter for Fail {
    async fn report(&self, _: &SinkRecord, error: tapline_api::Error) -> tapline_api::Result<()> {
        Err(error)
    }
}

struct Source {
    key: SchemaRef,
    row: SchemaRef,
    envelope: SchemaRef,
    topic: Arc<str>,
}

impl Source {
    fn new() -> Self {
        let row = Schema::structure()
            .name("bench.public.orders.Value")
            .field("id", Schema::int32().build())
            .field("customer", Schema::int64().build())
            .field("name", Schema::string().build())
            .field("note", Schema::string().optional().build())
            .field(
                "price",
                Schema::bytes()
                    .name(logical::DECIMAL)
                    .parameter("scale", "2")
                    .parameter("connect.decimal.precision", "12")
                    .build(),
            )
            .field("paid", Schema::boolean().build())
            .field("ratio", Schema::float64().optional().build())
            .field("token", Schema::string().name("io.debezium.data.Uuid").build())
            .field(
                "made",
                Schema::int64().name("io.debezium.time.MicroTimestamp").build(),
            )
            .field(
                "seen",
                Schema::string()
                    .name("io.debezium.time.ZonedTimestamp")
                    .optional()
                    .build(),
            )
            .build();
        let optional = row.to_builder().optional().build();
        Self {
            key: Schema::structure().field("id", Schema::int32().build()).build(),
            envelope: Schema::structure()
                .name("bench.public.orders.Envelope")
                .field("before", optional.clone())
                .field("after", optional)
                .field("op", Schema::string().build())
                .build(),
            row,
            topic: "bench.public.orders".into(),
        }
    }

    fn record(&self, id: i32, op: &'static str, offset: i64) -> SinkRecord {
        let row = Value::Struct(Struct::new(
            self.row.clone(),
            vec![
                Value::Int32(id),
                Value::Int64(i64::from(id) * 7),
                format!("customer number {id} of the bench").into(),
                format!("{op} {:0>90}", id).into(),
                Value::Bytes(Bytes::copy_from_slice(&(id * 3).to_be_bytes())),
                Value::Boolean(id % 2 == 0),
                Value::Float64(f64::from(id) / 3.0),
                format!("00000000-0000-4000-8000-{id:012x}").into(),
                Value::Int64(1_700_000_000_000_000 + i64::from(id)),
                "2026-11-23T05:00:00.123456Z".into(),
            ],
        ));
        let (before, after) = if op == "d" {
            (row, Value::Null)
        } else {
            (Value::Null, row)
        };
        let record = Record {
            key: Value::Struct(Struct::new(self.key.clone(), vec![Value::Int32(id)])),
            key_schema: Some(self.key.clone()),
            value: Value::Struct(Struct::new(self.envelope.clone(), vec![before, after, op.into()])),
            value_schema: Some(self.envelope.clone()),
            ..Record::new(self.topic.clone())
        };
        SinkRecord {
            record,
            origin: Origin {
                topic: self.topic.clone(),
                partition: 0,
                offset,
                timestamp_type: TimestampType::None,
            },
        }
    }
}

/// User and system time of this process, in microseconds.
fn cpu() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    Ok((ticks(11) + ticks(12)) * 10_000.0)
}

async fn run(
    name: &str,
    task: &mut Box<dyn SinkTask>,
    puts: Vec<Vec<SinkRecord>>,
) -> Result<(), Box<dyn Error>> {
    let rows: usize = puts.iter().map(Vec::len).sum();
    let (start, before) = (Instant::now(), cpu()?);
    for put in &puts {
        task.put(put).await?;
        task.flush().await?;
    }
    let (seconds, used) = (start.elapsed().as_secs_f64(), cpu()? - before);
    let count = f64::from(u32::try_from(rows)?);
    println!(
        "{name}: {rows} rows in {seconds:.2} s, {:.0} rows/s, {:.2} us CPU per row",
        count / seconds,
        used / count
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, user, password, rest @ ..] = arguments.as_slice() else {
        return Err("put URL USER PASSWORD [ROWS] [ROWS PER PUT]".into());
    };
    let number = |at: usize, default: i32| rest.get(at).map_or(Ok(default), |text| text.parse());
    let (rows, per_put) = (number(0, 200_000)?, usize::try_from(number(1, 500)?)?);
    let config = Config::from_iter([
        ("connection.url", url.as_str()),
        ("connection.username", user),
        ("connection.password", password),
        ("insert.mode", "upsert"),
        ("primary.key.mode", "record_key"),
        ("delete.enabled", "true"),
        ("schema.evolution", "basic"),
    ]);
    let AnyConnector::Sink(connector) = tapline_sink_relational::PLUGIN.connector else {
        return Err("not a sink".into());
    };
    let mut task = connector.task();
    task.start(SinkContext {
        connector: "bench".into(),
        task: 0,
        config,
        cluster_id: "bench".into(),
        errant: Arc::new(Fail),
        metrics: Registry::default().scope(&[]),
        cancel: CancellationToken::new(),
    })
    .await?;
    let source = Source::new();
    let puts = |op: &'static str, step: usize| -> Vec<Vec<SinkRecord>> {
        let ids: Vec<i32> = (0..rows).step_by(step).collect();
        ids.chunks(per_put)
            .map(|ids| {
                ids.iter()
                    .map(|id| source.record(*id, op, i64::from(*id)))
                    .collect()
            })
            .collect()
    };
    run("insert", &mut task, puts("c", 1)).await?;
    run("update", &mut task, puts("u", 10)).await?;
    run("delete", &mut task, puts("d", 100)).await?;
    task.stop().await;
    Ok(())
}
