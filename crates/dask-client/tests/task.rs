//! `#[task]`: functions of every shape, called by hand and as a worker calls them.

use std::collections::{BTreeMap, HashMap};

use dask_client::task;
use dask_proto::Payload;
use dask_task::{CallWriter, Failure, Inputs, TaskDef, TaskFn, Value, registry, take};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

#[derive(Debug, thiserror::Error)]
#[error("{0} is negative")]
struct Negative(i64);

/// Adds one.
#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn nothing() {}

#[task]
fn answer() -> i64 {
    42
}

#[task]
fn sum(xs: &[i64]) -> i64 {
    xs.iter().sum()
}

#[task]
#[allow(clippy::ptr_arg)]
fn longest(names: &Vec<String>, at_least: usize) -> Option<String> {
    let fitting = names.iter().filter(|name| name.len() >= at_least);
    fitting.max_by_key(|name| name.len()).cloned()
}

#[task]
fn sorted(mut xs: Vec<i64>) -> Vec<i64> {
    xs.sort_unstable();
    xs
}

#[task]
fn shout<'a>(text: &'a str, suffix: &'a str) -> String {
    format!("{}{suffix}", text.to_uppercase())
}

#[task]
fn shift(point: &Point, (dx, dy): (f64, f64), _: BTreeMap<String, i64>) -> Point {
    Point { x: point.x + dx, y: point.y + dy }
}

#[task]
fn parse(s: &str) -> Result<f64, std::num::ParseFloatError> {
    s.trim().parse()
}

#[task]
fn root(x: i64) -> dask_client_result::Result<i64> {
    if x < 0 { Err(Negative(x).into()) } else { Ok(x.isqrt()) }
}

#[task]
fn read(path: String) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

#[task]
fn complain(why: String) -> Result<(), &'static str> {
    if why.is_empty() { Ok(()) } else { Err("there is a reason") }
}

#[task]
fn factorial(n: u64) -> u64 {
    if n == 0 { 1 } else { n * factorial(n - 1) }
}

#[task]
fn fall(at: i64) -> i64 {
    panic!("fell at {at}")
}

#[task]
async fn fetch(url: &str, times: usize) -> String {
    tokio::task::yield_now().await;
    url.repeat(times)
}

#[task]
async fn countdown(n: u32) -> Result<u32, Negative> {
    if n == 0 { Ok(0) } else { countdown(n - 1).await }
}

#[task]
async fn both(a: &[i64], b: &Point) -> f64 {
    a.len() as f64 + b.x
}

#[allow(clippy::too_many_arguments)]
#[task]
fn twelve(
    a: i64,
    b: i64,
    c: i64,
    d: i64,
    e: i64,
    f: i64,
    g: i64,
    h: i64,
    i: i64,
    j: i64,
    k: i64,
    l: i64,
) -> i64 {
    a + b + c + d + e + f + g + h + i + j + k + l
}

/// Names that the macro's output must not come between the body and.
static __DEF: i64 = 7;

mod dask_client_result {
    pub(crate) type Result<T, E = Box<dyn std::error::Error + Send + Sync>> =
        std::result::Result<T, E>;
}

mod nested {
    use dask_client::task;

    #[task]
    pub(crate) fn inc(x: i64) -> i64 {
        super::inc(x) + super::__DEF
    }

    #[task(version = 2)]
    pub(crate) fn r#match(x: i64) -> i64 {
        x
    }
}

/// Runs a task on these arguments, written by `write`: live, and encoded as for another process.
fn run<T: Value + PartialEq + std::fmt::Debug>(
    def: &TaskDef,
    write: impl Fn(&mut CallWriter),
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _runtime = runtime.enter();
    let results = [CallWriter::live(), CallWriter::encoded()].map(|mut writer| {
        write(&mut writer);
        let body = writer.finish();
        def.run(&mut Inputs::new(&body, &[]).expect("well-formed"))
    });
    let [live, encoded] = results.map(|r| r.map(|p| take::<T>(p).expect("the right type")));
    let live = live?;
    assert_eq!(live, encoded?);
    Ok(live)
}

fn put<T: Value>(writer: &mut CallWriter, value: T) {
    writer.value(value).expect("it encodes");
}

fn definition<F: TaskFn>(task: F) -> &'static TaskDef {
    task.def()
}

#[test]
fn a_task_is_still_a_function() {
    assert_eq!(inc(10), 11);
    nothing();
    assert_eq!(sum(&[1, 2, 3]), 6);
    assert_eq!(shout("a", &String::from("b")), "Ab");
    let pointer: fn(i64) -> i64 = *inc;
    assert_eq!([1, 2].map(pointer), [2, 3]);
    assert_eq!([1, 2].map(*inc), [2, 3]);
    assert_eq!(nested::inc(1), 9);
    assert_eq!(parse(" 1.5 "), Ok(1.5));
}

#[tokio::test]
async fn an_async_task_can_be_awaited_by_hand() {
    assert_eq!(fetch("ab", 2).await, "abab");
    assert_eq!(countdown(3).await.expect("it counts"), 0);
    let point = Point { x: 0.5, y: 0.0 };
    assert_eq!(both(&[1, 2], &point).await, 2.5);
}

#[test]
fn a_worker_runs_tasks_without_parameters() {
    run::<()>(definition(nothing), |_| {}).expect("it works");
    assert_eq!(run::<i64>(definition(answer), |_| {}).expect("it works"), 42);
}

#[test]
fn a_worker_runs_tasks_that_own_and_that_borrow() {
    assert_eq!(run::<i64>(definition(inc), |w| put(w, 10_i64)).expect("it works"), 11);
    let list = |w: &mut CallWriter| put(w, vec![3_i64, 1, 2]);
    assert_eq!(run::<i64>(definition(sum), list).expect("it works"), 6);
    assert_eq!(run::<Vec<i64>>(definition(sorted), list).expect("it works"), [1, 2, 3]);
    let shouted = run::<String>(definition(shout), |w| {
        put(w, "hey".to_owned());
        put(w, "!".to_owned());
    });
    assert_eq!(shouted.expect("it works"), "HEY!");
    let moved = run::<Point>(definition(shift), |w| {
        put(w, Point { x: 1.0, y: 2.0 });
        put(w, (0.5_f64, -2.0_f64));
        put(w, BTreeMap::<String, i64>::new());
    });
    assert_eq!(moved.expect("it works"), Point { x: 1.5, y: 0.0 });
}

#[test]
fn a_list_of_single_values_fits_owned_and_borrowed_lists() {
    let list = |w: &mut CallWriter| {
        w.list(3);
        [3_i64, 1, 2].into_iter().for_each(|x| put(w, x));
    };
    assert_eq!(run::<i64>(definition(sum), list).expect("it works"), 6);
    assert_eq!(run::<Vec<i64>>(definition(sorted), list).expect("it works"), [1, 2, 3]);
    let name = run::<Option<String>>(definition(longest), |w| {
        w.list(2);
        put(w, "a".to_owned());
        put(w, "bcd".to_owned());
        put(w, 2_usize);
    });
    assert_eq!(name.expect("it works").as_deref(), Some("bcd"));
}

#[test]
fn a_worker_runs_async_recursive_and_long_tasks() {
    let fetched = run::<String>(definition(fetch), |w| {
        put(w, "ab".to_owned());
        put(w, 3_usize);
    });
    assert_eq!(fetched.expect("it works"), "ababab");
    assert_eq!(run::<u32>(definition(countdown), |w| put(w, 4_u32)).expect("it works"), 0);
    assert_eq!(run::<u64>(definition(factorial), |w| put(w, 10_u64)).expect("it works"), 3_628_800);
    let total = run::<i64>(definition(twelve), |w| (1..=12_i64).for_each(|x| put(w, x)));
    assert_eq!(total.expect("it works"), 78);
}

#[test]
fn a_task_that_returns_a_result_gives_its_value() {
    assert_eq!(run::<f64>(definition(parse), |w| put(w, "1.5".to_owned())).expect("it works"), 1.5);
    assert_eq!(run::<i64>(definition(root), |w| put(w, 49_i64)).expect("it works"), 7);
    run::<()>(definition(complain), |w| put(w, String::new())).expect("it works");
}

#[test]
fn a_task_that_returns_an_error_fails_with_it() {
    let text = |failure| match failure {
        Failure::Returned(error) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let write = |w: &mut CallWriter| put(w, "no number".to_owned());
    let error = run::<f64>(definition(parse), write).expect_err("it fails");
    assert_eq!(text(error), "invalid float literal");
    let error = run::<i64>(definition(root), |w| put(w, -1_i64)).expect_err("it fails");
    assert_eq!(text(error), "-1 is negative");
    let error = run::<()>(definition(complain), write).expect_err("it fails");
    assert_eq!(text(error), "there is a reason");
    assert!(run::<String>(definition(read), |w| put(w, "/no/such/file".to_owned())).is_err());
}

#[test]
fn a_panic_is_a_failure_that_names_its_place_in_the_users_code() {
    let failure = run::<i64>(definition(fall), |w| put(w, 3_i64)).expect_err("it panics");
    let Failure::Panicked(panic) = failure else { panic!("{failure:?}") };
    assert_eq!(panic.message, "fell at 3");
    assert!(panic.location.expect("a location").contains("task.rs:"));
}

#[test]
fn an_argument_that_is_missing_or_of_another_type_is_a_failure() {
    for write in [|_: &mut CallWriter| {}, |w: &mut CallWriter| put(w, "ten".to_owned())] {
        let failure = run::<i64>(definition(inc), write).expect_err("no i64");
        assert!(matches!(failure, Failure::Input(_)));
    }
}

#[test]
fn a_borrowed_argument_is_not_copied() {
    #[derive(Serialize, Deserialize)]
    struct Uncloneable;
    impl Clone for Uncloneable {
        fn clone(&self) -> Self {
            panic!("a task that borrows needs no copy")
        }
    }
    #[task]
    fn look(_: &Uncloneable, _: &[Uncloneable]) -> i64 {
        1
    }
    let mut writer = CallWriter::live();
    writer.dependency(0);
    writer.dependency(1);
    let body = writer.finish();
    let results = [dask_task::live(Uncloneable), dask_task::live(vec![Uncloneable])];
    let mut inputs = Inputs::new(&body, &results).expect("well-formed");
    let result = look.def().run(&mut inputs).expect("no copy is made");
    assert_eq!(take::<i64>(result), Ok(1));
}

#[test]
fn the_types_of_arguments_and_result_are_known() {
    fn types<F: TaskFn<Params = P, Output = O>, P, O>(_: F) {}
    types::<_, (), ()>(nothing);
    types::<_, (i64,), i64>(inc);
    types::<_, (Vec<i64>,), i64>(sum);
    types::<_, (Vec<String>, usize), Option<String>>(longest);
    types::<_, (String, String), String>(shout);
    types::<_, (Point, (f64, f64), BTreeMap<String, i64>), Point>(shift);
    types::<_, (String,), f64>(parse);
    types::<_, (i64,), i64>(root);
    types::<_, (String,), String>(read);
    types::<_, (u32,), u32>(countdown);
}

#[test]
fn functions_are_registered_under_their_paths_and_signatures() {
    let golden = [
        ("task::inc", "fn(i64) -> i64"),
        ("task::nothing", "fn()"),
        ("task::sum", "fn(&[i64]) -> i64"),
        ("task::longest", "fn(&Vec<String>, usize) -> Option<String>"),
        ("task::shout", "fn(&'a str, &'a str) -> String"),
        ("task::shift", "fn(&Point, (f64, f64), BTreeMap<String, i64>) -> Point"),
        ("task::parse", "fn(&str) -> Result<f64, std::num::ParseFloatError>"),
        ("task::fetch", "async fn(&str, usize) -> String"),
        ("task::nested::inc", "fn(i64) -> i64"),
        ("task::nested::match", "fn(i64) -> i64 v2"),
        ("task::by_macro", "fn(&[i64]) -> Vec<i64>"),
    ];
    registry::check().expect("registration works");
    for (path, signature) in golden {
        let def = registry::find(path, signature).expect("registered");
        assert_eq!((def.path, def.signature), (path, signature));
    }
    assert!(std::ptr::eq(nested::r#match.def(), {
        registry::find("task::nested::match", "fn(i64) -> i64 v2").expect("registered")
    }));
    assert_eq!(inc.def().name(), "inc");
}

macro_rules! tasks {
    ($($name:ident: $element:ty),*) => {
        $(
            #[task]
            fn $name(xs: &[$element]) -> Vec<$element> {
                xs.to_vec()
            }
        )*
    };
}

tasks!(by_macro: i64);

#[test]
fn a_task_may_come_from_a_macro_or_stand_in_a_function() {
    #[task]
    fn by_macro_twice(by: &HashMap<i64, i64>, x: i64) -> i64 {
        use std::ops::Mul;
        by.get(&x).map_or(x, |factor| x.mul(factor))
    }
    assert_eq!(by_macro_twice(&HashMap::from([(2, 3)]), 2), 6);
    assert_eq!(by_macro(&[1]), [1]);
    let written = |w: &mut CallWriter| put(w, vec![5_i64]);
    assert_eq!(run::<Vec<i64>>(definition(by_macro), written).expect("it works"), [5]);
}

mod attributes {
    use dask_client::task;

    #[task]
    #[cfg(any())]
    fn absent(x: NoSuchType) {}

    /// Kept for old programs.
    #[task]
    #[deprecated]
    #[inline]
    #[must_use]
    pub(crate) fn old(#[allow(unused_mut)] mut x: i64) -> i64 {
        #![allow(unused_variables)]
        0
    }
}

#[test]
fn attributes_of_the_function_are_kept() {
    #[expect(deprecated)]
    let old = attributes::old;
    assert_eq!(old(1), 0);
    let error = registry::find("task::attributes::absent", "fn(NoSuchType)");
    assert!(matches!(error, Err(registry::RegistryError::Unknown { .. })));
}

mod renamed {
    pub(crate) mod dask {
        pub(crate) use dask_client::__private;
    }

    #[dask_client::task(version = 3, crate = "self::dask")]
    pub(crate) fn renamed(x: i64) -> i64 {
        x
    }
}

#[test]
fn the_crate_may_go_by_another_name() {
    assert_eq!(renamed::renamed.def().signature, "fn(i64) -> i64 v3");
    let payload: Result<Payload, Failure> = {
        let mut writer = CallWriter::live();
        put(&mut writer, 1_i64);
        let body = writer.finish();
        renamed::renamed.def().run(&mut Inputs::new(&body, &[]).expect("well-formed"))
    };
    assert_eq!(take::<i64>(payload.expect("it works")), Ok(1));
}
