//! The broker alone: `cargo run --release -p tapline-broker --example serve -- DATA_DIR [HOST:PORT]`. Ends cleanly at the
//! end of its standard input, or on SIGINT.

use std::process::ExitCode;

use tapline_broker::{Broker, Config};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::DEBUG)
        .init();
    let mut arguments = std::env::args().skip(1);
    let Some(data_dir) = arguments.next() else {
        eprintln!("serve DATA_DIR [HOST:PORT]");
        return ExitCode::from(2);
    };
    let mut config = Config::new(data_dir);
    if let Some(listen) = arguments.next() {
        match listen.parse() {
            Ok(listen) => config.listen = listen,
            Err(error) => {
                eprintln!("{listen}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    match Broker::open(config).await {
        Ok(broker) => {
            println!("{}", broker.address());
            let mut rest = Vec::new();
            let _ = tokio::io::stdin().read_to_end(&mut rest).await;
            broker.shutdown().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
