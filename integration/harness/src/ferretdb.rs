//! A real document server: FerretDB, which speaks MongoDB's protocol.

use crate::run::{folder, free_port, guard, run_script};
use mongodb::bson::{Bson, Document};
use serde_json::Value;
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// A server on loopback that lets everyone in. Stopped when the run ends.
pub struct Ferretdb {
    dir: PathBuf,
    port: u16,
    runtime: Runtime,
}

impl Ferretdb {
    /// Starts a server.
    pub fn start() -> Ferretdb {
        let server = Ferretdb {
            dir: folder("ferretdb"),
            port: free_port(),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime"),
        };
        server.restart();
        guard(&format!("stop {} ferretdb TERM", server.dir.display()));
        server
    }

    /// `mongodb://…`
    pub fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/", self.port)
    }

    /// Its process.
    ///
    /// # Panics
    /// When it is not running.
    pub fn pid(&self) -> u32 {
        let pid = std::fs::read_to_string(self.dir.join("ferretdb.pid")).expect("it is running");
        pid.trim().parse().expect("a pid")
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port and data.
    pub fn restart(&self) {
        let (dir, port) = (self.dir.display().to_string(), self.port.to_string());
        run_script("ferretdb.sh", &["start", &dir, &port]);
    }

    /// SIGKILL.
    pub fn kill(&self) {
        run_script("ferretdb.sh", &["kill", &self.dir.display().to_string()]);
    }

    /// A clean shutdown.
    pub fn stop(&self) {
        run_script("ferretdb.sh", &["stop", &self.dir.display().to_string()]);
    }

    /// All documents of a collection as relaxed extended JSON, in the order of the text of their `_id`; none when there is no such
    /// collection.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn documents(&self, database: &str, collection: &str) -> Vec<Value> {
        let found = self.runtime.block_on(async {
            let client = mongodb::Client::with_uri_str(self.uri()).await?;
            let collection = client.database(database).collection::<Document>(collection);
            let mut cursor = collection.find(Document::new()).await?;
            let mut found = Vec::new();
            while cursor.advance().await? {
                found.push(cursor.deserialize_current()?);
            }
            client.shutdown().immediate(true).await;
            Ok::<_, mongodb::error::Error>(found)
        });
        let mut found: Vec<Value> = found
            .expect("the server answers")
            .into_iter()
            .map(|document| Bson::Document(document).into_relaxed_extjson())
            .collect();
        found.sort_by_cached_key(|document| document["_id"].to_string());
        found
    }

    /// How many documents a collection has, by its statistics: to count them the server reads them all.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn count(&self, database: &str, collection: &str) -> u64 {
        let counted = self.runtime.block_on(async {
            let client = mongodb::Client::with_uri_str(self.uri()).await?;
            let stats = mongodb::bson::doc! {"collStats": collection};
            let stats = client.database(database).run_command(stats).await?;
            client.shutdown().immediate(true).await;
            Ok::<_, mongodb::error::Error>(stats)
        });
        let stats = counted.expect("the server answers");
        match stats.get("count") {
            Some(Bson::Int32(count)) => u64::from(count.unsigned_abs()),
            Some(Bson::Int64(count)) => count.unsigned_abs(),
            other => panic!("a count, not {other:?}"),
        }
    }
}
