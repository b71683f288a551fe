//! A socket that can leave the event loop for a while.
//!
//! The event loop is woken by every packet that arrives on a socket it watches, whether or not somebody waits for it. A
//! server that sends a small message a row then costs a wake-up a row, on both sides, even while the reader lets
//! them gather. So such a reader takes the socket off the loop; the first read that finds nothing puts it back.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What the event loop can watch, and its form without one.
pub trait Watched: AsyncRead + AsyncWrite + Unpin + Sized {
    /// Unwatched; reading never blocks.
    type Bare: Read;

    /// Takes it off the event loop.
    fn bare(self) -> io::Result<Self::Bare>;

    /// Puts it on the event loop.
    fn watch(bare: Self::Bare) -> io::Result<Self>;
}

impl Watched for TcpStream {
    type Bare = std::net::TcpStream;

    fn bare(self) -> io::Result<Self::Bare> {
        self.into_std()
    }

    fn watch(bare: Self::Bare) -> io::Result<Self> {
        Self::from_std(bare)
    }
}

impl Watched for UnixStream {
    type Bare = std::os::unix::net::UnixStream;

    fn bare(self) -> io::Result<Self::Bare> {
        self.into_std()
    }

    fn watch(bare: Self::Bare) -> io::Result<Self> {
        Self::from_std(bare)
    }
}

/// A socket, on the event loop or off it.
#[derive(Debug)]
pub struct Socket<S: Watched>(State<S, S::Bare>);

#[derive(Debug)]
enum State<S, B> {
    Watched(S),
    Bare(B),
    /// It could not be moved from one to the other: it is closed.
    Lost,
}

impl<S: Watched> Socket<S> {
    /// On the event loop.
    pub fn new(socket: S) -> Self {
        Self(State::Watched(socket))
    }

    /// Takes it off the event loop until a read finds nothing, or something is written.
    ///
    /// # Errors
    /// When the event loop refuses; the socket is closed then.
    pub fn unwatch(&mut self) -> io::Result<()> {
        self.0 = match std::mem::replace(&mut self.0, State::Lost) {
            State::Watched(socket) => State::Bare(socket.bare()?),
            other => other,
        };
        Ok(())
    }

    fn watched(&mut self) -> io::Result<&mut S> {
        if let State::Bare(_) = self.0
            && let State::Bare(bare) = std::mem::replace(&mut self.0, State::Lost)
        {
            self.0 = State::Watched(S::watch(bare)?);
        }
        match &mut self.0 {
            State::Watched(socket) => Ok(socket),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl<S: Watched> AsyncRead for Socket<S>
where
    S::Bare: Unpin,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let State::Bare(bare) = &mut this.0 {
            match bare.read(buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Pin::new(this.watched()?).poll_read(cx, buf)
    }
}

impl<S: Watched> AsyncWrite for Socket<S>
where
    S::Bare: Unpin,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().watched()?).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            State::Watched(socket) => Pin::new(socket).poll_flush(cx),
            // A socket has nothing of its own to flush.
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().watched()?).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_came_while_nobody_watched_is_read_and_what_comes_later_too() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut socket = Socket::new(near);
        socket.unwatch().unwrap();
        far.write_all(b"early").await.unwrap();
        let mut buffer = [0; 5];
        socket.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"early");
        assert!(matches!(socket.0, State::Bare(_)));

        let late = tokio::spawn(async move {
            let mut buffer = [0; 4];
            socket.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"late");
            socket
        });
        tokio::task::yield_now().await;
        far.write_all(b"late").await.unwrap();
        let mut socket = late.await.unwrap();
        assert!(matches!(socket.0, State::Watched(_)));

        socket.unwatch().unwrap();
        drop(far);
        assert_eq!(socket.read(&mut buffer).await.unwrap(), 0, "the end is seen");
    }

    #[tokio::test]
    async fn it_can_be_written_to_at_any_time() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut socket = Socket::new(near);
        socket.unwatch().unwrap();
        socket.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 5];
        far.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"hello");
    }
}
