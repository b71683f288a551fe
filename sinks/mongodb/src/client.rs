//! The connection: from options to a client, and what the driver's errors mean.

use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{ClientOptions, ServerApi, ServerApiVersion, Tls, TlsOptions};
use tapline_api::config::{Config, Parsed};
use tapline_api::{Error, Result};
use tokio::sync::OnceCell;

use crate::bulk;
use crate::options::CONFIG;

/// How long to look for a server that takes writes, unless the URI says otherwise.
const SELECTION: Duration = Duration::from_secs(10);
/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(120);
/// How many updates FerretDB 1 is given at once.
const FERRETDB_UPDATES: usize = 16;
/// How long validation waits for the server.
const PING: Duration = Duration::from_secs(5);

/// A client of one deployment.
pub(crate) struct Client {
    client: mongodb::Client,
    /// The URI's `w`, `journal` and `wtimeoutMS`, which commands of our own must carry themselves.
    concern: Option<Document>,
    updates: OnceCell<usize>,
}

/// What went wrong with a command.
pub(crate) enum Failure {
    /// It may be a write's fault.
    Refused(Error),
    /// It is not.
    Other(Error),
}

impl Client {
    /// Of a connector's configuration. Connections are made when they are needed.
    pub(crate) async fn new(config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        let options = options(&parsed).await?;
        let concern = match &options.write_concern {
            None => None,
            Some(concern) => {
                let document = bson::serialize_to_document(concern).map_err(|error| {
                    Error::config("connection.uri: the write concern can't be used").cause(error)
                })?;
                if document
                    .get("w")
                    .is_some_and(|w| matches!(w.as_i32(), Some(0)) || matches!(w.as_i64(), Some(0)))
                {
                    return Err(Error::config(
                        "Invalid value for configuration connection.uri: with w=0 nothing would be known to be written",
                    ));
                }
                (!document.is_empty()).then_some(document)
            }
        };
        let client = mongodb::Client::with_options(options).map_err(|error| wrong_uri(&error))?;
        let updates = OnceCell::new();
        Ok(Self {
            client,
            concern,
            updates,
        })
    }

    pub(crate) fn concern(&self) -> Option<&Document> {
        self.concern.as_ref()
    }

    /// Whether a server answers, and lets us in.
    pub(crate) async fn ping(&self) -> Result<()> {
        let database = self.client.database("admin");
        match tokio::time::timeout(PING, database.run_command(doc! {"ping": 1})).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(meaning(&error).into_error()),
            Err(_) => Err(Error::retriable("the server does not answer")),
        }
    }

    /// How many updates a command may hold. FerretDB 1 keeps a cursor open until the command's end for each that finds its
    /// document. A database has 100, shared by all clients, and a command for which none is left waits for ever.
    pub(crate) async fn updates_at_once(&self) -> usize {
        let asked = self.updates.get_or_try_init(|| async {
            let admin = self.client.database("admin");
            let build = admin.run_command(doc! {"buildInfo": 1});
            match tokio::time::timeout(PING, build).await {
                Ok(Ok(build)) => Ok(most_updates(&build)),
                _ => Err(()),
            }
        });
        // A server that does not answer now may be any.
        asked.await.copied().unwrap_or(FERRETDB_UPDATES)
    }

    /// Runs a command.
    pub(crate) async fn run(&self, database: &str, command: RawDocumentBuf) -> Result<Document, Failure> {
        let database = self.client.database(database);
        match tokio::time::timeout(COMMAND, database.run_raw_command(command)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(meaning(&error)),
            Err(_) => Err(Failure::Other(Error::retriable(format!(
                "the server has not answered a command within {} s",
                COMMAND.as_secs()
            )))),
        }
    }

    /// Ends its connections.
    pub(crate) async fn close(self) {
        // What is still open after that ends with the process.
        let _ = tokio::time::timeout(PING, self.client.shutdown()).await;
    }
}

fn most_updates(build: &Document) -> usize {
    let version = build.get_str("ferretdbVersion").unwrap_or_default();
    if version.starts_with("v1.") {
        FERRETDB_UPDATES
    } else {
        usize::MAX
    }
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Refused(error) | Self::Other(error) => error,
        }
    }
}

/// The driver's messages hold hosts, never passwords; those of parsing may hold a part of the URI, and are not passed on.
fn wrong_uri(error: &mongodb::error::Error) -> Error {
    match &*error.kind {
        ErrorKind::DnsResolve { message, .. } => {
            Error::retriable(format!("the hosts of connection.uri can't be found: {message}"))
        }
        ErrorKind::InvalidTlsConfig { message, .. } => {
            Error::config(format!("connection.uri or connection.ssl.*: {message}"))
        }
        _ => Error::config(
            "Invalid value [hidden] for configuration connection.uri: The connection string is invalid",
        )
        .hint("it looks like mongodb://user:password@host:27017/?option=value, with : / ? # [ ] @ in user and password as %XX"),
    }
}

async fn options(parsed: &Parsed) -> Result<ClientOptions> {
    let uri = parsed
        .secret("connection.uri")
        .map(|uri| uri.reveal().to_owned())
        .unwrap_or_default();
    let mut options = ClientOptions::parse(uri)
        .await
        .map_err(|error| wrong_uri(&error))?;
    options.app_name.get_or_insert_with(|| "tapline".to_owned());
    options.server_selection_timeout.get_or_insert(SELECTION);
    if parsed.required("server.api.version")? == "1" {
        let api = ServerApi::builder()
            .version(ServerApiVersion::V1)
            .strict(parsed.boolean("server.api.strict")?)
            .deprecation_errors(parsed.boolean("server.api.deprecation.errors")?);
        options.server_api = Some(api.build());
    }
    let file = |name: &str| {
        let path = parsed.text(name).filter(|path| !path.is_empty());
        path.map(std::path::PathBuf::from)
    };
    let (trusted, own) = (file("connection.ssl.truststore"), file("connection.ssl.keystore"));
    if parsed
        .secret("connection.ssl.keystorePassword")
        .is_some_and(|password| !password.reveal().is_empty())
    {
        return Err(Error::config(
            "Invalid value [hidden] for configuration connection.ssl.keystorePassword: an encrypted key is not read",
        ));
    }
    if trusted.is_some() || own.is_some() {
        let mut tls = match options.tls.take() {
            Some(Tls::Enabled(tls)) => tls,
            _ => TlsOptions::default(),
        };
        tls.ca_file_path = trusted.or(tls.ca_file_path);
        tls.cert_key_file_path = own.or(tls.cert_key_file_path);
        options.tls = Some(Tls::Enabled(tls));
    }
    Ok(options)
}

fn not_let_in(said: &str) -> Failure {
    Failure::Other(
        Error::config(format!("the server does not let us in: {said}"))
            .hint("look at user, password and authSource in connection.uri"),
    )
}

/// By who can mend it.
fn meaning(error: &mongodb::error::Error) -> Failure {
    let labelled = ["RetryableWriteError", "TransientTransactionError", "NetworkError"]
        .iter()
        .any(|label| error.contains_label(label));
    let text = error.to_string();
    let text = text.strip_prefix("Kind: ").unwrap_or(&text);
    match &*error.kind {
        ErrorKind::Command(command) if labelled || bulk::may_pass(command.code) => {
            Failure::Other(Error::retriable(text))
        }
        // Unauthorized, AuthenticationFailed, and their like.
        ErrorKind::Command(command) if matches!(command.code, 13 | 18 | 8000) => {
            Failure::Other(Error::fatal(format!(
                "{} ({}, code {})",
                command.message, command.code_name, command.code
            )))
        }
        ErrorKind::Command(command) => Failure::Refused(Error::data(format!(
            "v=1, code={}, message={}, details={{}}",
            command.code, command.message
        ))),
        ErrorKind::Authentication { message, .. } => not_let_in(message),
        // A refused log-in may be told as a server that can't be used.
        ErrorKind::ServerSelection { message, .. } if message.contains("AuthenticationFailed") => {
            not_let_in(message)
        }
        ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. } => Failure::Other(Error::retriable(text)),
        _ if labelled => Failure::Other(Error::retriable(text)),
        _ => Failure::Other(Error::fatal(text)),
    }
}
