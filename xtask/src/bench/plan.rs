//! The comparisons of a run, in order.

use super::Network;
use super::case::{Case, Kind, SIZE};
use super::engine::Engine;

/// The parts of a quick run.
const QUICK: [Kind; 2] = [Kind::Inference, Kind::StartUp];
/// The networks that are measured in int8 and for throughput.
const SMALL_AND_LARGE: [&str; 3] = ["resnet50", "mobilenet_v2", "regnetx_400mf"];
/// Batches of the usual size, and sizes of one image.
const BATCHES: [u32; 6] = [1, 2, 4, 8, 16, 32];
const SIZES: [u32; 5] = [320, 448, 640, 800, 1024];

/// The comparisons of these parts, or of all parts if `only` is empty, in which one of these networks and one of these engines,
/// or any if there are none, take part. A quick run has fewer of each part.
pub(super) fn cases(networks: &[Network], only: &[Kind], engines: &[Engine], quick: bool) -> Vec<Case> {
    let mut rows = Vec::new();
    inference(&mut rows, networks, quick);
    more_ways(&mut rows, quick);
    growth(&mut rows, quick);
    rows.extend([("resnet50", Kind::Load, 1, SIZE), ("mobilenet_v2", Kind::Load, 1, SIZE)]);
    rows.push(("resnet50", Kind::Training, 8, SIZE));
    if !quick {
        rows.push(("mobilenet_v2", Kind::Training, 8, SIZE));
    }
    rows.push(("resnet50", Kind::StartUp, 1, SIZE));
    let mut cases = Vec::new();
    for (name, kind, batch, size) in rows {
        let is_chosen = if only.is_empty() { !quick || QUICK.contains(&kind) } else { only.contains(&kind) };
        let network = networks.iter().find(|network| network.file == name);
        let (true, Some(network)) = (is_chosen, network) else { continue };
        let case = Case::new(*network, kind, (batch, size), engines);
        if !case.contenders.is_empty() {
            cases.push(case);
        }
    }
    cases
}

/// A network, a part, the number of images and their size.
type Row = (&'static str, Kind, u32, u32);

fn inference(rows: &mut Vec<Row>, networks: &[Network], quick: bool) {
    let batches: &[u32] = if quick { &[1] } else { &[1, 8] };
    for &batch in batches {
        for network in networks {
            rows.push((network.file, Kind::Inference, batch, SIZE));
        }
    }
}

/// Other types, and several passes at once.
fn more_ways(rows: &mut Vec<Row>, quick: bool) {
    rows.push(("resnet50", Kind::Bf16, 1, SIZE));
    for network in SMALL_AND_LARGE {
        rows.push((network, Kind::Int8, 1, SIZE));
        if !quick {
            rows.push((network, Kind::Int8, 8, SIZE));
        }
    }
    for network in SMALL_AND_LARGE {
        rows.push((network, Kind::Throughput, 1, SIZE));
    }
}

/// More images, and larger ones.
fn growth(rows: &mut Vec<Row>, quick: bool) {
    let (batches, sizes): (&[u32], &[u32]) = if quick { (&[1, 4], &[448]) } else { (&BATCHES, &SIZES) };
    for &batch in batches {
        rows.push(("resnet50", Kind::Growth, batch, SIZE));
    }
    for &size in sizes {
        rows.push(("resnet50", Kind::Growth, 1, size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::NETWORKS;

    fn titles(networks: &[Network], only: &[Kind], engines: &[Engine], quick: bool) -> Vec<String> {
        cases(networks, only, engines, quick).iter().map(Case::title).collect()
    }

    #[test]
    fn a_complete_run_has_every_case() {
        let titles = titles(&NETWORKS, &[], &[], false);
        assert_eq!(titles.len(), 8 + 8 + 1 + 6 + 3 + 11 + 2 + 2 + 1);
        assert_eq!(titles.last().map(String::as_str), Some("ResNet-50, batch 1, start-up"));
    }

    #[test]
    fn cases_without_an_engine_or_network_are_left_out() {
        let [resnet50, mobilenet] = ["resnet50", "mobilenet_v2"].map(|name| crate::bench::network(name).unwrap());
        assert_eq!(
            titles(&[resnet50, mobilenet], &[], &[], true),
            ["ResNet-50, batch 1", "MobileNetV2, batch 1", "ResNet-50, batch 1, start-up"]
        );
        assert_eq!(
            titles(&[mobilenet], &[Kind::Inference, Kind::Growth], &[Engine::Openvino], false),
            ["MobileNetV2, batch 1", "MobileNetV2, batch 8"]
        );
        assert_eq!(
            titles(&[resnet50], &[Kind::Growth], &[], true),
            ["ResNet-50, batch 1, 224 x 224", "ResNet-50, batch 4, 224 x 224", "ResNet-50, batch 1, 448 x 448"]
        );
    }
}
