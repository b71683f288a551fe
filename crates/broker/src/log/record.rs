//! The records inside an uncompressed batch: read to find one by its time or key, written again by compaction.
//!
//! A record is a length, attributes, two deltas against its batch, key, value and headers, with zigzag varints for
//! every number. Kafka's protocol guide, "Record".

/// One record, borrowing from its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// The count of headers and the headers, as they stand.
    pub(crate) headers: &'a [u8],
}

/// Bytes that are no record; the batch that holds them is corrupt, or compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads `count` records. Ends after the first malformed one.
pub(crate) fn records(mut bytes: &[u8], count: i32) -> impl Iterator<Item = Result<Record<'_>, Malformed>> {
    let mut left = count.max(0);
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        left -= 1;
        let record = take(&mut bytes);
        if record.is_err() {
            left = 0;
        }
        Some(record)
    })
}

fn take<'a>(bytes: &mut &'a [u8]) -> Result<Record<'a>, Malformed> {
    let length = varint(bytes)?;
    let mut body = slice(bytes, length)?;
    slice(&mut body, 1)?; // attributes: unused
    let timestamp_delta = varint(&mut body)?;
    let offset_delta = varint(&mut body)?;
    let key = nullable(&mut body)?;
    let value = nullable(&mut body)?;
    Ok(Record {
        timestamp_delta,
        offset_delta,
        key,
        value,
        headers: body,
    })
}

fn nullable<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    match varint(bytes)? {
        -1 => Ok(None),
        length => slice(bytes, length).map(Some),
    }
}

fn slice<'a>(bytes: &mut &'a [u8], length: i64) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    let (head, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
    *bytes = rest;
    Ok(head)
}

fn varint(bytes: &mut &[u8]) -> Result<i64, Malformed> {
    let mut raw = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        raw |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()));
        }
    }
    Err(Malformed)
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while raw >= 0x80 {
        out.push((raw & 0x7f) as u8 | 0x80);
        raw >>= 7;
    }
    out.push((raw & 0x7f) as u8);
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
            out.extend_from_slice(bytes);
        }
    }
}

impl Record<'_> {
    /// Appends the record, with its time counted from a base that lies `later` after the batch's old one.
    pub(crate) fn put(&self, out: &mut Vec<u8>, later: i64) {
        let mut body = vec![0]; // attributes
        put_varint(&mut body, self.timestamp_delta.saturating_sub(later));
        put_varint(&mut body, self.offset_delta);
        put_nullable(&mut body, self.key);
        put_nullable(&mut body, self.value);
        body.extend_from_slice(self.headers);
        put_varint(out, i64::try_from(body.len()).unwrap_or(i64::MAX));
        out.extend_from_slice(&body);
    }
}

/// Appends a record without headers.
#[cfg(test)]
pub(crate) fn put(
    out: &mut Vec<u8>,
    timestamp_delta: i64,
    offset_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) {
    Record {
        timestamp_delta,
        offset_delta,
        key,
        value,
        headers: &[0],
    }
    .put(out, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            time: i64, offset in 0..i64::from(i32::MAX),
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
        ) {
            let mut bytes = Vec::new();
            let time = time / 2;
            put(&mut bytes, time, offset, key.as_deref(), value.as_deref());
            put(&mut bytes, time, offset, value.as_deref(), key.as_deref());
            let read = records(&bytes, 2).collect::<Result<Vec<_>, _>>().unwrap();
            prop_assert_eq!(read.len(), 2);
            prop_assert_eq!((read[0].timestamp_delta, read[0].offset_delta), (time, offset));
            prop_assert_eq!((read[0].key, read[0].value), (key.as_deref(), value.as_deref()));
            prop_assert_eq!((read[1].key, read[1].value), (value.as_deref(), key.as_deref()));
        }

        #[test]
        fn any_bytes_end_in_records_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300), count: i32) {
            let _ = records(&bytes, count).count();
        }
    }
}
