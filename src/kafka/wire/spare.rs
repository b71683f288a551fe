//! Buffers that were filled once and will be again: fresh memory of a batch's size costs more than its records.

use std::sync::{Mutex, PoisonError};

/// As many as are filled while others are compressed.
const MOST: usize = 3;

/// Buffers to be filled again.
#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// A buffer, used before if there is one.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().unwrap_or_default()
    }

    /// Gives one back.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST {
            spare.push(buffer);
        }
    }
}
