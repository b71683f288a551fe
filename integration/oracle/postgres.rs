//! Postgres as the oracle.

use super::{Column, Is, NAME, Oracle, Sample, Step, Table, Type};
use serde_json::{Value, json};
use tapline_harness::{Postgres, Random, Sql, Worker, pipeline};

const fn of(declared: &'static str, random: &'static str, event: &'static str) -> Type {
    Type {
        declared,
        sample: Sample::Sql(random),
        event,
        is: Is::Json,
    }
}

const TEXT: &str = "to_json(@::text)";

/// Modes: decimals as text, bytes as hexadecimal, times in microseconds.
const TYPES: &[Type] = &[
    of("smallint", "(random() * 65535 - 32768)::int", "to_json(@)"),
    of(
        "int",
        "(random() * 4294967294 - 2147483647)::bigint",
        "to_json(@)",
    ),
    of(
        "bigint",
        "(random() * 2 - 1)::numeric * 9223372036854775807",
        "to_json(@)",
    ),
    of(
        "real",
        "(random() - 0.5) * 10 ^ (random() * 60 - 30)",
        "to_json(@ || 'f')",
    ),
    of(
        "double precision",
        "(random() - 0.5) * 10 ^ (random() * 500 - 250)",
        TEXT,
    ),
    of("boolean", "random() < 0.5", "to_json(@)"),
    of(
        "numeric",
        "(random() - 0.5)::numeric * 10::numeric ^ (random() * 40)::int",
        TEXT,
    ),
    of(
        "numeric(20,6)",
        "(random() - 0.5)::numeric * 10::numeric ^ (random() * 13)::int",
        TEXT,
    ),
    of(
        "text",
        "array_to_string(array(select chr(1 + (random() * 55000)::int) from generate_series(1, @n)), '')",
        TEXT,
    ),
    of(
        "varchar(30)",
        "left(md5(random()::text), (random() * 30)::int)",
        TEXT,
    ),
    of(
        "char(7)",
        "left(md5(random()::text), (random() * 7)::int)",
        "to_json(rpad(@, 7))",
    ),
    of(
        "bytea",
        "decode(left(md5(random()::text), 2 * (random() * 16)::int), 'hex')",
        "to_json(encode(@, 'hex'))",
    ),
    of("uuid", "md5(random()::text)::uuid", TEXT),
    of(
        "json",
        "json_build_object('a', random(), 'b', array[1, null, 2])",
        TEXT,
    ),
    of(
        "jsonb",
        "jsonb_build_object('a', md5(random()::text), 'é', random())",
        TEXT,
    ),
    of(
        "date",
        "date '1600-01-01' + (random() * 900000)::int",
        "to_json(@ - date '1970-01-01')",
    ),
    of(
        "timestamp",
        "timestamp '1600-01-01' + random() * interval '900000 days'",
        "to_json((extract(epoch from @) * 1000000)::bigint)",
    ),
    of(
        "timestamptz",
        "timestamptz '1600-01-01' + random() * interval '900000 days'",
        "to_json(to_char(@ at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))",
    ),
    of(
        "time",
        "time '00:00' + random() * interval '24 hours'",
        "to_json((extract(epoch from @) * 1000000)::bigint)",
    ),
    of(
        "inet",
        "('10.' || (random() * 255)::int || '.0.1/' || (8 + random() * 24)::int)::inet",
        // a cast to text writes /32, which the type's own output leaves out
        "to_json(case when @ is not null then format('%s', @) end)",
    ),
    of(
        "int4range",
        "int4range((random() * 100)::int, 100 + (random() * 100)::int)",
        TEXT,
    ),
    of(
        "tsvector",
        "to_tsvector('simple', md5(random()::text) || ' it''s')",
        TEXT,
    ),
    of(
        "mood",
        "(array['sad', 'ok', 'it''s \"fine\"'])[1 + (random() * 2)::int]::mood",
        TEXT,
    ),
    of("price", "(random() * 1000)::numeric(10,2)", TEXT),
    of("int[]", "array[(random() * 100)::int, null, -5]", "to_json(@)"),
    of(
        "text[]",
        "array['a', null, 'b \"c\", \\ ' || random(), '', 'NULL']",
        "to_json(@)",
    ),
    of("mood[]", "array['sad', 'it''s \"fine\"']::mood[]", "to_json(@)"),
];

/// A server, and a session in the database.
pub struct Asked<'a> {
    server: &'a Postgres,
    sql: Sql,
}

/// A database of its own; its random numbers are `seed`'s.
pub fn asked(server: &Postgres, seed: u64) -> Asked<'_> {
    let sql = server.create_database(NAME);
    sql.execute(
        "create type mood as enum ('sad', 'ok', 'it''s \"fine\"'); create domain price as numeric(10,2)",
    );
    sql.execute(&format!("select setseed({})", Random::new(seed).part()));
    Asked { server, sql }
}

impl Oracle for Asked<'_> {
    fn types(&self) -> &'static [Type] {
        TYPES
    }

    fn quoted(&self, name: &str) -> String {
        name.to_owned()
    }

    fn column_name(&self, number: usize, _: &mut Random) -> String {
        format!("c{number}")
    }

    fn create(&self, table: &mut Table, random: &mut Random) -> String {
        let columns: String = table
            .columns
            .iter()
            .map(|column| format!(", {} {}", column.name, column.of.declared))
            .collect();
        let identity = if random.part() < 0.5 {
            format!("alter table {} replica identity full;", table.name)
        } else {
            String::new()
        };
        format!(
            "create table {} (id int primary key, v int not null{columns}); {identity}",
            table.name
        )
    }

    fn change(&self, table: &mut Table, random: &mut Random) -> Vec<String> {
        let name = table.name.clone();
        let sql = match random.between(0, 12) {
            0 => {
                let column = table.new_column(self, random);
                let sql = format!("add column {} {}", column.name, column.of.declared);
                table.columns.push(column);
                sql
            }
            1 if table.columns.len() > 1 => {
                let Some(at) = table.any(random) else {
                    return Vec::new();
                };
                format!("drop column {}", table.columns.remove(at).name)
            }
            2 => {
                let Some(at) = table.any(random) else {
                    return Vec::new();
                };
                let renamed = self.column_name(table.next_column, random);
                table.next_column += 1;
                let old = std::mem::replace(&mut table.columns[at].name, renamed.clone());
                format!("rename {old} to {renamed}")
            }
            3 => {
                let mut columns = table.columns.iter_mut();
                let Some(column) = columns.find(|column| column.of.declared == "smallint") else {
                    return Vec::new();
                };
                column.of = TYPES.iter().find(|of| of.declared == "bigint").unwrap();
                format!("alter {} type bigint", column.name)
            }
            _ => return Vec::new(),
        };
        vec![format!("alter table {name} {sql}")]
    }

    fn run(&self, script: &[Step]) -> Vec<Value> {
        let mut seen = Vec::new();
        for step in script {
            match step {
                Step::Sql(sql) => self.sql.execute(sql),
                Step::Look { table, columns, id } => seen.push(self.look(table, columns, *id)),
            }
        }
        seen
    }

    fn config(&self, _: &Worker) -> Value {
        let mut config = pipeline::source(self.server, NAME, NAME, "public.t.*");
        config["decimal.handling.mode"] = json!("string");
        config["binary.handling.mode"] = json!("hex");
        config
    }

    fn topic_prefix(&self) -> String {
        format!("{NAME}.public.")
    }

    fn tells_before(&self) -> bool {
        false
    }
}

impl Asked<'_> {
    fn look(&self, table: &str, columns: &[Column], id: u64) -> Value {
        let fields: String = columns
            .iter()
            .map(|column| {
                format!(
                    ", '{0}', {1}",
                    column.name,
                    column.of.event.replace('@', &column.name)
                )
            })
            .collect();
        let text = self.sql.value(&format!(
            "select json_build_object('id', id, 'v', v{fields}) from {table} where id = {id}"
        ));
        serde_json::from_str(&text).unwrap()
    }
}
