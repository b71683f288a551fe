//! Cutting what was read into messages.
//!
//! ```text
//!  socket ──read──▶ [ D····· D·········· D··· D··]      BytesMut
//!                     └──── complete ────┘   └ kept for the next read
//!                            Block (one Bytes), frames are ranges of it
//! ```
//!
//! A block is split off as a whole, so the cost per message is reading five bytes of header: no reference count moves
//! until a value borrows from the block.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use tapline_databases::postgres::Error;

/// Tag and length.
const HEADER: usize = 5;
/// The server's own limit for one message (`PQ_LARGE_MESSAGE_LIMIT`) is 1 GiB; anything beyond is not this protocol.
const LARGEST: usize = 1 << 30;

/// Bytes read and not yet handed out.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    buf: BytesMut,
}

/// A run of complete messages.
#[derive(Debug, Default)]
pub(crate) struct Block {
    bytes: Bytes,
    at: usize,
}

/// One message: its tag, and where its body lies in the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) tag: u8,
    pub(crate) body: Range<usize>,
}

impl Frames {
    /// What is read into.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        &mut self.buf
    }

    /// All complete messages as one block, or `None` until the first is complete.
    ///
    /// # Errors
    /// [`Error::Protocol`] when a length is impossible.
    pub(crate) fn take_block(&mut self) -> Result<Option<Block>, Error> {
        let mut end = 0;
        loop {
            match frame_at(&self.buf, end)? {
                Next::Frame(frame) => end = frame.body.end,
                Next::Needs(size) => {
                    // A row of many megabytes is read into one piece from the start.
                    self.buf.reserve(size);
                    break;
                }
                Next::End => break,
            }
        }
        if end == 0 {
            return Ok(None);
        }
        Ok(Some(Block {
            bytes: self.buf.split_to(end).freeze(),
            at: 0,
        }))
    }

    /// One message alone, with its header, for the log-in and query phases.
    pub(crate) fn take_one(&mut self) -> Result<Option<BytesMut>, Error> {
        match frame_at(&self.buf, 0)? {
            Next::Frame(frame) => Ok(Some(self.buf.split_to(frame.body.end))),
            Next::Needs(size) => {
                self.buf.reserve(size);
                Ok(None)
            }
            Next::End => Ok(None),
        }
    }
}

impl Block {
    /// What the frames' ranges refer to.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether any message is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next message.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        match frame_at(&self.bytes, self.at) {
            Ok(Next::Frame(frame)) => {
                self.at = frame.body.end;
                Some(frame)
            }
            // A block holds complete messages only.
            _ => None,
        }
    }
}

enum Next {
    Frame(Frame),
    /// Incomplete; this many more bytes are missing.
    Needs(usize),
    End,
}

fn frame_at(buf: &[u8], at: usize) -> Result<Next, Error> {
    let Some(rest) = buf.get(at..) else {
        return Ok(Next::End);
    };
    let Some((&[tag, a, b, c, d], body)) = rest.split_first_chunk::<HEADER>() else {
        return Ok(Next::End);
    };
    // The length counts itself, not the tag.
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    let Some(length) = length.checked_sub(4).filter(|length| *length <= LARGEST) else {
        return Err(Error::Protocol(format!(
            "the server sent a message of tag {tag} with the impossible length {length}"
        )));
    };
    if body.len() < length {
        return Ok(Next::Needs(length - body.len()));
    }
    let start = at + HEADER;
    Ok(Next::Frame(Frame {
        tag,
        body: start..start + length,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag], &length.to_be_bytes()[..], body].concat()
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_they_are_cut(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
            cut in 1usize..50,
        ) {
            let stream: Vec<u8> = bodies.iter().flat_map(|body| message(b'd', body)).collect();
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in stream.chunks(cut) {
                frames.room().extend_from_slice(piece);
                while let Some(mut block) = frames.take_block().unwrap() {
                    while let Some(frame) = block.next_frame() {
                        prop_assert_eq!(frame.tag, b'd');
                        found.push(block.bytes()[frame.body].to_vec());
                    }
                    prop_assert!(block.is_empty());
                }
            }
            prop_assert_eq!(frames.buf.len(), 0);
            prop_assert_eq!(found, bodies);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut frames = Frames::default();
            frames.room().extend_from_slice(&bytes);
            while let Ok(Some(mut block)) = frames.take_block() {
                while block.next_frame().is_some() {}
            }
        }
    }

    #[test]
    fn an_impossible_length_is_an_error() {
        let mut frames = Frames::default();
        frames.room().extend_from_slice(&[b'd', 0, 0, 0, 3]);
        assert!(frames.take_block().is_err());
        let mut frames = Frames::default();
        frames.room().extend_from_slice(&[b'd', 0xFF, 0, 0, 0]);
        assert!(frames.take_block().is_err());
    }
}
