//! Cutting what was read into packets.
//!
//! ```text
//!  socket ──read──▶ [ len seq ···· len seq ········· len s]      BytesMut
//!                     └─────── complete ──────────┘ └ kept for the next read
//!                            Block (one Bytes), packets are ranges of it
//! ```
//!
//! A payload of 2^24-1 bytes goes on in the next packet. Such a chain is joined into a block of its own; anything else is
//! never copied.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

const HEADER: usize = 4;
/// A packet of this length has a successor.
const FULL: usize = (1 << 24) - 1;

/// Bytes read and not yet handed out.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    buf: BytesMut,
    /// The number that our next packet has.
    pub(crate) sequence: u8,
}

/// A run of complete packets.
#[derive(Debug, Default)]
pub(crate) struct Block {
    bytes: Bytes,
    at: usize,
    /// The block is one payload, without headers.
    joined: bool,
}

impl Frames {
    /// What is read into.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        &mut self.buf
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// All complete packets as one block, or `None` until the first is complete.
    pub(crate) fn take_block(&mut self) -> Option<Block> {
        let mut end = 0;
        while let Some((body, sequence)) = packet_at(&self.buf, end) {
            if body.len() == FULL {
                break;
            }
            end = body.end;
            self.sequence = sequence.wrapping_add(1);
        }
        if end > 0 {
            return Some(Block {
                bytes: self.buf.split_to(end).freeze(),
                at: 0,
                joined: false,
            });
        }
        self.take_joined()
    }

    /// One packet alone: its payload, for the log-in.
    pub(crate) fn take_one(&mut self) -> Option<Bytes> {
        let (body, sequence) = packet_at(&self.buf, 0)?;
        self.sequence = sequence.wrapping_add(1);
        let packet = self.buf.split_to(body.end).freeze();
        Some(packet.slice(body))
    }

    /// A payload that is spread over several packets, once it is complete.
    fn take_joined(&mut self) -> Option<Block> {
        let (mut at, mut size) = (0, 0);
        loop {
            let Some((body, sequence)) = packet_at(&self.buf, at) else {
                // Large payloads are read into one piece.
                if let Some(length) = length_at(&self.buf, at) {
                    let missing = (at + HEADER + length).saturating_sub(self.buf.len());
                    self.buf.reserve(missing);
                }
                return None;
            };
            size += body.len();
            at = body.end;
            if body.len() < FULL {
                self.sequence = sequence.wrapping_add(1);
                break;
            }
        }
        let parts = self.buf.split_to(at);
        let mut whole = BytesMut::with_capacity(size);
        let mut at = 0;
        while let Some((body, _)) = packet_at(&parts, at) {
            at = body.end;
            whole.put_slice(parts.get(body).unwrap_or_default());
        }
        Some(Block {
            bytes: whole.freeze(),
            at: 0,
            joined: true,
        })
    }
}

impl Block {
    /// What the ranges refer to.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next packet's payload.
    pub(crate) fn next_packet(&mut self) -> Option<Range<usize>> {
        if self.joined {
            let at = std::mem::replace(&mut self.at, self.bytes.len());
            return (at < self.bytes.len()).then(|| at..self.bytes.len());
        }
        let (body, _) = packet_at(&self.bytes, self.at)?;
        self.at = body.end;
        Some(body)
    }
}

fn length_at(bytes: &[u8], at: usize) -> Option<usize> {
    let [a, b, c, _] = *bytes.get(at..)?.first_chunk::<HEADER>()?;
    Some(usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16)
}

/// Where the payload of the packet that begins at `at` lies, if it is complete, and its number.
fn packet_at(bytes: &[u8], at: usize) -> Option<(Range<usize>, u8)> {
    let length = length_at(bytes, at)?;
    let sequence = *bytes.get(at + 3)?;
    let start = at + HEADER;
    (start + length <= bytes.len()).then_some((start..start + length, sequence))
}

/// Appends `payload` as packets, beginning with number `sequence`.
pub(crate) fn write_packet(out: &mut BytesMut, sequence: &mut u8, payload: &[u8]) {
    let mut rest = payload;
    loop {
        let (part, after) = rest.split_at(rest.len().min(FULL));
        let length = u32::try_from(part.len()).unwrap_or_default().to_le_bytes();
        out.put_slice(length.get(..3).unwrap_or_default());
        out.put_u8(*sequence);
        *sequence = sequence.wrapping_add(1);
        out.put_slice(part);
        rest = after;
        if part.len() < FULL {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packets(payloads: &[Vec<u8>]) -> BytesMut {
        let (mut out, mut sequence) = (BytesMut::new(), 0);
        for payload in payloads {
            write_packet(&mut out, &mut sequence, payload);
        }
        out
    }

    #[test]
    fn a_payload_over_sixteen_megabytes_is_joined() {
        let sent = [vec![1; 3], vec![7; FULL + 5], vec![2; FULL], vec![3]];
        let mut frames = Frames {
            buf: packets(&sent),
            sequence: 0,
        };
        let mut found = Vec::new();
        while let Some(mut block) = frames.take_block() {
            while let Some(body) = block.next_packet() {
                found.push(block.bytes().slice(body).to_vec());
            }
        }
        assert!(found == sent && frames.is_empty());
    }

    proptest! {
        #[test]
        fn packets_come_out_as_they_went_in_however_reads_fall(
            sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 1..20),
            step in 1usize..50,
        ) {
            let bytes = packets(&sent);
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for part in bytes.chunks(step) {
                frames.room().put_slice(part);
                while let Some(mut block) = frames.take_block() {
                    while let Some(body) = block.next_packet() {
                        found.push(block.bytes().slice(body).to_vec());
                    }
                }
            }
            prop_assert_eq!(found, sent);
        }
    }
}
