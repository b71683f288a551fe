//! What a producer is told, out of the settings of the other client. Pure.

use std::time::Duration;

use kafka_protocol::protocol::StrBytes;
use rdkafka::ClientConfig;

use super::batch::Codec;
use super::connection::Dial;
use crate::worker::backoff::Backoff;

/// A producer's settings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// `host:port`.
    pub(super) bootstrap: Vec<String>,
    pub(super) dial: Dial,
    pub(super) codec: Codec,
    /// Bytes of a batch, compressed as far as they are, like Java's.
    pub(super) batch: usize,
    /// Bytes of a batch before compression: what reads it may unpack it whole.
    pub(super) unpacked: usize,
    pub(super) linger: Duration,
    /// Bytes of a record at most (`max.request.size`).
    pub(super) largest: usize,
    /// Bytes of batches on their way.
    pub(super) queue: usize,
    /// Requests on their way to one broker; at most five, or order would be lost (KIP-98).
    pub(super) in_flight: usize,
    /// Bytes of a request after which no batch is added to it.
    pub(super) request_bytes: usize,
    /// How long a record may take.
    pub(super) delivery: Duration,
    /// How often metadata is asked for again.
    pub(super) refresh: Duration,
    first_wait: Duration,
    longest_wait: Duration,
}

/// A batch of so many bytes costs Kafka little more, for each record, than a larger one, and who reads it a good deal less.
const UNPACKED: usize = 2 << 20;

/// Settings that this client heeds, or that mean nothing to it.
const KNOWN: &[&str] = &[
    "acks",
    "batch.size",
    "bootstrap.servers",
    "client.dns.lookup",
    "client.id",
    "compression.level",
    "compression.type",
    "connections.max.idle.ms",
    "delivery.timeout.ms",
    "enable.idempotence",
    "enable.metrics.push",
    "linger.ms",
    "log.connection.close",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "security.protocol",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.timeout.ms",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.interval.ms",
];

impl Settings {
    /// `None` when something is set that only the other client does: encryption, log-in, other acknowledgements, another
    /// codec or partitioner, options of its own.
    pub(super) fn of(config: &ClientConfig) -> Option<Self> {
        let known = config.config_map().keys().all(|name| KNOWN.contains(name));
        let is = |name: &str, values: &[&str]| config.get(name).is_none_or(|value| values.contains(&value));
        let served = known
            && is("acks", &["all", "-1"])
            && is("enable.idempotence", &["true"])
            && is("partitioner", &["murmur2_random"])
            && is("security.protocol", &["plaintext"]);
        if !served {
            return None;
        }
        let number =
            |name: &str, default: u64| config.get(name).map_or(Some(default), |text| text.parse().ok());
        let size = |name: &str, default: u64| usize::try_from(number(name, default)?).ok();
        let millis = |name: &str, default: u64| number(name, default).map(Duration::from_millis);
        let level = |default: u32| {
            config
                .get("compression.level")
                .map_or(Some(default), |text| text.parse().ok())
        };
        let codec = match config.get("compression.type").unwrap_or("none") {
            "none" => Codec::None,
            "gzip" => Codec::Gzip(level(6)?.min(9)),
            "lz4" => Codec::Lz4,
            "zstd" => Codec::Zstd(i32::try_from(level(3)?).ok()?),
            _ => return None,
        };
        let addresses = config.get("bootstrap.servers")?.split(',');
        let largest = size("message.max.bytes", 1 << 20)?;
        let batch = size("batch.size", 1_000_000)?.min(largest);
        Some(Self {
            bootstrap: addresses
                .map(str::trim)
                .filter(|address| !address.is_empty())
                .map(address)
                .collect(),
            dial: Dial {
                client: StrBytes::from_string(config.get("client.id").unwrap_or_default().to_owned()),
                connect: millis("socket.connection.setup.timeout.ms", 30_000)?,
                request: millis("request.timeout.ms", 30_000)?,
            },
            codec,
            batch,
            unpacked: batch.saturating_mul(4).min(batch.max(UNPACKED)),
            linger: Duration::from_secs_f64(
                config
                    .get("linger.ms")?
                    .parse::<f64>()
                    .ok()?
                    .clamp(0.0, 900_000.0)
                    / 1e3,
            ),
            largest,
            queue: size("queue.buffering.max.kbytes", 4096)?.saturating_mul(1024),
            in_flight: size("max.in.flight.requests.per.connection", 5)?.clamp(1, 5),
            request_bytes: largest,
            delivery: millis("delivery.timeout.ms", 2_147_483_647)?,
            refresh: millis("topic.metadata.refresh.interval.ms", 300_000)?,
            first_wait: millis("retry.backoff.ms", 100)?.max(Duration::from_millis(1)),
            longest_wait: millis("retry.backoff.max.ms", 1000)?,
        })
    }

    /// How to wait between attempts.
    pub(super) fn pace(&self) -> Backoff {
        Backoff::between(self.first_wait.min(self.longest_wait), self.longest_wait)
    }
}

/// An address without the protocol that may stand in front of it.
fn address(text: &str) -> String {
    let bare = text.split_once("://").map_or(text, |(_, bare)| bare);
    match bare.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => bare.to_owned(),
        _ => format!("{bare}:9092"),
    }
}

#[cfg(test)]
mod tests {
    use tapline_api::config::Config;

    use super::*;
    use crate::kafka::clients::Clients;

    fn of(options: &[(&str, &str)]) -> Option<Settings> {
        let clients = Clients::new(&Config::new(), "one:9092, PLAINTEXT://two:9093,three".into());
        Settings::of(&clients.producer("p", &options.iter().copied().collect()))
    }

    #[test]
    fn what_connectors_are_given_is_served() {
        let settings = of(&[]).unwrap();
        assert_eq!(settings.bootstrap, ["one:9092", "two:9093", "three:9092"]);
        assert_eq!(
            (settings.linger, settings.in_flight),
            (Duration::from_millis(1), 5)
        );
        assert_eq!(settings.codec, Codec::None);
        let tuned = of(&[
            ("compression.type", "LZ4"),
            ("batch.size", "524288"),
            ("linger.ms", "20"),
            ("buffer.memory", "134217728"),
        ]);
        let tuned = tuned.unwrap();
        assert_eq!((tuned.codec, tuned.batch), (Codec::Lz4, 524_288));
        assert_eq!(of(&[("compression.type", "zstd")]).unwrap().codec, Codec::Zstd(3));
    }

    #[test]
    fn what_only_the_other_client_does_is_left_to_it() {
        for option in [
            ("security.protocol", "SSL"),
            ("sasl.mechanism", "PLAIN"),
            ("acks", "1"),
            ("enable.idempotence", "false"),
            ("compression.type", "snappy"),
            ("debug", "broker"),
            ("partitioner.ignore.keys", "true"),
        ] {
            assert!(of(&[option]).is_none(), "{option:?}");
        }
    }
}
