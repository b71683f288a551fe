//! `unavailable.value.placeholder`: what stands for a value that the server did not send.

use bytes::{Bytes, BytesMut};
use tapline_api::Value;

use crate::value::{BinaryMode, hex};

/// `unavailable.value.placeholder`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placeholder {
    pub(crate) text: String,
    pub(super) bytes: Bytes,
}

impl Placeholder {
    /// From the option: text, or bytes after `hex:`.
    pub(crate) fn new(option: &str) -> Self {
        let mut bytes = BytesMut::new();
        let decoded = option
            .strip_prefix("hex:")
            .is_some_and(|digits| hex(digits.as_bytes(), &mut bytes).is_ok());
        let bytes = if decoded {
            bytes.freeze()
        } else {
            Bytes::copy_from_slice(option.as_bytes())
        };
        Self {
            text: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
        }
    }

    /// As a value of `bytea`.
    pub(super) fn binary(&self, mode: BinaryMode) -> Value {
        match mode {
            BinaryMode::Bytes => Value::Bytes(self.bytes.clone()),
            _ => self.text.clone().into(),
        }
    }
}
