//! Connector/J's and MariaDB's URLs: `jdbc:mysql://host:port/database?user=…&sslMode=…`, as the JDBC sink's
//! `connection.url` holds them.
//!
//! <https://dev.mysql.com/doc/connector-j/en/connector-j-reference-jdbc-url-format.html>

use std::path::PathBuf;
use std::time::Duration;

use super::{Error, Secret, Settings, SslMode};
use crate::percent::decode;

impl Settings {
    /// Reads a URL. Parameters that the Java drivers know and that have no meaning here are left out without a word;
    /// several hosts are not supported.
    ///
    /// # Errors
    /// [`Error::Config`], without the URL's password in it.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let rest = url.strip_prefix("jdbc:").unwrap_or(url);
        let rest = rest
            .strip_prefix("mysql://")
            .or_else(|| rest.strip_prefix("mariadb://"))
            .ok_or_else(|| {
                Error::Config("a MySQL URL begins with jdbc:mysql:// or jdbc:mariadb://".to_owned())
            })?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let mut settings = Self::new("localhost", "");
        settings.read_authority(authority)?;
        settings.database = Some(decode(database).map_err(Error::Config)?).filter(|name| !name.is_empty());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            settings.read_parameter(name, &decode(value).map_err(Error::Config)?)?;
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
            self.user = decode(user).map_err(Error::Config)?;
            if !password.is_empty() {
                self.password = Some(Secret::new(decode(password).map_err(Error::Config)?));
            }
        }
        if address.contains([',', '(']) {
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
            self.host = decode(host).map_err(Error::Config)?;
        }
        if let Some(port) = port.filter(|port| !port.is_empty()) {
            self.port = port
                .parse()
                .map_err(|_| Error::Config(format!("'{port}' is no port number")))?;
        }
        Ok(())
    }

    fn read_parameter(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let file = || Some(PathBuf::from(value.strip_prefix("file:").unwrap_or(value)));
        match name {
            "user" => self.user = value.to_owned(),
            "password" => self.password = Some(Secret::new(value)),
            "sslMode" => self.ssl_mode = value.parse().map_err(Error::Config)?,
            "useSSL" if value == "false" => self.ssl_mode = SslMode::Disabled,
            "requireSSL" if value == "true" => self.ssl_mode = SslMode::Required,
            "serverSslCert" | "trustCertificateKeyStoreUrl" => self.ssl_ca = file(),
            "clientCertificate" => self.ssl_cert = file(),
            "clientKey" => self.ssl_key = file(),
            "localSocket" => self.host = value.to_owned(),
            "connectTimeout" => {
                let millis: u64 = value
                    .parse()
                    .map_err(|_| Error::Config(format!("connectTimeout '{value}' is no number")))?;
                // Zero means no limit there; a day is as good, and keeps the rule that every call has one.
                self.connect_timeout = Duration::from_millis(if millis == 0 { 86_400_000 } else { millis });
            }
            _ => tracing::debug!(parameter = name, "URL parameter has no meaning here"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_port_database_and_tls() {
        let s =
            Settings::from_url("jdbc:mysql://db:3307/shop?user=u%40x&password=p&sslMode=VERIFY_CA").unwrap();
        assert_eq!(
            (s.host.as_str(), s.port, s.database.as_deref()),
            ("db", 3307, Some("shop"))
        );
        assert_eq!((s.user.as_str(), s.ssl_mode), ("u@x", SslMode::VerifyCa));
        let s = Settings::from_url("jdbc:mariadb://[::1]/?sslMode=trust").unwrap();
        assert_eq!(
            (s.host.as_str(), s.database, s.ssl_mode),
            ("::1", None, SslMode::Required)
        );
        assert!(Settings::from_url("jdbc:postgresql://h/d").is_err());
        assert!(Settings::from_url("jdbc:mysql://a,b/d").is_err());
    }
}
