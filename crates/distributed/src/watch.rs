//! What a process tells others about itself, and what it finds out about them when a call fails.
//!
//! Each process listens at a port of its own and answers with the call that it is at. So an error can say which rank has ended,
//! is stopped, or is elsewhere, without the connections of the group, which may be gone or hang.

use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address;
use crate::error::{RankReport, RankState};

/// How long another process may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often an ended process is looked for: its sockets do not close all at once.
const ATTEMPTS: usize = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// What the others know of a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Card {
    pub(crate) world_size: usize,
    pub(crate) compares: bool,
    pub(crate) host: String,
    pub(crate) process: u32,
    /// Where it tells its place.
    pub(crate) watch: Option<SocketAddr>,
}

impl Card {
    pub(crate) fn new(world_size: usize, compares: bool, watch: Option<SocketAddr>) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "unknown host".to_owned() } else { host.trim().to_owned() };
        Self { world_size, compares, host, process: std::process::id(), watch }
    }

    pub(crate) fn process(&self) -> String {
        format!("process {} on {}", self.process, self.host)
    }
}

/// The call that a process is at.
#[derive(Debug, Default)]
struct Place {
    number: u64,
    call: String,
    is_over: bool,
}

impl Place {
    fn text(&self) -> String {
        match (self.number, self.is_over) {
            (0, _) => "the beginning".to_owned(),
            (number, false) => format!("call {number} ({})", self.call),
            (number, true) => format!("what follows call {number} ({})", self.call),
        }
    }
}

/// Answers to those who ask where this process is.
#[derive(Debug)]
pub(crate) struct Watch {
    place: Arc<Mutex<Place>>,
    ends: Arc<AtomicBool>,
    address: Option<SocketAddr>,
}

impl Watch {
    /// Listens at a free port of the address. Without one, errors know less of this process.
    pub(crate) fn start(ip: Option<IpAddr>) -> Self {
        let mut watch = Self { place: Arc::default(), ends: Arc::default(), address: None };
        let Some(ip) = ip else { return watch };
        match watch.listen(ip) {
            Ok(address) => watch.address = Some(address),
            Err(error) => log::warn!("cannot listen on {ip}: {error}: errors of other ranks will not name this one"),
        }
        watch
    }

    fn listen(&self, ip: IpAddr) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind((ip, 0))?;
        let address = listener.local_addr()?;
        let (place, ends) = (Arc::clone(&self.place), Arc::clone(&self.ends));
        std::thread::Builder::new().name("mmcv-watch".to_owned()).spawn(move || answer(&listener, &place, &ends))?;
        Ok(address)
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Notes that a call begins.
    pub(crate) fn enter(&self, call: &str) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.number += 1;
        place.is_over = false;
        call.clone_into(&mut place.call);
    }

    /// Notes that the call is over.
    pub(crate) fn leave(&self) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
    }

    /// Where this process is.
    pub(crate) fn place(&self) -> String {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).text()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(address) = self.address {
            // Wakes the thread.
            let _ = TcpStream::connect_timeout(&address, PATIENCE);
        }
    }
}

fn answer(listener: &TcpListener, place: &Mutex<Place>, ends: &AtomicBool) {
    for stream in listener.incoming() {
        if ends.load(Ordering::Acquire) {
            return;
        }
        let Ok(mut stream) = stream else { continue };
        let text = place.lock().unwrap_or_else(PoisonError::into_inner).text();
        let _ = stream.set_write_timeout(Some(PATIENCE));
        let _ = stream.write_all(text.as_bytes());
    }
}

/// The ranks that cannot go on, or, if all seem to, none.
pub(crate) fn lost(cards: &[Option<Card>], rank: usize) -> Vec<RankReport> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        let mut reports = ask_all(cards, rank);
        reports.retain(|report| !matches!(report.state, RankState::At(_)));
        if !reports.is_empty() {
            return reports;
        }
    }
    Vec::new()
}

/// The ranks that are not at `place`.
pub(crate) fn late(cards: &[Option<Card>], rank: usize, place: &str) -> Vec<RankReport> {
    let mut reports = ask_all(cards, rank);
    reports.retain(|report| !matches!(&report.state, RankState::At(there) if there == place));
    reports
}

/// Asks all other ranks at once.
fn ask_all(cards: &[Option<Card>], rank: usize) -> Vec<RankReport> {
    std::thread::scope(|scope| {
        let mut questions = Vec::new();
        for (other, card) in cards.iter().enumerate() {
            if let Some(card) = card
                && let Some(address) = card.watch
                && other != rank
            {
                questions.push((other, card, scope.spawn(move || ask(address))));
            }
        }
        let mut reports = Vec::new();
        for (rank, card, question) in questions {
            let state = question.join().unwrap_or(RankState::Silent);
            reports.push(RankReport { rank, process: card.process(), state });
        }
        reports
    })
}

fn ask(address: SocketAddr) -> RankState {
    let mut stream = match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(stream) => stream,
        Err(error) if address::is_gone(error.kind()) => return RankState::Ended,
        Err(_) => return RankState::Unreachable,
    };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut place = String::new();
    match stream.read_to_string(&mut place) {
        Ok(0) => RankState::Ended,
        Ok(_) => RankState::At(place),
        Err(error) if matches!(error.kind(), IoErrorKind::WouldBlock | IoErrorKind::TimedOut) => RankState::Silent,
        Err(_) => RankState::Ended,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_process_tells_where_it_is() {
        let watch = Watch::start(Some(Ipv4Addr::LOCALHOST.into()));
        let cards = vec![None, Some(Card::new(2, true, watch.address()))];
        watch.enter("barrier");
        assert_eq!(ask_all(&cards, 0)[0].state, RankState::At("call 1 (barrier)".to_owned()));
        assert!(late(&cards, 0, "call 1 (barrier)").is_empty());
        watch.leave();
        assert_eq!(
            late(&cards, 0, "call 2 (barrier)")[0].state,
            RankState::At("what follows call 1 (barrier)".to_owned())
        );
        assert!(ask_all(&cards, 1).is_empty());
    }

    #[test]
    fn a_process_that_ended_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(ask(address), RankState::Silent);
        drop(listener);
        assert_eq!(ask(address), RankState::Ended);
        let cards = vec![Some(Card::new(2, true, Some(address))), None];
        assert_eq!(lost(&cards, 1)[0].state, RankState::Ended);
    }
}
