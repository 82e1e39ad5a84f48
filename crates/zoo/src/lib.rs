//! The model zoo: names to URLs, the cache folder, verified downloads.
