//! Reading a header's text by guessing what it is.

use bytes::Bytes;
use bytestring::ByteString;
use num_bigint::BigInt;
use tapline_api::schema::logical;
use tapline_api::{Schema, SchemaRef, Type, Value};

use super::{Schemas, align, common};
use crate::calendar::{MILLIS_PER_DAY, days};

type Parsed = Option<(SchemaRef, Value)>;

/// Part of an array or map that can't be read: the whole text is a string then.
struct Unreadable;

/// Arrays in arrays beyond this are a string.
const MAX_DEPTH: usize = 64;

/// Reads a text as `Values.parseString` does; `None` is null.
pub fn parse(schemas: &Schemas, text: &ByteString) -> Option<(SchemaRef, Value)> {
    let string = || Some((schemas.string.clone(), Value::String(text.clone())));
    // Most headers are names: what begins like nothing else is a string, and there is nothing to guess.
    let plain = |byte: u8| {
        !byte.is_ascii_digit() && !byte.is_ascii_whitespace() && byte > b' ' && !b"+-[{ntf".contains(&byte)
    };
    match text.bytes().next() {
        None => return string(),
        Some(byte) if plain(byte) => return string(),
        Some(_) => {}
    }
    let mut parser = Parser {
        schemas,
        tokens: Tokens::new(text),
        depth: 0,
    };
    parser.parse(false).unwrap_or_else(|Unreadable| string())
}

struct Parser<'a> {
    schemas: &'a Schemas,
    tokens: Tokens<'a>,
    depth: usize,
}

impl Parser<'_> {
    fn parse(&mut self, embedded: bool) -> Result<Parsed, Unreadable> {
        if !self.tokens.has_next() {
            return Ok(None);
        }
        if embedded && self.tokens.consume("\"") {
            return Ok(Some(self.quoted()));
        }
        if self.literal(embedded, "null") {
            return Ok(None);
        }
        for (text, value) in [("true", true), ("false", false)] {
            if self.literal(embedded, text) {
                return Ok(Some((self.schemas.boolean.clone(), Value::Boolean(value))));
            }
        }
        let start = self.tokens.mark();
        let container = if self.tokens.consume("[") {
            Some(self.deeper(Self::array))
        } else if self.tokens.consume("{") {
            Some(self.deeper(Self::map))
        } else {
            None
        };
        match container {
            Some(Ok(parsed)) => return Ok(Some(parsed)),
            Some(Err(Unreadable)) => self.tokens.rewind(start),
            None => {}
        }
        let token = self.tokens.next();
        if blank(token) {
            return Ok(Some((self.schemas.string.clone(), Value::String(token.into()))));
        }
        self.scalar(embedded, trim(token))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Unreadable>) -> Result<T, Unreadable> {
        if self.depth == MAX_DEPTH {
            return Err(Unreadable);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// A word that means something only when it stands alone.
    fn literal(&mut self, embedded: bool, word: &str) -> bool {
        let start = self.tokens.mark();
        if self.tokens.consume(word) && (embedded || !self.tokens.has_next()) {
            return true;
        }
        self.tokens.rewind(start);
        false
    }

    fn scalar(&mut self, embedded: bool, token: &str) -> Result<Parsed, Unreadable> {
        let first = token.bytes().next().unwrap_or(b' ');
        if first.is_ascii_digit() {
            // Colons split a time into five tokens.
            let start = self.tokens.mark();
            if let Some(rest) = self.tokens.take(4)
                && let Some(temporal) = temporal(self.schemas, &format!("{token}{rest}"))
            {
                return Ok(Some(temporal));
            }
            self.tokens.rewind(start);
            if let Some(temporal) = temporal(self.schemas, token) {
                return Ok(Some(temporal));
            }
        }
        if (first.is_ascii_digit() || first == b'+' || first == b'-')
            && let Some(number) = number(self.schemas, token)
        {
            return Ok(Some(number));
        }
        if embedded {
            return Err(Unreadable);
        }
        Ok(Some((
            self.schemas.string.clone(),
            Value::String(self.tokens.original.into()),
        )))
    }

    fn quoted(&mut self) -> (SchemaRef, Value) {
        let mut content = String::new();
        while self.tokens.has_next() {
            if self.tokens.consume("\"") {
                break;
            }
            content.push_str(self.tokens.next());
        }
        temporal(self.schemas, &content)
            .unwrap_or_else(|| (self.schemas.string.clone(), Value::String(content.into())))
    }

    fn array(&mut self) -> Result<(SchemaRef, Value), Unreadable> {
        let mut items = Vec::new();
        let mut element = Merger::default();
        while self.tokens.has_next() {
            if self.tokens.consume("]") {
                let Some(element) = element.common else {
                    return Ok((Schema::of(Type::Array).build(), Value::Array(items)));
                };
                let items = items
                    .into_iter()
                    .map(|item| align(&element, item).ok_or(Unreadable))
                    .collect::<Result<_, _>>()?;
                return Ok((Schema::array(element).build(), Value::Array(items)));
            }
            if self.tokens.consume(",") {
                return Err(Unreadable);
            }
            let item = self.parse(true)?;
            element.merge(&item);
            items.push(item.map_or(Value::Null, |(_, value)| value));
            let position = self.tokens.mark();
            if self.tokens.consume("]") {
                self.tokens.rewind(position);
            } else if !self.tokens.consume(",") {
                return Err(Unreadable);
            }
        }
        Err(Unreadable)
    }

    fn map(&mut self) -> Result<(SchemaRef, Value), Unreadable> {
        let mut entries: Vec<(Value, Value)> = Vec::new();
        let (mut keys, mut values) = (Merger::default(), Merger::default());
        while self.tokens.has_next() {
            if self.tokens.consume("}") {
                let schema = match (&keys.common, &values.common) {
                    (Some(key), Some(value)) => Schema::map(key.clone(), value.clone()).build(),
                    // Connect has no way to say "values of any type"; an optional string stands for it.
                    (Some(key), None) => {
                        Schema::map(key.clone(), Schema::string().optional().build()).build()
                    }
                    (None, _) => Schema::of(Type::Map).build(),
                };
                let entries = entries
                    .into_iter()
                    .map(|(key, value)| {
                        let key = match &keys.common {
                            Some(schema) => align(schema, key)?,
                            None => key,
                        };
                        let value = match (&keys.common, &values.common) {
                            (Some(_), Some(schema)) => align(schema, value)?,
                            _ => value,
                        };
                        Some((key, value))
                    })
                    .collect::<Option<_>>()
                    .ok_or(Unreadable)?;
                return Ok((schema, Value::Map(entries)));
            }
            if self.tokens.consume(",") {
                return Err(Unreadable);
            }
            let Some((key_schema, key)) = self.parse(true)? else {
                return Err(Unreadable);
            };
            if !self.tokens.consume(":") {
                return Err(Unreadable);
            }
            let value = self.parse(true)?;
            keys.merge(&Some((key_schema, Value::Null)));
            values.merge(&value);
            let value = value.map_or(Value::Null, |(_, value)| value);
            match entries.iter_mut().find(|entry| entry.0 == key) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
            self.tokens.consume(",");
        }
        Err(Unreadable)
    }
}

/// The type that all parts of an array have in common.
#[derive(Default)]
struct Merger {
    common: Option<SchemaRef>,
    incompatible: bool,
}

impl Merger {
    fn merge(&mut self, parsed: &Parsed) {
        if self.incompatible {
            return;
        }
        let Some((schema, _)) = parsed else {
            return;
        };
        self.common = match &self.common {
            None => Some(schema.clone()),
            Some(previous) => common(previous, schema),
        };
        self.incompatible = self.common.is_none();
    }
}

/// What `String.trim` takes away.
fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

fn blank(text: &str) -> bool {
    trim(text).is_empty()
}

/// A text of exactly the length of a date, a time or a timestamp that begins like one.
fn temporal(schemas: &Schemas, token: &str) -> Parsed {
    let token = token.replace("\\:", ":");
    match token.len() {
        10 => {
            let (days, _) = date_at(&token)?;
            let days = i32::try_from(days).ok()?;
            Some((schemas.date.clone(), Value::Int32(days)))
        }
        13 => {
            let millis = i32::try_from(time_at(&token)?).ok()?;
            Some((schemas.time.clone(), Value::Int32(millis)))
        }
        24 => {
            let (days, rest) = date_at(&token)?;
            let millis = time_at(rest.strip_prefix('T')?)?;
            Some((
                schemas.timestamp.clone(),
                Value::Int64(days * MILLIS_PER_DAY + millis),
            ))
        }
        _ => None,
    }
}

fn digits(text: &str) -> Option<(i64, &str)> {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    Some((number.parse().ok().filter(|n| *n < 1_000_000_000)?, rest))
}

/// `yyyy-MM-dd`, lenient as `SimpleDateFormat`: the 32nd of a month is in the next.
fn date_at(text: &str) -> Option<(i64, &str)> {
    let (year, rest) = digits(text)?;
    let (month, rest) = digits(rest.strip_prefix('-')?)?;
    let (day, rest) = digits(rest.strip_prefix('-')?)?;
    Some((days(year, month, day), rest))
}

/// `HH:mm:ss.SSSZ` in milliseconds.
fn time_at(text: &str) -> Option<i64> {
    let (hours, rest) = digits(text)?;
    let (minutes, rest) = digits(rest.strip_prefix(':')?)?;
    let (seconds, rest) = digits(rest.strip_prefix(':')?)?;
    let (millis, rest) = digits(rest.strip_prefix('.')?)?;
    rest.strip_prefix('Z')?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
}

/// A number in the narrowest type: an integer if it is whole and fits 64 bits, else FLOAT32, FLOAT64, Decimal.
fn number(schemas: &Schemas, token: &str) -> Parsed {
    let (mantissa, power) = match token.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, i64::from(power.parse::<i32>().ok()?)),
        None => (token, 0),
    };
    let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let scale = i64::try_from(fraction.len()).ok()? - power;
    if let Some(exact) = integer(whole, fraction, power, mantissa.starts_with('-')) {
        return Some(narrowest(schemas, exact));
    }
    let (float, double) = (token.parse::<f32>().ok()?, token.parse::<f64>().ok()?);
    if float.is_finite() && scale != 0 {
        return Some((schemas.float32.clone(), Value::Float32(float)));
    }
    if double.is_finite() && scale != 0 {
        return Some((schemas.float64.clone(), Value::Float64(double)));
    }
    let digits: BigInt = format!("{whole}{fraction}").parse().ok()?;
    let unscaled = if mantissa.starts_with('-') {
        -digits
    } else {
        digits
    };
    let schema = Schema::bytes()
        .name(logical::DECIMAL)
        .version(1)
        .parameter(logical::SCALE, scale.to_string())
        .build();
    Some((schema, Value::Bytes(Bytes::from(unscaled.to_signed_bytes_be()))))
}

/// The number if it is whole and fits.
fn integer(whole: &str, fraction: &str, power: i64, negative: bool) -> Option<i64> {
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let zeros = power - i64::try_from(fraction.len()).ok()?;
    let text = if zeros >= 0 {
        let zeros = usize::try_from(zeros).ok().filter(|zeros| *zeros < 20)?;
        format!("{significant}{}", "0".repeat(zeros))
    } else {
        let cut = usize::try_from(-zeros).ok()?;
        let (kept, dropped) = significant.split_at_checked(significant.len().checked_sub(cut)?)?;
        if dropped.bytes().any(|byte| byte != b'0') {
            return None;
        }
        kept.to_owned()
    };
    let sign = if negative { "-" } else { "" };
    format!("{sign}{text}").parse().ok()
}

fn narrowest(schemas: &Schemas, number: i64) -> (SchemaRef, Value) {
    if let Ok(n) = i8::try_from(number) {
        (schemas.int8.clone(), Value::Int8(n))
    } else if let Ok(n) = i16::try_from(number) {
        (schemas.int16.clone(), Value::Int16(n))
    } else if let Ok(n) = i32::try_from(number) {
        (schemas.int32.clone(), Value::Int32(n))
    } else {
        (schemas.int64.clone(), Value::Int64(number))
    }
}

/// The text cut at its delimiters (`:`, `,`, brackets, quotes), of which a backslash takes away the meaning.
struct Tokens<'a> {
    original: &'a str,
    at: usize,
    next: Option<&'a str>,
}

impl<'a> Tokens<'a> {
    fn new(original: &'a str) -> Self {
        Self {
            original,
            at: 0,
            next: None,
        }
    }

    fn mark(&self) -> usize {
        self.at - self.next.map_or(0, str::len)
    }

    fn rewind(&mut self, position: usize) {
        self.at = position;
        self.next = None;
    }

    fn has_next(&self) -> bool {
        self.next.is_some() || self.at < self.original.len()
    }

    fn next(&mut self) -> &'a str {
        match self.next.take() {
            Some(token) => token,
            None => self.cut(),
        }
    }

    /// The text of the next `count` tokens, if there are so many.
    fn take(&mut self, count: usize) -> Option<&'a str> {
        let start = self.mark();
        for _ in 0..count {
            if !self.has_next() {
                self.rewind(start);
                return None;
            }
            self.next();
        }
        self.original.get(start..self.at)
    }

    /// Consumes the next token if it is `expected`, blanks around it apart.
    fn consume(&mut self, expected: &str) -> bool {
        let mut token = match self.next {
            Some(token) => token,
            None if self.at < self.original.len() => self.cut(),
            None => return false,
        };
        while blank(token) && self.at < self.original.len() {
            token = self.cut();
        }
        let found = trim(token) == expected;
        self.next = (!found).then_some(token);
        found
    }

    fn cut(&mut self) -> &'a str {
        let start = self.at;
        let mut escaped = false;
        let mut end = self.original.len();
        for (offset, byte) in self.original.bytes().enumerate().skip(start) {
            match byte {
                b'\\' => escaped = !escaped,
                b':' | b',' | b'{' | b'}' | b'[' | b']' | b'"' if !escaped => {
                    end = offset.max(start + 1);
                    break;
                }
                _ => escaped = false,
            }
        }
        self.at = end;
        self.original.get(start..end).unwrap_or_default()
    }
}
