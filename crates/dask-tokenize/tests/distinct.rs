//! What makes two tokens equal and what makes them differ.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use dask_tokenize::{Token, Tokenizer, tokenize};
use serde::Serialize;

fn token<T: Serialize + ?Sized>(value: &T) -> Token {
    tokenize(value).expect("the value can be tokenized")
}

fn call(feed: impl FnOnce(&mut Tokenizer)) -> Token {
    let mut tokenizer = Tokenizer::new();
    feed(&mut tokenizer);
    tokenizer.finish()
}

/// Puts the entries of a map into an order of its own.
#[derive(Default)]
struct Backwards(u64);

impl Hasher for Backwards {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.wrapping_mul(0x9e37_79b9).wrapping_sub(u64::from(byte));
        }
    }

    fn finish(&self) -> u64 {
        !self.0.rotate_left(29)
    }
}

fn collected<S: BuildHasher + Default>(
    keys: impl Iterator<Item = u64>,
) -> HashMap<String, Vec<u64>, S> {
    keys.map(|key| (format!("{:x}", key * 7919), vec![key; (key % 3) as usize])).collect()
}

#[test]
fn the_order_of_a_map_does_not_matter() {
    for len in [0, 1, 2, 3, 10, 1000] {
        let sorted: BTreeMap<_, _> = collected::<RandomState>(0..len).into_iter().collect();
        let expected = token(&sorted);
        assert_eq!(token(&collected::<RandomState>(0..len)), expected);
        assert_eq!(token(&collected::<RandomState>((0..len).rev())), expected);
        let backwards = collected::<BuildHasherDefault<Backwards>>(0..len);
        assert_eq!(token(&backwards), expected);
        let within = |len| HashMap::<_, _>::from_iter([(1, collected::<RandomState>(0..len))]);
        assert_eq!(token(&within(len)), token(&within(len)));
        assert_ne!(token(&within(len)), token(&within(len + 1)));
    }
}

#[test]
fn keys_and_values_of_a_map_matter() {
    let map = |entries: &[(i32, i32)]| token(&entries.iter().copied().collect::<HashMap<_, _>>());
    assert_ne!(map(&[(1, 2), (3, 4)]), map(&[(1, 4), (3, 2)]));
    assert_ne!(map(&[(1, 2)]), map(&[(2, 1)]));
    assert_ne!(map(&[]), map(&[(0, 0)]));
    assert_ne!(map(&[(1, 2)]), token(&vec![(1, 2)]));
}

#[test]
fn maps_in_keys_and_in_values_are_sorted_too() {
    let inner = |first: u8, second: u8| BTreeMap::from([(first, second), (second, first)]);
    let outer = |a: BTreeMap<u8, u8>, b: BTreeMap<u8, u8>| {
        token(&HashMap::from([(a.clone(), vec![b.clone(), a.clone()]), (b.clone(), vec![a, b])]))
    };
    assert_eq!(outer(inner(1, 2), inner(3, 4)), outer(inner(2, 1), inner(4, 3)));
    assert_ne!(outer(inner(1, 2), inner(3, 4)), outer(inner(1, 2), inner(3, 5)));
}

#[test]
fn the_type_of_a_number_matters() {
    let mut tokens = vec![
        token(&1_i8),
        token(&1_i16),
        token(&1_i32),
        token(&1_i64),
        token(&1_i128),
        token(&1_u8),
        token(&1_u16),
        token(&1_u32),
        token(&1_u64),
        token(&1_u128),
        token(&1_f32),
        token(&1_f64),
        token("1"),
        token(&'1'),
        token(&true),
        token(&Some(1_i64)),
        token(&(1_i64,)),
        token(&[1_i64, 1]),
        token(&vec![1_i64]),
    ];
    let count = tokens.len();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), count);
    assert_eq!(token(&1_usize), token(&1_u64));
    assert_eq!(token(&-1_isize), token(&-1_i64));
}

#[test]
fn zeros_are_equal_and_so_are_nans() {
    assert_eq!(token(&-0.0_f64), token(&0.0_f64));
    assert_eq!(token(&-0.0_f32), token(&0.0_f32));
    assert_eq!(token(&f64::NAN), token(&f64::from_bits(0xfff0_0000_0000_0001)));
    assert_eq!(token(&f32::NAN), token(&f32::from_bits(0xff80_0001)));
    assert_ne!(token(&f64::NAN), token(&f64::INFINITY));
    assert_ne!(token(&f64::INFINITY), token(&f64::NEG_INFINITY));
    assert_ne!(token(&f64::MIN_POSITIVE), token(&0.0_f64));
}

#[test]
fn the_borders_between_items_matter() {
    assert_ne!(token(&("a", "bc")), token(&("ab", "c")));
    assert_ne!(token(&Vec::<Vec<u8>>::new()), token(&vec![Vec::<u8>::new()]));
    assert_ne!(token(&vec![vec![1], vec![2]]), token(&vec![vec![1, 2], vec![]]));
    assert_ne!(token(&((1, 2), 3)), token(&(1, (2, 3))));
    assert_ne!(token(&None::<()>), token(&Some(())));
    assert_ne!(token(&None::<Option<()>>), token(&Some(None::<()>)));
    assert_ne!(token(&()), token(""));
}

#[test]
fn borrowing_and_boxing_do_not_matter() {
    let expected = token(&vec![1_i64, 2, 3]);
    assert_eq!(token([1_i64, 2, 3].as_slice()), expected);
    assert_eq!(token(&Box::new(vec![1_i64, 2, 3])), expected);
    assert_eq!(token(&Rc::new(vec![1_i64, 2, 3])), expected);
    assert_eq!(token(&Arc::<[i64]>::from([1, 2, 3])), expected);
    assert_eq!(token(&"text".to_owned()), token("text"));
}

#[derive(Serialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Serialize)]
#[serde(rename = "Point")]
struct Swapped {
    y: i32,
    x: i32,
}

#[derive(Serialize)]
#[serde(rename = "Point")]
struct Wide {
    x: i64,
    y: i64,
}

#[derive(Serialize)]
#[serde(rename = "Point")]
struct Same {
    x: i32,
    y: i32,
}

#[derive(Serialize)]
struct Size {
    x: i32,
    y: i32,
}

#[derive(Serialize)]
enum Answer {
    Yes,
    No(i32),
}

#[derive(Serialize)]
#[serde(rename = "Answer")]
enum Reordered {
    No(i32),
    Yes,
}

#[derive(Serialize)]
enum Other {
    Yes,
    No(i32),
}

#[test]
fn names_types_and_order_of_fields_matter() {
    let point = token(&Point { x: 1, y: 1 });
    assert_eq!(token(&Same { x: 1, y: 1 }), point);
    assert_ne!(token(&Swapped { x: 1, y: 1 }), point);
    assert_ne!(token(&Wide { x: 1, y: 1 }), point);
    assert_ne!(token(&Size { x: 1, y: 1 }), point);
    assert_ne!(token(&(1, 1)), point);
}

#[test]
fn names_of_variants_matter_and_their_position_does_not() {
    let (yes, no) = (token(&Answer::Yes), token(&Answer::No(1)));
    assert_ne!(yes, no);
    assert_eq!(token(&Reordered::Yes), yes);
    assert_eq!(token(&Reordered::No(1)), no);
    assert_ne!(token(&Other::Yes), yes);
    assert_ne!(token(&Other::No(1)), no);
}

#[test]
fn the_pieces_of_a_call_do_not_mix() {
    let text = call(|t| t.str("inc-1"));
    assert_eq!(call(|t| t.value("inc-1").unwrap()), text);
    assert_eq!(token("inc-1"), text);
    assert_ne!(call(|t| t.key("inc-1")), text);
    assert_ne!(call(|t| t.function("a", "bc")), call(|t| t.function("ab", "c")));
    let id = Token::from_bytes([1; 16]);
    assert_ne!(call(|t| t.token(id)), call(|t| t.value(&id).unwrap()));
}

#[test]
fn a_list_differs_from_its_items() {
    let items = |t: &mut Tokenizer| ["a", "b"].map(|key| t.key(key));
    let flat = call(|t| {
        items(t);
    });
    let list = call(|t| {
        t.begin_list(2);
        items(t);
    });
    let split = call(|t| {
        t.begin_list(1);
        items(t);
    });
    assert_ne!(flat, list);
    assert_ne!(flat, split);
    assert_ne!(list, split);
}

#[test]
fn a_clone_continues_from_what_was_fed() {
    for path_length in [1, 40, 63, 64, 500, 511, 512, 513, 5000] {
        let path = "p".repeat(path_length);
        let mut function = Tokenizer::new();
        function.function(&path, "fn(i64) -> i64");
        let mut restarted = function.clone();
        for argument in [1_i64, 2] {
            let mut one = function.clone();
            one.value(&argument).unwrap();
            restarted.value(&argument).unwrap();
            assert_eq!(restarted.restart(&function), one.clone().finish());
            let whole = call(|t| {
                t.function(&path, "fn(i64) -> i64");
                t.value(&argument).unwrap();
            });
            assert_eq!(one.finish(), whole);
        }
    }
}
