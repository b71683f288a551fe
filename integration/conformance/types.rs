//! Every type of Connect and Debezium in every database: the value that comes back, as the database prints it.

use tapline_api::schema::{SchemaBuilder, logical};
use tapline_api::{Schema, SchemaRef, Struct, Value};

use super::records::{Table, bytes, int};
use super::subject::Subject;

/// A field's schema, its value, and what Postgres, MySQL, MariaDB and SQLite print of it. `{c}` is the column.
struct Case {
    schema: SchemaBuilder,
    value: Value,
    postgres: &'static str,
    mysql: &'static str,
    sqlite: &'static str,
    /// An expression, where MySQL would print bytes.
    shown: &'static str,
}

fn case(
    schema: SchemaBuilder,
    value: Value,
    [postgres, mysql, sqlite]: [&'static str; 3],
    shown: &'static str,
) -> Case {
    Case {
        schema,
        value,
        postgres,
        mysql,
        sqlite,
        shown,
    }
}

fn structure(name: &str, fields: &[(&str, SchemaRef)], values: Vec<Value>) -> (SchemaBuilder, Value) {
    let build = || {
        let start = Schema::structure().name(name.to_owned());
        fields
            .iter()
            .fold(start, |schema, (name, field)| schema.field(*name, field.clone()))
    };
    (build(), Value::Struct(Struct::new(build().build(), values)))
}

fn cases() -> Vec<Case> {
    let named = |schema: SchemaBuilder, name: &str| schema.name(name.to_owned());
    let same = |text: &'static str| [text; 3];
    let decimal = || Schema::bytes().name(logical::DECIMAL).parameter("scale", "3");
    let (variable, variable_value) = structure(
        "io.debezium.data.VariableScaleDecimal",
        &[("scale", int()), ("value", Schema::bytes().build())],
        vec![Value::Int32(2), bytes(&[0x85])],
    );
    let (point, point_value) = structure(
        "io.debezium.data.geometry.Point",
        &[("x", Schema::float64().build()), ("y", Schema::float64().build())],
        vec![Value::Float64(1.0), Value::Float64(-2.5)],
    );
    let allowed = || {
        Schema::string()
            .name("io.debezium.data.Enum")
            .parameter("allowed", "red,it's")
    };
    let list = || Schema::array(Schema::int32().optional().build());
    let map = || Schema::map(Schema::string().build(), Schema::string().optional().build());
    vec![
        case(Schema::int8(), Value::Int8(-8), same("-8"), ""),
        case(Schema::int16(), Value::Int16(300), same("300"), ""),
        case(
            Schema::int64(),
            Value::Int64(i64::MIN),
            same("-9223372036854775808"),
            "",
        ),
        case(Schema::float32(), Value::Float32(1.5), same("1.5"), ""),
        case(Schema::float64(), Value::Float64(-0.1), same("-0.1"), ""),
        case(Schema::boolean(), Value::Boolean(true), ["t", "1", "1"], ""),
        case(Schema::string(), "äöü'\"\\😀".into(), same("äöü'\"\\😀"), ""),
        case(
            Schema::bytes(),
            bytes(&[0, 255]),
            ["\\x00ff", "00FF", "[0, ff]"],
            "hex({c})",
        ),
        case(decimal(), bytes(&[0xff, 0x85]), same("-0.123"), ""),
        case(
            variable,
            variable_value,
            ["-1.23", "-1.230000000000000000000000000000", "-1.23"],
            "",
        ),
        case(
            named(Schema::int32(), logical::DATE),
            Value::Int32(19_782),
            same("2024-02-29"),
            "",
        ),
        case(
            named(Schema::int64(), "io.debezium.time.MicroTime"),
            Value::Int64(86_399_999_999),
            same("23:59:59.999999"),
            "",
        ),
        case(
            named(Schema::int64(), "io.debezium.time.Timestamp"),
            Value::Int64(-1),
            [
                "1969-12-31 23:59:59.999",
                "1969-12-31 23:59:59.999000",
                "1969-12-31 23:59:59.999000",
            ],
            "",
        ),
        case(
            named(Schema::int64(), "io.debezium.time.NanoTimestamp"),
            Value::Int64(1_000),
            same("1970-01-01 00:00:00.000001"),
            "",
        ),
        case(
            named(Schema::string(), "io.debezium.time.ZonedTimestamp"),
            "2020-06-01T12:00:00.5+02:00".into(),
            [
                "2020-06-01 10:00:00.5+00",
                "2020-06-01 10:00:00.500000",
                "2020-06-01T12:00:00.5+02:00",
            ],
            "convert_tz({c}, @@session.time_zone, '+00:00')",
        ),
        case(
            named(Schema::string(), "io.debezium.time.ZonedTime"),
            "12:00:00-01:30".into(),
            ["12:00:00-01:30", "13:30:00.000000", "12:00:00-01:30"],
            "",
        ),
        case(
            named(Schema::int32(), "io.debezium.time.Year"),
            Value::Int32(1999),
            same("1999"),
            "",
        ),
        case(
            named(Schema::int64(), "io.debezium.time.MicroDuration"),
            Value::Int64(-90_000_001),
            ["-00:01:30.000001", "-90000001", "-90000001"],
            "",
        ),
        case(
            named(Schema::string(), "io.debezium.data.Json"),
            "{\"a\": [1, \"\\\"\"]}".into(),
            same("{\"a\": [1, \"\\\"\"]}"),
            "",
        ),
        case(
            named(Schema::string(), "io.debezium.data.Uuid"),
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".into(),
            same("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            "",
        ),
        case(allowed(), "it's".into(), same("it's"), ""),
        case(
            Schema::bytes()
                .name("io.debezium.data.Bits")
                .parameter("length", "5"),
            bytes(&[0b110]),
            ["00110", "6", "[6]"],
            "{c}+0",
        ),
        case(
            point,
            point_value,
            ["(1,-2.5)", "POINT(1 -2.5)", "{\"x\":1e0,\"y\":-2.5e0}"],
            "ST_AsText({c})",
        ),
        case(
            list(),
            Value::Array(vec![Value::Int32(1), Value::Null]),
            ["{1,NULL}", "[1, null]", "[1,null]"],
            "replace(replace({c}, ' ', ''), ',', ', ')",
        ),
        case(
            map(),
            Value::Map(vec![("k".into(), "v".into())]),
            ["\"k\"=>\"v\"", "{\"k\":\"v\"}", "{\"k\":\"v\"}"],
            "replace({c}, ' ', '')",
        ),
    ]
}

pub fn every_type_has_its_column_and_keeps_its_value(subject: &Subject) {
    let upsert = [("insert.mode", "upsert"), ("primary.key.mode", "record_key")];
    written(subject, cases(), &upsert, 1);
}

/// As many as a target may have a way of its own for (COPY), which has no place for what must be cast.
pub fn many_plain_inserts_of_every_type_keep_their_values(subject: &Subject) {
    let cast = |case: &Case| matches!(case.value, Value::Array(_) | Value::Map(_));
    let cases = cases().into_iter().filter(|case| !cast(case)).collect();
    written(subject, cases, &[("insert.mode", "insert")], 1200);
}

/// Puts so many rows of these values, and one of nulls, and looks at what is there.
fn written(subject: &Subject, cases: Vec<Case>, settings: &[(&str, &str)], rows: i32) {
    let is = |scheme: &str| {
        subject
            .settings
            .iter()
            .any(|(_, value)| value.starts_with(scheme))
    };
    let (postgres, sqlite) = (is("jdbc:postgresql"), is("jdbc:sqlite"));
    if postgres {
        subject.rows("create extension if not exists hstore");
    }
    let names: Vec<String> = (0..cases.len()).map(|i| format!("c{i}")).collect();
    let mut fields = vec![("id", int())];
    let mut values = vec![Value::Null];
    let mut expected = Vec::new();
    for (name, case) in names.iter().zip(cases) {
        let shown = case.shown.replace("{c}", name);
        let shown = if postgres || sqlite || shown.is_empty() {
            name.clone()
        } else {
            shown
        };
        let value = if postgres {
            case.postgres
        } else if sqlite {
            case.sqlite
        } else {
            case.mysql
        };
        expected.push((shown, value));
        fields.push((name, case.schema.optional().build()));
        values.push(case.value);
    }
    let table = Table::new("types", &fields);
    let row = |id: i32, mut values: Vec<Value>| {
        values[0] = Value::Int32(id);
        table.write("c", values)
    };
    let mut records: Vec<_> = (0..rows).map(|id| row(id, values.clone())).collect();
    records.push(row(rows, vec![Value::Null; values.len()]));
    subject
        .sink(&[&[("schema.evolution", "basic")], settings].concat())
        .puts(&records);
    assert_eq!(
        subject.rows("select count(*) from types"),
        [(rows + 1).to_string()]
    );
    let found: Vec<_> = expected
        .iter()
        .map(|(shown, _)| {
            let mut found = subject.rows(&format!("select {shown} from types order by id"));
            found.dedup();
            found.join("\n")
        })
        .collect();
    let wanted: Vec<_> = expected
        .iter()
        .map(|(_, value)| format!("{value}\nnull"))
        .collect();
    assert_eq!(found, wanted);
}
