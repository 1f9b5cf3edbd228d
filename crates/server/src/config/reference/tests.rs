//! The reference is true: what it says is what the program does.

use std::path::PathBuf;

use super::super::sections::Sections;
use super::super::sources::Variable;
use super::super::{Config, Sources, read};
use super::*;

/// What a configuration of this text, these variables and nothing else says.
fn sections_of(text: &str, environment: &[(&str, &str)]) -> Result<Sections, String> {
    let place = tempfile::tempdir().expect("a place for a file");
    let file = place.path().join("segue.toml");
    std::fs::write(&file, text).expect("a file of ours");
    let given = sources(file, environment).read().map_err(|fault| fault.to_string())?;
    read::read(&given).map_err(|fault| fault.to_string())
}

fn sources(file: PathBuf, environment: &[(&str, &str)]) -> Sources {
    let variables = environment.iter().filter_map(|(name, value)| Variable::new(name, value));
    Sources { file: Some(file), environment: variables.collect(), ..Sources::default() }
}

/// A section with this in it, and whatever else it needs.
fn with(section: &Section, line: &str) -> String {
    let mut text = section.header() + "\n";
    for key in section.keys.iter().filter(|key| key.default == Default::Required) {
        if !line.starts_with(key.name) {
            text += &format!("{} = {}\n", key.name, key.example.as_ref().expect("it has one"));
        }
    }
    // What a section is within may need something as well.
    match section.path {
        "connections.plain" => format!("{}\n{text}{line}\n", with(&named("connections"), "")),
        _ => format!("{text}{line}\n"),
    }
}

fn named(path: &str) -> Section {
    sections().into_iter().find(|section| section.path == path).expect("it is there")
}

#[test]
fn every_key_that_is_accepted_is_told_of_and_no_other() {
    // What the parser offers in place of a wrong key is what it accepts.
    let accepted = |text: &str| {
        let refused = sections_of(text, &[]).expect_err("a key that nobody has");
        let list = refused.split("expected one of ").nth(1).expect("it offers others").to_owned();
        list.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let told = sections();
    let roots: Vec<_> = told.iter().map(|it| it.path).filter(|it| !it.contains('.')).collect();
    assert_eq!(accepted("zzz = 1\n"), roots);
    for section in &told {
        let names: Vec<_> = section.keys.iter().map(|key| key.name).collect();
        assert_eq!(accepted(&with(section, "zzz = 1")), names, "{}", section.path);
        // Sections within it are told of too.
        for key in section.keys.iter().filter(|key| key.example.is_none()) {
            let is_section = key.takes == format!("sections `[[{}.{}]]`", section.path, key.name);
            let path = match section.path {
                "redis.listener" => format!("redis.{}", key.name),
                path => format!("{path}.{}", key.name),
            };
            let is_told = told.iter().any(|other| other.path == path);
            assert!(is_section && is_told, "{}.{}: no example", section.path, key.name);
        }
    }
}

#[test]
fn every_key_is_described() {
    for section in &sections() {
        assert!(section.about.ends_with('.'), "{}", section.path);
        for key in &section.keys {
            let place = format!("{}.{}", section.path, key.name);
            assert!(key.about.ends_with('.'), "{place}: {:?}", key.about);
            assert!(!key.takes.ends_with("below") || key.choices.len() > 1, "{place}");
            assert!(key.choices.iter().all(|(_, about)| about.ends_with('.')), "{place}");
        }
    }
}

#[test]
fn defaults_are_those_of_a_configuration_without_them() {
    for section in &sections() {
        let without = sections_of(&with(section, ""), &[]).unwrap();
        for key in &section.keys {
            let Default::Value(value) = &key.default else { continue };
            let given =
                sections_of(&with(section, &format!("{} = {value}", key.name)), &[]).unwrap();
            assert_eq!(given, without, "{}.{}", section.path, key.name);
        }
    }
    assert_eq!(sections_of("", &[]).unwrap(), Sections::default());
}

#[test]
fn examples_are_accepted_and_by_the_environment_alike() {
    for section in &sections() {
        for key in &section.keys {
            let place = format!("{}.{}", section.path, key.name);
            let Some(value) = &key.example else { continue };
            let given = sections_of(&with(section, &format!("{} = {value}", key.name)), &[]);
            let given = given.unwrap_or_else(|error| panic!("{place}: {error}"));
            if let Some(variable) = section.variable(key) {
                let text = value.trim_matches('"');
                // What this key does not need is needed by the section still.
                let rest = if key.default == Default::Required {
                    with(section, key.name)
                        .lines()
                        .filter(|line| *line != key.name)
                        .collect::<Vec<_>>()
                        .join("\n")
                } else {
                    with(section, "")
                };
                assert_eq!(sections_of(&rest, &[(&variable, text)]).unwrap(), given, "{variable}");
            }
        }
    }
}

/// Whether a key's value is judged to be right, whatever else is wrong.
fn is_accepted(section: &Section, key: &Key, value: &str) -> bool {
    let text = with(section, &format!("{} = {value}", key.name));
    let place = tempfile::tempdir().expect("a place for a file");
    let file = place.path().join("segue.toml");
    std::fs::write(&file, text).expect("a file of ours");
    let judged = Config::load(&sources(file, &[]));
    let about = format!("{}.{}: ", section.path, key.name).replace("prefix.", "prefix[0].");
    judged.err().is_none_or(|faults| !faults.to_string().contains(&about))
}

#[test]
fn bounds_are_where_the_program_has_them() {
    let mut checked = 0;
    for section in &sections() {
        for key in &section.keys {
            let Some(bounds) = &key.bounds else { continue };
            let quoted = |text: &str| {
                if text.parse::<f64>().is_ok() { text.to_owned() } else { format!("{text:?}") }
            };
            let accepts = |value: &str| is_accepted(section, key, &quoted(value));
            let place = format!("{}.{}: {bounds}", section.path, key.name);
            let more = |value: &str| match value.find(|c: char| c.is_ascii_alphabetic()) {
                Some(at) => {
                    format!("{}{}", value[..at].parse::<u64>().expect(&place) + 1, &value[at..])
                }
                None => (value.parse::<u64>().expect(&place) + 1).to_string(),
            };
            if let Some((least, most)) =
                bounds.strip_prefix("from ").and_then(|it| it.split_once(" to "))
            {
                assert!(accepts(least) && accepts(most) && !accepts(&more(most)), "{place}");
                checked += 1;
            } else if let Some((_, most)) = bounds.split_once("at most ")
                && !most.contains(' ')
                && key.example.is_some()
            {
                assert!(accepts(most) && !accepts(&more(most)), "{place}");
                checked += 1;
            } else if let Some(least) = bounds.strip_prefix("at least ") {
                assert!(accepts(least) && !accepts("1B"), "{place}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 12, "{checked} were found");
}
