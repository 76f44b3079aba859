//! The tokens of a table of values never change: other processes, machines and releases rely on it.
//!
//! `UPDATE_GOLDEN=1 cargo test -p dask-tokenize --test golden` rewrites the table.

use std::collections::{BTreeMap, BTreeSet, HashMap, LinkedList, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use dask_tokenize::{Token, Tokenizer, key_name, tokenize};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Metres(f64);

#[derive(Serialize)]
struct Pair(u8, &'static str);

#[derive(Serialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Serialize)]
struct Flight {
    carrier: String,
    delay: Option<f64>,
    route: Vec<Point>,
    seats: BTreeMap<char, u16>,
}

#[derive(Serialize)]
enum Shape {
    Empty,
    Circle(f32),
    Line(i8, i8),
    Label { text: &'static str, at: Point },
}

struct Bytes(&'static [u8]);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// A sequence that does not know its length beforehand.
struct Stream(u32);

impl Serialize for Stream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.0).filter(|_| true))
    }
}

fn flight() -> Flight {
    Flight {
        carrier: "F9".to_owned(),
        delay: Some(21.920704845814978),
        route: vec![Point { x: 0, y: 1 }, Point { x: -2, y: 3 }],
        seats: BTreeMap::from([('b', 200), ('a', 20)]),
    }
}

#[derive(Default)]
struct Table(Vec<(&'static str, Token)>);

impl Table {
    fn value<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        self.0.push((name, tokenize(value).expect("every value of the table has a token")));
    }

    fn call(&mut self, name: &'static str, feed: impl FnOnce(&mut Tokenizer)) {
        let mut tokenizer = Tokenizer::new();
        feed(&mut tokenizer);
        self.0.push((name, tokenizer.finish()));
    }
}

fn numbers(table: &mut Table) {
    table.value("i8_min", &i8::MIN);
    table.value("i16_minus_one", &-1_i16);
    table.value("i32_zero", &0_i32);
    table.value("i32_one", &1_i32);
    table.value("i64_ten", &10_i64);
    table.value("i64_min", &i64::MIN);
    table.value("i128_min", &i128::MIN);
    table.value("isize_minus_seven", &-7_isize);
    table.value("u8_max", &u8::MAX);
    table.value("u16_max", &u16::MAX);
    table.value("u32_max", &u32::MAX);
    table.value("u64_max", &u64::MAX);
    table.value("u128_max", &u128::MAX);
    table.value("usize_seven", &7_usize);
    table.value("f32_half", &0.5_f32);
    table.value("f32_negative_zero", &-0.0_f32);
    table.value("f32_nan", &f32::NAN);
    table.value("f64_tenth", &0.1_f64);
    table.value("f64_zero", &0.0_f64);
    table.value("f64_negative_zero", &-0.0_f64);
    table.value("f64_nan", &f64::NAN);
    table.value("f64_other_nan", &f64::from_bits(0xfff0_0000_0000_0001));
    table.value("f64_infinity", &f64::INFINITY);
    table.value("f64_negative_infinity", &f64::NEG_INFINITY);
    table.value("f64_smallest_subnormal", &f64::from_bits(1));
}

fn texts(table: &mut Table) {
    table.value("unit", &());
    table.value("bool_false", &false);
    table.value("bool_true", &true);
    table.value("char_a", &'a');
    table.value("char_crab", &'🦀');
    table.value("str_empty", "");
    table.value("str_ascii", "hello");
    table.value("str_unicode", "größer als ∞ 🦀");
    table.value("str_long", &"0123456789".repeat(1000));
    table.value("bytes_empty", &Bytes(b""));
    table.value("bytes", &Bytes(b"\x00\xffhello"));
}

fn structs(table: &mut Table) {
    table.value("option_none", &None::<i64>);
    table.value("option_some", &Some(1_i64));
    table.value("option_some_none", &Some(None::<i64>));
    table.value("unit_struct", &Unit);
    table.value("newtype_struct", &Metres(1.5));
    table.value("tuple_struct", &Pair(1, "one"));
    table.value("struct", &Point { x: 1, y: -1 });
    table.value("struct_nested", &flight());
    table.value("variant_unit", &Shape::Empty);
    table.value("variant_newtype", &Shape::Circle(1.0));
    table.value("variant_tuple", &Shape::Line(-1, 1));
    table.value("variant_struct", &Shape::Label { text: "here", at: Point { x: 0, y: 0 } });
    table.value("result_ok", &Ok::<i64, String>(1));
    table.value("result_err", &Err::<i64, String>("no".to_owned()));
    table.value("duration", &Duration::from_millis(1500));
    table.value("ip_address", &IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)));
    table.value("token", &Token::from_bytes([7; 16]));
}

fn collections(table: &mut Table) {
    table.value("tuple", &(1_i64, "two", 3.0_f64));
    table.value("array", &[1_u8, 2, 3]);
    table.value("array_empty", &[0_u8; 0]);
    table.value("vec_empty", &Vec::<i64>::new());
    table.value("vec_i64", &vec![1_i64, 2, 3]);
    table.value("vec_f64_long", &(0..10_000).map(f64::from).collect::<Vec<_>>());
    table.value("vec_of_vecs", &vec![vec![1_i32], vec![], vec![2, 3]]);
    table.value("vec_of_flights", &[flight(), flight()].as_slice());
    table.value("deque", &VecDeque::from([1_i64, 2, 3]));
    table.value("linked_list", &LinkedList::from([1_i64, 2, 3]));
    table.value("stream_of_unknown_length", &Stream(3));
    table.value("set", &BTreeSet::from(["b", "a", "c"]));
    table.value("map_empty", &BTreeMap::<String, i64>::new());
    table.value("map_btree", &BTreeMap::from([("one", 1_i64), ("two", 2), ("three", 3)]));
    table.value("map_hash", &HashMap::from([("three", 3_i64), ("one", 1), ("two", 2)]));
    let inner = |n: u64| HashMap::from([(n, Some("x")), (n + 256, None)]);
    table.value("map_of_maps", &HashMap::from([((1_i8, 'a'), inner(1)), ((-1, 'b'), inner(2))]));
    table.value("map_large", &(0..1000_u32).map(|i| (i, i * i)).collect::<HashMap<_, _>>());
}

fn calls(table: &mut Table) {
    table.call("call_nothing", |_| {});
    table.call("call_inc_of_value", |t| {
        t.function("session::inc", "fn(i64) -> i64");
        t.value(&10_i64).expect("a number has a token");
    });
    table.call("call_inc_of_future", |t| {
        t.function("session::inc", "fn(i64) -> i64");
        t.key("inc-e4853cff00112233445566778899aabb");
    });
    table.call("call_sum_of_list", |t| {
        t.function("session::sum", "fn(&[i64]) -> i64");
        t.begin_list(3);
        t.key("a");
        t.value(&1_i64).expect("a number has a token");
        t.begin_list(0);
    });
    table.call("call_with_token", |t| {
        t.str("version 2");
        t.token(Token::from_bytes([1; 16]));
    });
}

fn table() -> Table {
    let mut table = Table::default();
    numbers(&mut table);
    texts(&mut table);
    structs(&mut table);
    collections(&mut table);
    calls(&mut table);
    table
}

#[test]
fn tokens_are_those_of_the_golden_table() {
    let lines = table().0.into_iter().map(|(name, token)| format!("{name} {token}\n"));
    let found: String = lines.collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokens.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|update| update == "1") {
        std::fs::write(&path, &found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (found, golden) in found.lines().zip(golden.lines()) {
        assert_eq!(found, golden, "a token has changed");
    }
    assert_eq!(found, golden, "lines were added or removed");
    assert!(golden.lines().count() >= 45);
}

#[test]
fn the_golden_table_names_each_value_once() {
    let names: Vec<_> = table().0.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

/// What the crate's documentation says must be hashed, hashed without the crate.
fn by_hand(parts: &[&[u8]]) -> Token {
    let mut bytes = vec![0x01];
    bytes.extend(parts.concat());
    let digest = Sha256::digest(&bytes);
    Token::from_bytes(digest[..16].try_into().expect("sixteen of 32 bytes"))
}

fn length(n: u64) -> [u8; 8] {
    n.to_le_bytes()
}

fn text(text: &str) -> Vec<u8> {
    [&length(text.len() as u64), text.as_bytes()].concat()
}

fn end(count: u64) -> Vec<u8> {
    [&[0x71][..], &length(count)].concat()
}

#[test]
fn numbers_are_hashed_as_documented() {
    let ten = [0x13, 10, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(tokenize(&10_i64), Ok(by_hand(&[&ten])));
    assert_eq!(tokenize(&-2_i16), Ok(by_hand(&[&[0x11, 0xfe, 0xff]])));
    assert_eq!(tokenize(&7_usize), Ok(by_hand(&[&[0x1b, 7, 0, 0, 0, 0, 0, 0, 0]])));
    assert_eq!(tokenize(&1.0_f32), Ok(by_hand(&[&[0x20, 0, 0, 0x80, 0x3f]])));
    assert_eq!(tokenize(&-0.0_f64), Ok(by_hand(&[&[0x21], &[0; 8]])));
    let nan = f64::from_bits(0xfff0_0000_0000_0001);
    assert_eq!(tokenize(&nan), Ok(by_hand(&[&[0x21, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f]])));
    assert_eq!(tokenize(&'🦀'), Ok(by_hand(&[&[0x03, 0x80, 0xf9, 0x01, 0x00]])));
}

#[test]
fn structs_and_variants_are_hashed_as_documented() {
    let one = [0x12, 1, 0, 0, 0];
    let minus_one = [0x12, 0xff, 0xff, 0xff, 0xff];
    let point =
        [&[0x53], &text("Point")[..], &[0x70], &text("x"), &one, &[0x70], &text("y"), &minus_one];
    let point = [&point.concat()[..], &end(2)].concat();
    assert_eq!(tokenize(&Point { x: 1, y: -1 }), Ok(by_hand(&[&point])));
    assert_eq!(tokenize(&Some(Unit)), Ok(by_hand(&[&[0x31, 0x50], &text("Unit")])));
    let line = [&[0x62], &text("Shape")[..], &text("Line"), &[0x10, 0xff, 0x10, 1], &end(2)];
    assert_eq!(tokenize(&Shape::Line(-1, 1)), Ok(by_hand(&line)));
}

#[test]
fn collections_are_hashed_as_documented() {
    let items = [0x18, 1, 0x18, 2, 0x18, 3];
    assert_eq!(tokenize(&[1_u8, 2, 3]), Ok(by_hand(&[&[0x41], &items, &end(3)])));
    assert_eq!(tokenize(&vec![1_u8, 2, 3]), Ok(by_hand(&[&[0x40], &items, &end(3)])));
    let long: Vec<u8> = (0..5000_u32).flat_map(|i| [0x18, i as u8]).collect();
    let values: Vec<u8> = (0..5000_u32).map(|i| i as u8).collect();
    assert_eq!(tokenize(&values), Ok(by_hand(&[&[0x40], &long, &end(5000)])));
    let stream = [0x1a, 0, 0, 0, 0, 0x1a, 1, 0, 0, 0];
    assert_eq!(tokenize(&Stream(2)), Ok(by_hand(&[&[0x40], &stream, &end(2)])));
}

#[test]
fn maps_are_hashed_in_the_order_of_their_encoded_keys() {
    // The keys are little-endian, so that 256 comes before 1.
    let map = BTreeMap::from([(1_u16, true), (256, false)]);
    let entries = [0x19, 0, 1, 0x02, 0, 0x19, 1, 0, 0x02, 1];
    let encoded = [&[0x42], &entries[..], &end(2)].concat();
    assert_eq!(tokenize(&map), Ok(by_hand(&[&encoded])));
    let outer = HashMap::from([("k", map)]);
    let key = [&[0x04], &text("k")[..]].concat();
    assert_eq!(tokenize(&outer), Ok(by_hand(&[&[0x42], &key, &encoded, &end(1)])));
}

#[test]
fn calls_are_hashed_as_documented() {
    let mut call = Tokenizer::new();
    call.function("session::sum", "fn(&[i64]) -> i64");
    call.begin_list(2);
    call.key("a");
    call.str("b");
    let function = [&[0x80], &text("session::sum")[..], &text("fn(&[i64]) -> i64")].concat();
    let list = [&[0x82], &length(2)[..], &[0x81], &text("a"), &[0x04], &text("b")].concat();
    let token = call.finish();
    assert_eq!(token, by_hand(&[&function, &list]));
    assert_eq!(key_name("sum", token), format!("sum-{token}"));
}

#[test]
fn a_token_within_a_token_is_hashed_as_documented() {
    let mut outer = Tokenizer::new();
    outer.token(Token::from_bytes([9; 16]));
    assert_eq!(outer.finish(), by_hand(&[&[0x83], &[9; 16]]));
    assert_eq!(Tokenizer::new().finish(), by_hand(&[]));
}
