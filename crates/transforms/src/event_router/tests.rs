use super::*;

fn envelope(columns: &[(&str, SchemaRef)]) -> SchemaRef {
    let mut row = Schema::structure().name("g.fx.outbox.Value").optional();
    for (name, schema) in columns {
        row = row.field(*name, schema.clone());
    }
    let row = row.build();
    Schema::structure()
        .name("g.fx.outbox.Envelope")
        .field("before", row.clone())
        .field("after", row)
        .field("op", Schema::string().build())
        .field("ts_ms", Schema::int64().optional().build())
        .build()
}

fn outbox() -> SchemaRef {
    let text = || Schema::string().optional().build();
    envelope(&[
        (
            "id",
            Schema::string().name("io.debezium.data.Uuid").version(1).build(),
        ),
        ("aggregatetype", Schema::string().build()),
        ("aggregateid", Schema::string().build()),
        ("payload", text()),
        ("extra", text()),
        ("part", Schema::int32().optional().build()),
        (
            "at",
            Schema::int64()
                .name("io.debezium.time.MicroTimestamp")
                .version(1)
                .optional()
                .build(),
        ),
    ])
}

fn event(schema: &SchemaRef, op: &'static str, row: Vec<Value>) -> Record {
    let of = schema.field("after").unwrap().schema().clone();
    let row = Value::Struct(Struct::new(of, row));
    let (before, after) = if op == "d" {
        (row, Value::Null)
    } else {
        (Value::Null, row)
    };
    let mut record = Record::new("g.fx.outbox");
    record.value = Value::Struct(Struct::new(
        schema.clone(),
        vec![before, after, op.into(), Value::Int64(42)],
    ));
    record.value_schema = Some(schema.clone());
    record
}

fn row(payload: Option<&'static str>, extra: &'static str, part: i32) -> Vec<Value> {
    vec![
        "i-1".into(),
        "Order".into(),
        "o-1".into(),
        payload.map_or(Value::Null, Value::from),
        extra.into(),
        Value::Int32(part),
        Value::Int64(5_000),
    ]
}

fn router(options: &[(&'static str, &'static str)]) -> EventRouter {
    EventRouter::new(&options.iter().copied().collect()).unwrap()
}

#[test]
fn an_insert_becomes_a_message_and_the_rest_of_the_table_is_dropped() {
    let schema = outbox();
    let mut router = router(&[]);
    let out = router
        .apply(event(&schema, "c", row(Some("{}"), "e", 3)), None)
        .unwrap()
        .unwrap();
    assert_eq!(&*out.topic, "outbox.event.Order");
    assert_eq!(out.key, "o-1".into());
    assert_eq!(out.value, "{}".into());
    assert_eq!((out.timestamp, out.partition), (Some(42), None));
    assert_eq!(out.headers.last("id").unwrap().value, "i-1".into());
    for op in ["u", "d"] {
        assert_eq!(
            router.apply(event(&schema, op, row(None, "e", 3)), None).unwrap(),
            None
        );
    }
    assert_eq!(router.apply(Record::new("g.fx.outbox"), None).unwrap(), None);
    let mut other = Record::new("heartbeat");
    other.value = Value::Int32(1);
    assert_eq!(router.apply(other.clone(), None).unwrap(), Some(other));
}

#[test]
fn further_columns_go_where_they_are_placed() {
    let schema = outbox();
    let mut router = router(&[
        (
            "table.fields.additional.placement",
            "extra:header:x, aggregateid:envelope:who, part:partition",
        ),
        ("table.expand.json.payload", "true"),
        ("table.field.event.timestamp", "at"),
        ("table.field.event.schema.version", "part"),
        ("route.topic.regex", "O(.*)"),
        ("route.topic.replacement", "o$1"),
    ]);
    let out = router
        .apply(event(&schema, "c", row(Some(r#"{"a":1}"#), "e", 3)), None)
        .unwrap()
        .unwrap();
    assert_eq!(&*out.topic, "order");
    assert_eq!((out.timestamp, out.partition), (Some(5), Some(3)));
    assert_eq!(out.headers.last("x").unwrap().value, "e".into());
    let of = out.value_schema.unwrap();
    assert_eq!(&**of.name().unwrap(), "g.fx.outbox.Order.Value");
    assert_eq!(of.version(), Some(3));
    let value = out.value.as_struct().unwrap();
    assert_eq!(value.get("who"), Some(&"o-1".into()));
    let payload = value.get("payload").unwrap().as_struct().unwrap();
    assert_eq!(payload.get("a"), Some(&Value::Int32(1)));
}

#[test]
fn an_empty_payload_is_a_tombstone_when_that_is_wanted() {
    let schema = outbox();
    let mut router = router(&[("route.tombstone.on.empty.payload", "true")]);
    for payload in [None, Some(" ")] {
        let out = router
            .apply(event(&schema, "c", row(payload, "e", 3)), None)
            .unwrap()
            .unwrap();
        assert_eq!((out.value_schema, out.value), (None, Value::Null));
    }
}

#[test]
fn what_can_not_be_routed_is_told() {
    let schema = outbox();
    let fails = |options: &[(&'static str, &'static str)], op| {
        let failed = router(options).apply(event(&schema, op, row(None, "e", 3)), None);
        failed.unwrap_err().message().to_owned()
    };
    assert_eq!(
        fails(&[("table.field.event.payload", "none")], "c"),
        "Unable to find payload field none in event"
    );
    assert_eq!(
        fails(&[("table.fields.additional.placement", "none:header")], "c"),
        "Unable to find field none in event"
    );
    assert_eq!(
        fails(&[("table.op.invalid.behavior", "fatal")], "u"),
        "Unexpected update message received, fail."
    );
    assert_eq!(
        fails(&[("table.field.event.timestamp", "part")], "c"),
        "Field 'part' is not of type INT64"
    );
    let config = Config::from_iter([("table.fields.additional.placement", "a")]);
    assert!(EventRouter::new(&config).is_err());
}
