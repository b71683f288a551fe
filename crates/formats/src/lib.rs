//! Converters between Connect values and bytes.
