//! A connection to one broker: requests out, answers in, in the same order.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{
    Decodable, HeaderVersion, Request, StrBytes, encode_request_header_into_buffer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// An answer to what we ask is never larger.
const LARGEST: usize = 100 << 20;
/// How many answers to read at once.
const READ: usize = 16 << 10;

/// How to connect.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) client: StrBytes,
    pub(super) connect: Duration,
    pub(super) request: Duration,
}

/// An open connection whose broker has said what it speaks.
pub(super) struct Connection {
    pub(super) reader: Reader,
    pub(super) writer: OwnedWriteHalf,
    pub(super) speaks: Speaks,
    client: StrBytes,
    request: Duration,
    correlation: i32,
}

/// The answers.
pub(super) struct Reader {
    half: OwnedReadHalf,
    buffer: BytesMut,
}

/// Which versions of which requests a broker takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Speaks(Vec<(i16, i16, i16)>);

impl Connection {
    /// Connects, and asks what the broker speaks.
    pub(super) async fn open(address: &str, dial: &Dial) -> io::Result<Self> {
        let stream = timeout(dial.connect, TcpStream::connect(address))
            .await
            .map_err(|_| late(format!("no connection to {address}")))??;
        stream.set_nodelay(true)?;
        let (half, writer) = stream.into_split();
        let mut connection = Self {
            reader: Reader {
                half,
                buffer: BytesMut::new(),
            },
            writer,
            speaks: Speaks::default(),
            client: dial.client.clone(),
            request: dial.request,
            correlation: 0,
        };
        // Version 0 is understood by all.
        let answer = connection.call(&ApiVersionsRequest::default(), 0).await?;
        connection.speaks = Speaks::of(&answer);
        Ok(connection)
    }

    /// Asks and waits for the answer. Nothing else may be under way.
    pub(super) async fn call<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        self.correlation = self.correlation.wrapping_add(1);
        let frame = frame(request, version, self.correlation, &self.client)?;
        let called = async {
            self.writer.write_all(&frame).await?;
            self.reader.next().await
        };
        let mut answer = timeout(self.request, called)
            .await
            .map_err(|_| late("no answer in request.timeout.ms".to_owned()))??;
        let (correlation, answer) = answer_of::<R>(&mut answer, version)?;
        if correlation != self.correlation {
            return Err(wrong("an answer to another request"));
        }
        Ok(answer)
    }
}

impl Reader {
    /// The next answer, without its length. Not cancel-safe.
    pub(super) async fn next(&mut self) -> io::Result<Bytes> {
        while self.buffer.len() < 4 {
            self.more(4).await?;
        }
        let length = usize::try_from(self.buffer.get_i32())
            .ok()
            .filter(|length| *length <= LARGEST)
            .ok_or_else(|| wrong("this is not Kafka's protocol: TLS may be wanted here"))?;
        while self.buffer.len() < length {
            self.more(length).await?;
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn more(&mut self, wanted: usize) -> io::Result<()> {
        self.buffer
            .reserve(wanted.saturating_sub(self.buffer.len()).max(READ));
        match self.half.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Speaks {
    fn of(answer: &ApiVersionsResponse) -> Self {
        Self(
            answer
                .api_keys
                .iter()
                .map(|api| (api.api_key, api.min_version, api.max_version))
                .collect(),
        )
    }

    /// The newest version of a request that both sides speak, up to `most`.
    pub(super) fn version<R: Request>(&self, most: i16) -> io::Result<i16> {
        let theirs = self.0.iter().find(|(key, ..)| *key == R::KEY);
        theirs
            .map(|(_, least, newest)| (*least, (*newest).min(most).min(R::VERSIONS.max)))
            .filter(|(least, version)| least <= version && R::VERSIONS.min <= *version)
            .map(|(_, version)| version)
            .ok_or_else(|| wrong("the broker is too old or too new for this client"))
    }
}

/// A request as it goes out, its length in front.
pub(super) fn frame<R: Request>(
    request: &R,
    version: i16,
    correlation: i32,
    client: &StrBytes,
) -> io::Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(client.clone()));
    let size = request.compute_size(version).map_err(io::Error::other)?;
    let mut out = BytesMut::with_capacity(size + 64);
    out.extend_from_slice(&[0; 4]);
    encode_request_header_into_buffer(&mut out, &header).map_err(io::Error::other)?;
    request.encode(&mut out, version).map_err(io::Error::other)?;
    let length = i32::try_from(out.len() - 4).map_err(io::Error::other)?;
    if let Some(to) = out.first_chunk_mut::<4>() {
        *to = length.to_be_bytes();
    }
    Ok(out.freeze())
}

/// An answer and the number of the request that it answers.
pub(super) fn answer_of<R: Request>(bytes: &mut Bytes, version: i16) -> io::Result<(i32, R::Response)> {
    let header = ResponseHeader::decode(bytes, R::Response::header_version(version))
        .map_err(|error| wrong(error.to_string()))?;
    let answer = R::Response::decode(bytes, version).map_err(|error| wrong(error.to_string()))?;
    Ok((header.correlation_id, answer))
}

fn late(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
