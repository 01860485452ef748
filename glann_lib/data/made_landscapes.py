"""Landscapes made by rule: pictures with structure at every scale, as many as are asked for, at any size.

A picture is painted from back to front: sky, sun or moon, clouds; ranges of mountains, paler the farther they are; a
lake that mirrors all of that; meadows with trees. Lengths are in widths of the picture, and every texture is a sum of
octaves of seeded noise: more pixels add finer octaves to the same scene. Pictures are painted twice as fine, and
averaged.
"""

from __future__ import annotations

import operator
from collections import namedtuple
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

SMALLEST, LARGEST = 64, 1024  # pixels a side
FINER = 2  # pixels that are painted for one of the picture's, along each side
# From dawn to night: colours of the zenith, the horizon, the light and the shade; how high the sun or moon stands.
HOURS = [
    [0.27, 0.37, 0.60, 0.99, 0.80, 0.68, 1.00, 0.76, 0.62, 0.36, 0.37, 0.50, 0.07],  # dawn
    [0.33, 0.56, 0.82, 0.92, 0.92, 0.87, 1.00, 0.93, 0.80, 0.38, 0.44, 0.54, 0.30],  # morning
    [0.22, 0.48, 0.80, 0.78, 0.88, 0.94, 1.00, 0.97, 0.90, 0.40, 0.47, 0.57, 0.52],  # noon
    [0.36, 0.53, 0.75, 0.99, 0.87, 0.66, 1.00, 0.82, 0.56, 0.38, 0.39, 0.48, 0.24],  # late afternoon
    [0.22, 0.26, 0.48, 0.98, 0.60, 0.44, 1.00, 0.60, 0.44, 0.29, 0.27, 0.41, 0.04],  # dusk
    [0.03, 0.06, 0.16, 0.16, 0.23, 0.38, 0.40, 0.48, 0.64, 0.11, 0.15, 0.27, 0.36],  # night
]
# Colours of grass, leaves and flowers; how much snow lies.
SEASONS = [
    [0.46, 0.58, 0.24, 0.30, 0.46, 0.20, 0.98, 0.92, 0.96, 0.10],  # spring
    [0.44, 0.52, 0.23, 0.19, 0.34, 0.17, 0.98, 0.84, 0.36, 0.00],  # summer
    [0.62, 0.54, 0.28, 0.64, 0.36, 0.14, 0.80, 0.60, 0.32, 0.12],  # autumn
    [0.80, 0.82, 0.85, 0.22, 0.29, 0.28, 0.98, 0.98, 1.00, 1.00],  # winter
]
ROCK, SNOW, DEEP = np.float32([0.43, 0.40, 0.40, 0.98, 0.99, 1.04, 0.10, 0.22, 0.28]).reshape(3, 3, 1, 1)


# What a picture shows, apart from its noise: uniform numbers from 0 to below 1. Near ones look alike, but for the
# count of ranges and the side that the light comes from. The sun and the highest peak stand from left to right, leaves
# go from conifers to broad crowns, meadows rise to the right.
Scene = namedtuple(
    "Scene", "hour season sun clouds horizon height roughness ranges peak haze water calm trees leaves rise"
)


def make_landscapes(size: int, numbers: Iterable[int], seed: int = 0) -> np.ndarray:
    """Landscapes of some numbers, 0 or more: uint8 [N, 3, size, size], red, green and blue.

    A landscape's number and the seed, 0 or more, alone say what it shows; more pixels a side, 64 to 1024, show the
    same scene finer. Machines that round sums differently may differ by one step of a few values. A ValueError refuses
    a size out of range, a negative number or seed.
    """
    numbers = [operator.index(number) for number in numbers]
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"landscapes cannot be {size} pixels a side: give {SMALLEST} to {LARGEST}")
    if min([seed, *numbers]) < 0:
        raise ValueError(f"landscape {min(numbers, default=0)} of seed {seed}: give numbers and a seed of 0 or more")
    images = np.empty((len(numbers), 3, size, size), np.uint8)
    for row, number in enumerate(numbers):
        images[row] = _Painter(size, number, seed).paint()
    return images


def _between(rows: list[list[float]], place: float) -> np.ndarray:
    """What lies at a place from 0 to 1 between the rows of a table."""
    places = np.linspace(0, 1, len(rows))
    return np.float32([np.interp(place, places, column) for column in zip(*rows, strict=True)])


def _smooth(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """From 0 at `low` to 1 at `high`."""
    x = np.clip((x - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return x * x * (3 - 2 * x)


@lru_cache(maxsize=128)
def _weights(count: int, cells: int, bend: float = 0.0) -> np.ndarray:
    """Cubic B-spline weights [count, cells + 3] of lattice points, at pixels; `bend` makes cells smaller at the end."""
    places = (np.arange(count) + 0.5) / count
    places = places / (1 + bend * (1 - places)) * cells
    cell, weights = places.astype(int), np.zeros((count, cells + 3), np.float32)
    for k in range(4):
        x = np.abs(places - cell + 1 - k)
        spline = np.clip(2 - x, 0, None) ** 3 - 4 * np.clip(1 - x, 0, None) ** 3
        weights[np.arange(count), cell + k] = 0.36 * spline  # noise deviates from 0 by about 1/2
    return weights


def _crown(u: np.ndarray, v: np.ndarray, leaves: float, grain: np.ndarray) -> np.ndarray:
    """How deep in a tree's leaves a place is that lies `u` to the right, `v` up; all in heights of the tree."""
    depth = np.float32(0)
    if leaves < 1:
        tier = 6 * v - np.floor(6 * v)
        depth = (1 - leaves) * np.minimum(0.24 * (1 - v) * (1 - 0.25 * tier) - np.abs(u), v - 0.1)
    if leaves > 0:
        depth = depth + leaves * (0.36 - np.sqrt(u * u + 0.81 * (v - 0.6) ** 2) + 0.05 * grain)
    return depth


class _Painter:
    """Paints one picture, [3, H, W], values from 0 to about 1."""

    def __init__(self, size: int, number: int, seed: int):
        self.key, self.size, self.fine = (seed, number), size, FINER * size
        self.scene = scene = Scene(*self.random(0).random(len(Scene._fields)).tolist())
        self.y = (np.arange(self.fine, dtype=np.float32)[:, None] + 0.5) / self.fine
        self.x = self.y.T
        hour, season = _between(HOURS, scene.hour), _between(SEASONS, scene.season)
        self.zenith, self.low_sky, self.light, self.shade = hour[:12].reshape(4, 3, 1, 1)
        self.grass, self.leaf, self.flower = season[:9].reshape(3, 3, 1, 1)
        self.winter = float(season[9])
        self.horizon = 0.48 + 0.14 * scene.horizon
        self.shore = self.horizon + 0.075
        self.bank = self.shore - 0.07 + 0.36 * scene.water
        self.sun = 0.1 + 0.8 * scene.sun, self.horizon - 0.03 - float(hour[12])
        self.right = np.float32(2 * scene.sun - 1 + (0.5 if scene.sun > 0.5 else -0.5))  # where light comes from
        self.texture = sum(self.octaves(1, 32, self.fine, 0.8, finest=1))

    def random(self, part: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([*self.key, part]))

    def octaves(self, part: int, cells: int, rows: int, decay, squeeze=1.0, bend=0.0, shown=None, finest=2) -> Iterator:
        """Noise [rows, W], or its first `shown` rows, of ever smaller cells, down to `finest` pixels."""
        random, weight = self.random(part), 1.0
        while cells * finest <= self.size:
            down = round(cells * squeeze)
            lattice = weight * (random.random((down + 3, cells + 3), dtype=np.float32) * 2 - 1)
            yield _weights(rows, down, bend)[:shown] @ lattice @ _weights(self.fine, cells).T
            cells, weight = 2 * cells, weight * decay

    def mix(self, colour: np.ndarray, cover: np.ndarray, rows=slice(None), columns=slice(None)):
        below = self.image[:, rows, columns]
        self.image[:, rows, columns] = below + (colour - below) * cover

    def paint(self) -> np.ndarray:
        self.image = np.zeros((3, self.fine, self.fine), np.float32)
        self.sky()
        count = 3 + round(self.scene.ranges)
        for place in range(count):
            self.mountains(10 + place, place / (count - 1))
        self.trees(20, np.full(self.fine, self.shore + 0.003, np.float32), 0.05)
        self.lake()
        for row in range(2):
            self.meadow(30 + row, self.bank + (0.97 - self.bank) * 0.5 * row, row)
        image = self.image[:, ::2] + self.image[:, 1::2]
        image = (image[..., ::2] + image[..., 1::2]) / 4
        return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)

    def sky(self):
        rows = slice(0, int(self.shore * self.fine))
        height = self.horizon - self.y[rows]
        night = float(_smooth(0.82, 0.97, self.scene.hour))
        x, y, bright = self.random(2).random((3, 90), dtype=np.float32)
        across, down = (np.exp(-(((z - w) * 300) ** 2)) for z, w in ((self.x.T, x), (height, y * self.horizon)))
        clear = self.low_sky + (self.zenith - self.low_sky) * _smooth(-0.2, 1, height / self.horizon)
        self.image[:, rows] = clear + night * (down * (0.15 + bright**3)) @ across.T  # with stars
        distance = np.hypot(self.x - self.sun[0], self.y[rows] - self.sun[1])
        disc = self.light + (1 - self.light) * 0.6
        self.mix(self.light, (0.45 - 0.3 * night) * np.exp(-6 * distance), rows)
        self.mix(disc, (0.6 - 0.25 * night) * np.exp(-(14 + 14 * night) * distance), rows)
        self.mix(disc + 0.25, _smooth(0.029, 0.025, distance), rows)
        self.clouds(distance, _smooth(-0.02, 0.1, height), rows)

    def clouds(self, distance: np.ndarray, fade: np.ndarray, rows: slice):
        octaves = list(self.octaves(3, 3, self.fine, 0.58, 3, 0.7, rows.stop))
        body = sum(octaves[:4])
        noise = sum(octaves)
        cover = 0.75 - 1.15 * self.scene.clouds
        thick = _smooth(cover, cover + 0.8, noise)
        lit = 0.6 + np.gradient(body, axis=0) * (0.03 * self.fine) + 0.25 * (noise - body) - 0.35 * thick
        lit = np.clip(lit + 0.5 * np.exp(-3 * distance), 0, 1)
        bright = 0.3 * self.low_sky + 0.72 * self.light
        dark = 0.45 * self.shade + 0.4 * self.low_sky + 0.12 * self.zenith
        self.mix(dark + (bright - dark) * lit, 0.92 * thick * fade, rows)

    def lit(self, heights: np.ndarray, depth: float) -> tuple[np.ndarray, np.ndarray]:
        """Colours of the light [3, J, W] and how level the land is [J, W], for slices that go `depth` far."""
        across = np.gradient(heights, axis=1) * self.fine
        along = np.gradient(heights, axis=0) * np.float32(len(heights) / depth)
        level = 1 / np.sqrt(1 + across**2 + along**2)
        lit = np.clip(0.1 + 0.9 * level * (0.45 + 0.5 * along - self.right * across), 0, 1.2)
        return self.shade + 0.85 * self.light * lit, level

    def land(self, heights: np.ndarray, colours: np.ndarray, foot: float, end: float, mist: float):
        """Paint slices [J, W], near ones first, whose foot is at y `foot`, down to y `end`."""
        rise = np.maximum.accumulate(heights, 0)
        crests = (foot - rise) * np.float32(self.fine) - 0.5  # in rows of pixels
        rows = slice(max(0, int(crests.min())), min(self.fine, int(end * self.fine)))
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        # How many slices lie below each pixel: then the surface is between two slices.
        last = np.clip(np.ceil(crests).astype(np.int32) - rows.start, 0, len(y))
        keys = last * self.fine + np.arange(self.fine)
        counts = np.bincount(keys.ravel(), minlength=(len(y) + 1) * self.fine).reshape(-1, self.fine)[1:]
        behind = np.clip(np.cumsum(counts[::-1], 0)[::-1], 1, len(heights) - 1)
        far = behind * self.fine + np.arange(self.fine)
        near = far - self.fine
        high, low = crests.take(far), crests.take(near)
        part = np.clip((low - y) / np.maximum(low - high, 1e-6), 0, 1)
        flat = colours.reshape(3, -1)
        colour = flat.take(near, 1)
        colour += (flat.take(far, 1) - colour) * part
        hazy = mist * (0.35 + 0.5 * self.scene.haze)
        hazy = hazy + (0.3 * mist + 0.06) * (0.4 + self.scene.haze) * _smooth(0.2, 0, foot - y / self.fine)
        colour += (0.72 * self.low_sky + 0.24 * self.zenith - colour) * np.minimum(hazy, 0.95)
        self.mix(colour, np.clip(y - crests[-1] + 0.5, 0, 1), rows)

    def mountains(self, part: int, near: float):
        scene, slices = self.scene, self.fine // 4
        rugged = (1 - 0.65 * near) * (0.55 + 0.45 * scene.roughness)
        decay = 0.4 + 0.12 * rugged
        relief, weight = np.float32(0), np.float32(1)
        for k, octave in enumerate(self.octaves(part, 3, slices, decay, 0.67)):
            sharp = (1.1 * decay**k - 2 * np.sqrt(octave * octave + (0.12 * decay**k) ** 2)) * weight
            relief = relief + octave + rugged * (sharp - octave)
            weight = np.clip(0.3 + 0.7 * relief, 0.1, 1) if k < 3 else weight
        relief = np.tanh(0.8 * relief)  # no needles
        depth = np.linspace(0, 1, slices, dtype=np.float32)[:, None]
        tall = (0.15 + 0.2 * scene.height) * (1 - 0.72 * near)
        middle, wide = self.random(part + 50).random(2).tolist()
        middle = scene.peak if near == 0 else middle
        bulge = 0.45 + 0.9 * np.exp(-(((self.x - middle) / (0.2 + 0.16 * wide)) ** 2))
        heights = tall * np.sin(0.75 * np.pi * depth) ** 1.2 * (0.8 * bulge + (0.25 + 0.25 * bulge) * relief)
        texture = self.texture[:slices]
        green = _smooth(0.17 - 0.06 * self.winter, 0.05, heights + 0.03 * texture)
        woods = green * np.clip(1.6 * near - 0.35 + 0.7 * (scene.trees - 0.5) + 0.3 * texture, 0, 1)
        heights = (heights + 0.002 * woods * texture + 0.03 * depth).astype(np.float32)
        light, level = self.lit(heights, 0.5)
        line = 0.27 + 0.15 * near - 0.34 * self.winter
        snow = _smooth(line - 0.04, line + 0.04, heights + 0.02 * texture + 0.14 * (level - 0.75))
        colours = ROCK + (0.85 * self.grass - ROCK) * green
        colours += (SNOW - colours) * snow
        colours += (0.62 * self.leaf - colours) * woods
        self.land(heights, colours * light, self.horizon + 0.03 + 0.07 * near, self.shore + 0.03, (1 - near) ** 0.8)

    def lake(self):
        first = int(self.shore * self.fine)
        last = int(min(1, self.bank + 0.2) * self.fine)
        below = self.y[first:last] - self.shore
        ripple = sum(self.octaves(4, 4, self.fine // 2, 0.75, 5, -0.7, len(below)))
        source = self.shore - below + ripple * below * (0.02 + 0.1 * (1 - self.scene.calm))
        place = np.clip(source * self.fine - 0.5, 0, first - 1.001)
        index = place.astype(np.int32) * self.fine + np.arange(self.fine)
        flat = self.image.reshape(3, -1)
        mirrored = flat.take(index, 1)
        mirrored += (flat.take(index + self.fine, 1) - mirrored) * (place % 1)
        deep = DEEP * (self.shade + 0.6 * self.light)
        mirrored += (deep - mirrored) * np.clip(0.12 + 0.9 * below + 0.05 * ripple, 0, 0.6)
        self.mix(mirrored, _smooth(0, 0.004, below), slice(first, last))

    def meadow(self, part: int, top: float, row: int):
        slices, foot = 3 * self.fine // 8, 1.12
        depth = np.linspace(0, 1, slices, dtype=np.float32)[:, None]
        slope = (self.scene.rise - 0.5) * (0.12, -0.12)[row]
        heights = (foot - top) * depth + 0.035 * sum(self.octaves(part, 2, slices, 0.38)) + slope * (self.x - 0.5)
        dry, texture = sum(self.octaves(part + 5, 4, slices, 0.7, 2)), self.texture[-slices:]
        light, _ = self.lit((heights - (foot - top) * depth + 0.0005 * texture).astype(np.float32), 1)
        green = 0.6 * self.grass + 0.25 * self.leaf
        colours = green + (self.grass - green) * np.clip(0.5 + 0.6 * dry, 0, 1)
        flowers = _smooth(1.3, 2.0, texture + 0.5 * dry) * 0.55
        colours += (self.flower - colours) * flowers
        heights = heights.astype(np.float32)
        self.land(heights, colours * light, foot, 1 if row else 0.7 + 0.5 * top, 0.12 * (1 - row))
        for k, (place, tall) in enumerate(((0.97, 0.08), (0.8, 0.12)) if row == 0 else ((0.95, 0.17), (0.55, 0.3))):
            self.trees(part + 10 + 10 * k, foot - heights[int(place * slices)], tall, tall > 0.25)

    def trees(self, part: int, base: np.ndarray, tall: float, aside: bool = False):
        """A row of trees that stand at y `base` [W], up to `tall` high; `aside` leaves the middle open."""
        leaves = float(_smooth(0.35, 0.65, self.scene.leaves))
        gap = tall * (0.4 + 0.25 * leaves)
        jitter, high, tone, there = self.random(part).random((4, int(1 / gap) + 4), dtype=np.float32)
        there = np.convolve(np.pad(there, 2, "edge"), np.ones(5) / 5, "valid") - 0.4 * (self.scene.trees - 0.5)
        centres = (np.arange(len(jitter), dtype=np.float32) - 0.7 + 0.4 * jitter) * np.float32(gap)
        there += aside * (0.5 - 1.2 * np.abs(centres - 0.5))
        stands = base[np.clip((centres * self.fine).astype(int), 0, self.fine - 1)]
        high = (tall * (0.5 + 0.6 * high) * _smooth(0.56, 0.44, there)).astype(np.float32)
        rows = slice(max(0, int((stands - high).min() * self.fine) - 4), int(stands.max() * self.fine) + 2)
        for step in (0, 2, 1):  # the trees to the left, to the right, and that of a pixel's own gap
            i = np.minimum((self.x[0] / gap).astype(int) + step, len(high) - 1)
            columns = np.flatnonzero(high[i] > 0.004)
            i = i[columns]
            v, u = (stands[i] - self.y[rows]) / high[i], (self.x[:, columns] - centres[i]) / high[i]
            grain = self.texture[rows, columns]
            crown, trunk = _crown(u, v, leaves, grain), np.minimum(0.025 - np.abs(u), np.minimum(v, 0.6 - v))
            crown, trunk = (np.clip(shape * (high[i] * self.fine) + 0.5, 0, 1) for shape in (crown, trunk))
            lit = np.clip(0.3 + 0.8 * self.right * u + 0.22 * grain + 0.3 * v, 0, 1) * crown
            colour = self.leaf * ((0.55 + 0.45 * leaves) * (0.75 + 0.5 * tone[i]))
            self.mix(colour * (self.shade + 0.8 * self.light * lit), np.maximum(crown, trunk), rows, columns)
