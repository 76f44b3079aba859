//! Names of keys: made from a prefix and a token, and taken apart again.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::token::Token;

/// The key of a pure task: `inc-<32 hexadecimal digits>`.
pub fn key_name(prefix: &str, token: Token) -> String {
    token.with_hex(|hex| join(prefix, hex))
}

/// [`key_name`] in place of what `name` was: for many keys, each of which is copied from there.
pub fn write_key_name(name: &mut String, prefix: &str, token: Token) {
    name.clear();
    token.with_hex(|hex| push(name, prefix, hex));
}

/// The key of an impure task, different at every call: `inc-<uuid4>`, with the uuid's hyphens.
pub fn unique_key_name(prefix: &str) -> String {
    let mut buffer = [0; Hyphenated::LENGTH];
    join(prefix, Uuid::new_v4().hyphenated().encode_lower(&mut buffer))
}

/// What a key's name says about its kind, for grouping durations and progress: Dask's `key_split`.
///
/// It is the first word of the name and the words after it, split at hyphens, up to the first one
/// that is not letters alone, or that looks like a token or the start of a uuid. A bare token gives
/// `data`, a name with no word at all gives `Other`, and the quotes and brackets of Python's tuple
/// keys are dropped. Where Dask would drop a bracket in the middle the prefix ends before it.
pub fn key_prefix(key: &str) -> &str {
    let first = key.split('-').next().unwrap_or_default();
    let begins_with_letter = first.chars().next().is_some_and(char::is_alphabetic);
    let prefix = if begins_with_letter { key } else { undecorated(key, first) };
    let prefix = &prefix[..words_end(prefix)];
    if prefix.len() == 32 && looks_unique(prefix) {
        return "data";
    }
    let prefix = if prefix.starts_with('<') { class_name(prefix) } else { prefix };
    if prefix.is_empty() { "Other" } else { prefix }
}

fn join(prefix: &str, suffix: &str) -> String {
    let mut name = String::with_capacity(prefix.len() + 1 + suffix.len());
    push(&mut name, prefix, suffix);
    name
}

fn push(name: &mut String, prefix: &str, suffix: &str) {
    name.push_str(prefix);
    name.push('-');
    name.push_str(suffix);
}

/// `('x', 0)` is `x`; `_x-sum` is `x-sum`.
fn undecorated<'a>(key: &'a str, first: &'a str) -> &'a str {
    const DECORATION: &[char] = &['_', '\'', '(', ')', '"'];
    let item = first.split(',').next().unwrap_or_default();
    let start = item.len() - item.trim_start_matches(DECORATION).len();
    let name = item[start..].trim_end_matches(DECORATION);
    let reaches_hyphen = start + name.len() == first.len();
    if reaches_hyphen && !name.is_empty() { &key[start..] } else { name }
}

/// Where the words that belong to the prefix end.
fn words_end(key: &str) -> usize {
    let mut words = key.split('-');
    let first = words.next().unwrap_or_default();
    let belongs = |word: &&str| is_alphabetic(word) && !looks_unique(word);
    first.len() + words.take_while(belongs).map(|word| 1 + word.len()).sum::<usize>()
}

fn is_alphabetic(word: &str) -> bool {
    !word.is_empty() && word.chars().all(char::is_alphabetic)
}

/// A token, or a uuid's first group, can by chance consist of letters alone.
fn looks_unique(word: &str) -> bool {
    matches!(word.len(), 8 | 32) && word.bytes().all(is_lower_hex)
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// `<module.Class object at 0x7f>` is `Class`.
fn class_name(text: &str) -> &str {
    let path = text.trim_matches(['<', '>']).split_whitespace().next().unwrap_or_default();
    path.rsplit('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pure_key_is_its_prefix_and_the_token() {
        let token = Token::from_bytes([0xab; 16]);
        let key = key_name("inc", token);
        assert_eq!(key, "inc-abababababababababababababababab");
        assert_eq!(key.capacity(), key.len());
        assert_eq!(key_prefix(&key), "inc");
    }

    #[test]
    fn a_unique_key_is_its_prefix_and_a_new_uuid4() {
        let key = unique_key_name("random_sample");
        let uuid = key.strip_prefix("random_sample-").unwrap();
        assert_eq!(uuid.len(), 36);
        assert_eq!(Uuid::parse_str(uuid).unwrap().get_version_num(), 4);
        assert_eq!(key_prefix(&key), "random_sample");
        assert_ne!(key, unique_key_name("random_sample"));
    }

    #[test]
    fn the_prefix_is_the_words_before_the_token() {
        let table = [
            ("x", "x"),
            ("x-1", "x"),
            ("x-1-2-3", "x"),
            ("inc-e4853cff00112233445566778899aabb", "inc"),
            ("random_sample-d94b3e5c-4d34-4b0e-9c0e-8a2b0e5a7f11", "random_sample"),
            ("a-b-e4853cff00112233445566778899aabb", "a-b"),
            ("hello-world-1", "hello-world"),
            ("x-abcdefab", "x"),
            ("x-abcdefabc", "x-abcdefabc"),
            ("x-abcdefgh", "x-abcdefgh"),
            ("ae05086432ca935f6eba409a8ecd4896", "data"),
            ("('x-2', 1)", "x"),
            ("('x', 1)", "x"),
            ("_(x)", "x"),
            ("_x-sum", "x-sum"),
            ("<module.submodule.MyClass object at 0xdaf372", "MyClass"),
            ("größe-été-1", "größe-été"),
            ("x--y", "x"),
            ("x-", "x"),
            ("10", "10"),
            ("", "Other"),
            ("-x", "Other"),
            ("()", "Other"),
            ("<>", "Other"),
        ];
        for (key, prefix) in table {
            assert_eq!(key_prefix(key), prefix, "the prefix of {key:?}");
        }
    }
}
