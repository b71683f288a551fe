//! Kafka Connect's REST API, health and metrics.
//!
//! Thin: a handler reads a request, asks the herder and renders its answer. Paths, codes, bodies and texts are
//! Kafka Connect's; where its answer is a Java exception's text (a malformed body), ours is a 400 that says what is
//! wrong. Every failure, on every path, is `{"error_code", "message"}`.

mod admin;
mod answer;
mod connectors;
mod cors;
mod create;
mod headers;
mod listeners;
mod loggers;
mod metrics;
mod offsets;
mod plugins;
mod request;
mod root;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use axum::serve::ListenerExt;
use tapline_api::Result;
use tokio_util::sync::CancellationToken;

pub(crate) use create::escaped;
pub use listeners::{Listeners, Socket, advertised};
pub use loggers::Loggers;

use crate::herder::Herder;
use crate::worker::config::WorkerConfig;
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
pub async fn serve(socket: Socket, router: Router, cancel: CancellationToken) -> std::io::Result<()> {
    let cancelled = cancel.cancelled_owned();
    let Some(acceptor) = socket.tls else {
        let listener = socket.tcp.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY");
            }
        });
        return axum::serve(listener, router)
            .with_graceful_shutdown(cancelled)
            .await;
    };
    let listener = tls::TlsListener::new(socket.tcp, acceptor)?;
    axum::serve(listener, router)
        .with_graceful_shutdown(cancelled)
        .await
}

/// What is said with every answer.
#[derive(Clone, Debug)]
pub struct Manners {
    cors: Option<Arc<cors::Cors>>,
    headers: Option<Arc<headers::Headers>>,
}

impl Manners {
    /// From the worker's properties (`access.control.*`, `response.http.headers.config`).
    ///
    /// # Errors
    /// A config error that names the option.
    pub fn new(config: &WorkerConfig) -> Result<Self> {
        Ok(Self {
            cors: cors::Cors::new(config)?.map(Arc::new),
            headers: headers::Headers::new(config)?.map(Arc::new),
        })
    }
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

/// The API over a herder. As in Kafka Connect, admin endpoints that are apart have no manners.
pub fn router(herder: Herder, loggers: Arc<Loggers>, paths: Paths, manners: &Manners) -> Router {
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
    let router = router
        .fallback(async || Error::no_such_path())
        .method_not_allowed_fallback(async || Error::method_not_allowed())
        .layer(DefaultBodyLimit::max(request::BODY_LIMIT))
        .layer(from_fn(deadline))
        .with_state(App { herder, loggers });
    // Around the whole router: the methods of a path are told outside its own layers.
    let router = Router::new()
        .fallback_service(router)
        .layer(from_fn(cors::options));
    polite(router, paths, manners)
}

fn polite(mut router: Router, paths: Paths, manners: &Manners) -> Router {
    if paths == Paths::Admin {
        return router;
    }
    if let Some(headers) = &manners.headers {
        router = router.layer(from_fn_with_state(headers.clone(), headers::answer));
    }
    if let Some(cors) = &manners.cors {
        router = router.layer(from_fn_with_state(cors.clone(), cors::answer));
    }
    router
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
