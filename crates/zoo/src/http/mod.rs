//! Downloads over HTTP: requests, redirects, retries, resumption.

mod backoff;
mod basic_auth;
mod certificates;
pub(crate) mod download;
mod interim;
mod proxy;
mod request;
mod retry_after;
