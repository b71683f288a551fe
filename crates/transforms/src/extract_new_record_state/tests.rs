//! What the recordings do not show: each mode, option and kind of record by itself.

use std::sync::Arc;

use super::*;

fn transform(options: &[(&str, &str)]) -> ExtractNewRecordState {
    ExtractNewRecordState::new(&options.iter().copied().collect()).unwrap()
}

fn row_schema() -> SchemaRef {
    Schema::structure()
        .name("t.Value")
        .field("id", Schema::int32().build())
        .field(
            "kind",
            Schema::string().optional().default("plain".into()).build(),
        )
        .field("note", Schema::string().optional().build())
        .optional()
        .build()
}

fn row(id: i32, kind: Value) -> Vec<Value> {
    vec![Value::Int32(id), kind, "n".into()]
}

fn event(before: Option<Vec<Value>>, after: Option<Vec<Value>>, op: &'static str) -> Record {
    let row = row_schema();
    let source = Schema::structure()
        .field("table", Schema::string().build())
        .build();
    let schema = Schema::structure()
        .name("t.Envelope")
        .field("before", row.clone())
        .field("after", row.clone())
        .field("source", source.clone())
        .field("op", Schema::string().build())
        .build();
    let place = |values: Option<Vec<Value>>| {
        values.map_or(Value::Null, |values| {
            Value::Struct(Struct::new(row.clone(), values))
        })
    };
    let key = Schema::structure()
        .field("id", Schema::int32().build())
        .field("note", Schema::string().optional().build())
        .build();
    let mut record = Record::new("t");
    record.key_schema = Some(key.clone());
    record.key = Value::Struct(Struct::new(key, vec![Value::Int32(1), "n".into()]));
    record.value_schema = Some(schema.clone());
    record.value = Value::Struct(Struct::new(
        schema,
        vec![
            place(before),
            place(after),
            Value::Struct(Struct::new(source, vec!["orders".into()])),
            op.into(),
        ],
    ));
    record
}

fn delete() -> Record {
    event(Some(row(1, Value::Null)), None, op::DELETE)
}

fn names(record: &Record) -> Vec<String> {
    let schema = record.value_schema.as_ref().unwrap();
    schema
        .fields()
        .iter()
        .map(|field| field.name().to_string())
        .collect()
}

fn values(record: &Record) -> &[Value] {
    record.value.as_struct().unwrap().values()
}

#[test]
fn each_mode_does_with_deletes_and_tombstones_what_its_name_says() {
    let tombstone = || Record::new("t");
    for (mode, after_delete, after_tombstone) in [
        ("drop", None, false),
        ("tombstone", Some((true, false)), false),
        ("Delete-To-Tombstone", Some((false, false)), false),
        ("rewrite", Some((true, true)), false),
        ("rewrite-with-tombstone", Some((true, true)), true),
    ] {
        let mut smt = transform(&[("delete.tombstone.handling.mode", mode)]);
        let applied = smt.apply(delete(), None).unwrap();
        let shape = applied.map(|r| (r.value_schema.is_some(), !r.value.is_null()));
        assert_eq!(shape, after_delete, "{mode}");
        let applied = smt.apply(tombstone(), None).unwrap();
        assert_eq!(applied.is_some(), after_tombstone, "{mode}");
    }
    let options = Config::from_iter([("delete.tombstone.handling.mode", "keep")]);
    assert!(ExtractNewRecordState::new(&options).is_err());
}

#[test]
fn null_becomes_the_default_only_where_a_row_is_rewritten() {
    let insert = || event(None, Some(row(1, Value::Null)), op::CREATE);
    let kind = |options: &[(&str, &str)]| {
        values(&transform(options).apply(insert(), None).unwrap().unwrap())[1].clone()
    };
    let rewrite = ("delete.tombstone.handling.mode", "rewrite");
    assert_eq!(kind(&[]), Value::Null);
    assert_eq!(kind(&[rewrite]), "plain".into());
    assert_eq!(
        kind(&[rewrite, ("replace.null.with.default", "false")]),
        Value::Null
    );
}

#[test]
fn a_column_names_the_topic() {
    let mut smt = transform(&[("route.by.field", "kind")]);
    for (kind, topic) in [("x".into(), "x"), (" ".into(), "t"), (Value::Null, "t")] {
        let insert = event(None, Some(row(1, kind)), op::CREATE);
        assert_eq!(&*smt.apply(insert, None).unwrap().unwrap().topic, topic);
    }
    let removed = event(Some(row(1, "y".into())), None, op::DELETE);
    assert_eq!(&*smt.apply(removed, None).unwrap().unwrap().topic, "y");
    let mut missing = transform(&[("route.by.field", "nope")]);
    let insert = event(None, Some(row(1, Value::Null)), op::CREATE);
    assert_eq!(
        missing.apply(insert, None).unwrap_err().message(),
        "nope is not a valid field name"
    );
}

#[test]
fn fields_named_in_a_header_are_dropped() {
    let listed = |mut record: Record| {
        record.headers.push(Header {
            key: Arc::from("drop"),
            schema: None,
            value: Value::Array(vec!["id".into(), "note".into()]),
        });
        record
    };
    let insert = || listed(event(None, Some(row(1, Value::Null)), op::UPDATE));
    let header = ("drop.fields.header.name", "drop");
    let mut compatible = transform(&[header, ("add.fields", "op:note2")]);
    let applied = compatible.apply(insert(), None).unwrap().unwrap();
    assert_eq!(names(&applied), ["id", "kind", "__note2"]);
    assert_eq!(values(&applied), [Value::Int32(1), "plain".into(), "u".into()]);
    let mut all = transform(&[
        header,
        ("drop.fields.keep.schema.compatible", "false"),
        ("drop.fields.from.key", "true"),
    ]);
    let applied = all.apply(insert(), None).unwrap().unwrap();
    assert_eq!(names(&applied), ["kind"]);
    assert!(applied.key_schema.unwrap().fields().is_empty());
    let without = event(None, Some(row(1, Value::Null)), op::UPDATE);
    assert_eq!(
        names(&all.apply(without, None).unwrap().unwrap()),
        ["id", "kind", "note"]
    );
}

#[test]
fn metadata_that_is_not_there_is_left_out() {
    let mut smt = transform(&[("add.fields", "table,nope,op:OP"), ("add.fields.prefix", "m_")]);
    let applied = smt
        .apply(event(None, Some(row(1, Value::Null)), op::READ), None)
        .unwrap()
        .unwrap();
    assert_eq!(names(&applied), ["id", "kind", "note", "m_table", "m_OP"]);
    assert_eq!(values(&applied)[3..], ["orders".into(), "r".into()]);
    assert!(!applied.value_schema.unwrap().is_optional());
}

#[test]
fn what_is_no_row_change_passes_or_goes() {
    let mut smt = transform(&[]);
    assert_eq!(smt.apply(event(None, None, op::TRUNCATE), None).unwrap(), None);
    let mut heartbeat = Record::new("h");
    heartbeat.value = Value::Int64(1);
    assert_eq!(
        smt.apply(heartbeat.clone(), None).unwrap(),
        Some(heartbeat.clone())
    );
    heartbeat.value_schema = Some(Schema::int64().name("Heartbeat").build());
    assert_eq!(smt.apply(heartbeat.clone(), None).unwrap(), Some(heartbeat));
}

#[test]
fn rows_of_equal_schemas_come_out_with_one_identity() {
    let mut smt = transform(&[("delete.tombstone.handling.mode", "rewrite")]);
    let insert = event(None, Some(row(1, Value::Null)), op::CREATE);
    // As a converter makes them: the two rows' schemas are equal, but not the same.
    let schema = insert.value_schema.clone().unwrap();
    let schema = schema.to_builder().replace_field("before", row_schema()).build();
    let with = |mut record: Record, field: &str| {
        let own = schema.field(field).unwrap().schema().clone();
        let (_, values) = match record.value {
            Value::Struct(envelope) => envelope.into_parts(),
            _ => unreachable!("an envelope"),
        };
        let values = values
            .into_iter()
            .map(|value| match value {
                Value::Struct(inner) if inner.schema().name() == own.name() => {
                    Value::Struct(Struct::new(own.clone(), inner.into_parts().1.into_vec()))
                }
                value => value,
            })
            .collect();
        record.value_schema = Some(schema.clone());
        record.value = Value::Struct(Struct::new(schema.clone(), values));
        record
    };
    let one = smt.apply(with(insert, "after"), None).unwrap().unwrap();
    let two = smt.apply(with(delete(), "before"), None).unwrap().unwrap();
    assert_eq!(one.value_schema.unwrap().id(), two.value_schema.unwrap().id());
}
