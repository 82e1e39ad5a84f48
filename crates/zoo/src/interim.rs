//! Interim answers (`100 Continue`, `103 Early Hints`), which a server may send before the answer proper: they are taken out of
//! what arrives before `ureq` sees it, which refuses some of them.

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Interim answers to one request; more are left to `ureq` to refuse.
const MOST: usize = 100;

/// Comes last in a chain of connectors.
#[derive(Debug, Default)]
pub(crate) struct InterimConnector(());

impl<In: Transport> Connector<In> for InterimConnector {
    type Out = InterimTransport<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| InterimTransport { inner, left: 0 }))
    }
}

/// A connection without interim answers.
#[derive(Debug)]
pub(crate) struct InterimTransport<T> {
    inner: T,
    /// Interim answers that may still come; 0 where the answer proper has begun.
    left: usize,
}

impl<T: Transport> Transport for InterimTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.left = MOST;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let made_progress = self.inner.await_input(timeout)?;
        while self.left > 0 {
            match interim(self.inner.buffers().input()) {
                Head::Interim(length) => {
                    self.inner.buffers().input_consume(length);
                    self.left -= 1;
                }
                Head::Unknown => break,
                Head::Proper => self.left = 0,
            }
        }
        Ok(made_progress)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// What the beginning of an answer is.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    /// An interim answer of so many bytes.
    Interim(usize),
    /// The answer proper.
    Proper,
    /// Not enough is there to tell, or to pass by all of it.
    Unknown,
}

fn interim(input: &[u8]) -> Head {
    const LINE: &[u8] = b"HTTP/1.x 1dd";
    for (at, expected) in LINE.iter().enumerate() {
        let Some(found) = input.get(at) else { return Head::Unknown };
        let fits = match expected {
            b'x' | b'd' => found.is_ascii_digit(),
            expected => found == expected,
        };
        if !fits {
            return Head::Proper;
        }
    }
    // The connection becomes another one, for which nobody has asked.
    if input.get(9..12) == Some(b"101") {
        return Head::Proper;
    }
    match input.windows(4).position(|end| end == b"\r\n\r\n") {
        Some(at) => Head::Interim(at + 4),
        None => Head::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_answers_are_told_from_others() {
        for (input, expected) in [
            ("", Head::Unknown),
            ("HTTP/1.1 1", Head::Unknown),
            ("HTTP/1.1 100 Continue\r\n", Head::Unknown),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP", Head::Interim(25)),
            ("HTTP/1.0 103 Early Hints\r\nLink: a\r\n\r\n", Head::Interim(37)),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Head::Proper),
            ("HTTP/1.1 200 OK", Head::Proper),
            ("junk", Head::Proper),
        ] {
            assert_eq!(interim(input.as_bytes()), expected, "{input:?}");
        }
    }
}
