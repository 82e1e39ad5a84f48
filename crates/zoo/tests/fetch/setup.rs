//! A zoo in a fresh folder and a server, with what most tests do to them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mmcv_zoo::{Error, FetchOptions, Network, Zoo};
use tempfile::TempDir;

use crate::server::{Answer, Request, Server};

/// Size of the usual file, in bytes.
pub(crate) const LENGTH: usize = 300_000;

pub(crate) struct Setup {
    pub(crate) zoo: Zoo,
    pub(crate) home: TempDir,
    pub(crate) server: Server,
}

/// A zoo in a fresh folder, patient enough for a loaded machine, and a server.
pub(crate) fn setup(handler: impl Fn(&Request, &mut Answer) + Send + Sync + 'static) -> Setup {
    let home = tempfile::tempdir().unwrap();
    let network = Network {
        first_delay: Duration::from_millis(1),
        longest_delay: Duration::from_millis(5),
        proxy_from_environment: false,
        ..Network::default()
    };
    let zoo = Zoo::new(home.path()).unwrap().with_network(network);
    Setup { zoo, home, server: Server::start(handler) }
}

impl Setup {
    pub(crate) fn fetch(&self, path: &str) -> Result<PathBuf, Error> {
        self.zoo.fetch(&self.server.url(path), &FetchOptions::default())
    }

    /// Fetches what must fail, and checks that nothing is left under the final name.
    pub(crate) fn fail(&self, path: &str) -> Error {
        let error = self.fetch(path).expect_err("the fetch must fail");
        assert!(!self.zoo.path(&self.server.url(path)).unwrap().exists(), "left after: {error}");
        assert!(error.to_string().contains(path), "{error}");
        error
    }

    pub(crate) fn request_count(&self) -> usize {
        self.server.requests().len()
    }

    /// Names of the partial files that are left.
    pub(crate) fn partials(&self) -> Vec<String> {
        let state = self.home.path().join("checkpoints/.state");
        let names = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".part")).collect()
    }
}
