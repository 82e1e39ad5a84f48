//! The images of `tests/images`: complete ones are read as `mmcv.imread` reads them, others are errors.

use std::fs;
use std::path::{Path, PathBuf};

use image::RgbImage;

use super::{ReadOptions, read};

const OPTIONS: ReadOptions = ReadOptions { apply_orientation: true, max_pixels: 1 << 20 };

fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images")
}

/// The files of a folder that end so, with what is in them.
fn files(folder: &str, ends: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(images().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if ends.iter().any(|end| name.ends_with(end)) {
            files.push((name, fs::read(path).unwrap()));
        }
    }
    assert!(!files.is_empty());
    files
}

const ALL: [&str; 4] = [".jpg", ".png", ".webp", ".bmp"];

fn expected(name: &str) -> RgbImage {
    let file = images().join(name);
    image::load_from_memory_with_format(&fs::read(file).unwrap(), image::ImageFormat::Png).unwrap().into_rgb8()
}

/// The mean difference of the pixels, between 0 and 255.
fn difference(left: &RgbImage, right: &RgbImage) -> f64 {
    assert_eq!(left.dimensions(), right.dimensions());
    let sum: f64 = left.iter().zip(right.iter()).map(|(left, right)| f64::from(left.abs_diff(*right))).sum();
    sum / left.len() as f64
}

fn read_bytes(bytes: &[u8]) -> anyhow::Result<RgbImage> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), bytes)?;
    read(file.path(), OPTIONS)
}

#[test]
fn whole_images_are_as_the_reference_reads_them() {
    for (name, bytes) in files("whole", &ALL) {
        let found = read_bytes(&bytes).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let difference = difference(&found, &expected(&format!("whole/{name}.expected")));
        // JPEG and lossy WebP leave it to the decoder how colours of half the size are spread, CMYK how inks mix.
        let most = match name.as_str() {
            "cmyk.jpg" => 6.0,
            "lossy.webp" | "alpha.webp" => 1.0,
            name if name.ends_with(".jpg") => 1.0,
            _ => 0.0,
        };
        assert!(difference <= most, "{name}: {difference}");
    }
}

#[test]
fn cut_files_are_errors_wherever_they_are_cut() {
    for (name, bytes) in files("whole", &ALL) {
        // Behind the end of these there is no part of the image.
        let end = match name.as_str() {
            "trailer.jpg" | "two_images.jpg" => files("whole", &["baseline.jpg"])[0].1.len(),
            "trailer.png" | "trailer.webp" => bytes.len() - 4,
            // The mark of the end.
            "runs.bmp" => bytes.len() - 2,
            _ => bytes.len(),
        };
        let shares = (0..100).map(|share| end * share / 100);
        for length in shares.chain(end.saturating_sub(40)..end) {
            assert!(read_bytes(&bytes[..length]).is_err(), "{name}: {length} of {end}");
        }
    }
}

/// Each damage is one that libjpeg warns of.
#[test]
fn damaged_jpegs_are_errors() {
    for (name, bytes) in files("whole", &[".jpg"]) {
        if matches!(name.as_str(), "trailer.jpg" | "two_images.jpg" | "padded.jpg" | "fill_bytes.jpg") {
            continue;
        }
        let scan = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap() + 14;
        let mut damaged = vec![[&bytes[..bytes.len() - 2], b"\0"].concat()];
        for share in 1..10 {
            let at = scan + (bytes.len() - scan) * share / 10;
            // An end in the middle, and bytes that are too many.
            damaged.push([&bytes[..at], b"\xff\xd9"].concat());
            damaged.push([&bytes[..at], &[0x55; 300], &bytes[at..]].concat());
        }
        for (index, damaged) in damaged.iter().enumerate() {
            assert!(read_bytes(damaged).is_err(), "{name}: damage {index}");
        }
    }
}

#[test]
fn lost_restart_markers_are_errors() {
    for (name, bytes) in files("whole", &["restart.jpg"]) {
        let markers = (0..bytes.len() - 1).filter(|&at| bytes[at] == 0xff && (0xd0..0xd8).contains(&bytes[at + 1]));
        for at in markers {
            assert!(read_bytes(&[&bytes[..at], &bytes[at + 2..]].concat()).is_err(), "{name}: {at}");
            let mut other = bytes.clone();
            other[at + 1] ^= 1;
            assert!(read_bytes(&other).is_err(), "{name}: {at}");
        }
    }
}

#[test]
fn lost_scans_of_progressive_jpegs_are_errors() {
    let (_, bytes) = &files("whole", &["progressive_best.jpg"])[0];
    let mut scans: Vec<usize> =
        (0..bytes.len() - 1).filter(|&at| bytes[at] == 0xff && matches!(bytes[at + 1], 0xc4 | 0xda)).collect();
    scans.remove(0);
    for at in scans {
        assert!(read_bytes(&[&bytes[..at], b"\xff\xd9"].concat()).is_err(), "{at}");
    }
}

#[test]
fn wrong_checksums_and_sizes_are_errors() {
    for (name, bytes) in files("whole", &["rgb.png", "palette.png", "interlaced.png"]) {
        for share in 1..10 {
            let mut damaged = bytes.clone();
            damaged[bytes.len() * share / 10] ^= 0x10;
            assert!(read_bytes(&damaged).is_err(), "{name}: {share}");
        }
    }
    for (name, bytes) in files("whole", &["lossy.webp", "lossless.webp", "alpha.webp"]) {
        // The sizes say that there is less, and then more, than there is.
        for size in [20, (bytes.len() as u32 / 2) & !1, bytes.len() as u32, u32::MAX] {
            let mut damaged = bytes.clone();
            damaged[4..8].copy_from_slice(&size.to_le_bytes());
            assert!(read_bytes(&damaged).is_err(), "{name}: {size}");
        }
        // A cut that somebody has tried to mend.
        let half = (bytes.len() / 2) & !1;
        let mut mended = bytes[..half].to_vec();
        mended[4..8].copy_from_slice(&(half as u32 - 8).to_le_bytes());
        if mended[12..16] != *b"VP8X" {
            mended[16..20].copy_from_slice(&(half as u32 - 20).to_le_bytes());
        }
        assert!(read_bytes(&mended).is_err(), "{name}");
    }
}

#[test]
fn images_are_turned_as_their_metadata_say() {
    let upright = expected("upright.png");
    for (name, bytes) in files("exif", &ALL) {
        let found = read_bytes(&bytes).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let difference = difference(&found, &upright);
        assert!(difference <= if name.ends_with(".jpg") { 3.0 } else { 0.0 }, "{name}: {difference}");
    }
    for (ends, size) in [("6.jpg", (16, 24)), ("3.png", (24, 16)), ("5.webp", (16, 24))] {
        let file = images().join("exif").join(ends);
        let stored = read(&file, ReadOptions { apply_orientation: false, ..OPTIONS }).unwrap();
        assert_eq!(stored.dimensions(), size);
        assert_ne!(stored, read(&file, OPTIONS).unwrap());
    }
}

#[test]
fn large_images_are_refused_by_their_size() {
    let file = images().join("upright.png");
    let most = |max_pixels| read(&file, ReadOptions { apply_orientation: true, max_pixels });
    assert!(most(24 * 16).is_ok());
    let error = format!("{:#}", most(24 * 16 - 1).unwrap_err());
    for words in ["24 x 16 = 384", "383", "--max-pixels"] {
        assert!(error.contains(words), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.jpg");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for file in [&pipe, Path::new("/dev/zero"), folder.path()] {
        let error = format!("{:#}", read(file, OPTIONS).unwrap_err());
        assert!(error.contains("not a regular file"), "{error}");
    }
}

#[test]
fn no_bytes_are_a_panic() {
    let mut seed = 1_u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for (_, bytes) in files("whole", &ALL) {
        for _ in 0..40 {
            let mut damaged = bytes.clone();
            for _ in 0..=draw(4) {
                let at = draw(damaged.len());
                damaged[at] = draw(256) as u8;
            }
            let _ = read_bytes(&damaged);
        }
    }
}
