//! Resizing of 8-bit images with the numbers of OpenCV and of Pillow.
//!
//! References: `mmcv.imresize`; `cv2.resize`; `PIL.Image.Image.resize`.

mod area;
mod cv2;
mod nearest;
mod pillow;
mod taps;

use mmcv_registry::Config;

use super::Pixels;

/// The library whose numbers a resized image has. They differ where an image shrinks: OpenCV takes the nearest pixels,
/// and Pillow averages over all that a new pixel covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum ResizeBackend {
    /// OpenCV.
    #[config(word = "cv2")]
    OpenCv,
    /// Pillow.
    #[config(word = "pillow")]
    Pillow,
}

/// How the values between pixels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// Between 2 x 2 pixels.
    Bilinear,
    /// Between 4 x 4 pixels.
    Bicubic,
    /// The mean of the pixels that the new one covers; `cv2` only.
    Area,
    /// Sinc functions over 8 x 8 pixels in `cv2`, and over 6 x 6 in `pillow`.
    Lanczos,
    /// The mean of the pixels whose centers the new one covers; `pillow` only.
    Box,
    /// A Hamming window over 2 x 2 pixels; `pillow` only.
    Hamming,
}

impl ResizeBackend {
    /// The interpolations of the backend.
    #[must_use]
    pub fn interpolations(self) -> &'static [Interpolation] {
        use Interpolation::{Area, Bicubic, Bilinear, Box, Hamming, Lanczos, Nearest};
        match self {
            Self::OpenCv => &[Nearest, Bilinear, Bicubic, Area, Lanczos],
            Self::Pillow => &[Nearest, Bilinear, Bicubic, Box, Hamming, Lanczos],
        }
    }
}

/// Resizes an image that is not empty to `height` x `width`, both positive. An interpolation that the backend lacks is
/// its bilinear one: [`ResizeBackend::interpolations`].
pub(crate) fn resize(
    image: &Pixels,
    (height, width): (usize, usize),
    backend: ResizeBackend,
    interpolation: Interpolation,
) -> Pixels {
    if (height, width) == (image.height, image.width) {
        return image.clone();
    }
    match (backend, interpolation) {
        (ResizeBackend::OpenCv, Interpolation::Nearest) => nearest::cv2(image, height, width),
        (ResizeBackend::OpenCv, Interpolation::Bicubic) => cv2::cubic(image, height, width),
        (ResizeBackend::OpenCv, Interpolation::Lanczos) => cv2::lanczos(image, height, width),
        (ResizeBackend::OpenCv, Interpolation::Area) => area::resize(image, height, width),
        (ResizeBackend::OpenCv, _) => cv2::linear(image, height, width),
        (ResizeBackend::Pillow, Interpolation::Nearest) => nearest::pillow(image, height, width),
        (ResizeBackend::Pillow, Interpolation::Bicubic) => pillow::resize(image, height, width, &pillow::BICUBIC),
        (ResizeBackend::Pillow, Interpolation::Lanczos) => pillow::resize(image, height, width, &pillow::LANCZOS),
        (ResizeBackend::Pillow, Interpolation::Box) => pillow::resize(image, height, width, &pillow::BOX),
        (ResizeBackend::Pillow, Interpolation::Hamming) => pillow::resize(image, height, width, &pillow::HAMMING),
        (ResizeBackend::Pillow, _) => pillow::resize(image, height, width, &pillow::BILINEAR),
    }
}
