//! Throughput: as many images as possible in about a second.

use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::peer::Peer;

/// The time for one turn.
const TURN: Duration = Duration::from_secs(1);

/// All processes of a contender at once, for a turn; the time of a pass of streams is that for each input. Returns the milliseconds
/// for each image.
pub(super) fn turn(peers: &mut [Peer], batch: u32) -> Result<f64, String> {
    let times = thread::scope(|scope| {
        let threads: Vec<_> = peers.iter_mut().map(|peer| scope.spawn(|| time_per_pass(peer))).collect();
        threads.into_iter().map(ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut rate = 0.0;
    for time in times {
        match time {
            Ok(time) => rate += f64::from(batch) / time?,
            Err(_) => return Err("a thread panicked".to_owned()),
        }
    }
    Ok(1.0 / rate)
}

/// The mean of the passes of a turn, in milliseconds. The first one only refills the caches.
fn time_per_pass(peer: &mut Peer) -> Result<f64, String> {
    let start = Instant::now();
    peer.pass()?;
    let (mut sum, mut passes) = (0.0, 0.0);
    while passes == 0.0 || start.elapsed() < TURN {
        sum += peer.pass()?;
        passes += 1.0;
    }
    Ok(sum / passes)
}
