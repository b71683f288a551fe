//! One JSON line per measure in `target/bench.jsonl`, and the table at the end.

use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The lines of this run.
pub struct Report {
    file: PathBuf,
    rows: RefCell<Vec<Map<String, Value>>>,
}

/// Which measure a row is.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    pub bench: &'a str,
    pub subject: &'a str,
    pub variant: &'a str,
}

/// The table's columns, which every line has.
const COLUMNS: [&str; 9] = [
    "bench",
    "subject",
    "variant",
    "events",
    "secs",
    "per_s",
    "cpu_us_per_event",
    "peak_rss_mb",
    "ratio_to_limit",
];

impl Report {
    pub fn open() -> Report {
        let target = Path::new(env!("CARGO_BIN_EXE_tapline"))
            .parent()
            .and_then(Path::parent)
            .unwrap();
        fs::create_dir_all(target).unwrap();
        Report {
            file: target.join("bench.jsonl"),
            rows: RefCell::new(Vec::new()),
        }
    }

    /// A row: what it does not name of the common columns is null.
    pub fn row(&self, name: Name, figures: &Value) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut row = Map::new();
        for column in COLUMNS {
            row.insert(
                column.to_owned(),
                figures.get(column).cloned().unwrap_or(Value::Null),
            );
        }
        row.insert("bench".to_owned(), json!(name.bench));
        row.insert("subject".to_owned(), json!(name.subject));
        row.insert("variant".to_owned(), json!(name.variant));
        for (key, value) in figures.as_object().unwrap() {
            row.insert(key.clone(), value.clone());
        }
        row.insert("at".to_owned(), json!(at));
        let line = Value::Object(row.clone()).to_string();
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(&self.file)
            .unwrap();
        writeln!(file, "{line}").unwrap();
        eprintln!("{line}");
        self.rows.borrow_mut().push(row);
    }

    pub fn print(&self) {
        let rows = self.rows.borrow();
        let cell = |row: &Map<String, Value>, column: &str| match &row[column] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let extra = |row: &Map<String, Value>| {
            let known =
                |key: &str| COLUMNS.contains(&key) || key == "at" || key == "settings" || key == "all_per_s";
            let pairs = row
                .iter()
                .filter(|(key, _)| !known(key))
                .map(|(key, value)| format!("{key} {value}"));
            pairs.collect::<Vec<_>>().join(", ")
        };
        let width = |column: &str| {
            rows.iter()
                .map(|row| cell(row, column).len())
                .max()
                .unwrap_or(0)
                .max(column.len())
        };
        let widths: Vec<usize> = COLUMNS.iter().map(|column| width(column)).collect();
        let line = |cells: &mut dyn Iterator<Item = String>| {
            let padded = cells.zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
            padded.collect::<Vec<_>>().join("  ")
        };
        println!("\n{}", line(&mut COLUMNS.iter().map(|&column| column.to_owned())));
        for row in rows.iter() {
            println!(
                "{}  {}",
                line(&mut COLUMNS.iter().map(|column| cell(row, column))),
                extra(row)
            );
        }
        let settings: Vec<&str> = rows
            .iter()
            .filter_map(|row| row.get("settings")?.as_str())
            .collect();
        let mut distinct = settings.clone();
        distinct.dedup();
        for text in distinct {
            println!("settings: {text}");
        }
        println!("appended to {}", self.file.display());
    }
}

pub fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
