//! [`Proposal`]: what to do where the names of a state dict are not the module's.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::load::Values;
use crate::naming::{Names, Outcome};
use crate::value::Value;

/// Beginnings of a name that are compared: so many parts are taken off at most.
const DEEPEST: usize = 6;
/// A rest of a name that more names of the module share says nothing: `weight`.
const MOST_SHARED: usize = 16;
/// So many that load the same are told.
const MOST: usize = 4;

/// A change of the options with which more tensors would be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What is changed.
    pub change: Change,
    /// Tensors that would then be loaded.
    pub would_load: usize,
}

/// A change of [`LoadOptions`](crate::LoadOptions).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The state dict stands under this `entry` of the file.
    Entry(String),
    /// The names have this `prefix`.
    Prefix(String),
    /// With `revise_keys` another beginning is put in the place of that of the names.
    Revise {
        /// How names begin in the state dict; may be empty.
        from: String,
        /// How they begin in the module.
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

impl Change {
    /// Where it is chosen: an argument of the command, and a key of a recipe.
    fn place(&self) -> &'static str {
        match self {
            Self::Entry(_) => "--entry, checkpoint.entry",
            Self::Prefix(_) => "--prefix, checkpoint.prefix",
            Self::Revise { .. } => "checkpoint.revise_keys",
        }
    }
}

/// All proposals in words, which load the same: `with prefix `a.` (--prefix, checkpoint.prefix) 7 would`.
pub(crate) fn describe(f: &mut fmt::Formatter<'_>, proposals: &[Proposal]) -> fmt::Result {
    let Some(first) = proposals.first() else { return Ok(()) };
    let deeper = matches!(first.change, Change::Entry(_));
    write!(f, "; {}with ", if deeper { "the tensors are one dict further down: " } else { "" })?;
    for (index, Proposal { change, .. }) in proposals.iter().enumerate() {
        let next = proposals.get(index + 1).map(|next| next.change.place());
        let place = if next == Some(change.place()) { String::new() } else { format!(" ({})", change.place()) };
        write!(f, "{}{change}{place}", if index > 0 { " or " } else { "" })?;
    }
    write!(f, " {} would", first.would_load)
}

/// An entry of the file that holds tensors, and its name.
pub(crate) type Place<'v> = (String, Values<'v>);

/// The changes with which the most tensors would be loaded, if there are more than `fitting` already, or then all fit.
pub(crate) fn proposals(
    names: &Names<'_>,
    values: &Values<'_>,
    fitting: usize,
    places: Vec<Place<'_>>,
) -> Vec<Proposal> {
    let better = |outcome: &Outcome| outcome.complete || outcome.count > fitting;
    let entries = entries(names, &places);
    let prefixes = prefixes(names, values);
    let all = entries.iter().chain(&prefixes).filter(|(_, outcome)| better(outcome));
    let best = all.map(|(_, outcome)| *outcome).max();
    let revise = revise(names, values, best.map_or(fitting, |best| best.count));
    if let (Some(revise), false) = (revise, best.is_some_and(|best| best.complete)) {
        return vec![revise];
    }
    let Some(best) = best else { return Vec::new() };
    let is_best = |(_, outcome): &&(String, Outcome)| *outcome == best;
    let mut found: Vec<Proposal> = Vec::new();
    let proposal = |change| Proposal { change, would_load: best.count };
    for (entry, _) in entries.iter().filter(is_best) {
        // Of an entry and the one inside it, the inner one holds the tensors.
        let inner = |(other, _): &(String, Outcome)| other.starts_with(&format!("{entry}."));
        if !entries.iter().filter(is_best).any(inner) {
            found.push(proposal(Change::Entry(entry.clone())));
        }
    }
    for (prefix, _) in prefixes.iter().filter(is_best) {
        let shorter = |(other, _): &(String, Outcome)| other != prefix && prefix.starts_with(other.as_str());
        let in_entry = |(entry, _): &(String, Outcome)| {
            let entry = format!("{entry}.");
            prefix.starts_with(&entry) || entry.starts_with(prefix.as_str())
        };
        if !prefixes.iter().filter(is_best).any(shorter) && !entries.iter().filter(is_best).any(in_entry) {
            found.push(proposal(Change::Prefix(prefix.clone())));
        }
    }
    found.truncate(MOST);
    found
}

/// What each entry of the file would load.
fn entries(names: &Names<'_>, places: &[Place<'_>]) -> Vec<(String, Outcome)> {
    let outcome = |(entry, values): &Place<'_>| Some((entry.clone(), names.below("", tensors(values))?));
    places.iter().filter_map(outcome).collect()
}

/// What each beginning of the names would load if it was the prefix.
fn prefixes(names: &Names<'_>, values: &Values<'_>) -> Vec<(String, Outcome)> {
    let own = names.prefix();
    let beginnings: BTreeSet<&str> =
        values.iter().flat_map(|(key, _)| splits(key)).map(|(beginning, _)| beginning).collect();
    let mut found = Vec::new();
    for prefix in beginnings.into_iter().filter(|prefix| !prefix.is_empty() && *prefix != own) {
        if let Some(outcome) = names.below(prefix, tensors(values)) {
            found.push((prefix.to_owned(), outcome));
        }
    }
    found
}

fn tensors<'v>(values: &'v Values<'_>) -> impl Iterator<Item = (&'v str, &'v Value<'v>)> {
    values.iter().map(|(key, value)| (key.as_str(), value))
}

/// The change of a beginning with which the most names are among the module's, if there are more than `fitting`.
fn revise(names: &Names<'_>, values: &Values<'_>, fitting: usize) -> Option<Proposal> {
    let mut by_rest: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
    for name in names.targets.keys() {
        for (beginning, rest) in splits(name) {
            by_rest.entry(rest).or_default().push((beginning, name));
        }
    }
    let mut votes: HashMap<(&str, &str), usize> = HashMap::new();
    for (name, value) in values {
        for (from, rest) in splits(name) {
            let heads = by_rest.get(rest).filter(|heads| heads.len() <= MOST_SHARED);
            for (to, target) in heads.into_iter().flatten() {
                // Without a new beginning it is a prefix.
                let changes = !to.is_empty() && from != *to;
                if changes && names.targets.get(*target).is_some_and(|target| value.has_shape_of(target)) {
                    *votes.entry((from, to)).or_default() += 1;
                }
            }
        }
    }
    // Of equal ones the simplest, which takes the least off and puts the least on.
    let ranked = votes.into_iter().filter(|(_, count)| *count > fitting);
    let best = ranked.min_by_key(|((from, to), count)| (usize::MAX - count, from.len() + to.len(), *from, *to));
    best.map(|((from, to), would_load)| {
        let change = Change::Revise { from: from.to_owned(), to: to.to_owned() };
        Proposal { change, would_load }
    })
}

/// A name in two: nothing and all of it, and after each of the first dots.
fn splits(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let dots = name.match_indices('.').map(|(at, _)| at + 1).take(DEEPEST);
    std::iter::once(0).chain(dots).filter_map(|at| name.split_at_checked(at))
}
