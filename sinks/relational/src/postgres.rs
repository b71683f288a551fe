//! Postgres as a target.
//!
//! Each task has one session. A batch is one transaction: BEGIN, its statements and COMMIT are sent without waiting in
//! between, so it takes one round trip however many tables it touches.

mod bind;
mod blame;
mod catalog;
mod fault;
mod kind;
mod numeric;
mod pipeline;
mod plan;
mod sql;
mod text;
mod wire;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use tapline_api::{Error, Result};
use tapline_databases::postgres::{self as database, Session, Settings};
use tokio_postgres::error::SqlState;
use tokio_postgres::{SimpleQueryMessage, Statement};

use self::catalog::Table;
use self::fault::Fault;
use self::pipeline::Request;
use self::plan::Plan;
use crate::batch::{Action, Batch, Step};
use crate::dialect::{self, Failure};
use crate::layout::Layout;
use crate::names::TableId;
use crate::offsets::{self, Syntax};
use crate::options::Options;

/// A batch that takes longer is given up, and its session with it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(600);
/// The catalog, and DDL that may wait for a lock.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(60);
/// Statements that are kept prepared.
const MAX_STATEMENTS: usize = 1000;
/// Buffers that are kept for the next batch, and how big they may have become: one huge batch must not stay in memory.
const MAX_SPARE: usize = 256;
const MAX_SPARE_BYTES: usize = 256 << 10;

/// See the module's documentation.
pub(crate) struct Dialect {
    settings: Settings,
    postgis: String,
    /// The kinds of tables that are looked for, as `pg_class` has them.
    kinds: String,
    session: Option<Session>,
    tables: HashMap<TableId, Table>,
    prepared: HashMap<(u32, Action), Arc<Prepared>>,
    /// Buffers of the batch before.
    spare: Vec<BytesMut>,
}

/// A plan and, unless there is nothing to do, its statement.
struct Prepared {
    plan: Plan,
    statement: Option<Statement>,
}

impl Dialect {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let mut settings = Settings::from_url(&options.url).map_err(|error| {
            Error::config(format!("Invalid value for configuration connection.url: {error}"))
        })?;
        settings.user.clone_from(&options.user);
        if options.password.is_some() {
            settings.password.clone_from(&options.password);
        }
        settings
            .parameters
            .push(("TimeZone".to_owned(), options.time_zone.clone()));
        // A worker that was stopped in the midst of a transaction must not keep its locks from the next owner.
        let idle = (
            "idle_in_transaction_session_timeout".to_owned(),
            "60000".to_owned(),
        );
        settings.parameters.push(idle);
        Ok(Self {
            settings,
            postgis: options.postgis_schema.clone(),
            kinds: kinds(&options.table_types),
            session: None,
            tables: HashMap::new(),
            prepared: HashMap::new(),
            spare: Vec::new(),
        })
    }

    fn session(&self) -> Result<&Session> {
        self.session
            .as_ref()
            .ok_or_else(|| Error::retriable("there is no connection to the target"))
    }

    fn table(&self, id: &TableId) -> Result<&Table> {
        self.tables
            .get(id)
            .ok_or_else(|| Error::fatal(format!("table {id} was not looked up")))
    }

    /// The statement of a step, made on first use.
    async fn prepare(&mut self, step: &Step) -> Result<Arc<Prepared>, Fault> {
        let key = (step.layout.id, step.action.clone());
        if let Some(prepared) = self.prepared.get(&key) {
            return Ok(prepared.clone());
        }
        let table = self.table(&step.layout.table)?;
        let plan = Plan::new(&step.layout, &step.action, table, &self.postgis)?;
        let statement = match &plan.sql {
            Some(sql) => {
                tracing::debug!(sql, "prepare");
                Some(self.session()?.prepare_typed(sql, &plan.types()).await?)
            }
            None => None,
        };
        if self.prepared.len() >= MAX_STATEMENTS {
            self.prepared.clear();
        }
        let prepared = Arc::new(Prepared { plan, statement });
        self.prepared.insert(key, prepared.clone());
        Ok(prepared)
    }

    /// A step's request; `None` if there is nothing to do.
    async fn request(&mut self, batch: &Batch<'_>, step: &Step) -> Result<Option<Request>, Fault> {
        if step.action == Action::Truncate {
            let table = &self.table(&step.layout.table)?.sql_name;
            return Ok(Some(Request::Simple(format!("TRUNCATE TABLE {table}"))));
        }
        let prepared = self.prepare(step).await?;
        let Some(statement) = prepared.statement.clone() else {
            return Ok(None);
        };
        let arrays = prepared.plan.encode(batch, step, &mut self.spare)?;
        Ok(Some(Request::Execute(statement, arrays)))
    }

    /// The column at fault, where the server does not say it.
    fn blame(&self, batch: &Batch<'_>, step: usize, fault: &Fault) -> Option<String> {
        let Fault::Database(error) = fault else {
            return None;
        };
        // string_data_right_truncation, numeric_value_out_of_range
        if !matches!(error.code()?.as_str(), "22001" | "22003") {
            return None;
        }
        let step = batch.steps.get(step)?;
        let prepared = self.prepared.get(&(step.layout.id, step.action.clone()))?;
        let table = self.tables.get(&step.layout.table)?;
        prepared.plan.blame(batch, step, table, &self.postgis)
    }

    async fn write_steps(&mut self, batch: &Batch<'_>) -> Result<(), (Option<usize>, Fault)> {
        let mut requests = Vec::with_capacity(batch.steps.len() + 1);
        let mut steps = Vec::with_capacity(batch.steps.len());
        let first = usize::from(!batch.advance.is_empty());
        if first == 1 {
            requests.push(Request::Simple(sql::each_changes_one(&batch.advance)));
        }
        for (i, step) in batch.steps.iter().enumerate() {
            if let Some(request) = self
                .request(batch, step)
                .await
                .map_err(|fault| (Some(i), fault))?
            {
                requests.push(request);
                steps.push(i);
            }
        }
        if requests.is_empty() {
            return Ok(());
        }
        let session = self.session().map_err(|error| (None, error.into()))?;
        let result = within(WRITE_TIMEOUT, async {
            Ok(pipeline::run(session, &requests).await)
        });
        let result = result.await.map_err(|fault| (None, fault))?;
        let arrays = requests.into_iter().flat_map(|request| match request {
            Request::Execute(_, arrays) => arrays,
            Request::Simple(_) => Vec::new(),
        });
        let buffers = arrays.map(|array| array.elements);
        self.spare
            .extend(buffers.filter(|buffer| buffer.capacity() <= MAX_SPARE_BYTES));
        self.spare.truncate(MAX_SPARE);
        result.map_err(|(at, error)| match at {
            // Only the statement of offsets divides.
            Some(0) if first == 1 && error.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
                (None, offsets::fenced_somewhere().into())
            }
            at => {
                let step = at.and_then(|at| at.checked_sub(first));
                (step.and_then(|at| steps.get(at).copied()), error.into())
            }
        })
    }
}

/// JDBC's names of table types in the catalog's letters; all that can be written when none is given.
fn kinds(types: &[String]) -> String {
    if types.is_empty() {
        return "rpvf".to_owned();
    }
    let letter = |name: &String| match name.to_uppercase().as_str() {
        "TABLE" => "r",
        "PARTITIONED TABLE" => "p",
        "VIEW" => "v",
        "FOREIGN TABLE" => "f",
        _ => "",
    };
    types.iter().map(letter).collect()
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(database::Error::Timeout(format!("the target did not answer within {limit:?}")).into()),
    }
}

#[async_trait]
impl dialect::Dialect for Dialect {
    async fn connect(&mut self) -> Result<bool> {
        if self.session.as_ref().is_some_and(|session| !session.is_closed()) {
            return Ok(false);
        }
        self.disconnect();
        self.session = Some(database::connect(&self.settings).await?);
        Ok(true)
    }

    fn disconnect(&mut self) {
        self.forget();
        self.session = None;
    }

    async fn columns(&mut self, table: &TableId) -> Result<Option<Vec<String>>> {
        if !self.tables.contains_key(table) {
            let session = self.session()?;
            let found = within(CATALOG_TIMEOUT, async {
                Ok(catalog::read(session, table, &self.kinds).await?)
            });
            let Some(found) = found.await.map_err(Fault::into_error)? else {
                return Ok(None);
            };
            self.tables.insert(table.clone(), found);
        }
        let columns = self.table(table)?.columns.iter();
        Ok(Some(columns.map(|column| column.name.clone()).collect()))
    }

    fn forget(&mut self) {
        self.tables.clear();
        self.prepared.clear();
    }

    fn create_table(&self, layout: &Layout) -> Result<String> {
        sql::create_table(layout, &self.postgis)
    }

    fn add_columns(&self, layout: &Layout, missing: &[usize]) -> Result<String> {
        let columns: Vec<_> = missing.iter().filter_map(|i| layout.columns.get(*i)).collect();
        sql::add_columns(&self.table(&layout.table)?.sql_name, &columns, &self.postgis)
    }

    fn syntax(&self) -> Syntax {
        Syntax {
            begin: "BEGIN",
            for_update: " FOR UPDATE",
            table_options: "",
        }
    }

    fn literal(&self, text: &str) -> String {
        database::literal(text)
    }

    fn qualified(&self, table: &TableId) -> String {
        sql::table_name(table)
    }

    async fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let session = self.session()?;
        let answer = within(CATALOG_TIMEOUT, async { Ok(session.simple_query(sql).await?) }).await;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
            }
            _ => None,
        };
        match answer {
            Ok(messages) => Ok(messages.into_iter().filter_map(row).collect()),
            Err(fault) => Err(fault.into_failure(None, None).error),
        }
    }

    async fn alter(&mut self, table: &TableId, sql: &str) -> Result<()> {
        self.tables.remove(table);
        // A statement knows the columns that were there when it was made.
        self.prepared.clear();
        let session = self.session()?;
        within(CATALOG_TIMEOUT, async { Ok(session.batch_execute(sql).await?) })
            .await
            .map_err(Fault::into_error)
    }

    async fn write(&mut self, batch: &Batch<'_>) -> Result<(), Failure> {
        match self.write_steps(batch).await {
            Ok(()) => Ok(()),
            Err((step, fault)) => {
                let table = step
                    .and_then(|step| batch.steps.get(step))
                    .map(|step| &step.layout.table);
                let blame = step.and_then(|step| self.blame(batch, step, &fault));
                let mut failure = fault.into_failure(step, table);
                if let Some(blame) = blame {
                    failure.error = failure.error.hint(blame);
                }
                Err(failure)
            }
        }
    }
}
