//! One run: its folder, its free ports, and the guard that ends everything when the run ends.
//!
//! Scenarios share servers by statics, which are never dropped, and a run may be killed. So a small script outside
//! holds the other end of a pipe: when it closes, the processes that were named to it are stopped by their pid files
//! and the run's folder is removed (`KEEP=1` keeps it).

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::{env, fs, thread, time};

/// The scripts' folder, from the workspace's root.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../servers")
        .join(name)
}

/// A fresh folder of this run; the name only makes it easier to recognize.
pub fn folder(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let dir = root().join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&dir).expect("a temporary folder");
    dir
}

fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = env::temp_dir().join(format!("tapline-{}", std::process::id()));
        fs::create_dir_all(&root).expect("a temporary folder");
        if env::var_os("KEEP").is_none() {
            guard(&format!("remove {}", root.display()));
        }
        root
    })
}

/// Tells the guard one line more: `stop DIR NAME` or `remove DIR`.
pub fn guard(line: &str) {
    static GUARD: OnceLock<Mutex<Child>> = OnceLock::new();
    let guard = GUARD.get_or_init(|| {
        let guard = Command::new(script("guard.sh"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // out of the terminal's group: an interrupt from the keyboard is for the run
            .process_group(0)
            .spawn();
        Mutex::new(guard.expect("guard.sh runs"))
    });
    let mut guard = guard.lock().unwrap();
    writeln!(guard.stdin.as_mut().expect("a pipe"), "{line}").expect("the guard listens");
}

/// A port that nothing listens on, below the range that outgoing connections take: a server that is killed can have it
/// again. Two calls never give the same one.
pub fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU32> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU32::new(std::process::id().wrapping_mul(37)));
    loop {
        let port = 20_000 + next.fetch_add(1, Ordering::Relaxed) % 12_000;
        let port = u16::try_from(port).expect("below 32,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Runs a script of `integration/servers` to its end and gives what it printed.
pub(crate) fn run_script(name: &str, args: &[&str]) -> String {
    let output = Command::new(script(name))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    assert!(
        output.status.success(),
        "{name} {} failed:\n{}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A child that writes its output to `DIR/NAME.log` and its pid to `DIR/NAME.pid`; killed when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it, and tells the guard.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn spawn(command: &mut Command, dir: &Path, name: &str) -> Process {
        let log = dir.join(format!("{name}.log"));
        let out = fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let err = out.try_clone().expect("a second handle");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .expect("the program starts");
        fs::write(dir.join(format!("{name}.pid")), child.id().to_string()).expect("a pid file");
        guard(&format!("stop {} {name}", dir.display()));
        Process { child, log }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// `Some` once it has ended.
    pub fn exited(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        // fails only for a child that has been waited for
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and the exit status, or `None` when it is still there after `patience`.
    pub fn terminate(&mut self, patience: time::Duration) -> Option<std::process::ExitStatus> {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let start = time::Instant::now();
        while start.elapsed() < patience {
            if let Some(status) = self.exited() {
                return Some(status);
            }
            thread::sleep(time::Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("--- the end of {}:", self.log.display());
            for line in tail.iter().rev() {
                eprintln!("    {line}");
            }
        }
    }
}
