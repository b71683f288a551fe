//! One idea per file.

mod binary;
mod servers;
