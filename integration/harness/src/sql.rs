//! A blocking session with Postgres: text in, text out.

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// One session. Values come as text, as `psql` would print them; NULL is `None`.
pub struct Sql {
    runtime: Runtime,
    client: Client,
}

impl Sql {
    /// Connects to 127.0.0.1 as `postgres`.
    ///
    /// # Errors
    /// When the server is not there, or is starting.
    pub fn connect(port: u16, database: &str) -> Result<Sql, tokio_postgres::Error> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::Config::new()
                .host("127.0.0.1")
                .port(port)
                .user("postgres")
                .dbname(database)
                .connect_timeout(std::time::Duration::from_secs(10))
                .connect(NoTls)
                .await?;
            tokio::spawn(connection);
            Ok::<_, tokio_postgres::Error>(client)
        })?;
        Ok(Sql { runtime, client })
    }

    /// Runs statements; panics with the server's message when one fails.
    pub fn execute(&self, sql: &str) {
        self.try_rows(sql)
            .unwrap_or_else(|e| panic!("{sql}: {}", describe(&e)));
    }

    /// Runs statements and gives all their rows.
    ///
    /// # Errors
    /// The server's, or a lost connection.
    pub fn try_rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
        let messages = self.runtime.block_on(self.client.simple_query(sql))?;
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
                }
                _ => None,
            })
            .collect())
    }

    /// Runs statements and gives all their rows; panics when one fails.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.try_rows(sql)
            .unwrap_or_else(|e| panic!("{sql}: {}", describe(&e)))
    }

    /// The first column of the first row: empty when there is none, or it is NULL.
    pub fn value(&self, sql: &str) -> String {
        self.rows(sql)
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten())
            .unwrap_or_default()
    }

    /// The first column of the first row as a number; 0 when there is none.
    pub fn count(&self, sql: &str) -> u64 {
        self.value(sql).parse().unwrap_or(0)
    }

    /// The session's own client and runtime, for what text can't do.
    pub fn client(&self) -> (&Runtime, &Client) {
        (&self.runtime, &self.client)
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |e| format!("{}: {}", e.code().code(), e.message()),
    )
}
