"""The camera through which synthetic scenes are seen: light over the scene, lens, sensor, JPEG."""

import cv2
import numpy as np

from ...arrays import ByteImage, Reals
from .painting import Rng, Size, chance, color, fractal, log_uniform


def photograph(rng: Rng, scene: ByteImage, *, skyline: float = 0) -> ByteImage:
    """Light a scene (H, W, 3) and photograph it: lens blur, white balance, exposure, noise, JPEG; sometimes grey.

    No shadow falls on what is above y = `skyline`. Nothing moves: a pixel of the result shows the place of the same
    pixel of the scene.
    """
    height, width = scene.shape[:2]
    image = cv2.multiply(_lens(rng, scene), _light(rng, (height, width), skyline), dtype=cv2.CV_32F)
    exposure = (rng.uniform(75, 140) / max(float(image[::8, ::8].mean()), 8.0)) ** 0.75  # most cameras choose it well
    cv2.transform(image, _color_matrix(rng) * np.float32(exposure), dst=image)
    if chance(rng, 0.25):  # sharpened afterwards
        cv2.addWeighted(image, 1.8, cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 2)), -0.8, 0, dst=image)
    sigma = np.float32(rng.gamma(1.5, 2.0))
    grain = rng.standard_normal((height, width), dtype=np.float32) * sigma
    blotches = rng.standard_normal((height // 4 + 1, width // 4 + 1, 3), dtype=np.float32) * sigma
    cv2.add(image, cv2.merge([grain, grain, grain]), dst=image)
    cv2.add(image, cv2.resize(blotches, (width, height), interpolation=cv2.INTER_LINEAR), dst=image)
    photo = _tone(rng, cv2.convertScaleAbs(cv2.max(image, 0, dst=image)))
    if chance(rng, 0.08):
        photo = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if chance(rng, 0.8):
        quality = int(rng.integers(35, 96))
        _, packed = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        photo = cv2.cvtColor(cv2.imdecode(packed, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return photo


def _light(rng: Rng, size: Size, skyline: float) -> Reals:
    """Light over an image (H, W, 3), about 0.3..1.5: a gradient, perhaps shadows, perhaps coloured lamps."""
    small = (max(2, size[0] // 4), max(2, size[1] // 4))
    rows, columns = np.mgrid[: small[0], : small[1]].astype(np.float32)
    u, v = columns / small[1] - 0.5, rows / small[0] - 0.5
    field = 1 + np.float32(rng.uniform(-0.35, 0.35)) * u + np.float32(rng.uniform(-0.35, 0.35)) * v
    field *= 1 - np.float32(rng.uniform(0, 0.5) * chance(rng, 0.4)) * (u**2 + v**2)  # the lens darkens the corners
    if chance(rng, 0.3):
        lit = rows < skyline / 4
        field *= 1 - np.float32(rng.uniform(0.3, 0.6)) * np.where(lit, 0, _shade(rng, small))
    lamps = np.repeat(field[..., None], 3, axis=2)
    for _ in range(rng.integers(1, 4) if chance(rng, 0.15) else 0):
        distance = np.hypot(u - rng.uniform(-0.6, 0.6), v - rng.uniform(-0.6, 0.6)) / rng.uniform(0.15, 0.6)
        lamps *= 1 + np.exp(-(distance**2))[..., None] * (color(rng, saturation=0.5) / 255 * 1.2 - 0.5)
    return cv2.resize(lamps.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def _shade(rng: Rng, size: Size) -> Reals:
    """A shadow's strength (h, w), 0..1: the edge of a building or the speckle below a tree."""
    if chance(rng, 0.4):
        shade = np.clip(fractal(rng, size, cell=log_uniform(rng, 8, 40), finest=1) * 4 + rng.uniform(-1, 1), 0, 1)
    else:
        corners = rng.uniform(-0.5, 1.5, (4, 2)) * (size[1], size[0])
        shade = np.zeros(size, np.float32)
        cv2.fillConvexPoly(shade, cv2.convexHull(corners.astype(np.int32)), 1.0)
    return cv2.GaussianBlur(shade.astype(np.float32), (0, 0), rng.uniform(0.4, 3))


def _lens(rng: Rng, scene: ByteImage) -> ByteImage:
    height, width = scene.shape[:2]
    image = scene
    if chance(rng, 0.2):  # a small picture that was enlarged
        size = tuple(max(1, round(side * factor)) for factor in [rng.uniform(0.5, 0.9)] for side in (width, height))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if chance(rng, 0.1):
        image = cv2.filter2D(image, -1, _motion(rng), borderType=cv2.BORDER_REPLICATE)
    return cv2.GaussianBlur(image, (0, 0), 0.35 + rng.gamma(1.0, 0.3), borderType=cv2.BORDER_REPLICATE)


def _motion(rng: Rng) -> Reals:
    """The path of a shaken camera as a filter kernel; symmetric, so that nothing moves on average."""
    side = int(rng.choice([3, 5, 7]))
    angle, middle = rng.uniform(0, np.pi), side // 2
    reach = round(float(np.cos(angle)) * middle), round(float(np.sin(angle)) * middle)
    path = np.zeros((side, side), np.float32)
    cv2.line(path, (middle, middle), (middle + reach[0], middle + reach[1]), 1.0)
    path += path[::-1, ::-1]
    return path / path.sum()


def _color_matrix(rng: Rng) -> Reals:
    """White balance (a gain per channel) and saturation as one matrix (3, 3)."""
    gains = np.exp(rng.normal(0, 0.06, 3))
    saturation = rng.uniform(0.55, 1.2)
    grey = np.array([[0.299, 0.587, 0.114]] * 3)
    return ((saturation * np.eye(3) + (1 - saturation) * grey) * gains[:, None]).astype(np.float32)


def _tone(rng: Rng, image: ByteImage) -> ByteImage:
    level = np.arange(256) / 255
    black, gamma = rng.uniform(0, 0.1) * chance(rng, 0.4), np.exp(rng.normal(0, 0.18))
    curve = black + (1 - black) * level**gamma
    bend = rng.uniform(0, 0.6)
    curve = (1 - bend) * curve + bend * curve**2 * (3 - 2 * curve)
    return cv2.LUT(image, np.round(curve * 255).astype(np.uint8))
