//! What is not said on the command line: Dask's configuration, from its places and under its keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

use crate::error::Error;

/// Settings by key, such as `distributed.scheduler.worker-ttl`: lower case, with hyphens.
#[derive(Debug, Default, Clone)]
pub(crate) struct Config {
    values: BTreeMap<String, Setting>,
}

#[derive(Debug, Clone)]
struct Setting {
    text: String,
    /// Where it was said, for errors.
    place: String,
}

/// What the names of variables begin with.
const PREFIX: &str = "DASK_";

impl Config {
    /// Reads the files of `/etc/dask` (or `$DASK_ROOT_CONFIG`), of `~/.config/dask`, and what
    /// `$DASK_CONFIG` names, then the variables; later ones win.
    pub(crate) fn read() -> Result<Self, Error> {
        let mut config = Self::default();
        for place in places() {
            for file in files(&place) {
                config.add_file(&file)?;
            }
        }
        for (name, value) in std::env::vars_os() {
            // What is no text is none of ours.
            if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
                config.add_variable(name, value);
            }
        }
        Ok(config)
    }

    /// What is set for a key, read by `parse`; `null` is nothing.
    pub(crate) fn get<T, E: std::fmt::Display>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Error> {
        let Some(Setting { text, place }) = self.values.get(key) else {
            return Ok(None);
        };
        if matches!(text.as_str(), "" | "null" | "None" | "~") {
            return Ok(None);
        }
        parse(text).map(Some).map_err(|reason| Error::Setting {
            key,
            text: text.clone(),
            place: place.clone(),
            reason: reason.to_string(),
        })
    }

    /// Sets a key, for tests.
    #[cfg(test)]
    pub(crate) fn set(&mut self, key: &str, text: &str) {
        self.add(key, text, "a test");
    }

    fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |reason: String| Error::ConfigFile { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let documents = YamlLoader::load_from_str(&text);
        for document in documents.map_err(|error| failed(error.to_string()))? {
            match document {
                Yaml::Hash(map) => self.add_map("", &map, &path.display().to_string()),
                Yaml::Null | Yaml::BadValue => {}
                _ => return Err(failed("it is not a mapping of keys to values".to_owned())),
            }
        }
        Ok(())
    }

    fn add_map(&mut self, prefix: &str, map: &Hash, place: &str) {
        for (name, value) in map {
            let Some(name) = scalar(name) else { continue };
            let key = format!("{prefix}{}", normal(&name));
            match value {
                Yaml::Hash(map) => {
                    // Resources are a mapping, and a value all the same.
                    self.add(&key, &pairs(map), place);
                    self.add_map(&format!("{key}."), map, place);
                }
                value => {
                    if let Some(text) = scalar(value) {
                        self.add(&key, &text, place);
                    }
                }
            }
        }
    }

    /// `DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE`: two underscores between the parts of a key.
    fn add_variable(&mut self, name: &str, value: &str) {
        if let Some(key) = name.strip_prefix(PREFIX) {
            let key = normal(&key.replace("__", "."));
            self.add(&key, value.trim_matches(['"', '\'']), &format!("${name}"));
        }
    }

    fn add(&mut self, key: &str, text: &str, place: &str) {
        let setting = Setting { text: text.to_owned(), place: place.to_owned() };
        self.values.insert(key.to_owned(), setting);
    }
}

/// Keys differ neither by case nor by hyphens and underscores.
fn normal(key: &str) -> String {
    key.to_lowercase().replace('_', "-")
}

fn scalar(value: &Yaml) -> Option<String> {
    match value {
        Yaml::Real(text) | Yaml::String(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(is_true) => Some(is_true.to_string()),
        Yaml::Null => Some("null".to_owned()),
        _ => None,
    }
}

/// A mapping as one writes it on the command line: `GPU=1 MEMORY=16e9`.
fn pairs(map: &Hash) -> String {
    let pairs = map.iter().filter_map(|(k, v)| Some(format!("{}={}", scalar(k)?, scalar(v)?)));
    pairs.collect::<Vec<_>>().join(" ")
}

fn places() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let root = variable("DASK_ROOT_CONFIG").map_or_else(|| "/etc/dask".into(), PathBuf::from);
    let home = variable("HOME").map(|home| PathBuf::from(home).join(".config/dask"));
    let named = variable("DASK_CONFIG").map(PathBuf::from);
    [Some(root), home, named].into_iter().flatten().collect()
}

/// The files of a directory in the order of their names, or the file itself; none where nothing is.
fn files(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("yaml" | "yml" | "json"))
    });
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(config: &Config, key: &'static str) -> Option<String> {
        config.get(key, |text| Ok::<_, String>(text.to_owned())).unwrap()
    }

    #[test]
    fn files_are_read_in_order_and_variables_win() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        write(
            "a.yaml",
            "distributed:\n  scheduler:\n    worker_ttl: 5 min\n    idle-timeout: 1h\n",
        );
        write(
            "b.yaml",
            "distributed:\n  scheduler:\n    worker-ttl: 10\n  \
             worker:\n    resources: {GPU: 2, MEM: 1e9}\n",
        );
        write("c.txt", "distributed: no");
        let mut config = Config::default();
        for file in files(directory.path()) {
            config.add_file(&file).unwrap();
        }
        assert_eq!(text(&config, "distributed.scheduler.worker-ttl").as_deref(), Some("10"));
        assert_eq!(text(&config, "distributed.scheduler.idle-timeout").as_deref(), Some("1h"));
        let resources = text(&config, "distributed.worker.resources");
        assert_eq!(resources.as_deref(), Some("GPU=2 MEM=1e9"));
        config.add_variable("DASK_DISTRIBUTED__SCHEDULER__IDLE_TIMEOUT", "null");
        config.add_variable("DASK_SCHEDULER_ADDRESS", "'tcp://10.0.0.1:8786'");
        assert_eq!(text(&config, "distributed.scheduler.idle-timeout"), None);
        let address = text(&config, "scheduler-address");
        assert_eq!(address.as_deref(), Some("tcp://10.0.0.1:8786"));
    }

    #[test]
    fn what_is_wrong_says_where() {
        let mut config = Config::default();
        config.add_variable("DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL", "soon");
        let error = config.get("distributed.scheduler.worker-ttl", crate::quantity::duration);
        let text = error.unwrap_err().to_string();
        for word in ["distributed.scheduler.worker-ttl", "\"soon\"", "$DASK_DISTRIBUTED"] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("broken.yaml");
        for broken in ["a: [", "just text"] {
            std::fs::write(&path, broken).unwrap();
            let text = Config::default().add_file(&path).unwrap_err().to_string();
            assert!(text.contains("broken.yaml"), "{text}");
        }
    }
}
