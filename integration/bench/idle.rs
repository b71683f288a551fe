//! `idle`: what a worker costs that runs one source and one sink while nothing happens.

use crate::Bench;
use crate::load::{DATABASE, load};
use crate::proc::{cpu_seconds, peak_mb, resident_mb};
use crate::report::{Name, round};
use crate::sink::sink;
use crate::subject::{self, Subject};
use serde_json::json;
use std::thread;
use std::time::Duration;
use tapline_harness::{create_topic, eventually};

const WINDOW: Duration = Duration::from_secs(30);

pub fn idle(bench: &Bench) {
    // the database it lies in
    load(bench);
    for subject in subject::workers(bench) {
        measure(bench, subject);
    }
}

fn measure(bench: &Bench, subject: &str) {
    let sql = bench.postgres().sql(DATABASE);
    let (table, prefix) = (format!("idle_{subject}"), format!("idle_{subject}"));
    sql.execute(&format!(
        "create table {table} (id int primary key, v text); insert into {table} values (1, 'a');
         create publication {table}_pub for table {table}"
    ));
    let topic = format!("{prefix}.public.{table}");
    create_topic(&bench.kafka().bootstrap(), &topic, 1, &[]);
    let mut source = subject::source(bench, DATABASE, &table, &prefix, "json-schemas");
    source["snapshot.mode"] = json!("initial");
    let (source_name, sink_name) = (format!("{prefix}_source"), format!("{prefix}_sink"));
    let target = format!("{table}_copy");
    let mut worker = Subject::start(bench, subject);
    let pid = worker.pid();
    worker.put(&source_name, &source);
    worker.put(&sink_name, &sink(bench, &topic, &target));
    eventually("the row came through", Duration::from_secs(60), || {
        let count = sql.try_rows(&format!("select count(*) from {target}"));
        match count.map_err(|e| e.to_string())?[0][0].as_deref() {
            Some("1") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    // what starting left to do is over before the window opens
    thread::sleep(Duration::from_secs(3));
    let cpu = cpu_seconds(pid);
    thread::sleep(WINDOW);
    let busy = (cpu_seconds(pid) - cpu) / WINDOW.as_secs_f64();
    let figures = json!({
        "secs": WINDOW.as_secs(),
        "peak_rss_mb": round(peak_mb(pid), 1),
        "rss_mb": round(resident_mb(pid), 1),
        "cpu_cores": round(busy, 4),
        "settings": "one Postgres source, one JDBC sink; defaults",
    });
    let name = Name {
        bench: "idle",
        subject,
        variant: "json-schemas",
    };
    bench.report.row(name, &figures);
    worker.remove(&sink_name);
    worker.finish(&source_name);
    crate::load::drop_slot(bench, &prefix);
}
