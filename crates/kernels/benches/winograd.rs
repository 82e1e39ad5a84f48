//! What Winograd convolutions take, and how many multiplications of the direct form a second that is.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mmcv_kernels::{Convolution, Finish, Isa, Layout, Problem, Tile, Workers};

type Task<'a> = &'a (dyn Fn(usize) + Sync);

/// Two threads of which the second waits without sleeping, as OpenMP's do between regions.
struct Pair {
    task: std::sync::Mutex<Option<Task<'static>>>,
    asked: AtomicUsize,
    done: AtomicUsize,
}

static PAIR: Pair = Pair { task: std::sync::Mutex::new(None), asked: AtomicUsize::new(0), done: AtomicUsize::new(0) };

impl Pair {
    fn start() {
        std::thread::spawn(|| {
            let mut seen = 0;
            loop {
                while PAIR.asked.load(Ordering::Acquire) == seen {
                    std::hint::spin_loop();
                }
                seen += 1;
                let task = PAIR.task.lock().unwrap().unwrap();
                task(1);
                PAIR.done.store(seen, Ordering::Release);
            }
        });
    }
}

impl Workers for Pair {
    #[allow(unsafe_code)]
    fn run(&self, count: usize, task: Task<'_>) {
        if count < 2 {
            (0..count).for_each(task);
            return;
        }
        // SAFETY: the other thread has finished the task before this function returns.
        *self.task.lock().unwrap() = Some(unsafe { std::mem::transmute::<Task<'_>, Task<'static>>(task) });
        let asked = self.asked.fetch_add(1, Ordering::Release) + 1;
        task(0);
        while self.done.load(Ordering::Acquire) != asked {
            std::hint::spin_loop();
        }
    }
}

/// Memory that starts at a line of the cache.
fn aligned(memory: &mut Vec<f32>, count: usize) -> &mut [f32] {
    *memory = vec![0.5; count + 16];
    let start = memory.as_ptr().align_offset(64);
    &mut memory[start..start + count]
}

/// Seconds; those of the processor if there is one thread, so that other load counts less.
#[allow(unsafe_code)]
fn now(threads: usize) -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    if threads > 1 {
        return START.get_or_init(Instant::now).elapsed().as_secs_f64();
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value that lives for the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn main() {
    let isa = Isa::best();
    let threads: usize = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1);
    if threads > 1 {
        Pair::start();
    }
    println!("{isa:?}, {threads} threads; milliseconds, thousand million multiplications of the direct form a second");
    let shapes = [
        (1, 64, 64, 56),
        (1, 128, 128, 28),
        (1, 256, 256, 14),
        (1, 512, 512, 7),
        (1, 64, 64, 224),
        (1, 64, 128, 112),
        (1, 128, 128, 112),
        (1, 256, 256, 56),
        (1, 256, 512, 28),
        (1, 512, 512, 28),
        (1, 512, 512, 14),
        (1, 18, 18, 56),
        (1, 36, 36, 28),
        (1, 72, 72, 14),
        (1, 144, 144, 7),
        (1, 26, 26, 56),
        (1, 52, 52, 28),
        (1, 104, 104, 14),
        (1, 208, 208, 7),
        (8, 64, 64, 56),
        (8, 128, 128, 28),
        (8, 256, 256, 14),
        (8, 512, 512, 7),
        (8, 72, 72, 14),
    ];
    for (batch, in_channels, out_channels, size) in shapes {
        print!("{batch} x {in_channels:3} -> {out_channels:3}, {size:3}: ");
        for tile in [Tile::F2, Tile::F4, Tile::F6] {
            let layout = Layout::ChannelsLast;
            let problem = Problem {
                batch,
                in_channels,
                out_channels,
                height: size,
                width: size,
                padding: 1,
                dilation: 1,
                source: layout,
                result: layout,
            };
            let convolution = Convolution::new(problem, tile, isa, threads).unwrap();
            let [mut a, mut c, mut d] = [Vec::new(), Vec::new(), Vec::new()];
            // Copies of the weights that do not fit into the cache together, as in a network.
            let copies = ((64 << 20) / (convolution.packed_len() * 4)).clamp(1, 40);
            let mut memory: Vec<Vec<f32>> = vec![Vec::new(); copies];
            let weights: Vec<&mut [f32]> = memory.iter_mut().map(|m| aligned(m, convolution.packed_len())).collect();
            let source = aligned(&mut a, batch * in_channels * size * size);
            let result = aligned(&mut c, batch * out_channels * size * size);
            let scratch = aligned(&mut d, convolution.scratch_len());
            let mut times = Vec::new();
            for round in 0..30 {
                let start = now(threads);
                convolution.run(weights[round % copies], source, &Finish::default(), result, scratch, &PAIR).unwrap();
                times.push((now(threads) - start) * 1e3);
            }
            times.sort_by(f64::total_cmp);
            let middle = times[times.len() / 2];
            let work = (batch * in_channels * out_channels * size * size * 9) as f64 / 1e9;
            print!("  {tile:?} {middle:7.3} ({:5.0})", work / middle * 1e3);
        }
        println!();
    }
}
