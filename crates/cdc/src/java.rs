//! What Java's collections do to an order.
//!
//! Debezium builds offsets and some values in a `HashMap`; the order in which one iterates is what lies in the offsets
//! topic, and a key there is compared by its bytes. So it is reproduced.

/// `String.hashCode`.
fn hash_code(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

/// Sorts entries, whose keys are distinct and given in the order of their insertion, as `HashMap` iterates over them.
pub fn hash_map_order<T>(entries: &mut [T], key: impl Fn(&T) -> &str) {
    in_buckets(entries, 16, key);
}

/// As [`hash_map_order`], of a map that began as a copy of another one with `copied` entries.
pub fn new_hash_map_order<T>(entries: &mut [T], copied: usize, key: impl Fn(&T) -> &str) {
    let buckets = match copied {
        0 => 16,
        // As many as hold them at a load of three quarters.
        copied => u32::try_from(copied * 4 / 3 + 1)
            .unwrap_or(1 << 30)
            .next_power_of_two(),
    };
    in_buckets(entries, buckets, key);
}

fn in_buckets<T>(entries: &mut [T], mut buckets: u32, key: impl Fn(&T) -> &str) {
    // A table doubles when it is more than three quarters full. Within a bucket, order of insertion.
    while entries.len() * 4 > buckets as usize * 3 {
        buckets *= 2;
    }
    entries.sort_by_key(|entry| {
        let hash = hash_code(key(entry)).cast_unsigned();
        (hash ^ (hash >> 16)) & (buckets - 1)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_recorded_offsets() {
        let mut keys = ["ts_usec", "txId", "lsn", "lsn_proc", "lsn_commit", "messageType"];
        hash_map_order(&mut keys, |key| key);
        assert_eq!(
            keys,
            ["lsn_proc", "messageType", "lsn_commit", "lsn", "txId", "ts_usec"]
        );
    }

    #[test]
    fn hash_codes_are_those_of_java() {
        assert_eq!(hash_code(""), 0);
        assert_eq!(hash_code("lsn"), 107_463);
        // Two units for a letter outside the basic plane.
        assert_eq!(hash_code("😀"), 1_772_899);
    }
}
