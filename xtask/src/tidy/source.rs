//! A Rust file, taken apart into code and comments.

/// One Rust file. The three lists have a line for each line of the file, and each character stays
/// in its column.
pub(super) struct Source<'a> {
    pub(super) path: &'a str,
    pub(super) lines: Vec<&'a str>,
    /// The lines without comments and without the contents of literals.
    pub(super) code: Vec<String>,
    /// The comments alone.
    pub(super) comments: Vec<String>,
    /// The index of the first line of the tests at the end of the file; past its end without any.
    pub(super) tests_from: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a str, content: &'a str) -> Source<'a> {
        let mut parts = Parts::default();
        let mut rest = content;
        while !rest.is_empty() {
            rest = parts.take(rest);
        }
        let code = split(&parts.code);
        let tests_from = if is_test_file(path) { 0 } else { tests_from(&code) };
        Source {
            path,
            lines: content.lines().collect(),
            comments: split(&parts.comments),
            code,
            tests_from,
        }
    }

    /// Whether a line, by its index, is test code.
    pub(super) fn is_test(&self, index: usize) -> bool {
        index >= self.tests_from
    }
}

fn split(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests")
}

/// Where `#[cfg(test)] mod … {` begins.
fn tests_from(code: &[String]) -> usize {
    let module = |line: &String| line.contains("mod ") && line.trim_end().ends_with('{');
    code.windows(2)
        .position(|pair| pair[0].trim() == "#[cfg(test)]" && module(&pair[1]))
        .unwrap_or(code.len())
}

#[derive(Default)]
struct Parts {
    code: String,
    comments: String,
}

impl Parts {
    /// Takes one comment, one literal or one character off the front, and returns the rest.
    fn take<'t>(&mut self, text: &'t str) -> &'t str {
        if let Some(length) = comment_length(text) {
            self.comments.push_str(&text[..length]);
            self.code.push_str(&blank(&text[..length]));
            return &text[length..];
        }
        let length = literal_length(text).or_else(|| word_length(text));
        if let Some(length) = length {
            let token = &text[..length];
            if token.contains(['"', '\'']) {
                self.code.push_str(&blank(token));
            } else {
                self.code.push_str(token);
            }
            self.comments.push_str(&blank(token));
            return &text[length..];
        }
        let length = text.chars().next().map_or(0, char::len_utf8);
        self.code.push_str(&text[..length]);
        self.comments.push_str(&blank(&text[..length]));
        &text[length..]
    }
}

/// As many spaces as there are characters; line ends stay.
fn blank(text: &str) -> String {
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    text.chars().map(blank).collect()
}

fn comment_length(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        match &text.as_bytes()[at..(at + 2).min(text.len())] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    Some(text.len())
}

/// A word or number: taken whole, so that no prefix of a literal is seen in the middle of one.
fn word_length(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    match end.unwrap_or(text.len()) {
        0 => None,
        length => Some(length),
    }
}

fn literal_length(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""];
    let prefix = prefix.into_iter().find(|prefix| {
        let rest = text.strip_prefix(prefix);
        let rest = rest.map(|rest| rest.trim_start_matches(hashes(prefix)));
        rest.is_some_and(|rest| rest.starts_with('"'))
    });
    match prefix {
        Some(prefix) if prefix.ends_with('r') => raw_length(text, prefix.len()),
        Some(prefix) => quoted_length(text, prefix.len(), b'"'),
        None => char_length(text),
    }
}

/// Only raw strings have `#` before the quote.
fn hashes(prefix: &str) -> &'static [char] {
    if prefix.ends_with('r') { &['#'] } else { &[] }
}

fn raw_length(text: &str, prefix: usize) -> Option<usize> {
    let open = text.find('"')?;
    let close = format!("\"{}", &text[prefix..open]);
    let body = open + 1;
    let end = text[body..].find(&close).map(|at| body + at + close.len());
    Some(end.unwrap_or(text.len()))
}

fn quoted_length(text: &str, open: usize, quote: u8) -> Option<usize> {
    let mut at = open + 1;
    while at < text.len() {
        match text.as_bytes()[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    Some(text.len())
}

/// A character literal, as opposed to a lifetime.
fn char_length(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('\'')?;
    let mut chars = rest.chars();
    match (chars.next()?, chars.next()?) {
        ('\\', _) => quoted_length(text, 0, b'\''),
        (c, '\'') => Some(2 + c.len_utf8()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(content: &str) -> String {
        let source = Source::new("crates/a/src/lib.rs", content);
        assert_eq!(source.code.len(), source.lines.len());
        assert_eq!(source.comments.len(), source.lines.len());
        source.code.join("\n")
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        assert_eq!(code("a(); // b\nc"), "a();     \nc");
        assert_eq!(code("a /* b /* c */ d */ e"), "a                   e");
        assert_eq!(code(r#"f("x\"y", z)"#), "f(      , z)");
        assert_eq!(code(r##"f(r#"a"b"#, c)"##), "f(        , c)");
        assert_eq!(code("f('\"', '\\'', 'a', b'x')"), "f(   ,     ,    , b   )".trim());
    }

    #[test]
    fn lifetimes_and_words_that_end_like_prefixes_are_code() {
        assert_eq!(code("fn f<'a>(x: &'a str)"), "fn f<'a>(x: &'a str)");
        assert_eq!(code("for \"x\""), "for    ");
    }

    #[test]
    fn literals_over_several_lines_keep_the_lines() {
        assert_eq!(code("f(\"a\nb\");\ng()"), "f(  \n  );\ng()");
    }

    #[test]
    fn comments_are_kept_apart() {
        let source = Source::new("a.rs", "a(); // why\nb(\"// no\")");
        assert_eq!(source.comments[0].trim(), "// why");
        assert_eq!(source.comments[1].trim(), "");
    }

    #[test]
    fn tests_begin_with_their_module() {
        let with = "fn a() {}\n#[cfg(test)]\nmod tests {\n}\n";
        assert!(!Source::new("a.rs", with).is_test(0));
        assert!(Source::new("a.rs", with).is_test(1));
        let declared = "#[cfg(test)]\nmod tests;\nfn a() {}\n";
        assert!(!Source::new("a.rs", declared).is_test(2));
        assert!(Source::new("tests/it/a.rs", "fn a() {}\n").is_test(0));
    }
}
