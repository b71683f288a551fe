//! Trials of servers: every `database.ssl.mode` with the right and the wrong certificates; a server that takes another
//! one's place, found again by GTIDs; and a log that has been purged.

use crate::scenarios::postgres_server::wrong;
use crate::{TAPLINE, mysql};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tapline_harness::mysql::Kind;
use tapline_harness::pipeline::mysql_source;
use tapline_harness::{Mysql, Worker, eventually, folder, read_topic};

const PATIENCE: Duration = Duration::from_secs(60);

/// Authorities and certificates: `ca`, `server` (for 127.0.0.1), `client` (with its key in one file), and `other`, an authority
/// that has signed nothing.
fn certificates() -> PathBuf {
    let dir = folder("certificates");
    let script = "
        umask 022
        authority() { openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$1 -keyout $1.key -out $1.pem; }
        signed() {
            openssl req -newkey rsa:2048 -nodes -subj /CN=$1 -addext subjectAltName=IP:127.0.0.1 -keyout $1.key -out $1.csr
            openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out $1.pem
        }
        set -e
        authority ca; authority other; signed server; signed client
        cat client.pem client.key > both.pem; chmod a+r *";
    let made = Command::new("bash")
        .args(["-c", script])
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    dir
}

fn users(server: &Mysql) {
    for (name, require) in [("anyhow", "none"), ("encrypted", "ssl"), ("certified", "x509")] {
        server.execute(&format!(
            "create user {name}@'%' identified by 'secret' require {require};
             grant select, reload, show databases, replication slave, replication client on *.* to {name}@'%'"
        ));
    }
    server.execute(
        "create database tls; create table tls.t (id int primary key); insert into tls.t values (1)",
    );
}

/// `mode` as `user`, with these files as trust and key store.
fn with(mut source: Value, user: &str, mode: &str, trust: Option<&Path>, key: Option<&Path>) -> Value {
    source["database.user"] = user.into();
    source["database.password"] = "secret".into();
    source["database.ssl.mode"] = mode.into();
    for (option, file) in [("database.ssl.truststore", trust), ("database.ssl.keystore", key)] {
        if let Some(file) = file {
            source[option] = file.display().to_string().into();
        }
    }
    source
}

fn tls(name: &str, server: &Mysql, files: &Path) {
    users(server);
    let (ca, other, both) = (
        files.join("ca.pem"),
        files.join("other.pem"),
        files.join("both.pem"),
    );
    let source = mysql_source(server, "127.0.0.1:1", name, "tls.t");
    let case = |user: &str, mode: &str, trust: Option<&Path>, key: Option<&Path>| {
        wrong(&with(source.clone(), user, mode, trust, key)).join("\n")
    };
    for (user, mode, trust, key) in [
        ("anyhow", "disabled", None, None),
        ("encrypted", "preferred", None, None),
        ("encrypted", "required", None, None),
        ("encrypted", "required", Some(&*other), None),
        ("encrypted", "verify_ca", Some(&*ca), None),
        ("encrypted", "verify_identity", Some(&*ca), None),
        ("certified", "required", None, Some(&*both)),
        ("certified", "verify_identity", Some(&*ca), Some(&*both)),
    ] {
        let found = case(user, mode, trust, key);
        assert!(!found.contains("connection:"), "{name}: {user}, {mode}: {found}");
    }
    for (user, mode, trust, told) in [
        ("encrypted", "disabled", None, "Access denied"),
        ("certified", "required", None, "Access denied"),
        ("encrypted", "verify_ca", Some(&*other), "certificate"),
        ("encrypted", "verify_identity", Some(&*other), "certificate"),
    ] {
        let found = case(user, mode, trust, None);
        assert!(found.contains(told), "{name}: {user}, {mode}: {found}");
    }
    // the name is not the certificate's
    let mut elsewhere = with(source.clone(), "encrypted", "verify_identity", Some(&ca), None);
    elsewhere["database.hostname"] = "localhost".into();
    assert!(
        wrong(&elsewhere).join("\n").contains("certificate"),
        "{:?}",
        wrong(&elsewhere)
    );
    elsewhere["database.ssl.mode"] = "verify_ca".into();
    assert!(
        !wrong(&elsewhere).join("\n").contains("connection:"),
        "{:?}",
        wrong(&elsewhere)
    );

    // and the stream goes the same way
    let worker = Worker::start(TAPLINE, &[("value.converter.schemas.enable", "false")], &[]);
    let source = mysql_source(server, &worker.bootstrap(), name, "tls.t");
    worker.put_connector(
        name,
        &with(source, "certified", "verify_identity", Some(&ca), Some(&both)),
    );
    wait_for(&worker, &format!("{name}.tls.t"), &[1]);
    server.execute("insert into tls.t values (2)");
    wait_for(&worker, &format!("{name}.tls.t"), &[1, 2]);
}

/// Waits until the topic holds rows of these ids, each once, in this order.
fn wait_for(worker: &Worker, topic: &str, ids: &[i64]) {
    eventually(&format!("{topic} has {ids:?}"), PATIENCE, || {
        let records = read_topic(&worker.bootstrap(), topic);
        let found: Vec<i64> = records
            .iter()
            .filter_map(|record| record.value_json()["after"]["id"].as_i64())
            .collect();
        if found == ids {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    });
}

#[test]
fn mysql_is_reached_by_every_ssl_mode_and_only_as_it_says() {
    let files = certificates();
    let server = mysql();
    // the server runs in a tree of its own, in which its folder is /server
    for file in ["ca.pem", "server.pem", "server.key"] {
        std::fs::copy(files.join(file), server.dir().join(file)).unwrap();
    }
    server.execute(
        "set global ssl_ca = '/server/ca.pem', global ssl_cert = '/server/server.pem', global ssl_key = '/server/server.key';
         alter instance reload tls",
    );
    tls("tls_mysql", server, &files);
}

#[test]
fn mariadb_is_reached_by_every_ssl_mode_and_only_as_it_says() {
    let files = certificates();
    let file = |option: &str, name: &str| format!("ssl-{option}={}", files.join(name).display());
    let settings = [
        file("ca", "ca.pem"),
        file("cert", "server.pem"),
        file("key", "server.key"),
    ];
    let server = Mysql::start(Kind::MariaDb, &settings.each_ref().map(String::as_str));
    tls("tls_maria", &server, &files);
}

#[test]
fn a_stream_goes_on_at_the_server_that_takes_the_place_of_mysql() {
    fails_over("over_mysql", Kind::MySql);
}

#[test]
fn a_stream_goes_on_at_the_server_that_takes_the_place_of_mariadb() {
    fails_over("over_maria", Kind::MariaDb);
}

fn fails_over(name: &str, kind: Kind) {
    let first = Mysql::start(kind, &[]);
    // its log has other files and positions than the first one's
    let settings = match kind {
        Kind::MySql => ["server-id=2", "log-bin=second"],
        Kind::MariaDb => ["server-id=2", "log-slave-updates=1"],
    };
    let second = Mysql::start(kind, &settings);
    let port = first.port();
    match kind {
        Kind::MySql => second.execute(&format!(
            "reset binary logs and gtids; change replication source to source_host='127.0.0.1', source_port={port},
             source_user='tapline', source_password='tapline', source_auto_position=1, get_source_public_key=1;
             start replica"
        )),
        Kind::MariaDb => second.execute(&format!(
            "reset master; set global gtid_slave_pos=''; change master to master_host='127.0.0.1', master_port={port},
             master_user='tapline', master_password='tapline', master_use_gtid=slave_pos; start slave"
        )),
    }
    first.execute(
        "create database moved; create table moved.t (id int primary key, v varchar(20)); flush binary logs; flush binary logs;
         insert into moved.t values (1, 'a'), (2, 'b')",
    );
    let worker = Worker::start(
        TAPLINE,
        &[
            ("value.converter.schemas.enable", "false"),
            ("offset.flush.interval.ms", "200"),
        ],
        &[],
    );
    let topic = format!("{name}.moved.t");
    worker.put_connector(name, &mysql_source(&first, &worker.bootstrap(), name, "moved.t"));
    wait_for(&worker, &topic, &[1, 2]);
    first.execute("insert into moved.t values (3, 'c'); insert into moved.t values (4, 'd'), (5, 'e')");
    wait_for(&worker, &topic, &[1, 2, 3, 4, 5]);
    let copied = || second.try_count("select count(*) from moved.t");
    eventually("the replica has all", PATIENCE, || match copied() {
        Some(5) => Ok(()),
        other => Err(format!("{other:?} rows")),
    });
    first.kill();
    second.execute(match kind {
        Kind::MySql => "stop replica; reset replica all",
        Kind::MariaDb => "stop slave; reset slave all",
    });
    second.execute("insert into moved.t values (6, 'f'); alter table moved.t add column w int; insert into moved.t values (7, 'g', 7)");
    worker.put_connector(name, &mysql_source(&second, &worker.bootstrap(), name, "moved.t"));
    wait_for(&worker, &topic, &[1, 2, 3, 4, 5, 6, 7]);

    // what is purged is named: the second server's own are an insert, an ALTER, an insert, a CREATE; and two that nobody read
    second.execute("create table moved.other (id int)");
    let stored = match kind {
        Kind::MySql => format!("{}:1-4", second.value("select @@server_uuid")),
        Kind::MariaDb => second.value("select @@gtid_binlog_pos"),
    };
    eventually("all that was read is stored", PATIENCE, || {
        let offsets = worker.rest("GET", &format!("/connectors/{name}/offsets"), None);
        let offsets = offsets.json().to_string();
        if offsets.contains(&stored) {
            Ok(())
        } else {
            Err(offsets)
        }
    });
    worker.rest("PUT", &format!("/connectors/{name}/stop"), None);
    eventually("it is stopped", PATIENCE, || {
        let status = worker.rest("GET", &format!("/connectors/{name}/status"), None);
        match status.json()["tasks"].as_array().is_some_and(Vec::is_empty) {
            true => Ok(()),
            false => Err(status.json().to_string()),
        }
    });
    second.execute("insert into moved.t values (8, 'h', 8); insert into moved.t values (9, 'i', 9)");
    // a session that has not noticed yet that its client has gone keeps the files it reads
    eventually("the log is purged", PATIENCE, || {
        second.execute("flush binary logs");
        let newest = second
            .rows("show binary logs")
            .pop()
            .unwrap()
            .swap_remove(0)
            .unwrap();
        second.execute(&format!("purge binary logs to '{newest}'"));
        match second.rows("show binary logs").len() {
            1 => Ok(()),
            more => Err(format!("{more} files")),
        }
    });
    worker.rest("PUT", &format!("/connectors/{name}/resume"), None);
    worker.wait_state(name, "FAILED");
    let status = worker
        .rest("GET", &format!("/connectors/{name}/status"), None)
        .json();
    let trace = status["tasks"][0]["trace"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let expected = match kind {
        Kind::MySql => stored.replace(":1-4", ":5-6"),
        Kind::MariaDb => {
            let last: u64 = stored.rsplit('-').next().unwrap().parse().unwrap();
            format!("0-2-{} to {}", last + 1, last + 2)
        }
    };
    assert!(
        trace.contains(&format!("purged transactions that were not read yet: {expected}")),
        "{expected} in {trace}"
    );
}
