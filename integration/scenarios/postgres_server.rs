//! What a Postgres server may lack, on PostgreSQL 15 and 18: each is told by `tapline doctor` or by the task, with the
//! setting and what mends it. And a log-in that is bound to its TLS connection.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tapline_harness::{Postgres, Worker, eventually, folder, pipeline, read_topic};

use crate::{TAPLINE, postgres, postgres_18};

/// The versions, the newest last.
fn servers() -> [(&'static str, &'static Postgres); 2] {
    [("a", postgres()), ("b", postgres_18())]
}

/// A server of one's own: the machine's PostgreSQL, and 18.
const STARTS: [fn(&[&str]) -> Postgres; 2] =
    [Postgres::start, |settings| Postgres::start_version(18, settings)];

/// What doctor finds wrong, as `subject: message → cure`.
pub(super) fn wrong(config: &Value) -> Vec<String> {
    let file = folder("doctor").join("connector.json");
    std::fs::write(&file, json!({ "name": "examined", "config": config }).to_string()).unwrap();
    let output = Command::new(TAPLINE)
        .args(["doctor", "--json"])
        .arg(&file)
        .output()
        .unwrap();
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    let wrong: Vec<String> = findings
        .iter()
        .filter(|finding| finding["ok"] == false)
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            format!("{}: {} → {}", text("subject"), text("message"), text("cure"))
        })
        .collect();
    assert_eq!(output.status.success(), wrong.is_empty(), "{wrong:?}");
    wrong
}

/// The trace of the connector's failed task.
fn failure(worker: &Worker, name: &str, config: &Value) -> String {
    worker.put_connector(name, config);
    worker.wait_state(name, "FAILED");
    let status = worker
        .rest("GET", &format!("/connectors/{name}/status"), None)
        .json();
    status["tasks"][0]["trace"].as_str().unwrap().to_owned()
}

fn as_user(mut config: Value, user: &str, mode: &str) -> Value {
    config["database.user"] = user.into();
    config["publication.autocreate.mode"] = mode.into();
    config
}

fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[test]
fn a_right_that_is_missing_is_told_with_its_cure() {
    let worker = Worker::start(TAPLINE, &[], &[]);
    for (name, server) in servers() {
        let database = format!("rights_{name}");
        let sql = server.create_database(&database);
        let (plain, cdc) = (format!("plain_{name}"), format!("cdc_{name}"));
        sql.execute(&format!(
            "create role {plain} login; create role {cdc} login replication; \
             create table t (id int primary key); insert into t values (1); grant select on t to {plain}"
        ));
        let source = pipeline::source(server, &database, &format!("rights_{name}"), "public.t");

        let no_replication = as_user(source.clone(), &plain, "disabled");
        sql.execute(&format!("create publication rights_{name} for table t"));
        assert_eq!(
            wrong(&no_replication),
            [format!(
                "rights: {plain} has no REPLICATION → ALTER ROLE \"{plain}\" REPLICATION;"
            )]
        );
        let trace = failure(&worker, &format!("plain-{name}"), &no_replication);
        assert_has(&trace, &[&format!("ALTER ROLE \"{plain}\" REPLICATION")]);
        sql.execute(&format!("drop publication rights_{name}"));

        let filtered = as_user(source.clone(), &cdc, "filtered");
        let found = wrong(&filtered).join("\n");
        let grant = format!("GRANT CREATE ON DATABASE \"{database}\" TO \"{cdc}\"");
        assert_has(
            &found,
            &[
                &format!(
                    "publication: rights_{name} can't be created: {cdc} has no CREATE on database {database}"
                ),
                &grant,
                &format!("{cdc} does not own public.t → ALTER TABLE \"public\".\"t\" OWNER TO \"{cdc}\""),
                &format!("GRANT SELECT ON \"public\".\"t\" TO \"{cdc}\""),
            ],
        );
        let trace = failure(&worker, &format!("filtered-{name}"), &filtered);
        assert_has(&trace, &["permission denied for database", &grant]);

        let all = as_user(source.clone(), &cdc, "all_tables");
        assert_has(&wrong(&all).join("\n"), &["FOR ALL TABLES"]);

        sql.execute(&format!("create publication rights_{name} for table t"));
        let no_select = as_user(source, &cdc, "disabled");
        let trace = failure(&worker, &format!("select-{name}"), &no_select);
        assert_has(
            &trace,
            &["table public.t can't be read", "GRANT SELECT ON \"public\".\"t\""],
        );
        sql.execute(&format!("grant select on t to {cdc}"));
        assert_eq!(wrong(&no_select), Vec::<String>::new());
    }
}

#[test]
fn a_server_that_does_not_log_logically_or_is_not_there_is_told_by_name() {
    let server = Postgres::start_version(18, &["wal_level=replica"]);
    let sql = server.create_database("physical");
    sql.execute("create table t (id int primary key)");
    let mut source = pipeline::source(&server, "physical", "physical", "public.t");
    assert_has(
        &wrong(&source).join("\n"),
        &["wal_level: is replica → ALTER SYSTEM SET wal_level = logical"],
    );
    let worker = Worker::start(TAPLINE, &[], &[]);
    let refused = worker.rest("PUT", "/connectors/physical/config", Some(&source));
    assert_eq!(refused.status, 400);
    assert_has(
        &refused.body,
        &["wal_level property must be 'logical' but is: 'replica'"],
    );

    source["database.user"] = "nobody_at_all".into();
    assert_has(
        &wrong(&source).join("\n"),
        &[
            "role \"nobody_at_all\" does not exist",
            "must exist and have LOGIN",
        ],
    );
    source["database.port"] = "1".into();
    assert_has(&wrong(&source).join("\n"), &["Connection to 127.0.0.1:1 refused"]);
}

#[test]
fn a_slot_whose_log_the_server_has_removed_is_told_with_the_setting() {
    // the limit counts for every slot of a server: so on servers of their own
    for start in STARTS {
        let settings = [
            "max_slot_wal_keep_size=1MB",
            "max_wal_size=32MB",
            "min_wal_size=32MB",
        ];
        let server = start(&settings);
        let sql = server.create_database("lost");
        sql.execute("create table t (id int primary key); create table bulk (x text)");
        let source = pipeline::source(&server, "lost", "lost", "public.t");
        sql.execute(
            "select pg_create_logical_replication_slot('lost', 'pgoutput'); create publication lost for table t",
        );
        eventually("the slot is lost", Duration::from_secs(60), || {
            sql.execute("insert into bulk select repeat('x', 1000) from generate_series(1, 20000)");
            sql.execute("select pg_switch_wal(); checkpoint");
            let status = sql.value("select wal_status from pg_replication_slots where slot_name = 'lost'");
            if status == "lost" { Ok(()) } else { Err(status) }
        });
        let expected = ["wal_status is lost", "pg_drop_replication_slot('lost')"];
        assert_has(&wrong(&source).join("\n"), &expected);
        let worker = Worker::start(TAPLINE, &[], &[]);
        let trace = failure(&worker, "lost", &source);
        assert_has(&trace, &expected);
        assert_has(&trace, &["raise max_slot_wal_keep_size"]);
    }
}

/// A certificate for 127.0.0.1 and its key, PEM, in a folder of their own; signed with this hash.
fn certificate(hash: &str) -> std::path::PathBuf {
    let dir = folder("certificate");
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", hash,
        ])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(dir.join("server.key"))
        .arg("-out")
        .arg(dir.join("server.crt"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    dir
}

#[test]
fn a_log_in_is_bound_to_its_tls_connection() {
    for (start, hash) in STARTS.iter().zip(["-sha256", "-sha384"]) {
        let server = start(&["password_encryption=scram-sha-256"]);
        let sql = server.create_database("bound");
        sql.execute("create table t (id int primary key); insert into t values (1)");
        sql.execute("create role bound login superuser password 'secret'");
        // inside, so that the server's own user owns the key
        let dir = certificate(hash);
        for file in ["server.key", "server.crt"] {
            let text = std::fs::read_to_string(dir.join(file)).unwrap();
            let lines: Vec<String> = text.lines().map(|line| format!("select '{line}'")).collect();
            sql.execute(&format!(
                "copy ({}) to program 'umask 077; cat > {file}'",
                lines.join(" union all ")
            ));
        }
        sql.execute("copy (select 'hostssl all bound all scram-sha-256' union all select 'host all postgres all trust' union all select 'local all all trust') to program 'cat > pg_hba.conf'");
        sql.execute("alter system set ssl = on");
        sql.execute("select pg_reload_conf()");

        let mut source = pipeline::source(&server, "bound", "bound", "public.t");
        source["database.user"] = "bound".into();
        source["database.password"] = "secret".into();
        source["database.sslmode"] = "verify-full".into();
        source["database.sslrootcert"] = dir.join("server.crt").display().to_string().into();
        eventually("TLS is on", Duration::from_secs(20), || {
            let found = wrong(&source);
            if found.is_empty() {
                Ok(())
            } else {
                Err(found.join("\n"))
            }
        });
        let worker = Worker::start(TAPLINE, &[], &[]);
        worker.put_connector("bound", &source);
        worker.wait_running("bound");
        eventually("the row arrives", Duration::from_secs(30), || {
            let records = read_topic(&worker.bootstrap(), "bound.public.t");
            if records.len() == 1 {
                Ok(())
            } else {
                Err(format!("{} records", records.len()))
            }
        });
        let encrypted = sql.count(
            "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) where s.ssl and a.usename = 'bound'",
        );
        assert!(encrypted >= 2, "{encrypted} encrypted connections");

        // a server that would not bind refuses whoever says it could
        source["database.password"] = "wrong".into();
        assert_has(&wrong(&source).join("\n"), &["password authentication failed"]);
    }
}
