//! Connecting to databases: URLs, TLS modes, quoting.
