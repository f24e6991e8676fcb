"""What simulated colour images look like: light, surfaces, background and colour camera.

Domains with the same geometry: ``studio``, one white lamp, plain surfaces and an ideal camera;
``field``, lamps of any direction and tint, patterned surfaces, and the noise, blur, white balance
and compression of real cameras; and ``printed``, in which objects carry what real ones do (labels,
lids, lenses, keyboards, see `printed`), windows and lamps are reflected, and colour may be shifted
against depth or grey. A network for colour images that is trained in one sees a domain gap in
another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.simulation.artwork import muted
from sdfpose_core.simulation.paint import Paint, Pattern, Rgb
from sdfpose_core.simulation.printed import printed_background, printed_paint
from sdfpose_core.simulation.printed_distractors import printed_distractor
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

AppearanceName = Literal["studio", "field", "printed"]
APPEARANCES: tuple[AppearanceName, ...] = ("studio", "field", "printed")

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
        window: brightness of a window's reflection on glossy surfaces.
        window_at: (3,) towards the window, world frame, unit length.
    """

    direction: tuple[float, float, float] = (0.45, 0.8, 0.35)
    lamp: float = 0.62
    sky: float = 0.46
    ground: float = 0.24
    fill: float = 0.12
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    top: Rgb = (206, 214, 224)
    bottom: Rgb = (150, 160, 174)
    window: float = 0.0
    window_at: tuple[float, float, float] = (1.0, 0.0, 0.0)


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
        grey: whether the image is grey.
        shift_px: shift of the image against depth to the right and down, whole pixels.
    """

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    blur_px: float = 0.0
    noise: float = 0.0
    jpeg_quality: int = 0
    grey: bool = False
    shift_px: tuple[int, int] = (0, 0)

    def apply(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the image (H, W, 3), RGB, as this camera delivers it."""
        if self == ColourCamera():
            return image
        light = image.astype(np.float32) / np.float32(255.0)
        if self.shift_px != (0, 0):
            motion = np.array([[1.0, 0.0, self.shift_px[0]], [0.0, 1.0, self.shift_px[1]]])
            size = (image.shape[1], image.shape[0])
            moved = cv2.warpAffine(light, motion, size, borderMode=cv2.BORDER_REPLICATE)
            light = np.asarray(moved, np.float32)
        if self.grey:
            light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
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
    if appearance == "printed":
        return _room_light(rng)
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


def _room_light(rng: np.random.Generator) -> Illumination:
    """Draw the light of a room: lamps mostly from above, much ambient light, and a window."""
    azimuth, height = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.15, 1.0)
    side = np.sqrt(1.0 - height**2)
    warmth = 0.15 * rng.normal()
    ambient = rng.uniform(0.35, 0.8)
    at, rise = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(-0.1, 0.9)
    out = np.sqrt(1.0 - rise**2)
    return Illumination(
        direction=(float(side * np.cos(azimuth)), float(height), float(side * np.sin(azimuth))),
        lamp=float(rng.uniform(0.1, 0.8)),
        sky=float(ambient),
        ground=float(ambient * rng.uniform(0.4, 1.0)),
        fill=float(rng.uniform(0.0, 0.25)),
        tint=(float(1.0 + warmth), 1.0, float(1.0 - warmth)),
        top=muted(rng),
        bottom=muted(rng),
        window=float(max(rng.uniform(-0.5, 1.0), 0.0)),
        window_at=(float(out * np.cos(at)), float(rise), float(out * np.sin(at))),
    )


def random_camera(rng: np.random.Generator, appearance: AppearanceName) -> ColourCamera:
    """Draw the colour camera of a view."""
    if appearance == "studio":
        return ColourCamera()
    if appearance == "printed":
        return _consumer_camera(rng)
    exposure = rng.uniform(0.6, 1.3)
    red, blue = rng.uniform(0.8, 1.25, size=2)
    return ColourCamera(
        gain=(float(exposure * red), float(exposure), float(exposure * blue)),
        gamma=float(np.exp(rng.uniform(-0.35, 0.35))),
        blur_px=float(rng.uniform(0.0, 1.2)),
        noise=float(rng.uniform(0.01, 0.06)),
        jpeg_quality=int(rng.integers(40, 96)),
    )


def _consumer_camera(rng: np.random.Generator) -> ColourCamera:
    """Draw a camera with a white balance that mostly works; some are grey or badly registered."""
    exposure = np.exp(rng.normal(0.05, 0.22))
    red, blue = np.exp((0.25 if rng.random() < 0.1 else 0.09) * rng.normal(size=2))
    shift = rng.integers(-5, 6, size=2) if rng.random() < 0.1 else rng.integers(-1, 2, size=2)
    return ColourCamera(
        gain=(float(exposure * red), float(exposure), float(exposure * blue)),
        gamma=float(np.exp(rng.uniform(-0.3, 0.3))),
        blur_px=float(rng.uniform(0.2, 1.0) if rng.random() < 0.85 else rng.uniform(1.0, 2.0)),
        noise=float(rng.uniform(0.002, 0.04)),
        jpeg_quality=int(rng.integers(35, 98)) if rng.random() < 0.7 else 0,
        grey=bool(rng.random() < 0.05),
        shift_px=(int(shift[0]), int(shift[1])),
    )


def repainted(scene: Scene, rng: np.random.Generator, appearance: AppearanceName) -> Scene:
    """Return the scene with the surfaces of an appearance; the geometry stays."""
    if appearance == "studio":
        return scene
    paint = _printed if appearance == "printed" else _repainted
    table = None if scene.table is None else paint(scene.table, rng)
    return Scene([paint(x, rng) for x in scene.objects], table)


def _printed(item: SceneObject, rng: np.random.Generator) -> SceneObject:
    if item.category:
        return replace(item, colour=printed_paint(item.category, item.model, rng))
    if item.mask_id:
        return replace(item, colour=printed_distractor(item.model, rng))
    if rng.random() < 0.3:
        return _repainted(item, rng)
    return replace(item, colour=printed_background(item.model, rng))


def _repainted(item: SceneObject, rng: np.random.Generator) -> SceneObject:
    patterns = _OBJECT_PATTERNS if item.mask_id else _BACKGROUND_PATTERNS
    pattern = patterns[int(rng.integers(len(patterns)))]
    if item.category == "laptop":
        pattern = "laptop"
    if rng.random() < _PLAIN_SHARE:
        pattern = "plain"
    # Strides of patterns are lengths on the object: fractions of an object, metres of a room.
    period = rng.uniform(0.08, 0.5) * (1.0 if item.mask_id else 0.6)
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
