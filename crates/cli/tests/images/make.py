"""Makes the images of the tests. Needs numpy, pillow 12 and OpenCV 4.11, or later ones.

For each NAME.EXT in whole/, whole/NAME.EXT.expected, a PNG, has the pixels that `mmcv.imread` (OpenCV) gives. The files in exif/ are all
equal to upright.png once they are turned as their metadata say, which is asserted of OpenCV and pillow.
"""
import io
import pathlib
import struct
import zlib

import cv2
import numpy as np
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
WHOLE, EXIF = HERE / 'whole', HERE / 'exif'


def picture(width, height):
    y, x = np.mgrid[:height, :width].astype(float)
    waves = [np.sin(x / 5 + y / 9), np.cos(x / 7 - y / 4), np.sin((x * y) / 90)]
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(128 + 90 * np.stack(waves, -1) + noise, 0, 255).astype(np.uint8))


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_chunk(name, data):
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def png(width, height, depth, colour, interlace, rows, before=b''):
    header = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, interlace)
    chunks = png_chunk(b'IHDR', header) + before + png_chunk(b'IDAT', zlib.compress(rows)) + png_chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + chunks


def interlaced_png(image):
    pixels = np.array(image)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = (pixels[top::down, left::right] for top, left, down, right in passes)
    rows = b''.join(b'\0' + row.tobytes() for part in parts if part.size for row in part)
    return png(image.width, image.height, 8, 2, 1, rows)


def deep_png(image):
    pixels = np.array(image).astype('>u2') * 257
    return png(image.width, image.height, 16, 2, 0, b''.join(b'\0' + row.tobytes() for row in pixels))


def rle_bmp(image):
    """A BMP with 256 greys, in runs of one pixel and of several."""
    grey = np.array(image.convert('L')) // 64 * 64
    data = b''
    for row in grey[::-1]:
        at = 0
        while at < len(row):
            count = 1
            while at + count < len(row) and count < 255 and row[at + count] == row[at]:
                count += 1
            data += bytes([count, row[at]])
            at += count
        data += b'\0\0'
    data += b'\0\1'
    palette = b''.join(bytes([value, value, value, 0]) for value in range(256))
    start = 14 + 40 + len(palette)
    header = struct.pack('<IiiHHIIiiII', 40, image.width, image.height, 1, 8, 1, len(data), 2835, 2835, 256, 0)
    return b'BM' + struct.pack('<IHHI', start + len(data), 0, 0, start) + header + palette + data


def whole():
    image = picture(53, 37)
    grey, cmyk = image.convert('L'), image.convert('CMYK')
    alpha = image.copy()
    alpha.putalpha(grey)
    baseline = saved(image, 'JPEG', quality=85)
    progressive = saved(image, 'JPEG', quality=85, progressive=True)
    motion = baseline + b'ftypmp42' + bytes(range(256))
    return {
        'baseline.jpg': baseline,
        'best.jpg': saved(image, 'JPEG', quality=100, subsampling=0, optimize=True),
        'sampled_422.jpg': saved(image, 'JPEG', quality=60, subsampling=1),
        'progressive.jpg': progressive,
        'progressive_best.jpg': saved(image, 'JPEG', quality=100, subsampling=0, progressive=True),
        'restart.jpg': saved(image, 'JPEG', quality=85, restart_marker_blocks=3),
        'restart_progressive.jpg': saved(image, 'JPEG', quality=85, progressive=True, restart_marker_blocks=2),
        'grey.jpg': saved(grey, 'JPEG', quality=85),
        'grey_progressive.jpg': saved(grey, 'JPEG', quality=85, progressive=True),
        'cmyk.jpg': saved(cmyk, 'JPEG', quality=90),
        'trailer.jpg': motion,
        'two_images.jpg': baseline + progressive,
        'fill_bytes.jpg': baseline.replace(b'\xff\xda', b'\xff\xff\xff\xda', 1)[:-2] + b'\xff\xff\xd9',
        'padded.jpg': baseline[:-2] + bytes(5) + b'\xff\xd9',
        'rgb.png': saved(image, 'PNG'),
        'alpha.png': saved(alpha, 'PNG'),
        'grey.png': saved(grey, 'PNG'),
        'palette.png': saved(image.quantize(16), 'PNG'),
        'two_colours.png': saved(image.convert('1'), 'PNG'),
        'deep.png': deep_png(image),
        'interlaced.png': interlaced_png(image),
        'trailer.png': saved(image, 'PNG') + b'more',
        'wrong_text.png': png(8, 8, 8, 0, 0, b''.join(b'\0' + bytes(range(8)) for _ in range(8)),
                              png_chunk(b'tEXt', b'a\0b')[:-4] + bytes(4)),
        'lossy.webp': saved(image, 'WEBP', quality=80),
        'lossless.webp': saved(image, 'WEBP', lossless=True),
        'alpha.webp': saved(alpha, 'WEBP', quality=80),
        'trailer.webp': saved(image, 'WEBP', lossless=True) + b'more',
        'rgb.bmp': saved(image, 'BMP'),
        'palette.bmp': saved(image.quantize(16), 'BMP'),
        'runs.bmp': rle_bmp(image),
    }


def exif(value, order):
    mark = {'<': b'II', '>': b'MM'}[order] + struct.pack(order + 'HI', 42, 8)
    entry = struct.pack(order + 'HHHIHHI', 1, 0x112, 3, 1, value, 0, 0)
    return mark + entry


# What undoes the turn that a value asks for.
STORED = {1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
          5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
          8: Image.Transpose.ROTATE_270}


def turned(upright, value):
    image = upright if STORED.get(value) is None else upright.transpose(STORED[value])
    first, second = exif(value, '<>'[value % 2]), exif(value, '><'[value % 2])
    data = saved(image, 'PNG')
    return {
        f'{value}.jpg': saved(image, 'JPEG', quality=97, subsampling=0, exif=b'Exif\0\0' + first),
        f'{value}_progressive.jpg': saved(image, 'JPEG', quality=97, subsampling=0, progressive=True, exif=b'Exif\0\0' + second),
        f'{value}.png': data[:33] + png_chunk(b'eXIf', first) + data[33:],
        f'{value}_behind.png': data[:-12] + png_chunk(b'eXIf', second) + data[-12:],
        f'{value}.webp': saved(image, 'WEBP', lossless=True, exif=first),
    }


def main():
    for folder in (WHOLE, EXIF):
        folder.mkdir(exist_ok=True)
    for name, data in whole().items():
        (WHOLE / name).write_bytes(data)
        pixels = cv2.imread(str(WHOLE / name), cv2.IMREAD_COLOR)
        (WHOLE / f'{name}.expected').write_bytes(saved(Image.fromarray(pixels[..., ::-1]), 'PNG', optimize=True))
    upright = picture(24, 16)
    (HERE / 'upright.png').write_bytes(saved(upright, 'PNG'))
    # 0 and 9 are no orientations.
    for value in range(10):
        for name, data in turned(upright, value).items():
            (EXIF / name).write_bytes(data)
            for read in (cv2.imread(str(EXIF / name), cv2.IMREAD_COLOR)[..., ::-1],
                         np.array(ImageOps.exif_transpose(Image.open(EXIF / name)).convert('RGB'))):
                difference = np.abs(read.astype(int) - np.array(upright)).mean()
                assert difference < 3, (name, difference)


main()
