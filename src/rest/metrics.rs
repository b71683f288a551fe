//! `GET /metrics`: all figures in Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use tapline_api::metrics::{MetricType, Sample};

use super::App;

pub(super) async fn scrape(State(app): State<App>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        render(&app.herder.metrics().samples()),
    )
}

/// Renders samples, which come sorted by name: each name once with its help and type.
fn render(samples: &[Sample]) -> String {
    let mut out = String::with_capacity(samples.len() * 96);
    let mut last = "";
    for sample in samples {
        if sample.name != last {
            last = sample.name;
            let kind = match sample.kind {
                MetricType::Gauge => "gauge",
                MetricType::Counter => "counter",
            };
            let help = sample.help.replace('\\', "\\\\").replace('\n', "\\n");
            // Writing to a String can't fail.
            let _ = writeln!(out, "# HELP {last} {help}\n# TYPE {last} {kind}");
        }
        out.push_str(last);
        for (i, (name, value)) in sample.labels.iter().enumerate() {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(out, "{}{name}=\"{value}\"", if i == 0 { '{' } else { ',' });
        }
        if !sample.labels.is_empty() {
            out.push('}');
        }
        let _ = writeln!(out, " {}", sample.value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::metrics::Registry;

    #[test]
    fn each_name_has_its_help_once_and_labels_are_escaped() {
        let registry = Registry::default();
        let a = registry.scope(&[("connector", "a\"b\\")]);
        let b = registry.scope(&[("connector", "b")]);
        a.counter("rows_total", "Rows.", &[("table", "t")]).add(3);
        b.counter("rows_total", "Rows.", &[]).add(4);
        let none = registry.scope(&[]);
        none.gauge("up", "Whether it is up.", &[]).set(1);
        assert_eq!(
            render(&registry.samples()),
            "# HELP rows_total Rows.\n# TYPE rows_total counter\n\
             rows_total{connector=\"a\\\"b\\\\\",table=\"t\"} 3\nrows_total{connector=\"b\"} 4\n\
             # HELP up Whether it is up.\n# TYPE up gauge\nup 1\n"
        );
    }
}
