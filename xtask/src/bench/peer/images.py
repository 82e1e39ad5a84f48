"""Inputs and outputs: noise is timed, crops of a photo calibrate int8 networks and show how much the scores deviate."""

import pathlib

import numpy

PHOTO = pathlib.Path(__file__).parents[4] / "tests/data/chelsea.png"
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
# The seeds of the crops: outputs are compared on others than those that an int8 network was calibrated on.
CALIBRATION, COMPARISON = 0, 1


def noise(batch, size):
    return numpy.random.default_rng(1).standard_normal((batch, 3, size, size), dtype=numpy.float32)


def crops(count, size, seed):
    """Random squares of the photo, normalized as for ImageNet."""
    import cv2

    photo = cv2.cvtColor(cv2.imread(str(PHOTO)), cv2.COLOR_BGR2RGB)
    height, width, _ = photo.shape
    random = numpy.random.default_rng(seed)
    images = []
    for _ in range(count):
        edge = random.integers(150, min(height, width), endpoint=True)
        top, left = random.integers(height - edge, endpoint=True), random.integers(width - edge, endpoint=True)
        crop = cv2.resize(photo[top : top + edge, left : left + edge], (size, size))
        images.append(((crop - numpy.array(MEAN)) / STD).transpose(2, 0, 1))
    return numpy.array(images, dtype=numpy.float32)


def write_jpegs(folder, count):
    """Parts of the photo as JPEG files of 500 x 375."""
    import cv2

    photo = cv2.imread(str(PHOTO))
    height, width, _ = photo.shape
    random = numpy.random.default_rng(CALIBRATION)
    for number in range(count):
        edge = random.integers(150, height * 3 // 4)
        top, left = random.integers(height - edge, endpoint=True), random.integers(width - edge * 4 // 3, endpoint=True)
        part = photo[top : top + edge, left : left + edge * 4 // 3]
        cv2.imwrite(f"{folder}/{number:04}.jpg", cv2.resize(part, (500, 375), interpolation=cv2.INTER_CUBIC))


def read(file, batch, size):
    return numpy.fromfile(file, dtype=numpy.float32).reshape(batch, 3, size, size)


def text(scores):
    """All scores of all images in one line."""
    return " ".join(f"{score:.9g}" for score in numpy.asarray(scores).ravel().tolist())
