//! Options of transformations and predicates, as `ConfigDef.embed` puts them under `transforms.NAME.`.

use std::cmp::Ordering;

use tapline_api::config::{Config, ConfigInfo, ConfigKey, Default};

use super::report::{ConfigInfos, Definition, Entry, Value};
use super::{class_not_found, options, sorted};
use crate::plugins;

/// One kind of stage (`ConnectorConfig.EnrichablePlugin`).
struct Kind {
    aliases: &'static str,
    group: &'static str,
    title: &'static str,
    documentation: [&'static str; 2],
}

/// What is known of a class: its name, its version, its options.
type Found = (&'static str, &'static str, Vec<ConfigKey>);

/// Adds the options of all transformations, then of all predicates.
pub(super) fn embed(infos: &mut ConfigInfos, config: &Config) {
    let transforms = Kind {
        aliases: "transforms",
        group: "Transforms",
        title: "Transformation",
        documentation: [
            "The transformation's Java class name.",
            "The transformation's version.",
        ],
    };
    let known = sorted(plugins::TRANSFORMATIONS.iter().map(|plugin| plugin.class));
    stages(infos, config, &transforms, &known, |class| {
        let plugin = plugins::transformation(class)?;
        let own = plugin.config.keys().iter();
        // A transformation's own `predicate` would be masked by the one that all have.
        let own = own.filter(|key| options::STAGE.key(key.name).is_none());
        Some((
            plugin.class,
            plugin.version,
            options::STAGE.keys().iter().chain(own).copied().collect(),
        ))
    });
    let predicates = Kind {
        aliases: "predicates",
        group: "Predicates",
        title: "Predicate",
        documentation: ["The predicate's Java class name.", "The predicate's version."],
    };
    let known = sorted(plugins::PREDICATES.iter().map(|plugin| plugin.class));
    stages(infos, config, &predicates, &known, |class| {
        let plugin = plugins::predicate(class)?;
        Some((plugin.class, plugin.version, plugin.config.keys().to_vec()))
    });
}

fn stages(
    infos: &mut ConfigInfos,
    config: &Config,
    kind: &Kind,
    known: &[String],
    find: impl Fn(&str) -> Option<Found>,
) {
    let mut done = Vec::new();
    for alias in config.list(kind.aliases) {
        if done.contains(&alias) {
            continue;
        }
        let prefix = format!("{}.{alias}.", kind.aliases);
        let given = config.get(&format!("{prefix}type")).map(str::trim);
        let found = given.and_then(&find);
        let class = class(
            kind,
            &alias,
            &prefix,
            config,
            known,
            given,
            found.as_ref().map(|found| found.0),
        );
        let version = version(kind, &alias, &prefix, config, found.as_ref().map(|found| found.1));
        infos.push(class);
        infos.push(version);
        if let Some((_, _, mut keys)) = found {
            sort(&mut keys);
            let group = format!("{}: {alias}", kind.group);
            for (order, key) in (2..).zip(keys) {
                infos.push(option(&key, &prefix, &group, order, config));
            }
        }
        done.push(alias);
    }
}

/// `transforms.NAME.type`.
fn class(
    kind: &Kind,
    alias: &str,
    prefix: &str,
    config: &Config,
    known: &[String],
    given: Option<&str>,
    found: Option<&str>,
) -> Entry {
    let name = format!("{prefix}type");
    let mut errors = Vec::new();
    match (given, found) {
        (None, _) => errors.push(format!(
            "Missing required configuration \"{name}\" which has no default value."
        )),
        (Some(class), None) => errors.push(class_not_found(&name, class)),
        (Some(_), Some(_)) => {}
    }
    let negate = format!("{prefix}negate");
    let predicate = format!("{prefix}predicate");
    if kind.aliases == "transforms" && config.contains(&negate) && !config.contains(&predicate) {
        errors.push(format!(
            "Config '{negate}' was provided but there is no config '{predicate}' defining a predicate to be negated."
        ));
    }
    Entry {
        definition: Some(Definition {
            name: name.clone(),
            kind: "CLASS",
            required: true,
            default_value: None,
            importance: "HIGH",
            documentation: kind.documentation[0],
            group: Some(format!("{}: {alias}", kind.group)),
            order_in_group: 0,
            width: "LONG",
            display_name: format!("{} type for {alias}", kind.title),
            dependents: Vec::new(),
        }),
        value: Value {
            name,
            value: found.map(str::to_owned),
            recommended_values: known.to_vec(),
            errors,
            visible: true,
            is_former: false,
        },
    }
}

/// `transforms.NAME.plugin.version`.
fn version(kind: &Kind, alias: &str, prefix: &str, config: &Config, version: Option<&str>) -> Entry {
    let name = format!("{prefix}plugin.version");
    let given = config.get(&name).map(str::to_owned);
    Entry {
        definition: Some(Definition {
            name: name.clone(),
            kind: "STRING",
            required: false,
            default_value: version.map(str::to_owned),
            importance: "HIGH",
            documentation: kind.documentation[1],
            group: Some(format!("{}: {alias}", kind.group)),
            order_in_group: 1,
            width: "LONG",
            display_name: format!("{} version for {alias}", kind.title),
            dependents: Vec::new(),
        }),
        value: Value {
            name,
            value: given.or_else(|| version.map(str::to_owned)),
            recommended_values: version.iter().map(|&version| version.to_owned()).collect(),
            errors: Vec::new(),
            visible: true,
            is_former: false,
        },
    }
}

/// An option of the class, under the stage's prefix and in its group.
fn option(key: &ConfigKey, prefix: &str, group: &str, order: i32, config: &Config) -> Entry {
    let mut entry = Entry::of(ConfigInfo::under(key, prefix, config));
    if let Some(definition) = &mut entry.definition {
        definition.group = Some(match key.group {
            Some(own) => format!("{group}: {own}"),
            None => group.to_owned(),
        });
        definition.order_in_group = order;
        for dependent in &mut definition.dependents {
            dependent.insert_str(0, prefix);
        }
    }
    entry
}

/// `ConfigDef.sortedConfigs`: by group, place, whether required, importance, name.
fn sort(keys: &mut [ConfigKey]) {
    let mut groups: Vec<&str> = Vec::new();
    for group in keys.iter().filter_map(|key| key.group) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let place = |key: &ConfigKey| {
        key.group
            .map(|group| groups.iter().position(|other| *other == group))
    };
    keys.sort_by(|a, b| {
        place(a)
            .cmp(&place(b))
            .then(a.order.cmp(&b.order))
            .then_with(|| match (a.default, b.default) {
                (Default::Required, Default::Required) => Ordering::Equal,
                (Default::Required, _) => Ordering::Less,
                (_, Default::Required) => Ordering::Greater,
                _ => Ordering::Equal,
            })
            .then_with(|| (a.importance as u8).cmp(&(b.importance as u8)))
            .then_with(|| a.name.cmp(b.name))
    });
}
