"""What simulated colour images look like: light, surfaces, background and colour camera.

Two domains with the same geometry: ``studio``, one white lamp, plain surfaces and an ideal camera;
and ``field``, lamps of any direction and tint, patterned surfaces, and the noise, blur, white
balance and compression of real cameras. A network for colour images that is trained in one sees a
domain gap in the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.simulation.paint import Paint, Pattern, Rgb
from sdfpose_core.simulation.scene import Scene, SceneObject

__all__ = [
    "APPEARANCES",
    "AppearanceName",
    "ColourCamera",
    "Illumination",
    "random_camera",
    "random_illumination",
    "repainted",
]

AppearanceName = Literal["studio", "field"]
APPEARANCES: tuple[AppearanceName, ...] = ("studio", "field")

_OBJECT_PATTERNS: tuple[Pattern, ...] = ("label", "dipped", "speckled", "marbled", "striped")
_BACKGROUND_PATTERNS: tuple[Pattern, ...] = ("wood", "tiles", "marbled", "striped", "checked")

_PLAIN_SHARE = 0.15
"""Share of surfaces in ``field`` that stay plain."""


@dataclass(frozen=True)
class Illumination:
    """Light on a scene, and what is behind it; the defaults are those of ``studio``.

    Attributes:
        direction: (3,) towards the lamp, world frame (y up), any length.
        lamp: brightness of the lamp.
        sky: brightness of ambient light from above.
        ground: brightness of ambient light from below.
        fill: brightness of a light at the camera.
        tint: RGB factors of the lamp's light.
        top: RGB, 0 to 255, of the background at the top of the image.
        bottom: the same at the bottom.
    """

    direction: tuple[float, float, float] = (0.45, 0.8, 0.35)
    lamp: float = 0.62
    sky: float = 0.46
    ground: float = 0.24
    fill: float = 0.12
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    top: Rgb = (206, 214, 224)
    bottom: Rgb = (150, 160, 174)


@dataclass(frozen=True)
class ColourCamera:
    """Response of a colour camera; the defaults are an ideal one.

    Attributes:
        gain: RGB factors: exposure and white balance.
        gamma: exponent of the response; above 1 darkens the middle tones.
        blur_px: standard deviation of the blur, pixels.
        noise: standard deviation of the noise of a white pixel, 0 to 1; that of a black one is
            half of it.
        jpeg_quality: 1 to 100 of the compression; 0 for none.
    """

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    blur_px: float = 0.0
    noise: float = 0.0
    jpeg_quality: int = 0

    def apply(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the image (H, W, 3), RGB, as this camera delivers it."""
        if self == ColourCamera():
            return image
        light = image.astype(np.float32) / np.float32(255.0)
        light = np.clip(light * np.asarray(self.gain, np.float32), 0.0, 1.0) ** self.gamma
        if self.blur_px > 0.0:
            light = np.asarray(cv2.GaussianBlur(light, (0, 0), self.blur_px), np.float32)
        sd = self.noise * np.sqrt(0.25 + 0.75 * light)
        light = light + sd * rng.standard_normal(light.shape, np.float32)
        out = np.asarray(np.clip(light, 0.0, 1.0) * 255.0 + 0.5, dtype=np.uint8)
        if self.jpeg_quality == 0:
            return out
        quality = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
        data = cv2.imencode(".jpg", out[..., ::-1], quality)[1]
        decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
        return np.ascontiguousarray(decoded[..., ::-1])


def random_illumination(rng: np.random.Generator, appearance: AppearanceName) -> Illumination:
    """Draw the light of a view."""
    if appearance == "studio":
        return Illumination()
    azimuth, height = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.25, 0.95)
    side = np.sqrt(1.0 - height**2)
    warmth = rng.uniform(-0.35, 0.35)
    lamp = rng.uniform(0.3, 1.0)
    ambient = rng.uniform(0.15, 0.6)
    return Illumination(
        direction=(float(side * np.cos(azimuth)), float(height), float(side * np.sin(azimuth))),
        lamp=float(lamp),
        sky=float(ambient),
        ground=float(ambient * rng.uniform(0.3, 0.9)),
        fill=float(rng.uniform(0.0, 0.2)),
        tint=(1.0 + warmth, 1.0, 1.0 - warmth),
        top=_colour(rng),
        bottom=_colour(rng),
    )


def random_camera(rng: np.random.Generator, appearance: AppearanceName) -> ColourCamera:
    """Draw the colour camera of a view."""
    if appearance == "studio":
        return ColourCamera()
    exposure = rng.uniform(0.6, 1.3)
    red, blue = rng.uniform(0.8, 1.25, size=2)
    return ColourCamera(
        gain=(float(exposure * red), float(exposure), float(exposure * blue)),
        gamma=float(np.exp(rng.uniform(-0.35, 0.35))),
        blur_px=float(rng.uniform(0.0, 1.2)),
        noise=float(rng.uniform(0.01, 0.06)),
        jpeg_quality=int(rng.integers(40, 96)),
    )


def repainted(scene: Scene, rng: np.random.Generator, appearance: AppearanceName) -> Scene:
    """Return the scene with the surfaces of an appearance; the geometry stays."""
    if appearance == "studio":
        return scene
    table = None if scene.table is None else _repainted(scene.table, rng)
    return Scene([_repainted(x, rng) for x in scene.objects], table)


def _repainted(item: SceneObject, rng: np.random.Generator) -> SceneObject:
    patterns = _OBJECT_PATTERNS if item.category else _BACKGROUND_PATTERNS
    pattern = patterns[int(rng.integers(len(patterns)))]
    if item.category == "laptop":
        pattern = "laptop"
    if rng.random() < _PLAIN_SHARE:
        pattern = "plain"
    # Strides of patterns are lengths on the object: fractions of an object, metres of a room.
    period = rng.uniform(0.08, 0.5) * (1.0 if item.category else 0.6)
    paint = Paint(
        _colour(rng),
        pattern,
        _colour(rng),
        gloss=float(rng.uniform(0.0, 0.6)),
        period=float(period),
        phase=float(rng.uniform(0.0, 100.0)),
    )
    return replace(item, colour=paint)


def _colour(rng: np.random.Generator) -> Rgb:
    return cast(Rgb, tuple(int(x) for x in rng.integers(5, 251, size=3)))
