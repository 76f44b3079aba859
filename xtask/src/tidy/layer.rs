//! The layers of the workspace, checked against what cargo says the crates depend on.

use std::path::Path;

use serde_json::Value;

use super::Violation;

/// Which crates may see which: a crate depends on lower layers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// 0: leaf crates only.
    Pure,
    /// 1.
    Seam,
    /// 2: peers of the cluster, never each other.
    Peer,
    /// 3: what users depend on; peers behind features.
    Client,
    /// 4: the client's public API alone.
    Collection,
    /// Anything; nothing depends on it.
    Top,
}

const LAYERS: [(&str, Layer); 18] = [
    ("dask-proto", Layer::Pure),
    ("dask-tokenize", Layer::Pure),
    ("dask-transport", Layer::Seam),
    ("dask-task", Layer::Seam),
    ("dask-macros", Layer::Seam),
    ("dask-program", Layer::Seam),
    ("dask-scheduler", Layer::Peer),
    ("dask-worker", Layer::Peer),
    ("dask-agent", Layer::Peer),
    ("dask-client", Layer::Client),
    ("dask-bag", Layer::Collection),
    ("dask-array", Layer::Collection),
    ("dask-dataframe", Layer::Collection),
    ("dask-cli", Layer::Top),
    ("tests", Layer::Top),
    ("sim", Layer::Top),
    ("benches", Layer::Top),
    ("xtask", Layer::Top),
];

pub(super) fn check(metadata: &Value, root: &Path) -> Vec<Violation> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages.flat_map(|package| check_package(package, root)).collect()
}

fn check_package(package: &Value, root: &Path) -> Vec<Violation> {
    let name = package["name"].as_str().unwrap_or_default();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let text = std::fs::read_to_string(manifest).unwrap_or_default();
    let path = manifest.strip_prefix(root).unwrap_or(manifest);
    let path = path.to_string_lossy();
    let Some(layer) = layer_of(name) else {
        let remedy = format!("give {name} a layer in xtask/src/tidy/layer.rs");
        return vec![Violation::new(&path, 1, "layer", remedy)];
    };
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    dependencies
        .filter_map(|dependency| {
            let remedy = objection(layer, dependency)?;
            let line = line_of(&text, dependency["name"].as_str()?);
            Some(Violation::new(&path, line, "layer", remedy))
        })
        .collect()
}

/// What is wrong with a crate of this layer depending on this, if anything is.
fn objection(layer: Layer, dependency: &Value) -> Option<String> {
    let name = dependency["name"].as_str()?;
    let on = layer_of(name)?;
    // A name of ours may be that of a stranger's crate; a path makes it ours.
    dependency["path"].as_str()?;
    let for_tests = dependency["kind"] == "dev";
    let optional = dependency["optional"] == true;
    let allowed = match (layer, on) {
        (_, Layer::Top) => false,
        (Layer::Top, _) => true,
        _ if for_tests => true,
        (Layer::Seam, Layer::Pure) => true,
        // A program travels over connections.
        (Layer::Seam, Layer::Seam) => name == "dask-transport",
        (Layer::Peer | Layer::Client, Layer::Pure | Layer::Seam) => true,
        (Layer::Client, Layer::Peer) => optional,
        (Layer::Collection, Layer::Client) => true,
        _ => false,
    };
    if allowed {
        return None;
    }
    if layer == Layer::Client && on == Layer::Peer {
        return Some(format!("make {name} optional, behind a feature"));
    }
    Some(format!("a {layer:?} crate must not depend on {name} ({on:?})"))
}

fn layer_of(name: &str) -> Option<Layer> {
    let found = LAYERS.iter().find(|(known, _)| *known == name);
    found.map(|(_, layer)| *layer)
}

/// Where a manifest names a dependency.
fn line_of(manifest: &str, name: &str) -> usize {
    let names = |line: &str| {
        let rest = line.trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    manifest.lines().position(names).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn allowed(layer: Layer, dependency: Value) -> bool {
        objection(layer, &dependency).is_none()
    }

    fn on(name: &str) -> Value {
        json!({"name": name, "path": "/w", "kind": null, "optional": false})
    }

    #[test]
    fn crates_depend_downwards() {
        assert!(allowed(Layer::Seam, on("dask-proto")));
        assert!(allowed(Layer::Peer, on("dask-transport")));
        assert!(allowed(Layer::Client, on("dask-task")));
        assert!(!allowed(Layer::Pure, on("dask-tokenize")));
        assert!(!allowed(Layer::Seam, on("dask-task")));
        assert!(!allowed(Layer::Seam, on("dask-scheduler")));
    }

    #[test]
    fn peers_never_depend_on_each_other_or_on_the_client() {
        assert!(!allowed(Layer::Peer, on("dask-worker")));
        assert!(!allowed(Layer::Peer, on("dask-client")));
    }

    #[test]
    fn the_client_has_peers_behind_features_only() {
        let mut dependency = on("dask-scheduler");
        assert!(!allowed(Layer::Client, dependency.clone()));
        dependency["optional"] = true.into();
        assert!(allowed(Layer::Client, dependency));
    }

    #[test]
    fn collections_see_the_client_alone() {
        assert!(allowed(Layer::Collection, on("dask-client")));
        assert!(!allowed(Layer::Collection, on("dask-proto")));
    }

    #[test]
    fn nothing_depends_on_the_top_not_even_for_tests() {
        let mut dependency = on("tests");
        dependency["kind"] = "dev".into();
        assert!(!allowed(Layer::Seam, dependency));
        assert!(!allowed(Layer::Top, on("xtask")));
        assert!(allowed(Layer::Top, on("dask-client")));
    }

    #[test]
    fn strangers_are_free() {
        assert!(allowed(Layer::Pure, on("serde")));
        assert!(allowed(Layer::Pure, json!({"name": "tests", "path": null})));
    }

    #[test]
    fn a_crate_without_a_layer_is_named() {
        let metadata = json!({"packages": [
            {"name": "dask-new", "manifest_path": "/w/crates/dask-new/Cargo.toml"},
        ]});
        let found = check(&metadata, Path::new("/w"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "crates/dask-new/Cargo.toml");
    }

    #[test]
    fn the_line_of_a_dependency_is_found_in_the_manifest() {
        let manifest = "[dependencies]\ndask-task-x = 1\ndask-task.workspace = true\n";
        assert_eq!(line_of(manifest, "dask-task"), 3);
        assert_eq!(line_of(manifest, "serde"), 1);
    }
}
