//! One connection: log-in, text queries, and the binlog dump.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html>

use std::io;
use std::ops::Range;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tapline_databases::mysql::{Error, Pace, ServerError, Settings, Socket, Stream, dial};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until};

use super::auth;
use super::frames::{Block, Frames, write_packet};

const COM_QUIT: u8 = 0x01;
const COM_QUERY: u8 = 0x03;
const COM_BINLOG_DUMP: u8 = 0x12;
const COM_REGISTER_SLAVE: u8 = 0x15;
const COM_BINLOG_DUMP_GTID: u8 = 0x1e;
/// The dump goes through the executed set, not through a position alone.
const BINLOG_THROUGH_GTID: u16 = 0x04;
/// Heartbeats tell places beyond 4 GiB.
const USE_HEARTBEAT_EVENT_V2: u16 = 0x02;

/// The dump ends where the log does.
const BINLOG_DUMP_NON_BLOCK: u16 = 0x01;
/// MariaDB: statements come before their rows.
const BINLOG_SEND_ANNOTATE_ROWS: u16 = 0x02;

/// One row of an answer, in text.
pub(crate) type Row = Vec<Option<String>>;

/// A logged-in connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) stream: Stream,
    frames: Frames,
    out: BytesMut,
    address: String,
    patience: Duration,
    /// As the server writes it: `9.7.4`, `5.5.5-10.11.19-MariaDB`.
    pub(crate) version: String,
    /// The server's number of this connection.
    pub(crate) thread: u32,
}

/// The rows of a running query: [`Rows::next_block`] until it has ended.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    connection: &'a mut Connection,
    ended: bool,
    pace: Pace,
}

impl Connection {
    /// Connects and logs in within `settings.connect_timeout`. Text is utf8mb4, times are UTC, and backslashes escape,
    /// whatever the server or the user have set. `patience` is the longest silence of a running statement.
    pub(crate) async fn open(settings: &Settings, patience: Duration) -> Result<Self, Error> {
        let limit = settings.connect_timeout;
        let opening = async {
            let mut connection = Self {
                stream: dial(settings).await?,
                frames: Frames::default(),
                out: BytesMut::new(),
                address: settings.address(),
                patience,
                version: String::new(),
                thread: 0,
            };
            auth::log_in(&mut connection, settings).await?;
            connection.execute("SET NAMES utf8mb4").await?;
            connection
                .execute(
                    "SET SESSION sql_mode='', time_zone='+00:00', sql_quote_show_create=1, net_write_timeout=3600, \
                     wait_timeout=86400",
                )
                .await?;
            Ok(connection)
        };
        tokio::time::timeout(limit, opening).await.map_err(|_| {
            Error::Timeout(format!(
                "connection to {} timed out after {} ms",
                settings.address(),
                limit.as_millis()
            ))
        })?
    }

    /// Whether nobody else can listen.
    pub(super) fn is_private(&self) -> bool {
        !matches!(self.stream, Stream::Tcp(_))
    }

    /// Puts TLS under the connection.
    pub(super) async fn encrypt<F, W>(&mut self, with: F) -> Result<(), Error>
    where
        F: FnOnce(Stream) -> W,
        W: Future<Output = Result<Stream, Error>>,
    {
        // Nobody uses the connection while it has none.
        let (one, _) = tokio::net::UnixStream::pair().map_err(|e| Error::io("TLS", e))?;
        let plain = std::mem::replace(&mut self.stream, Stream::Unix(Socket::new(one)));
        self.stream = with(plain).await?;
        Ok(())
    }

    /// Sends one packet that goes on with the exchange.
    pub(super) async fn send(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.out.clear();
        write_packet(&mut self.out, &mut self.frames.sequence, payload);
        let written = self.stream.write_all(&self.out).await;
        written.map_err(|e| self.lost(e))?;
        self.stream.flush().await.map_err(|e| self.lost(e))
    }

    async fn command(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.frames.sequence = 0;
        self.send(payload).await
    }

    /// The next packet, alone.
    pub(super) async fn packet(&mut self) -> Result<Bytes, Error> {
        loop {
            if let Some(packet) = self.frames.take_one() {
                return Ok(packet);
            }
            self.read().await?;
        }
    }

    /// Waits for more bytes, then takes what has gathered behind them; how much came. Cancel-safe.
    pub(crate) async fn read(&mut self) -> Result<usize, Error> {
        let patience = self.patience;
        let reading = self.stream.read_gathered(self.frames.room());
        match tokio::time::timeout(patience, reading).await {
            Ok(read) => read.map_err(|e| self.lost(e)),
            Err(_) => Err(Error::Timeout(format!(
                "{} has not answered for {} s",
                self.address,
                patience.as_secs()
            ))),
        }
    }

    /// Before a pause between two reads: what arrives in it wakes nobody.
    pub(crate) fn unwatch(&mut self) -> Result<(), Error> {
        self.stream.unwatch().map_err(|e| self.lost(e))
    }

    /// The complete packets that were read, if any.
    pub(crate) fn take_block(&mut self) -> Option<Block> {
        self.frames.take_block()
    }

    /// Sets the longest silence.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    fn lost(&self, source: io::Error) -> Error {
        Error::io(format!("connection to {} lost", self.address), source)
    }

    /// Runs a statement, whose rows, if any, are dropped.
    pub(crate) async fn execute(&mut self, sql: &str) -> Result<(), Error> {
        self.query(sql).await.map(drop)
    }

    /// Runs a query of few rows.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        let mut found = Vec::new();
        let mut rows = self.stream_rows(sql).await?;
        while let Some(mut block) = rows.next_block().await? {
            while let Some(body) = rows.row(&mut block)? {
                let fields = TextFields::new(block.bytes().get(body).unwrap_or_default());
                found.push(
                    fields
                        .map(|field| field.map(|text| String::from_utf8_lossy(text).into_owned()))
                        .collect(),
                );
            }
        }
        Ok(found)
    }

    /// Runs a query whose rows are read as they come.
    pub(crate) async fn stream_rows(&mut self, sql: &str) -> Result<Rows<'_>, Error> {
        let mut command = Vec::with_capacity(sql.len() + 1);
        command.push(COM_QUERY);
        command.extend_from_slice(sql.as_bytes());
        self.command(&command).await?;
        let first = self.packet().await?;
        match first.first() {
            Some(0x00) => Ok(Rows {
                connection: self,
                ended: true,
                pace: Pace::rows(Instant::now()),
            }),
            Some(0xff) => Err(server_error(&first)),
            Some(0xfb) => Err(Error::Protocol("the server asks for a local file".to_owned())),
            _ => {
                // Definitions of the columns, and the end of them.
                loop {
                    let packet = self.packet().await?;
                    match packet.first() {
                        Some(0xfe) if packet.len() < 9 => break,
                        Some(0xff) => return Err(server_error(&packet)),
                        _ => {}
                    }
                }
                Ok(Rows {
                    connection: self,
                    ended: false,
                    pace: Pace::rows(Instant::now()),
                })
            }
        }
    }

    /// Announces us as a replica, so that `SHOW REPLICAS` lists us and a second one of the same id is noticed.
    pub(crate) async fn register(&mut self, server_id: u32) -> Result<(), Error> {
        let mut command = BytesMut::new();
        command.put_u8(COM_REGISTER_SLAVE);
        command.put_u32_le(server_id);
        // No host name, user, password, port; rank and master id.
        command.put_bytes(0, 3 + 2 + 4 + 4);
        self.command(&command).await?;
        let answer = self.packet().await?;
        match answer.first() {
            Some(0xff) => Err(server_error(&answer)),
            _ => Ok(()),
        }
    }

    /// Starts the dump at a file and position. MariaDB takes `@slave_connect_state` instead, when it is set; `annotate`
    /// asks it for the statements too, `ends` for what there is now alone.
    pub(crate) async fn dump(
        &mut self,
        server_id: u32,
        file: &str,
        position: u64,
        annotate: bool,
        ends: bool,
    ) -> Result<(), Error> {
        let mut command = BytesMut::new();
        command.put_u8(COM_BINLOG_DUMP);
        command.put_u32_le(u32::try_from(position).map_err(|_| {
            Error::Protocol(format!(
                "position {position} of {file} is beyond 4 GiB, where this server can't be asked to begin"
            ))
        })?);
        let annotate = if annotate { BINLOG_SEND_ANNOTATE_ROWS } else { 0 };
        command.put_u16_le(annotate | if ends { BINLOG_DUMP_NON_BLOCK } else { 0 });
        command.put_u32_le(server_id);
        command.put_slice(file.as_bytes());
        self.command(&command).await
    }

    /// Starts the dump of what is not in `set`, a GTID set in MySQL's binary form. `file` may be empty; with a position
    /// beyond 32 bits and an empty set this is the way to ask for a file and position too.
    pub(crate) async fn dump_gtid(
        &mut self,
        server_id: u32,
        file: &str,
        position: u64,
        set: Option<&[u8]>,
        ends: bool,
    ) -> Result<(), Error> {
        let mut command = BytesMut::new();
        command.put_u8(COM_BINLOG_DUMP_GTID);
        let through = if set.is_some() { BINLOG_THROUGH_GTID } else { 0 };
        let ends = if ends { BINLOG_DUMP_NON_BLOCK } else { 0 };
        command.put_u16_le(through | USE_HEARTBEAT_EVENT_V2 | ends);
        command.put_u32_le(server_id);
        command.put_u32_le(u32::try_from(file.len()).unwrap_or_default());
        command.put_slice(file.as_bytes());
        command.put_u64_le(position);
        if let Some(set) = set {
            command.put_u32_le(u32::try_from(set.len()).unwrap_or_default());
            command.put_slice(set);
        }
        self.command(&command).await
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        // Nobody waits for an answer, and a server that is gone needs none.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.command(&[COM_QUIT])).await;
    }
}

impl Rows<'_> {
    /// The next rows that came, or `None` at the end.
    pub(crate) async fn next_block(&mut self) -> Result<Option<Block>, Error> {
        loop {
            if self.ended {
                return Ok(None);
            }
            if let Some(block) = self.connection.take_block() {
                return Ok(Some(block));
            }
            if Instant::now() < self.pace.ready_at() {
                sleep_until(self.pace.ready_at()).await;
            }
            let read = self.connection.read().await?;
            if self.pace.read(read, Instant::now()) {
                self.connection.unwatch()?;
            }
        }
    }

    /// The next row of a block: where its fields lie.
    pub(crate) fn row(&mut self, block: &mut Block) -> Result<Option<Range<usize>>, Error> {
        let Some(body) = block.next_packet() else {
            return Ok(None);
        };
        let packet = block.bytes().get(body.clone()).unwrap_or_default();
        match packet.first() {
            Some(0xfe) if packet.len() < 9 => {
                self.ended = true;
                Ok(None)
            }
            Some(0xff) => {
                self.ended = true;
                Err(server_error(packet))
            }
            _ => Ok(Some(body)),
        }
    }
}

/// The fields of a text row.
#[derive(Debug, Clone)]
pub(crate) struct TextFields<'a>(&'a [u8]);

impl<'a> TextFields<'a> {
    /// Of one row packet.
    pub(crate) fn new(row: &'a [u8]) -> Self {
        Self(row)
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Iterator for TextFields<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&first, rest) = self.0.split_first()?;
        let (size, at) = match first {
            0xfb => {
                self.0 = rest;
                return Some(None);
            }
            0xfc => (u64::from(u16::from_le_bytes(*rest.first_chunk()?)), 2),
            0xfd => {
                let [a, b, c] = *rest.first_chunk::<3>()?;
                (u64::from(u32::from_le_bytes([a, b, c, 0])), 3)
            }
            0xfe => (u64::from_le_bytes(*rest.first_chunk()?), 8),
            n => (u64::from(n), 0),
        };
        let size = usize::try_from(size).ok()?;
        let rest = rest.get(at..)?;
        let field = rest.get(..size)?;
        self.0 = rest.get(size..)?;
        Some(Some(field))
    }
}

/// An ERR packet.
pub(crate) fn server_error(packet: &[u8]) -> Error {
    let code = packet
        .get(1..)
        .and_then(<[u8]>::first_chunk::<2>)
        .map_or(0, |code| u16::from_le_bytes(*code));
    let rest = packet.get(3..).unwrap_or_default();
    let (state, message) = match rest.strip_prefix(b"#") {
        Some(rest) => (
            rest.get(..5).unwrap_or_default(),
            rest.get(5..).unwrap_or_default(),
        ),
        None => (b"HY000".as_slice(), rest),
    };
    Error::Server(ServerError {
        code,
        state: String::from_utf8_lossy(state).into_owned(),
        message: String::from_utf8_lossy(message).into_owned(),
    })
}
