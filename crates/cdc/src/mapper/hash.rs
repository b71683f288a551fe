//! Salted hashes of column values, by Java's names of the algorithms.

use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};

/// `java.security.MessageDigest`'s names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512T224,
    Sha512T256,
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "MD5" => Self::Md5,
            "SHA" | "SHA1" | "SHA-1" => Self::Sha1,
            "SHA-224" | "SHA224" => Self::Sha224,
            "SHA-256" | "SHA256" => Self::Sha256,
            "SHA-384" | "SHA384" => Self::Sha384,
            "SHA-512" | "SHA512" => Self::Sha512,
            "SHA-512/224" => Self::Sha512T224,
            "SHA-512/256" => Self::Sha512T256,
            _ => return None,
        })
    }
}

/// Which bytes of a text are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `column.mask.hash.v2`: its UTF-8.
    Text,
    /// `column.mask.hash`: what Java's `ObjectOutputStream` writes for the string.
    Serialized,
}

/// Hashes with one salt.
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    salt: String,
    form: Form,
}

/// The salt is a secret.
impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Hasher {
    pub(super) fn new(algorithm: Algorithm, salt: &str, form: Form) -> Self {
        Self {
            algorithm,
            salt: salt.to_owned(),
            form,
        }
    }

    /// The hash in hexadecimal.
    pub(super) fn hash(&self, text: &str) -> String {
        let serialized;
        let bytes = match self.form {
            Form::Text => text.as_bytes(),
            Form::Serialized => {
                serialized = java_serialized(text);
                &serialized
            }
        };
        let salt = self.salt.as_bytes();
        match self.algorithm {
            Algorithm::Md5 => digest::<md5::Md5>(salt, bytes),
            Algorithm::Sha1 => digest::<Sha1>(salt, bytes),
            Algorithm::Sha224 => digest::<Sha224>(salt, bytes),
            Algorithm::Sha256 => digest::<Sha256>(salt, bytes),
            Algorithm::Sha384 => digest::<Sha384>(salt, bytes),
            Algorithm::Sha512 => digest::<Sha512>(salt, bytes),
            Algorithm::Sha512T224 => digest::<Sha512_224>(salt, bytes),
            Algorithm::Sha512T256 => digest::<Sha512_256>(salt, bytes),
        }
    }
}

fn digest<D: Digest>(salt: &[u8], bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hash = D::new().chain_update(salt).chain_update(bytes).finalize();
    let digit = |half: u8| {
        DIGITS
            .get(usize::from(half & 15))
            .map_or('0', |digit| char::from(*digit))
    };
    hash.iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

/// The Java Object Serialization Stream Protocol's form of a string: header, `TC_STRING` or `TC_LONGSTRING`, length,
/// modified UTF-8.
fn java_serialized(text: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        let [high, low] = unit.to_be_bytes();
        match unit {
            0x0001..=0x007F => body.push(low),
            0x0000 | 0x0080..=0x07FF => {
                body.extend([0xC0 | high << 2 | low >> 6, 0x80 | low & 0x3F]);
            }
            // Both halves of a pair are written on their own.
            _ => body.extend([
                0xE0 | high >> 4,
                0x80 | (high & 0x0F) << 2 | low >> 6,
                0x80 | low & 0x3F,
            ]),
        }
    }
    let mut out = vec![0xAC, 0xED, 0x00, 0x05];
    match u16::try_from(body.len()) {
        Ok(length) => {
            out.push(0x74);
            out.extend(length.to_be_bytes());
        }
        Err(_) => {
            out.push(0x7C);
            out.extend((body.len() as u64).to_be_bytes());
        }
    }
    out.append(&mut body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_serialized_as_java_does() {
        assert_eq!(java_serialized("ab"), b"\xAC\xED\0\x05t\0\x02ab");
        // NUL, two bytes, three bytes, a pair.
        assert_eq!(
            java_serialized("\0é漢😀"),
            b"\xAC\xED\0\x05t\0\x0D\xC0\x80\xC3\xA9\xE6\xBC\xA2\xED\xA0\xBD\xED\xB8\x80"
        );
        assert_eq!(java_serialized(&"x".repeat(70_000)).len(), 13 + 70_000);
    }

    #[test]
    fn hashes_are_those_of_the_standards() {
        let hash = |name: &str| Hasher::new(Algorithm::named(name).unwrap(), "a", Form::Text).hash("bc");
        assert_eq!(hash("MD5"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hash("SHA-1"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            hash("SHA-256"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(Algorithm::named("SHA3-256"), None);
    }
}
