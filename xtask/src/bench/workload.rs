//! What is measured, and what limits it.

/// A question, the figures that are read from its answer, and how large it is.
pub(super) struct Workload {
    /// What `--only` looks for.
    pub(super) name: &'static str,
    /// Which program of ours is asked.
    pub(super) program: Program,
    /// What it is asked.
    pub(super) ask: &'static str,
    pub(super) size: Size,
    pub(super) state: State,
    /// What the limit's program is asked.
    pub(super) limit: Option<Question>,
    pub(super) rows: &'static [Row],
}

/// Programs of `benches/` that answer questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// Client, scheduler and two workers.
    Throughput,
    /// A scheduler, with a client and workers that cost nothing.
    Zero,
}

impl Program {
    pub(super) fn executable(self) -> &'static str {
        match self {
            Program::Throughput => "throughput",
            Program::Zero => "zero",
        }
    }
}

/// The program that shows what is possible.
pub(super) const NULL: &str = "null";

/// How much is asked for.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) full: u64,
    /// To see whether it works.
    pub(super) quick: u64,
    /// Of a peer that would take more than half a minute otherwise; none where the peer is not
    /// asked.
    pub(super) peer: Option<u64>,
}

/// What a workload finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// What earlier runs of the same workload left.
    Kept,
    /// New processes.
    Fresh,
}

/// What the null scheduler is asked.
pub(super) struct Question {
    pub(super) ask: &'static str,
    pub(super) size: Size,
}

/// One line of the table.
pub(super) struct Row {
    pub(super) title: &'static str,
    /// The name of the figure in the answer.
    pub(super) figure: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    /// The figure of the limit's answer, and what to call it.
    pub(super) limit: Option<(&'static str, &'static str)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

const RELAY: Option<Question> = Some(Question { ask: "relay", size: same(100_000, 1000) });
const ROUND_TRIP: Option<Question> = Some(Question { ask: "round-trip", size: same(1000, 10) });
const TCP: Option<Question> = Some(Question { ask: "tcp", size: same(LARGE, 1 << 20) });
const LARGE: u64 = 256 << 20;

const fn rate(title: &'static str) -> Row {
    let limit = Some(("relays_per_s", "relays"));
    Row { title, figure: "tasks_per_s", unit: "tasks/s", better: Better::More, limit }
}

const fn round_trip(title: &'static str) -> Row {
    let limit = Some(("median_us", "null"));
    Row { title, figure: "median_us", unit: "us", better: Better::Less, limit }
}

const fn bytes(title: &'static str, limit: (&'static str, &'static str)) -> Row {
    let (figure, unit) = ("mb_per_s", "MB/s");
    Row { title, figure, unit, better: Better::More, limit: Some(limit) }
}

const fn less(title: &'static str, figure: &'static str, unit: &'static str) -> Row {
    Row { title, figure, unit, better: Better::Less, limit: None }
}

const fn more(title: &'static str, figure: &'static str, unit: &'static str) -> Row {
    Row { title, figure, unit, better: Better::More, limit: None }
}

const fn null(row: Row) -> Row {
    Row { limit: Some((row.figure, "null")), ..row }
}

const FRESH: (&str, &str) = ("fresh_mb_per_s", "TCP, fresh buffers");
const PAGES: (&str, &str) = ("large_mb_per_s", "the same, 2 MiB pages");
const REUSED: (&str, &str) = ("reused_mb_per_s", "TCP, reused buffers");

/// The peer can do the same amount.
const fn same(full: u64, quick: u64) -> Size {
    Size { full, quick, peer: Some(full) }
}

const fn sized(full: u64, quick: u64, peer: u64) -> Size {
    Size { full, quick, peer: Some(peer) }
}

const fn cluster(name: &'static str, ask: &'static str, size: Size) -> Workload {
    let (program, state) = (Program::Throughput, State::Kept);
    Workload { name, program, ask, size, state, limit: None, rows: &[] }
}

const fn alone(name: &'static str, ask: &'static str, full: u64) -> Workload {
    let size = Size { full, quick: 1000, peer: None };
    Workload { program: Program::Zero, ..cluster(name, ask, size) }
}

/// Everything, in the order in which it is measured and shown.
pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        limit: RELAY,
        rows: &[rate("map(inc, 0..100,000) + gather")],
        ..cluster("map-100k", "map", sized(100_000, 500, 20_000))
    },
    Workload {
        limit: RELAY,
        rows: &[
            rate("map(inc, 0..1,000,000) + gather"),
            less("peak memory of the four processes, with 1,000,000", "peak_mib", "MiB"),
        ],
        ..cluster("map-1m", "map", Size { full: 1_000_000, quick: 1000, peer: None })
    },
    Workload {
        rows: &[less("a task of 1,000,000 beside one of 100,000", "growth", "times")],
        ..cluster("map-growth", "map-growth", Size { full: 1_000_000, quick: 1000, peer: None })
    },
    Workload {
        limit: RELAY,
        rows: &[rate("tree reduction of 2^15 leaves")],
        ..cluster("tree", "tree", sized(1 << 15, 1 << 6, 1 << 12))
    },
    Workload {
        limit: RELAY,
        rows: &[rate("20,000 into 1")],
        ..cluster("many-to-one", "many-to-one", same(20_000, 100))
    },
    Workload {
        limit: RELAY,
        rows: &[rate("1 into 20,000")],
        ..cluster("one-to-many", "one-to-many", same(20_000, 100))
    },
    Workload {
        limit: Some(Question { ask: "work", size: same(20_000, 20) }),
        rows: &[Row {
            limit: Some(("tasks_per_s", "on two threads")),
            ..rate("20,000 tasks of some 50 us")
        }],
        ..cluster("work", "work", Size { full: 20_000, quick: 20, peer: None })
    },
    Workload {
        limit: ROUND_TRIP,
        rows: &[Row {
            limit: Some(("round_trips_per_s", "round trips")),
            ..rate("chain of 5,000")
        }],
        ..cluster("chain", "chain", same(5000, 50))
    },
    Workload {
        limit: ROUND_TRIP,
        rows: &[round_trip("submit(inc, i).result(), median")],
        ..cluster("round-trip", "round-trip", sized(1000, 10, 200))
    },
    Workload {
        limit: Some(Question { ask: "round-trip-idle", size: same(200, 3) }),
        rows: &[round_trip("the same, 5 ms idle between, median")],
        ..cluster("round-trip-idle", "round-trip-idle", same(200, 3))
    },
    Workload {
        limit: TCP,
        rows: &[
            bytes("scatter of 256 MiB", FRESH),
            bytes("scatter of 256 MiB", PAGES),
            bytes("scatter of 256 MiB", REUSED),
        ],
        ..cluster("scatter", "scatter", same(LARGE, 1 << 20))
    },
    Workload {
        limit: TCP,
        rows: &[
            bytes("gather of 256 MiB", FRESH),
            bytes("gather of 256 MiB", PAGES),
            bytes("gather of 256 MiB", REUSED),
        ],
        ..cluster("gather", "gather", same(LARGE, 1 << 20))
    },
    Workload {
        limit: TCP,
        rows: &[
            bytes("worker to worker, 256 MiB", FRESH),
            bytes("worker to worker, 256 MiB", PAGES),
            bytes("worker to worker, 256 MiB", REUSED),
        ],
        ..cluster("worker-to-worker", "worker-to-worker", same(LARGE, 1 << 20))
    },
    Workload {
        state: State::Fresh,
        rows: &[less("Client::local() to first result", "ms", "ms")],
        ..cluster("local", "local", Size { full: 1, quick: 1, peer: None })
    },
    Workload {
        state: State::Fresh,
        limit: Some(Question { ask: "start", size: same(1, 1) }),
        rows: &[null(less("start of scheduler + 2 workers to first result", "ms", "ms"))],
        ..cluster("start", "start", same(1, 1))
    },
    Workload {
        state: State::Fresh,
        limit: Some(Question { ask: "idle", size: same(1, 1) }),
        rows: &[
            null(less("idle memory of the scheduler", "scheduler_mib", "MiB")),
            null(less("idle memory of a worker", "worker_mib", "MiB")),
        ],
        ..cluster("idle", "idle", same(1, 1))
    },
    Workload {
        state: State::Fresh,
        rows: &[less("scheduler memory a task, results held", "bytes_per_task", "bytes")],
        ..cluster("memory", "memory", sized(100_000, 1000, 10_000))
    },
    Workload {
        rows: &[
            more("scheduler alone, independent tasks", "tasks_per_s", "tasks/s"),
            less("its processor time for each", "cpu_us", "us"),
        ],
        ..alone("alone", "independent", 100_000)
    },
    Workload {
        rows: &[
            more("scheduler alone, merge of 20,000", "tasks_per_s", "tasks/s"),
            less("its processor time for each", "cpu_us", "us"),
        ],
        ..alone("alone-merge", "merge", 20_000)
    },
    Workload {
        rows: &[
            less("scheduler's state, a task with 10 workers", "with_10_ns", "ns"),
            less("the same with 1,000 workers", "with_1000_ns", "ns"),
            less("the same with 10,000 workers", "with_10000_ns", "ns"),
            less("10,000 workers beside 10", "growth", "times"),
        ],
        ..alone("growth", "growth", 100_000)
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_row_with_a_limit_belongs_to_a_workload_that_asks_for_it() {
        for workload in WORKLOADS {
            let limited = workload.rows.iter().any(|row| row.limit.is_some());
            assert_eq!(limited, workload.limit.is_some(), "{}", workload.name);
            assert!(!workload.rows.is_empty(), "{}", workload.name);
        }
    }
}
