//! How a broker is opened: the few settings of Kafka's `server.properties` that mean something for one node.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a broker. [`Config::new`] gives Kafka's defaults, where a single node has no reason to differ.
#[derive(Debug, Clone)]
pub struct Config {
    /// Everything the broker keeps is below this folder, which is created when missing.
    pub data_dir: PathBuf,
    /// Where to listen; port 0 takes a free one. It is also what clients are told to connect to, except that a
    /// wildcard address is told as the address that the client reached.
    pub listen: SocketAddr,
    /// `auto.create.topics.enable`: a topic that a producer or consumer names comes into being.
    pub auto_create_topics: bool,
    /// `num.partitions`: of a topic that is created without saying how many.
    pub default_partitions: i32,
    /// `message.max.bytes`: the largest record batch that a topic without `max.message.bytes` takes.
    pub max_message_bytes: i32,
    /// `log.segment.bytes`: when a partition goes on in a new file. Smaller than Kafka's 1 GiB, since the index of
    /// the file that is being written stays in memory.
    pub segment_bytes: u32,
    /// `socket.request.max.bytes`: a connection that announces a larger request is closed.
    pub max_request_bytes: usize,
    /// `queued.max.request.bytes`: memory for requests that are being read or handled, over all connections. When
    /// it is used up, sockets are not read.
    pub request_memory: usize,
    /// `fetch.max.bytes`: the most that one fetch is answered with. The answer is streamed from the files, so this
    /// bounds what a client must hold, not what the broker does.
    pub max_fetch_bytes: usize,
    /// `max.connections`: further ones are closed at once.
    pub max_connections: usize,
    /// `connections.max.idle.ms`
    pub max_idle: Duration,
    /// `group.initial.rebalance.delay.ms`: 0 here, since a single node's groups are small and should start at once.
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms` and `group.max.session.timeout.ms`
    pub session_timeout: std::ops::RangeInclusive<Duration>,
}

impl Config {
    /// The defaults, with everything below `data_dir` and a free port of the loopback address.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            auto_create_topics: true,
            default_partitions: 1,
            max_message_bytes: 1_048_588,
            segment_bytes: 256 << 20,
            max_request_bytes: 100 << 20,
            request_memory: 32 << 20,
            max_fetch_bytes: 55 << 20,
            max_connections: 1024,
            max_idle: Duration::from_secs(600),
            initial_rebalance_delay: Duration::ZERO,
            session_timeout: Duration::from_secs(6)..=Duration::from_secs(1800),
        }
    }
}
