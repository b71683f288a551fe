//! `latency-postgres`: from a commit's return to the record in a consumer's hands, at 100 single-row transactions a
//! second, with default settings.

use crate::Bench;
use crate::load::drop_slot;
use crate::proc::{cpu_seconds, peak_mb};
use crate::report::{Name, round};
use crate::settings::{Settings, add};
use crate::subject::{self, Subject, workers};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};
use tapline_harness::{create_topic, eventually};

const RATE: u32 = 100;
const WARM_UP: u32 = 5 * RATE;
const SAMPLES: u32 = 30 * RATE;

pub fn postgres(bench: &Bench) {
    for subject in workers(bench) {
        measure(bench, subject, Settings::Default);
        if bench.peers {
            measure(bench, subject, Settings::Tuned);
        }
    }
}

fn measure(bench: &Bench, subject: &str, settings: Settings) {
    let name = format!("latency_{subject}_{settings:?}").to_lowercase();
    let sql = bench.postgres().create_database(&name);
    sql.execute("create table lat (id int primary key, v text); create publication lat_pub for table lat");
    let topic = format!("{name}.public.lat");
    create_topic(&bench.kafka().bootstrap(), &topic, 1, &[]);
    let mut config = subject::source(bench, &name, "lat", &name, "json");
    if settings == Settings::Tuned {
        add(&mut config, json!({ "poll.interval.ms": "5" }));
    }
    let mut worker = Subject::start(bench, subject);
    worker.put(&name, &config);
    eventually("the slot is read", Duration::from_secs(60), || {
        let active = format!("select active from pg_replication_slots where slot_name = '{name}'");
        let active = sql.value(&active);
        if active == "t" { Ok(()) } else { Err(active) }
    });
    let bootstrap = bench.kafka().bootstrap();
    let reader = thread::spawn(move || receive(&bootstrap, &topic));
    let (start, cpu) = (Instant::now(), cpu_seconds(worker.pid()));
    let mut sent = Vec::new();
    for id in 0..WARM_UP + SAMPLES {
        sql.execute(&format!("insert into lat values ({id}, 'x')"));
        sent.push(Instant::now());
        let next = start + Duration::from_secs(1) / RATE * (id + 1);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let busy = (cpu_seconds(worker.pid()) - cpu) / start.elapsed().as_secs_f64();
    let got = reader.join().expect("a reader");
    let mut times: Vec<f64> = (WARM_UP..WARM_UP + SAMPLES)
        .filter_map(|id| {
            Some((got.get(&id)?.saturating_duration_since(sent[id as usize])).as_secs_f64() * 1e3)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| {
        round(
            times[((times.len() as f64 * part) as usize).min(times.len() - 1)],
            1,
        )
    };
    let figures = json!({
        "events": times.len(),
        "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1.0),
        "lost": SAMPLES as usize - times.len(),
        "cpu_cores": round(busy, 3),
        "peak_rss_mb": round(peak_mb(worker.pid()), 1),
        "settings": match settings {
            Settings::Default => "100 transactions/s; defaults",
            Settings::Tuned => "100 transactions/s; poll.interval.ms 5, else defaults",
        },
    });
    let row = Name {
        bench: "latency-postgres",
        subject,
        variant: "json",
    };
    bench.report.row(row, &figures);
    worker.finish(&name);
    drop_slot(bench, &name);
}

/// The moment at which each id came.
fn receive(bootstrap: &str, topic: &str) -> HashMap<u32, Instant> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "latency")
        .set("fetch.wait.max.ms", "100")
        .create()
        .expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&assignment).unwrap();
    let mut got = HashMap::new();
    let mut last = Instant::now();
    while got.len() < (WARM_UP + SAMPLES) as usize && last.elapsed() < Duration::from_secs(30) {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            last = Instant::now();
            let value: Value = serde_json::from_slice(message.payload().unwrap_or(b"null")).unwrap();
            if let Some(id) = value["after"]["id"].as_u64() {
                got.insert(id as u32, last);
            }
        }
    }
    got
}
