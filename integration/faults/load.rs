//! The load: random inserts, updates and deletes in transactions of random size, by a thread that outlives the
//! database's deaths. What is committed, the database itself knows best: a trigger writes it down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tapline_harness::{Postgres, Random, Sql};

/// Changes a second: so that kills fall into the load, and not after it.
const RATE: u64 = 3000;

/// Makes the database `source`: the table `t` with `rows` rows, its history, and the table of markers.
pub fn prepare(postgres: &Postgres, rows: u64) {
    let sql = postgres.create_database("source");
    sql.execute(&format!(
        "create table t (id bigserial primary key, version int not null default 1, amount numeric(10,2), flag boolean,
           payload text, at timestamptz not null default now());
         alter table t replica identity full;
         create table marker (name text primary key, seq bigint not null);
         create table history (seq bigserial primary key, id bigint not null, op char not null, version int not null);
         create function note() returns trigger language plpgsql as $$
         begin
           if tg_op = 'DELETE' then insert into history (id, op, version) values (old.id, 'd', old.version);
           else insert into history (id, op, version) values (new.id, case tg_op when 'INSERT' then 'c' else 'u' end, new.version);
           end if;
           return null;
         end $$;
         create trigger note after insert or update or delete on t for each row execute function note();
         insert into t (amount, flag, payload) select i / 7.0, i % 3 = 0, repeat(md5(i::text), 3) from generate_series(1, {rows}) i"
    ));
}

/// The running load.
pub struct Load {
    done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Load {
    pub fn start(port: u16, seed: u64, changes: u64) -> Load {
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        Load {
            done,
            thread: thread::spawn(move || work(port, seed, changes, &stop)),
        }
    }

    /// Lets it come to its number of changes, and ends it.
    pub fn finish(self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().expect("the load goes on through everything");
    }
}

fn work(port: u16, seed: u64, changes: u64, stop: &AtomicBool) {
    let mut random = Random::new(seed);
    let (start, mut sent) = (Instant::now(), 0);
    let mut session: Option<Sql> = None;
    while sent < changes || !stop.load(Ordering::Relaxed) {
        let Some(sql) = &session else {
            session = Sql::connect(port, "source").ok();
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        let statements = random.between(1, 30);
        // a session that dies leaves it unknown whether its transaction was committed; the trigger knows
        if sql.try_rows(&transaction(&mut random, statements)).is_err() {
            session = None;
        }
        sent += statements;
        let due = Duration::from_secs_f64(sent as f64 / RATE as f64);
        thread::sleep(due.saturating_sub(start.elapsed()));
    }
}

fn transaction(random: &mut Random, statements: u64) -> String {
    let mut sql = String::from("begin;");
    for _ in 0..statements {
        // ids are given out in order; one that is gone, or never came, changes nothing
        let id = format!(
            "1 + ({} * (select last_value from t_id_seq))::bigint",
            random.part()
        );
        sql += &match random.between(0, 10) {
            0..4 => format!(
                "insert into t (amount, flag, payload) values ({}, {}, repeat('{:x}', {}));",
                random.between(0, 10_000_000) as f64 / 100.0,
                random.between(0, 2) == 1,
                random.next(),
                random.between(0, 20)
            ),
            4..9 => format!(
                "update t set version = version + 1, payload = repeat('{:x}', {}), at = clock_timestamp() where id = {id};",
                random.next(),
                random.between(0, 20)
            ),
            _ => format!("delete from t where id = {id};"),
        };
    }
    // a few transactions come to nothing
    sql + if random.between(0, 20) == 0 {
        "rollback"
    } else {
        "commit"
    }
}
