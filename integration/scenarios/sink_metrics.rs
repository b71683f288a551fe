//! What a sink says of itself, under the names that the JMX exporter gives Kafka Connect's figures.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tapline_harness::{Worker, create_topic, eventually, produce_all};

use crate::TAPLINE;

const PATIENCE: Duration = Duration::from_secs(60);
const GOOD: i64 = 3_000;
const BAD: i64 = 2;

/// The figures of a connector's task 0: name to type and value.
fn figures(worker: &Worker, connector: &str) -> BTreeMap<String, (String, f64)> {
    let text = worker.rest("GET", "/metrics", None).body;
    let mut kinds = BTreeMap::new();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kinds.insert(name.to_owned(), kind.to_owned());
            continue;
        }
        let Some((name, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let (labels, value) = rest.rsplit_once("} ").expect("labels and a value");
        if labels.contains(&format!("connector=\"{connector}\"")) && labels.contains("task=\"0\"") {
            let value = value.parse().expect("a number");
            found.insert(name.to_owned(), (kinds[name].clone(), value));
        }
    }
    found
}

#[test]
fn a_sinks_figures_add_up() {
    let name = "sink_figures";
    let worker = Worker::start(TAPLINE, &[("offset.flush.interval.ms", "500")], &[]);
    let bootstrap = worker.bootstrap();
    create_topic(&bootstrap, name, 3, &[]);
    let good = (0..GOOD).map(|n| format!("{{\"n\":{n}}}").into_bytes());
    produce_all(&bootstrap, name, good);
    produce_all(
        &bootstrap,
        name,
        (0..BAD).map(|n| format!("no JSON {n}").into_bytes()),
    );
    worker.put_connector(
        name,
        &json!({
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "topics": name,
            "file": worker.dir().join("figures").display().to_string(),
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false",
            "errors.tolerance": "all",
            "errors.log.enable": "true",
            "errors.deadletterqueue.topic.name": format!("{name}-dead"),
            "errors.deadletterqueue.topic.replication.factor": "1",
        }),
    );
    let sink = |name: &str| format!("kafka_connect_sink_task_{name}");
    let errors = |name: &str| format!("kafka_connect_task_error_{name}");
    let all = eventually("the offsets of every record are committed", PATIENCE, || {
        let all = figures(&worker, name);
        let of = |name: String| all.get(&name).map_or(-1.0, |(_, value)| *value);
        let done = of(sink("sink_record_send_total")) == GOOD as f64
            && of(sink("sink_record_read_total")) == (GOOD + BAD) as f64
            && of(sink("sink_record_active_count")) == 0.0;
        if done {
            Ok(all.clone())
        } else {
            Err(format!("{all:?}"))
        }
    });
    let exactly = [
        (sink("partition_count"), "gauge", 3.0),
        (sink("sink_record_read_total"), "counter", (GOOD + BAD) as f64),
        (sink("sink_record_send_total"), "counter", GOOD as f64),
        (sink("sink_record_active_count"), "gauge", 0.0),
        (errors("total_record_failures"), "counter", BAD as f64),
        (errors("total_record_errors"), "counter", BAD as f64),
        (errors("total_records_skipped"), "counter", BAD as f64),
        (errors("total_errors_logged"), "counter", BAD as f64),
        (errors("deadletterqueue_produce_requests"), "counter", BAD as f64),
        (errors("deadletterqueue_produce_failures"), "counter", 0.0),
        (
            "kafka_connect_connector_task_offset_commit_failure_total".to_owned(),
            "counter",
            0.0,
        ),
    ];
    for (name, kind, value) in exactly {
        assert_eq!(
            all.get(&name),
            Some(&(kind.to_owned(), value)),
            "{name} in {all:#?}"
        );
    }
    let between = [
        (sink("offset_commit_seq_no"), 1.0, 1e3),
        (sink("offset_commit_completion_total"), 1.0, 1e3),
        (sink("put_batch_max_time_ms"), 0.0, 6e4),
        (sink("put_batch_avg_time_ms"), 0.0, 6e4),
        (sink("sink_record_active_count_max"), 1.0, GOOD as f64),
        (sink("sink_record_active_count_avg"), 1.0, GOOD as f64),
        (
            "kafka_connect_connector_task_batch_size_max".to_owned(),
            1.0,
            GOOD as f64,
        ),
        (
            "kafka_connect_connector_task_batch_size_avg".to_owned(),
            1.0,
            GOOD as f64,
        ),
        (
            "kafka_connect_connector_task_offset_commit_max_time_ms".to_owned(),
            0.0,
            6e4,
        ),
        (
            "kafka_connect_connector_task_offset_commit_avg_time_ms".to_owned(),
            0.0,
            6e4,
        ),
        ("kafka_connect_connector_task_running_ratio".to_owned(), 0.0, 1.0),
    ];
    for (name, least, most) in between {
        let value = all.get(&name).map(|(_, value)| *value);
        assert!(
            value.is_some_and(|value| (least..=most).contains(&value)),
            "{name} is {value:?} in {all:#?}"
        );
    }
    worker.rest("DELETE", &format!("/connectors/{name}"), None);
    eventually("a deleted connector has no figures", PATIENCE, || {
        match figures(&worker, name) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        }
    });
}
