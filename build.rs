//! Links libgcc's unwinder statically, so that the binary depends on the C library alone.
//!
//! Rust's standard library asks for `-lgcc_s`, which the linker finds as a shared library. A linker script of that
//! name, in a folder that is searched before the system's, names the static half instead. Nothing in the process
//! unwinds through another shared library, so the two may not meet.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to a build script by its environment"
)]

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        let out = env::var("OUT_DIR").map_err(io::Error::other)?;
        fs::write(Path::new(&out).join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n")?;
        println!("cargo:rustc-link-search=native={out}");
    }
    Ok(())
}
