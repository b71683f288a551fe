//! A record of the schema history topic: what happened, where in the log, and what the tables were afterwards.
//!
//! Debezium's `HistoryRecord` and `JsonTableChangeSerializer`: the order of fields, and which are left out when there is
//! nothing to say, decide the bytes.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tapline_api::{Error, Result};

use super::json::Pretty;
use crate::ddl::{Change, ChangeKind};
use crate::schema::{Column, Kind, Table, TableId};

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRecord {
    /// The source partition: `{"server":"shop"}`.
    pub source: Map<String, Json>,
    /// The source offset at which it happened.
    pub position: Map<String, Json>,
    /// When it was recorded, in milliseconds.
    pub ts_ms: Option<i64>,
    /// The database.
    pub database: Option<String>,
    /// The statement.
    pub ddl: Option<String>,
    /// The tables that changed.
    pub changes: Vec<TableChange>,
}

/// One table's change.
#[derive(Clone, Debug, PartialEq)]
pub struct TableChange {
    /// What happened to it.
    pub kind: TableChangeKind,
    /// Its name.
    pub id: TableId,
    /// The name it had, if `RENAME TABLE` changed it.
    pub previous: Option<TableId>,
    /// The table afterwards, unless it was dropped.
    pub table: Option<Arc<Table>>,
}

/// What happened to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableChangeKind {
    /// It was made.
    Create,
    /// It was changed.
    Alter,
    /// It is gone.
    Drop,
}

impl TableChangeKind {
    /// As it stands in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Alter => "ALTER",
            Self::Drop => "DROP",
        }
    }
}

impl TableChange {
    /// From a statement's change; `None` if it changed no table's schema, or the schema is not known.
    pub fn of(change: &Change) -> Option<Self> {
        let kind = match change.kind {
            ChangeKind::Create => TableChangeKind::Create,
            ChangeKind::Alter => TableChangeKind::Alter,
            ChangeKind::Drop => TableChangeKind::Drop,
            ChangeKind::Truncate | ChangeKind::Database | ChangeKind::Other => return None,
        };
        if kind != TableChangeKind::Drop && change.after.is_none() {
            return None;
        }
        Some(Self {
            kind,
            id: change.table.clone()?,
            previous: change.previous.clone(),
            table: change.after.clone(),
        })
    }
}

impl HistoryRecord {
    /// The record of a statement's change.
    pub fn new(
        source: &Map<String, Json>,
        position: &Map<String, Json>,
        ts_ms: i64,
        change: &Change,
    ) -> Self {
        Self {
            source: source.clone(),
            position: position.clone(),
            ts_ms: Some(ts_ms),
            database: Some(change.database.to_string()),
            ddl: Some(change.statement.clone()),
            changes: TableChange::of(change).into_iter().collect(),
        }
    }

    /// As it lies in the topic.
    pub fn to_json(&self) -> String {
        let mut out = Pretty::default();
        out.object(|out| {
            let map = |out: &mut Pretty, map: &Map<String, Json>| {
                out.object(|out| {
                    for (name, value) in map {
                        out.field(name);
                        out.json(value);
                    }
                });
            };
            out.field("source");
            map(out, &self.source);
            out.field("position");
            map(out, &self.position);
            if let Some(ts_ms) = self.ts_ms {
                out.field("ts_ms");
                out.number(ts_ms);
            }
            if let Some(database) = &self.database {
                out.field("databaseName");
                out.string(database);
            }
            if let Some(ddl) = &self.ddl {
                out.field("ddl");
                out.string(ddl);
            }
            out.field("tableChanges");
            out.array(&self.changes, write_change);
        });
        out.finish()
    }

    /// Reads what [`to_json`](Self::to_json) or Debezium, of any version, wrote.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let raw: RawRecord<'_> = serde_json::from_slice(text).map_err(|error| {
            Error::fatal(format!("a record of the schema history can't be read: {error}"))
        })?;
        let changes = raw.changes.unwrap_or_default();
        Ok(Self {
            source: raw.source,
            position: raw.position,
            ts_ms: raw.ts_ms,
            database: raw.database,
            ddl: raw.ddl,
            changes: changes.into_iter().map(RawChange::read).collect::<Result<_>>()?,
        })
    }
}

fn write_change(out: &mut Pretty, change: &TableChange) {
    out.object(|out| {
        out.field("type");
        out.string(change.kind.as_str());
        out.field("id");
        out.string(&change.id.quoted('"'));
        if let Some(previous) = &change.previous {
            out.field("previousId");
            out.string(&previous.quoted('"'));
        }
        if let Some(table) = &change.table {
            out.field("table");
            write_table(out, table);
            out.field("comment");
            out.text(table.comment.as_deref());
        }
    });
}

fn write_table(out: &mut Pretty, table: &Table) {
    out.object(|out| {
        out.field("defaultCharsetName");
        out.text(table.charset.as_deref());
        out.field("primaryKeyColumnNames");
        out.array(&table.key, |out, name| out.string(name));
        out.field("columns");
        out.array(&table.columns, write_column);
        out.field("attributes");
        out.array([(); 0], |_, ()| {});
    });
}

fn write_column(out: &mut Pretty, column: &Column) {
    out.object(|out| {
        out.field("name");
        out.string(&column.name);
        out.field("jdbcType");
        out.number(column.jdbc_type.into());
        out.field("typeName");
        out.string(&column.type_name);
        out.field("typeExpression");
        out.string(&column.type_name);
        out.field("charsetName");
        out.text(column.charset.as_deref());
        if let Some(length) = column.length {
            out.field("length");
            out.number(length.into());
        }
        if let Some(scale) = column.scale {
            out.field("scale");
            out.number(scale.into());
        }
        out.field("position");
        out.number(column.position.into());
        out.field("optional");
        out.boolean(column.optional);
        out.field("autoIncremented");
        out.boolean(column.auto_incremented);
        out.field("generated");
        out.boolean(column.generated);
        out.field("comment");
        out.text(column.comment.as_deref());
        out.field("hasDefaultValue");
        out.boolean(column.has_default);
        if let Some(default) = &column.default {
            out.field("defaultValueExpression");
            out.string(default);
        }
        out.field("enumValues");
        out.array(&*column.options, |out, option| out.string(option));
    });
}

/// The table alone, as JSON, for keeping it elsewhere than in the history.
pub(super) fn table_json(table: &Table) -> String {
    let mut out = Pretty::default();
    write_change(
        &mut out,
        &TableChange {
            kind: TableChangeKind::Create,
            id: table.id.clone(),
            previous: None,
            table: Some(Arc::new(table.clone())),
        },
    );
    out.finish()
}

/// Reads what [`table_json`] wrote.
pub(super) fn table_of_json(text: &str) -> Option<Arc<Table>> {
    let raw: RawChange<'_> = serde_json::from_str(text).ok()?;
    raw.read().ok()?.table
}

type Text<'a> = std::borrow::Cow<'a, str>;

#[derive(Deserialize)]
struct RawRecord<'a> {
    #[serde(default)]
    source: Map<String, Json>,
    #[serde(default)]
    position: Map<String, Json>,
    ts_ms: Option<i64>,
    #[serde(rename = "databaseName")]
    database: Option<String>,
    ddl: Option<String>,
    #[serde(rename = "tableChanges", borrow)]
    changes: Option<Vec<RawChange<'a>>>,
}

#[derive(Deserialize)]
struct RawChange<'a> {
    #[serde(rename = "type")]
    kind: Text<'a>,
    id: Text<'a>,
    #[serde(rename = "previousId")]
    previous: Option<Text<'a>>,
    #[serde(borrow)]
    table: Option<RawTable<'a>>,
    comment: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTable<'a> {
    default_charset_name: Option<Text<'a>>,
    #[serde(default)]
    primary_key_column_names: Vec<Text<'a>>,
    #[serde(borrow)]
    columns: Vec<RawColumn<'a>>,
    comment: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawColumn<'a> {
    name: Text<'a>,
    jdbc_type: i32,
    #[serde(default)]
    type_name: Text<'a>,
    charset_name: Option<Text<'a>>,
    length: Option<i32>,
    scale: Option<i32>,
    position: i32,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    auto_incremented: bool,
    #[serde(default)]
    generated: bool,
    comment: Option<Text<'a>>,
    #[serde(default)]
    has_default_value: bool,
    default_value_expression: Option<Text<'a>>,
    enum_values: Option<Vec<Text<'a>>>,
}

fn shared(text: Option<Text<'_>>) -> Option<Arc<str>> {
    text.map(|text| text.as_ref().into())
}

impl RawChange<'_> {
    fn read(self) -> Result<TableChange> {
        let id = |text: &str| {
            TableId::parse(text)
                .ok_or_else(|| Error::fatal(format!("a record of the schema history names a table {text}")))
        };
        let kind = match self.kind.as_ref() {
            "CREATE" => TableChangeKind::Create,
            "ALTER" => TableChangeKind::Alter,
            "DROP" => TableChangeKind::Drop,
            other => {
                let message = format!("a record of the schema history has a change of type {other}");
                return Err(Error::fatal(message));
            }
        };
        let name = id(&self.id)?;
        let comment = self.comment;
        let table = self.table.filter(|_| kind != TableChangeKind::Drop).map(|table| {
            let charset = shared(table.default_charset_name);
            Arc::new(Table {
                id: name.clone(),
                key: table
                    .primary_key_column_names
                    .iter()
                    .map(|name| name.as_ref().into())
                    .collect(),
                columns: table.columns.into_iter().map(RawColumn::read).collect(),
                charset,
                comment: shared(comment.or(table.comment)),
            })
        });
        Ok(TableChange {
            kind,
            id: name,
            previous: self.previous.as_deref().map(id).transpose()?,
            table,
        })
    }
}

impl RawColumn<'_> {
    fn read(self) -> Column {
        Column {
            kind: Kind::of(&self.type_name),
            type_name: self.type_name.as_ref().into(),
            jdbc_type: self.jdbc_type,
            charset: shared(self.charset_name),
            length: self.length.filter(|length| *length >= 0),
            scale: self.scale,
            position: self.position,
            optional: self.optional,
            auto_incremented: self.auto_incremented,
            generated: self.generated,
            comment: shared(self.comment),
            has_default: self.has_default_value || self.default_value_expression.is_some(),
            default: shared(self.default_value_expression),
            options: self
                .enum_values
                .unwrap_or_default()
                .iter()
                .map(|value| value.as_ref().into())
                .collect(),
            name: self.name.as_ref().into(),
        }
    }
}
