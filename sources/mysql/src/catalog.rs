//! What the server says of itself: its settings, its log, its tables.

use std::collections::HashMap;

use tapline_api::{Error, Result};
use tapline_databases::mysql::{self, literal, qualified};

use crate::config::Options;
use crate::ddl::Flavor;
use crate::position::Place;
use crate::schema::TableId;
use crate::wire::Connection;

/// A session for queries.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) connection: Connection,
    flavor: Flavor,
}

/// What matters of the server's settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    pub(crate) logs: bool,
    pub(crate) format: String,
    pub(crate) image: String,
    pub(crate) gtids: bool,
    /// `NONE` or `CRC32`.
    pub(crate) checksum: String,
    /// Names of tables are the same in any case.
    pub(crate) ignore_case: bool,
    pub(crate) charset: String,
    pub(crate) collation: String,
    /// MySQL's transactions that the log does not have any more.
    pub(crate) purged: String,
    pub(crate) executed: String,
}

/// The end of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) file: String,
    pub(crate) pos: u64,
    pub(crate) gtids: Option<String>,
}

impl End {
    /// Without the GTIDs.
    pub(crate) fn place(&self) -> Place {
        (self.file.clone(), self.pos)
    }
}

/// The kernel's buffer for a connection by which much comes: what gathers between two reads must fit.
pub(crate) const RECEIVE_BUFFER: usize = 4 << 20;

impl Catalog {
    /// Connects, and runs `database.initial.statements`.
    pub(crate) async fn connect(options: &Options) -> Result<Self> {
        Self::connect_by(options, &options.settings).await
    }

    /// The same, for much that is to be read.
    pub(crate) async fn connect_to_read(options: &Options) -> Result<Self> {
        let mut settings = options.settings.clone();
        settings.receive_buffer = Some(RECEIVE_BUFFER);
        Self::connect_by(options, &settings).await
    }

    async fn connect_by(options: &Options, settings: &mysql::Settings) -> Result<Self> {
        let mut connection = Connection::open(settings, options.query_timeout).await?;
        for statement in &options.initial_statements {
            connection.execute(statement).await?;
        }
        Ok(Self {
            connection,
            flavor: options.flavor,
        })
    }

    /// The first field of the first row.
    async fn value(&mut self, sql: &str) -> Result<Option<String>, mysql::Error> {
        let rows = self.connection.query(sql).await?;
        Ok(rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten()))
    }

    async fn variable(&mut self, name: &str) -> Result<String> {
        let rows = self
            .connection
            .query(&format!("SHOW GLOBAL VARIABLES LIKE {}", literal(name)))
            .await?;
        let value = rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(1).flatten());
        Ok(value.unwrap_or_default())
    }

    /// Looks at the settings.
    pub(crate) async fn server(&mut self) -> Result<Server> {
        let mariadb = self.connection.version.contains("MariaDB");
        if mariadb != (self.flavor == Flavor::MariaDb) {
            let (found, wanted) = match mariadb {
                true => ("MariaDB", "io.debezium.connector.mariadb.MariaDbConnector"),
                false => ("MySQL", "io.debezium.connector.mysql.MySqlConnector"),
            };
            tracing::warn!("the server is {found}; {wanted} is the connector for it");
        }
        let lower = self.variable("lower_case_table_names").await?;
        let mysql = self.flavor == Flavor::MySql;
        Ok(Server {
            logs: self.variable("log_bin").await?.eq_ignore_ascii_case("ON"),
            format: self.variable("binlog_format").await?,
            image: self.variable("binlog_row_image").await?,
            gtids: !mysql || self.variable("gtid_mode").await?.eq_ignore_ascii_case("ON"),
            checksum: self.variable("binlog_checksum").await?,
            ignore_case: lower != "0",
            charset: self.variable("character_set_server").await?,
            collation: self.variable("collation_server").await?,
            purged: match mysql {
                true => self.variable("gtid_purged").await?.replace(['\n', '\r'], ""),
                false => String::new(),
            },
            executed: match mysql {
                true => self.variable("gtid_executed").await?.replace(['\n', '\r'], ""),
                false => self.variable("gtid_binlog_pos").await?,
            },
        })
    }

    /// The server's clock, in seconds since 1970.
    pub(crate) async fn now(&mut self) -> Result<i64> {
        let now = self.value("SELECT UNIX_TIMESTAMP()").await?;
        now.and_then(|text| text.split('.').next()?.parse().ok())
            .ok_or_else(|| Error::fatal("the server's clock is unreadable"))
    }

    /// Where the log ends.
    pub(crate) async fn end(&mut self) -> Result<End> {
        let mut rows = self.connection.query("SHOW MASTER STATUS").await;
        // MySQL 8.2 has renamed it, 8.4 forgotten the old name.
        if matches!(&rows, Err(error) if error.code() == Some(1064)) {
            rows = self.connection.query("SHOW BINARY LOG STATUS").await;
        }
        let row = rows?.into_iter().next().unwrap_or_default();
        let field = |index: usize| row.get(index).cloned().flatten().unwrap_or_default();
        let (file, pos) = (field(0), field(1).parse().unwrap_or(4));
        if file.is_empty() {
            return Err(Error::config("the server writes no binary log").hint("start it with log_bin"));
        }
        let gtids = match self.flavor {
            Flavor::MySql => field(4).replace(['\n', '\r'], ""),
            Flavor::MariaDb => self
                .value("SELECT @@GLOBAL.gtid_binlog_pos")
                .await?
                .unwrap_or_default(),
        };
        Ok(End {
            file,
            pos,
            gtids: Some(gtids).filter(|gtids| !gtids.is_empty()),
        })
    }

    /// The files of the log, and their sizes.
    pub(crate) async fn logs(&mut self) -> Result<Vec<(String, u64)>> {
        let rows = self.connection.query("SHOW BINARY LOGS").await?;
        let log = |row: Vec<Option<String>>| {
            let mut fields = row.into_iter().flatten();
            Some((fields.next()?, fields.next()?.parse().ok()?))
        };
        Ok(rows.into_iter().filter_map(log).collect())
    }

    /// MariaDB's transactions before the oldest file of the log.
    pub(crate) async fn oldest_gtids(&mut self) -> Result<Option<String>> {
        let Some((file, _)) = self.logs().await?.into_iter().next() else {
            return Ok(None);
        };
        let sql = format!("SELECT BINLOG_GTID_POS({}, 4)", literal(&file));
        Ok(self.value(&sql).await?)
    }

    /// All tables, but the server's own.
    pub(crate) async fn tables(&mut self) -> Result<Vec<TableId>> {
        let rows = self
            .connection
            .query(
                "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', \
                 'SYSTEM VERSIONED') AND table_schema NOT IN ('mysql', 'performance_schema', 'sys', \
                 'information_schema') ORDER BY 1, 2",
            )
            .await?;
        let table = |row: Vec<Option<String>>| {
            let mut fields = row.into_iter().flatten();
            Some(TableId::new(fields.next()?, fields.next()?))
        };
        Ok(rows.into_iter().filter_map(table).collect())
    }

    /// How many rows and bytes a table has, as the server reckons; no bytes where rows don't lie in the order of a key.
    pub(crate) async fn size(&mut self, table: &TableId) -> Result<(u64, u64)> {
        let sql = format!(
            "SELECT table_rows, IF(engine = 'InnoDB', data_length, 0) FROM information_schema.tables WHERE table_schema = {} AND table_name = {}",
            literal(&table.database),
            literal(&table.table)
        );
        let row = self.connection.query(&sql).await?.into_iter().next();
        let mut fields = row.unwrap_or_default().into_iter();
        let mut number = || {
            fields
                .next()
                .flatten()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0)
        };
        Ok((number(), number()))
    }

    /// How many rows tables have, as the server reckons.
    pub(crate) async fn row_counts(&mut self) -> Result<HashMap<TableId, i64>> {
        let sql = "SELECT table_schema, table_name, table_rows FROM information_schema.tables WHERE table_type IN \
                   ('BASE TABLE', 'SYSTEM VERSIONED')";
        let rows = self.connection.query(sql).await?;
        let count = |row: Vec<Option<String>>| {
            let mut fields = row.into_iter().flatten();
            let id = TableId::new(fields.next()?, fields.next()?);
            Some((id, fields.next()?.parse().ok()?))
        };
        Ok(rows.into_iter().filter_map(count).collect())
    }

    /// The statement that would make the table.
    pub(crate) async fn create_table(&mut self, table: &TableId) -> Result<Option<String>> {
        let sql = format!("SHOW CREATE TABLE {}", qualified(&table.database, &table.table));
        match self.connection.query(&sql).await {
            Ok(rows) => Ok(rows
                .into_iter()
                .next()
                .and_then(|row| row.into_iter().nth(1).flatten())),
            // It was dropped in between.
            Err(error) if matches!(error.code(), Some(1146 | 1049)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A database's character set and collation.
    pub(crate) async fn database_charset(&mut self, database: &str) -> Result<Option<(String, String)>> {
        let sql = format!(
            "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE \
             schema_name = {}",
            literal(database)
        );
        let row = self.connection.query(&sql).await?.into_iter().next();
        Ok(row.and_then(|row| {
            let mut fields = row.into_iter().flatten();
            Some((fields.next()?, fields.next()?))
        }))
    }
}
