//! Java's client options in librdkafka's words. Pure.
//!
//! People's configurations hold Java names (`producer.override.buffer.memory`, `sasl.jaas.config`). Each is one of:
//! the same name in librdkafka, another name or unit, something the worker does itself, or nothing that librdkafka
//! has. An option that is not known here is handed on as it is, since librdkafka's own names are welcome too; what
//! librdkafka refuses is reported once and left out, never an error.

use tapline_api::config::Config;

use super::jaas;

/// Whose options they are: some names mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `ProducerConfig`.
    Producer,
    /// `ConsumerConfig`.
    Consumer,
    /// `AdminClientConfig`.
    Admin,
}

/// Options in librdkafka's words, later ones winning, and what there is to say about the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translated {
    /// Names and values.
    pub settings: Vec<(String, String)>,
    /// Options that have no effect, each with the reason.
    pub ignored: Vec<(String, &'static str)>,
}

impl Translated {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.settings.push((name.to_owned(), value.into()));
    }
}

const JVM: &str = "it configures the JVM's client";
const WORKER: &str = "the worker does this itself";
const KEYSTORE: &str = "Java key stores can't be read: use PEM (`ssl.truststore.type=PEM`)";

/// Translates options of one client. Order is kept, so that what stands later wins, as in Java's maps.
pub fn translate(options: &Config, role: Role) -> Translated {
    let mut out = Translated::default();
    for (name, value) in options.iter() {
        if let Some(value) = value {
            one(name, value.trim(), options, role, &mut out);
        }
    }
    out
}

fn one(name: &str, value: &str, all: &Config, role: Role, out: &mut Translated) {
    let mut ignore = |why| out.ignored.push((name.to_owned(), why));
    match name {
        "key.serializer"
        | "value.serializer"
        | "key.deserializer"
        | "value.deserializer"
        | "enable.auto.commit"
        | "auto.commit.interval.ms"
        | "max.block.ms"
        | "max.poll.records"
        | "default.api.timeout.ms" => {
            ignore(WORKER);
        }
        "interceptor.classes"
        | "metric.reporters"
        | "metrics.num.samples"
        | "metrics.recording.level"
        | "metrics.sample.window.ms"
        | "auto.include.jmx.reporter"
        | "security.providers"
        | "ssl.provider"
        | "ssl.protocol"
        | "ssl.enabled.protocols"
        | "ssl.keymanager.algorithm"
        | "ssl.trustmanager.algorithm"
        | "ssl.secure.random.implementation"
        | "ssl.engine.factory.class"
        | "metadata.max.idle.ms"
        | "partitioner.adaptive.partitioning.enable"
        | "partitioner.availability.timeout.ms"
        | "exclude.internal.topics"
        | "socket.connection.setup.timeout.max.ms"
        | "ssl.truststore.type"
        | "ssl.keystore.type"
        | "sasl.login.class"
        | "sasl.client.callback.handler.class" => ignore(JVM),
        "buffer.memory" => out.set("queue.buffering.max.kbytes", kilobytes(value)),
        "max.request.size" => out.set("message.max.bytes", value),
        "send.buffer.bytes" => out.set("socket.send.buffer.bytes", system_default(value)),
        "receive.buffer.bytes" => out.set("socket.receive.buffer.bytes", system_default(value)),
        "metadata.max.age.ms" => out.set("topic.metadata.refresh.interval.ms", at_most(value, 3_600_000)),
        "fetch.max.wait.ms" => out.set("fetch.wait.max.ms", value),
        "request.timeout.ms" => {
            if role == Role::Producer {
                out.set("request.timeout.ms", value);
            }
            out.set("socket.timeout.ms", at_most(value, 300_000));
        }
        "compression.gzip.level" | "compression.lz4.level" | "compression.zstd.level" => {
            let codec = name.split('.').nth(1).unwrap_or_default();
            if all.get("compression.type") == Some(codec) {
                out.set("compression.level", value);
            }
        }
        "auto.offset.reset" => out.set("auto.offset.reset", if value == "none" { "error" } else { value }),
        "partitioner.class" => match value.rsplit('.').next() {
            Some("RoundRobinPartitioner") => out.set("partitioner", "random"),
            _ => ignore("only Kafka's own partitioners can be had"),
        },
        "partitioner.ignore.keys" => {
            if value == "true" {
                out.set("partitioner", "random");
            }
        }
        "partition.assignment.strategy" => match assignors(value) {
            Some(names) => out.set(name, names),
            None => ignore("only range, round-robin and cooperative-sticky assignment can be had"),
        },
        "security.protocol" | "compression.type" | "isolation.level" | "acks" => {
            out.set(name, value.to_ascii_lowercase());
        }
        "sasl.jaas.config" => match jaas::credentials(value) {
            Some(found) => out.settings.extend(found),
            None => ignore(
                "its login module is not known: PlainLoginModule, ScramLoginModule and OAuthBearerLoginModule are",
            ),
        },
        "ssl.endpoint.identification.algorithm" => {
            out.set(name, if value.is_empty() { "none" } else { "https" });
        }
        "ssl.truststore.certificates" => out.set("ssl.ca.pem", value),
        "ssl.keystore.key" => out.set("ssl.key.pem", value),
        "ssl.keystore.certificate.chain" => out.set("ssl.certificate.pem", value),
        "ssl.truststore.location" => match all.get("ssl.truststore.type") {
            Some(kind) if kind.eq_ignore_ascii_case("PEM") => out.set("ssl.ca.location", value),
            _ => ignore(KEYSTORE),
        },
        "ssl.truststore.password" => ignore(KEYSTORE),
        "ssl.keystore.location" => match all.get("ssl.keystore.type") {
            // One PEM file holds the key and the chain.
            Some(kind) if kind.eq_ignore_ascii_case("PEM") => {
                out.set("ssl.key.location", value);
                out.set("ssl.certificate.location", value);
            }
            Some(kind) if kind.eq_ignore_ascii_case("PKCS12") => out.set("ssl.keystore.location", value),
            _ => ignore(KEYSTORE),
        },
        _ => out.set(name, value),
    }
}

/// A number within librdkafka's narrower limits.
fn at_most(number: &str, most: u64) -> String {
    number
        .parse::<u64>()
        .map_or(number.to_owned(), |n| n.min(most).to_string())
}

/// Bytes to kilobytes, rounded up; what is not a number is left for librdkafka to refuse.
fn kilobytes(bytes: &str) -> String {
    bytes
        .parse::<u64>()
        .map_or(bytes.to_owned(), |n| n.div_ceil(1024).max(1).to_string())
}

/// Java's -1 is librdkafka's 0.
fn system_default(bytes: &str) -> &str {
    if bytes == "-1" { "0" } else { bytes }
}

/// librdkafka can't mix eager and cooperative assignors: the first known one decides which kind stays.
fn assignors(classes: &str) -> Option<String> {
    let known: Vec<_> = classes
        .split(',')
        .filter_map(|class| match class.trim().rsplit('.').next()? {
            "RangeAssignor" | "range" => Some("range"),
            "RoundRobinAssignor" | "roundrobin" => Some("roundrobin"),
            "CooperativeStickyAssignor" | "cooperative-sticky" => Some("cooperative-sticky"),
            _ => None,
        })
        .collect();
    let cooperative = *known.first()? == "cooperative-sticky";
    let kept: Vec<_> = known
        .into_iter()
        .filter(|name| (*name == "cooperative-sticky") == cooperative)
        .collect();
    Some(kept.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Java name, its value, and what librdkafka is to be told.
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

    fn settings(options: &[(&str, &str)], role: Role) -> Vec<(String, String)> {
        translate(&options.iter().copied().collect(), role).settings
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn java_names_and_units_become_those_of_librdkafka() {
        let cases: &[Case] = &[
            (
                "buffer.memory",
                "33554432",
                &[("queue.buffering.max.kbytes", "32768")],
            ),
            ("buffer.memory", "1", &[("queue.buffering.max.kbytes", "1")]),
            ("max.request.size", "2000000", &[("message.max.bytes", "2000000")]),
            ("acks", "all", &[("acks", "all")]),
            ("acks", "-1", &[("acks", "-1")]),
            ("linger.ms", "20", &[("linger.ms", "20")]),
            ("batch.size", "16384", &[("batch.size", "16384")]),
            ("send.buffer.bytes", "-1", &[("socket.send.buffer.bytes", "0")]),
            (
                "receive.buffer.bytes",
                "65536",
                &[("socket.receive.buffer.bytes", "65536")],
            ),
            (
                "security.protocol",
                "SASL_SSL",
                &[("security.protocol", "sasl_ssl")],
            ),
            (
                "partitioner.class",
                "org.apache.kafka.clients.producer.RoundRobinPartitioner",
                &[("partitioner", "random")],
            ),
            (
                "ssl.endpoint.identification.algorithm",
                "",
                &[("ssl.endpoint.identification.algorithm", "none")],
            ),
            (
                "ssl.truststore.certificates",
                "-----BEGIN",
                &[("ssl.ca.pem", "-----BEGIN")],
            ),
            (
                "request.timeout.ms",
                "900000",
                &[("request.timeout.ms", "900000"), ("socket.timeout.ms", "300000")],
            ),
            ("debug", "eos", &[("debug", "eos")]),
        ];
        for (name, value, expected) in cases {
            assert_eq!(
                settings(&[(name, value)], Role::Producer),
                pairs(expected),
                "{name}={value}"
            );
        }
    }

    #[test]
    fn consumer_options_are_translated_too() {
        let cases: &[Case] = &[
            ("auto.offset.reset", "none", &[("auto.offset.reset", "error")]),
            ("fetch.max.wait.ms", "100", &[("fetch.wait.max.ms", "100")]),
            ("request.timeout.ms", "40000", &[("socket.timeout.ms", "40000")]),
            (
                "partition.assignment.strategy",
                "org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
                &[("partition.assignment.strategy", "range")],
            ),
            ("max.poll.records", "100", &[]),
        ];
        for (name, value, expected) in cases {
            assert_eq!(
                settings(&[(name, value)], Role::Consumer),
                pairs(expected),
                "{name}={value}"
            );
        }
    }

    #[test]
    fn a_pem_key_store_gives_both_key_and_chain_and_a_java_one_is_reported() {
        assert_eq!(
            settings(
                &[("ssl.keystore.type", "PEM"), ("ssl.keystore.location", "/k.pem")],
                Role::Admin
            ),
            pairs(&[
                ("ssl.key.location", "/k.pem"),
                ("ssl.certificate.location", "/k.pem")
            ])
        );
        let options = Config::from_iter([("ssl.truststore.location", "/t.jks")]);
        assert_eq!(
            translate(&options, Role::Admin).ignored,
            [("ssl.truststore.location".to_owned(), KEYSTORE)]
        );
    }

    #[test]
    fn a_compression_level_counts_for_its_own_codec_only() {
        let options = [
            ("compression.type", "zstd"),
            ("compression.zstd.level", "3"),
            ("compression.gzip.level", "9"),
        ];
        assert_eq!(
            settings(&options, Role::Producer),
            pairs(&[("compression.type", "zstd"), ("compression.level", "3")])
        );
    }
}
