//! How fast JsonConverter is: `cargo run --release -p tapline-formats --example json_speed`.
//!
//! The record is a Debezium envelope of a row of 10 columns and about 200 bytes, as the Postgres source emits it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tapline_api::config::Config;
use tapline_api::convert::Converter as _;
use tapline_api::schema::{SchemaBuilder, logical};
use tapline_api::{Headers, Result, Schema, SchemaRef, Struct, Value};
use tapline_formats::json::Converter;

/// The time of one call in the best of many short runs, so that a busy machine shows in none of them.
fn best(mut call: impl FnMut() -> Result<()>) -> Result<Duration> {
    const CALLS: u32 = 500;
    let mut best = Duration::MAX;
    for _ in 0..1000 {
        let started = Instant::now();
        for _ in 0..CALLS {
            call()?;
        }
        best = best.min(started.elapsed() / CALLS);
    }
    Ok(best)
}

fn main() -> Result<()> {
    let (schema, value) = envelope();
    for (name, schemas) in [("schemaless", "false"), ("with schemas", "true")] {
        let config = Config::from_iter([("schemas.enable", schemas)]);
        let topic: Arc<str> = Arc::from("shop.public.orders");
        let mut converter = Converter::new(&config)?;
        let mut out = BytesMut::with_capacity(1 << 20);
        let encode = best(|| {
            out.clear();
            converter
                .encode(&topic, Some(&schema), black_box(&value), &mut out)
                .map(drop)
        })?;
        let message = out.clone().freeze();
        let headers = Headers::default();
        let decode = best(|| {
            let message = Some(black_box(message.clone()));
            converter
                .decode(&topic, &headers, message)
                .map(|read| drop(black_box(read)))
        })?;
        println!(
            "{name:13} {:5} bytes   encode {encode:?}   decode {decode:?}",
            message.len()
        );
    }
    Ok(())
}

fn optional(builder: SchemaBuilder) -> SchemaRef {
    builder.optional().build()
}

fn envelope() -> (SchemaRef, Value) {
    let row = optional(
        Schema::structure()
            .name("shop.public.orders.Value")
            .field("id", Schema::int64().build())
            .field("customer_id", Schema::int32().build())
            .field("status", Schema::string().build())
            .field("email", optional(Schema::string()))
            .field(
                "amount",
                Schema::bytes()
                    .name(logical::DECIMAL)
                    .version(1)
                    .parameter("scale", "2")
                    .build(),
            )
            .field("quantity", optional(Schema::int16()))
            .field("paid", Schema::boolean().build())
            .field("weight", optional(Schema::float64()))
            .field("note", optional(Schema::string()))
            .field(
                "created_at",
                Schema::int64()
                    .name("io.debezium.time.MicroTimestamp")
                    .version(1)
                    .build(),
            ),
    );
    let source = Schema::structure()
        .name("io.debezium.connector.postgresql.Source")
        .field("version", Schema::string().build())
        .field("connector", Schema::string().build())
        .field("name", Schema::string().build())
        .field("ts_ms", Schema::int64().build())
        .field("snapshot", optional(Schema::string().default("false".into())))
        .field("db", Schema::string().build())
        .field("sequence", optional(Schema::string()))
        .field("ts_us", optional(Schema::int64()))
        .field("ts_ns", optional(Schema::int64()))
        .field("schema", Schema::string().build())
        .field("table", Schema::string().build())
        .field("txId", optional(Schema::int64()))
        .field("lsn", optional(Schema::int64()))
        .field("xmin", optional(Schema::int64()))
        .field("origin", optional(Schema::string()))
        .field("origin_lsn", optional(Schema::int64()))
        .build();
    let transaction = optional(
        Schema::structure()
            .name("event.block")
            .field("id", Schema::string().build())
            .field("total_order", Schema::int64().build())
            .field("data_collection_order", Schema::int64().build()),
    );
    let schema = Schema::structure()
        .name("shop.public.orders.Envelope")
        .version(2)
        .field("before", row.clone())
        .field("after", row.clone())
        .field("source", source.clone())
        .field("transaction", transaction)
        .field("op", Schema::string().build())
        .field("ts_ms", optional(Schema::int64()))
        .field("ts_us", optional(Schema::int64()))
        .field("ts_ns", optional(Schema::int64()))
        .build();
    let after = Struct::new(
        row,
        vec![
            Value::Int64(1_234_567),
            Value::Int32(4711),
            "shipped".into(),
            "somebody.with.a.name@example.com".into(),
            Value::Bytes(Bytes::from_static(&[0x01, 0xe2, 0x40])),
            Value::Int16(12),
            Value::Boolean(true),
            Value::Float64(12.375),
            "Please leave it with the neighbours on the second floor, and ring the bell twice. \
             Fragile: glass; keep upright. Thank you very much!"
                .into(),
            Value::Int64(1_795_406_797_038_069),
        ],
    );
    let source = Struct::new(
        source,
        vec![
            "3.6.1.Final".into(),
            "postgresql".into(),
            "shop".into(),
            Value::Int64(1_795_406_797_038),
            "false".into(),
            "shop".into(),
            "[\"1793032832\",\"1793032832\"]".into(),
            Value::Int64(1_795_406_797_038_069),
            Value::Int64(1_795_406_797_038_069_000),
            "public".into(),
            "orders".into(),
            Value::Int64(23_252),
            Value::Int64(1_793_030_544),
            Value::Null,
            Value::Null,
            Value::Null,
        ],
    );
    let value = Struct::new(
        schema.clone(),
        vec![
            Value::Null,
            Value::Struct(after),
            Value::Struct(source),
            Value::Null,
            "c".into(),
            Value::Int64(1_795_406_797_127),
            Value::Int64(1_795_406_797_127_968),
            Value::Int64(1_795_406_797_127_968_043),
        ],
    );
    (schema, Value::Struct(value))
}
