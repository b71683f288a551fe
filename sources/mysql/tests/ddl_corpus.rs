//! The DDL corpus: each statement is run by a real server, and the model that the parser makes is compared with the
//! server's `information_schema`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code stops at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tapline_harness::mysql::{Kind as Server, Mysql};
use tapline_source_mysql::ddl::{self, Dialect, Flavor};
use tapline_source_mysql::schema::{Column, Kind, Table, Tables};

const CORPUS: &str = include_str!("../testdata/ddl-corpus.sql");

#[test]
fn tables_are_as_mysql_has_them() {
    check(&Mysql::start(Server::MySql, &[]), &Dialect::mysql(), "mysql");
}

#[test]
fn tables_are_as_mariadb_has_them() {
    check(
        &Mysql::start(Server::MariaDb, &[]),
        &Dialect::mariadb(),
        "mariadb",
    );
}

fn check(server: &Mysql, dialect: &Dialect, name: &str) {
    let mut failures = Vec::new();
    let mut refused = Vec::new();
    let mut cases = Vec::new();
    let server_charset = server.value("select @@character_set_server");
    for (number, case) in CORPUS.split("\n\n").enumerate() {
        let only = case.lines().find_map(|line| line.strip_prefix("#@ "));
        let text: String = case
            .lines()
            .filter(|line| !line.starts_with("#@ ") && !line.starts_with("# "))
            .map(|line| format!("{line}\n"))
            .collect();
        let text = text.trim().to_owned();
        if text.is_empty() || only.is_some_and(|only| only != name) {
            continue;
        }
        let database = format!("c{number}");
        let statements = statements(&text);
        // One session, so that its modes last.
        let script: String = statements
            .iter()
            .map(|statement| format!("{statement}\n$$\n"))
            .collect();
        let script = format!("create database {database}; use {database};\ndelimiter $$\n{script}");
        if catch_unwind(AssertUnwindSafe(|| server.execute(&script))).is_err() {
            refused.push(text);
            continue;
        }
        let mut tables = Tables::new(false);
        tables.set_server_charset(&server_charset);
        let mut dialect = dialect.clone();
        for statement in &statements {
            if statement.contains("sql_mode") {
                dialect.ansi_quotes = statement.contains("ANSI_QUOTES");
                dialect.no_backslash_escapes = statement.contains("NO_BACKSLASH_ESCAPES");
            }
            if let Err(error) = ddl::apply(&mut tables, &dialect, &database, statement) {
                failures.push(format!("{statement}\n    {error}"));
            }
        }
        cases.push((database, text, tables));
    }
    let real = Real::read(server);
    for (database, text, tables) in &cases {
        real.compare(dialect, database, tables, &mut |difference| {
            failures.push(format!("{text}\n    {difference}"));
        });
    }
    println!(
        "{} cases on {name}, {} refused by the server",
        cases.len(),
        refused.len()
    );
    for refusal in &refused {
        println!("refused: {refusal}");
    }
    assert!(
        failures.is_empty(),
        "{} differences:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(refused.is_empty(), "the server refuses cases");
    assert!(cases.len() > 100);
}

/// Splits at semicolons outside of quotes, comments and bodies.
fn statements(text: &str) -> Vec<String> {
    if text.contains(" begin ") {
        // A body holds semicolons; its statements are separated by `end; ` alone.
        let (head, rest) = text.split_once("; create procedure").unwrap();
        let (body, tail) = rest.split_once("end; ").unwrap();
        return vec![
            head.to_owned(),
            format!("create procedure{body}end"),
            tail.to_owned(),
        ];
    }
    text.split("; ")
        .map(|statement| statement.trim().to_owned())
        .collect()
}

type Row = Vec<Option<String>>;

/// What the server says of all tables: per database and table, its columns' rows and its primary key.
#[derive(Default)]
struct Real(BTreeMap<(String, String), (Vec<Row>, Vec<String>)>);

impl Real {
    fn read(server: &Mysql) -> Self {
        let mut real = Self::default();
        let text = |row: &Row, index: usize| row[index].clone().unwrap_or_default();
        for row in server.rows(
            "select c.table_schema, c.table_name, column_name, column_type, is_nullable, character_set_name \
             from information_schema.columns c join information_schema.tables t \
             on t.table_schema = c.table_schema and t.table_name = c.table_name \
             where table_type in ('BASE TABLE', 'SYSTEM VERSIONED') order by c.table_schema, c.table_name, ordinal_position",
        ) {
            let table = real.0.entry((text(&row, 0), text(&row, 1))).or_default();
            table.0.push(row[2..].to_vec());
        }
        for row in server.rows(
            "select table_schema, table_name, column_name from information_schema.statistics where index_name = 'PRIMARY' \
             order by table_schema, table_name, seq_in_index",
        ) {
            let table = real.0.entry((text(&row, 0), text(&row, 1))).or_default();
            table.1.push(text(&row, 2));
        }
        real
    }

    fn compare(&self, dialect: &Dialect, database: &str, tables: &Tables, tell: &mut dyn FnMut(String)) {
        let of_database = self.0.iter().filter(|((schema, _), _)| schema == database);
        let real: BTreeMap<&str, &(Vec<Row>, Vec<String>)> = of_database
            .map(|((_, table), found)| (table.as_str(), found))
            .collect();
        let known: BTreeSet<&str> = tables.iter().map(|table| &*table.id.table).collect();
        if !real.keys().eq(known.iter()) {
            tell(format!("tables: {known:?}, on the server {:?}", real.keys()));
        }
        for table in tables.iter() {
            if let Some((rows, key)) = real.get(&*table.id.table) {
                compare_table(dialect, table, rows, key, tell);
            }
        }
    }
}

fn compare_table(
    dialect: &Dialect,
    table: &Table,
    rows: &[Row],
    key: &[String],
    tell: &mut dyn FnMut(String),
) {
    let found: Vec<&str> = table.columns.iter().map(|column| &*column.name).collect();
    let expected: Vec<&str> = rows.iter().filter_map(|row| row[0].as_deref()).collect();
    if found != expected {
        tell(format!("columns: {found:?}, on the server {expected:?}"));
        return;
    }
    for (column, row) in table.columns.iter().zip(rows) {
        let text = |index: usize| row[index].clone().unwrap_or_default();
        let real = match ddl::column(dialect, &column.name, &text(1), "") {
            Ok(real) => real,
            Err(error) => {
                tell(format!("{}: {}: {error}", column.name, text(1)));
                continue;
            }
        };
        if dialect.flavor == Flavor::MariaDb && column.kind == Kind::Json {
            // A word for LONGTEXT there; Debezium reports what was written.
            continue;
        }
        // The server makes the columns of a period not null; Debezium does not know.
        let optional = column.optional && !["s", "e"].contains(&&*column.name);
        let nullable = text(2) == "YES" && !["s", "e"].contains(&&*column.name);
        let model = (
            shape(column),
            optional,
            column.charset.as_deref().map(charset_name),
        );
        let server = (shape(&real), nullable, row[3].as_deref().map(charset_name));
        if model != server {
            tell(format!("{}: {model:?}, on the server {server:?}", column.name));
        }
    }
    let found: Vec<&str> = table.key.iter().map(|name| &**name).collect();
    if !key.is_empty() && found != key {
        tell(format!("key: {found:?}, on the server {key:?}"));
    }
}

fn charset_name(name: &str) -> &str {
    match name {
        "utf8" => "utf8mb3",
        name => name,
    }
}

/// What decides how a value is read: the same for synonyms.
fn shape(column: &Column) -> (Kind, bool, Option<i32>, Option<i32>, Vec<String>) {
    let kind = match column.kind {
        Kind::Boolean => Kind::TinyInt,
        // FLOAT(p) of more than 24 bits is a DOUBLE.
        Kind::Float if column.scale.is_none() && column.length.is_some_and(|length| length > 24) => {
            Kind::Double
        }
        kind => kind,
    };
    let (length, scale) = match kind {
        Kind::Decimal => (column.length, column.scale),
        Kind::Char | Kind::Binary => (Some(column.length.unwrap_or(1)), None),
        Kind::VarChar | Kind::VarBinary | Kind::Bit => (column.length, None),
        Kind::Time | Kind::DateTime | Kind::Timestamp => (Some(column.length.unwrap_or(0)), None),
        _ => (None, None),
    };
    (
        kind,
        column.unsigned() && kind.is_number(),
        length,
        scale,
        column.values(),
    )
}
