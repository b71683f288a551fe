//! Kafka Connect's REST API, health and metrics.
//!
//! Thin: a handler reads a request, asks the herder and renders its answer. Paths, codes, bodies and texts are
//! Kafka Connect's; where its answer is a Java exception's text (a malformed body), ours is a 400 that says what is
//! wrong. Every failure, on every path, is `{"error_code", "message"}`.

mod admin;
mod answer;
mod connectors;
mod create;
mod listeners;
mod loggers;
mod metrics;
mod offsets;
mod plugins;
mod request;
mod root;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use create::escaped;
pub use listeners::{Listeners, advertised};
pub use loggers::Loggers;

use crate::herder::Herder;
use answer::Error;

/// Kafka Connect's time for a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// What handlers need.
#[derive(Clone)]
pub(crate) struct App {
    herder: Herder,
    loggers: Arc<Loggers>,
}

/// Serves one listener until cancelled; requests that run are answered first.
pub async fn serve(listener: TcpListener, router: Router, cancel: CancellationToken) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
    });
    axum::serve(listener, router)
        .with_graceful_shutdown(cancel.cancelled_owned())
        .await
}

/// The paths that a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// All of them.
    All,
    /// All but `/admin`.
    Public,
    /// `/admin` alone.
    Admin,
}

/// The API over a herder.
pub fn router(herder: Herder, loggers: Arc<Loggers>, paths: Paths) -> Router {
    let mut router = Router::new();
    if paths != Paths::Admin {
        router = public(router);
    }
    if paths != Paths::Public {
        for (path, method) in [
            ("/admin/loggers", get(admin::list)),
            ("/admin/loggers/{logger}", get(admin::read).put(admin::set)),
        ] {
            router = route(router, path, method);
        }
    }
    router
        .fallback(async || Error::no_such_path())
        .method_not_allowed_fallback(async || Error::method_not_allowed())
        .layer(DefaultBodyLimit::max(request::BODY_LIMIT))
        .layer(from_fn(deadline))
        .with_state(App { herder, loggers })
}

fn public(mut router: Router<App>) -> Router<App> {
    let routes: [(&str, MethodRouter<App>); 21] = [
        ("/", get(root::server_info)),
        ("/health", get(root::health)),
        ("/metrics", get(metrics::scrape)),
        ("/connectors", get(connectors::list).post(create::create)),
        (
            "/connectors/{connector}",
            get(connectors::read).delete(connectors::delete),
        ),
        (
            "/connectors/{connector}/config",
            get(connectors::config)
                .put(create::put_config)
                .patch(create::patch_config),
        ),
        ("/connectors/{connector}/status", get(connectors::status)),
        ("/connectors/{connector}/restart", post(connectors::restart)),
        ("/connectors/{connector}/pause", put(connectors::pause)),
        ("/connectors/{connector}/resume", put(connectors::resume)),
        ("/connectors/{connector}/stop", put(connectors::stop)),
        (
            "/connectors/{connector}/tasks",
            get(connectors::tasks).post(connectors::internal),
        ),
        ("/connectors/{connector}/fence", put(connectors::internal)),
        (
            "/connectors/{connector}/tasks/{task}/status",
            get(connectors::task_status),
        ),
        (
            "/connectors/{connector}/tasks/{task}/restart",
            post(connectors::restart_task),
        ),
        ("/connectors/{connector}/topics", get(connectors::topics)),
        (
            "/connectors/{connector}/topics/reset",
            put(connectors::reset_topics),
        ),
        (
            "/connectors/{connector}/offsets",
            get(offsets::read).patch(offsets::alter).delete(offsets::reset),
        ),
        ("/connector-plugins", get(plugins::list)),
        ("/connector-plugins/{plugin}/config", get(plugins::config)),
        (
            "/connector-plugins/{plugin}/config/validate",
            put(plugins::validate),
        ),
    ];
    for (path, method) in routes {
        router = route(router, path, method);
    }
    router
}

/// A path with and without a slash at its end, as Jersey takes it.
fn route(router: Router<App>, path: &str, method: MethodRouter<App>) -> Router<App> {
    if path == "/" {
        return router.route(path, method);
    }
    router
        .route(path, method.clone())
        .route(&format!("{path}/"), method)
}

/// Answers when the worker does not in time.
async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::timed_out().into_response(),
    }
}
