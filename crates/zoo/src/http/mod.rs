//! Downloads over HTTP: requests, redirects, retries, resumption.

mod backoff;
mod basic_auth;
mod certificates;
mod download;
mod interim;
mod proxy;
mod request;
mod retry_after;
