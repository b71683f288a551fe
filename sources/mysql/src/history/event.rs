//! Records of the schema change topic, which is named by the topic prefix: what changed, for people and programs that
//! read along. `io.debezium.connector.mysql.SchemaChangeKey` and `…Value`.

use std::sync::Arc;

use tapline_api::{Record, Schema, SchemaRef, Struct, Value};

use super::record::TableChange;
use crate::ddl::{Change, ChangeKind, Flavor};
use crate::schema::{Column, Table};

/// The schemas of schema change records.
#[derive(Clone, Debug)]
pub struct SchemaChangeRecords {
    topic: Arc<str>,
    key: SchemaRef,
    value: SchemaRef,
    change: SchemaRef,
    table: SchemaRef,
    column: SchemaRef,
}

/// What stands around a change.
pub struct SchemaChangeSource {
    /// The `source` block, of the schema that [`SchemaChangeRecords::new`] was given.
    pub source: Value,
    /// When it was handled, in milliseconds.
    pub ts_ms: i64,
}

impl SchemaChangeRecords {
    /// For a topic; `source` is the schema of the source block.
    pub fn new(flavor: Flavor, topic: impl Into<Arc<str>>, source: &SchemaRef) -> Self {
        let connector = match flavor {
            Flavor::MySql => "mysql",
            Flavor::MariaDb => "mariadb",
        };
        let name = |part: &str| format!("io.debezium.connector.{connector}.SchemaChange{part}");
        let text = || Schema::string().optional().build();
        let int32 = || Schema::int32().optional().build();
        let boolean = || Schema::boolean().optional().build();
        let column = Schema::structure()
            .name("io.debezium.connector.schema.Column")
            .version(1)
            .field("name", Schema::string().build())
            .field("jdbcType", Schema::int32().build())
            .field("nativeType", int32())
            .field("typeName", Schema::string().build())
            .field("typeExpression", text())
            .field("charsetName", text())
            .field("length", int32())
            .field("scale", int32())
            .field("position", Schema::int32().build())
            .field("optional", boolean())
            .field("autoIncremented", boolean())
            .field("generated", boolean())
            .field("comment", text())
            .field("defaultValueExpression", text())
            .field(
                "enumValues",
                Schema::array(Schema::string().build()).optional().build(),
            )
            .build();
        let table = Schema::structure()
            .name("io.debezium.connector.schema.Table")
            .version(1)
            .optional()
            .field("defaultCharsetName", text())
            .field(
                "primaryKeyColumnNames",
                Schema::array(Schema::string().build()).optional().build(),
            )
            .field("columns", Schema::array(column.clone()).build())
            .field("comment", text())
            .build();
        let change = Schema::structure()
            .name("io.debezium.connector.schema.Change")
            .version(1)
            .field("type", Schema::string().build())
            .field("id", Schema::string().build())
            .field("table", table.clone())
            .build();
        let value = Schema::structure()
            .name(name("Value"))
            .version(1)
            .field("source", source.clone())
            .field("ts_ms", Schema::int64().build())
            .field("databaseName", text())
            .field("schemaName", text())
            .field("ddl", text())
            .field("tableChanges", Schema::array(change.clone()).build())
            .build();
        let key = Schema::structure()
            .name(name("Key"))
            .version(1)
            .field("databaseName", Schema::string().build())
            .build();
        Self {
            topic: topic.into(),
            key,
            value,
            change,
            table,
            column,
        }
    }

    /// The record of a change. Truncations are none: they are events of their table.
    pub fn record(&self, change: &Change, around: SchemaChangeSource) -> Option<Record> {
        if change.kind == ChangeKind::Truncate {
            return None;
        }
        let changes = TableChange::of(change)
            .iter()
            .map(|change| self.change(change))
            .collect();
        let database = Value::from(change.database.to_string());
        let values = vec![
            around.source,
            Value::Int64(around.ts_ms),
            database.clone(),
            Value::Null,
            Value::from(change.statement.clone()),
            Value::Array(changes),
        ];
        Some(Record {
            partition: Some(0),
            key_schema: Some(self.key.clone()),
            key: Value::Struct(Struct::new(self.key.clone(), vec![database])),
            value_schema: Some(self.value.clone()),
            value: Value::Struct(Struct::new(self.value.clone(), values)),
            ..Record::new(self.topic.clone())
        })
    }

    fn change(&self, change: &TableChange) -> Value {
        let table = change
            .table
            .as_deref()
            .map_or(Value::Null, |table| self.table(table));
        let values = vec![
            Value::from(change.kind.as_str()),
            Value::from(change.id.quoted('"')),
            table,
        ];
        Value::Struct(Struct::new(self.change.clone(), values))
    }

    fn table(&self, table: &Table) -> Value {
        let key = table
            .key
            .iter()
            .map(|name| Value::from(name.to_string()))
            .collect();
        let columns = table.columns.iter().map(|column| self.column(column)).collect();
        let values = vec![
            text(table.charset.as_ref()),
            Value::Array(key),
            Value::Array(columns),
            text(table.comment.as_ref()),
        ];
        Value::Struct(Struct::new(self.table.clone(), values))
    }

    fn column(&self, column: &Column) -> Value {
        let int32 = |value: Option<i32>| value.map_or(Value::Null, Value::Int32);
        let options = match column.options.is_empty() {
            true => Value::Null,
            false => Value::Array(
                column
                    .options
                    .iter()
                    .map(|option| Value::from(option.to_string()))
                    .collect(),
            ),
        };
        let type_name = Value::from(column.type_name.to_string());
        let values = vec![
            Value::from(column.name.to_string()),
            Value::Int32(column.jdbc_type),
            Value::Null,
            type_name.clone(),
            type_name,
            text(column.charset.as_ref()),
            int32(column.length),
            int32(column.scale),
            Value::Int32(column.position),
            Value::Boolean(column.optional),
            Value::Boolean(column.auto_incremented),
            Value::Boolean(column.generated),
            text(column.comment.as_ref()),
            text(column.default.as_ref()),
            options,
        ];
        Value::Struct(Struct::new(self.column.clone(), values))
    }
}

fn text(text: Option<&Arc<str>>) -> Value {
    text.map_or(Value::Null, |text| Value::from(text.to_string()))
}
