//! Scripts for the state of the scheduler: events in, expected instructions and states out.
//!
//! Every file in `tests/state` is one script. A line `> event` is an event; the lines below it, up
//! to the next one, are what the state answered, and every task with its state where that changed.
//! A line starting with `#` is a comment. The invariants are checked after every event.
//! `UPDATE_EXPECT=1` writes the answers anew. The language of events is in `script/mod.rs`.

mod script;

use std::path::Path;

/// The table of transitions, as written.
const TABLE: &str = include_str!("../src/state/transition/mod.rs");

/// One test per script, so that a failure names it.
macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        const SCRIPTS: &[&str] = &[$(stringify!($name)),*];

        #[test]
        fn every_script_is_run() {
            let mut named = vec![$(concat!(stringify!($name), ".txt").to_owned()),*];
            named.sort();
            let mut found: Vec<String> = std::fs::read_dir(folder())
                .expect("the folder of scripts")
                .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
                .collect();
            found.sort();
            assert_eq!(named, found);
        }
    };
}

scripts! {
    actor,
    adaptive,
    amm,
    ask,
    await_workers,
    cancel,
    carry,
    copies,
    datasets,
    duplicate_dependencies,
    dump,
    dying,
    equipment,
    error_in_released_dependency,
    errors,
    event,
    explain,
    explain_causes,
    explain_exclusions,
    fire_and_forget,
    groups,
    idle_from_the_start,
    idle_timeout,
    invalid_graph,
    joining,
    key_collision,
    killed_worker,
    lingering,
    lock_holder_lost,
    logs,
    logs_forwarded,
    many_dependents,
    metadata,
    multi_lock,
    missing_dependencies,
    no_function,
    no_worker,
    no_worker_with_dependency,
    no_workers_timeout,
    placement,
    program,
    program_bound_late,
    program_companion,
    program_crashed,
    program_ended,
    program_identity,
    program_limits,
    program_refused,
    program_slow,
    program_unknown_forgotten,
    program_retiring,
    program_sources,
    program_stopped,
    program_stuck,
    program_tokens,
    program_trouble,
    program_unknown,
    program_vouchers,
    protocol_errors,
    questions,
    queue,
    queue_consumer_lost,
    queue_limits,
    rebalance,
    replicas,
    removed_what_was_put,
    replicas_kept,
    replicate,
    replicate_to_many,
    restart,
    retire,
    retire_faults,
    retire_which,
    queued,
    queued_with_dependency,
    queued_without_worker,
    rejoin,
    reschedule,
    release,
    released_data,
    restrictions,
    resubmission,
    retries,
    retry,
    saturation_inf,
    scatter,
    scattered_data_lost,
    scattering_client_lost,
    semaphore,
    shared_keys,
    shutdown,
    shutdown_from_outside,
    small_results,
    stale_copies,
    stale_runs,
    steal,
    steal_data,
    steal_faults,
    steal_lag,
    steal_off,
    steal_seceded,
    story,
    stream,
    submit_to_result,
    subscribe,
    suspects,
    suspects_beside,
    time_to_live,
    topics,
    topics_of_output,
    unreachable,
    variable,
    wait_for_workers,
    watchdog,
    watchdog_off,
    watchdog_others,
    worker_lost,
    workers_named,
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/state")
}

fn check(name: &str) {
    let path = folder().join(format!("{name}.txt"));
    let expected = std::fs::read_to_string(&path).expect("the script");
    let actual = script::run(&expected).text;
    if actual != expected && std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &actual).expect("the script can be written");
        return;
    }
    assert!(
        actual == expected,
        "{name}: the state answered otherwise; UPDATE_EXPECT=1 takes this over:\n{actual}"
    );
}

#[test]
fn every_edge_of_the_table_is_taken_by_a_script() {
    let mut taken = std::collections::BTreeSet::new();
    for name in SCRIPTS {
        let path = folder().join(format!("{name}.txt"));
        let text = std::fs::read_to_string(path).expect("the script");
        taken.extend(script::run(&text).edges);
    }
    let mut missing = table();
    assert!(missing.len() > 20, "the table was not recognised");
    missing.retain(|edge| !taken.contains(edge));
    assert!(missing.is_empty(), "no script goes along {missing:?}");
}

/// The edges in the lines `(StateName::Waiting, Goal::Queued) => ...` of the table.
fn table() -> Vec<(String, String)> {
    let name = |word: &str| match word {
        "NoWorker" => "no-worker".to_owned(),
        word => word.to_lowercase(),
    };
    let edge = |line: &str| {
        let (from, rest) = line.trim().strip_prefix("(StateName::")?.split_once(", Goal::")?;
        let (to, _) = rest.split_once([')', '('])?;
        (from != to).then(|| (name(from), name(to)))
    };
    TABLE.lines().filter_map(edge).collect()
}
