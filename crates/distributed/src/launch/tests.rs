//! Environments of all launchers, right and wrong.

use super::{Launch, Launcher};

fn read(variables: &[(&str, &str)]) -> Result<Launch, String> {
    let lookup = |name: &str| variables.iter().find(|entry| entry.0 == name).map(|entry| entry.1.to_owned());
    Launch::from_variables(lookup).map_err(|error| error.to_string())
}

/// The variables with changes, of which an empty value removes one.
fn changed<'a>(variables: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = variables.iter().filter(|(name, _)| changes.iter().all(|change| change.0 != *name));
    kept.chain(changes).copied().collect()
}

const TORCHRUN: [(&str, &str); 7] = [
    ("RANK", "3"),
    ("WORLD_SIZE", "4"),
    ("LOCAL_RANK", "1"),
    ("LOCAL_WORLD_SIZE", "2"),
    ("MASTER_ADDR", "node7"),
    ("MASTER_PORT", "29501"),
    ("TORCHELASTIC_USE_AGENT_STORE", "True"),
];

const SLURM: [(&str, &str); 5] = [
    ("SLURM_PROCID", "5"),
    ("SLURM_NTASKS", "8"),
    ("SLURM_LOCALID", "1"),
    ("SLURM_NODELIST", "node[03-04],x"),
    ("SLURM_NNODES", "3"),
];

const MPI: [(&str, &str); 4] = [
    ("OMPI_COMM_WORLD_RANK", "1"),
    ("OMPI_COMM_WORLD_SIZE", "2"),
    ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
    ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
];

#[test]
fn torchrun() {
    let launch = read(&TORCHRUN).unwrap();
    assert_eq!((launch.launcher, launch.rank, launch.world_size), (Launcher::Torchrun, 3, 4));
    assert_eq!((launch.local_rank, launch.local_world_size), (1, Some(2)));
    assert_eq!((launch.master_addr.as_str(), launch.master_port, launch.agent_store), ("node7", 29501, true));
    assert!(launch.spans_machines());
    assert_eq!(read(&[("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0")]).unwrap().world_size, 1);
}

#[test]
fn slurm() {
    let launch = read(&SLURM).unwrap();
    assert_eq!((launch.launcher, launch.rank, launch.world_size, launch.local_rank), (Launcher::Slurm, 5, 8, 1));
    assert_eq!((launch.master_addr.as_str(), launch.master_port, launch.agent_store), ("node03", 29500, false));
    let given = changed(&SLURM, &[("MASTER_ADDR", "10.0.0.1"), ("MASTER_PORT", "7"), ("SLURM_NODELIST", "")]);
    let launch = read(&given).unwrap();
    assert_eq!((launch.master_addr.as_str(), launch.master_port), ("10.0.0.1", 7));
    assert_eq!(read(&[("SLURM_NTASKS", "1")]).unwrap().world_size, 1);
}

#[test]
fn open_mpi() {
    let launch = read(&MPI).unwrap();
    assert_eq!((launch.launcher, launch.rank, launch.world_size), (Launcher::OpenMpi, 1, 2));
    assert_eq!((launch.master_addr.as_str(), launch.master_port), ("127.0.0.1", 29500));
    let error = read(&changed(&MPI, &[("OMPI_COMM_WORLD_LOCAL_SIZE", "1")])).unwrap_err();
    assert!(error.contains("MASTER_ADDR is not set"), "{error}");
}

#[test]
fn the_order_is_that_of_mmengine() {
    let all: Vec<_> = TORCHRUN.iter().chain(&SLURM).chain(&MPI).copied().collect();
    assert_eq!(read(&all).unwrap().launcher, Launcher::Torchrun);
    let two: Vec<_> = SLURM.iter().chain(&MPI).copied().collect();
    assert_eq!(read(&two).unwrap().launcher, Launcher::Slurm);
    assert_eq!(read(&[]).unwrap(), Launch::single());
}

#[test]
fn errors_name_the_variable() {
    for (variables, change, beginning) in [
        (&TORCHRUN[..], ("RANK", ""), "RANK is not set, and WORLD_SIZE is"),
        (&TORCHRUN, ("LOCAL_RANK", ""), "LOCAL_RANK is not set, and WORLD_SIZE is"),
        (&TORCHRUN, ("MASTER_ADDR", ""), "MASTER_ADDR is not set, and WORLD_SIZE is"),
        (&TORCHRUN, ("MASTER_PORT", ""), "MASTER_PORT is not set, and WORLD_SIZE is"),
        (&TORCHRUN, ("WORLD_SIZE", ""), "WORLD_SIZE is not set, and RANK is"),
        (&TORCHRUN, ("RANK", "4"), "RANK is \"4\": expected a number below WORLD_SIZE, which is 4"),
        (&TORCHRUN, ("RANK", "-1"), "RANK is \"-1\": expected a number"),
        (&TORCHRUN, ("WORLD_SIZE", "0"), "WORLD_SIZE is \"0\": expected a number of processes"),
        (&TORCHRUN, ("WORLD_SIZE", "two"), "WORLD_SIZE is \"two\": expected a number"),
        (&TORCHRUN, ("LOCAL_RANK", "2"), "LOCAL_RANK is \"2\": expected a number below LOCAL_WORLD_SIZE, which is 2"),
        (&TORCHRUN, ("LOCAL_WORLD_SIZE", "5"), "LOCAL_WORLD_SIZE is \"5\": expected at most WORLD_SIZE, which is 4"),
        (&TORCHRUN, ("MASTER_PORT", "70000"), "MASTER_PORT is \"70000\": expected a port"),
        (
            &TORCHRUN,
            ("TORCHELASTIC_USE_AGENT_STORE", "1"),
            "TORCHELASTIC_USE_AGENT_STORE is \"1\": expected True or False",
        ),
        (&SLURM, ("SLURM_PROCID", ""), "SLURM_PROCID is not set, and SLURM_NTASKS is"),
        (&SLURM, ("SLURM_PROCID", "8"), "SLURM_PROCID is \"8\": expected a number below SLURM_NTASKS, which is 8"),
        (&SLURM, ("SLURM_NODELIST", "node["), "SLURM_NODELIST is \"node[\": expected a list of hosts"),
        (&SLURM, ("SLURM_NODELIST", ""), "SLURM_NODELIST is not set, and SLURM_NTASKS is"),
        (&SLURM, ("SLURM_STEP_NUM_TASKS", "1"), "SLURM_STEP_NUM_TASKS is \"1\": expected SLURM_NTASKS, which is 8"),
        (&MPI, ("OMPI_COMM_WORLD_RANK", ""), "OMPI_COMM_WORLD_RANK is not set, and OMPI_COMM_WORLD_SIZE is"),
        (&MPI, ("OMPI_COMM_WORLD_SIZE", ""), "OMPI_COMM_WORLD_SIZE is not set, and OMPI_COMM_WORLD_RANK is"),
    ] {
        let error = read(&changed(variables, &[change])).unwrap_err();
        assert!(error.starts_with(beginning), "{change:?}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_value_panics(name in 0usize..16, value in ".{0,12}") {
        let all: Vec<_> = TORCHRUN.iter().chain(&SLURM).chain(&MPI).copied().collect();
        if let Some((changed_name, _)) = all.get(name) {
            for variables in [&TORCHRUN[..], &SLURM, &MPI] {
                let _ = read(&changed(variables, &[(*changed_name, &value)]));
            }
        }
    }
}
