//! Two network namespaces, joined by a pair of devices, as two machines.

use std::process::{Command, Stdio};

use super::harness::Job;

/// Namespaces of this test, which are removed at its end.
struct Machines {
    names: [String; 2],
}

impl Machines {
    /// `None` where this is not allowed.
    fn new() -> Option<Self> {
        let process = std::process::id();
        let machines = Self { names: [format!("mmcv-{process}-a"), format!("mmcv-{process}-b")] };
        let [left, right] = &machines.names;
        let devices = [format!("mm{process}a"), format!("mm{process}b")];
        for name in &machines.names {
            ip(&["netns", "add", name])?;
        }
        ip(&["link", "add", &devices[0], "netns", left, "type", "veth", "peer", "name", &devices[1], "netns", right])?;
        for ((name, device), address) in machines.names.iter().zip(&devices).zip(["10.77.0.1/24", "10.77.0.2/24"]) {
            ip(&["-n", name, "addr", "add", address, "dev", device])?;
            ip(&["-n", name, "link", "set", device, "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        Some(machines)
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Option<()> {
    let status = Command::new("ip").args(arguments).stderr(Stdio::null()).status().ok()?;
    if status.success() { Some(()) } else { None }
}

/// With nothing set but the address of rank 0: the host names of both are those of this machine.
#[test]
fn two_machines_need_only_the_address() {
    let Some(machines) = Machines::new() else {
        println!("not run: network namespaces are not allowed here");
        return;
    };
    let mut job = Job::new("collectives", 2);
    for (rank, name) in machines.names.iter().enumerate() {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", name]).arg(std::env::current_exe().unwrap());
        job.start_by(command, rank, &[("MASTER_ADDR", "10.77.0.1"), ("LOCAL_WORLD_SIZE", "1"), ("LOCAL_RANK", "0")]);
    }
    for rank in 0..2 {
        assert_eq!(job.end(rank), Ok(rank.into()));
    }
}
