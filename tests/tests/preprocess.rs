//! Resized images have the numbers of OpenCV and of Pillow: see `tests/fixtures/resize/generate.py`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use mmcv::models::{ImageStep, Preprocess};
use mmcv::prelude::*;
use mmcv::registry::{FromConfig, KeyPath};
use tch::{Kind, Tensor};

/// The images of the fixture by their names, `[height, width, 3]`.
fn images() -> HashMap<String, Tensor> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut images: HashMap<String, Tensor> =
        Tensor::read_safetensors(folder.join("fixtures/resize/resized.safetensors")).unwrap().into_iter().collect();
    let chelsea = image::open(folder.join("data/chelsea.png")).unwrap().into_rgb8();
    let shape = [i64::from(chelsea.height()), i64::from(chelsea.width()), 3];
    images.insert("chelsea".to_owned(), Tensor::from_slice(chelsea.as_raw()).view(shape));
    images
}

fn sides(size: &str) -> [i64; 2] {
    let (height, width) = size.split_once('x').unwrap();
    [height.parse().unwrap(), width.parse().unwrap()]
}

/// `[height, width, 3]` after one step.
fn after(step: &Config, image: &Tensor) -> Tensor {
    let step = ImageStep::from_config(step, &KeyPath::root()).unwrap();
    let preprocess = Preprocess::new().with_pipeline(vec![step]);
    let size = preprocess.output_size();
    let output = preprocess.apply(image).unwrap().squeeze_dim(0).permute([1, 2, 0]);
    if let Some(size) = size {
        assert_eq!(output.size()[..2], size);
    }
    output
}

#[test]
fn resized_images_have_the_numbers_of_opencv_and_pillow() {
    let images = images();
    // The number of values, those that are equal, and the largest difference, by backend and interpolation.
    let mut totals: BTreeMap<(&str, &str), (i64, i64, f64)> = BTreeMap::new();
    let mut cases = 0;
    for (name, expected) in &images {
        let [source, backend, interpolation, size] = name.split('.').collect::<Vec<_>>()[..] else { continue };
        let [height, width] = sides(size);
        let step = config! { type: "Resize", scale: [width, height], backend: backend, interpolation: interpolation };
        let difference = (after(&step, &images[source]) - expected.to_kind(Kind::Float)).abs();
        let largest = difference.max().double_value(&[]);
        assert!(largest <= 1.0, "{name}: {largest}");
        let total = totals.entry((backend, interpolation)).or_default();
        total.0 += difference.numel() as i64;
        total.1 += difference.eq(0.0).sum(Kind::Int64).int64_value(&[]);
        total.2 = total.2.max(largest);
        cases += 1;
    }
    assert_eq!(cases, 143);
    let mut shares = Vec::new();
    for ((backend, interpolation), (values, equal, largest)) in totals {
        let share = equal as f64 / values as f64;
        println!("{backend} {interpolation}: {:.3} % of {values} equal, largest difference {largest}", 100.0 * share);
        shares.push((backend, interpolation, share));
    }
    assert!(shares.iter().all(|(_, _, share)| *share > 0.999), "{shares:?}");
}

#[test]
fn steps_have_the_sizes_of_the_reference() {
    // Of an image of 37 x 53 pixels, as mmcv 2.2 and mmpretrain 1.2 compute them.
    let image = &images()["37x53"];
    for (step, size) in [
        (config! { type: "ResizeEdge", scale: 20 }, [20, 28]),
        (config! { type: "ResizeEdge", scale: 20, edge: "long" }, [13, 20]),
        (config! { type: "ResizeEdge", scale: 20, edge: "width" }, [13, 20]),
        (config! { type: "ResizeEdge", scale: 20, edge: "height" }, [20, 28]),
        (config! { type: "Resize", scale: 20 }, [20, 20]),
        (config! { type: "Resize", scale: [30, 20], keep_ratio: true }, [20, 29]),
        (config! { type: "Resize", scale: [20, 30], keep_ratio: true }, [20, 29]),
        (config! { type: "Resize", scale_factor: 0.5 }, [19, 27]),
        (config! { type: "Resize", scale_factor: [0.5, 2.0] }, [74, 27]),
        (config! { type: "CenterCrop", crop_size: 20 }, [20, 20]),
        (config! { type: "CenterCrop", crop_size: [60, 20] }, [20, 53]),
    ] {
        let step = ImageStep::from_config(&step, &KeyPath::root()).unwrap();
        let output = Preprocess::new().with_pipeline(vec![step.clone()]).apply(image).unwrap();
        assert_eq!(output.size()[2..], size, "{step:?}");
        assert_eq!(ImageStep::from_config(&step.to_config(), &KeyPath::root()).unwrap(), step);
    }
}

#[test]
fn a_crop_rounds_as_python_does() {
    // 37 - 20 = 17 leaves 8.5, and 53 - 30 = 23 leaves 11.5: both round to the even number.
    let image = &images()["37x53"];
    let cropped = after(&config! { type: "CenterCrop", crop_size: [30, 20] }, image);
    let expected = image.narrow(0, 8, 20).narrow(1, 12, 30).to_kind(Kind::Float);
    assert!(cropped.equal(&expected));
}

#[test]
fn padding_is_below_and_on_the_right() {
    let image = &images()["7x5"];
    let preprocess = Preprocess::new().with_mean(vec![100.0; 3]).with_pad_size_divisor(4).with_pad_value(-1.0);
    let output = preprocess.apply(image).unwrap();
    assert_eq!(output.size(), [1, 3, 8, 8]);
    let inside = image.permute([2, 0, 1]).to_kind(Kind::Float) - 100.0;
    assert!(output.get(0).narrow(1, 0, 7).narrow(2, 0, 5).equal(&inside));
    assert!(output.narrow(2, 7, 1).eq(-1.0).all().int64_value(&[]) == 1);
    assert!(output.narrow(3, 5, 3).eq(-1.0).all().int64_value(&[]) == 1);
}

#[test]
fn mistakes_in_a_step_are_named() {
    for (step, message) in [
        (config! { type: "Resize" }, "scale: missing"),
        (config! { type: "Resize", scale: 0 }, "scale: expected at least 1 pixel, got 0"),
        (config! { type: "Resize", scale: [1, 2, 3] }, "scale: expected a number of pixels, or [width, height]"),
        (config! { type: "Resize", scale: 5, interpolation: "box" }, "interpolation: expected one of nearest"),
        (config! { type: "Resize", scale: 5, backend: "pillow", interpolation: "area" }, "with the backend \"pillow\""),
        (config! { type: "ResizeEdge", scale: 5, egde: "long" }, "egde: unknown key, did you mean \"edge\"?"),
        (
            config! { type: "ResizeEdges", scale: 5 },
            "type: expected one of Resize, ResizeEdge, CenterCrop, did you mean",
        ),
        (config! { type: "CenterCrop", crop_size: 5, auto_pad: true }, "auto_pad: expected false"),
        (config! { scale: 5 }, "type: missing"),
    ] {
        let text = ImageStep::from_config(&step, &KeyPath::root()).unwrap_err().to_string();
        assert!(text.contains(message), "{text}");
    }
    let image = &images()["7x5"];
    let long = config! { type: "Resize", scale: [1, 2_000_000] };
    let long = ImageStep::from_config(&long, &KeyPath::root()).unwrap();
    let error = Preprocess::new().with_pipeline(vec![long]).apply(image).unwrap_err().to_string();
    assert!(error.contains("at most 1048576 pixels on each side"), "{error}");
    let step = ImageStep::from_config(&config! { type: "CenterCrop", crop_size: 3 }, &KeyPath::root()).unwrap();
    let both = Preprocess::new().with_crop_size(3).with_pipeline(vec![step]);
    assert!(both.apply(image).unwrap_err().to_string().contains("crop_size"));
    let thin =
        ImageStep::from_config(&config! { type: "ResizeEdge", scale: 1, edge: "long" }, &KeyPath::root()).unwrap();
    let error = Preprocess::new().with_pipeline(vec![thin]).apply(&images()["1x9"]).unwrap_err().to_string();
    assert!(error.contains("at least one pixel, not 0 x 1"), "{error}");
}

/// The numbers do not depend on the layout in memory, which libtorch has different code for.
#[test]
fn the_short_side_is_resized_to_the_numbers_of_a_contiguous_image() {
    tch::manual_seed(0);
    let mut images: Vec<Tensor> = Vec::new();
    for (height, width) in [(1, 1), (1, 9), (7, 1), (2, 3), (31, 17), (64, 64), (75, 50), (120, 333)] {
        images.push(Tensor::randint(256, [height, width, 3], (Kind::Uint8, tch::Device::Cpu)));
    }
    images.push(self::images().remove("chelsea").unwrap());
    for image in images {
        for edge in [1, 5, 32, 100, 256] {
            let found = Preprocess { resize_edge: Some(edge), ..Preprocess::new() }.apply(&image).unwrap();
            let (_, _, height, width) = found.size4().unwrap();
            // libtorch fails for contiguous images here.
            if height * width == 1 && edge == 1 {
                continue;
            }
            let planes = image.permute([2, 0, 1]).unsqueeze(0).contiguous();
            let expected = planes.internal_upsample_bilinear2d_aa([height, width], false, None, None);
            assert_eq!(found, expected.to_kind(Kind::Float), "{:?} to {edge}", image.size());
        }
    }
}
