//! A key in an offset: a Java `Object[]` as `ObjectOutputStream` writes it, in hexadecimal.
//!
//! Of Java's serialization (protocol version 5) this knows arrays of objects that hold Short, Integer, Long, UUID, String
//! and null. A value of another type is written as its text; reading one that Debezium wrote gives nothing, and the table
//! is read from its beginning.

use std::fmt;

/// A value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// INT16.
    Short(i16),
    /// INT32.
    Int(i32),
    /// INT64.
    Long(i64),
    /// A UUID.
    Uuid(u128),
    /// Text, and the text of everything else.
    Text(String),
    /// Nothing.
    Null,
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(n) => n.fmt(f),
            Self::Int(n) => n.fmt(f),
            Self::Long(n) => n.fmt(f),
            Self::Uuid(n) => {
                let hex = format!("{n:032x}");
                let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
                let parts = [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)];
                f.write_str(&parts.join("-"))
            }
            Self::Text(text) => f.write_str(text),
            Self::Null => f.write_str("<null>"),
        }
    }
}

impl KeyPart {
    /// A UUID's text.
    pub fn uuid(text: &str) -> Option<Self> {
        u128::from_str_radix(&text.replace('-', ""), 16)
            .ok()
            .map(Self::Uuid)
    }
}

const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS: u8 = 0x72;
const OBJECT: u8 = 0x73;
const STRING: u8 = 0x74;
const ARRAY: u8 = 0x75;
const END: u8 = 0x78;
const SERIALIZABLE: u8 = 2;
const FIRST_HANDLE: u32 = 0x7E_0000;
const HEAD: [u8; 4] = [0xAC, 0xED, 0, 5];

/// A class as its description names it: name, version, fields (type and name), and the class above.
struct Class {
    name: &'static str,
    version: u64,
    fields: &'static [(u8, &'static str)],
    above: Option<&'static Class>,
}

static OBJECTS: Class = Class {
    name: "[Ljava.lang.Object;",
    version: 0x90CE_589F_1073_296C,
    fields: &[],
    above: None,
};
static NUMBER: Class = Class {
    name: "java.lang.Number",
    version: 0x86AC_951D_0B94_E08B,
    fields: &[],
    above: None,
};
static SHORT: Class = Class {
    name: "java.lang.Short",
    version: 0x684D_3713_3460_DA52,
    fields: &[(b'S', "value")],
    above: Some(&NUMBER),
};
static INTEGER: Class = Class {
    name: "java.lang.Integer",
    version: 0x12E2_A0A4_F781_8738,
    fields: &[(b'I', "value")],
    above: Some(&NUMBER),
};
static LONG: Class = Class {
    name: "java.lang.Long",
    version: 0x3B8B_E490_CC8F_23DF,
    fields: &[(b'J', "value")],
    above: Some(&NUMBER),
};
static UUID: Class = Class {
    name: "java.util.UUID",
    version: 0xBC99_03F7_986D_852F,
    fields: &[(b'J', "leastSigBits"), (b'J', "mostSigBits")],
    above: None,
};

/// Writes a key, or its absence.
pub(super) fn encode(key: Option<&[KeyPart]>) -> String {
    let mut writer = Writer::default();
    writer.out.extend_from_slice(&HEAD);
    match key {
        None => writer.out.push(NULL),
        Some(key) => writer.array(key),
    }
    writer.out.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    /// Classes described so far, by handle; other handles are `None`.
    handles: Vec<Option<&'static str>>,
}

impl Writer {
    fn array(&mut self, key: &[KeyPart]) {
        self.out.push(ARRAY);
        self.class(&OBJECTS);
        self.handles.push(None);
        let count = u32::try_from(key.len()).unwrap_or(0);
        self.out.extend_from_slice(&count.to_be_bytes());
        for part in key {
            match part {
                KeyPart::Null => self.out.push(NULL),
                KeyPart::Short(n) => self.object(&SHORT, &n.to_be_bytes()),
                KeyPart::Int(n) => self.object(&INTEGER, &n.to_be_bytes()),
                KeyPart::Long(n) => self.object(&LONG, &n.to_be_bytes()),
                KeyPart::Uuid(n) => self.object(&UUID, &n.rotate_left(64).to_be_bytes()),
                KeyPart::Text(text) => {
                    self.handles.push(None);
                    self.out.push(STRING);
                    self.text(text);
                }
            }
        }
    }

    fn object(&mut self, class: &'static Class, data: &[u8]) {
        self.out.push(OBJECT);
        self.class(class);
        self.handles.push(None);
        self.out.extend_from_slice(data);
    }

    fn class(&mut self, class: &'static Class) {
        if let Some(known) = self.handles.iter().position(|name| *name == Some(class.name)) {
            self.out.push(REFERENCE);
            let handle = FIRST_HANDLE + u32::try_from(known).unwrap_or(0);
            self.out.extend_from_slice(&handle.to_be_bytes());
            return;
        }
        self.out.push(CLASS);
        self.text(class.name);
        self.out.extend_from_slice(&class.version.to_be_bytes());
        self.handles.push(Some(class.name));
        self.out.push(SERIALIZABLE);
        let count = u16::try_from(class.fields.len()).unwrap_or(0);
        self.out.extend_from_slice(&count.to_be_bytes());
        for (of, name) in class.fields {
            self.out.push(*of);
            self.text(name);
        }
        self.out.push(END);
        match class.above {
            Some(above) => self.class(above),
            None => self.out.push(NULL),
        }
    }

    /// Keys are short, and Java's own UTF-8 differs only outside the basic plane.
    fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let bytes = bytes
            .get(..bytes.len().min(usize::from(u16::MAX)))
            .unwrap_or_default();
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(bytes);
    }
}

/// Reads a key; `None` for none, and for what is not known here.
pub(super) fn decode(hex: &str) -> Option<Vec<KeyPart>> {
    let bytes: Option<Vec<u8>> = (0..hex.len() / 2)
        .map(|index| u8::from_str_radix(hex.get(index * 2..index * 2 + 2)?, 16).ok())
        .collect();
    let bytes = bytes?;
    let mut reader = Reader {
        rest: bytes.strip_prefix(&HEAD)?,
        handles: Vec::new(),
        parts: Vec::new(),
    };
    reader.array()
}

struct Reader<'a> {
    rest: &'a [u8],
    handles: Vec<Option<&'a str>>,
    /// What parts have come, by their handles: Java keeps small numbers, so a key may have one object twice.
    parts: Vec<(usize, KeyPart)>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = u16::from_be_bytes(self.number()?);
        std::str::from_utf8(self.take(length.into())?).ok()
    }

    fn array(&mut self) -> Option<Vec<KeyPart>> {
        if self.byte()? != ARRAY || self.class()? != OBJECTS.name {
            return None;
        }
        self.handles.push(None);
        let count = u32::from_be_bytes(self.number()?);
        // A key has at most 32 columns.
        (0..count.min(64)).map(|_| self.part()).collect()
    }

    fn part(&mut self) -> Option<KeyPart> {
        let part = match self.byte()? {
            NULL => return Some(KeyPart::Null),
            REFERENCE => {
                let handle = self.handle()?;
                let known = self.parts.iter().find(|(of, _)| *of == handle);
                return known.map(|(_, part)| part.clone());
            }
            STRING => {
                self.handles.push(None);
                KeyPart::Text(self.text()?.to_owned())
            }
            OBJECT => {
                let class = self.class()?;
                self.handles.push(None);
                match class {
                    _ if class == SHORT.name => KeyPart::Short(i16::from_be_bytes(self.number()?)),
                    _ if class == INTEGER.name => KeyPart::Int(i32::from_be_bytes(self.number()?)),
                    _ if class == LONG.name => KeyPart::Long(i64::from_be_bytes(self.number()?)),
                    _ if class == UUID.name => {
                        KeyPart::Uuid(u128::from_be_bytes(self.number()?).rotate_left(64))
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
        self.parts.push((self.handles.len() - 1, part.clone()));
        Some(part)
    }

    fn handle(&mut self) -> Option<usize> {
        let handle = u32::from_be_bytes(self.number()?).checked_sub(FIRST_HANDLE)?;
        usize::try_from(handle).ok()
    }

    fn class(&mut self) -> Option<&'a str> {
        match self.byte()? {
            REFERENCE => {
                let handle = self.handle()?;
                *self.handles.get(handle)?
            }
            CLASS => {
                let name = self.text()?;
                self.number::<8>()?;
                self.handles.push(Some(name));
                self.byte()?;
                let fields = u16::from_be_bytes(self.number()?);
                for _ in 0..fields {
                    // Fields of other types bring the names of theirs along.
                    if matches!(self.byte()?, b'L' | b'[') {
                        return None;
                    }
                    self.text()?;
                }
                if self.byte()? != END {
                    return None;
                }
                match self.rest.first()? {
                    &NULL => {
                        self.byte()?;
                    }
                    _ => {
                        self.class()?;
                    }
                }
                Some(name)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_are_javas() {
        // As `new Object[]{5, 7}` comes out of ObjectOutputStream.
        let expected = "aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c02000078700000000\
                        2737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565787200\
                        106a6176612e6c616e672e4e756d62657286ac951d0b94e08b02000078700000000573\
                        71007e000200000007";
        assert_eq!(encode(Some(&[KeyPart::Int(5), KeyPart::Int(7)])), expected);
        assert_eq!(encode(None), "aced000570");
        assert_eq!(decode("aced000570"), None);
    }

    #[test]
    fn what_java_wrote_is_read_and_written_the_same() {
        const START: &str =
            "aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c02000078700000000";
        const LONG: &str = "72000e6a6176612e6c616e672e4c6f6e673b8be490cc8f23df0200014a000576616c7565787200106a6176612e6c6\
                            16e672e4e756d62657286ac951d0b94e08b02000078700000000000000";
        const UUID: &str = "72000e6a6176612e7574696c2e55554944bc9903f7986d852f0200024a000c6c65617374536967426974734a000b6d\
                            6f7374536967426974737870";
        let uuid = |text: &str| KeyPart::uuid(text).unwrap();
        let (one, two) = (
            uuid("0f8fad5b-d9cb-469f-a165-70867728950e"),
            uuid("1f8fad5b-d9cb-469f-a165-70867728950e"),
        );
        // `new Object[]{1L, "yé", uuid}` and `new Object[]{uuid, another, 2L}`
        let mixed = format!("{START}373{LONG}00174000379c3a973{UUID}a16570867728950e0f8fad5bd9cb469f");
        let key = vec![KeyPart::Long(1), KeyPart::Text("y\u{e9}".to_owned()), one.clone()];
        assert_eq!(encode(Some(&key)), mixed);
        assert_eq!(decode(&mixed), Some(key));
        let twice = format!(
            "{START}373{UUID}a16570867728950e0f8fad5bd9cb469f7371007e0002a16570867728950e1f8fad5bd9cb469f73{LONG}002"
        );
        let key = vec![one, two, KeyPart::Long(2)];
        assert_eq!(encode(Some(&key)), twice);
        assert_eq!(decode(&twice), Some(key));
        // `new Object[]{(short) 3, 7, null, "x", "x"}`: a text that comes again is a reference.
        let again = format!(
            "{START}57372000f6a6176612e6c616e672e53686f7274684d37133460da5202000153000576616c7565787200106a6176612e6c616e67\
             2e4e756d62657286ac951d0b94e08b02000078700003737200116a6176612e6c616e672e496e746567657212e2a0a4f7818738020001\
             49000576616c75657871007e000300000007707400017871007e0007"
        );
        let text = KeyPart::Text("x".to_owned());
        let key = vec![
            KeyPart::Short(3),
            KeyPart::Int(7),
            KeyPart::Null,
            text.clone(),
            text,
        ];
        assert_eq!(decode(&again), Some(key));
    }

    fn part() -> impl Strategy<Value = KeyPart> {
        prop_oneof![
            any::<i16>().prop_map(KeyPart::Short),
            any::<i32>().prop_map(KeyPart::Int),
            any::<i64>().prop_map(KeyPart::Long),
            any::<u128>().prop_map(KeyPart::Uuid),
            ".{0,20}".prop_map(KeyPart::Text),
            Just(KeyPart::Null),
        ]
    }

    proptest! {
        #[test]
        fn any_key_reads_back(key in prop::collection::vec(part(), 0..6)) {
            prop_assert_eq!(decode(&encode(Some(&key))), Some(key));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-f]{0,200}") {
            decode(&text);
            decode(&format!("aced0005{text}"));
        }
    }
}
