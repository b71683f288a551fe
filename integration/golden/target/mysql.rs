//! MySQL and MariaDB.

use super::Target;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use tapline_harness::mysql::Kind;
use tapline_harness::{Mysql, script};

/// A server with a user `lab`.
pub struct My {
    server: Mysql,
    session: Mutex<Option<Session>>,
}

/// A client that stays, statement after statement.
struct Session {
    client: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pieces: u32,
}

impl Session {
    fn start(server: &Mysql) -> Session {
        let mut client = client(server)
            .args(["--skip-column-names", "--unbuffered"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash runs");
        Session {
            input: client.stdin.take(),
            output: BufReader::new(client.stdout.take().expect("a pipe")),
            client,
            pieces: 0,
        }
    }

    /// Runs a piece, and waits for its end.
    fn run(&mut self, text: &str) {
        self.pieces += 1;
        let mark = format!("piece {} is done", self.pieces);
        let input = self.input.as_mut().expect("until it is dropped");
        write!(input, "{text}\nselect '{mark}';\n").expect("the client reads");
        input.flush().expect("the client reads");
        let mut line = String::new();
        while line.trim_end() != mark {
            line.clear();
            let read = self.output.read_line(&mut line).expect("the client writes");
            assert!(read > 0, "the client ended within {text}");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.input.take());
        self.client.wait().expect("the client ends");
    }
}

/// The client, which goes on after a statement that fails.
fn client(server: &Mysql) -> Command {
    let mut client = Command::new(script("mysql.sh"));
    client
        .args(["sql", &server.dir().display().to_string()])
        .args(["--default-character-set=utf8mb4", "-f", "-D", "fx"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    client
}

impl My {
    pub fn start(kind: Kind) -> My {
        let server = Mysql::start(kind, &[]);
        server.execute(
            "create user lab@'%' identified by 'lab'; grant all privileges on *.* to lab@'%' with grant option",
        );
        My {
            server,
            session: Mutex::new(None),
        }
    }
}

impl Target for My {
    fn reset(&mut self) {
        *self.session.lock().unwrap() = None;
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
        let mut client = client(&self.server).spawn().expect("bash runs");
        client
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .expect("the client reads");
        client.wait().expect("the client ends");
    }

    fn sql_in_session(&self, text: &str) {
        let mut session = self.session.lock().unwrap();
        session
            .get_or_insert_with(|| Session::start(&self.server))
            .run(text);
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
