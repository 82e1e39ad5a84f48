//! Skips interim responses (`100 Continue`, `103 Early Hints`), which a server may send before the final one. `ureq`
//! rejects some of them.

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Interim responses that are skipped for one request; `ureq` rejects further ones.
const MAX_INTERIM: usize = 100;

/// The last connector of a chain.
#[derive(Debug, Default)]
pub(crate) struct InterimConnector(());

impl<In: Transport> Connector<In> for InterimConnector {
    type Out = InterimTransport<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| InterimTransport { inner, left: 0 }))
    }
}

/// A connection without interim responses.
#[derive(Debug)]
pub(crate) struct InterimTransport<T> {
    inner: T,
    /// Interim responses that may still arrive; 0 once the final one has begun.
    left: usize,
}

impl<T: Transport> Transport for InterimTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.left = MAX_INTERIM;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let made_progress = self.inner.await_input(timeout)?;
        while self.left > 0 {
            match classify(self.inner.buffers().input()) {
                Head::Interim(length) => {
                    self.inner.buffers().input_consume(length);
                    self.left -= 1;
                }
                Head::Incomplete => break,
                Head::Final => self.left = 0,
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

/// The start of a response.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    /// An interim response of this many bytes.
    Interim(usize),
    /// The final response.
    Final,
    /// More bytes are needed to tell, or to skip all of it.
    Incomplete,
}

fn classify(input: &[u8]) -> Head {
    const LINE: &[u8] = b"HTTP/1.x 1dd";
    for (at, expected) in LINE.iter().enumerate() {
        let Some(found) = input.get(at) else { return Head::Incomplete };
        let fits = match expected {
            b'x' | b'd' => found.is_ascii_digit(),
            expected => found == expected,
        };
        if !fits {
            return Head::Final;
        }
    }
    // `101` switches protocols, which was not requested.
    if input.get(9..12) == Some(b"101") {
        return Head::Final;
    }
    match input.windows(4).position(|end| end == b"\r\n\r\n") {
        Some(at) => Head::Interim(at + 4),
        None => Head::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_responses_are_recognized() {
        for (input, expected) in [
            ("", Head::Incomplete),
            ("HTTP/1.1 1", Head::Incomplete),
            ("HTTP/1.1 100 Continue\r\n", Head::Incomplete),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP", Head::Interim(25)),
            ("HTTP/1.0 103 Early Hints\r\nLink: a\r\n\r\n", Head::Interim(37)),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Head::Final),
            ("HTTP/1.1 200 OK", Head::Final),
            ("junk", Head::Final),
        ] {
            assert_eq!(classify(input.as_bytes()), expected, "{input:?}");
        }
    }
}
