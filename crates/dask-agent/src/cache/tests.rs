#![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

use std::io::Write;
use std::time::Duration;

use super::*;

const LIMIT: u64 = 100;

fn program(directory: &Path, text: &str) -> (Executable, String) {
    let path = directory.join("source");
    fs::write(&path, text).unwrap();
    let (id, bytes) = identify(&path).unwrap();
    let executable = Executable { id, bytes, name: "app".to_owned(), target: String::new() };
    (executable, text.to_owned())
}

fn put(cache: &Cache, (program, text): &(Executable, String)) -> PathBuf {
    let (partial, mut file) = cache.start(program).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    drop(file);
    cache.keep(partial, program.id).unwrap();
    cache.path(program.id)
}

/// Makes it look as if it had not been used for so long.
fn age(path: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    File::open(path).unwrap().set_modified(then).unwrap();
}

fn place() -> (tempfile::TempDir, Cache) {
    let place = tempfile::tempdir().unwrap();
    let cache = Cache::open(place.path().join("cache"), LIMIT).unwrap();
    (place, cache)
}

#[test]
fn what_was_put_is_found_by_the_next_agent_and_can_be_started() {
    use std::os::unix::fs::PermissionsExt;
    let (place, cache) = place();
    let app = program(place.path(), "app");
    let path = put(&cache, &app);
    let next = Cache::open(place.path().join("cache"), LIMIT).unwrap();
    assert_eq!(next.programs(), [app.0.id]);
    assert_eq!(next.find(app.0.id).unwrap(), path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_to_string(path).unwrap(), "app");
}

#[test]
fn what_was_changed_is_not_used() {
    let (place, cache) = place();
    let app = program(place.path(), "app");
    fs::write(put(&cache, &app), "virus").unwrap();
    let next = Cache::open(place.path().join("cache"), LIMIT).unwrap();
    assert!(matches!(next.find(app.0.id), Err(CacheError::Damaged { .. })));
    assert!(matches!(next.find(app.0.id), Err(CacheError::Missing { .. })));
}

#[test]
fn the_least_recently_used_go_first_and_those_in_use_stay() {
    let (place, cache) = place();
    let text = |letter: &str| letter.repeat(40);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|letter| program(place.path(), &text(letter)));
    age(&put(&cache, &a), 30);
    age(&put(&cache, &b), 20);
    let pin = cache.pin(a.0.id);
    age(&put(&cache, &c), 10);
    assert_eq!(BTreeSet::from_iter(cache.programs()), BTreeSet::from([a.0.id, c.0.id]));
    drop(pin);
    cache.find(a.0.id).unwrap();
    put(&cache, &d);
    assert_eq!(BTreeSet::from_iter(cache.programs()), BTreeSet::from([a.0.id, d.0.id]));
    let huge = program(place.path(), &"x".repeat(101));
    assert!(matches!(cache.start(&huge.0), Err(CacheError::TooLarge { bytes: 101, limit: 100 })));
    assert_eq!(cache.programs().len(), 2);
}

#[test]
fn what_was_broken_off_leaves_nothing() {
    let (place, cache) = place();
    let app = program(place.path(), "app");
    let (partial, file) = cache.start(&app.0).unwrap();
    assert_eq!(cache.programs(), []);
    // It is being written, so nobody removes it.
    Cache::open(place.path().join("cache"), LIMIT).unwrap();
    assert!(partial.path.exists());
    drop((partial, file));
    // Whoever wrote this, on whatever host, has gone.
    let of_a_dead_process = cache.directory().join(format!("{}.1-0.3.partial", app.0.id));
    fs::write(&of_a_dead_process, "ap").unwrap();
    Cache::open(place.path().join("cache"), LIMIT).unwrap();
    assert_eq!(partials(&cache), 0);
}

fn partials(cache: &Cache) -> usize {
    let entries = fs::read_dir(cache.directory()).unwrap().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|end| end == PARTIAL)).count()
}

#[test]
fn what_dead_agents_began_takes_no_room_from_those_that_live() {
    let (place, cache) = place();
    let [app, next] = ["a", "b"].map(|letter| program(place.path(), &letter.repeat(40)));
    put(&cache, &app);
    let of_a_dead_process = cache.directory().join(format!("{}.1-0.90.partial", next.0.id));
    fs::write(of_a_dead_process, "b").unwrap();
    put(&cache, &next);
    assert_eq!(BTreeSet::from_iter(cache.programs()), BTreeSet::from([app.0.id, next.0.id]));
    assert_eq!(partials(&cache), 0);
}

/// Between the moment when a file is made and that when it is locked it looks like one that
/// somebody left.
#[test]
fn an_agent_that_starts_waits_for_those_that_change_the_directory() {
    let (place, cache) = place();
    let app = program(place.path(), "app");
    let changing = cache.lock_directory().unwrap();
    let unlocked = cache.directory().join(format!("{}.1-0.3.partial", app.0.id));
    fs::write(&unlocked, "").unwrap();
    let directory = cache.directory().to_owned();
    let opening = std::thread::spawn(move || drop(Cache::open(directory, LIMIT)));
    let opens_the_lock = || {
        let files = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let lock = cache.directory().join(LOCK);
        files.filter(|file| fs::read_link(file.path()).is_ok_and(|path| path == lock)).count() > 1
    };
    let begun = std::time::Instant::now();
    while !opens_the_lock() {
        assert!(begun.elapsed() < Duration::from_secs(60) && !opening.is_finished());
        std::thread::yield_now();
    }
    let file = File::options().write(true).open(&unlocked).unwrap();
    file.lock().unwrap();
    drop(changing);
    opening.join().unwrap();
    assert!(unlocked.exists());
}

#[test]
fn agents_that_share_a_directory_leave_each_other_what_they_write_and_use() {
    let (place, one) = place();
    let two = Cache::open(place.path().join("cache"), LIMIT).unwrap();
    let text = |letter: &str| letter.repeat(40);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|letter| program(place.path(), &text(letter)));
    age(&put(&one, &a), 30);
    age(&put(&one, &b), 20);
    let used = one.acquire(a.0.id).unwrap();
    assert!(used.is_some());
    // The other takes the place of what is not used, although it is younger.
    let (partial, _file) = two.start(&c.0).unwrap();
    assert_eq!(one.programs(), [a.0.id]);
    drop(used);
    // What is on its way counts: there is room for one more, and not for two.
    put(&one, &d);
    assert_eq!(two.programs(), [d.0.id]);
    assert!(partial.path.exists());
}

#[test]
fn what_is_installed_and_changes_is_not_used() {
    let (place, mut cache) = place();
    let path = place.path().join("installed");
    fs::write(&path, "installed").unwrap();
    let id = cache.install(path.clone()).unwrap();
    // Written anew, and the same.
    fs::write(&path, "installed").unwrap();
    assert_eq!(cache.find(id).unwrap(), path);
    fs::write(&path, "different").unwrap();
    assert!(matches!(cache.find(id), Err(CacheError::Replaced { .. })));
    fs::write(&path, "installed").unwrap();
    assert_eq!(cache.find(id).unwrap(), path);
    fs::remove_file(&path).unwrap();
    assert!(matches!(cache.find(id), Err(CacheError::Installed { .. })));
}

#[test]
fn what_is_installed_is_used_where_it_is() {
    let (place, mut cache) = place();
    let path = place.path().join("installed");
    fs::write(&path, "installed").unwrap();
    let id = cache.install(path.clone()).unwrap();
    assert_eq!(cache.programs(), [id]);
    assert_eq!(cache.find(id).unwrap(), path);
    assert!(cache.install(place.path().join("absent")).is_err());
}

/// Its first worker is still to be started.
#[test]
fn what_has_just_come_is_not_taken_by_another_agent() {
    let (place, one) = place();
    let two = Cache::open(place.path().join("cache"), LIMIT).unwrap();
    let [app, next] = ["a", "b"].map(|letter| program(place.path(), &letter.repeat(80)));
    let (partial, mut file) = one.start(&app.0).unwrap();
    file.write_all(app.1.as_bytes()).unwrap();
    drop(file);
    let kept = one.keep(partial, app.0.id).unwrap();
    let _more_than_there_is_room_for = two.start(&next.0).unwrap();
    assert_eq!(two.programs(), [app.0.id]);
    drop(kept);
    drop(two.start(&next.0).unwrap());
    assert_eq!(two.programs(), []);
}

#[test]
fn what_runs_is_in_use_whoever_started_it() {
    let place = tempfile::tempdir().unwrap();
    let (id, bytes) = identify(Path::new("/bin/cat")).unwrap();
    let cache = Cache::open(place.path().join("cache"), bytes).unwrap();
    let path = cache.path(id);
    fs::copy("/bin/cat", &path).unwrap();
    let mut command = std::process::Command::new(&path);
    command.stdin(std::process::Stdio::piped());
    let begun = std::time::Instant::now();
    let mut running = loop {
        match command.spawn() {
            Ok(running) => break running,
            // Another test's child may have it open for writing until it is another program.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                assert!(begun.elapsed() < Duration::from_secs(60));
            }
            Err(error) => panic!("{error}"),
        }
    };
    let (next, _) = program(place.path(), "next");
    drop(cache.start(&next).unwrap());
    assert_eq!(cache.programs(), [id]);
    drop(running.stdin.take());
    running.wait().unwrap();
    drop(cache.start(&next).unwrap());
    assert_eq!(cache.programs(), []);
}
