//! Other people's clients on the embedded broker: kcat, and the tools that come with Apache Kafka.

use crate::TAPLINE;
use std::process::{Command, Stdio};
use tapline_harness::{Kafka, Worker};

/// Runs a line of shell with `$B`, the broker, and gives what it printed.
fn shell(bootstrap: &str, line: &str) -> String {
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", line])
        .env("B", bootstrap)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/integration/servers"))
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{line}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn numbers(until: u32) -> String {
    (1..=until).map(|n| format!("{n}\n")).collect()
}

#[test]
fn kcat_produces_consumes_and_goes_on_where_its_group_was_after_a_kill() {
    let mut worker = Worker::start(TAPLINE, &[], &[]);
    let b = worker.bootstrap();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        shell(
            &b,
            &format!("seq 1 20000 | kcat -b $B -P -t {codec} -z {codec} -X enable.idempotence=true"),
        );
        assert!(
            shell(&b, &format!("kcat -b $B -C -t {codec} -e -q")) == numbers(20_000),
            "{codec}"
        );
    }
    let group = "timeout 60 kcat -b $B -q -X auto.offset.reset=earliest";
    assert!(shell(&b, &format!("{group} -c 5000 -G readers none")) == numbers(5000));
    worker.kill();
    worker.restart();
    assert_eq!(shell(&b, &format!("{group} -c 1 -G readers none")), "5001\n");
    assert!(shell(&b, "kcat -b $B -C -t zstd -e -q") == numbers(20_000));
    // acks=0, and offsets by time
    shell(
        &b,
        "echo hello | kcat -b $B -P -t fast -X acks=0 && timeout 20 kcat -b $B -C -t fast -c 1 -q",
    );
    assert_eq!(shell(&b, "kcat -b $B -Q -t none:0:1000"), "none [0] offset 0\n");
    assert!(worker.terminate().success());
}

#[test]
fn kafkas_own_tools_administer_it() {
    let worker = Worker::start(TAPLINE, &[], &[]);
    let b = worker.bootstrap();
    let tool = |class: &str, args: &[&str]| {
        Kafka::tool(class, &[&["--bootstrap-server", b.as_str()], args].concat())
    };
    let topics = "org.apache.kafka.tools.TopicCommand";
    let groups = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let configs = "kafka.admin.ConfigCommand";

    let create = [
        "--create",
        "--topic",
        "t",
        "--partitions",
        "2",
        "--replication-factor",
        "3",
    ];
    tool(topics, &[&create[..], &["--config", "retention.ms=123"]].concat());
    let described = tool(topics, &["--describe", "--topic", "t"]);
    assert!(
        described.contains("PartitionCount: 2\tReplicationFactor: 1\tConfigs: retention.ms=123"),
        "{described}"
    );
    tool(topics, &["--alter", "--topic", "t", "--partitions", "3"]);
    assert!(tool(topics, &["--list"]).lines().any(|name| name == "t"));

    let of_t = ["--entity-type", "topics", "--entity-name", "t"];
    tool(
        configs,
        &[
            &of_t[..],
            &["--alter", "--add-config", "cleanup.policy=[compact,delete]"],
        ]
        .concat(),
    );
    let described = tool(configs, &[&of_t[..], &["--describe"]].concat());
    assert!(described.contains("cleanup.policy=compact,delete"), "{described}");

    // The Java producer is idempotent and waits for acks=all by default; the Java consumer joins a classic group.
    let producer = "./kafka.sh tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server $B --topic";
    shell(&b, &format!("seq 1 3000 | {producer} lines"));
    let consumer =
        "timeout 120 ./kafka.sh tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server $B";
    let read = shell(
        &b,
        &format!("{consumer} --topic lines --from-beginning --group g --max-messages 3000 2>/dev/null"),
    );
    assert!(read == numbers(3000), "{} lines", read.lines().count());
    let described = tool(groups, &["--describe", "--group", "g"]);
    let row: Vec<_> = described
        .lines()
        .last()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(
        row.get(..6),
        Some(&["g", "lines", "0", "3000", "3000", "0"][..]),
        "{described}"
    );
    tool(
        groups,
        &[
            "--group",
            "g",
            "--reset-offsets",
            "--to-offset",
            "7",
            "--topic",
            "lines",
            "--execute",
        ],
    );
    assert!(tool(groups, &["--describe", "--group", "g"]).contains(" 2993 "));
    tool(groups, &["--group", "g", "--delete"]);
    assert!(!tool(groups, &["--list"]).lines().any(|name| name == "g"));

    let sent = tool(
        "org.apache.kafka.tools.VerifiableProducer",
        &["--topic", "v", "--max-messages", "5000"],
    );
    assert!(sent.contains("\"sent\":5000,\"acked\":5000"), "{sent}");
    let ends = tool("org.apache.kafka.tools.GetOffsetShell", &["--topic", "v"]);
    assert_eq!(ends.trim_end(), "v:0:5000");
    tool(topics, &["--delete", "--topic", "v"]);
    assert!(!tool(topics, &["--list"]).lines().any(|name| name == "v"));
}
