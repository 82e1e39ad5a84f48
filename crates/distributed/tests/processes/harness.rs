//! Starts ranks and collects what they say.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use mmcv_distributed::{Backend, Group, GroupOptions, Launch, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a rank may take before the test gives up. Nothing depends on it but the end of a test that fails.
const PATIENCE: Duration = Duration::from_secs(120);
/// The time limit of a group for tests in which no rank fails.
const LONG: Duration = Duration::from_secs(60);

/// Ranks of a job.
pub(crate) struct Job {
    name: &'static str,
    world_size: usize,
    port: u16,
    timeout: Duration,
    variables: Vec<(String, String)>,
    folder: TempDir,
    ranks: Vec<Option<Child>>,
}

impl Job {
    pub(crate) fn new(name: &'static str, world_size: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ranks = (0..world_size).map(|_| None).collect();
        Self { name, world_size, port: free_port(), timeout: LONG, variables: Vec::new(), folder, ranks }
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The variables of a rank, as torchrun sets them.
    pub(crate) fn environment(&self, rank: usize) -> Vec<(String, String)> {
        let mut variables: Vec<(String, String)> = vec![
            ("RANK".to_owned(), rank.to_string()),
            ("LOCAL_RANK".to_owned(), rank.to_string()),
            ("WORLD_SIZE".to_owned(), self.world_size.to_string()),
            ("LOCAL_WORLD_SIZE".to_owned(), self.world_size.to_string()),
            ("MASTER_ADDR".to_owned(), "127.0.0.1".to_owned()),
            ("MASTER_PORT".to_owned(), self.port.to_string()),
            ("OMP_NUM_THREADS".to_owned(), "1".to_owned()),
            ("TORCH_CPP_LOG_LEVEL".to_owned(), "ERROR".to_owned()),
        ];
        variables.extend(self.variables.iter().cloned());
        variables
    }

    /// Starts one rank, with changes of its variables.
    pub(crate) fn start(&mut self, rank: usize, changes: &[(&str, &str)]) {
        let program = std::env::current_exe().unwrap();
        self.start_by(Command::new(program), rank, changes);
    }

    /// Starts one rank by a command that ends with this program.
    pub(crate) fn start_by(&mut self, mut command: Command, rank: usize, changes: &[(&str, &str)]) {
        let child = command
            .args(["rank", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .envs(self.environment(rank))
            .env("MMCV_JOB", self.name)
            .env("MMCV_OUT", self.file(rank))
            .env("MMCV_TIMEOUT_MS", self.timeout.as_millis().to_string())
            .envs(changes.iter().copied())
            .stdout(Stdio::null())
            .spawn();
        self.ranks[rank] = Some(child.unwrap());
    }

    pub(crate) fn start_all(&mut self) {
        for rank in 0..self.world_size {
            self.start(rank, &[]);
        }
    }

    pub(crate) fn child(&mut self, rank: usize) -> &mut Child {
        self.ranks[rank].as_mut().unwrap()
    }

    fn file(&self, rank: usize) -> PathBuf {
        self.folder.path().join(format!("{rank}.json"))
    }

    /// A file that ranks write when they have begun.
    pub(crate) fn wait_for_beginning(&self, rank: usize) {
        let file = self.file(rank).with_extension("begun");
        let start = Instant::now();
        while !file.exists() {
            assert!(start.elapsed() < PATIENCE, "rank {rank} does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end of a rank: what it returned, or its error.
    pub(crate) fn end(&mut self, rank: usize) -> std::result::Result<Value, String> {
        let file = self.file(rank);
        let child = self.child(rank);
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                panic!("rank {rank} does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let Ok(text) = std::fs::read_to_string(&file) else { return Err(format!("rank {rank} ended with {status}")) };
        let mut output: Value = serde_json::from_str(&text).unwrap();
        match output["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(output["value"].take()),
        }
    }

    /// Starts all ranks, which have to succeed: what they return.
    pub(crate) fn run(mut self) -> Vec<Value> {
        self.start_all();
        let ends: Vec<_> = (0..self.world_size).map(|rank| self.end(rank)).collect();
        let errors: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        ends.into_iter().map(std::result::Result::unwrap).collect()
    }

    /// Starts all ranks, which have to fail: their errors.
    pub(crate) fn errors(mut self) -> Vec<String> {
        self.start_all();
        (0..self.world_size).map(|rank| self.end(rank).unwrap_err()).collect()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        for child in self.ranks.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port below those that systems choose themselves; every test process has a range of its own.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 18_000 + u16::try_from(std::process::id() % 700).unwrap() * 20;
    for _ in 0..20 {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 20;
        if TcpListener::bind(("::", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {base} on");
}

/// A variable of the job.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Tells the test that this rank has begun.
pub(crate) fn has_begun() {
    std::fs::write(PathBuf::from(variable("MMCV_OUT")).with_extension("begun"), "").unwrap();
}

/// The process of a rank: forms the group, does the job, writes the outcome.
pub(crate) fn run_rank(work: impl FnOnce(&str, &Group) -> Result<Value>) {
    let job = variable("MMCV_JOB");
    if job.is_empty() {
        return;
    }
    tch::set_num_threads(1);
    let outcome = match form().and_then(|group| work(&job, &group)) {
        Ok(value) => json!({ "value": value }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    let file = PathBuf::from(variable("MMCV_OUT"));
    std::fs::write(file.with_extension("new"), outcome.to_string()).unwrap();
    std::fs::rename(file.with_extension("new"), file).unwrap();
}

fn form() -> Result<Group> {
    let milliseconds = variable("MMCV_TIMEOUT_MS").parse().unwrap();
    let compares = variable("MMCV_COMPARES") != "0";
    let options = GroupOptions::default().with_timeout(Duration::from_millis(milliseconds)).with_compares(compares);
    let backend = if variable("MMCV_BACKEND") == "nccl" { Backend::Nccl } else { Backend::Gloo };
    Group::init_with(&Launch::from_env()?, backend, &options)
}
