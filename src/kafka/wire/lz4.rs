//! A frame of lz4, written block by block while its records come. Pure.
//!
//! A block is compressed as soon as it is full, where its bytes were just written: half a megabyte that is compressed at its
//! end, on another core, has to be fetched there first. The LZ4 Frame Format, 1.6.4; of it what Java's
//! `Lz4BlockInputStream` takes: blocks that don't refer to each other, and no checksums.

use std::io;

use lz4_flex::block;

/// Magic number; version 01, independent blocks; blocks of 64 KiB at most; the checksum of these two bytes.
const BEGIN: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
/// A block of no bytes ends the frame.
const END: [u8; 4] = [0; 4];
/// Bytes of a block: within what 16 bits count, for which the library has a faster table.
pub(super) const BLOCK: usize = 65_000;
/// In a block's length: it is not compressed.
const STORED: u32 = 1 << 31;

/// Where a block is compressed to, before it is known how long it gets.
#[derive(Debug, Default)]
pub(super) struct Scratch(Vec<u8>);

/// Begins a frame.
pub(super) fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(&BEGIN);
}

/// Appends `bytes` as blocks.
pub(super) fn append(bytes: &[u8], out: &mut Vec<u8>, Scratch(scratch): &mut Scratch) -> io::Result<()> {
    scratch.resize(block::get_maximum_output_size(BLOCK), 0);
    for plain in bytes.chunks(BLOCK) {
        let length = block::compress_into(plain, scratch).map_err(io::Error::other)?;
        let packed = scratch.get(..length).filter(|packed| packed.len() < plain.len());
        let (block, flag) = packed.map_or((plain, STORED), |packed| (packed, 0));
        let length = u32::try_from(block.len()).map_err(io::Error::other)?;
        out.extend_from_slice(&(length | flag).to_le_bytes());
        out.extend_from_slice(block);
    }
    Ok(())
}

/// Ends a frame.
pub(super) fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(&END);
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_reads_as_what_was_appended(
            parts in proptest::collection::vec((any::<u64>(), 0..200_000_usize, 1..60_u64), 0..6),
        ) {
            let (mut frame, mut plain) = (Vec::new(), Vec::new());
            let mut scratch = Scratch::default();
            begin(&mut frame);
            for (seed, length, of) in parts {
                // Few values compress, many don't.
                let part: Vec<u8> = (0..length as u64)
                    .map(|n| (seed.wrapping_add(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % of)
                    .map(|byte| u8::try_from(byte).unwrap())
                    .collect();
                append(&part, &mut frame, &mut scratch).unwrap();
                plain.extend(part);
            }
            end(&mut frame);
            let mut read = Vec::new();
            lz4_flex::frame::FrameDecoder::new(&frame[..]).read_to_end(&mut read).unwrap();
            prop_assert_eq!(read, plain);
        }
    }

    #[test]
    fn what_does_not_compress_is_stored() {
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u8::try_from(state >> 56).unwrap()
        })
        .take(3 * BLOCK)
        .collect();
        let mut frame = Vec::new();
        append(&noise, &mut frame, &mut Scratch::default()).unwrap();
        assert_eq!(frame.len(), noise.len() + 3 * 4);
        assert_eq!(frame[3] & 0x80, 0x80);
    }
}
