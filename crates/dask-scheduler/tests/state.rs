//! Scripts for the state of the scheduler: events in, expected instructions and states out.
//!
//! Every file in `tests/state` is one script. A line `> event` is an event; the lines below it, up
//! to the next one, are what the state answered, and every task with its state where that changed.
//! A line starting with `#` is a comment. The invariants are checked after every event.
//! `UPDATE_EXPECT=1` writes the answers anew. The language of events is in `script/mod.rs`.

mod script;

use std::path::Path;

/// One test per script, so that a failure names it.
macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

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
    cancel,
    copies,
    duplicate_dependencies,
    dying,
    error_in_released_dependency,
    errors,
    fire_and_forget,
    invalid_graph,
    joining,
    key_collision,
    killed_worker,
    missing_dependencies,
    no_function,
    no_worker,
    placement,
    protocol_errors,
    questions,
    queued,
    queued_with_dependency,
    queued_without_worker,
    release,
    restrictions,
    resubmission,
    retries,
    retry,
    saturation_inf,
    scatter,
    scattered_data_lost,
    scattering_client_lost,
    shared_keys,
    shutdown,
    shutdown_from_outside,
    stale_runs,
    story,
    submit_to_result,
    subscribe,
    time_to_live,
    wait_for_workers,
    worker_lost,
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/state")
}

fn check(name: &str) {
    let path = folder().join(format!("{name}.txt"));
    let expected = std::fs::read_to_string(&path).expect("the script");
    let actual = script::run(&expected);
    if actual != expected && std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &actual).expect("the script can be written");
        return;
    }
    assert!(
        actual == expected,
        "{name}: the state answered otherwise; UPDATE_EXPECT=1 takes this over:\n{actual}"
    );
}
