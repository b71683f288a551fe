//! Which client options connectors may override (`connector.client.config.override.policy`, KIP-458, KIP-1188).

use tapline_api::config::Config;
use tapline_api::{Error, Result};

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Every option.
    All,
    /// None.
    None,
    /// Who the client is: `security.protocol`, `sasl.jaas.config`, `sasl.mechanism`.
    Principal,
    /// Those of a list.
    Allowlist(Vec<String>),
}

impl Policy {
    /// By its alias or Java class name, with the allowlist of the worker's properties.
    pub fn new(name: &str, allowlist: &[String]) -> Result<Self> {
        let simple = name.rsplit('.').next().unwrap_or(name);
        let alias = simple
            .strip_suffix("ConnectorClientConfigOverridePolicy")
            .unwrap_or(simple);
        Ok(match alias {
            "All" => Self::All,
            "None" => Self::None,
            "Principal" => Self::Principal,
            "Allowlist" => Self::Allowlist(allowlist.to_vec()),
            _ => {
                return Err(Error::config(format!(
                    "Invalid value {name} for configuration connector.client.config.override.policy: \
                     the policies are All, None, Principal and Allowlist"
                )));
            }
        })
    }

    /// Its alias.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::All => "All",
            Self::None => "None",
            Self::Principal => "Principal",
            Self::Allowlist(_) => "Allowlist",
        }
    }

    /// Whether an option may be overridden.
    pub fn allows(&self, option: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Principal => matches!(
                option,
                "security.protocol" | "sasl.jaas.config" | "sasl.mechanism"
            ),
            Self::Allowlist(options) => options.iter().any(|allowed| allowed == option),
        }
    }

    /// An error that names the first option that may not.
    pub fn check(&self, overrides: &Config, prefix: &str) -> Result<()> {
        match overrides.iter().find(|(option, _)| !self.allows(option)) {
            None => Ok(()),
            Some((option, _)) => Err(Error::config(format!(
                "The '{prefix}{option}' config is not allowed to be overridden: \
                 connector.client.config.override.policy is {}",
                self.name()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_known_by_alias_and_by_class() {
        let class = "org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy";
        assert_eq!(Policy::new(class, &[]).unwrap(), Policy::Principal);
        let list = Policy::new("Allowlist", &["linger.ms".into()]).unwrap();
        assert!(list.allows("linger.ms") && !list.allows("acks"));
        assert!(Policy::new("Some", &[]).is_err());
        let options = Config::from_iter([("acks", "1")]);
        assert!(Policy::All.check(&options, "producer.override.").is_ok());
        assert!(Policy::None.check(&options, "producer.override.").is_err());
    }
}
