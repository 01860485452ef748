"""What the steps of the stages and of other models take, in seconds of a reference machine or of any other.

Work has two parts. `networks` is what convolutions and large matrix products take, `rest` what the start of a kernel,
imports, plots and small steps take: machines differ far more in the first. `speed` measures both, `estimates` adds up
whole notebooks. Only the standard library is needed, so that --dry-run can tell before anything is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glann_lib.config import GLOConfig, IMLEConfig

PERCEPTUAL_LOSSES = ("vgg16", "vgg19", "random-vgg16")


@dataclass(frozen=True)
class Work:
    """Work in seconds of the reference machine."""

    networks: float = 0.0
    rest: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.networks + other.networks, self.rest + other.rest)

    def times(self, factor: float) -> Work:
        """So many times this work."""
        return Work(self.networks * factor, self.rest * factor)


@dataclass(frozen=True)
class Speed:
    """How many times as long as the reference machine another one takes, and in words where that is known from."""

    networks: float
    rest: float
    measured: str


REFERENCE = Speed(1.0, 1.0, "on two cores of an AMD EPYC without AMX, not on this machine")

# Seconds of the reference machine, measured on whole runs unless a comment says otherwise.
PERCEPTUAL = {28: 0.19 / 128, 32: 0.20 / 128, 64: 0.60 / 64}  # GLO step by px, for each image of its batch
PLAIN = {28: 0.022 / 64, 32: 0.04 / 64, 64: 0.25 / 64}  # the same for the losses without a network
UNCACHED = 1.4  # times the above where the targets' features do not fit into the cache (inferred from the faces)
VOXELS = 0.052 / 32  # GLO step for each shape: 32 voxels a side, voxel_channels 64
IMLE_STEP = 0.0006  # a batch of 128 with hidden_dim 128
IMLE_NOISE = 7e-6  # to draw a noise and map it
IMLE_PAIR = 3.5 / (60_000 * 120_000)  # to compare a latent with a mapped noise
CLASSIFIER = 0.04 / 64  # step for each image at 28 px
# Generator steps of notebook 05's rivals at 28 px; with larger images they grow as GLO's perceptual step does.
RIVALS = dict.fromkeys(("mm-gan", "ns-gan", "lsgan", "wgan"), 0.085) | {"wgan-gp": 0.2, "dragan": 0.16, "began": 0.16}
RIVALS |= {"vae": 0.05, "vae-l1": 0.05, "vae-perceptual": 0.155, "imle-pixel": 0.17, "glo-laplacian": 0.044}
VOXEL_VAE = 1.55  # a step of the 3D VAE, in steps of GLO

# Facts of modules that need torch; tests compare them.
FEATURES = {28: 230.0, 32: 236.0, 64: 1008.0}  # KiB that the cache takes for an image by px, in bfloat16
CLASSIFIER_EPOCHS, CLASSIFIER_BATCH = 8, 64


def seconds(work: Work, speed: Speed) -> float:
    """Seconds that some work takes at a speed."""
    return work.networks * speed.networks + work.rest * speed.rest


def glo_work(glo: GLOConfig, count: int, size: int, grey: bool = False) -> Work:
    """Stage 1 on so many images of `size` px."""
    perceptual = glo.loss in PERCEPTUAL_LOSSES
    uncached = UNCACHED if perceptual and not cached_mib(glo, count, size) else 1.0
    return Work(_trained(glo, count) * image_step(glo.loss, size, grey) * uncached)


def imle_work(imle: IMLEConfig, count: int) -> Work:
    """Stage 2 on so many latents."""
    noises, steps = count * imle.noise_per_latent, count // imle.batch_size
    step = IMLE_STEP * (0.75 + 0.25 * imle.hidden_dim / 128)
    return Work(count * noises * IMLE_PAIR, steps * step + noises * IMLE_NOISE).times(imle.epochs)


def voxel_work(glo: GLOConfig, count: int, size: int) -> Work:
    """Stage 1 on so many shapes of `size` voxels a side."""
    return Work(_trained(glo, count) * VOXELS * (glo.voxel_channels / 64) * (size / 32) ** 3)


def classifier_work(count: int, least: int) -> Work:
    """A classifier's training on so many images at 28 px, in `least` steps or more."""
    return Work(max(CLASSIFIER_EPOCHS * count, least * CLASSIFIER_BATCH) * CLASSIFIER)


def rival_work(keys: Sequence[str], steps: int) -> Work:
    """So many generator steps of each of these rivals at 28 px."""
    return Work(sum(RIVALS[key] for key in keys) * steps)


def image_step(loss: str, size: int, grey: bool = False) -> float:
    """Seconds of a step of stage 1, for each image of its batch."""
    own = PERCEPTUAL if loss in PERCEPTUAL_LOSSES else PLAIN
    return own[size if grey or size != 28 else 32]  # three channels at 28 px take about as long as at 32


def cached_mib(glo: GLOConfig, count: int, size: int) -> float:
    """MiB that stage 1 keeps of what the loss network sees of so many images; 0 where it keeps nothing."""
    needed = count * FEATURES[size] / 1024 if glo.loss in PERCEPTUAL_LOSSES else 0.0
    return needed if needed <= glo.cache_mib else 0.0


def _trained(glo: GLOConfig, count: int) -> int:
    """Images, or shapes, in all steps of stage 1 together."""
    return glo.epochs * (count // glo.batch_size) * glo.batch_size
