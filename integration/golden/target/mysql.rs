//! MySQL and MariaDB.

use super::Target;
use std::io::Write;
use std::process::{Command, Stdio};
use tapline_harness::mysql::Kind;
use tapline_harness::{Mysql, script};

/// A server with a user `lab`.
pub struct My {
    server: Mysql,
}

impl My {
    pub fn start(kind: Kind) -> My {
        let server = Mysql::start(kind, &[]);
        server.execute(
            "create user lab@'%' identified by 'lab'; grant all privileges on *.* to lab@'%' with grant option",
        );
        My { server }
    }
}

impl Target for My {
    fn reset(&mut self) {
        for database in ["fx", "fx2", "bench"] {
            self.server
                .execute(&format!("drop database if exists {database}"));
        }
        self.server.execute(
            "create database fx character set utf8mb4; create table fx.zz_end(id int primary key); \
             insert into fx.zz_end values (0)",
        );
        self.server.execute(match self.server.kind() {
            Kind::MySql => "reset binary logs and gtids",
            Kind::MariaDb => "reset master",
        });
    }

    fn sql(&self, text: &str) {
        let mut client = Command::new(script("mysql.sh"))
            .args(["sql", &self.server.dir().display().to_string()])
            .args(["--default-character-set=utf8mb4", "-f", "-D", "fx"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("bash runs");
        client
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .expect("the client reads");
        client.wait().expect("the client ends");
    }

    fn setting(&self, name: &str, value: &str) -> String {
        match name {
            "database.hostname" => "127.0.0.1".into(),
            "database.port" => self.server.port().to_string(),
            _ => value.into(),
        }
    }

    fn streaming(&self, records: &dyn Fn(&str) -> i64) -> bool {
        records("g.fx.zz_end") > 0
    }

    fn end(&self) {
        self.server.execute("insert into fx.zz_end values (1)");
    }
}
