//! Where rank 0 is, and which address of this machine others reach.

use std::io::ErrorKind as IoErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use crate::{ErrorKind, Result};

/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);
/// An address outside this machine that nobody has (RFC 5737).
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The addresses of a host; never empty.
pub(crate) fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let message = match (host, port).to_socket_addrs() {
        Ok(addresses) => {
            let addresses: Vec<_> = addresses.collect();
            if !addresses.is_empty() {
                return Ok(addresses);
            }
            "no address".to_owned()
        }
        Err(error) => error.to_string(),
    };
    Err(ErrorKind::Resolve { host: host.to_owned(), message }.into())
}

/// A socket at a port on all addresses of this machine.
pub(crate) fn listen(port: u16) -> Result<TcpListener> {
    let everywhere: [SocketAddr; 2] =
        [(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port).into(), (IpAddr::V4(Ipv4Addr::UNSPECIFIED), port).into()];
    TcpListener::bind(&everywhere[..]).map_err(|error| ErrorKind::Port { port, message: error.to_string() }.into())
}

/// Waits until something listens at one of the addresses.
pub(crate) fn wait_for(
    addresses: &[SocketAddr],
    host: &str,
    deadline: Instant,
    timeout: Duration,
) -> Result<SocketAddr> {
    loop {
        let mut message = String::new();
        for address in addresses {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match TcpStream::connect_timeout(address, left) {
                Ok(_) => return Ok(*address),
                Err(error) => message = error.to_string(),
            }
        }
        if Instant::now() + PAUSE >= deadline {
            let port = addresses.first().map_or(0, SocketAddr::port);
            let address = format!("{host}:{port}");
            return Err(ErrorKind::Unreachable { address, seconds: timeout.as_secs_f64(), message }.into());
        }
        std::thread::sleep(PAUSE);
    }
}

/// The address of this machine on the route to another one; no packet is sent. For `spans_machines`, an address that other
/// machines reach: many systems know their own name as 127.0.1.1.
pub(crate) fn toward(master: SocketAddr, spans_machines: bool) -> std::io::Result<IpAddr> {
    let address = route(master)?;
    if !spans_machines || !address.is_loopback() {
        return Ok(address);
    }
    Ok(route(ELSEWHERE.into()).unwrap_or(address))
}

fn route(to: SocketAddr) -> std::io::Result<IpAddr> {
    let unspecified: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((unspecified, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// Whether a process that had a socket is gone, by the error of a connection to it.
pub(crate) fn is_gone(kind: IoErrorKind) -> bool {
    matches!(kind, IoErrorKind::ConnectionRefused | IoErrorKind::ConnectionReset | IoErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_host_and_port() {
        let error = resolve("no-such-host.invalid", 1).unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid") && error.contains("MASTER_ADDR"), "{error}");

        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        drop(taken);
        let (now, timeout) = (Instant::now(), Duration::from_millis(300));
        let error = wait_for(&[address], "127.0.0.1", now + timeout, timeout).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("MASTER_PORT"), "{error}");
    }

    #[test]
    fn a_taken_port_is_an_error() {
        let taken = listen(0).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen(port).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("MASTER_PORT"), "{error}");
    }

    #[test]
    fn the_address_is_the_one_on_the_route() {
        let master = SocketAddr::from(([127, 0, 0, 1], 29500));
        assert!(toward(master, false).unwrap().is_loopback());
    }
}
