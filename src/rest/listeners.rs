//! `listeners`, `admin.listeners` and the address under which others find this worker.

use tapline_api::{Error, Result};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Paths, tls};
use crate::worker::config::WorkerConfig;

/// One address that REST listens on.
pub struct Socket {
    pub(super) tcp: TcpListener,
    /// For `https`.
    pub(super) tls: Option<TlsAcceptor>,
    /// What it serves.
    pub paths: Paths,
}

impl Socket {
    /// Where it listens, for the log.
    pub fn describe(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match self.tcp.local_addr() {
            Ok(address) => format!("{scheme}://{address}"),
            Err(error) => format!("{scheme}: {error}"),
        }
    }
}

/// The sockets REST listens on.
pub struct Listeners {
    /// All of them, those of `listeners` first.
    pub sockets: Vec<Socket>,
    /// `host:port` as others find the worker; the worker's id.
    pub advertised: String,
}

impl Listeners {
    /// Binds what the worker's properties say; a port of 0 takes a free one.
    pub async fn bind(config: &WorkerConfig) -> Result<Self> {
        let public = config.parsed.list("listeners");
        // Given and empty, there are no admin endpoints; not given, they are with the others.
        let admin_apart = config.raw.contains("admin.listeners");
        let paths = if admin_apart { Paths::Public } else { Paths::All };
        let mut sockets = Vec::new();
        for (option, list, paths) in [
            ("listeners", public, paths),
            (
                "admin.listeners",
                config.parsed.list("admin.listeners"),
                Paths::Admin,
            ),
        ] {
            for listener in list {
                let (scheme, host, port) = parse(option, listener)?;
                let tls = match scheme {
                    Scheme::Https => Some(tls::acceptor(config)?),
                    Scheme::Http => None,
                };
                let bind = (if host.is_empty() { "0.0.0.0" } else { host }, port);
                let tcp = TcpListener::bind(bind).await.map_err(|error| {
                    Error::config(format!("{option}: can't listen on {listener}: {error}"))
                        .hint("another worker may be running, or choose another port")
                })?;
                sockets.push(Socket { tcp, tls, paths });
            }
        }
        let (Some(socket), Some(first)) = (sockets.first(), public.first()) else {
            return Err(Error::config(
                "listeners is empty: name one, such as http://127.0.0.1:8083",
            ));
        };
        let bound = socket
            .tcp
            .local_addr()
            .map_err(|error| Error::fatal(error.to_string()))?;
        let (_, host, _) = parse("listeners", first)?;
        let given = config.text("rest.advertised.host.name");
        let port = config.parsed.integer("rest.advertised.port").ok();
        let advertised = advertised(
            if given.is_empty() { host } else { given },
            port.and_then(|port| u16::try_from(port).ok())
                .unwrap_or(bound.port()),
            &hostname(),
        );
        Ok(Self { sockets, advertised })
    }
}

/// `host:port`; a host that means "all of them" is replaced by the machine's name.
pub fn advertised(host: &str, port: u16, machine: &str) -> String {
    let host = match host {
        "" | "0.0.0.0" | "::" => machine,
        host => host,
    };
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// Scheme, host (without brackets, may be empty) and port of `http://host:port`.
fn parse<'a>(option: &str, listener: &'a str) -> Result<(Scheme, &'a str, u16)> {
    let listener = listener.trim();
    let wrong = |what: &str| Err(Error::config(format!("{option}: {listener} {what}")));
    let Some((scheme, rest)) = listener.split_once("://") else {
        return wrong("is not of the form http://host:port");
    };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return wrong("is not of the form http://host:port"),
    };
    let Some((host, port)) = rest.trim_end_matches('/').rsplit_once(':') else {
        return wrong("names no port");
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    match port.parse() {
        Ok(port) => Ok((scheme, host, port)),
        Err(_) => wrong("names no port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_a_host_and_a_port() {
        let parsed = |text| parse("listeners", text).map_err(|error| error.message().to_owned());
        assert_eq!(parsed("http://:8083"), Ok((Scheme::Http, "", 8083)));
        assert_eq!(parsed("HTTP://127.0.0.1:0/"), Ok((Scheme::Http, "127.0.0.1", 0)));
        assert_eq!(parsed("http://[::1]:80"), Ok((Scheme::Http, "::1", 80)));
        for (text, error) in [
            ("8083", "listeners: 8083 is not of the form http://host:port"),
            ("http://host", "listeners: http://host names no port"),
            (
                "ftp://host:1",
                "listeners: ftp://host:1 is not of the form http://host:port",
            ),
        ] {
            assert_eq!(parsed(text), Err(error.to_owned()));
        }
        assert_eq!(parsed("https://:8443"), Ok((Scheme::Https, "", 8443)));
    }

    #[test]
    fn a_worker_that_listens_everywhere_is_known_by_the_machines_name() {
        assert_eq!(advertised("", 8083, "box"), "box:8083");
        assert_eq!(advertised("::1", 8083, "box"), "[::1]:8083");
        assert_eq!(advertised("10.0.0.1", 1, "box"), "10.0.0.1:1");
    }
}
