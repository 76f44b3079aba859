//! Pictures of graphs: Dask's `visualize`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use dask_tokenize::key_prefix;

use crate::Result;
use crate::graph::Graph;

/// More calls than this are no picture, and their layout would take minutes.
#[cfg(feature = "visualize")]
const MOST_DRAWN: usize = 1000;

impl Graph {
    /// The graph in the language of Graphviz: calls are boxes, results that are on the cluster
    /// already are ellipses, and arrows show where results go.
    ///
    /// ```
    /// # use dask_client::{task, Graph};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// let mut graph = Graph::new();
    /// let x = graph.insert("x", inc, 1)?;
    /// graph.insert("y", inc, x)?;
    /// assert!(graph.to_dot().contains("\"x\" -> \"y\""));
    /// # Ok::<(), dask_client::Error>(())
    /// ```
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut dot = "digraph dask {\n".to_owned();
        let mut results: BTreeMap<&str, ()> =
            self.futures.keys().map(|key| (key.as_str(), ())).collect();
        let mut arrows = String::new();
        for node in self.nodes.values() {
            let key = node.key.as_str();
            let label = quoted(&node.functions().join(" | "));
            // Memory takes whatever is written to it.
            let _ = writeln!(dot, "  {} [label={label}, shape=box];", quoted(key));
            for needed in &node.call.dependencies {
                let needed = needed.key().as_str();
                if !self.nodes.contains_key(needed) {
                    results.insert(needed, ());
                }
                let _ = writeln!(arrows, "  {} -> {};", quoted(needed), quoted(key));
            }
        }
        for key in results.into_keys() {
            let label = quoted(key_prefix(key));
            let _ = writeln!(dot, "  {} [label={label}, shape=ellipse];", quoted(key));
        }
        dot + &arrows + "}\n"
    }

    /// Draws the graph into a file: `.svg` for a picture, `.dot` for the text that Graphviz draws.
    ///
    /// # Errors
    /// When the file cannot be written, its name ends otherwise, or the graph has more than a
    /// thousand calls and is to be a picture.
    pub fn visualize(&self, file: impl AsRef<Path>) -> Result<()> {
        let file = file.as_ref();
        let text = match file.extension().and_then(|extension| extension.to_str()) {
            Some("dot" | "gv") => self.to_dot(),
            Some("svg") => self.to_svg()?,
            _ => {
                let file = file.display();
                let what = format!("{file} is neither .svg, for a picture, nor .dot, for Graphviz");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what).into());
            }
        };
        Ok(std::fs::write(file, text)?)
    }

    /// The graph as a picture.
    ///
    /// # Errors
    /// When it has more than a thousand calls.
    #[cfg(feature = "visualize")]
    pub fn to_svg(&self) -> Result<String> {
        use layout::backends::svg::SVGWriter;
        use layout::gv::{DotParser, GraphBuilder};

        let calls = self.nodes.len();
        if calls > MOST_DRAWN {
            let what = format!(
                "a graph of {calls} calls is too large for a picture, {MOST_DRAWN} at the most: \
                 write it as .dot, or draw a smaller one of the same shape"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what).into());
        }
        if calls + self.futures.len() == 0 {
            return Ok(EMPTY.to_owned());
        }
        let parsed = DotParser::new(&self.to_dot()).process();
        let parsed = parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let mut builder = GraphBuilder::new();
        builder.visit_graph(&parsed);
        let mut svg = SVGWriter::new();
        builder.get().do_it(false, false, false, &mut svg);
        Ok(svg.finalize())
    }

    #[cfg(not(feature = "visualize"))]
    fn to_svg(&self) -> Result<String> {
        let what = "this program was built without the feature \"visualize\" of dask-client: \
                    write the graph as .dot";
        Err(io::Error::new(io::ErrorKind::Unsupported, what).into())
    }
}

/// The picture of a graph without calls.
#[cfg(feature = "visualize")]
const EMPTY: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\"/>\n";

/// A string of the language.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => quoted.push(' '),
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}
