//! Reading what has gathered.

use std::io;

use bytes::BytesMut;
use futures_util::FutureExt;
use tokio::io::AsyncReadExt;

use super::Stream;

/// A read that gave so much has left more behind.
pub(super) const GATHERED: usize = 256 * 1024;
/// Room asked for before a read.
const CHUNK: usize = GATHERED;

/// Makes room behind what `buf` holds, where little is left.
fn room(buf: &mut BytesMut) -> &mut BytesMut {
    if buf.capacity() - buf.len() < CHUNK / 8 {
        buf.reserve(CHUNK);
    }
    buf
}

impl Stream {
    /// Waits for more bytes, then takes what has gathered behind them, up to 256 KiB and a little more; how much that
    /// was. Cancel-safe.
    ///
    /// # Errors
    /// `UnexpectedEof` when the peer has closed, and whatever else ends the connection.
    pub async fn read_gathered(&mut self, buf: &mut BytesMut) -> io::Result<usize> {
        let mut free = {
            let room = room(buf);
            room.capacity() - room.len()
        };
        let mut read = self.read_buf(buf).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut last = read;
        // TLS gives a record (16 KiB) at a time; a plain socket that did not fill the room has nothing more to give.
        while (last == free || self.is_encrypted()) && read < GATHERED {
            let room = room(buf);
            free = room.capacity() - room.len();
            match self.read_buf(room).now_or_never() {
                Some(Ok(more)) if more > 0 => last = more,
                // An end or an error comes again at the next call.
                _ => break,
            }
            read += last;
        }
        Ok(read)
    }
}
