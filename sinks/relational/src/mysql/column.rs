//! The column types that Debezium's JDBC sink creates in MySQL and MariaDB.
//!
//! Ours: a VariableScaleDecimal becomes `decimal(65,30)`, where Debezium's `double` would lose digits; arrays become
//! `json`, which Debezium has no column for.

use tapline_api::{Error, Result, Schema};

use super::literal;
use crate::meaning::{COLUMN_LENGTH, COLUMN_TYPE, Meaning, number, precision};

/// The longest text or bytes in a key without a length of its own.
const KEY_LENGTH: u32 = 255;
/// MySQL's most for `varchar` of four-byte characters in a row of its own.
const MAX_LENGTH: u32 = 16_383;
/// MySQL's most for `decimal`.
const MAX_PRECISION: u32 = 65;
const MAX_SCALE: u32 = 30;
/// What Hibernate takes where the precision is not known.
const DEFAULT_PRECISION: u32 = 38;

/// The type in CREATE TABLE and ALTER TABLE.
///
/// # Errors
/// A data error for a schema that has no column type.
pub(super) fn column_type(schema: &Schema, key: bool) -> Result<String> {
    let meaning = Meaning::of(schema);
    if let Some(name) = by_source(&meaning, schema, key) {
        return Ok(name);
    }
    let plain = |name: &str| Ok(name.to_owned());
    match meaning {
        Meaning::Boolean => plain("boolean"),
        Meaning::Integer(1) => plain("tinyint"),
        Meaning::Integer(2) => plain("smallint"),
        Meaning::Integer(4) => plain("integer"),
        Meaning::Integer(_) => plain("bigint"),
        Meaning::Float => plain("float"),
        Meaning::Double => plain("double"),
        Meaning::Text | Meaning::Uuid | Meaning::SparseVector if key => Ok(format!("varchar({KEY_LENGTH})")),
        Meaning::Text | Meaning::Uuid | Meaning::SparseVector => plain("longtext"),
        Meaning::Bytes if key => Ok(format!("varbinary({KEY_LENGTH})")),
        Meaning::Bytes => plain("longblob"),
        Meaning::Decimal { precision, scale } => {
            let scale = u32::try_from(scale).unwrap_or(0).min(MAX_SCALE);
            let precision = if precision == 0 {
                DEFAULT_PRECISION
            } else {
                precision
            };
            Ok(format!(
                "decimal({},{scale})",
                precision.max(scale).min(MAX_PRECISION)
            ))
        }
        Meaning::VariableDecimal => Ok(format!("decimal({MAX_PRECISION},{MAX_SCALE})")),
        Meaning::Date => plain("date"),
        Meaning::Time(_) | Meaning::ZonedTime => Ok(format!("time({})", precision(schema))),
        Meaning::Timestamp(_) => Ok(format!("datetime({})", precision(schema))),
        Meaning::ZonedTimestamp => Ok(format!("timestamp({})", precision(schema))),
        Meaning::Bits(length @ 1..=64) => Ok(format!("bit({length})")),
        Meaning::Bits(_) => plain("longblob"),
        Meaning::Json | Meaning::Map | Meaning::Array => plain("json"),
        Meaning::Enum(labels) => Ok(list("enum", &labels, key)),
        Meaning::EnumSet(labels) => Ok(list("set", &labels, key)),
        Meaning::Year => plain("year"),
        Meaning::Point => plain("point"),
        Meaning::Geometry => plain("geometry"),
        Meaning::Vector => Ok(match number(schema, COLUMN_LENGTH) {
            Some(size @ 1..=16_383) => format!("vector({size})"),
            _ => "vector".to_owned(),
        }),
        Meaning::Struct => Err(Error::data(format!(
            "Failed to resolve column type for schema: STRUCT ({})",
            schema.name().map_or("null", |name| name)
        ))),
    }
}

fn list(name: &str, labels: &[String], key: bool) -> String {
    // Postgres' enums may be longer than MySQL's, and an outbox may not name them at all.
    if labels.is_empty() {
        return if key {
            format!("varchar({KEY_LENGTH})")
        } else {
            "longtext".to_owned()
        };
    }
    let mut out = format!("{name}(");
    for (i, label) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        literal::text(label, &mut out);
    }
    out.push(')');
    out
}

/// By the source's column type, where it is propagated and this is the same kind of value.
fn by_source(meaning: &Meaning, schema: &Schema, key: bool) -> Option<String> {
    let name = schema.parameter(COLUMN_TYPE)?.to_lowercase();
    let name = name.trim_end_matches(" zerofill");
    let length = number(schema, COLUMN_LENGTH).unwrap_or(0);
    let sized = |name: &str, most: u32| (1..=most).contains(&length).then(|| format!("{name}({length})"));
    let is = |names: &[&str]| names.contains(&name);
    match meaning {
        Meaning::Integer(_)
            if is(&[
                "tinyint",
                "mediumint",
                "tinyint unsigned",
                "smallint unsigned",
                "mediumint unsigned",
            ]) =>
        {
            Some(name.to_owned())
        }
        Meaning::Integer(_) if is(&["int unsigned", "integer unsigned"]) => {
            Some("integer unsigned".to_owned())
        }
        Meaning::Integer(_) | Meaning::Decimal { .. } if is(&["bigint unsigned", "int8 unsigned"]) => {
            Some("bigint unsigned".to_owned())
        }
        Meaning::Text if is(&["char", "character", "bpchar", "nchar"]) => sized("char", 255),
        Meaning::Text
            if is(&[
                "varchar",
                "character varying",
                "nvarchar",
                "varchar2",
                "nvarchar2",
            ]) =>
        {
            sized("varchar", if key { KEY_LENGTH } else { MAX_LENGTH })
        }
        Meaning::Text if is(&["tinytext", "text", "mediumtext"]) && !key => Some(name.to_owned()),
        Meaning::Bytes if is(&["binary", "varbinary"]) => sized(
            name,
            if name == "binary" {
                255
            } else if key {
                KEY_LENGTH
            } else {
                MAX_LENGTH
            },
        ),
        Meaning::Bytes if is(&["tinyblob", "blob", "mediumblob"]) && !key => Some(name.to_owned()),
        _ => None,
    }
}

/// Whether columns of the type have no default.
pub(super) fn takes_no_default(column_type: &str) -> bool {
    ["text", "blob", "json", "geometry", "point"]
        .iter()
        .any(|name| column_type.ends_with(name))
        || column_type.starts_with("vector")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::schema::{SchemaBuilder, logical};

    fn column(schema: SchemaBuilder) -> String {
        column_type(&schema.build(), false).unwrap_or_else(|error| error.message().to_owned())
    }

    #[test]
    fn each_type_has_its_column() {
        let named = |schema: SchemaBuilder, name: &str| column(schema.name(name));
        for (found, expected) in [
            (column(Schema::int8()), "tinyint".into()),
            (column(Schema::string()), "longtext".into()),
            (
                column_type(&Schema::string().build(), true).unwrap(),
                "varchar(255)".into(),
            ),
            (column(Schema::bytes()), "longblob".into()),
            (column(Schema::boolean()), "boolean".into()),
            (
                named(Schema::int64(), "io.debezium.time.MicroTimestamp"),
                "datetime(6)".into(),
            ),
            (
                named(Schema::string(), "io.debezium.time.ZonedTimestamp"),
                "timestamp(6)".into(),
            ),
            (named(Schema::string(), "io.debezium.data.Json"), "json".into()),
            (
                column(
                    Schema::string()
                        .name("io.debezium.data.Enum")
                        .parameter("allowed", "a,it's"),
                ),
                "enum('a','it''s')".into(),
            ),
            (
                column(Schema::bytes().name(logical::DECIMAL).parameter("scale", "2")),
                "decimal(38,2)".into(),
            ),
            (
                column(
                    Schema::bytes()
                        .name("io.debezium.data.Bits")
                        .parameter("length", "9"),
                ),
                "bit(9)".into(),
            ),
            (
                named(Schema::structure(), "x.Y"),
                "Failed to resolve column type for schema: STRUCT (x.Y)".into(),
            ),
        ]
        .map(|(found, expected): (String, String)| (found, expected))
        {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_sources_column_type_says_more() {
        let typed = |schema: SchemaBuilder, name: &str, length: &str| {
            column(
                schema
                    .parameter(COLUMN_TYPE, name)
                    .parameter(COLUMN_LENGTH, length),
            )
        };
        assert_eq!(typed(Schema::string(), "VARCHAR", "40"), "varchar(40)");
        assert_eq!(typed(Schema::string(), "VARCHAR", "99999"), "longtext");
        assert_eq!(
            typed(Schema::int64(), "BIGINT UNSIGNED ZEROFILL", "20"),
            "bigint unsigned"
        );
        assert_eq!(typed(Schema::bytes(), "VARBINARY", "8"), "varbinary(8)");
        assert_eq!(
            typed(
                Schema::int64().name("io.debezium.time.Timestamp"),
                "DATETIME",
                "3"
            ),
            "datetime(3)"
        );
    }
}
