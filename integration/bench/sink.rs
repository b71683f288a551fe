//! `sink-postgres-upsert`: a topic of change events into a table by upsert, against one `INSERT … SELECT … ON CONFLICT`
//! of the same rows, from an unlogged copy, inside the server.

use crate::Bench;
use crate::load::{COLUMNS, DATABASE, copy_table, drop_slot, load};
use crate::measure::{Meter, TopicEnd};
use crate::rounds::Rounds;
use crate::settings::Settings;
use crate::subject::{self, Case, Subject, workers};
use serde_json::{Value, json};
use tapline_harness::create_topic;

const PREFIX: &str = "upserts";
const ROWS: u64 = 1_000_000;

pub fn postgres_upsert(bench: &Bench) {
    let rows = load(bench).rows.min(ROWS);
    let sql = bench.postgres().sql(DATABASE);
    copy_table(&sql, "unlogged", "unlogged", rows);
    let sets = COLUMNS.map(|column| format!("{column} = excluded.{column}"));
    let upsert = format!(
        "insert into upserted select * from unlogged on conflict (id) do update set {}",
        sets.join(", ")
    );
    let mut topic = None;
    let mut rounds = Rounds::new(bench, "sink-postgres-upsert");
    for run in 0..bench.runs {
        if bench.has("limit") {
            copy_table(&sql, "upserted", "", 0);
            let run = Meter::server(bench, rows, || sql.execute(&upsert));
            rounds.add("limit", "insert-select", "INSERT … SELECT … ON CONFLICT", run);
        }
        for case in cases(bench) {
            let topic: &String = topic.get_or_insert_with(|| fill(bench, rows, case.subject));
            let name = format!("upsert_{}_{:?}_{run}", case.subject, case.settings).to_lowercase();
            copy_table(&sql, &name, "", 0);
            let mut config = sink(bench, topic, &name);
            case.settings.tune_sink(&mut config);
            let mut worker = Subject::start(bench, case.subject);
            let meter = Meter::of(bench, worker.pid());
            worker.put(&name, &config);
            // batches come in the order of their ids, and the index answers at once; within a batch the order is free
            let (last, all) = (
                format!("select max(id) from {name}"),
                format!("select count(*) from {name}"),
            );
            let run = meter.watch(&name, rows, || match sql.count(&last) {
                last if last < rows => last,
                _ => sql.count(&all),
            });
            worker.finish(&name);
            sql.execute(&format!("drop table {name}"));
            rounds.add(case.subject, case.variant, case.settings.of_sink(), run);
        }
    }
    rounds.report();
}

fn cases(bench: &Bench) -> Vec<Case> {
    let settings: &[Settings] = if bench.peers {
        &[Settings::Tuned, Settings::Default]
    } else {
        &[Settings::Tuned]
    };
    let of = |subject| {
        settings.iter().map(move |&settings| Case {
            subject,
            variant: "json-schemas",
            settings,
        })
    };
    workers(bench).into_iter().flat_map(of).collect()
}

/// A topic of the table's rows as change events, written by a subject's snapshot.
fn fill(bench: &Bench, rows: u64, subject: &str) -> String {
    let sql = bench.postgres().sql(DATABASE);
    copy_table(&sql, "changed", "", rows);
    sql.execute("create publication changed_pub for table changed");
    let topic = format!("{PREFIX}.public.changed");
    create_topic(&bench.kafka().bootstrap(), &topic, 1, &[]);
    let end = TopicEnd::new(&bench.kafka().bootstrap(), &topic);
    let mut config = subject::source(bench, DATABASE, "changed", PREFIX, "json-schemas");
    config["snapshot.mode"] = json!("initial_only");
    Settings::Tuned.tune_source(&mut config);
    let mut worker = Subject::start(bench, subject);
    worker.put(PREFIX, &config);
    Meter::of(bench, worker.pid()).watch("filling the topic", rows, || end.get());
    worker.finish(PREFIX);
    drop_slot(bench, PREFIX);
    topic
}

/// A JDBC sink connector that upserts the topic into the table.
pub fn sink(bench: &Bench, topic: &str, table: &str) -> Value {
    json!({
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "topics": topic,
        "connection.url": format!("jdbc:postgresql://127.0.0.1:{}/{DATABASE}", bench.postgres().port()),
        "connection.username": "postgres",
        "connection.password": "none",
        "insert.mode": "upsert",
        "primary.key.mode": "record_key",
        "schema.evolution": "basic",
        "collection.name.format": table,
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    })
}
