//! One connection: requests are begun in their order, and answered in it, but wait side by side. So the batches of
//! many produce requests in flight share one sync.
//!
//! What is held in memory: one partly read request (large ones only with a permit of the common budget, and not
//! longer than [`FRAME_TIMEOUT`]), the waiting answers, and one piece of a file on its way to the socket.

use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Encodable, decode_request_header_from_buffer};
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::frame::{self, Next};
use super::shape;
use crate::log::Slice;
use crate::node::{Answer, Client, Node, Pending, api_versions, supported, text};

/// Requests begun and not answered; further ones are not read.
const IN_FLIGHT: usize = 64;
/// A request up to this size is read without a permit.
const SMALL_FRAME: usize = 64 << 10;
/// A request that began to arrive must be whole by then.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);
/// A client that takes nothing of its answer for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// A piece of a file on its way to the socket.
const PIECE: usize = 256 << 10;

/// An answer with what its encoding depends on.
struct Answered {
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    answer: Answer,
}

/// Why a connection ends, other than that the client ended it.
enum End {
    Closed,
    Error(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                End::Closed
            }
            _ => End::Error(error.to_string()),
        }
    }
}

/// Serves a connection until either side ends it.
pub(super) async fn serve(
    node: Arc<Node>,
    stream: TcpStream,
    peer: SocketAddr,
    memory: Arc<Semaphore>,
    stop: CancellationToken,
) {
    let local = stream.local_addr();
    let (Ok(local), Ok(())) = (local, stream.set_nodelay(true)) else {
        return;
    };
    let (read, write) = stream.into_split();
    let connection = Connection {
        client: Client {
            id: String::new(),
            host: format!("/{}", peer.ip()),
            broker: (text(local.ip().to_string()), i32::from(local.port())),
        },
        node,
        read,
        write,
        buffer: BytesMut::new(),
        memory,
        permit: None,
        waiting: FuturesOrdered::new(),
        piece: Vec::new(),
    };
    match connection.run(stop).await {
        Ok(()) | Err(End::Closed) => {}
        Err(End::Error(reason)) => tracing::warn!(%peer, reason, "connection closed"),
    }
}

struct Connection {
    node: Arc<Node>,
    client: Client,
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    buffer: BytesMut,
    memory: Arc<Semaphore>,
    /// For the large request that is being read.
    permit: Option<OwnedSemaphorePermit>,
    waiting: FuturesOrdered<BoxFuture<'static, Answered>>,
    piece: Vec<u8>,
}

impl Connection {
    async fn run(mut self, stop: CancellationToken) -> Result<(), End> {
        let mut since = Instant::now();
        loop {
            let needs = if self.waiting.len() < IN_FLIGHT {
                self.begin(&mut since).await?
            } else {
                0
            };
            let reading = needs > self.buffer.len();
            let large = reading && needs > SMALL_FRAME && self.permit.is_none();
            let patience = if self.buffer.is_empty() {
                self.node.config.max_idle
            } else {
                FRAME_TIMEOUT
            };
            if reading && !large {
                self.buffer.reserve((needs - self.buffer.len()).max(4 << 10));
            }
            let most = frame::permits(self.node.config.request_memory);
            let permits = u32::try_from(frame::permits(needs).min(most)).unwrap_or(u32::MAX);
            tokio::select! {
                biased;
                Some(answered) = self.waiting.next(), if !self.waiting.is_empty() => {
                    self.send(answered).await?;
                    since = Instant::now();
                }
                permit = self.memory.clone().acquire_many_owned(permits), if large => {
                    self.permit = permit.ok();
                    self.buffer.reserve(needs - self.buffer.len());
                }
                got = self.read.read_buf(&mut self.buffer), if reading && !large => {
                    if got? == 0 {
                        return Ok(());
                    }
                }
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(since + patience), if self.waiting.is_empty() => {
                    let why = if self.buffer.is_empty() { return Ok(()) } else { "a request did not arrive whole" };
                    return Err(End::Error(why.to_owned()));
                }
            }
        }
        // What was begun is answered, except for what may wait long.
        let until = Instant::now() + Duration::from_secs(1);
        while let Ok(Some(answered)) = timeout_at(until, self.waiting.next()).await {
            self.send(answered).await?;
        }
        Ok(())
    }

    /// Begins every request that is whole. Returns how many bytes the next one needs.
    async fn begin(&mut self, since: &mut Instant) -> Result<usize, End> {
        while self.waiting.len() < IN_FLIGHT {
            let next = frame::next(&mut self.buffer, self.node.config.max_request_bytes);
            let frame = match next.map_err(|length| End::Error(format!("a request of {} bytes", length.0)))? {
                Next::Frame(frame) => frame,
                Next::Needs(bytes) => return Ok(bytes),
            };
            *since = Instant::now();
            if self.permit.is_some() || frame.len() > SMALL_FRAME {
                // Its memory goes with the frame, not with the connection.
                self.buffer = BytesMut::from(self.buffer.as_ref());
            }
            let permit = self.permit.take();
            self.request(frame).await?;
            drop(permit);
        }
        Ok(0)
    }

    async fn request(&mut self, mut frame: Bytes) -> Result<(), End> {
        let invalid = |what: String| End::Error(format!("a request that is none: {what}"));
        let header =
            decode_request_header_from_buffer(&mut frame).map_err(|error| invalid(error.to_string()))?;
        let RequestHeader {
            request_api_key,
            request_api_version: version,
            correlation_id,
            ..
        } = header;
        if let Some(id) = header.client_id.filter(|id| id.as_str() != self.client.id) {
            self.client.id = id.to_string();
        }
        let Some(key) = supported(request_api_key, version) else {
            if request_api_key == ApiKey::ApiVersions as i16 {
                let unknown = api_versions(Some(ResponseError::UnsupportedVersion));
                let answer = Answer::Message(Box::new(unknown.into()));
                let answered = Answered {
                    key: ApiKey::ApiVersions,
                    version: 0,
                    correlation_id,
                    answer,
                };
                self.waiting.push_back(Box::pin(std::future::ready(answered)));
                return Ok(());
            }
            return Err(End::Error(format!(
                "API {request_api_key} version {version} is not supported"
            )));
        };
        let impossible = |_| invalid(format!("{key:?} version {version} with an impossible length"));
        shape::check(key, version, &frame).map_err(impossible)?;
        let request =
            RequestKind::decode(key, &mut frame, version).map_err(|error| invalid(format!("{error:#}")))?;
        drop(frame);
        let pending = self.node.start(&self.client, request, version).await;
        let answered = move |answer| Answered {
            key,
            version,
            correlation_id,
            answer,
        };
        self.waiting.push_back(match pending {
            Pending::Done(answer) => Box::pin(std::future::ready(answered(answer))),
            Pending::Waiting(answer) => Box::pin(async move { answered(answer.await) }),
        });
        Ok(())
    }

    async fn send(&mut self, answered: Answered) -> Result<(), End> {
        let Answered {
            key,
            version,
            correlation_id,
            answer,
        } = answered;
        let mut head = BytesMut::new();
        head.put_i32(0); // the length, when it is known
        let header = ResponseHeader::default().with_correlation_id(correlation_id);
        let encoded = header.encode(&mut head, key.response_header_version(version));
        encoded.map_err(|error| End::Error(error.to_string()))?;
        let parts = match answer {
            Answer::Message(message) => {
                let encoded = ResponseKind::encode(&message, &mut head, version);
                encoded.map_err(|error| End::Error(format!("an answer can't be encoded: {error:#}")))?;
                Vec::new()
            }
            Answer::Fetched(fetched) => fetched.parts,
            Answer::Nothing => return Ok(()),
            Answer::Close => return Err(End::Closed),
        };
        let rest: usize = parts.iter().map(Slice::len).sum();
        let length = i32::try_from(head.len() - 4 + rest)
            .map_err(|_| End::Error("an answer of over 2 GiB".to_owned()))?;
        if let Some(field) = head.first_chunk_mut() {
            *field = length.to_be_bytes();
        }
        // Small pieces are joined, so that a small answer is one packet.
        for part in parts {
            match part {
                Slice::Bytes(bytes) => head.extend_from_slice(&bytes),
                Slice::File {
                    file,
                    position,
                    length,
                } => {
                    self.write(&head).await?;
                    head.clear();
                    self.stream(file, position, length as usize).await?;
                }
            }
        }
        self.write(&head).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        write(&mut self.write, bytes).await
    }

    /// Sends a piece of a file. Its length is promised already, so a failure to read ends the connection.
    async fn stream(
        &mut self,
        file: Arc<std::fs::File>,
        mut position: u64,
        mut length: usize,
    ) -> Result<(), End> {
        let mut piece = std::mem::take(&mut self.piece);
        while length > 0 {
            piece.resize(length.min(PIECE), 0);
            let from = file.clone();
            let read =
                tokio::task::spawn_blocking(move || from.read_exact_at(&mut piece, position).map(|()| piece));
            piece = read
                .await
                .map_err(|error| End::Error(error.to_string()))?
                .map_err(|error| End::Error(error.to_string()))?;
            write(&mut self.write, &piece).await?;
            position += piece.len() as u64;
            length -= piece.len();
        }
        // A connection that fetches goes on fetching; one that is idle gives it back with its next small answer.
        self.piece = piece;
        Ok(())
    }
}

async fn write(to: &mut OwnedWriteHalf, mut bytes: &[u8]) -> Result<(), End> {
    while !bytes.is_empty() {
        let written = timeout(WRITE_TIMEOUT, to.write(bytes)).await;
        let written =
            written.map_err(|_| End::Error("the client takes nothing of its answer".to_owned()))??;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}
