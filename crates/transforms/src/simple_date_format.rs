//! `java.text.SimpleDateFormat` patterns, in UTC and English: what `format` and `timestamp.format` are written in.
//!
//! Letters: `y` year, `M` month (`MMM` and more by name), `d` day, `D` day of year, `E` day of week, `a` AM or PM, `H`
//! `k` `K` `h` hour, `m` minute, `s` second, `S` millisecond, `z` `Z` `X` zone. Reading is lenient, as Java's is: the 32nd
//! of a month is in the next.

use tapline_formats::calendar::{MILLIS_PER_DAY, civil, days};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// 1970-01-01 was a Thursday.
const WEEK: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// A compiled pattern.
pub(crate) struct SimpleDateFormat {
    pattern: String,
    parts: Vec<Part>,
}

enum Part {
    Literal(String),
    /// A letter and how often it stands there.
    Field(char, usize),
}

impl SimpleDateFormat {
    /// Compiles a pattern; the error says what is wrong with it.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let literal = |parts: &mut Vec<Part>, c: char| match parts.last_mut() {
            Some(Part::Literal(text)) => text.push(c),
            _ => parts.push(Part::Literal(c.to_string())),
        };
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\'' if rest.peek() == Some(&'\'') => {
                    rest.next();
                    literal(&mut parts, '\'');
                }
                '\'' => loop {
                    match rest.next() {
                        None => return Err("Unterminated quote".to_owned()),
                        Some('\'') if rest.peek() == Some(&'\'') => {
                            rest.next();
                            literal(&mut parts, '\'');
                        }
                        Some('\'') => break,
                        Some(c) => literal(&mut parts, c),
                    }
                },
                c if c.is_ascii_alphabetic() => {
                    if !"yMdDEaHkKhmsSzZX".contains(c) {
                        return Err(format!("Illegal pattern character '{c}'"));
                    }
                    let mut count = 1;
                    while rest.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    parts.push(Part::Field(c, count));
                }
                c => literal(&mut parts, c),
            }
        }
        Ok(Self {
            pattern: pattern.to_owned(),
            parts,
        })
    }

    /// The pattern as written.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Prints milliseconds since the epoch.
    pub(crate) fn format(&self, millis: i64) -> String {
        let day = millis.div_euclid(MILLIS_PER_DAY);
        let time = millis.rem_euclid(MILLIS_PER_DAY);
        let (year, month, day_of_month) = civil(day);
        let hour = time / 3_600_000;
        let named = |names: &[&'static str], index: i64, count: usize| {
            let name = usize::try_from(index)
                .ok()
                .and_then(|index| names.get(index))
                .copied();
            let name = name.unwrap_or_default();
            name.get(..if count < 4 { 3 } else { name.len() })
                .unwrap_or(name)
                .to_owned()
        };
        let mut out = String::new();
        for part in &self.parts {
            let (letter, count) = match part {
                Part::Literal(text) => {
                    out.push_str(text);
                    continue;
                }
                Part::Field(letter, count) => (*letter, *count),
            };
            let number = match letter {
                'y' if count == 2 => year.rem_euclid(100),
                'y' => year,
                'M' if count < 3 => month,
                'd' => day_of_month,
                'D' => day - days(year, 1, 1) + 1,
                'H' => hour,
                'k' => (hour + 23) % 24 + 1,
                'K' => hour % 12,
                'h' => (hour + 11) % 12 + 1,
                'm' => time / 60_000 % 60,
                's' => time / 1000 % 60,
                'S' => time % 1000,
                other => {
                    out.push_str(&match other {
                        'M' => named(&MONTHS, month - 1, count),
                        'E' => named(&WEEK, day.rem_euclid(7), count),
                        'a' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
                        'Z' => "+0000".to_owned(),
                        'X' => "Z".to_owned(),
                        _ => "UTC".to_owned(),
                    });
                    continue;
                }
            };
            out.push_str(&format!("{number:0count$}"));
        }
        out
    }

    /// Reads a text that begins as the pattern says; `None` if it does not.
    pub(crate) fn parse(&self, text: &str) -> Option<i64> {
        let mut rest = text;
        let mut read = Read::default();
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Part::Field(letter, count) => {
                    // Digits that follow one another are told apart by their number alone.
                    let abutting =
                        matches!(parts.peek(), Some(Part::Field(next, _)) if !"EazZX".contains(*next));
                    rest = read.field(*letter, *count, abutting, rest)?;
                }
            }
        }
        Some(read.millis())
    }
}

/// What has been read so far.
struct Read {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    hour: i64,
    afternoon: bool,
    minute: i64,
    second: i64,
    milli: i64,
    /// Minutes east of UTC.
    zone: i64,
}

impl Default for Read {
    fn default() -> Self {
        Self {
            year: 1970,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: 0,
            afternoon: false,
            minute: 0,
            second: 0,
            milli: 0,
            zone: 0,
        }
    }
}

impl Read {
    fn field<'a>(&mut self, letter: char, count: usize, abutting: bool, text: &'a str) -> Option<&'a str> {
        let text = text.trim_start_matches([' ', '\t']);
        match letter {
            'M' if count >= 3 => {
                let (index, rest) = name(&MONTHS, text)?;
                self.month = index + 1;
                return Some(rest);
            }
            'E' => return name(&WEEK, text).map(|(_, rest)| rest),
            'a' => {
                let (index, rest) = name(&["AM", "PM"], text)?;
                self.afternoon = index == 1;
                return Some(rest);
            }
            'z' | 'Z' | 'X' => {
                let (minutes, rest) = zone(text)?;
                self.zone = minutes;
                return Some(rest);
            }
            _ => {}
        }
        let limit = if abutting { count } else { 18 };
        let end = text.bytes().take(limit).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = text.split_at_checked(end)?;
        let number: i64 = digits.parse().ok()?;
        if number > 1_000_000_000 {
            return None;
        }
        match letter {
            // Two digits are a year within 80 years before and 20 after now; without a clock, from 1950 to 2049.
            'y' if count <= 2 && digits.len() == 2 => {
                self.year = if number < 50 { 2000 + number } else { 1900 + number };
            }
            'y' => self.year = number,
            'M' => self.month = number,
            'd' => self.day = number,
            'D' => self.day_of_year = Some(number),
            'H' | 'K' => self.hour = number,
            'k' => self.hour = number % 24,
            'h' => self.hour = number % 12,
            'm' => self.minute = number,
            's' => self.second = number,
            _ => self.milli = number,
        }
        Some(rest)
    }

    fn millis(&self) -> i64 {
        let day = match self.day_of_year {
            Some(day) => days(self.year, 1, 1) + day - 1,
            None => days(self.year, self.month, self.day),
        };
        let hour = self.hour + if self.afternoon { 12 } else { 0 };
        let minutes = (day * 24 + hour) * 60 + self.minute - self.zone;
        (minutes * 60 + self.second) * 1000 + self.milli
    }
}

/// A name, in full or its first three letters, in any case.
fn name<'a>(names: &[&str], text: &'a str) -> Option<(i64, &'a str)> {
    for (index, name) in (0..).zip(names) {
        for length in [name.len(), name.len().min(3)] {
            if let Some((start, rest)) = text.split_at_checked(length)
                && name
                    .get(..length)
                    .is_some_and(|name| name.eq_ignore_ascii_case(start))
            {
                return Some((index, rest));
            }
        }
    }
    None
}

/// `Z`, `UTC`, `GMT`, `+hhmm`, `+hh:mm` or `+hh`, as minutes east of UTC.
fn zone(text: &str) -> Option<(i64, &str)> {
    let rest = ["UTC", "GMT", "Z"]
        .iter()
        .find_map(|name| text.strip_prefix(name));
    let named = rest.is_some();
    let rest = rest.unwrap_or(text);
    let sign = match rest.bytes().next() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return named.then_some((0, rest)),
    };
    let (hours, rest) = rest.get(1..)?.split_at_checked(2)?;
    let hours: i64 = hours.parse().ok()?;
    let after = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = match after.split_at_checked(2) {
        Some((minutes, after)) if minutes.bytes().all(|b| b.is_ascii_digit()) => {
            (minutes.parse().ok()?, after)
        }
        _ => (0, rest),
    };
    Some((sign * (hours * 60 + minutes), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn format(pattern: &str, millis: i64) -> String {
        SimpleDateFormat::new(pattern).unwrap().format(millis)
    }

    fn parse(pattern: &str, text: &str) -> Option<i64> {
        SimpleDateFormat::new(pattern).unwrap().parse(text)
    }

    #[test]
    fn patterns_print_what_java_prints() {
        // 2024-02-29T13:04:05.006Z, a Thursday.
        let at = 1_709_211_845_006;
        for (pattern, text) in [
            ("yyyyMMdd", "20240229"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2024-02-29T13:04:05.006+0000"),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-02-29T13:04:05Z"),
            ("EEE, d MMM yy h:mm a z", "Thu, 29 Feb 24 1:04 PM UTC"),
            ("EEEE MMMM D k K", "Thursday February 60 13 1"),
            ("yyyy 'o''clock' ''", "2024 o'clock '"),
        ] {
            assert_eq!(format(pattern, at), text);
        }
        assert_eq!(format("HH kk hh KK", 0), "00 24 12 00");
        assert!(SimpleDateFormat::new("yyyy-QQ").is_err());
        assert!(SimpleDateFormat::new("'open").is_err());
    }

    #[test]
    fn texts_are_read_leniently() {
        for (pattern, text, millis) in [
            (
                "yyyy-MM-dd HH:mm:ss",
                "2024-02-29 13:04:05",
                Some(1_709_211_845_000),
            ),
            ("yyyyMMddHHmmss", "20240229130405", Some(1_709_211_845_000)),
            (
                "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
                "2024-02-29T14:04:05.006+01:00",
                Some(1_709_211_845_006),
            ),
            (
                "d MMM yyyy h:mm a",
                "29 feb 2024 1:04 pm",
                Some(1_709_211_840_000),
            ),
            ("yyyy-MM-dd", "2024-02-30", Some(1_709_251_200_000)),
            ("yyyy-MM-dd", "2024-02-29 and more", Some(1_709_164_800_000)),
            ("yyyy-MM-dd", "29.2.2024", None),
            ("HH:mm", "13:04", Some(47_040_000)),
        ] {
            assert_eq!(parse(pattern, text), millis, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(millis in 0..4_000_000_000_000_i64) {
            let pattern = "yyyy-MM-dd'T'HH:mm:ss.SSSZ";
            prop_assert_eq!(parse(pattern, &format(pattern, millis)), Some(millis));
        }

        #[test]
        fn no_text_makes_it_panic(pattern in "[yMdHhmsSaEzZX' :,-]{0,12}", text in "\\PC{0,20}|[0-9: +-]{0,20}") {
            if let Ok(format) = SimpleDateFormat::new(&pattern) {
                format.parse(&text);
            }
        }
    }
}
