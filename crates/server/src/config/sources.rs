//! Where a configuration may come from, and which source overrides which:
//! file, then environment, then command line.

use std::path::PathBuf;

use super::fault::{Fault, Origin, quoted};
use super::value::Value;

/// The prefix of the environment variables that override the file.
const PREFIX: &str = "SEGUE_";

/// What separates a section from its key in such a variable's name. Variables
/// without it are not configuration.
const SEPARATOR: &str = "__";

/// Where values may come from, the weakest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The configuration file.
    pub(crate) file: Option<PathBuf>,
    /// Overriding environment variables: dotted key and value.
    pub(crate) environment: Vec<Variable>,
    /// The arguments of `--set`, each `section.key=value`.
    pub(crate) set: Vec<String>,
}

/// An environment variable that overrides a key.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    /// Its name, as `SEGUE_TLS__LISTEN`.
    name: String,
    /// Its value.
    value: String,
}

impl Variable {
    /// The variable, if one of this name overrides a key.
    pub(crate) fn new(name: &str, value: &str) -> Option<Self> {
        name.strip_prefix(PREFIX)?
            .contains(SEPARATOR)
            .then(|| Self { name: name.to_owned(), value: value.to_owned() })
    }

    /// The dotted key that it overrides.
    fn key(&self) -> String {
        self.name[PREFIX.len()..].to_ascii_lowercase().replace(SEPARATOR, ".")
    }
}

impl Sources {
    /// The file and the `--set` arguments together with the variables of this
    /// process's environment.
    pub(crate) fn of_process(file: Option<PathBuf>, set: Vec<String>) -> Self {
        let environment = std::env::vars_os()
            // A value that is no Unicode fits no key: what is left of it
            // stands in the message that refuses it.
            .filter_map(|(name, value)| Variable::new(name.to_str()?, &value.to_string_lossy()))
            .collect();
        Self { file, environment, set }
    }

    /// All that was given, in one table.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is no TOML, or when an argument or
    /// variable is no key with a value.
    pub(crate) fn read(&self) -> Result<Value, Fault> {
        let mut value = match &self.file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Fault::other(format!("{}: cannot be read: {error}", path.display()))
                        .remedy("give the configuration's path with --config")
                })?;
                Value::document(path, &text)?
            }
            None => Value::empty(),
        };
        for variable in &self.environment {
            let origin = Origin::Environment(variable.name.as_str().into());
            let key = variable.key();
            value.overlay(&key, Value::text(&origin, &variable.value)?)?;
        }
        for argument in &self.set {
            let (key, text) = argument.split_once('=').ok_or_else(|| {
                Fault::mismatch(quoted(argument), "section.key=value").at(&Origin::Set, "")
            })?;
            value.overlay(key.trim(), Value::text(&Origin::Set, text.trim())?)?;
        }
        Ok(value)
    }
}
