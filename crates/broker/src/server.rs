//! The thin TCP layer: frames in, frames out, within bounds.

mod connection;
mod frame;
mod shape;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::node::Node;
use crate::{Error, Result};

/// Accepts connections until it is stopped.
pub(crate) struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Server {
    pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
        TcpListener::bind(address)
            .await
            .map_err(|error| Error::Listen(address, error))
    }

    pub(crate) fn start(node: Arc<Node>, listener: TcpListener) -> Result<Self> {
        let address = listener
            .local_addr()
            .map_err(|error| Error::Listen(node.config.listen, error))?;
        let server = Self {
            address,
            stop: CancellationToken::new(),
            connections: TaskTracker::new(),
        };
        let (stop, connections) = (server.stop.clone(), server.connections.clone());
        let memory = Arc::new(Semaphore::new(frame::permits(node.config.request_memory)));
        let accepting = node.clone();
        let accept = async move {
            let node = accepting;
            loop {
                let (stream, peer) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of file descriptors, or a client that is gone: neither ends the broker.
                        tracing::warn!(%error, "can't accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                if connections.len() > node.config.max_connections {
                    tracing::warn!(%peer, most = node.config.max_connections, "too many connections; closed");
                    continue;
                }
                connections.spawn(connection::serve(
                    node.clone(),
                    stream,
                    peer,
                    memory.clone(),
                    stop.clone(),
                ));
            }
        };
        let (stop, time) = (server.stop.clone(), node.clone());
        server
            .connections
            .spawn(async move { stop.run_until_cancelled(time.groups.run()).await });
        let stop = server.stop.clone();
        server
            .connections
            .spawn(async move { stop.run_until_cancelled(accept).await.map_or((), |(): ()| ()) });
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections or requests, answers what was begun, and returns when that is done, or after `patience`.
    pub(crate) async fn stop(&self, patience: Duration) {
        self.stop.cancel();
        self.connections.close();
        if tokio::time::timeout(patience, self.connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = self.connections.len(),
                "connections were still busy"
            );
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
