use bytes::{Bytes, BytesMut};
use tapline_api::{Schema, Value};

use super::*;
use crate::config::test_options;
use crate::pgoutput::{Message, Tuple, decode};
use crate::types::oid;

fn column(name: &str, of: u32, optional: bool) -> Column {
    Column {
        name: name.into(),
        of: PgType::base(of, "t"),
        modifier: -1,
        optional,
        default: None,
        generated: false,
        identity: name == "id",
    }
}

fn plan(extra: &[(&str, &str)]) -> Plan {
    let table = Table {
        schema: "fx".into(),
        name: "t".into(),
        columns: vec![
            column("id", oid::INT4, false),
            column("v", oid::TEXT, true),
            column("n", oid::INT8, false),
        ],
        key: vec![0],
        plain: true,
    };
    let source = Schema::structure().name("source").build();
    Plan::new(table, &test_options(extra), &source).unwrap()
}

fn new_tuple(block: &Bytes) -> Tuple {
    match decode(block, 0..block.len()).unwrap() {
        Message::Insert { new, .. } | Message::Update { new, .. } => new,
        other => panic!("{other:?}"),
    }
}

fn text(value: &str) -> Value {
    value.to_owned().into()
}

#[test]
fn a_streamed_and_a_copied_row_are_the_same() {
    let plan = plan(&[]);
    let streamed = Bytes::from_static(b"I\0\0\0\x01N\0\x03t\0\0\0\x017t\0\0\0\x03a\tbt\0\0\0\x019");
    let copied = Bytes::from_static(b"7\ta\\tb\t9\n");
    let mut arena = BytesMut::new();
    let one = plan
        .tuple(&streamed, &new_tuple(&streamed), None, &mut arena)
        .unwrap();
    let two = plan.copied(&copied, 0..copied.len(), &mut arena).unwrap();
    assert_eq!(one, two);
    assert_eq!(one.values, [Value::Int32(7), text("a\tb"), Value::Int64(9)]);
    assert_eq!(plan.key(&one).as_struct().unwrap().values(), [Value::Int32(7)]);
}

#[test]
fn null_where_none_is_allowed_becomes_zero() {
    let plan = plan(&[]);
    let row = Bytes::from_static(b"I\0\0\0\x01N\0\x03t\0\0\0\x017nn");
    let row = plan
        .tuple(&row, &new_tuple(&row), None, &mut BytesMut::new())
        .unwrap();
    assert_eq!(row.values, [Value::Int32(7), Value::Null, Value::Int64(0)]);
}

#[test]
fn an_unsent_value_is_the_old_one_or_a_placeholder() {
    let plan = plan(&[]);
    let row = Bytes::from_static(b"I\0\0\0\x01N\0\x03t\0\0\0\x017ut\0\0\0\x011");
    let tuple = new_tuple(&row);
    let mut arena = BytesMut::new();
    let unsent = plan.tuple(&row, &tuple, None, &mut arena).unwrap();
    assert_eq!(unsent.values[1], text("__debezium_unavailable_value"));
    let old = Row {
        values: vec![Value::Int32(7), text("old"), Value::Int64(1)],
        extra: vec![],
    };
    let filled = plan.tuple(&row, &tuple, Some(&old), &mut arena).unwrap();
    assert_eq!(filled.values[1], text("old"));
}

#[test]
fn an_excluded_column_may_still_make_the_key() {
    let plan = plan(&[("column.exclude.list", "fx.t.(id|v)")]);
    let copied = Bytes::from_static(b"7\t9\n");
    let row = plan
        .copied(&copied, 0..copied.len(), &mut BytesMut::new())
        .unwrap();
    assert_eq!(row.values, [Value::Int64(9)]);
    assert_eq!(plan.key(&row).as_struct().unwrap().values(), [Value::Int32(7)]);
    assert_eq!(plan.row_schema.fields().len(), 1);
}

#[test]
fn masks_hide_text_in_rows_and_leave_keys_and_schemas_of_keys() {
    let plan = plan(&[
        ("column.mask.with.3.chars", "fx.t.v"),
        ("message.key.columns", "fx.t:v"),
        ("field.name.adjustment.mode", "avro"),
        ("schema.name.adjustment.mode", "avro"),
    ]);
    let mut arena = BytesMut::new();
    let copied = Bytes::from_static(b"7\tsecret\t9\n");
    let row = plan.copied(&copied, 0..copied.len(), &mut arena).unwrap();
    assert_eq!(row.values[1], text("***"));
    assert_eq!(plan.key(&row).as_struct().unwrap().values(), [text("secret")]);
    let masked = |schema: &SchemaRef| {
        schema.fields()[schema.field_index("v").unwrap()]
            .schema()
            .parameter("masked")
            .is_some()
    };
    assert!(masked(&plan.row_schema));
    assert!(!masked(plan.key_schema.as_ref().unwrap()));
    // Unsent, it is the old one, and not masked again.
    let unsent = Bytes::from_static(b"I\0\0\0\x01N\0\x03t\0\0\0\x017ut\0\0\0\x011");
    let again = plan
        .tuple(&unsent, &new_tuple(&unsent), Some(&row), &mut arena)
        .unwrap();
    assert_eq!(again.values[1], text("***"));
    assert_eq!(plan.key(&again), plan.key(&row));
    let null = Bytes::from_static(b"7\t\\N\t9\n");
    let row = plan.copied(&null, 0..null.len(), &mut arena).unwrap();
    assert_eq!((&row.values[1], &row.extra[0]), (&text("***"), &Value::Null));
}

#[test]
fn a_routed_tables_key_says_which_table() {
    let plan = plan(&[
        (
            "topic.naming.strategy",
            "io.debezium.schema.SchemaRegexTopicNamingStrategy",
        ),
        ("topic.regex", ".*"),
        ("topic.replacement", "all"),
    ]);
    assert_eq!(&*plan.topic, "all");
    let copied = Bytes::from_static(b"7\ta\t9\n");
    let row = plan
        .copied(&copied, 0..copied.len(), &mut BytesMut::new())
        .unwrap();
    assert_eq!(
        plan.key(&row).as_struct().unwrap().values(),
        [Value::Int32(7), text("g.fx.t")]
    );
    assert_eq!(
        plan.key_schema.as_ref().unwrap().fields()[1].name().as_ref(),
        "__dbz__physicalTableIdentifier"
    );
}

#[test]
fn a_value_of_another_form_is_null_with_a_warning_or_an_error() {
    let bad = Bytes::from_static(b"7\ta\tnine\n");
    let warned = plan(&[])
        .copied(&bad, 0..bad.len(), &mut BytesMut::new())
        .unwrap();
    assert_eq!(warned.values[2], Value::Int64(0));
    let failing = plan(&[("event.converting.failure.handling.mode", "fail")]);
    let error = failing
        .copied(&bad, 0..bad.len(), &mut BytesMut::new())
        .unwrap_err();
    assert_eq!(error.kind(), tapline_api::Kind::Data);
    assert!(error.message().contains("'fx.t.n'"));
}
