//! pgjdbc's URLs: `jdbc:postgresql://host:port/database?user=…&sslmode=…`, as the JDBC sink's `connection.url` holds
//! them, and `postgres://user:password@host/database`.
//!
//! <https://jdbc.postgresql.org/documentation/use/#connecting-to-the-database>

use std::path::PathBuf;
use std::time::Duration;

use super::{Error, Secret, Settings};
use crate::percent;

impl Settings {
    /// Reads a URL. Parameters that pgjdbc knows and that have no meaning here are left out without a word; several
    /// hosts are not supported.
    ///
    /// # Errors
    /// [`Error::Config`], without the URL's password in it.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let rest = url.strip_prefix("jdbc:").unwrap_or(url);
        let rest = rest
            .strip_prefix("postgresql:")
            .or_else(|| rest.strip_prefix("postgres:"))
            .ok_or_else(|| Error::Config("a Postgres URL begins with jdbc:postgresql:".to_owned()))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut settings = Self::new("localhost", "", "");
        let database = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
                settings.read_authority(authority)?;
                database
            }
            None => rest,
        };
        settings.dbname = decode(database)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            settings.read_parameter(name, &decode(value)?)?;
        }
        if settings.dbname.is_empty() {
            settings.dbname.clone_from(&settings.user);
        }
        Ok(settings)
    }

    fn read_authority(&mut self, authority: &str) -> Result<(), Error> {
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        if let Some(login) = login {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            self.user = decode(user)?;
            if !password.is_empty() {
                self.password = Some(Secret::new(decode(password)?));
            }
        }
        if address.contains(',') {
            return Err(Error::Config(format!(
                "several hosts in a URL are not supported: '{address}'"
            )));
        }
        let (host, port) = match address.strip_prefix('[').and_then(|a| a.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => address
                .split_once(':')
                .map_or((address, None), |(host, port)| (host, Some(port))),
        };
        if !host.is_empty() {
            self.host = decode(host)?;
        }
        if let Some(port) = port.filter(|port| !port.is_empty()) {
            self.port = port
                .parse()
                .map_err(|_| Error::Config(format!("'{port}' is no port number")))?;
        }
        Ok(())
    }

    fn read_parameter(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "user" => self.user = value.to_owned(),
            "password" => self.password = Some(Secret::new(value)),
            "host" => self.host = value.to_owned(),
            "sslmode" => self.ssl_mode = value.parse().map_err(Error::Config)?,
            "ssl" if value.is_empty() || value == "true" => self.ssl_mode = super::SslMode::VerifyFull,
            "sslrootcert" => self.ssl_root_cert = Some(PathBuf::from(value)),
            "sslcert" => self.ssl_cert = Some(PathBuf::from(value)),
            "sslkey" => self.ssl_key = Some(PathBuf::from(value)),
            "ApplicationName" | "application_name" => self.application_name = value.to_owned(),
            "tcpKeepAlive" => self.tcp_keep_alive = value == "true",
            "connectTimeout" | "connect_timeout" | "loginTimeout" => {
                let seconds: u64 = value
                    .parse()
                    .map_err(|_| Error::Config(format!("{name} '{value}' is no number")))?;
                // pgjdbc: zero means no limit; a day is as good, and keeps the rule that every call has one.
                self.connect_timeout = Duration::from_secs(if seconds == 0 { 86_400 } else { seconds });
            }
            "currentSchema" => self.parameters.push(("search_path".to_owned(), value.to_owned())),
            _ => tracing::debug!(parameter = name, "URL parameter has no meaning here"),
        }
        Ok(())
    }
}

fn decode(text: &str) -> Result<String, Error> {
    percent::decode(text).map_err(Error::Config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::SslMode;

    #[test]
    fn a_jdbc_url_is_read_whole() {
        let s = Settings::from_url(
            "jdbc:postgresql://db.example:6432/sh%6fp?user=al%20ice&password=p%26w&sslmode=verify-ca&currentSchema=x",
        )
        .unwrap();
        assert_eq!(
            (s.host.as_str(), s.port, s.dbname.as_str()),
            ("db.example", 6432, "shop")
        );
        assert_eq!((s.user.as_str(), s.password.unwrap().reveal()), ("al ice", "p&w"));
        assert_eq!(s.ssl_mode, SslMode::VerifyCa);
        assert_eq!(s.parameters, [("search_path".to_owned(), "x".to_owned())]);
    }

    #[test]
    fn host_and_port_have_defaults() {
        let s = Settings::from_url("jdbc:postgresql:shop").unwrap();
        assert_eq!(
            (s.host.as_str(), s.port, s.dbname.as_str()),
            ("localhost", 5432, "shop")
        );
        let s = Settings::from_url("postgres://bob:x@[::1]:5433").unwrap();
        assert_eq!((s.host.as_str(), s.port, s.dbname.as_str()), ("::1", 5433, "bob"));
        let s = Settings::from_url("jdbc:postgresql:///d?host=/run/pg").unwrap();
        assert_eq!(s.address(), "/run/pg/.s.PGSQL.5432");
    }

    #[test]
    fn what_is_no_url_is_refused_without_showing_it() {
        assert!(Settings::from_url("jdbc:mysql://h/d").is_err());
        let error = Settings::from_url("jdbc:postgresql://u:se%zzcret@h/d")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("cret"));
    }
}
