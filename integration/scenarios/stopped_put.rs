//! A sink task that is ended in the midst of a put which does not return.

use std::time::Duration;

use tapline_harness::pipeline::{sink, source};
use tapline_harness::{Worker, eventually};

use crate::{TAPLINE, postgres};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_task_that_is_cut_off_in_its_put_leaves_its_group_and_the_next_one_goes_on() {
    let name = "stopped_put";
    let from = postgres().create_database(name);
    let to = postgres().create_database("stopped_put_to");
    from.execute("create table orders (id int primary key, note text)");
    from.execute("insert into orders select i, 'first' from generate_series(1, 10) i");
    // Longer than this a put may not take once the task is to end.
    let worker = Worker::start(TAPLINE, &[("task.shutdown.graceful.timeout.ms", "200")], &[]);
    worker.put_connector("source", &source(postgres(), name, name, "public.orders"));
    let to_table = sink(postgres(), "stopped_put_to", &format!("{name}.public.orders"));
    worker.put_connector("sink", &to_table);
    let rows = |of: &str| {
        let counted = to.try_rows(&format!(
            "select count(*) from {name}_public_orders where note = '{of}'"
        ));
        counted.map(|rows| rows[0][0].clone().unwrap_or_default())
    };
    eventually("ten rows", PATIENCE, || match rows("first") {
        Ok(count) if count == "10" => Ok(()),
        other => Err(format!("{other:?}")),
    });

    let lock = postgres().sql("stopped_put_to");
    lock.execute(&format!(
        "begin; lock table {name}_public_orders in access exclusive mode"
    ));
    from.execute("insert into orders select i, 'second' from generate_series(11, 20) i");
    eventually("a put that waits for the lock", PATIENCE, || {
        match lock.count("select count(*) from pg_locks where not granted") {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    });
    assert_eq!(worker.rest("DELETE", "/connectors/sink", None).status, 204);
    // The lock is still held: the former task's put has not come to an end.
    worker.put_connector("sink", &to_table);
    worker.wait_running("sink");
    lock.execute("commit");
    eventually("twenty rows", PATIENCE, || match rows("second") {
        Ok(count) if count == "10" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    worker.wait_running("sink");
    let log = std::fs::read_to_string(worker.dir().join("worker.log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}
