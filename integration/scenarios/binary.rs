//! What the binary asks of the machine it runs on.

use std::process::Command;

#[test]
fn the_binary_depends_on_the_c_library_alone() {
    let output = Command::new("ldd").arg(crate::TAPLINE).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // all of these are glibc's (Debian's libc6), but for the kernel's own vdso
    let of_libc = [
        "linux-vdso.so",
        "libc.so",
        "libm.so",
        "libdl.so",
        "libpthread.so",
        "librt.so",
        "ld-linux",
    ];
    let others: Vec<&str> = text
        .lines()
        .filter(|line| !of_libc.iter().any(|name| line.contains(name)))
        .map(str::trim)
        .collect();
    assert!(
        output.status.success() && others.is_empty(),
        "{others:?} in:\n{text}"
    );
}
