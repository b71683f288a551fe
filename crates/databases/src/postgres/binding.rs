//! Channel binding: what ties a password's proof (SCRAM-SHA-256-PLUS) to the TLS connection, so that whoever sits in the
//! middle with a certificate of their own can't pass it on.
//!
//! Postgres knows `tls-server-end-point`: a hash of the server's certificate, by the hash of the certificate's own
//! signature, or SHA-256 where that is MD5 or SHA-1. <https://www.rfc-editor.org/rfc/rfc5929#section-4.1>

use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use super::Stream;

/// The binding of this connection; `None` when it is not encrypted, or its certificate is signed by an algorithm without
/// a hash of its own (Ed25519), for which there is none.
pub fn server_end_point(stream: &Stream) -> Option<Vec<u8>> {
    let Stream::Tls(tls) = stream else {
        return None;
    };
    let certificate = tls.get_ref().1.peer_certificates()?.first()?;
    hash(certificate)
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        server_end_point(self).map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

fn hash(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(match signature_hash(certificate)? {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// By the object identifier of the signature's algorithm (RFC 3279, RFC 4055, RFC 5758).
const ALGORITHMS: [(&[u8], Hash); 8] = [
    // 1.2.840.113549.1.1: RSA with MD5, SHA-1, SHA-256, SHA-384, SHA-512
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4], Hash::Sha256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], Hash::Sha256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], Hash::Sha256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12], Hash::Sha384),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13], Hash::Sha512),
    // 1.2.840.10045.4.3: ECDSA with SHA-256, SHA-384, SHA-512
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], Hash::Sha256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], Hash::Sha384),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4], Hash::Sha512),
];

/// `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { algorithm OID, … }, … }`
fn signature_hash(certificate: &[u8]) -> Option<Hash> {
    let (certificate, _) = element(certificate, 0x30)?;
    let (_, rest) = element(certificate, 0x30)?;
    let (algorithm, _) = element(rest, 0x30)?;
    let (identifier, _) = element(algorithm, 0x06)?;
    let known = ALGORITHMS.iter().find(|(oid, _)| *oid == identifier)?;
    Some(known.1)
}

/// The content of the DER element at the beginning, which must have this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = after;
    }
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        match u8::try_from(content.len()) {
            Ok(length) if length < 0x80 => out.push(length),
            _ => {
                out.push(0x82);
                out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
            }
        }
        out.extend(content);
        out
    }

    fn certificate(oid: &[u8]) -> Vec<u8> {
        let signed = der(0x30, &[0; 300]);
        let algorithm = der(0x30, &[der(0x06, oid), vec![0x05, 0x00]].concat());
        der(0x30, &[signed, algorithm, der(0x03, &[0; 64])].concat())
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        for (oid, expected) in ALGORITHMS {
            assert_eq!(signature_hash(&certificate(oid)), Some(expected));
        }
        assert_eq!(hash(&certificate(ALGORITHMS[6].0)).unwrap().len(), 48);
        let ed25519 = [0x2b, 0x65, 0x70];
        assert_eq!(signature_hash(&certificate(&ed25519)), None);
    }

    #[test]
    fn no_cut_or_garbled_certificate_is_read_past_its_end() {
        let whole = certificate(ALGORITHMS[0].0);
        for end in 0..whole.len() - 66 {
            assert_eq!(signature_hash(&whole[..end]), None);
        }
        assert_eq!(element(&[0x30, 0xff, 1, 2, 3], 0x30), None);
        assert_eq!(element(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], 0x30), None);
    }
}
