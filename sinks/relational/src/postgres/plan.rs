//! A step's plan: the statement, and where its parameters come from. Made once per layout and action.

use bytes::{BufMut, Bytes, BytesMut};
use tapline_api::{Error, Result, Value};
use tokio_postgres::types::Type;

use super::bind::{self, Bind};
use super::blame;
use super::catalog::Table;
use super::kind::Kind;
use super::pipeline::ArrayParameter;
use super::sql::{self, Bound};
use crate::batch::{Action, Batch, Mask, Step};
use crate::config::InsertMode;
use crate::layout::Layout;
use crate::misfit;

/// How many rows go in one message, and after how many bytes the next is begun: the server works on it meanwhile.
const MESSAGE_ROWS: usize = 1000;
const MESSAGE_BYTES: usize = 256 << 10;

/// What an element takes at least, in most columns.
const ELEMENT_BYTES: usize = 12;

/// What a COPY begins with: a signature, no flags, no extension of the header.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// See the module's documentation.
pub(super) struct Plan {
    /// `None`: there is nothing to do.
    pub(super) sql: Option<String>,
    /// It is a COPY.
    pub(super) copy: bool,
    parameters: Vec<Parameter>,
}

/// What is left of a COPY.
pub(super) struct Copying<'a> {
    rows: Option<&'a [u32]>,
    begun: bool,
}

impl<'a> Copying<'a> {
    /// All of it.
    pub(super) fn of(rows: &'a [u32]) -> Self {
        Self {
            rows: Some(rows),
            begun: false,
        }
    }
}

struct Parameter {
    /// Its place in the layout.
    column: usize,
    bind: Bind,
    /// Stands for null where the schema takes none.
    default: Option<Value>,
}

impl Plan {
    /// `bulk`: there are enough rows for a COPY to pay; with upsert, rows that are taken to be new.
    pub(super) fn new(
        layout: &Layout,
        action: &Action,
        table: &Table,
        postgis: &str,
        bulk: bool,
    ) -> Result<Self> {
        let absent = |i| matches!(action, Action::Write(_, mask) if mask.has(i));
        let mut parameters = Vec::with_capacity(layout.columns.len());
        let mut names = Vec::with_capacity(layout.columns.len());
        for (i, column) in layout.columns.iter().enumerate().filter(|(i, _)| !absent(*i)) {
            let target = table.column(&column.name).ok_or_else(|| {
                Error::fatal(format!("table {} has no column {}", layout.table, column.name))
            })?;
            let kind = Kind::of(&column.schema, postgis)?;
            parameters.push(Parameter {
                column: i,
                bind: bind::bind(&kind, &column.schema, target),
                default: column.stand_in.clone(),
            });
            names.push(&*column.name);
        }
        let columns: Vec<_> = names
            .iter()
            .zip(&parameters)
            .map(|(name, parameter)| Bound {
                name,
                bind: &parameter.bind,
            })
            .collect();
        let overriding = names
            .iter()
            .any(|name| table.column(name).is_some_and(|target| target.always_identity));
        let goes_by_copy = |column: &Bound<'_>| {
            let target = table.column(column.name);
            target.is_some_and(|target| column.bind.goes_by_copy(target))
        };
        let inserts = match action {
            Action::Write(InsertMode::Insert, _) => true,
            // The key's index must tell of a row that is there after all.
            Action::Write(InsertMode::Upsert, mask) => {
                *mask == Mask::default()
                    && !table.has_triggers
                    && names.get(..layout.keys).is_some_and(|key| table.is_key(key))
            }
            _ => false,
        };
        let copy = bulk && inserts && table.takes_copy && columns.iter().all(goes_by_copy);
        let sql = match action {
            Action::Truncate => None,
            _ if copy => Some(sql::copy(&table.sql_name, &columns)),
            Action::Delete => Some(sql::delete(&table.sql_name, &columns)),
            Action::Write(InsertMode::Insert, _) => Some(sql::insert(&table.sql_name, &columns, overriding)),
            Action::Write(InsertMode::Upsert, mask) if !lacks_demanded(layout, mask, table) => {
                Some(sql::upsert(&table.sql_name, &columns, layout.keys, overriding))
            }
            Action::Write(..) => sql::update(&table.sql_name, &columns, layout.keys),
        };
        Ok(Self {
            sql,
            copy,
            parameters,
        })
    }

    /// The column that a step's only row does not fit, and why. `said` is the server's message.
    pub(super) fn blame(
        &self,
        batch: &Batch<'_>,
        step: &Step,
        table: &Table,
        postgis: &str,
        said: &str,
    ) -> Option<String> {
        let [row] = step.rows.as_slice() else { return None };
        let parts = self.parameters.iter().filter_map(|parameter| {
            let column = step.layout.columns.get(parameter.column)?;
            let kind = Kind::of(&column.schema, postgis).ok()?;
            let value = batch.cell(*row, parameter.column);
            Some((parameter, kind, value, table.column(&column.name)?))
        });
        let parts: Vec<_> = parts.collect();
        let too_big = parts
            .iter()
            .find_map(|(_, kind, value, target)| blame::too_big(kind, value, target));
        if too_big.is_some() {
            return too_big;
        }
        // A cast, then: its message ends with the text that it could not read.
        let mut unread = parts.iter().filter(|(parameter, kind, value, _)| {
            parameter.bind.cast.is_some() && blame::is_told_of(kind, value, said)
        });
        let (_, _, _, target) = unread.next()?;
        Some(format!("column '{}' is a {}", target.name, target.type_name))
    }

    /// The columns that the server knows no cast to. `said` is its message: `cannot cast type bytea to integer`.
    pub(super) fn blame_cast(&self, step: &Step, table: &Table, said: &str) -> Option<String> {
        let uncast = self.parameters.iter().filter_map(|parameter| {
            let cast = parameter.bind.cast.as_ref()?;
            let column = step.layout.columns.get(parameter.column)?;
            let target = table.column(&column.name)?;
            said.contains(&format!(" to {cast}"))
                .then(|| format!("column '{}' is a {}", target.name, target.type_name))
        });
        let columns: Vec<_> = uncast.collect();
        (!columns.is_empty()).then(|| {
            format!(
                "{}: change the type, or convert the field by a transformation",
                columns.join(", ")
            )
        })
    }

    /// The statement's parameter types.
    pub(super) fn types(&self) -> Vec<Type> {
        if self.copy {
            return Vec::new();
        }
        let arrays = self.parameters.iter();
        arrays
            .map(|parameter| bind::array_of(&parameter.bind.element))
            .collect()
    }

    /// The first of a step's `rows` as arrays, as many as one message takes, and how many those are.
    ///
    /// # Errors
    /// A data error with its record, for a value that does not fit.
    pub(super) fn arrays(
        &self,
        batch: &Batch<'_>,
        step: &Step,
        rows: &[u32],
    ) -> Result<(Vec<ArrayParameter>, usize)> {
        let array = |parameter: &Parameter| ArrayParameter {
            element: parameter.bind.element.oid(),
            elements: BytesMut::with_capacity(rows.len().min(MESSAGE_ROWS) * ELEMENT_BYTES),
            ..ArrayParameter::default()
        };
        let mut arrays: Vec<_> = self.parameters.iter().map(array).collect();
        let mut count = 0;
        for row in rows.iter().take(MESSAGE_ROWS) {
            let mut bytes = 0;
            for (parameter, array) in self.parameters.iter().zip(&mut arrays) {
                array.nulls |= self.put(batch, step, *row, parameter, &mut array.elements)?;
                array.count += 1;
                bytes += array.elements.len();
            }
            count += 1;
            if bytes >= MESSAGE_BYTES {
                break;
            }
        }
        Ok((arrays, count))
    }

    /// The same for a COPY of what is `left`. `None` at the end.
    ///
    /// # Errors
    /// As [`arrays`](Self::arrays).
    pub(super) fn copied(
        &self,
        batch: &Batch<'_>,
        step: &Step,
        left: &mut Copying<'_>,
    ) -> Result<Option<Bytes>> {
        let Some(rows) = left.rows else { return Ok(None) };
        let mut out = BytesMut::with_capacity(MESSAGE_BYTES);
        if !left.begun {
            left.begun = true;
            out.extend_from_slice(COPY_HEADER);
        }
        let fields = i16::try_from(self.parameters.len())
            .map_err(|_| Error::fatal("a table has more columns than a COPY takes"))?;
        let mut count = 0;
        for row in rows.iter().take(MESSAGE_ROWS) {
            out.put_i16(fields);
            for parameter in &self.parameters {
                self.put(batch, step, *row, parameter, &mut out)?;
            }
            count += 1;
            if out.len() >= MESSAGE_BYTES {
                break;
            }
        }
        left.rows = rows.get(count..).filter(|behind| !behind.is_empty());
        if left.rows.is_none() {
            out.put_i16(-1);
        }
        Ok(Some(out.freeze()))
    }

    /// Appends a value with its length; whether it is null.
    fn put(
        &self,
        batch: &Batch<'_>,
        step: &Step,
        row: u32,
        parameter: &Parameter,
        out: &mut BytesMut,
    ) -> Result<bool> {
        let mut value = batch.cell(row, parameter.column);
        if value.is_null()
            && let Some(default) = &parameter.default
        {
            value = default;
        }
        match parameter.bind.wire.put(value, out) {
            Ok(()) => Ok(value.is_null()),
            Err(_) => {
                let element = parameter.bind.element.name();
                Err(misfit::error(batch, step, row, parameter.column, value, element))
            }
        }
    }
}

/// Whether an insert without these columns must fail even where the row exists: Postgres checks NOT NULL before it looks
/// for a conflict.
fn lacks_demanded(layout: &Layout, mask: &Mask, table: &Table) -> bool {
    let mut lacking = layout.columns.iter().enumerate().filter(|(i, _)| mask.has(*i));
    lacking.any(|(_, column)| table.column(&column.name).is_some_and(|target| target.demanding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Column, Layouts};
    use crate::names::TableId;
    use crate::postgres::catalog::Target;
    use tapline_api::Schema;
    use tapline_api::schema::SchemaBuilder;

    /// The statement for a table of an integer and a text, in a target that has these types.
    fn sql(mode: InsertMode, note: &Type, takes_copy: bool, bulk: bool) -> String {
        statement(mode, note, takes_copy, bulk, |_| ())
    }

    fn statement(
        mode: InsertMode,
        note: &Type,
        takes_copy: bool,
        bulk: bool,
        change: impl FnOnce(&mut Table),
    ) -> String {
        let column = |name: &str, schema: SchemaBuilder| Column {
            name: name.into(),
            field: name.into(),
            schema: schema.build(),
            key: name == "id",
            stand_in: None,
        };
        let id = TableId {
            schema: None,
            name: "t".into(),
        };
        let columns = [("id", Schema::int32()), ("note", Schema::string())];
        let columns = columns.map(|(name, schema)| column(name, schema));
        let layout = Layouts::default().intern(&id, columns.to_vec(), 1);
        let target = |name: &str, ty: &Type| Target {
            name: name.to_owned(),
            oid: ty.oid(),
            type_name: ty.name().to_owned(),
            limit: -1,
            demanding: false,
            always_identity: false,
        };
        let mut table = Table {
            sql_name: "t".to_owned(),
            takes_copy,
            has_triggers: false,
            uniques: vec![vec!["id".to_owned()]],
            columns: vec![target("id", &Type::INT4), target("note", note)],
        };
        change(&mut table);
        let action = Action::Write(mode, Mask::default());
        let plan = Plan::new(&layout, &action, &table, "public", bulk).unwrap();
        plan.sql.unwrap().split(' ').next().unwrap().to_owned()
    }

    #[test]
    fn many_plain_inserts_are_a_copy_where_that_is_the_same() {
        assert_eq!(sql(InsertMode::Insert, &Type::VARCHAR, true, true), "COPY");
        assert_eq!(sql(InsertMode::Insert, &Type::JSONB, true, true), "COPY");
        for (mode, note, takes_copy, bulk) in [
            (InsertMode::Upsert, &Type::TEXT, true, false),
            (InsertMode::Insert, &Type::TEXT, true, false),
            // A view, a rule, a policy; a cast.
            (InsertMode::Insert, &Type::TEXT, false, true),
            (InsertMode::Insert, &Type::INET, true, true),
        ] {
            assert_eq!(sql(mode, note, takes_copy, bulk), "INSERT", "{mode:?} {note}");
        }
    }

    #[test]
    fn new_rows_are_a_copy_only_where_the_keys_index_tells_of_those_that_are_there() {
        let upsert = |change: fn(&mut Table)| statement(InsertMode::Upsert, &Type::TEXT, true, true, change);
        assert_eq!(upsert(|_| ()), "COPY");
        assert_eq!(upsert(|table| table.uniques.clear()), "INSERT");
        assert_eq!(
            upsert(|table| table.uniques = vec![vec!["id".to_owned(), "note".to_owned()]]),
            "INSERT"
        );
        assert_eq!(upsert(|table| table.has_triggers = true), "INSERT");
        assert_eq!(upsert(|table| table.takes_copy = false), "INSERT");
    }
}
