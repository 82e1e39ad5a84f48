//! Work on many items by several threads, with results in the order of the items.

use std::sync::mpsc::sync_channel;
use std::thread;

/// Applies `work` to all items, by `threads` threads, and calls `handle` with the results in order, on this thread, each as soon as it
/// and those before it are there. Memory does not grow with the number of items: each thread is at most one item ahead. Items are taken
/// by a thread of its own, which may wait for them.
///
/// Returns the first error of `handle`. No further items are taken then, but one that the thread waits for has to come, or the
/// iterator to end.
pub fn in_order<T: Send, U: Send, E>(
    threads: usize,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> U + Sync,
    mut handle: impl FnMut(U) -> Result<(), E>,
) -> Result<(), E> {
    thread::scope(|scope| {
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for _ in 0..threads.max(1) {
            let (input, items) = sync_channel::<T>(1);
            let (results, output) = sync_channel::<U>(1);
            let work = &work;
            scope.spawn(move || {
                for item in items {
                    if results.send(work(item)).is_err() {
                        return;
                    }
                }
            });
            inputs.push(input);
            outputs.push(output);
        }
        scope.spawn(move || {
            for (item, input) in items.zip(inputs.iter().cycle()) {
                if input.send(item).is_err() {
                    return;
                }
            }
        });
        // The first thread without a further result has had the last item but those of the threads before it.
        for output in outputs.iter().cycle() {
            match output.recv() {
                Ok(result) => handle(result)?,
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::in_order;

    #[test]
    fn results_are_in_order_and_memory_is_bounded() {
        let taken = AtomicUsize::new(0);
        for (threads, count) in [(0, 3), (1, 5), (3, 0), (3, 1), (3, 100), (4, 7)] {
            taken.store(0, Ordering::SeqCst);
            let items = (0..count).inspect(|_| {
                taken.fetch_add(1, Ordering::SeqCst);
            });
            let work = |item: usize| {
                std::thread::sleep(Duration::from_micros((item * 7 % 5) as u64 * 100));
                item * 2
            };
            let mut found = Vec::new();
            let handled: Result<(), ()> = in_order(threads, items, work, |result| {
                found.push(result);
                // Each thread has an item and a result in its channels and one at work, and the taker has one more.
                assert!(taken.load(Ordering::SeqCst) <= found.len() + 3 * threads.max(1) + 1);
                Ok(())
            });
            assert_eq!(handled, Ok(()));
            assert_eq!(found, (0..count).map(|item| item * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_ends_the_work() {
        let mut handled = 0;
        let result = in_order(
            2,
            0..,
            |item: u64| item,
            |item| {
                handled += 1;
                if item == 5 { Err("five") } else { Ok(()) }
            },
        );
        assert_eq!((result, handled), (Err("five"), 6));
    }

    /// Whoever asks for one thing and waits for the answer gets it.
    #[test]
    fn a_result_does_not_wait_for_further_items() {
        let (questions, items) = channel();
        questions.send(1).unwrap();
        let mut questions = Some(questions);
        let mut answers = 0;
        let result: Result<(), ()> = in_order(
            3,
            items.into_iter(),
            |item: u32| item,
            |item| {
                answers += 1;
                assert_eq!(item, answers);
                match &questions {
                    Some(questions) if item < 10 => questions.send(item + 1).unwrap(),
                    _ => questions = None,
                }
                Ok(())
            },
        );
        assert_eq!((result, answers), (Ok(()), 10));
    }
}
