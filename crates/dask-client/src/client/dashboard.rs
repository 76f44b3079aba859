//! Where the dashboard is.

use dask_proto::Address;

/// The variable that has the form of the link: Dask's, for its key `distributed.dashboard.link`.
const FORM: &str = "DASK_DISTRIBUTED__DASHBOARD__LINK";

/// Dask's default.
const DEFAULT_FORM: &str = "{scheme}://{host}:{port}/status";

/// The link to a dashboard on this port of the scheduler's host.
pub(super) fn link(scheduler: &Address, port: u16) -> String {
    let form = std::env::var(FORM).unwrap_or_else(|_| DEFAULT_FORM.to_owned());
    let host = if scheduler.scheme() == "inproc" { "localhost" } else { scheduler.host() };
    fill(&form, |name| match name {
        "scheme" => Some("http".to_owned()),
        "host" => Some(host.to_owned()),
        "port" => Some(port.to_string()),
        name => std::env::var(name).ok(),
    })
}

/// Puts values in the place of names in braces; a name without a value stays as it is.
fn fill(form: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut link = String::new();
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('{') {
        link.push_str(before);
        let known = after.split_once('}').and_then(|(name, after)| Some((value(name)?, after)));
        rest = if let Some((value, after)) = known {
            link.push_str(&value);
            after
        } else {
            link.push('{');
            after
        };
    }
    link + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_braces_have_values() {
        let value = |name: &str| ["a", "b"].contains(&name).then(|| name.repeat(2));
        for (form, filled) in [
            ("", ""),
            ("plain", "plain"),
            ("{a}://{b}/", "aa://bb/"),
            ("{c}{a}", "{c}aa"),
            ("{a", "{a"),
            ("{{a}}", "{aa}"),
        ] {
            assert_eq!(fill(form, value), filled, "{form}");
        }
    }

    #[test]
    fn a_link_names_the_host_of_the_scheduler() {
        let at = |address: &str| link(&address.parse().expect("an address"), 8787);
        assert_eq!(at("tcp://10.0.0.1:8786"), "http://10.0.0.1:8787/status");
        assert_eq!(at("inproc://here"), "http://localhost:8787/status");
    }
}
