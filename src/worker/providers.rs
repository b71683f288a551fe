//! Config providers (KIP-297): `${name:path:key}` and `${name:key}` in configurations.
//!
//! `config.providers=file,env` names them, `config.providers.file.class` says what they are. A reference is resolved
//! when a configuration is handed to a connector or a task; REST and the config topic keep the reference, so that
//! the secret behind it stays where it is.

use std::path::{Path, PathBuf};

use tapline_api::config::Config;
use tapline_api::{Error, Result};

/// The providers of the worker's properties.
#[derive(Clone, Debug, Default)]
pub struct Providers(Vec<(String, Provider)>);

#[derive(Clone, Debug)]
enum Provider {
    /// A key of a properties file.
    File(Allowed),
    /// A file of a folder.
    Directory(Allowed),
    /// A variable of the environment, by the pattern of `allowlist.pattern`.
    Env(Option<Box<tapline_api::pattern::Pattern>>),
}

/// `allowed.paths`; everything when empty.
#[derive(Clone, Debug, Default)]
struct Allowed(Vec<PathBuf>);

impl Allowed {
    fn check(&self, path: &Path) -> Result<PathBuf> {
        let real = path
            .canonicalize()
            .map_err(|error| Error::config(format!("could not read {}", path.display())).cause(error))?;
        if self.0.is_empty() || self.0.iter().any(|allowed| real.starts_with(allowed)) {
            Ok(real)
        } else {
            Err(Error::config(format!(
                "{} is not under the provider's allowed.paths",
                path.display()
            )))
        }
    }
}

impl Providers {
    /// From the worker's properties. The names `file`, `env` and `directory` need no class.
    pub fn new(worker: &Config) -> Result<Self> {
        let mut providers = Vec::new();
        for name in worker.list("config.providers") {
            let class = worker
                .get(&format!("config.providers.{name}.class"))
                .unwrap_or(&name);
            let params = worker.prefixed(&format!("config.providers.{name}.param."));
            let allowed = || {
                let paths = params.list("allowed.paths").into_iter().map(PathBuf::from);
                Allowed(paths.map(|path| path.canonicalize().unwrap_or(path)).collect())
            };
            let provider = match class.rsplit('.').next() {
                Some("FileConfigProvider" | "file") => Provider::File(allowed()),
                Some("DirectoryConfigProvider" | "directory") => Provider::Directory(allowed()),
                Some("EnvVarConfigProvider" | "env") => {
                    let pattern = params.get("allowlist.pattern");
                    let option = format!("config.providers.{name}.param.allowlist.pattern");
                    let pattern = pattern.map(|pattern| tapline_api::pattern::Pattern::new(&option, pattern));
                    Provider::Env(pattern.transpose()?.map(Box::new))
                }
                _ => {
                    return Err(Error::config(format!(
                        "Invalid value {class} for configuration config.providers.{name}.class: Class {class} could not be found."
                    ))
                    .hint("the file, directory and environment providers are built in"));
                }
            };
            providers.push((name, provider));
        }
        Ok(Self(providers))
    }

    /// A configuration with every reference resolved. A reference to an unknown provider stays as it is, as in
    /// Kafka.
    pub fn resolve(&self, config: &Config) -> Result<Config> {
        config
            .iter()
            .map(|(name, value)| {
                let value = value.map(|value| self.text(name, value)).transpose()?;
                Ok((name.to_owned(), value))
            })
            .collect::<Result<Vec<_>>>()
            .map(|entries| entries.into_iter().collect())
    }

    /// Task configurations as they are to be stored: what a connector made of `resolved` goes back to the reference
    /// that stood in `raw` (Connect's reverse transformation).
    pub fn unresolve(task: &Config, raw: &Config, resolved: &Config) -> Config {
        task.iter()
            .map(|(name, value)| {
                let same = raw.get(name) != resolved.get(name) && value == resolved.get(name);
                let value = if same { raw.get(name) } else { value };
                (name.to_owned(), value.map(str::to_owned))
            })
            .collect()
    }

    fn text(&self, option: &str, text: &str) -> Result<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, from) = rest.split_at(start);
            let Some(end) = from.find('}') else {
                break;
            };
            let (reference, after) = from.split_at(end + 1);
            out.push_str(before);
            let inner = reference.get(2..end).unwrap_or_default();
            match inner
                .split_once(':')
                .and_then(|(name, of)| Some((self.find(name)?, of)))
            {
                Some((provider, of)) => out.push_str(&provider.get(of).map_err(|error| {
                    Error::config(format!("could not resolve {reference} of configuration {option}"))
                        .cause(error)
                })?),
                None => out.push_str(reference),
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn find(&self, name: &str) -> Option<&Provider> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, provider)| provider)
    }
}

impl Provider {
    /// What stands behind `path:key`, or `key`.
    fn get(&self, reference: &str) -> Result<String> {
        // A path may have a colon, a key has none.
        let (path, key) = reference.rsplit_once(':').unwrap_or(("", reference));
        match self {
            Self::File(allowed) => {
                let path = allowed.check(Path::new(path))?;
                let file = std::fs::File::open(&path).map_err(|error| {
                    Error::config(format!("could not read {}", path.display())).cause(error)
                })?;
                let found = java_properties::read(std::io::BufReader::new(file)).map_err(|error| {
                    Error::config(format!("could not read {}", path.display())).cause(error)
                })?;
                found
                    .get(key)
                    .cloned()
                    .ok_or_else(|| Error::config(format!("there is no key {key} in {}", path.display())))
            }
            Self::Directory(allowed) => {
                let path = allowed.check(&Path::new(path).join(key))?;
                std::fs::read_to_string(&path)
                    .map_err(|error| Error::config(format!("could not read {}", path.display())).cause(error))
            }
            Self::Env(pattern) => {
                if pattern.as_ref().is_some_and(|pattern| !pattern.matches(key)) {
                    return Err(Error::config(format!(
                        "{key} is not in the provider's allowlist.pattern"
                    )));
                }
                variable(key).ok_or_else(|| Error::config(format!("there is no environment variable {key}")))
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the config provider through which settings come from there"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn providers(worker: &[(&str, &str)]) -> Providers {
        Providers::new(&worker.iter().copied().collect()).unwrap()
    }

    #[test]
    fn references_are_resolved_wherever_they_stand_and_unknown_ones_are_left() {
        let folder = std::env::temp_dir().join(format!("tapline-providers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("secrets.properties");
        std::fs::write(&file, "password=p\\u0021:x\nuser = me\n").unwrap();
        std::fs::write(folder.join("token"), "t").unwrap();
        let providers = providers(&[
            ("config.providers", "file, env, dir"),
            (
                "config.providers.file.class",
                "org.apache.kafka.common.config.provider.FileConfigProvider",
            ),
            (
                "config.providers.dir.class",
                "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
            ),
        ]);
        let (path, dir) = (file.display(), folder.display());
        let config: Config = [
            ("a", format!("${{file:{path}:user}}/${{file:{path}:password}}")),
            ("b", "${env:PATH}".to_owned()),
            ("c", "${topic} ${vault:x:y} ${".to_owned()),
            ("d", format!("${{dir:{dir}:token}}")),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let resolved = providers.resolve(&config).unwrap();
        assert_eq!(resolved.get("a"), Some("me/p!:x"));
        assert!(!resolved.get("b").unwrap().starts_with("${"));
        assert_eq!(resolved.get("c"), Some("${topic} ${vault:x:y} ${"));
        assert_eq!(resolved.get("d"), Some("t"));
        let missing = Config::from_iter([("a".to_owned(), format!("${{file:{path}:none}}"))]);
        assert!(
            providers
                .resolve(&missing)
                .unwrap_err()
                .to_string()
                .contains("of configuration a")
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_stored_of_a_task_keeps_the_reference() {
        let raw = Config::from_iter([("password", "${file:/s:p}"), ("host", "h")]);
        let resolved = Config::from_iter([("password", "secret"), ("host", "h")]);
        let task = Config::from_iter([("password", "secret"), ("host", "h"), ("task.id", "0")]);
        let stored = Providers::unresolve(&task, &raw, &resolved);
        assert_eq!(
            stored,
            Config::from_iter([("password", "${file:/s:p}"), ("host", "h"), ("task.id", "0")])
        );
    }
}
