//! Values as Java's `toString` prints them, which is what `PrintStream.println(record.value())` writes.
//!
//! Two differences: bytes, which Java prints as an address (`[B@5e91993f`), are base64 here; and a schemaless map
//! keeps its order, where Java's `HashMap` follows hash codes.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use tapline_api::schema::logical;
use tapline_api::{Schema, Struct, Value};
use tapline_formats::number::{push_decimal, push_double, push_float, push_integer};

/// Appends `value`.
pub(crate) fn print(value: &Value, schema: Option<&Schema>, out: &mut BytesMut) {
    let name = schema.and_then(|schema| schema.name()).map(|name| &**name);
    let element = schema
        .and_then(|schema| schema.value_schema())
        .map(|schema| &**schema);
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Int8(n) => push_integer(out, *n),
        Value::Int16(n) => push_integer(out, *n),
        Value::Int32(n) => match name {
            Some(logical::DATE) => date(i64::from(*n) * 86_400_000, out),
            Some(logical::TIME) => date(i64::from(*n), out),
            _ => push_integer(out, *n),
        },
        Value::Int64(n) if name == Some(logical::TIMESTAMP) => date(*n, out),
        Value::Int64(n) => push_integer(out, *n),
        Value::Float32(n) => push_float(out, *n),
        Value::Float64(n) => push_double(out, *n),
        Value::Boolean(b) => write(out, format_args!("{b}")),
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bytes(bytes) if name == Some(logical::DECIMAL) => {
            let scale = schema
                .and_then(|schema| schema.parameter(logical::SCALE))
                .and_then(|scale| scale.parse().ok());
            push_decimal(out, bytes, scale.unwrap_or(0));
        }
        Value::Bytes(bytes) => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
        Value::Array(items) => list(b'[', items, b']', out, |item, out| print(item, element, out)),
        Value::Map(entries) => {
            let key_schema = schema
                .and_then(|schema| schema.key_schema())
                .map(|schema| &**schema);
            list(b'{', entries, b'}', out, |(key, value), out| {
                print(key, key_schema, out);
                out.put_u8(b'=');
                print(value, element, out);
            });
        }
        Value::Struct(row) => structure(row, out),
    }
}

fn write(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    // A buffer in memory takes everything.
    let _ = out.write_fmt(text);
}

fn list<T>(open: u8, items: &[T], close: u8, out: &mut BytesMut, mut each: impl FnMut(&T, &mut BytesMut)) {
    out.put_u8(open);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        each(item, out);
    }
    out.put_u8(close);
}

/// `Struct{a=1,b=x}`; fields that are null are left out.
fn structure(row: &Struct, out: &mut BytesMut) {
    out.extend_from_slice(b"Struct{");
    let mut first = true;
    for (field, value) in row.schema().fields().iter().zip(row.values()) {
        if value.is_null() {
            continue;
        }
        if !first {
            out.put_u8(b',');
        }
        first = false;
        out.extend_from_slice(field.name().as_bytes());
        out.put_u8(b'=');
        print(value, Some(field.schema()), out);
    }
    out.put_u8(b'}');
}

/// `java.util.Date.toString` in UTC: `Thu Jan 01 00:00:00 UTC 1970`. The year before the year 1 is 1, of another era.
fn date(millis: i64, out: &mut BytesMut) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = millis.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let year = if year > 0 { year } else { 1 - year };
    let pick = |names: &[&'static str], index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| names.get(index))
            .copied()
            .unwrap_or_default()
    };
    write(
        out,
        format_args!(
            "{} {} {day:02} {:02}:{:02}:{:02} UTC {year}",
            pick(&DAYS, days.rem_euclid(7)),
            pick(&MONTHS, month - 1),
            second / 3600,
            second / 60 % 60,
            second % 60
        ),
    );
}

/// The first day of the Gregorian calendar, 1582-10-15; before it Java counts in the Julian one.
const GREGORIAN: i64 = -141_427;

/// Year, month and day of a day since 1970-01-01.
///
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that a leap day is a year's last.
    let (year, day_of_year) = if days < GREGORIAN {
        let shifted = days + 719_470;
        let day_of_cycle = shifted.rem_euclid(1461);
        let year_of_cycle = (day_of_cycle - day_of_cycle / 1460) / 365;
        let year = year_of_cycle + shifted.div_euclid(1461) * 4;
        (year, day_of_cycle - 365 * year_of_cycle)
    } else {
        let shifted = days + 719_468;
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let year = year_of_era + shifted.div_euclid(146_097) * 400;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        (year, day_of_year)
    };
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tapline_api::Headers;
    use tapline_api::config::Config;
    use tapline_api::convert::Converter;
    use tapline_formats::json;

    fn printed(value: &Value, schema: Option<&Schema>) -> String {
        let mut out = BytesMut::new();
        print(value, schema, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn values_are_printed_as_java_prints_them() {
        let row = Schema::structure()
            .field("a", Schema::int32().build())
            .field("b", Schema::string().optional().build())
            .field("c", Schema::array(Schema::string().build()).build())
            .build();
        let row = Struct::new(
            row,
            vec![
                Value::Int32(1),
                Value::Null,
                Value::Array(vec!["x".into(), "y".into()]),
            ],
        );
        let map = Value::Map(vec![("k".into(), Value::Int64(1)), ("l".into(), Value::Null)]);
        for (value, expected) in [
            (Value::Null, "null"),
            (Value::Struct(row), "Struct{a=1,c=[x, y]}"),
            (map, "{k=1, l=null}"),
            (Value::Boolean(true), "true"),
            (Value::Float64(1.0), "1.0"),
            (Value::Float64(-0.0), "-0.0"),
            (Value::Float64(1e7), "1.0E7"),
            (Value::Float64(9_999_999.5), "9999999.5"),
            (Value::Float64(0.001), "0.001"),
            (Value::Float64(0.000_99), "9.9E-4"),
            (Value::Float64(123.25), "123.25"),
            (Value::Float64(f64::NEG_INFINITY), "-Infinity"),
            (Value::Float32(1.1), "1.1"),
            (Value::Float32(3.4e38), "3.4E38"),
        ] {
            assert_eq!(printed(&value, None), expected);
        }
    }

    #[test]
    fn logical_types_are_printed_as_their_java_classes() {
        let decimal = |unscaled: i64, scale: i32| {
            let schema = Schema::bytes()
                .name(logical::DECIMAL)
                .parameter(logical::SCALE, scale.to_string())
                .build();
            let bytes = unscaled.to_be_bytes().to_vec();
            printed(&Value::Bytes(Bytes::from(bytes)), Some(&schema))
        };
        assert_eq!(decimal(-12345, 2), "-123.45");
        assert_eq!(decimal(5, 3), "0.005");
        assert_eq!(decimal(5, 7), "5E-7");
        assert_eq!(decimal(123, 10), "1.23E-8");
        assert_eq!(decimal(123, -3), "1.23E+5");
        assert_eq!(decimal(0, 0), "0");
        let date = Schema::int32().name(logical::DATE).build();
        assert_eq!(
            printed(&Value::Int32(19_782), Some(&date)),
            "Thu Feb 29 00:00:00 UTC 2024"
        );
        let timestamp = Schema::int64().name(logical::TIMESTAMP).build();
        assert_eq!(
            printed(&Value::Int64(-1), Some(&timestamp)),
            "Wed Dec 31 23:59:59 UTC 1969"
        );
    }

    #[test]
    fn lines_are_those_that_kafka_connect_wrote() {
        // By Kafka Connect 4.3.1, in UTC, of these messages with schemas.
        let (messages, lines) = (
            include_str!("../recorded/values.jsonl"),
            include_str!("../recorded/values.txt"),
        );
        let mut converter = json::Converter::new(&Config::new()).unwrap();
        let mut out = BytesMut::new();
        for message in messages.lines() {
            let message = Bytes::from_static(message.as_bytes());
            let read = converter.decode(&"t".into(), &Headers::default(), Some(message));
            let (schema, value) = read.unwrap();
            print(&value, schema.as_deref(), &mut out);
            out.put_u8(b'\n');
        }
        assert_eq!(std::str::from_utf8(&out).unwrap(), lines);
    }
}
