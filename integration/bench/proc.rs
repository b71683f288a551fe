//! What the kernel says of processes: CPU seconds and memory.

use std::fs;

/// A clock tick of `/proc/PID/stat`: Linux gives every program 100 to the second.
const TICK: f64 = 0.01;

/// CPU seconds, user and system, that the process has used so far.
pub fn cpu_seconds(pid: u32) -> f64 {
    let fields = stat(pid);
    (fields[11] + fields[12]) * TICK
}

/// As [`cpu_seconds`], with its children: those that run, and those that have ended.
pub fn tree_seconds(pid: u32) -> f64 {
    let own: f64 = stat(pid)[11..15].iter().sum();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let running = children.split_whitespace().filter_map(|child| {
        // it may have ended since; its parent's figures hold it then
        let text = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        Some(fields(&text)[11..13].iter().sum::<f64>())
    });
    (own + running.sum::<f64>()) * TICK
}

/// CPU seconds that this program's ended children have used.
pub fn ended_children_seconds() -> f64 {
    stat(std::process::id())[13..15].iter().sum::<f64>() * TICK
}

/// CPU seconds of the whole machine, without waiting for disks and without what the hypervisor took.
pub fn machine_seconds() -> f64 {
    let text = fs::read_to_string("/proc/stat").expect("Linux tells");
    let fields: Vec<f64> = text
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().unwrap())
        .collect();
    // user, nice, system, irq, softirq
    (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) * TICK
}

fn stat(pid: u32) -> Vec<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    fields(&text)
}

/// The fields after the program's name, which may hold spaces; those that are no numbers as 0.
fn fields(stat: &str) -> Vec<f64> {
    let after = stat.rsplit(')').next().unwrap();
    after
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect()
}

/// Peak resident memory in MiB, since the start or since [`reset_peak`].
pub fn peak_mb(pid: u32) -> f64 {
    status_mb(pid, "VmHWM:")
}

/// Resident memory now, in MiB.
pub fn resident_mb(pid: u32) -> f64 {
    status_mb(pid, "VmRSS:")
}

fn status_mb(pid: u32, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .expect("Linux tells");
    let kib: f64 = line
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse()
        .expect("a number");
    kib / 1024.0
}

/// Forgets the peak of a process that serves several runs.
pub fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of ours");
}
