//! Postgres as a target.
//!
//! Each task has one session. A batch is one transaction: BEGIN, its statements and COMMIT are sent without waiting in
//! between, so it takes one round trip however many tables it touches. Rows go in messages of a thousand: the server
//! works on one while the next is being encoded. Many plain inserts are a COPY, which costs a round trip more and saves
//! the server half of its work; so are the rows of an upsert whose events say that they are new, as long as that holds
//! ([`guess`]).

mod bind;
mod blame;
mod catalog;
mod fault;
mod guess;
mod kind;
mod numeric;
mod pipeline;
mod plan;
mod sql;
mod text;
mod wire;

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tapline_api::{Error, Result};
use tapline_databases::postgres::{self as database, Session, Settings};
use tokio_postgres::error::SqlState;
use tokio_postgres::{SimpleQueryMessage, Statement};

use self::catalog::Table;
use self::fault::Fault;
use self::guess::Guesses;
use self::pipeline::{ArrayParameter, Transaction};
use self::plan::{Copying, Plan};
use crate::batch::{Action, Batch, Step};
use crate::config::InsertMode;
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
/// The place of the statement that advances offsets, which is no step.
const ADVANCE: usize = usize::MAX;
/// From how many rows on a COPY pays.
const COPY_ROWS: usize = 50;

/// See the module's documentation.
pub(crate) struct Dialect {
    settings: Settings,
    postgis: String,
    /// The kinds of tables that are looked for, as `pg_class` has them.
    kinds: String,
    session: Option<Session>,
    tables: HashMap<TableId, Table>,
    prepared: HashMap<StatementKey, Arc<Prepared>>,
    guesses: Guesses,
}

/// A layout's id, what is done, and whether with many rows.
type StatementKey = (u32, Action, bool);

fn key(step: &Step) -> StatementKey {
    let bulk = matches!(step.action, Action::Write(InsertMode::Insert, _)) && step.rows.len() >= COPY_ROWS;
    (step.layout.id, step.action.clone(), bulk)
}

/// Rows of a step that go by one statement; without one the table is emptied.
struct Part<'a> {
    step: usize,
    rows: Cow<'a, [u32]>,
    prepared: Option<Arc<Prepared>>,
    /// The rows are taken to be new.
    guessed: bool,
}

impl<'a> Part<'a> {
    fn of(step: usize, rows: impl Into<Cow<'a, [u32]>>, prepared: Option<Arc<Prepared>>) -> Self {
        Self {
            step,
            rows: rows.into(),
            prepared,
            guessed: false,
        }
    }
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
            guesses: Guesses::default(),
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
    async fn prepare(&mut self, step: &Step, key: StatementKey) -> Result<Arc<Prepared>, Fault> {
        if let Some(prepared) = self.prepared.get(&key) {
            return Ok(prepared.clone());
        }
        let table = self.table(&step.layout.table)?;
        let plan = Plan::new(&step.layout, &step.action, table, &self.postgis, key.2)?;
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

    /// The column at fault, where the server does not say it.
    fn blame(&self, batch: &Batch<'_>, step: usize, fault: &Fault) -> Option<String> {
        let Fault::Database(error) = fault else {
            return None;
        };
        let step = batch.steps.get(step)?;
        let table = self.tables.get(&step.layout.table)?;
        let code = error.code()?;
        let code = code.as_str();
        // cannot_coerce: the statement was not taken, and says only which types.
        if code == "42846" {
            let plan = Plan::new(&step.layout, &step.action, table, &self.postgis, key(step).2).ok()?;
            return plan.blame_cast(step, table, &error.to_string());
        }
        // string_data_right_truncation, numeric_value_out_of_range, invalid_text_representation and the like
        if !code.starts_with("22") {
            return None;
        }
        let prepared = self.prepared.get(&key(step))?;
        prepared
            .plan
            .blame(batch, step, table, &self.postgis, &error.to_string())
    }

    /// A step's parts; `guessing`: new rows may go by a COPY of their own.
    async fn parts<'a>(
        &mut self,
        batch: &Batch<'_>,
        (i, step): (usize, &'a Step),
        guessing: bool,
        parts: &mut Vec<Part<'a>>,
    ) -> Result<(), Fault> {
        if step.action == Action::Truncate {
            parts.push(Part::of(i, &[][..], None));
            return Ok(());
        }
        let is_fresh = |row: &u32| batch.rows.get(*row as usize).is_some_and(|row| row.fresh);
        if guessing
            && matches!(step.action, Action::Write(InsertMode::Upsert, _))
            && step.rows.iter().filter(|row| is_fresh(row)).count() >= COPY_ROWS
            && self.guesses.may(&step.layout.table)
        {
            let (id, action, _) = key(step);
            let prepared = self.prepare(step, (id, action, true)).await?;
            if prepared.plan.copy {
                let (fresh, rest): (Vec<u32>, Vec<u32>) = step.rows.iter().partition(|row| is_fresh(row));
                parts.push(Part {
                    guessed: true,
                    ..Part::of(i, fresh, Some(prepared))
                });
                if !rest.is_empty() {
                    let prepared = self.prepare(step, key(step)).await?;
                    parts.push(Part::of(i, rest, Some(prepared)));
                }
                return Ok(());
            }
        }
        let prepared = self.prepare(step, key(step)).await?;
        parts.push(Part::of(i, &*step.rows, Some(prepared)));
        Ok(())
    }

    /// Writes a batch; with `guessing`, a failure says whether it may be a guess's.
    async fn write_steps(&mut self, batch: &Batch<'_>, guessing: bool) -> Result<(), Unwritten> {
        // All of them before the first is sent: the answers of a transaction come in its order.
        let mut parts = Vec::with_capacity(batch.steps.len());
        for (i, step) in batch.steps.iter().enumerate() {
            let made = self.parts(batch, (i, step), guessing, &mut parts).await;
            made.map_err(|fault| Unwritten::at(Some(i), fault))?;
        }
        let result = self.write_parts(batch, &parts).await;
        for part in parts.iter().filter(|part| part.guessed) {
            if let Some(step) = batch.steps.get(part.step) {
                match &result {
                    Ok(()) => self.guesses.held(&step.layout.table),
                    Err((at, _)) if at.is_none_or(|at| at == part.step) => {
                        self.guesses.refuted(&step.layout.table);
                    }
                    Err(_) => {}
                }
            }
        }
        result.map_err(|(step, fault)| Unwritten {
            step,
            fault,
            guessed: parts.iter().any(|part| part.guessed),
        })
    }

    async fn write_parts(
        &mut self,
        batch: &Batch<'_>,
        parts: &[Part<'_>],
    ) -> Result<(), (Option<usize>, Fault)> {
        let written = within(WRITE_TIMEOUT, async {
            let session = self.session()?;
            let (first, alone) = first_message(batch, parts)?;
            let mut transaction = Transaction::begin(session, alone).await;
            if !batch.advance.is_empty() {
                let advance = sql::each_changes_one(&batch.advance);
                transaction.simple(Some(ADVANCE), advance).await;
            }
            match self.send_parts(&mut transaction, batch, parts, first).await {
                Ok(()) => Ok(transaction.commit().await),
                Err(error) => {
                    transaction.roll_back().await;
                    Err(error.into())
                }
            }
        });
        let written = written.await.map_err(|fault| (None, fault))?;
        written.map_err(|(at, error)| match at {
            // Only the statement of offsets divides.
            Some(ADVANCE) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
                (None, offsets::fenced_somewhere().into())
            }
            at => (at.filter(|at| *at != ADVANCE), error.into()),
        })
    }

    /// Sends what the parts ask for.
    ///
    /// # Errors
    /// Our own, before the server has said anything.
    async fn send_parts(
        &self,
        transaction: &mut Transaction<'_>,
        batch: &Batch<'_>,
        parts: &[Part<'_>],
        mut first: Option<Message>,
    ) -> Result<()> {
        for part in parts {
            let i = part.step;
            let Some(step) = batch.steps.get(i) else { continue };
            let Some(prepared) = &part.prepared else {
                let table = &self.table(&step.layout.table)?.sql_name;
                transaction
                    .simple(Some(i), format!("TRUNCATE TABLE {table}"))
                    .await;
                continue;
            };
            let (plan, Some(statement)) = (&prepared.plan, &prepared.statement) else {
                continue;
            };
            if plan.copy {
                let mut left = Copying::of(&part.rows);
                let next = || plan.copied(batch, step, &mut left);
                transaction.copy(Some(i), statement, next).await?;
                continue;
            }
            let mut rows = &*part.rows;
            while !rows.is_empty() && !transaction.is_over() {
                let (arrays, count) = match first.take() {
                    Some(first) => first,
                    None => plan.arrays(batch, step, rows)?,
                };
                transaction.execute(Some(i), statement.clone(), arrays).await;
                rows = rows.get(count..).unwrap_or_default();
            }
        }
        Ok(())
    }
}

/// A message's parameters, and how many rows they are.
type Message = (Vec<ArrayParameter>, usize);

/// Why a batch was not written.
struct Unwritten {
    /// The step that failed, where known.
    step: Option<usize>,
    fault: Fault,
    /// Rows were taken to be new.
    guessed: bool,
}

impl Unwritten {
    fn at(step: Option<usize>, fault: Fault) -> Self {
        Self {
            step,
            fault,
            guessed: false,
        }
    }

    /// Whether to write the batch without guessing, which then succeeds, or has the error that is to be told.
    fn may_be_a_guess(&self) -> bool {
        self.guessed && self.fault.is_of_rows()
    }
}

/// The message of a batch that has one part, and whether that is all of the batch, which then commits by itself.
fn first_message(batch: &Batch<'_>, parts: &[Part<'_>]) -> Result<(Option<Message>, bool)> {
    let (true, [step], [part]) = (batch.advance.is_empty(), &*batch.steps, parts) else {
        return Ok((None, false));
    };
    let Some(prepared) = &part.prepared else {
        return Ok((None, false));
    };
    if prepared.plan.copy || prepared.statement.is_none() {
        return Ok((None, true));
    }
    let first = prepared.plan.arrays(batch, step, &part.rows)?;
    let alone = first.1 == part.rows.len();
    Ok((Some(first), alone))
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
        let result = match self.write_steps(batch, true).await {
            Err(unwritten) if unwritten.may_be_a_guess() => {
                tracing::debug!(fault = ?unwritten.fault, "rows that were taken to be new are there, or do not fit");
                self.write_steps(batch, false).await
            }
            result => result,
        };
        match result {
            Ok(()) => Ok(()),
            Err(Unwritten { step, fault, .. }) => {
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
