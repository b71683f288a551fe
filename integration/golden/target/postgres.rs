//! PostgreSQL.

use super::Target;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;
use tapline_harness::{Postgres, Sql, eventually};

/// A server with a role and a database `lab`.
pub struct Pg {
    server: Postgres,
    sql: Sql,
}

const SCHEMA: &str = "
create schema fx;
create extension if not exists hstore; create extension if not exists citext; create extension if not exists ltree;
create function fx.again(t text) returns int language plpgsql as $$
  declare cols text; n int;
  begin
    select string_agg(quote_ident(attname), ',' order by attnum) into cols from pg_attribute
      where attrelid=('fx.'||quote_ident(t))::regclass and attnum>0 and not attisdropped and attgenerated='' and attname<>'id';
    execute format('insert into fx.%I(id,%s) select id+100,%s from fx.%I where id<100 order by id', t, cols, cols, t);
    get diagnostics n = row_count; return n;
  end$$;
create table fx.zz_end(id int primary key);";

impl Pg {
    pub fn start(version: u8) -> Pg {
        let server = Postgres::start_version(
            version,
            &[
                "max_prepared_transactions=20",
                "wal_sender_timeout=0",
                "fsync=off",
                "autovacuum=off",
            ],
        );
        let sql = server.sql("postgres");
        sql.execute("create role lab superuser login replication password 'lab'");
        sql.execute("create database lab owner lab");
        let sql = server.sql("lab");
        if version > 15 {
            for extension in ["vector", "postgis"] {
                // a fixture that needs one that is not installed will say so
                let _ = sql.try_rows(&format!("create extension {extension}"));
            }
        }
        Pg { server, sql }
    }
}

impl Target for Pg {
    fn reset(&mut self) {
        eventually("the old slots go", Duration::from_secs(20), || {
            self.sql
                .try_rows("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
                .map_err(|e| e.to_string())
        });
        for row in self.sql.rows("select gid from pg_prepared_xacts") {
            self.sql
                .execute(&format!("rollback prepared '{}'", row[0].as_deref().unwrap()));
        }
        for row in self.sql.rows("select quote_ident(pubname) from pg_publication") {
            self.sql
                .execute(&format!("drop publication {}", row[0].as_deref().unwrap()));
        }
        self.sql.execute("drop schema if exists fx cascade");
        self.sql.execute(SCHEMA);
    }

    fn sql(&self, text: &str) {
        let mut psql = Command::new(self.server.program("psql"))
            .args([
                "-X",
                "-q",
                "-h",
                "127.0.0.1",
                "-p",
                &self.server.port().to_string(),
                "-U",
                "lab",
                "-d",
                "lab",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("psql runs");
        psql.stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .expect("psql reads");
        psql.wait().expect("psql ends");
    }

    fn setting(&self, name: &str, value: &str) -> String {
        match name {
            "database.hostname" => "127.0.0.1".into(),
            "database.port" => self.server.port().to_string(),
            _ => value.into(),
        }
    }

    fn streaming(&self, _: &dyn Fn(&str) -> i64) -> bool {
        // a slot is active too while it is being made
        self.sql.count(
            "select count(*) from pg_replication_slots s join pg_stat_replication r on r.pid = s.active_pid \
             where r.state in ('catchup', 'streaming')",
        ) > 0
    }

    fn end(&self) {
        self.sql.execute("insert into fx.zz_end values (1)");
    }
}
