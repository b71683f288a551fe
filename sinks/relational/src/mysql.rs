//! MySQL and MariaDB as targets.
//!
//! Each task has one session. A step is as many multi-row statements of plain text as its rows need: a text statement
//! needs no preparation, whatever the number of its rows, and takes one round trip. A batch of one statement commits by
//! itself; more are one transaction.
//!
//! The session's time zone is UTC, in which TIMESTAMP columns are given; its SQL mode is strict, so that nothing is cut off,
//! and takes zero for a key (`NO_AUTO_VALUE_ON_ZERO`).

mod bind;
mod catalog;
mod column;
mod fault;
mod geometry;
mod literal;
mod plan;
mod sql;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tapline_api::{Error, Result};
use tapline_databases::mysql::{self as database, Settings};

use self::catalog::Table;
use self::fault::Fault;
use self::plan::{Limits, Plan};
use crate::batch::{Action, Batch, Step};
use crate::dialect::{self, Failure, Remedy};
use crate::layout::Layout;
use crate::names::TableId;
use crate::offsets::{self, Syntax};
use crate::options::Options;

/// A batch that takes longer is given up, and its session with it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(600);
/// The catalog, and DDL that may wait for a lock.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(60);
/// Plans that are kept.
const MAX_PLANS: usize = 1000;
/// How long a statement becomes before the next is begun, unless the server takes less.
const STATEMENT_BYTES: usize = 1 << 20;
/// A buffer that grew beyond is not kept.
const MAX_SPARE_BYTES: usize = 4 << 20;
/// From this version on MySQL knows an alias of the new row, and deprecates `VALUES()`.
const ROW_ALIAS: (u16, u16, u16) = (8, 0, 20);

const SETUP: [&str; 2] = [
    "SET NAMES utf8mb4",
    "SET SESSION time_zone='+00:00', sql_mode='STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'",
];

/// See the module's documentation.
pub(crate) struct Dialect {
    settings: Settings,
    /// The literal of `use.time.zone`, unless that is UTC.
    zone: Option<String>,
    session: Option<Session>,
    tables: HashMap<TableId, Table>,
    plans: HashMap<(u32, Action), Arc<Plan>>,
    /// The statement in the making.
    buffer: String,
}

struct Session {
    conn: Conn,
    alias: bool,
    limits: Limits,
    /// It broke, or may be in the midst of a transaction.
    broken: bool,
}

fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || a.to_lowercase() == b.to_lowercase()
}

impl Dialect {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let mut settings = Settings::from_url(&options.url).map_err(|error| {
            Error::config(format!("Invalid value for configuration connection.url: {error}"))
        })?;
        if !options.user.is_empty() {
            settings.user.clone_from(&options.user);
        }
        if options.password.is_some() {
            settings.password.clone_from(&options.password);
        }
        let zone = Some(&options.time_zone).filter(|zone| !bind::is_zone_utc(zone));
        Ok(Self {
            settings,
            zone: zone.map(|zone| database::literal(zone)),
            session: None,
            tables: HashMap::new(),
            plans: HashMap::new(),
            buffer: String::new(),
        })
    }

    fn table(&self, id: &TableId) -> Result<&Table> {
        self.tables
            .get(id)
            .ok_or_else(|| Error::fatal(format!("table {id} was not looked up")))
    }

    fn plan(&mut self, step: &Step, alias: bool) -> Result<Arc<Plan>> {
        let key = (step.layout.id, step.action.clone());
        if let Some(plan) = self.plans.get(&key) {
            return Ok(plan.clone());
        }
        let table = self.table(&step.layout.table)?;
        let plan = Arc::new(Plan::new(
            &step.layout,
            &step.action,
            table,
            alias,
            self.zone.as_deref(),
        )?);
        if self.plans.len() >= MAX_PLANS {
            self.plans.clear();
        }
        self.plans.insert(key, plan.clone());
        Ok(plan)
    }

    async fn write_steps(&mut self, batch: &Batch<'_>) -> Result<(), (Option<usize>, Fault)> {
        let Some(mut session) = self.session.take() else {
            let error = Error::retriable("there is no connection to the target");
            return Err((None, error.into()));
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = within(WRITE_TIMEOUT, async {
            Ok(self.transaction(&mut session, batch, &mut buffer).await)
        });
        let result = result.await.unwrap_or_else(|fault| {
            session.broken = true;
            Err((None, fault))
        });
        if buffer.capacity() <= MAX_SPARE_BYTES {
            buffer.clear();
            self.buffer = buffer;
        }
        self.session = Some(session);
        result
    }

    async fn transaction(
        &mut self,
        session: &mut Session,
        batch: &Batch<'_>,
        buffer: &mut String,
    ) -> Result<(), (Option<usize>, Fault)> {
        let mut begun = false;
        let written = self.statements(session, batch, buffer, &mut begun).await;
        let end = match &written {
            _ if !begun => return written,
            Ok(()) => "COMMIT",
            Err(_) => "ROLLBACK",
        };
        let ended = session.conn.query_drop(end).await;
        session.broken |= ended.is_err();
        written.and(ended.map_err(|error| (None, error.into())))
    }

    async fn statements(
        &mut self,
        session: &mut Session,
        batch: &Batch<'_>,
        buffer: &mut String,
        begun: &mut bool,
    ) -> Result<(), (Option<usize>, Fault)> {
        if !batch.advance.is_empty() {
            let nowhere = |error: mysql_async::Error| (None, error.into());
            session
                .conn
                .query_drop("START TRANSACTION")
                .await
                .map_err(nowhere)?;
            *begun = true;
            for update in &batch.advance {
                session.conn.query_drop(update.as_str()).await.map_err(nowhere)?;
                if session.conn.affected_rows() != 1 {
                    return Err((None, offsets::fenced_somewhere().into()));
                }
            }
        }
        let last = batch.steps.len().saturating_sub(1);
        for (i, step) in batch.steps.iter().enumerate() {
            let plan = self
                .plan(step, session.alias)
                .map_err(|error| (Some(i), error.into()))?;
            let mut rows = step.rows.as_slice();
            loop {
                buffer.clear();
                if *begun && step.action == Action::Truncate && !batch.advance.is_empty() {
                    // TRUNCATE would commit.
                    let table = self
                        .table(&step.layout.table)
                        .map_err(|error| (Some(i), error.into()))?;
                    let delete = format!("DELETE FROM {}", table.sql_name);
                    let answer = session.conn.query_drop(delete).await;
                    answer.map_err(|error| (Some(i), error.into()))?;
                    break;
                }
                let count = plan
                    .statement(batch, step, rows, session.limits, buffer)
                    .map_err(|error| (Some(i), error.into()))?;
                rows = rows.get(count..).unwrap_or_default();
                let alone = i == last && rows.is_empty();
                if !*begun && !alone {
                    let answer = session.conn.query_drop("START TRANSACTION").await;
                    answer.map_err(|error| (None, error.into()))?;
                    *begun = true;
                }
                if !buffer.is_empty() {
                    let answer = session.conn.query_drop(buffer.as_str()).await;
                    answer.map_err(|error| (Some(i), error.into()))?;
                }
                if rows.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(database::Error::Timeout(format!("the target did not answer within {limit:?}")).into()),
    }
}

async fn open(settings: &Settings, zone: Option<&str>) -> Result<Session, Fault> {
    let setup = SETUP.map(str::to_owned);
    let mut conn = database::connect(settings, &setup).await?;
    let facts: Option<(String, usize)> = conn.query_first("SELECT VERSION(), @@max_allowed_packet").await?;
    let (version, packet) = facts.unwrap_or_default();
    if version.to_lowercase().contains("mariadb") {
        // A worker that was stopped in the midst of a transaction must not keep its locks from the next owner.
        conn.query_drop("SET SESSION idle_transaction_timeout=60").await?;
    }
    if let Some(zone) = zone {
        let known: Option<Option<String>> = conn
            .query_first(format!(
                "SELECT CONVERT_TZ('2000-01-01 00:00:00','+00:00',{zone})"
            ))
            .await?;
        if known.flatten().is_none() {
            return Err(Error::config(format!(
                "use.time.zone: the server does not know the time zone {zone}"
            ))
            .hint("load its time zones (mysql_tzinfo_to_sql), or give an offset such as +02:00")
            .into());
        }
    }
    // Some room for what stands around the last row.
    let hard = packet.saturating_sub(64 << 10).max(packet / 2);
    Ok(Session {
        alias: !version.to_lowercase().contains("mariadb") && conn.server_version() >= ROW_ALIAS,
        conn,
        limits: Limits {
            soft: STATEMENT_BYTES.min(hard),
            hard,
        },
        broken: false,
    })
}

#[async_trait]
impl dialect::Dialect for Dialect {
    async fn connect(&mut self) -> Result<bool> {
        if self.session.as_ref().is_some_and(|session| !session.broken) {
            return Ok(false);
        }
        self.disconnect();
        let session = within(CATALOG_TIMEOUT, open(&self.settings, self.zone.as_deref())).await;
        self.session = Some(session.map_err(Fault::into_error)?);
        Ok(true)
    }

    fn disconnect(&mut self) {
        self.forget();
        self.session = None;
    }

    async fn columns(&mut self, table: &TableId) -> Result<Option<Vec<String>>> {
        if !self.tables.contains_key(table) {
            let session = self.session.as_mut();
            let session = session.ok_or_else(|| Error::retriable("there is no connection to the target"))?;
            let found = within(CATALOG_TIMEOUT, async {
                Ok(catalog::read(&mut session.conn, table).await?)
            })
            .await;
            session.broken |= found.is_err();
            let Some(found) = found.map_err(Fault::into_error)? else {
                return Ok(None);
            };
            self.tables.insert(table.clone(), found);
        }
        let columns = self.table(table)?.columns.iter();
        Ok(Some(columns.map(|column| column.name.clone()).collect()))
    }

    fn same_column(&self, a: &str, b: &str) -> bool {
        same_name(a, b)
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
        sql::add_columns(&self.table(&layout.table)?.sql_name, &columns)
    }

    fn syntax(&self) -> Syntax {
        Syntax {
            begin: "START TRANSACTION",
            for_update: " FOR UPDATE",
            // Connectors' names have a case.
            table_options: " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB",
        }
    }

    fn literal(&self, text: &str) -> String {
        database::literal(text)
    }

    fn qualified(&self, table: &TableId) -> String {
        sql::table_name(table)
    }

    async fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let session = self.session.as_mut();
        let session = session.ok_or_else(|| Error::retriable("there is no connection to the target"))?;
        let answer = within(CATALOG_TIMEOUT, async { Ok(session.conn.query(sql).await?) }).await;
        let rows: Vec<mysql_async::Row> = answer.map_err(|fault| {
            let failure = fault.into_failure(None, None);
            session.broken |= failure.remedy == Remedy::Reconnect;
            failure.error
        })?;
        let cells = |row: mysql_async::Row| {
            let cells = (0..row.len()).map(|i| row.get::<Option<String>, _>(i).flatten());
            cells.collect::<Vec<_>>()
        };
        Ok(rows.into_iter().map(cells).collect())
    }

    async fn alter(&mut self, table: &TableId, sql: &str) -> Result<()> {
        self.tables.remove(table);
        // A plan knows the columns that were there when it was made.
        self.plans.clear();
        let session = self.session.as_mut();
        let session = session.ok_or_else(|| Error::retriable("there is no connection to the target"))?;
        within(CATALOG_TIMEOUT, async { Ok(session.conn.query_drop(sql).await?) })
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
                Err(fault.into_failure(step, table))
            }
        }
    }
}
