//! The log-in: greeting, TLS, the answer of the server's plugin.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>

use bytes::{BufMut, Bytes, BytesMut};
use mysql_common::crypto;
use mysql_common::packets::AuthPlugin;
use tapline_databases::mysql::{Error, Settings, SslMode, Stream, encrypt};

use super::connection::{Connection, server_error};

/// LONG_PASSWORD, LONG_FLAG, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH, PLUGIN_AUTH_LENENC_CLIENT_DATA.
const CAPABILITIES: u32 = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000 | 0x8_0000 | 0x20_0000;
const CONNECT_WITH_DB: u32 = 0x8;
const SSL: u32 = 0x800;
const LARGEST_PACKET: u32 = 1 << 30;
/// utf8mb4_general_ci
const COLLATION: u8 = 45;

/// What the server says of itself.
#[derive(Debug)]
struct Greeting {
    version: String,
    thread: u32,
    capabilities: u32,
    nonce: Vec<u8>,
    plugin: Vec<u8>,
}

/// Logs in over a fresh stream.
pub(super) async fn log_in(connection: &mut Connection, settings: &Settings) -> Result<(), Error> {
    let packet = connection.packet().await?;
    if packet.first() == Some(&0xff) {
        return Err(server_error(&packet));
    }
    let greeting = greeting(&packet).ok_or_else(|| malformed("greeting"))?;
    connection.version = greeting.version;
    connection.thread = greeting.thread;
    let mut capabilities = CAPABILITIES;
    if settings.database.is_some() {
        capabilities |= CONNECT_WITH_DB;
    }
    if settings.ssl_mode != SslMode::Disabled && matches!(connection.stream, Stream::Tcp(_)) {
        if greeting.capabilities & SSL != 0 {
            capabilities |= SSL;
            let mut request = BytesMut::new();
            head(&mut request, capabilities);
            connection.send(&request).await?;
            connection.encrypt(|stream| encrypt(settings, stream)).await?;
        } else if settings.ssl_mode != SslMode::Preferred {
            return Err(Error::Tls(format!(
                "the server at {} does not support TLS, but ssl.mode is {}",
                settings.address(),
                settings.ssl_mode.as_str()
            )));
        }
    }
    let mut state = Plugin {
        plugin: AuthPlugin::from_bytes(&greeting.plugin).into_owned(),
        nonce: greeting.nonce,
    };
    let mut response = BytesMut::new();
    head(&mut response, capabilities);
    response.put_slice(settings.user.as_bytes());
    response.put_u8(0);
    let proof = state.proof(settings).unwrap_or_default();
    response.put_u8(u8::try_from(proof.len()).map_err(|_| malformed("proof"))?);
    response.put_slice(&proof);
    if let Some(database) = &settings.database {
        response.put_slice(database.as_bytes());
        response.put_u8(0);
    }
    response.put_slice(state.plugin.as_bytes());
    response.put_u8(0);
    connection.send(&response).await?;
    state.converse(connection, settings).await
}

fn head(out: &mut BytesMut, capabilities: u32) {
    out.put_u32_le(capabilities);
    out.put_u32_le(LARGEST_PACKET);
    out.put_u8(COLLATION);
    out.put_bytes(0, 23);
}

fn greeting(packet: &[u8]) -> Option<Greeting> {
    let (&protocol, rest) = packet.split_first()?;
    let end = rest.iter().position(|b| *b == 0)?;
    let version = String::from_utf8_lossy(rest.get(..end)?).into_owned();
    let rest = rest.get(end + 1..)?;
    let thread = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    let mut nonce = rest.get(4..12)?.to_vec();
    let low = u16::from_le_bytes(*rest.get(13..)?.first_chunk::<2>()?);
    let high = u16::from_le_bytes(*rest.get(18..)?.first_chunk::<2>()?);
    let length = usize::from(*rest.get(20)?);
    let rest = rest.get(31..)?;
    let second = rest.get(..length.saturating_sub(8).max(13).min(rest.len()))?;
    nonce.extend(second.iter().copied().take(12));
    let plugin = rest.get(second.len()..).unwrap_or_default();
    let plugin = plugin.split(|b| *b == 0).next().unwrap_or_default();
    (protocol == 10).then(|| Greeting {
        version,
        thread,
        capabilities: u32::from(high) << 16 | u32::from(low),
        nonce,
        plugin: plugin.to_vec(),
    })
}

struct Plugin {
    plugin: AuthPlugin<'static>,
    nonce: Vec<u8>,
}

impl Plugin {
    /// What shows the server that we know the password.
    fn proof(&self, settings: &Settings) -> Option<Vec<u8>> {
        let password = settings.password.as_ref().map(|password| password.reveal());
        match self.plugin {
            AuthPlugin::CachingSha2Password | AuthPlugin::MysqlNativePassword | AuthPlugin::Ed25519 => self
                .plugin
                .gen_data(password, &self.nonce)
                .map(|data| data.to_vec()),
            _ => None,
        }
    }

    async fn converse(&mut self, connection: &mut Connection, settings: &Settings) -> Result<(), Error> {
        let mut switched = false;
        loop {
            let packet = connection.packet().await?;
            match packet.first() {
                Some(0x00) => return Ok(()),
                Some(0xff) => return Err(server_error(&packet)),
                Some(0xfe) if !switched => {
                    switched = true;
                    self.switch(&packet)?;
                    let proof = match self.plugin {
                        AuthPlugin::MysqlClearPassword if connection.is_private() => clear(settings),
                        _ => self.proof(settings).unwrap_or_default(),
                    };
                    connection.send(&proof).await?;
                }
                Some(0x01) if self.plugin == AuthPlugin::CachingSha2Password => {
                    // 3: the server's cache knew the proof, OK follows. 4: it wants the password itself.
                    if packet.get(1) == Some(&4) {
                        self.full(connection, settings).await?;
                    }
                }
                _ => return Err(malformed("answer to the log-in")),
            }
        }
    }

    fn switch(&mut self, packet: &Bytes) -> Result<(), Error> {
        let rest = packet.get(1..).unwrap_or_default();
        let end = rest
            .iter()
            .position(|b| *b == 0)
            .ok_or_else(|| malformed("plugin switch"))?;
        let name = rest.get(..end).unwrap_or_default();
        let nonce = rest.get(end + 1..).unwrap_or_default();
        self.plugin = AuthPlugin::from_bytes(name).into_owned();
        self.nonce = nonce.strip_suffix(&[0]).unwrap_or(nonce).to_vec();
        match self.plugin {
            AuthPlugin::CachingSha2Password
            | AuthPlugin::MysqlNativePassword
            | AuthPlugin::Ed25519
            | AuthPlugin::MysqlClearPassword => Ok(()),
            _ => Err(Error::Config(format!(
                "the server wants authentication plugin '{}' for this user, which is not supported",
                String::from_utf8_lossy(name)
            ))),
        }
    }

    /// caching_sha2_password's full exchange: in the clear where nobody listens, else under the server's RSA key.
    async fn full(&self, connection: &mut Connection, settings: &Settings) -> Result<(), Error> {
        let mut password = clear(settings);
        if connection.is_private() {
            return connection.send(&password).await;
        }
        connection.send(&[2]).await?;
        let packet = connection.packet().await?;
        if packet.first() == Some(&0xff) {
            return Err(server_error(&packet));
        }
        let key = packet.get(1..).unwrap_or_default();
        if !key.starts_with(b"-----BEGIN PUBLIC KEY-----") || self.nonce.is_empty() {
            return Err(malformed("public key"));
        }
        for (byte, mask) in password.iter_mut().zip(self.nonce.iter().cycle()) {
            *byte ^= mask;
        }
        connection.send(&crypto::encrypt(&password, key)).await
    }
}

/// The password and its closing zero.
fn clear(settings: &Settings) -> Vec<u8> {
    let mut password = settings
        .password
        .as_ref()
        .map(|password| password.reveal().as_bytes().to_vec())
        .unwrap_or_default();
    password.push(0);
    password
}

fn malformed(what: &str) -> Error {
    Error::Protocol(format!(
        "the server's {what} is not as MySQL's protocol describes it"
    ))
}
