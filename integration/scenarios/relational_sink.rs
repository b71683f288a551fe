//! The relational sink against a real Postgres: what each schema becomes, what each mode does, and what it says when
//! something can't be written. Records are made by hand and put straight into the task; the way through the worker
//! is [`super::postgres_to_postgres`].

use std::sync::Arc;

use tapline_api::config::Config;
use tapline_api::connector::AnyConnector;
use tapline_api::metrics::Registry;
use tapline_api::record::SinkRecord;
use tapline_api::schema::{SchemaBuilder, logical};
use tapline_api::sink::{ErrantRecordReporter, SinkContext, SinkTask};
use tapline_api::{Error, Header, Headers, Kind, Result, Schema, SchemaRef, Struct, Value};
use tapline_harness::Sql;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::conformance::records::{Table, bytes, int, int_and_text, pair, row_schema, text};
use crate::postgres;

/// A task with a database of its own.
struct Sink {
    runtime: Runtime,
    task: Box<dyn SinkTask>,
    sql: Sql,
}

struct NoErrant;

#[async_trait::async_trait]
impl ErrantRecordReporter for NoErrant {
    async fn report(&self, _: &SinkRecord, error: Error) -> Result<()> {
        Err(error)
    }
}

const UPSERT: &[(&str, &str)] = &[
    ("insert.mode", "upsert"),
    ("primary.key.mode", "record_key"),
    ("delete.enabled", "true"),
    ("truncate.enabled", "true"),
    ("schema.evolution", "basic"),
];

impl Sink {
    fn new(database: &str, before: &str, settings: &[(&str, &str)]) -> Self {
        let sql = postgres().create_database(database);
        sql.execute(before);
        Self::on(database, sql, settings)
    }

    fn on(database: &str, sql: Sql, settings: &[(&str, &str)]) -> Self {
        let url = format!("jdbc:postgresql://127.0.0.1:{}/{database}", postgres().port());
        let base = [
            ("connection.url", url.as_str()),
            ("connection.username", "postgres"),
        ];
        let config: Config = base.iter().chain(settings).copied().collect();
        let AnyConnector::Sink(connector) = tapline_sink_relational::PLUGIN.connector else {
            panic!("it is a sink");
        };
        let runtime = Runtime::new().unwrap();
        let mut task = connector.task();
        runtime
            .block_on(task.start(SinkContext {
                connector: database.into(),
                task: 0,
                config,
                cluster_id: "cluster".into(),
                errant: Arc::new(NoErrant),
                metrics: Registry::default().scope(&[]),
                cancel: CancellationToken::new(),
            }))
            .unwrap();
        Self { runtime, task, sql }
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let Self { runtime, task, .. } = self;
        runtime.block_on(async {
            task.put(records).await?;
            task.flush().await
        })
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        let text = |cell: Option<String>| cell.unwrap_or_else(|| "null".to_owned());
        let rows = self.sql.rows(sql).into_iter();
        rows.map(|row| row.into_iter().map(text).collect::<Vec<_>>().join("|"))
            .collect()
    }
}

/// A field's schema, its value, its column's type, and what is then in the column.
type Case = (SchemaBuilder, Value, &'static str, &'static str);

fn cases() -> Vec<Case> {
    let structure = |name: &str, fields: &[(&str, SchemaRef)]| {
        let start = Schema::structure().name(name.to_owned());
        fields
            .iter()
            .fold(start, |schema, (name, field)| schema.field(*name, field.clone()))
    };
    let variable = structure(
        "io.debezium.data.VariableScaleDecimal",
        &[("scale", int()), ("value", Schema::bytes().build())],
    );
    let variable_schema = structure(
        "io.debezium.data.VariableScaleDecimal",
        &[("scale", int()), ("value", Schema::bytes().build())],
    )
    .build();
    let point_fields = [("x", Schema::float64().build()), ("y", Schema::float64().build())];
    let point = structure("io.debezium.data.geometry.Point", &point_fields);
    let point_schema = structure("io.debezium.data.geometry.Point", &point_fields).build();
    let decimal = || Schema::bytes().name(logical::DECIMAL).parameter("scale", "3");
    let bits = |length: &'static str| {
        Schema::bytes()
            .name("io.debezium.data.Bits")
            .parameter("length", length)
    };
    let of = |element: SchemaBuilder| Schema::array(element.optional().build());
    let integers = Value::Array(vec![Value::Int32(1), Value::Null, Value::Int32(-3)]);
    let texts = Value::Array(vec!["a,\"b\"".into(), Value::Null, "\\".into(), "".into()]);
    vec![
        (Schema::int8(), Value::Int8(-8), "smallint", "-8"),
        (Schema::int16(), Value::Int16(16), "smallint", "16"),
        (
            Schema::int64(),
            Value::Int64(i64::MIN),
            "bigint",
            "-9223372036854775808",
        ),
        (Schema::float32(), Value::Float32(1.5), "real", "1.5"),
        (
            Schema::float64(),
            Value::Float64(f64::NAN),
            "double precision",
            "NaN",
        ),
        (Schema::boolean(), Value::Boolean(true), "boolean", "t"),
        (Schema::string(), "äöü'\"\\".into(), "text", "äöü'\"\\"),
        (Schema::bytes(), bytes(&[0, 255]), "bytea", "\\x00ff"),
        (decimal(), bytes(&[0xff, 0x85]), "numeric(38,3)", "-0.123"),
        (
            variable,
            Value::Struct(Struct::new(variable_schema, vec![Value::Int32(7), bytes(&[1])])),
            "numeric",
            "0.0000001",
        ),
        (
            Schema::int32().name("io.debezium.time.Date"),
            Value::Int32(-719_529),
            "date",
            "0002-12-31 BC",
        ),
        (
            Schema::int32().name(logical::DATE),
            Value::Int32(19_782),
            "date",
            "2024-02-29",
        ),
        (
            Schema::int64().name("io.debezium.time.MicroTime"),
            Value::Int64(86_399_999_999),
            "time(6) without time zone",
            "23:59:59.999999",
        ),
        (
            Schema::int32().name(logical::TIME),
            Value::Int32(1),
            "time(6) without time zone",
            "00:00:00.001",
        ),
        (
            Schema::int64().name("io.debezium.time.Timestamp"),
            Value::Int64(-1),
            "timestamp(6) without time zone",
            "1969-12-31 23:59:59.999",
        ),
        (
            Schema::int64().name("io.debezium.time.MicroTimestamp"),
            Value::Int64(9_223_372_036_825_200_000),
            "timestamp(6) without time zone",
            "infinity",
        ),
        (
            Schema::int64().name("io.debezium.time.NanoTimestamp"),
            Value::Int64(1_000),
            "timestamp(6) without time zone",
            "1970-01-01 00:00:00.000001",
        ),
        (
            Schema::string().name("io.debezium.time.ZonedTimestamp"),
            "2020-06-01T12:00:00.5+02:00".into(),
            "timestamp(6) with time zone",
            "2020-06-01 10:00:00.5+00",
        ),
        (
            Schema::string().name("io.debezium.time.ZonedTime"),
            "12:00:00-01:30".into(),
            "time(6) with time zone",
            "12:00:00-01:30",
        ),
        (
            Schema::int32().name("io.debezium.time.Year"),
            Value::Int32(1999),
            "integer",
            "1999",
        ),
        (
            Schema::int64().name("io.debezium.time.MicroDuration"),
            Value::Int64(-90_000_001),
            "interval",
            "-00:01:30.000001",
        ),
        (
            Schema::string().name("io.debezium.data.Json"),
            "{\"a\": [1]}".into(),
            "json",
            "{\"a\": [1]}",
        ),
        (
            Schema::string()
                .name("io.debezium.data.Json")
                .parameter("__debezium.source.column.type", "JSONB"),
            "{\"b\":1,\"a\":2}".into(),
            "jsonb",
            "{\"a\": 2, \"b\": 1}",
        ),
        (
            Schema::string().name("io.debezium.data.Uuid"),
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".into(),
            "uuid",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        (
            Schema::string().name("io.debezium.data.Enum"),
            "red".into(),
            "text",
            "red",
        ),
        (
            Schema::string().name("io.debezium.data.Xml"),
            "<a>1</a>".into(),
            "xml",
            "<a>1</a>",
        ),
        (
            Schema::string().name("io.debezium.data.Tsvector"),
            "'b':1 'a':2".into(),
            "tsvector",
            "'a':2 'b':1",
        ),
        (bits("5"), bytes(&[0b110]), "bit(5)", "00110"),
        (bits("2147483647"), bytes(&[0b110]), "bit varying", "110"),
        (
            Schema::string().parameter("__debezium.source.column.type", "INET"),
            "::1".into(),
            "inet",
            "::1",
        ),
        (
            Schema::string()
                .parameter("__debezium.source.column.type", "VARCHAR")
                .parameter("__debezium.source.column.length", "9"),
            "nine".into(),
            "character varying(9)",
            "nine",
        ),
        (
            Schema::string().parameter("__debezium.source.column.type", "INT4RANGE"),
            "[1,5)".into(),
            "int4range",
            "[1,5)",
        ),
        (
            point,
            Value::Struct(Struct::new(
                point_schema,
                vec![Value::Float64(1.0), Value::Float64(-2.5)],
            )),
            "point",
            "(1,-2.5)",
        ),
        (of(Schema::int32()), integers, "integer[]", "{1,NULL,-3}"),
        (
            of(Schema::string()),
            texts,
            "text[]",
            "{\"a,\\\"b\\\"\",NULL,\"\\\\\",\"\"}",
        ),
        (
            of(Schema::int64().name("io.debezium.time.MicroTimestamp")),
            Value::Array(vec![Value::Int64(0)]),
            "timestamp(6) without time zone[]",
            "{\"1970-01-01 00:00:00\"}",
        ),
        (
            of(of(decimal()).optional()),
            Value::Array(vec![
                Value::Array(vec![bytes(&[1])]),
                Value::Array(vec![bytes(&[2])]),
            ]),
            "numeric(38,3)[]",
            "{{0.001},{0.002}}",
        ),
    ]
}

#[test]
fn every_schema_becomes_the_column_it_means_and_keeps_its_value() {
    let cases = cases();
    let names: Vec<String> = (0..cases.len()).map(|i| format!("c{i}")).collect();
    let mut fields = vec![("id", int())];
    let mut values = vec![Value::Int32(1)];
    let mut expected = Vec::new();
    for (name, (schema, value, column, shown)) in names.iter().zip(cases) {
        fields.push((name, schema.optional().build()));
        values.push(value);
        expected.push((column, shown));
    }
    let table = Table::new("types.all", &fields);
    let mut sink = Sink::new("sink_types", "", UPSERT);
    let nulls = [vec![Value::Int32(2)], vec![Value::Null; expected.len()]].concat();
    sink.put(&[table.write("c", values), table.write("c", nulls)])
        .unwrap();
    let columns = sink.rows(
        "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'types_all'::regclass and attnum > 1 \
         order by attnum",
    );
    let list = names.join(", ");
    let row = &sink
        .sql
        .rows(&format!("select {list} from types_all where id = 1"))[0];
    for (i, (column, shown)) in expected.iter().enumerate() {
        assert_eq!(columns[i], *column, "column {i}");
        assert_eq!(row[i].as_deref(), Some(*shown), "value {i}, {column}");
    }
    let row = &sink
        .sql
        .rows(&format!("select {list} from types_all where id = 2"))[0];
    assert!(row.iter().all(Option::is_none));
}

#[test]
fn a_table_that_is_there_gets_values_in_its_own_types() {
    let table = Table::new(
        "owned",
        &[
            ("id", Schema::int64().build()),
            ("doc", text()),
            ("uid", text()),
            ("amount", Schema::string().build()),
            ("day", Schema::int64().name("io.debezium.time.Timestamp").build()),
            (
                "stamp",
                Schema::int64().name("io.debezium.time.MicroTimestamp").build(),
            ),
            ("mood", Schema::string().name("io.debezium.data.Enum").build()),
            ("code", text()),
            ("flag", Schema::boolean().build()),
            ("list", Schema::array(Schema::int32().build()).build()),
        ],
    );
    let mut sink = Sink::new(
        "sink_owned",
        "create type mood as enum ('low', 'high');
         create domain small as numeric check (value < 100);
         create table owned (id int generated always as identity primary key, doc jsonb, uid uuid, amount small, day date,
                             stamp timestamptz, mood mood, code varchar(3), flag bit(1), list bigint[], extra text default 'x')",
        &[UPSERT, &[("use.time.zone", "Europe/Berlin")]].concat(),
    );
    let row = |id: i64, code: &'static str| {
        vec![
            Value::Int64(id),
            "{}".into(),
            "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}".into(),
            "12.5".into(),
            Value::Int64(86_400_000),
            Value::Int64(0),
            "high".into(),
            code.into(),
            Value::Boolean(true),
            Value::Array(vec![Value::Int32(7)]),
        ]
    };
    sink.put(&[table.write("c", row(5, "abc"))]).unwrap();
    assert_eq!(
        sink.rows("select * from owned"),
        ["5|{}|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|12.5|1970-01-02|1969-12-31 23:00:00+00|high|abc|1|{7}|x"]
    );
    // Too long is an error, never cut off.
    let error = sink.put(&[table.write("u", row(5, "abcd"))]).unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(0)));
    assert!(
        error
            .trace()
            .contains("value too long for type character varying(3)"),
        "{}",
        error.trace()
    );
}

#[test]
fn of_each_key_remains_what_came_last() {
    let table = int_and_text("shop.orders");
    let mut sink = Sink::new("sink_order", "", UPSERT);
    let w = |id, note| table.write("u", pair(id, note));
    sink.put(&[w(1, "a"), w(2, "b"), w(3, "c"), w(1, "d"), table.delete(2)])
        .unwrap();
    sink.sql.execute(
        "alter table shop_orders add extra text default 'born'; update shop_orders set extra = 'set'",
    );
    let tombstone = table.record(Some(Value::Int32(1)), Value::Null, None);
    sink.put(&[
        table.delete(1),
        tombstone,
        w(1, "e"),
        w(4, "f"),
        table.delete(4),
        w(3, "g"),
    ])
    .unwrap();
    // The row that was deleted and came again has its default again; the other kept what it had.
    assert_eq!(
        sink.rows("select * from shop_orders order by id"),
        ["1|e|born", "3|g|set"]
    );
    sink.put(&[w(7, "h"), table.event("t", None, Value::Null), w(8, "i")])
        .unwrap();
    assert_eq!(sink.rows("select id from shop_orders"), ["8"]);
}

#[test]
fn missing_columns_are_added_or_named() {
    let narrow = int_and_text("grown");
    let mut sink = Sink::new("sink_grown", "", UPSERT);
    sink.put(&[narrow.write("c", pair(1, "a"))]).unwrap();
    let number = Schema::int32().default(Value::Int32(7)).build();
    let wide = Table::new(
        "grown",
        &[
            ("id", int()),
            ("note", text()),
            ("Total", number),
            ("seen", text()),
        ],
    );
    let row = vec![Value::Int32(2), "b".into(), Value::Int32(8), "now".into()];
    sink.put(&[narrow.write("c", pair(3, "c")), wide.write("c", row)])
        .unwrap();
    assert_eq!(
        sink.rows("select * from grown order by id"),
        ["1|a|7|null", "2|b|8|now", "3|c|7|null"]
    );

    let demanding = Table::new("grown", &[("id", int()), ("must", Schema::string().build())]);
    let error = sink.put(&[demanding.write("c", pair(4, "d"))]).unwrap_err();
    let refused = "Cannot ALTER table 'grown' because field 'must' is not optional but has no default value";
    assert!(error.trace().contains(refused), "{}", error.trace());

    let mut strict = Sink::on("sink_grown", postgres().sql("sink_grown"), &UPSERT[..4]);
    let other = Table::new("grown", &[("id", int()), ("other", text())]);
    let error = strict.put(&[other.write("c", pair(5, "e"))]).unwrap_err();
    assert!(
        error
            .trace()
            .contains("Cannot alter table grown because schema evolution is disabled")
    );
    let error = strict
        .put(&[int_and_text("nowhere").write("c", pair(5, "e"))])
        .unwrap_err();
    assert!(
        error
            .trace()
            .contains("Cannot create table nowhere because schema evolution is disabled")
    );
}

#[test]
fn values_that_the_source_did_not_send_stay_as_they_are() {
    const UNSENT: &str = "__debezium_unavailable_value";
    let table = Table::new(
        "toast",
        &[
            ("id", int()),
            ("a", text()),
            ("b", text()),
            ("n", Schema::string().build()),
        ],
    );
    let mut sink = Sink::new("sink_toast", "", UPSERT);
    let row = |id: i32, a: &'static str, b: &'static str, n: &'static str| {
        table.write("u", vec![Value::Int32(id), a.into(), b.into(), n.into()])
    };
    sink.put(&[row(1, "a1", "b1", "n1"), row(2, "a2", "b2", "n2")])
        .unwrap();
    sink.put(&[
        row(1, "a3", UNSENT, UNSENT),
        row(2, UNSENT, "b4", "n4"),
        row(2, "a5", UNSENT, "n5"),
        row(3, "a6", "b6", "n6"),
        row(3, "a7", UNSENT, UNSENT),
    ])
    .unwrap();
    assert_eq!(
        sink.rows("select * from toast order by id"),
        ["1|a3|b1|n1", "2|a5|b4|n5", "3|a7|b6|n6"]
    );
}

#[test]
fn a_record_that_the_database_refuses_is_named_and_nothing_of_its_batch_is_there() {
    let table = int_and_text("strict");
    let mut sink = Sink::new(
        "sink_strict",
        "create table strict (id int primary key, note text check (note <> 'bad'))",
        UPSERT,
    );
    let batch =
        ["a", "b", "bad", "d"].map(|note| table.write("c", pair(i32::from(note.as_bytes()[0]), note)));
    let mut batch = batch.to_vec();
    batch[2] = table.write("c", pair(99, "bad"));
    let error = sink.put(&batch).unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(2)));
    assert!(
        error
            .message()
            .contains("(topic 'strict', partition 3, offset 42)"),
        "{}",
        error.message()
    );
    assert!(error.trace().contains("strict_note_check"), "{}", error.trace());
    assert_eq!(sink.rows("select * from strict"), [""; 0]);
    batch.remove(2);
    sink.put(&batch).unwrap();
    assert_eq!(sink.rows("select note from strict order by 1"), ["a", "b", "d"]);

    let nothing = table.record(Some(Value::Int32(1)), Value::Map(vec![]), None);
    let error = sink.put(&[table.write("c", pair(5, "e")), nothing]).unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(1)));
    assert!(error.trace().contains("schemas.enable=true"), "{}", error.trace());
}

#[test]
fn keys_that_only_the_database_takes_for_equal_are_written_one_by_one() {
    let table = Table::new("folded", &[("id", Schema::string().build()), ("note", text())]);
    let mut sink = Sink::new(
        "sink_folded",
        "create table folded (id char(5) primary key, note text)",
        UPSERT,
    );
    let row = |id: &'static str, note: &'static str| table.write("c", vec![id.into(), note.into()]);
    sink.put(&[row("a", "1"), row("a  ", "2"), row("b", "3")])
        .unwrap();
    assert_eq!(
        sink.rows("select * from folded order by id"),
        ["a    |2", "b    |3"]
    );
}

#[test]
fn a_lost_connection_and_a_table_made_anew_go_unnoticed() {
    let table = int_and_text("lost");
    let mut sink = Sink::new(
        "sink_lost",
        "",
        &[UPSERT, &[("flush.retry.delay.ms", "10")]].concat(),
    );
    sink.put(&[table.write("c", pair(1, "a"))]).unwrap();
    sink.sql.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = 'sink_lost' and pid <> pg_backend_pid()",
    );
    sink.put(&[table.write("c", pair(2, "b"))]).unwrap();
    sink.sql.execute("drop table lost");
    sink.put(&[table.write("c", pair(3, "c"))]).unwrap();
    assert_eq!(sink.rows("select * from lost"), ["3|c"]);
    sink.sql.execute("alter table lost drop column note");
    sink.put(&[table.write("c", pair(4, "d"))]).unwrap();
    assert_eq!(sink.rows("select * from lost order by id"), ["3|null", "4|d"]);
}

#[test]
fn several_tables_are_one_transaction() {
    let (one, two) = (int_and_text("one"), int_and_text("two"));
    let mut sink = Sink::new(
        "sink_several",
        "create table one (id int primary key, note text); create table two (id int primary key, note text);
         create table log (tx xid8, source text);
         create function log() returns trigger language plpgsql as
             $$ begin insert into log values (pg_current_xact_id(), tg_table_name); return null; end $$;
         create trigger log after insert on one execute function log();
         create trigger log after insert on two execute function log()",
        UPSERT,
    );
    sink.put(&[
        one.write("c", pair(1, "a")),
        two.write("c", pair(1, "b")),
        one.write("c", pair(2, "c")),
        two.write("c", pair(2, "d")),
    ])
    .unwrap();
    assert_eq!(
        sink.rows("select count(*), count(distinct tx), count(distinct source) from log"),
        ["2|1|2"]
    );
}

#[test]
fn tasks_that_create_the_same_table_at_once_both_succeed() {
    let sql = postgres().create_database("sink_race");
    sql.execute("select 1");
    let tasks = (0..6i32).map(|i| {
        std::thread::spawn(move || {
            let mut sink = Sink::on("sink_race", postgres().sql("sink_race"), UPSERT);
            sink.put(&[int_and_text("raced").write("c", pair(i, "x"))])
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.join().unwrap().unwrap();
    }
    assert_eq!(sql.value("select count(*) from raced"), "6");
}

#[test]
fn every_mode_of_the_primary_key_makes_its_columns() {
    let table = int_and_text("keys");
    let key = "select string_agg(a.attname, ',' order by k.n) from pg_index i, unnest(i.indkey) with ordinality k(a, n), \
               pg_attribute a where i.indrelid = 'keys'::regclass and i.indisprimary and a.attrelid = i.indrelid \
               and a.attnum = k.a";
    let with = |mode: &'static str, fields: Option<&'static str>| {
        let mut settings = vec![
            ("schema.evolution", "basic"),
            ("insert.mode", "upsert"),
            ("primary.key.mode", mode),
        ];
        settings.extend(fields.map(|fields| ("primary.key.fields", fields)));
        settings
    };

    let mut sink = Sink::new("sink_key_kafka", "", &with("kafka", None));
    sink.put(&[table.flat(pair(1, "a"))]).unwrap();
    assert_eq!(
        sink.rows(key),
        ["__connect_topic,__connect_partition,__connect_offset"]
    );
    assert_eq!(sink.rows("select * from keys"), ["keys|3|42|1|a"]);

    let mut sink = Sink::new("sink_key_value", "", &with("record_value", Some("id")));
    sink.put(&[table.flat(pair(1, "a")), table.flat(pair(1, "b"))])
        .unwrap();
    assert_eq!(
        (sink.rows(key), sink.rows("select * from keys")),
        (vec!["id".to_owned()], vec!["1|b".to_owned()])
    );

    let mut sink = Sink::new("sink_key_header", "", &with("record_header", None));
    let mut record = table.flat(pair(1, "a"));
    record.record.headers = Headers::new(vec![Header {
        key: "tenant".into(),
        schema: Some(Schema::string().build()),
        value: "acme".into(),
    }]);
    sink.put(&[record]).unwrap();
    assert_eq!(
        (sink.rows(key), sink.rows("select * from keys")),
        (vec!["tenant".to_owned()], vec!["acme|1|a".to_owned()])
    );

    let mut sink = Sink::new("sink_key_plain", "", &with("record_key", Some("k")));
    let mut record = table.flat(pair(1, "a"));
    record.record.key = Value::Int64(9);
    record.record.key_schema = Some(Schema::int64().build());
    sink.put(&[record]).unwrap();
    assert_eq!(
        (sink.rows(key), sink.rows("select * from keys")),
        (vec!["k".to_owned()], vec!["9|1|a".to_owned()])
    );

    let mut sink = Sink::new("sink_key_none", "", &[("schema.evolution", "basic")]);
    sink.put(&[table.flat(pair(1, "a")), table.flat(pair(1, "a"))])
        .unwrap();
    assert_eq!(sink.rows("select * from keys"), ["1|a", "1|a"]);
}

#[test]
fn names_come_from_topic_format_and_source_block() {
    let source = Schema::structure()
        .field("schema", Schema::string().build())
        .field("table", Schema::string().build())
        .build();
    let row = row_schema(&[("id", int()), ("Note", text())]);
    let envelope = Schema::structure()
        .name("x.Envelope")
        .field("after", row.clone())
        .field("source", source.clone())
        .field("op", Schema::string().build())
        .build();
    let table = int_and_text("any.topic");
    let event = |name: &'static str, id: i32| {
        let after = Value::Struct(Struct::new(row.clone(), pair(id, "n")));
        let block = Value::Struct(Struct::new(source.clone(), vec!["Sales".into(), name.into()]));
        let value = Value::Struct(Struct::new(envelope.clone(), vec![after, block, "c".into()]));
        table.record(Some(Value::Int32(id)), value, Some(envelope.clone()))
    };
    let mut sink = Sink::new(
        "sink_names",
        "create schema \"Copy\"",
        &[
            UPSERT,
            &[
                ("collection.name.format", "Copy.${source.schema}_${source.table}"),
                ("quote.identifiers", "true"),
                ("field.exclude.list", "any.topic:other"),
            ],
        ]
        .concat(),
    );
    sink.put(&[event("one", 1), event("two", 2), event("one", 3)])
        .unwrap();
    assert_eq!(
        sink.rows("select id, \"Note\" from \"Copy\".\"Sales_one\" order by id"),
        ["1|n", "3|n"]
    );
    assert_eq!(sink.rows("select id from \"Copy\".\"Sales_two\""), ["2"]);
}

#[test]
fn update_mode_writes_only_rows_that_are_there_and_insert_mode_refuses_a_second_one() {
    let table = int_and_text("modes");
    let create = "create table modes (id int primary key, note text); insert into modes values (1, 'old')";
    let key = ("primary.key.mode", "record_key");
    let mut sink = Sink::new("sink_update", create, &[("insert.mode", "update"), key]);
    sink.put(&[table.write("u", pair(1, "new")), table.write("c", pair(2, "not"))])
        .unwrap();
    assert_eq!(sink.rows("select * from modes"), ["1|new"]);

    let mut sink = Sink::new("sink_insert", create, &[("insert.mode", "insert"), key]);
    let error = sink
        .put(&[table.write("c", pair(2, "two")), table.write("c", pair(1, "one"))])
        .unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(1)));
    assert!(
        error
            .trace()
            .contains("duplicate key value violates unique constraint"),
        "{}",
        error.trace()
    );
    assert_eq!(sink.rows("select * from modes"), ["1|old"]);
}
