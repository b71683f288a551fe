//! Byte streams to a server: TCP, a Unix socket, TLS over TCP.

mod gather;
mod pace;
mod socket;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio_rustls::client::TlsStream;

pub use self::pace::Pace;
pub use self::socket::{Socket, Watched};

/// A connected stream.
#[derive(Debug)]
pub enum Stream {
    /// TCP in the clear.
    Tcp(Socket<TcpStream>),
    /// A Unix socket.
    Unix(Socket<UnixStream>),
    /// TLS over TCP.
    Tls(Box<TlsStream<Socket<TcpStream>>>),
}

impl Stream {
    /// Whether it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// For a reader that will let bytes gather for a while: until a read finds nothing, what arrives wakes nobody.
    ///
    /// # Errors
    /// When the event loop refuses; the connection is closed then.
    pub fn unwatch(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.unwatch(),
            Self::Unix(socket) => socket.unwatch(),
            Self::Tls(stream) => stream.get_mut().0.unwatch(),
        }
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Unreachable {
    /// The name has no address.
    Host(io::Error),
    /// No address answers.
    Peer(io::Error),
}

/// Connects to the first address that answers.
pub(crate) async fn open_tcp(
    host: &str,
    port: u16,
    keep_alive: bool,
    receive_buffer: Option<usize>,
) -> Result<TcpStream, Unreachable> {
    let addresses = lookup_host((host, port)).await.map_err(Unreachable::Host)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        };
        let socket = socket.map_err(Unreachable::Peer)?;
        // Before connecting: the window scale is agreed on in the handshake. A refusal costs speed, not correctness.
        if let Some(bytes) = receive_buffer {
            let _ = socket.set_recv_buffer_size(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        let _ = socket.set_keepalive(keep_alive);
        match socket.connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(Unreachable::Peer)?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(Unreachable::Peer(last))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_read(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_write(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_flush(cx),
            Self::Unix(s) => Pin::new(s).poll_flush(cx),
            Self::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Self::Unix(s) => Pin::new(s).poll_shutdown(cx),
            Self::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
