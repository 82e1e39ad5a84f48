//! [`Proposal`]: what to do where the names of a state dict are not the module's.

use std::collections::HashMap;
use std::fmt;

/// Beginnings of a name that are compared: so many parts are taken off at most.
const DEEPEST: usize = 4;
/// A rest of a name that more names of the module share says nothing: `weight`.
const MOST_SHARED: usize = 16;

/// Another beginning of the names, with which more tensors would be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// How names begin in the state dict: `backbone.`, or nothing.
    pub from: String,
    /// How they begin in the module instead; nothing where `from` is only to be taken off.
    pub to: String,
    /// Tensors that would then be loaded.
    pub would_load: usize,
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, would_load } = self;
        if to.is_empty() {
            return write!(f, "with prefix `{from}` {would_load} would");
        }
        write!(f, "with revise_keys (`^{}`, `{to}`) {would_load} would", regex::escape(from))
    }
}

/// The change with which the most names of `found` are among `expected`, if there are more than `fitting` already.
/// `fits` tells of two such names whether the shapes agree.
pub(crate) fn propose(
    found: &[&str],
    expected: &[&str],
    fitting: usize,
    fits: impl Fn(&str, &str) -> bool,
) -> Option<Proposal> {
    let mut by_rest: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
    for name in expected {
        for (beginning, rest) in splits(name) {
            by_rest.entry(rest).or_default().push((beginning, name));
        }
    }
    let mut votes: HashMap<(&str, &str), usize> = HashMap::new();
    for name in found {
        for (from, rest) in splits(name) {
            let heads = by_rest.get(rest).filter(|heads| heads.len() <= MOST_SHARED);
            for (to, target) in heads.into_iter().flatten() {
                if (!from.is_empty() || !to.is_empty()) && fits(name, target) {
                    *votes.entry((from, to)).or_default() += 1;
                }
            }
        }
    }
    // Of equal ones the simplest, which takes the least off and puts the least on.
    let ranked = votes.into_iter().filter(|(_, count)| *count > fitting);
    let best = ranked.min_by_key(|((from, to), count)| (usize::MAX - count, from.len() + to.len(), *from, *to));
    best.map(|((from, to), would_load)| Proposal { from: from.to_owned(), to: to.to_owned(), would_load })
}

/// A name in two: nothing and all of it, and after each of the first dots.
fn splits(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let dots = name.match_indices('.').map(|(at, _)| at + 1).take(DEEPEST);
    std::iter::once(0).chain(dots).filter_map(|at| name.split_at_checked(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: [&str; 3] = ["conv1.weight", "bn1.weight", "layer1.0.conv1.weight"];

    fn proposal(found: &[&str], fitting: usize) -> Option<String> {
        propose(found, &MODULE, fitting, |_, _| true).map(|proposal| proposal.to_string())
    }

    #[test]
    fn a_prefix_is_found() {
        let found = MODULE.map(|name| format!("backbone.net.{name}"));
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(proposal(&found, 0).unwrap(), "with prefix `backbone.net.` 3 would");
        assert_eq!(proposal(&found, 3), None);
        assert_eq!(propose(&found, &MODULE, 0, |_, _| false), None);
    }

    #[test]
    fn a_prefix_that_is_lacking_or_another_is_found() {
        let module = MODULE.map(|name| format!("backbone.{name}"));
        let module: Vec<&str> = module.iter().map(String::as_str).collect();
        let text = propose(&MODULE, &module, 0, |_, _| true).unwrap().to_string();
        assert_eq!(text, "with revise_keys (`^`, `backbone.`) 3 would");
        let found = MODULE.map(|name| format!("encoder.{name}"));
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        let text = propose(&found, &module, 0, |_, _| true).unwrap().to_string();
        assert_eq!(text, "with revise_keys (`^encoder\\.`, `backbone.`) 3 would");
    }
}
