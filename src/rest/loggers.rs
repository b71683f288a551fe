//! Log levels that can be changed while the worker runs, under the names that Kafka Connect's users know.
//!
//! Java names a logger by its class, Rust by its module. [`NAMES`] maps those that people set; a Rust module path
//! is taken as it is; any other name is remembered and shown, and changes nothing, as a Java logger nobody uses.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Java loggers and the modules they stand for.
const NAMES: [(&str, &[&str]); 15] = [
    (
        "io.debezium",
        &[
            "tapline_cdc",
            "tapline_databases",
            "tapline_source_postgres",
            "tapline_sink_relational",
        ],
    ),
    ("io.debezium.connector.jdbc", &["tapline_sink_relational"]),
    ("io.debezium.connector.postgresql", &["tapline_source_postgres"]),
    ("io.debezium.transforms", &["tapline_transforms"]),
    ("kafka.server", &["tapline_broker"]),
    ("org.apache.kafka", &["tapline", "rdkafka", "librdkafka"]),
    (
        "org.apache.kafka.clients",
        &["tapline::kafka", "rdkafka", "librdkafka"],
    ),
    (
        "org.apache.kafka.connect",
        &["tapline", "tapline_formats", "tapline_transforms"],
    ),
    (
        "org.apache.kafka.connect.file",
        &["tapline_source_file", "tapline_sink_file"],
    ),
    ("org.apache.kafka.connect.json", &["tapline_formats"]),
    (
        "org.apache.kafka.connect.runtime",
        &["tapline::worker", "tapline::herder"],
    ),
    (
        "org.apache.kafka.connect.runtime.WorkerSinkTask",
        &["tapline::worker::sink"],
    ),
    (
        "org.apache.kafka.connect.runtime.WorkerSourceTask",
        &["tapline::worker::source"],
    ),
    ("org.apache.kafka.connect.runtime.rest", &["tapline::rest"]),
    ("org.apache.kafka.connect.transforms", &["tapline_transforms"]),
];

/// Log4j's levels and tracing's.
const LEVELS: [(&str, &str); 8] = [
    ("OFF", "off"),
    ("FATAL", "error"),
    ("ERROR", "error"),
    ("WARN", "warn"),
    ("INFO", "info"),
    ("DEBUG", "debug"),
    ("TRACE", "trace"),
    ("ALL", "trace"),
];

const ROOT: &str = "root";

/// Puts a filter's directives into force.
type Apply = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// The loggers of this process.
pub struct Loggers {
    /// The directives it was started with.
    base: String,
    set: Mutex<BTreeMap<String, Set>>,
    apply: Apply,
}

/// A level that was set by REST.
#[derive(Clone, Copy)]
struct Set {
    level: (&'static str, &'static str),
    modified: i64,
}

/// A logger as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Logger {
    level: String,
    /// Milliseconds since the epoch; null when it is as it was at the start.
    last_modified: Option<i64>,
}

impl Loggers {
    /// From the directives in force (`info,tapline=debug`) and the means to change them.
    pub fn new(base: impl Into<String>, apply: Apply) -> Self {
        Self {
            base: base.into(),
            set: Mutex::default(),
            apply,
        }
    }

    /// All known loggers.
    pub(super) fn all(&self) -> BTreeMap<String, Logger> {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        names.push(ROOT);
        names.extend(set.keys().map(String::as_str));
        names
            .into_iter()
            .map(|name| (name.to_owned(), self.logger(&set, name)))
            .collect()
    }

    /// One logger, if it is known.
    pub(super) fn one(&self, name: &str) -> Option<Logger> {
        self.all().remove(name)
    }

    /// Sets the level of a logger and of those below it; `None` when there is no such level. Returns their names.
    pub(super) fn set(&self, name: &str, level: &str, now: i64) -> Option<Result<Vec<String>, String>> {
        let level = *LEVELS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(level))?;
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let below = format!("{name}.");
        let known = NAMES
            .iter()
            .map(|(name, _)| *name)
            .chain(set.keys().map(String::as_str));
        let mut names: Vec<String> = known
            .filter(|known| *known == name || known.starts_with(&below))
            .map(str::to_owned)
            .collect();
        names.push(name.to_owned());
        names.sort();
        names.dedup();
        for name in &names {
            set.insert(name.clone(), Set { level, modified: now });
        }
        let directives = directives(&self.base, &set);
        Some((self.apply)(&directives).map(|()| names))
    }

    /// A logger has the level that was set for it, or for the nearest above it.
    fn logger(&self, set: &BTreeMap<String, Set>, name: &str) -> Logger {
        let mut at = name;
        loop {
            if let Some(own) = set.get(at) {
                return Logger {
                    level: own.level.0.to_owned(),
                    last_modified: Some(own.modified),
                };
            }
            match at.rsplit_once('.') {
                Some((above, _)) => at = above,
                None if at != ROOT => at = ROOT,
                None => break,
            }
        }
        Logger {
            level: root(&self.base).to_ascii_uppercase(),
            last_modified: None,
        }
    }
}

/// The level of everything that no other directive names.
fn root(directives: &str) -> &str {
    let bare = |directive: &&str| {
        LEVELS
            .iter()
            .any(|(_, level)| level.eq_ignore_ascii_case(directive))
    };
    directives
        .split(',')
        .map(str::trim)
        .rfind(bare)
        .unwrap_or("error")
}

/// A filter in which the later set wins over the earlier.
fn directives(base: &str, set: &BTreeMap<String, Set>) -> String {
    let mut out = base.to_owned();
    let mut set: Vec<_> = set.iter().collect();
    set.sort_by_key(|(name, set)| (set.modified, name.len()));
    for (
        name,
        Set {
            level: (_, level), ..
        },
    ) in set
    {
        let mapped = NAMES
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, modules)| *modules);
        if name == ROOT {
            out.push_str(&format!(",{level}"));
        } else if let Some(modules) = mapped {
            for module in modules {
                out.push_str(&format!(",{module}={level}"));
            }
        } else if is_module(name) {
            out.push_str(&format!(",{name}={level}"));
        }
    }
    out
}

fn is_module(name: &str) -> bool {
    !name.contains('.')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn loggers() -> (Loggers, Arc<Mutex<String>>) {
        let seen = Arc::new(Mutex::new(String::new()));
        let sink = seen.clone();
        let apply = move |directives: &str| {
            *sink.lock().unwrap() = directives.to_owned();
            Ok(())
        };
        (Loggers::new("info,rdkafka=warn", Box::new(apply)), seen)
    }

    #[test]
    fn a_java_logger_sets_the_modules_it_stands_for_and_those_below() {
        let (loggers, seen) = loggers();
        let names = loggers.set("io.debezium.connector", "debug", 7).unwrap().unwrap();
        assert_eq!(
            names,
            [
                "io.debezium.connector",
                "io.debezium.connector.jdbc",
                "io.debezium.connector.postgresql"
            ]
        );
        assert_eq!(
            *seen.lock().unwrap(),
            "info,rdkafka=warn,tapline_sink_relational=debug,tapline_source_postgres=debug"
        );
        let shown = loggers.one("io.debezium.connector.postgresql").unwrap();
        assert_eq!((shown.level.as_str(), shown.last_modified), ("DEBUG", Some(7)));
    }

    #[test]
    fn the_root_level_is_that_of_the_start_until_it_is_set() {
        let (loggers, seen) = loggers();
        assert_eq!(loggers.one(ROOT).unwrap().level, "INFO");
        assert_eq!(loggers.set(ROOT, "WARN", 1).unwrap().unwrap(), [ROOT]);
        assert_eq!(*seen.lock().unwrap(), "info,rdkafka=warn,warn");
        assert_eq!(loggers.one("org.apache.kafka").unwrap().level, "WARN");
        assert!(loggers.set(ROOT, "LOUD", 1).is_none());
        assert!(loggers.one("no.such.logger").is_none());
    }

    #[test]
    fn a_name_that_nobody_uses_is_shown_and_changes_nothing() {
        let (loggers, seen) = loggers();
        assert_eq!(
            loggers.set("com.acme.Thing", "TRACE", 1).unwrap().unwrap(),
            ["com.acme.Thing"]
        );
        assert_eq!(*seen.lock().unwrap(), "info,rdkafka=warn");
        assert_eq!(loggers.one("com.acme.Thing").unwrap().level, "TRACE");
        loggers.set("tapline::herder", "debug", 2).unwrap().unwrap();
        assert_eq!(*seen.lock().unwrap(), "info,rdkafka=warn,tapline::herder=debug");
    }
}
