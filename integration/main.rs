//! Scenarios that drive the built binary from outside, as a user would.
