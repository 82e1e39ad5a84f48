//! How the processes of a group meet.

use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cxx::UniquePtr;

use crate::bridge::{self, Meeting, Store};
use crate::group::{Backend, GroupOptions};
use crate::watch::{Card, Watch};
use crate::{Error, ErrorKind, Launch, Result, address};

/// How long rank 0 keeps its store after an error, so that others can read what it knows.
const LINGER: Duration = Duration::from_millis(500);
/// The pause between two looks at the store.
const PAUSE: Duration = Duration::from_millis(20);
/// How much longer than its own time limits the meeting may take.
const GRACE: Duration = Duration::from_secs(5);

/// What a process has once all have met.
pub(crate) struct Met {
    pub(crate) group: UniquePtr<bridge::Group>,
    pub(crate) store: UniquePtr<Store>,
    pub(crate) watch: Watch,
    pub(crate) cards: Vec<Option<Card>>,
}

/// Meets the other processes, on a thread of its own: where rank 0 is stopped, c10d's store waits for its answer without end.
pub(crate) fn meet(launch: &Launch, backend: Backend, options: &GroupOptions) -> Result<Met> {
    let addresses = address::resolve(&launch.master_addr, launch.master_port)?;
    let (sender, receiver) = mpsc::channel();
    let (thread_launch, thread_options) = (launch.clone(), options.clone());
    std::thread::Builder::new()
        .name("mmcv-meeting".to_owned())
        .spawn(move || sender.send(visit(&thread_launch, backend, &thread_options, &addresses)))
        .map_err(|error| Error::native("cannot start a thread: ", error.to_string()))?;
    let limit = options.timeout.saturating_mul(2).saturating_add(GRACE);
    match receiver.recv_timeout(limit) {
        Ok(met) => met,
        Err(_) => Err(ErrorKind::Unreachable {
            address: master(launch),
            seconds: limit.as_secs_f64(),
            message: "it accepts connections, and does not answer".to_owned(),
        }
        .into()),
    }
}

fn visit(launch: &Launch, backend: Backend, options: &GroupOptions, addresses: &[SocketAddr]) -> Result<Met> {
    Visit { launch, backend, options, deadline: Instant::now() + options.timeout }.run(addresses)
}

fn master(launch: &Launch) -> String {
    format!("{}:{}", launch.master_addr, launch.master_port)
}

struct Visit<'a> {
    launch: &'a Launch,
    backend: Backend,
    options: &'a GroupOptions,
    deadline: Instant,
}

impl Visit<'_> {
    fn run(&self, addresses: &[SocketAddr]) -> Result<Met> {
        let serves = self.launch.rank == 0 && !self.launch.agent_store;
        let (master, listener) = if serves {
            (addresses.first().copied(), address::listen(self.launch.master_port)?.into_raw_fd())
        } else {
            let reached = address::wait_for(addresses, &self.launch.master_addr, self.deadline, self.options.timeout)?;
            (Some(reached), -1)
        };
        let route = master.and_then(|master| address::toward(master, self.launch.spans_machines()).ok());
        let address = match route {
            Some(ip) if std::env::var_os("GLOO_SOCKET_IFNAME").is_none() => ip.to_string(),
            _ => String::new(),
        };
        let meeting = Meeting {
            host: self.launch.master_addr.clone(),
            port: self.launch.master_port,
            rank: self.launch.rank as i64,
            world_size: self.launch.world_size as i64,
            serves,
            listener,
            timeout_ms: u64::try_from(self.options.timeout.as_millis()).unwrap_or(u64::MAX >> 16),
            address,
            compares: self.options.compares,
            nccl: self.backend == Backend::Nccl,
        };
        let store = bridge::open_store(&meeting).map_err(|error| self.unreachable(&error))?;
        let watch = Watch::start(route);
        let cards = match self.introduce(&store, &watch) {
            Ok(cards) => cards,
            Err(error) => {
                if serves {
                    std::thread::sleep(LINGER);
                }
                return Err(error);
            }
        };
        let group = bridge::form_group(&store, &meeting)
            .map_err(|error| Error::native("cannot connect to the other ranks: ", error.what()))?;
        let cards = if self.options.compares { cards } else { self.read_all(&store)? };
        Ok(Met { group, store, watch, cards })
    }

    /// Leaves a card in the store, and, if all do so, reads those of the others.
    fn introduce(&self, store: &Store, watch: &Watch) -> Result<Vec<Option<Card>>> {
        let rank = self.launch.rank;
        let claims = store.add(&format!("mmcv/claims/{rank}"), 1).map_err(|error| self.unreachable(&error))?;
        if claims > 1 {
            let other = self.read(store, rank)?.map_or_else(|| "unknown".to_owned(), |card| card.process());
            return Err(ErrorKind::SameRank { rank, other }.into());
        }
        let card = Card::new(self.launch.world_size, self.options.compares, watch.address());
        let text = serde_json::to_vec(&card).map_err(|error| ErrorKind::Results(error.to_string()))?;
        store.set(&key(rank), &text).map_err(|error| self.unreachable(&error))?;
        if self.options.compares { self.wait_for_all(store, &card) } else { Ok(Vec::new()) }
    }

    fn wait_for_all(&self, store: &Store, own: &Card) -> Result<Vec<Option<Card>>> {
        let mut cards: Vec<Option<Card>> = Vec::new();
        cards.resize_with(self.launch.world_size, || None);
        loop {
            for (rank, slot) in cards.iter_mut().enumerate() {
                if slot.is_none() {
                    *slot = self.read(store, rank)?;
                    check_settings(own, rank, slot.as_ref())?;
                }
            }
            let missing: Vec<usize> =
                (0..cards.len()).filter(|rank| cards.get(*rank).is_some_and(Option::is_none)).collect();
            if missing.is_empty() {
                return Ok(cards);
            }
            if Instant::now() >= self.deadline {
                let (world_size, address) = (self.launch.world_size, master(self.launch));
                let seconds = self.options.timeout.as_secs_f64();
                return Err(ErrorKind::Absent { missing, world_size, address, seconds }.into());
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn read_all(&self, store: &Store) -> Result<Vec<Option<Card>>> {
        (0..self.launch.world_size).map(|rank| self.read(store, rank)).collect()
    }

    fn read(&self, store: &Store, rank: usize) -> Result<Option<Card>> {
        let bytes = store.get(&key(rank)).map_err(|error| self.unreachable(&error))?;
        Ok(serde_json::from_slice(&bytes).ok())
    }

    fn unreachable(&self, error: &cxx::Exception) -> Error {
        let message = mmcv_layers::torch_message(error.what());
        ErrorKind::Unreachable { address: master(self.launch), seconds: self.options.timeout.as_secs_f64(), message }
            .into()
    }
}

fn key(rank: usize) -> String {
    format!("mmcv/cards/{rank}")
}

fn check_settings(own: &Card, other: usize, card: Option<&Card>) -> Result<()> {
    let Some(card) = card else { return Ok(()) };
    let (what, here, there) = if card.world_size != own.world_size {
        ("the number of processes (WORLD_SIZE)", own.world_size.to_string(), card.world_size.to_string())
    } else if card.compares != own.compares {
        ("GroupOptions::compares", own.compares.to_string(), card.compares.to_string())
    } else {
        return Ok(());
    };
    Err(ErrorKind::Settings { what, here, other, there }.into())
}
