//! [`Origin`]: where a value was written.

use std::rc::Rc;

use crate::error::Source;

/// Where a value in a dict was written, and what it replaced.
#[derive(Debug)]
pub(crate) struct Origin {
    pub source: Rc<Source>,
    pub offset: u32,
    /// The origin of the value of a base that this one replaced.
    pub replaced: Option<Rc<Origin>>,
}

impl Origin {
    pub(crate) fn new(source: &Rc<Source>, offset: u32) -> Rc<Self> {
        Rc::new(Self { source: Rc::clone(source), offset, replaced: None })
    }

    /// The same place, which replaces a value from `replaced`.
    pub(crate) fn replacing(this: Option<&Rc<Self>>, replaced: Option<Rc<Self>>) -> Option<Rc<Self>> {
        let this = this?;
        if replaced.is_none() || this.replaced.is_some() {
            return Some(Rc::clone(this));
        }
        Some(Rc::new(Self { source: Rc::clone(&this.source), offset: this.offset, replaced }))
    }
}
