//! `sasl.jaas.config`: one login module and its options, as Java's JAAS configuration files write them. Pure.

/// librdkafka's settings for the credentials in it; `None` when the login module is not known.
///
/// `org.apache.kafka.common.security.plain.PlainLoginModule required username="a" password="b";`
pub(super) fn credentials(text: &str) -> Option<Vec<(String, String)>> {
    let mut words = words(text).into_iter();
    let module = words.next()?;
    let options: Vec<(String, String)> = words
        .filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect();
    let get = |name: &str| options.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let renamed = |names: &[(&str, &str)]| {
        names
            .iter()
            .filter_map(|(java, native)| Some(((*native).to_owned(), get(java)?)))
            .collect()
    };
    match module.rsplit('.').next()? {
        "PlainLoginModule" | "ScramLoginModule" => Some(renamed(&[
            ("username", "sasl.username"),
            ("password", "sasl.password"),
        ])),
        "OAuthBearerLoginModule" => Some(renamed(&[
            ("clientId", "sasl.oauthbearer.client.id"),
            ("clientSecret", "sasl.oauthbearer.client.secret"),
            ("scope", "sasl.oauthbearer.scope"),
        ])),
        _ => None,
    }
}

/// Words up to the semicolon; quotes and backslashes resolved.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', Some(_)) => word.extend(chars.next()),
            (c, Some(q)) if c == q => quote = None,
            (c, Some(_)) => word.push(c),
            ('"' | '\'', None) => quote = Some(c),
            (';', None) => break,
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (c, None) => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_in_quotes_and_escapes() {
        let text = r#"org.apache.kafka.common.security.scram.ScramLoginModule required
            username="alice" password="a\"b;c d" ;"#;
        assert_eq!(
            credentials(text).unwrap(),
            [
                ("sasl.username".to_owned(), "alice".to_owned()),
                ("sasl.password".to_owned(), "a\"b;c d".to_owned())
            ]
        );
        assert_eq!(
            credentials("com.sun.security.auth.module.Krb5LoginModule required;"),
            None
        );
        assert_eq!(credentials(""), None);
    }
}
