//! One connection: log-in, simple queries, and the two copy modes.
//!
//! <https://www.postgresql.org/docs/current/protocol-flow.html>

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;

use tapline_databases::postgres::{
    Attempt, Error, ServerError, Settings, Stream, attempts, dial, server_end_point, worth_next_attempt,
};

use super::{Block, Frame, Frames};

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// SQL, and `COPY`.
    Sql,
    /// A walsender: replication commands, and SQL by simple queries.
    Replication,
}

/// Names a running command of this connection, so that another connection can cancel it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CancelKey {
    process_id: i32,
    secret_key: i32,
    attempt: Attempt,
}

/// One row of a simple query's answer, in text.
pub(crate) type Row = Vec<Option<String>>;

/// How values are printed: what the text decoders of this crate expect, whatever the server, the database or the role
/// have set. The time-outs would cut a long snapshot.
const PARAMETERS: [(&str, &str); 10] = [
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("xmloption", "content"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];

/// A logged-in connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    frames: Frames,
    out: BytesMut,
    cancel: CancelKey,
    address: String,
}

enum Reply {
    Message(Message),
    CopyBoth,
}

impl Connection {
    /// Connects and logs in, trying what `sslmode` allows, within `settings.connect_timeout` per step.
    pub(crate) async fn open(settings: &Settings, role: Role) -> Result<Self, Error> {
        let ways = attempts(settings);
        let mut failed = Error::Config("sslmode leaves no way to connect".to_owned());
        for (index, attempt) in ways.iter().enumerate() {
            match Self::attempt(settings, role, *attempt).await {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    let last = index + 1 == ways.len() || !worth_next_attempt(&error);
                    failed = error;
                    if last {
                        break;
                    }
                }
            }
        }
        Err(failed)
    }

    async fn attempt(settings: &Settings, role: Role, attempt: Attempt) -> Result<Self, Error> {
        let stream = dial(settings, attempt).await?;
        let mut connection = Self {
            stream,
            frames: Frames::default(),
            out: BytesMut::new(),
            cancel: CancelKey {
                process_id: 0,
                secret_key: 0,
                attempt,
            },
            address: settings.address(),
        };
        let limit = settings.connect_timeout;
        tokio::time::timeout(limit, connection.log_in(settings, role))
            .await
            .map_err(|_| {
                Error::Timeout(format!(
                    "log-in at {} timed out after {} ms",
                    settings.address(),
                    limit.as_millis()
                ))
            })??;
        Ok(connection)
    }

    async fn log_in(&mut self, settings: &Settings, role: Role) -> Result<(), Error> {
        let mut parameters = vec![
            ("user", settings.user.as_str()),
            ("database", settings.dbname.as_str()),
            ("application_name", settings.application_name.as_str()),
        ];
        parameters.extend(PARAMETERS);
        parameters.extend(
            settings
                .parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        if role == Role::Replication {
            parameters.push(("replication", "database"));
        }
        self.write(|out| frontend::startup_message(parameters, out))
            .await?;
        loop {
            match self.message().await? {
                Message::AuthenticationOk => break,
                Message::AuthenticationCleartextPassword => {
                    let password = password(settings)?;
                    self.write(|out| frontend::password_message(password.as_bytes(), out))
                        .await?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(
                        settings.user.as_bytes(),
                        password(settings)?.as_bytes(),
                        body.salt(),
                    );
                    self.write(|out| frontend::password_message(hash.as_bytes(), out))
                        .await?;
                }
                Message::AuthenticationSasl(body) => self.scram(settings, &body).await?,
                Message::ErrorResponse(body) => return Err(server_error(&body)),
                Message::NoticeResponse(_) | Message::ParameterStatus(_) => {}
                _ => {
                    return Err(Error::Config(format!(
                        "the server at {} asks for a log-in method that is not supported; password, md5 and \
                         scram-sha-256 are",
                        self.address
                    )));
                }
            }
        }
        loop {
            match self.message().await? {
                Message::BackendKeyData(body) => {
                    self.cancel.process_id = body.process_id();
                    self.cancel.secret_key = body.secret_key();
                }
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ErrorResponse(body) => return Err(server_error(&body)),
                _ => {}
            }
        }
    }

    async fn scram(&mut self, settings: &Settings, body: &AuthenticationSaslBody) -> Result<(), Error> {
        let mut offered = body.mechanisms();
        let (mut plain, mut plus) = (false, false);
        while let Some(mechanism) = offered.next().map_err(|e| self.garbled(&e))? {
            plain |= mechanism == SCRAM_SHA_256;
            plus |= mechanism == SCRAM_SHA_256_PLUS;
        }
        let (mechanism, binding) = match server_end_point(&self.stream) {
            Some(binding) if plus => (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(binding)),
            // Said so, a server that does offer it knows that somebody has taken the offer away.
            Some(_) if plain => (SCRAM_SHA_256, ChannelBinding::unrequested()),
            None if plain => (SCRAM_SHA_256, ChannelBinding::unsupported()),
            _ => {
                return Err(Error::Config(format!(
                    "the server at {} offers no SASL mechanism that is supported; SCRAM-SHA-256 and \
                     SCRAM-SHA-256-PLUS are",
                    self.address
                )));
            }
        };
        let password = password(settings)?;
        let mut scram = ScramSha256::new(password.as_bytes(), binding);
        let first = Bytes::copy_from_slice(scram.message());
        self.write(|out| frontend::sasl_initial_response(mechanism, &first, out))
            .await?;
        loop {
            match self.message().await? {
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data()).map_err(|e| self.garbled(&e))?;
                    let next = Bytes::copy_from_slice(scram.message());
                    self.write(|out| frontend::sasl_response(&next, out)).await?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    scram.finish(body.data()).map_err(|e| {
                        Error::Config(format!(
                            "the server at {} does not know the password: {e}",
                            self.address
                        ))
                    })?;
                    return Ok(());
                }
                Message::ErrorResponse(body) => return Err(server_error(&body)),
                _ => return Err(self.unexpected("the log-in")),
            }
        }
    }

    /// Runs one statement and returns its rows.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        self.write(|out| frontend::query(sql, out)).await?;
        let (mut rows, mut failed) = (Vec::new(), None);
        loop {
            match self.message().await? {
                Message::DataRow(body) => {
                    let buffer = body.buffer_bytes().clone();
                    let row = body
                        .ranges()
                        .map(|range| {
                            let text = range.and_then(|range| buffer.get(range));
                            Ok(text.map(|text| String::from_utf8_lossy(text).into_owned()))
                        })
                        .collect()
                        .map_err(|e| self.garbled(&e))?;
                    rows.push(row);
                }
                Message::ErrorResponse(body) => failed = Some(server_error(&body)),
                Message::ReadyForQuery(_) => return failed.map_or(Ok(rows), Err),
                _ => {}
            }
        }
    }

    /// Runs a `COPY … TO STDOUT`; what follows comes by [`Connection::read`] and [`Connection::take_block`].
    pub(crate) async fn copy_out(&mut self, sql: &str) -> Result<(), Error> {
        self.begin_copy(sql, false).await
    }

    /// Runs `START_REPLICATION`; what follows comes by [`Connection::read`] and [`Connection::take_block`].
    pub(crate) async fn start_replication(&mut self, command: &str) -> Result<(), Error> {
        self.begin_copy(command, true).await
    }

    async fn begin_copy(&mut self, sql: &str, both: bool) -> Result<(), Error> {
        self.write(|out| frontend::query(sql, out)).await?;
        loop {
            match self.reply().await? {
                Reply::CopyBoth if both => return Ok(()),
                Reply::Message(Message::CopyOutResponse(_)) if !both => return Ok(()),
                Reply::Message(Message::ErrorResponse(body)) => {
                    let error = server_error(&body);
                    // The connection can be used again once the server says so; after a fatal error it is closed.
                    while let Ok(message) = self.message().await {
                        if matches!(message, Message::ReadyForQuery(_)) {
                            break;
                        }
                    }
                    return Err(error);
                }
                Reply::Message(Message::NoticeResponse(_) | Message::ParameterStatus(_)) => {}
                _ => return Err(self.unexpected("COPY")),
            }
        }
    }

    /// Waits for more bytes, then takes what has gathered behind them; see [`Stream::read_gathered`]. Cancel-safe.
    pub(crate) async fn read(&mut self) -> Result<usize, Error> {
        let read = self.stream.read_gathered(self.frames.room()).await;
        read.map_err(|e| lost(&self.address, e))
    }

    /// Before a pause between two reads: what arrives in it wakes nobody.
    pub(crate) fn unwatch(&mut self) -> Result<(), Error> {
        self.stream.unwatch().map_err(|e| lost(&self.address, e))
    }

    /// What has been read, as far as it is complete.
    pub(crate) fn take_block(&mut self) -> Result<Option<Block>, Error> {
        self.frames.take_block()
    }

    /// Sends `body` as one CopyData message.
    pub(crate) async fn send_copy_data(&mut self, body: &[u8]) -> Result<(), Error> {
        self.write(|out| {
            frontend::CopyData::new(body)?.write(out);
            Ok(())
        })
        .await
    }

    /// What another connection needs to cancel a command of this one.
    pub(crate) fn cancel_key(&self) -> CancelKey {
        self.cancel
    }

    /// Says goodbye; the server frees the slot at once instead of when it notices. Waits a moment at most.
    pub(crate) async fn close(mut self, streaming: bool) {
        let goodbye = async {
            let _ = self
                .write(|out| {
                    if streaming {
                        frontend::copy_done(out);
                    }
                    frontend::terminate(out);
                    Ok(())
                })
                .await;
            let _ = self.stream.shutdown().await;
        };
        let _ = tokio::time::timeout(Duration::from_millis(500), goodbye).await;
    }

    async fn write(&mut self, fill: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), Error> {
        self.out.clear();
        fill(&mut self.out)
            .map_err(|e| Error::Config(format!("a value can't be sent to the server: {e}")))?;
        self.stream
            .write_all(&self.out)
            .await
            .map_err(|e| lost(&self.address, e))?;
        self.stream.flush().await.map_err(|e| lost(&self.address, e))
    }

    async fn message(&mut self) -> Result<Message, Error> {
        match self.reply().await? {
            Reply::Message(message) => Ok(message),
            Reply::CopyBoth => Err(self.unexpected("a query")),
        }
    }

    async fn reply(&mut self) -> Result<Reply, Error> {
        loop {
            if let Some(mut bytes) = self.frames.take_one()? {
                // CopyBothResponse, which postgres-protocol does not know.
                if bytes.first() == Some(&b'W') {
                    return Ok(Reply::CopyBoth);
                }
                match Message::parse(&mut bytes).map_err(|e| self.garbled(&e))? {
                    Some(message) => return Ok(Reply::Message(message)),
                    None => return Err(self.unexpected("a message")),
                }
            }
            self.read().await?;
        }
    }

    fn garbled(&self, error: &io::Error) -> Error {
        Error::Protocol(format!(
            "the server at {} sent something unreadable: {error}",
            self.address
        ))
    }

    fn unexpected(&self, during: &str) -> Error {
        Error::Protocol(format!(
            "the server at {} sent something unexpected during {during}",
            self.address
        ))
    }
}

impl CancelKey {
    /// Asks the server to cancel what that connection runs. Nobody says whether there was anything to cancel.
    pub(crate) async fn cancel(self, settings: &Settings) -> Result<(), Error> {
        let mut stream = dial(settings, self.attempt).await?;
        let mut out = BytesMut::new();
        frontend::cancel_request(self.process_id, self.secret_key, &mut out);
        let address = settings.address();
        stream.write_all(&out).await.map_err(|e| lost(&address, e))?;
        stream.shutdown().await.map_err(|e| lost(&address, e))
    }
}

fn password(settings: &Settings) -> Result<&str, Error> {
    settings
        .password
        .as_ref()
        .map(|password| password.reveal())
        .ok_or_else(|| {
            Error::Config(format!(
                "the server at {} asks for a password, but none is set for user '{}'",
                settings.address(),
                settings.user
            ))
        })
}

fn lost(address: &str, source: io::Error) -> Error {
    Error::io(
        format!("connection to the Postgres server at {address} lost"),
        source,
    )
}

/// The server's own words.
fn server_error(body: &ErrorResponseBody) -> Error {
    match ServerError::from_fields(body.fields()) {
        Ok(error) => error.into(),
        Err(error) => Error::Protocol(format!("the server sent an unreadable error: {error}")),
    }
}

/// The ErrorResponse that a copy was broken off with.
pub(crate) fn copy_error(block: &Bytes, frame: &Frame) -> Error {
    let mut message = BytesMut::new();
    message.extend_from_slice(b"E");
    message.extend_from_slice(&u32::try_from(frame.body.len() + 4).unwrap_or(4).to_be_bytes());
    message.extend_from_slice(block.get(frame.body.clone()).unwrap_or_default());
    match Message::parse(&mut message) {
        Ok(Some(Message::ErrorResponse(body))) => server_error(&body),
        _ => Error::Protocol("the server sent an unreadable error".to_owned()),
    }
}
