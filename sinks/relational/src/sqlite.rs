//! SQLite as a target: a file in this process, without a server.
//!
//! A batch is one transaction, which takes the write lock at its begin. Each row is one execution of a prepared statement,
//! which in a library costs no round trip.

mod fault;
mod sql;
mod value;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tapline_api::{Error, Result, Value};
use tokio::task::block_in_place;

use self::fault::Fault;
use self::value::Form;
use crate::batch::{Action, Batch, Mask, Step};
use crate::config::InsertMode;
use crate::dialect::{self, Failure};
use crate::layout::Layout;
use crate::misfit;
use crate::names::TableId;
use crate::offsets::{self, Syntax};
use crate::options::Options;

/// How long another process may hold the lock.
const BUSY: Duration = Duration::from_secs(30);
/// Plans that are kept.
const MAX_PLANS: usize = 1000;

/// See the module's documentation.
pub(crate) struct Dialect {
    path: String,
    connection: Option<Connection>,
    tables: HashMap<TableId, Vec<Target>>,
    plans: HashMap<(u32, Action), Arc<Plan>>,
}

/// A column of the target.
struct Target {
    name: String,
    /// It takes no null and has no default.
    demanding: bool,
}

/// A statement for one row, and where its parameters come from.
struct Plan {
    /// `None`: there is nothing to do.
    sql: Option<String>,
    parameters: Vec<Parameter>,
}

struct Parameter {
    /// Its place in the layout.
    column: usize,
    form: Form,
    default: Option<Value>,
}

impl Dialect {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let url = options.url.trim();
        let path = url.strip_prefix("jdbc:").unwrap_or(url);
        let path = path.strip_prefix("sqlite:").unwrap_or(path);
        // sqlite-jdbc's parameters set pragmas, none of which changes what is written.
        let path = if path.starts_with("file:") {
            path
        } else {
            path.split_once('?').map_or(path, |(path, _)| path)
        };
        if path.is_empty() {
            return Err(Error::config(
                "Invalid value for configuration connection.url: jdbc:sqlite: must be followed by a file's path",
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            connection: None,
            tables: HashMap::new(),
            plans: HashMap::new(),
        })
    }

    fn connection(&self) -> Result<&Connection> {
        self.connection
            .as_ref()
            .ok_or_else(|| Error::retriable("the database is not open"))
    }

    fn open(&mut self) -> Result<(), Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(|error| {
            Error::config(format!("could not open the database '{}': {error}", self.path))
                .hint("connection.url must name a file that the worker may write, in a folder that is there")
        })?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(100);
        self.connection = Some(connection);
        Ok(())
    }

    fn read_columns(&mut self, table: &TableId) -> Result<Option<Vec<String>>, Fault> {
        if !self.tables.contains_key(table) {
            let mut query = self.connection()?.prepare_cached(
                "SELECT name, \"notnull\" AND dflt_value IS NULL AND NOT (pk AND lower(type) = 'integer') FROM \
                 pragma_table_xinfo(?1, ?2) WHERE hidden <> 1",
            )?;
            let columns = query.query_map((&*table.name, table.schema.as_deref()), |row| {
                Ok(Target {
                    name: row.get(0)?,
                    demanding: row.get(1)?,
                })
            })?;
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            drop(query);
            if columns.is_empty() {
                return Ok(None);
            }
            self.tables.insert(table.clone(), columns);
        }
        let columns = self.tables.get(table).map(Vec::as_slice).unwrap_or_default();
        Ok(Some(columns.iter().map(|column| column.name.clone()).collect()))
    }

    fn plan(&mut self, step: &Step) -> Arc<Plan> {
        let key = (step.layout.id, step.action.clone());
        if let Some(plan) = self.plans.get(&key) {
            return plan.clone();
        }
        let targets = self.tables.get(&step.layout.table);
        let plan = Arc::new(Plan::new(
            &step.layout,
            &step.action,
            targets.map(Vec::as_slice).unwrap_or_default(),
        ));
        if self.plans.len() >= MAX_PLANS {
            self.plans.clear();
        }
        self.plans.insert(key, plan.clone());
        plan
    }

    fn write_steps(&mut self, batch: &Batch<'_>) -> Result<(), (Option<usize>, Fault)> {
        let plans: Vec<_> = batch.steps.iter().map(|step| self.plan(step)).collect();
        let Some(connection) = &mut self.connection else {
            return Err((None, Error::retriable("the database is not open").into()));
        };
        let nowhere = |error: rusqlite::Error| (None, error.into());
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(nowhere)?;
        for update in &batch.advance {
            if transaction.execute(update, ()).map_err(nowhere)? != 1 {
                return Err((None, offsets::fenced_somewhere().into()));
            }
        }
        for (i, (step, plan)) in batch.steps.iter().zip(&plans).enumerate() {
            plan.execute(&transaction, batch, step)
                .map_err(|fault| (Some(i), fault))?;
        }
        transaction.commit().map_err(nowhere)
    }
}

impl Plan {
    fn new(layout: &Layout, action: &Action, targets: &[Target]) -> Self {
        let absent = |i| matches!(action, Action::Write(_, mask) if mask.has(i));
        let present = || layout.columns.iter().enumerate().filter(|(i, _)| !absent(*i));
        let names: Vec<&str> = present().map(|(_, column)| &*column.name).collect();
        let table = sql::table_name(&layout.table);
        let sql = match action {
            Action::Truncate => Some(format!("DELETE FROM {table}")),
            Action::Delete => Some(sql::delete(&table, &names)),
            Action::Write(InsertMode::Insert, _) => Some(sql::insert(&table, &names)),
            Action::Write(InsertMode::Upsert, mask) if !lacks_demanded(layout, mask, targets) => {
                Some(sql::upsert(&table, &names, layout.keys))
            }
            Action::Write(..) => sql::update(&table, &names, layout.keys),
        };
        let parameter = |(i, column): (usize, &crate::layout::Column)| Parameter {
            column: i,
            form: Form::of(&column.schema),
            default: column.stand_in.clone(),
        };
        Self {
            sql,
            parameters: present().map(parameter).collect(),
        }
    }

    fn execute(&self, connection: &Connection, batch: &Batch<'_>, step: &Step) -> Result<(), Fault> {
        let Some(sql) = &self.sql else { return Ok(()) };
        let mut statement = connection.prepare_cached(sql)?;
        if step.action == Action::Truncate {
            statement.execute(())?;
            return Ok(());
        }
        for row in &step.rows {
            for (i, parameter) in self.parameters.iter().enumerate() {
                let mut value = batch.cell(*row, parameter.column);
                if value.is_null()
                    && let Some(default) = &parameter.default
                {
                    value = default;
                }
                let bound = parameter.form.bind(value).map_err(|_| {
                    misfit::error(batch, step, *row, parameter.column, value, "value of SQLite's")
                })?;
                statement.raw_bind_parameter(i + 1, bound)?;
            }
            statement.raw_execute()?;
        }
        Ok(())
    }
}

/// Whether an insert without these columns must fail even where the row exists.
fn lacks_demanded(layout: &Layout, mask: &Mask, targets: &[Target]) -> bool {
    let mut lacking = layout.columns.iter().enumerate().filter(|(i, _)| mask.has(*i));
    lacking.any(|(_, column)| {
        let target = targets
            .iter()
            .find(|target| target.name.eq_ignore_ascii_case(&column.name));
        target.is_some_and(|target| target.demanding)
    })
}

#[async_trait]
impl dialect::Dialect for Dialect {
    async fn connect(&mut self) -> Result<bool> {
        if self.connection.is_some() {
            return Ok(false);
        }
        self.forget();
        block_in_place(|| self.open()).map_err(Fault::into_error)?;
        Ok(true)
    }

    fn disconnect(&mut self) {
        self.forget();
        self.connection = None;
    }

    async fn columns(&mut self, table: &TableId) -> Result<Option<Vec<String>>> {
        block_in_place(|| self.read_columns(table)).map_err(Fault::into_error)
    }

    fn same_column(&self, a: &str, b: &str) -> bool {
        a.eq_ignore_ascii_case(b)
    }

    fn forget(&mut self) {
        self.tables.clear();
        self.plans.clear();
    }

    fn create_table(&self, layout: &Layout) -> Result<String> {
        sql::create_table(layout)
    }

    fn add_columns(&self, layout: &Layout, missing: &[usize]) -> Result<String> {
        let columns: Vec<_> = missing.iter().filter_map(|i| layout.columns.get(*i)).collect();
        sql::add_columns(&sql::table_name(&layout.table), &columns)
    }

    fn syntax(&self) -> Syntax {
        Syntax {
            begin: "BEGIN IMMEDIATE",
            for_update: "",
            table_options: "",
        }
    }

    fn literal(&self, text: &str) -> String {
        sql::literal(text)
    }

    fn qualified(&self, table: &TableId) -> String {
        sql::table_name(table)
    }

    async fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let connection = self.connection()?;
        let rows: Result<Vec<_>, rusqlite::Error> = block_in_place(|| {
            let mut statement = connection.prepare(sql)?;
            let columns = statement.column_count();
            let cell = |value: ValueRef<'_>| match value {
                ValueRef::Integer(n) => Some(n.to_string()),
                ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
                _ => None,
            };
            let rows = statement.query_map((), |row| {
                (0..columns).map(|i| Ok(cell(row.get_ref(i)?))).collect()
            })?;
            rows.collect()
        });
        rows.map_err(|error| Fault::from(error).into_failure(None, None).error)
    }

    async fn alter(&mut self, table: &TableId, sql: &str) -> Result<()> {
        self.tables.remove(table);
        self.plans.clear();
        let altered = block_in_place(|| Ok(self.connection()?.execute_batch(sql)?));
        altered.map_err(Fault::into_error)
    }

    async fn write(&mut self, batch: &Batch<'_>) -> Result<(), Failure> {
        match block_in_place(|| self.write_steps(batch)) {
            Ok(()) => Ok(()),
            Err((step, fault)) => {
                let table = step
                    .and_then(|step| batch.steps.get(step))
                    .map(|step| &step.layout.table);
                Err(fault.into_failure(step, table))
            }
        }
    }
}
