//! Python's exceptions that a config may raise and catch.

/// The names of exceptions, each with the one that it is a kind of.
const EXCEPTIONS: [(&str, &str); 24] = [
    ("ArithmeticError", "Exception"),
    ("AssertionError", "Exception"),
    ("AttributeError", "Exception"),
    ("BaseException", ""),
    ("Exception", "BaseException"),
    ("FileNotFoundError", "OSError"),
    ("ImportError", "Exception"),
    ("IndexError", "LookupError"),
    ("JSONDecodeError", "ValueError"),
    ("KeyError", "LookupError"),
    ("LookupError", "Exception"),
    ("ModuleNotFoundError", "ImportError"),
    ("NameError", "Exception"),
    ("NotImplementedError", "RuntimeError"),
    ("OSError", "Exception"),
    ("OverflowError", "ArithmeticError"),
    ("RuntimeError", "Exception"),
    ("StopIteration", "Exception"),
    ("TypeError", "Exception"),
    ("UnboundLocalError", "NameError"),
    ("UnicodeDecodeError", "ValueError"),
    ("UserWarning", "Exception"),
    ("ValueError", "Exception"),
    ("ZeroDivisionError", "ArithmeticError"),
];

/// The exception of that name. `RecursionError` is none of them: the depth at which it comes differs from Python's.
pub(crate) fn exception(name: &str) -> Option<&'static str> {
    EXCEPTIONS.iter().find(|(known, _)| *known == name).map(|(known, _)| *known)
}

/// Whether an exception is of the kind `ancestor`.
pub(crate) fn is_kind_of(name: &str, ancestor: &str) -> bool {
    let mut name = name;
    while name != ancestor {
        match EXCEPTIONS.iter().find(|(known, _)| *known == name) {
            Some((_, parent)) => name = parent,
            None => return false,
        }
    }
    true
}
