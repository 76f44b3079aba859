//! The shapes of graphs whose cost in the scheduler's state is counted in instructions.

use std::io;

use dask_proto::graph::TaskSpec;
use dask_proto::id::FutureId;
use rig::figures::Figures;
use rig::question::Unknown;

use crate::growth::Simulated;
use crate::session::task;

/// Runs a graph of a shape through the state with two workers, from the submission of its tasks
/// until they are forgotten. `cargo xtask bench instructions` counts what that takes.
pub(crate) fn run(shape: &str, tasks: u64) -> io::Result<Figures> {
    let dependencies: fn(u64, u64) -> Vec<u64> = match shape {
        "state-map" => |_, _| Vec::new(),
        "state-tree" => |i, n| match i.checked_sub(n / 2 + 1) {
            Some(inner) => vec![2 * inner, 2 * inner + 1],
            None => Vec::new(),
        },
        "state-merge" => |i, n| if i + 1 == n { (0..i).collect() } else { Vec::new() },
        "state-spread" => |i, _| if i == 0 { Vec::new() } else { vec![0] },
        "state-chain" => |i, _| i.checked_sub(1).into_iter().collect(),
        other => return Err(io::Error::other(Unknown(other.to_owned()))),
    };
    let graph: Vec<TaskSpec> = (0..tasks)
        .map(|i| task(i, dependencies(i, tasks).into_iter().map(FutureId).collect()))
        .collect();
    let mut cluster = Simulated::new(2);
    let computed = cluster.run(&graph);
    cluster.release(&graph);
    assert_eq!(computed, graph.len(), "every task runs once");
    Ok(Figures::new().with("tasks", tasks as f64))
}
