//! What the system catalogs say: tables, types, keys, the slot, the server itself. Plain SQL over one session.

mod ahead;
mod bulk;

use std::collections::HashMap;
use std::time::Duration;

use tapline_api::{Error, Result};
use tapline_databases::postgres::{self, Session, Settings};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::config::Options;
use crate::lsn::Lsn;
use crate::table::{Column, Table};
use crate::types::{Kind, PgType};

pub(crate) use ahead::Ahead;

/// A SQL session with what it has learnt.
#[derive(Debug)]
pub(crate) struct Catalog {
    session: Session,
    timeout: Duration,
    types: HashMap<u32, TypeRow>,
    /// What is asked of table after table, parsed by the server once.
    statements: HashMap<&'static str, Statement>,
    /// Tables that were read ahead.
    ahead: HashMap<(String, String), Table>,
    sizes: HashMap<(String, String), u64>,
}

#[derive(Debug, Clone)]
struct TypeRow {
    name: String,
    element: Option<u32>,
    base: Option<u32>,
    modifier: i32,
    labels: Option<Vec<String>>,
    composite: bool,
}

/// A replication slot as `pg_replication_slots` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) plugin: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) active_pid: Option<i32>,
    pub(crate) confirmed: Option<Lsn>,
    pub(crate) wal_status: Option<String>,
    /// Whether standbys keep a copy of it (17+).
    pub(crate) failover: bool,
}

/// What the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// As `server_version_num`: 150018.
    pub(crate) version: u32,
    pub(crate) wal_level: String,
    pub(crate) standby: bool,
    pub(crate) may_log_in_and_replicate: bool,
    /// `wal_sender_timeout`: how long the server waits for a word of ours; zero for ever.
    pub(crate) sender_timeout: Duration,
}

/// What creating a publication needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublishingRights {
    pub(crate) superuser: bool,
    /// CREATE on the database.
    pub(crate) create: bool,
}

/// The control session's own settings: expressions of defaults are printed by them.
fn control_settings(options: &Options) -> Settings {
    let mut settings = options.settings.clone();
    settings.application_name = "tapline control".to_owned();
    for (name, value) in [
        ("DateStyle", "ISO"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"),
    ] {
        settings.parameters.push((name.to_owned(), value.to_owned()));
    }
    settings
}

impl Catalog {
    /// Connects; runs `database.initial.statements` when `with_statements` says so.
    pub(crate) async fn connect(options: &Options, with_statements: bool) -> Result<Self> {
        let session = postgres::connect(&control_settings(options)).await?;
        let catalog = Self {
            session,
            timeout: options.query_timeout,
            types: HashMap::new(),
            statements: HashMap::new(),
            ahead: HashMap::new(),
            sizes: HashMap::new(),
        };
        if with_statements {
            for statement in &options.initial_statements {
                catalog.execute(statement).await?;
            }
        }
        Ok(catalog)
    }

    async fn rows(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, postgres::Error> {
        match tokio::time::timeout(self.timeout, self.session.query(sql, parameters)).await {
            Ok(rows) => Ok(rows?),
            Err(_) => Err(self.too_long()),
        }
    }

    /// The same, of what is asked often.
    async fn rows_of(
        &mut self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, postgres::Error> {
        let asking = async {
            let statement = match self.statements.get(sql) {
                Some(statement) => statement.clone(),
                None => {
                    let statement = self.session.prepare(sql).await?;
                    self.statements.insert(sql, statement.clone());
                    statement
                }
            };
            self.session.query(&statement, parameters).await
        };
        match tokio::time::timeout(self.timeout, asking).await {
            Ok(rows) => Ok(rows?),
            Err(_) => Err(self.too_long()),
        }
    }

    fn too_long(&self) -> postgres::Error {
        postgres::Error::Timeout(format!(
            "a query of the catalog took longer than database.query.timeout.ms ({} ms)",
            self.timeout.as_millis()
        ))
    }

    /// Runs statements whose result does not matter.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), postgres::Error> {
        match tokio::time::timeout(self.timeout, self.session.batch_execute(sql)).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(postgres::Error::Timeout(format!(
                "a statement took longer than database.query.timeout.ms ({} ms)",
                self.timeout.as_millis()
            ))),
        }
    }

    /// The server and this user's rights.
    pub(crate) async fn server(&self) -> Result<Server> {
        let sql = "SELECT current_setting('server_version_num')::int4, current_setting('wal_level'), \
                   pg_is_in_recovery(), \
                   (SELECT r.rolcanlogin AND (r.rolreplication OR r.rolsuper OR EXISTS (\
                      SELECT FROM pg_auth_members m JOIN pg_roles b ON m.roleid = b.oid WHERE m.member = r.oid AND \
                      b.rolname IN ('rds_superuser', 'rdsadmin', 'rdsrepladmin', 'rds_replication'))) \
                    FROM pg_roles r WHERE r.rolname = current_user), \
                   (SELECT setting::int8 FROM pg_settings WHERE name = 'wal_sender_timeout')";
        let row = one(self.rows(sql, &[]).await?)?;
        Ok(Server {
            version: u32::try_from(cell::<i32>(&row, 0)?).unwrap_or(0),
            wal_level: cell(&row, 1)?,
            standby: cell(&row, 2)?,
            may_log_in_and_replicate: cell::<Option<bool>>(&row, 3)?.unwrap_or(false),
            sender_timeout: Duration::from_millis(
                cell::<Option<i64>>(&row, 4)?
                    .and_then(|ms| u64::try_from(ms).ok())
                    .unwrap_or(0),
            ),
        })
    }

    /// What this user may do that creating a publication needs.
    pub(crate) async fn publishing_rights(&self) -> Result<PublishingRights> {
        let sql = "SELECT r.rolsuper OR EXISTS (SELECT FROM pg_roles b WHERE b.rolname = 'rds_superuser' AND \
                   pg_has_role(b.oid, 'MEMBER')), has_database_privilege(current_database(), 'CREATE') \
                   FROM pg_roles r WHERE r.rolname = current_user";
        let row = one(self.rows(sql, &[]).await?)?;
        Ok(PublishingRights {
            superuser: cell(&row, 0)?,
            create: cell(&row, 1)?,
        })
    }

    /// Those of `tables` that this user does not own, and so may not publish.
    pub(crate) async fn tables_of_others(
        &self,
        tables: &[(String, String)],
    ) -> Result<Vec<(String, String)>> {
        let sql = "SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON c.relnamespace = n.oid \
                   JOIN unnest($1::text[], $2::text[]) AS w(schema, name) ON n.nspname = w.schema AND c.relname = w.name \
                   WHERE NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1, 2";
        let (schemas, names): (Vec<&str>, Vec<&str>) = tables
            .iter()
            .map(|(schema, table)| (schema.as_str(), table.as_str()))
            .unzip();
        let rows = self.rows(sql, &[&schemas, &names]).await?;
        rows.iter()
            .map(|row| Ok((cell(row, 0)?, cell(row, 1)?)))
            .collect()
    }

    /// The id of a transaction of our own, as Debezium's snapshots give it; 0 on a standby.
    pub(crate) async fn current_transaction(&self) -> Result<i64> {
        let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE txid_current() END";
        cell(&one(self.rows(sql, &[]).await?)?, 0)
    }

    /// All tables and partitioned tables, sorted by name; whether they came with the database.
    pub(crate) async fn tables(&self) -> Result<Vec<(String, String, bool)>> {
        let sql = "SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON c.relnamespace = n.oid \
                   WHERE c.relkind IN ('r', 'p') ORDER BY 1, 2";
        let rows = self.rows(sql, &[]).await?;
        rows.iter()
            .map(|row| {
                let (schema, table): (String, String) = (cell(row, 0)?, cell(row, 1)?);
                let builtin = is_builtin(&schema, &table);
                Ok((schema, table, builtin))
            })
            .collect()
    }

    /// A table with its columns and key, or `None` if there is none of that name.
    pub(crate) async fn table(&mut self, schema: &str, table: &str) -> Result<Option<Table>> {
        if !self.ahead.is_empty()
            && let Some(found) = self.ahead.remove(&(schema.to_owned(), table.to_owned()))
        {
            return Ok(Some(found));
        }
        let sql = "SELECT a.attname::text, a.atttypid, a.atttypmod, \
                   a.attnotnull OR (t.typtype = 'd' AND t.typnotnull), \
                   pg_get_expr(d.adbin, d.adrelid), a.attgenerated <> '', \
                   c.relkind = 'r' AND NOT c.relhassubclass \
                   FROM pg_attribute a JOIN pg_class c ON a.attrelid = c.oid \
                   JOIN pg_namespace n ON c.relnamespace = n.oid JOIN pg_type t ON a.atttypid = t.oid \
                   LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
                   WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') \
                   AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
        let rows = self.rows_of(sql, &[&schema, &table]).await?;
        let oids: Vec<u32> = rows.iter().map(|row| cell(row, 1)).collect::<Result<_>>()?;
        self.learn_types(oids).await?;
        let mut columns = Vec::with_capacity(rows.len());
        let mut plain = true;
        for row in &rows {
            plain &= cell::<bool>(row, 6)? && !cell::<bool>(row, 5)?;
            columns.push(Column {
                name: cell(row, 0)?,
                of: self.type_of(cell(row, 1)?, 0),
                modifier: cell(row, 2)?,
                optional: !cell::<bool>(row, 3)?,
                default: cell(row, 4)?,
                generated: cell(row, 5)?,
                identity: false,
            });
        }
        if columns.is_empty() && !self.exists(schema, table).await? {
            return Ok(None);
        }
        let names = self.key(schema, table).await?;
        let position = |name: &String| columns.iter().position(|column| column.name == *name);
        let key = names.iter().filter_map(position).collect();
        Ok(Some(Table {
            schema: schema.to_owned(),
            name: table.to_owned(),
            columns,
            key,
            plain,
        }))
    }

    async fn exists(&self, schema: &str, table: &str) -> Result<bool> {
        let sql = "SELECT FROM pg_class c JOIN pg_namespace n ON c.relnamespace = n.oid \
                   WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')";
        Ok(!self.rows(sql, &[&schema, &table]).await?.is_empty())
    }

    /// The primary key's columns in its order; failing one, those of the first unique index on plain columns, which is
    /// what Debezium takes.
    async fn key(&mut self, schema: &str, table: &str) -> Result<Vec<String>> {
        let sql = "SELECT i.indexrelid, a.attname::text FROM pg_index i \
                   JOIN pg_class c ON i.indrelid = c.oid JOIN pg_namespace n ON c.relnamespace = n.oid \
                   JOIN pg_class ic ON i.indexrelid = ic.oid \
                   CROSS JOIN LATERAL unnest(CASE WHEN i.indisprimary THEN i.indkey[0:i.indnkeyatts - 1] ELSE i.indkey END) \
                   WITH ORDINALITY AS k(attnum, place) \
                   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
                   WHERE n.nspname = $1 AND c.relname = $2 AND i.indisunique AND i.indisvalid \
                   AND 0 <> ALL (i.indkey[0:i.indnkeyatts - 1]) \
                   ORDER BY i.indisprimary DESC, i.indisclustered DESC, ic.relname, k.place";
        let rows = self.rows_of(sql, &[&schema, &table]).await?;
        let mut first = None;
        let mut names = Vec::new();
        for row in &rows {
            let index: u32 = cell(row, 0)?;
            if *first.get_or_insert(index) == index {
                names.push(cell(row, 1)?);
            }
        }
        Ok(names)
    }

    /// The types of these oids, in order.
    pub(crate) async fn types(&mut self, oids: &[u32]) -> Result<Vec<PgType>> {
        self.learn_types(oids.to_vec()).await?;
        Ok(oids.iter().map(|oid| self.type_of(*oid, 0)).collect())
    }

    async fn learn_types(&mut self, mut wanted: Vec<u32>) -> Result<()> {
        let sql = "SELECT t.oid, t.typname::text, (SELECT e.oid FROM pg_type e WHERE e.typarray = t.oid), \
                   NULLIF(t.typbasetype, 0), t.typtypmod, t.typtype = 'c', \
                   CASE WHEN t.typtype = 'e' THEN (SELECT array_agg(l.enumlabel::text ORDER BY l.enumsortorder) \
                   FROM pg_enum l WHERE l.enumtypid = t.oid) END \
                   FROM pg_type t WHERE t.oid = ANY($1)";
        loop {
            wanted.retain(|oid| !self.types.contains_key(oid));
            if wanted.is_empty() {
                return Ok(());
            }
            let rows = self.rows(sql, &[&wanted]).await?;
            // A type that has gone since is known to be unknown.
            for oid in wanted.drain(..) {
                self.types.insert(oid, TypeRow::unknown());
            }
            for row in &rows {
                let found = TypeRow {
                    name: cell(row, 1)?,
                    element: cell(row, 2)?,
                    base: cell(row, 3)?,
                    modifier: cell(row, 4)?,
                    composite: cell(row, 5)?,
                    labels: cell(row, 6)?,
                };
                wanted.extend(found.element.iter().chain(&found.base));
                self.types.insert(cell(row, 0)?, found);
            }
        }
    }

    fn type_of(&self, oid: u32, depth: usize) -> PgType {
        let Some(row) = self.types.get(&oid).filter(|_| depth < 32) else {
            return PgType {
                oid,
                name: oid.to_string(),
                kind: Kind::Other,
            };
        };
        let kind = if let Some(element) = row.element {
            Kind::Array(Box::new(self.type_of(element, depth + 1)))
        } else if let Some(base) = row.base {
            Kind::Domain {
                of: Box::new(self.type_of(base, depth + 1)),
                modifier: row.modifier,
            }
        } else if let Some(labels) = &row.labels {
            Kind::Enum(labels.clone())
        } else if row.composite {
            Kind::Other
        } else {
            Kind::Base
        };
        PgType {
            oid,
            name: row.name.clone(),
            kind,
        }
    }

    /// The slot of this name.
    pub(crate) async fn slot(&self, name: &str) -> Result<Option<Slot>> {
        // As JSON, since servers before 17 have no such column.
        let sql = "SELECT plugin::text, database::text, active_pid, confirmed_flush_lsn::text, wal_status, \
                   COALESCE((to_jsonb(s) ->> 'failover')::bool, false) \
                   FROM pg_replication_slots s WHERE slot_name = $1";
        let rows = self.rows(sql, &[&name]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let confirmed: Option<String> = cell(row, 3)?;
        Ok(Some(Slot {
            plugin: cell(row, 0)?,
            database: cell(row, 1)?,
            active_pid: cell(row, 2)?,
            confirmed: confirmed.and_then(|text| text.parse().ok()),
            wal_status: cell(row, 4)?,
            failover: cell(row, 5)?,
        }))
    }

    /// The oldest transaction whose catalog rows the slot keeps.
    pub(crate) async fn slot_xmin(&self, name: &str) -> Result<Option<i64>> {
        let sql = "SELECT catalog_xmin::text::int8 FROM pg_replication_slots WHERE slot_name = $1";
        let rows = self.rows(sql, &[&name]).await?;
        rows.first()
            .map(|row| cell(row, 0))
            .transpose()
            .map(Option::flatten)
    }

    /// Whether the publication is for all tables; `None` if there is none of that name.
    pub(crate) async fn publication(&self, name: &str) -> Result<Option<bool>> {
        let sql = "SELECT puballtables FROM pg_publication WHERE pubname = $1";
        self.rows(sql, &[&name])
            .await?
            .first()
            .map(|row| cell(row, 0))
            .transpose()
    }

    /// The tables of a publication, sorted.
    pub(crate) async fn publication_tables(&self, name: &str) -> Result<Vec<(String, String)>> {
        let sql = "SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = $1 ORDER BY 1, 2";
        self.rows(sql, &[&name])
            .await?
            .iter()
            .map(|row| Ok((cell(row, 0)?, cell(row, 1)?)))
            .collect()
    }

    /// Transactions that a new slot has to wait for, the oldest first, in words.
    pub(crate) async fn old_transactions(&self) -> Result<Vec<String>> {
        let sql = "SELECT format('pid %s (%s, %s) since %s', pid, usename, state, \
                   date_trunc('second', xact_start)) FROM pg_stat_activity \
                   WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() \
                   UNION ALL SELECT format('prepared transaction %L since %s', gid, date_trunc('second', prepared)) \
                   FROM pg_prepared_xacts LIMIT 10";
        self.rows(sql, &[])
            .await?
            .iter()
            .map(|row| cell(row, 0))
            .collect()
    }

    /// All that was committed before here can be seen.
    async fn visible_lsn(&mut self) -> Result<Lsn> {
        let sql = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                   ELSE pg_current_wal_flush_lsn() END)::text";
        let text: String = cell(&one(self.rows_of(sql, &[]).await?)?, 0)?;
        text.parse().map_err(Error::fatal)
    }

    /// Where the server's log ends, with what is not on disk yet.
    pub(crate) async fn written_lsn(&self) -> Result<Lsn> {
        let sql = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() \
                   ELSE pg_current_wal_insert_lsn() END)::text";
        let text: String = cell(&one(self.rows(sql, &[]).await?)?, 0)?;
        text.parse().map_err(Error::fatal)
    }

    /// Where the server's log ends.
    pub(crate) async fn current_lsn(&self) -> Result<Lsn> {
        let sql = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() \
                   ELSE pg_current_wal_lsn() END)::text";
        let text: String = cell(&one(self.rows(sql, &[]).await?)?, 0)?;
        text.parse().map_err(Error::fatal)
    }
}

impl TypeRow {
    fn unknown() -> Self {
        Self {
            name: "unknown".to_owned(),
            element: None,
            base: None,
            modifier: -1,
            labels: None,
            composite: true,
        }
    }
}

/// `table.ignore.builtin` is about these.
pub(crate) fn is_builtin(schema: &str, table: &str) -> bool {
    matches!(
        schema.to_lowercase().as_str(),
        "pg_catalog" | "information_schema"
    ) || schema.starts_with("pg_temp")
        || table.eq_ignore_ascii_case("spatial_ref_sys")
}

fn one(rows: Vec<Row>) -> Result<Row> {
    rows.into_iter()
        .next()
        .ok_or_else(|| Error::fatal("the catalog gave no row where one was asked for"))
}

fn cell<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index)
        .map_err(|error| Error::fatal(format!("the catalog gave an unreadable value: {error}")))
}

/// What only `doctor` asks.
impl Catalog {
    /// `relreplident`: d, n, f or i.
    pub(crate) async fn replica_identity(&self, schema: &str, table: &str) -> Result<String> {
        let sql = "SELECT c.relreplident::text FROM pg_class c JOIN pg_namespace n ON c.relnamespace = n.oid \
                   WHERE n.nspname = $1 AND c.relname = $2";
        Ok(self
            .rows(sql, &[&schema, &table])
            .await?
            .first()
            .map(|row| cell(row, 0))
            .transpose()?
            .unwrap_or_default())
    }

    /// The same with the name of the identity's index.
    pub(crate) async fn replica_identity_index(
        &self,
        schema: &str,
        table: &str,
    ) -> Result<(String, Option<String>)> {
        let sql = "SELECT c.relreplident::text, (SELECT ic.relname::text FROM pg_index i \
                   JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisreplident) \
                   FROM pg_class c JOIN pg_namespace n ON c.relnamespace = n.oid \
                   WHERE n.nspname = $1 AND c.relname = $2";
        let rows = self.rows(sql, &[&schema, &table]).await?;
        match rows.first() {
            Some(row) => Ok((cell(row, 0)?, cell(row, 1)?)),
            None => Ok((String::new(), None)),
        }
    }

    /// Bytes of log that the slot holds back.
    pub(crate) async fn retained(&self, slot: &str) -> Result<Option<i64>> {
        let sql = "SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() \
                   ELSE pg_current_wal_lsn() END, restart_lsn)::int8 FROM pg_replication_slots WHERE slot_name = $1";
        let rows = self.rows(sql, &[&slot]).await?;
        rows.first()
            .map(|row| cell(row, 0))
            .transpose()
            .map(Option::flatten)
    }

    /// Whether the table has a primary key.
    pub(crate) async fn has_primary_key(&self, schema: &str, table: &str) -> Result<bool> {
        let sql = "SELECT FROM pg_index i JOIN pg_class c ON i.indrelid = c.oid \
                   JOIN pg_namespace n ON c.relnamespace = n.oid \
                   WHERE n.nspname = $1 AND c.relname = $2 AND i.indisprimary";
        Ok(!self.rows(sql, &[&schema, &table]).await?.is_empty())
    }

    /// Whether this user may read the table.
    pub(crate) async fn may_select(&self, schema: &str, table: &str) -> Result<bool> {
        let sql = "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') \
                   FROM pg_class c JOIN pg_namespace n ON c.relnamespace = n.oid WHERE n.nspname = $1 AND c.relname = $2";
        Ok(self
            .rows(sql, &[&schema, &table])
            .await?
            .first()
            .map(|row| cell(row, 0))
            .transpose()?
            .unwrap_or(false))
    }
}
