//! [`Suggestion`]: options with which more of a state dict would fit.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;

use crate::load::StateDict;
use crate::naming::{Names, Outcome};

/// At most this many leading parts of a name are considered as a prefix.
const MAX_DEPTH: usize = 6;
/// The end of a name that more names of the module share says nothing: `weight`.
const MAX_SHARED: usize = 16;
/// The maximum number of suggestions.
const MAX_SUGGESTIONS: usize = 4;

/// A change of the options with which more tensors would be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// The change.
    pub change: Change,
    /// The number of tensors that would be loaded.
    pub would_load: usize,
}

/// A change of [`LoadOptions`](crate::LoadOptions).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// The state dict is under this `entry` of the file.
    Entry(String),
    /// The names have this `prefix`.
    Prefix(String),
    /// `revise_keys` replaces a prefix of the names.
    Revise {
        /// The prefix in the state dict; may be empty.
        from: String,
        /// The prefix in the module.
        to: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(entry) => write!(f, "entry `{entry}`"),
            Self::Prefix(prefix) => write!(f, "prefix `{prefix}`"),
            Self::Revise { from, to } => write!(f, "revise_keys (`^{}`, `{to}`)", regex::escape(from)),
        }
    }
}

/// Writes all suggestions, which load the same number of tensors: `with prefix `a.` or prefix `b.` 7 would`.
pub(crate) fn describe(f: &mut fmt::Formatter<'_>, suggestions: &[Suggestion]) -> fmt::Result {
    let Some(first) = suggestions.first() else { return Ok(()) };
    f.write_str("; ")?;
    if matches!(first.change, Change::Entry(_)) {
        f.write_str("the tensors are one dict further down: ")?;
    }
    let changes: Vec<String> = suggestions.iter().map(|suggestion| suggestion.change.to_string()).collect();
    write!(f, "with {} {} would", changes.join(" or "), first.would_load)
}

/// An entry of the file that contains tensors.
pub(crate) type Place<'v> = (String, StateDict<'v>);

/// The outcome of each value of one option.
type Outcomes = Vec<(String, Outcome)>;

/// The changes with which the most tensors would be loaded: more than `fitting`, or all.
pub(crate) fn suggestions(
    names: &Names<'_>,
    state_dict: &StateDict<'_>,
    fitting: usize,
    places: Vec<Place<'_>>,
) -> Vec<Suggestion> {
    let mut entries = entries(names, &places);
    let mut prefixes = prefixes(names, state_dict);
    let mut best = Outcome { complete: false, count: fitting };
    for (_, outcome) in entries.iter().chain(&prefixes) {
        best = best.max(*outcome);
    }
    if !best.complete
        && let Some(revise) = revise(names, state_dict, best.count)
    {
        return vec![revise];
    }
    if !best.complete && best.count <= fitting {
        return Vec::new();
    }
    entries.retain(|(_, outcome)| *outcome == best);
    prefixes.retain(|(_, outcome)| *outcome == best);
    let mut changes = Vec::new();
    for (entry, _) in &entries {
        if !is_outer(entry, &entries) {
            changes.push(Change::Entry(entry.clone()));
        }
    }
    for (prefix, _) in &prefixes {
        if !is_redundant(prefix, &prefixes, &entries) {
            changes.push(Change::Prefix(prefix.clone()));
        }
    }
    changes.truncate(MAX_SUGGESTIONS);
    changes.into_iter().map(|change| Suggestion { change, would_load: best.count }).collect()
}

/// Whether another entry is inside this one: then that one contains the tensors.
fn is_outer(entry: &str, entries: &Outcomes) -> bool {
    let start = format!("{entry}.");
    entries.iter().any(|(other, _)| other.starts_with(&start))
}

/// Whether a shorter prefix or an entry has the same effect.
fn is_redundant(prefix: &str, prefixes: &Outcomes, entries: &Outcomes) -> bool {
    if prefixes.iter().any(|(other, _)| other != prefix && prefix.starts_with(other.as_str())) {
        return true;
    }
    let starts: Vec<String> = entries.iter().map(|(entry, _)| format!("{entry}.")).collect();
    starts.iter().any(|entry| prefix.starts_with(entry.as_str()) || entry.starts_with(prefix))
}

/// What each entry of the file would load.
fn entries(names: &Names<'_>, places: &[Place<'_>]) -> Outcomes {
    places.iter().filter_map(|(entry, state_dict)| Some((entry.clone(), names.below("", state_dict)?))).collect()
}

/// What each prefix of the names would load.
fn prefixes(names: &Names<'_>, state_dict: &StateDict<'_>) -> Outcomes {
    let mut candidates = BTreeSet::new();
    for (key, _) in state_dict {
        candidates.extend(splits(key).into_iter().map(|(prefix, _)| prefix));
    }
    candidates.remove("");
    candidates.remove(names.prefix().as_str());
    candidates.into_iter().filter_map(|prefix| Some((prefix.to_owned(), names.below(prefix, state_dict)?))).collect()
}

/// The replacement of a prefix for which the most names and shapes fit, if they are more than `fitting`.
fn revise(names: &Names<'_>, state_dict: &StateDict<'_>, fitting: usize) -> Option<Suggestion> {
    let mut by_rest: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
    for name in names.targets.keys() {
        for (prefix, rest) in splits(name) {
            by_rest.entry(rest).or_default().push((prefix, name));
        }
    }
    let mut votes: HashMap<(&str, &str), usize> = HashMap::new();
    for (name, source) in state_dict {
        for (from, rest) in splits(name) {
            let Some(targets) = by_rest.get(rest) else { continue };
            if targets.len() > MAX_SHARED {
                continue;
            }
            for (to, target) in targets {
                // Without a new prefix, the option `prefix` has the same effect.
                if !to.is_empty() && from != *to && names.fits(target, source) {
                    *votes.entry((from, to)).or_default() += 1;
                }
            }
        }
    }
    // Of equal ones the simplest: the one that removes and adds the least.
    let simplest =
        votes.into_iter().min_by_key(|((from, to), count)| (usize::MAX - count, from.len() + to.len(), *from, *to));
    let ((from, to), would_load) = simplest?;
    if would_load <= fitting {
        return None;
    }
    Some(Suggestion { change: Change::Revise { from: from.to_owned(), to: to.to_owned() }, would_load })
}

/// The ways to split a name in two: before it, and after each of the first dots.
fn splits(name: &str) -> Vec<(&str, &str)> {
    let mut splits = vec![("", name)];
    for (at, _) in name.match_indices('.').take(MAX_DEPTH) {
        splits.push(name.split_at(at + 1));
    }
    splits
}
