"""The library's hot paths beside their textbook forms, each on data that both sides share."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.material import (
    HIDDEN_DIM,
    LATENT_DIM,
    NOISE_DIM,
    Sizes,
    make_generator,
    make_latents,
    make_mapper,
    pictures,
    settle,
)
from benchmarks.speed import textbook
from benchmarks.timing import Comparison, count_operations, timed
from glann_lib import features, glo, imle, inversion, sampling
from glann_lib.config import GLOConfig, IMLEConfig
from glann_lib.engine.devices import resolve_precision, seeded
from glann_lib.losses import make_loss
from glann_lib.neighbours import nearest_neighbours

UNENDING = 10**6  # epochs: none that is timed is the last one, which takes a snapshot


def compare_glo(sizes: Sizes, device: torch.device, repeats: int, size: int, channels: int) -> list[Comparison]:
    """A step of stage 1: epochs are timed, and their seconds divided by the number of batches.

    An epoch is a few batches, on CUDA a data set: see `Sizes.for_device`.
    """
    batch, latents = sizes.of_glo(size)
    images, steps = pictures(latents, channels, size), latents // batch
    config = GLOConfig(loss="random-vgg16", epochs=UNENDING, batch_size=batch)
    network = textbook.PlainVGG(features.make_extractor("random-vgg16", size), size).to(device)
    stage, epochs = glo.GLO(images, config, device), _epochs()
    plain = textbook.PlainGLO(images, stage.generator, stage.latents, network)
    stage.run_epoch(1)  # makes the loss network and keeps what it sees of the images
    works = [lambda _: stage.run_epoch(next(epochs)), lambda _: plain.epoch(batch)]
    (here, _), (book, _) = timed(works, repeats, True, device)
    precision = stage.facts()["precision"]
    ours, theirs = first_losses(images[:batch], config, device, network)
    whole = f", {latents:,} latents" if latents > Sizes().of_glo(size)[1] else ""
    return [
        Comparison(
            f"GLO step {size} px, {'grey' if channels == 1 else 'colour'}, batch {batch}{whole}", here.part(steps),
            "float32, target's graph and VGG's gradients built", book.part(steps),
            f"loss {_relative(ours, theirs)} ({precision})", {"here": ours, "textbook": theirs},
            step_operations(images[:batch], dataclasses.replace(config, precision=precision)),
        )
    ]  # fmt: skip


def first_losses(
    images: Tensor, config: GLOConfig, device: torch.device, network: textbook.PlainVGG
) -> tuple[float, float]:
    """The losses here and by the book before the first step, of `images` that are one batch: their order is nothing."""
    stage = glo.GLO(images, config, device)
    plain = textbook.PlainGLO(images, stage.generator, stage.latents, network)
    return stage.run_epoch(1).loss, plain.step(torch.arange(len(images)))


def step_operations(images: Tensor, config: GLOConfig) -> dict[str, float]:
    """Those of a step here on one batch, counted on the CPU: what a GPU plays back goes past the counter.

    They are counted in float32, which every processor has, and stand under the format of `config`.
    """
    stage = glo.GLO(images, dataclasses.replace(config, precision="float32"), torch.device("cpu"))
    stage.run_epoch(1)
    return {config.precision: sum(count_operations(lambda: stage.run_epoch(3)).values())}


def compare_imle(sizes: Sizes, device: torch.device, repeats: int) -> list[Comparison]:
    """An epoch of stage 2: noises, search, training. The first one has the same noises on both sides."""
    latents = make_latents(sizes.latents)
    config = IMLEConfig(NOISE_DIM, HIDDEN_DIM, UNENDING, sizes.imle_batch, noise_per_latent=sizes.noise_per_latent)
    stage, epochs = imle.IMLE(latents, config, device), _epochs()
    settle(stage.mapper)
    plain = textbook.PlainIMLE(stage.latents, stage.mapper, config.noise_per_latent, config.batch_size)
    noise = sampling.draw_noise(plain.noises, NOISE_DIM, seed=0).to(device)
    other = int((stage.match(noise).index[:, 0] != plain.match(noise)).sum())
    first, losses = next(epochs), []
    stage.graphs = "off"  # what a GPU plays back goes past the counter
    operations = count_operations(lambda: losses.append(stage.run_epoch(first).loss))
    stage.graphs, stage.recording = "auto", None
    losses.append(plain.epoch(seeded(config.seed, f"imle epoch {first}")))
    works = [lambda _: stage.run_epoch(next(epochs)), lambda _: plain.epoch()]
    (here, _), (book, _) = timed(works, repeats, True, device)
    name = next(iter(textbook.searches(device)))
    return [
        Comparison(
            f"IMLE epoch, {len(latents):,} latents", here, f"{name}; a plain loop, all threads", book,
            f"{other} of {len(latents):,} matches; loss {_relative(*losses)}",
            {"here": losses[0], "textbook": losses[1], "other_matches": other}, operations,
        )
    ]  # fmt: skip


def compare_neighbours(sizes: Sizes, device: torch.device, repeats: int) -> list[Comparison]:
    """The nearest mapped noise of every latent, against each way that a textbook would name."""
    queries = make_latents(sizes.latents).to(device)
    noise = sampling.draw_noise(sizes.noise_per_latent * sizes.latents, NOISE_DIM, seed=0)
    with torch.no_grad():
        points = make_mapper(device).train()(noise.to(device))

    def search(_: int) -> Tensor:
        return nearest_neighbours(queries, points).index[:, 0]

    known = textbook.searches(device)
    operations = count_operations(lambda: search(0))
    works = [search, *(functools.partial(_unnumbered, plain, queries, points) for plain in known.values())]
    (here, found), *books = timed(works, repeats, True, device)
    what = f"nearest neighbours {len(queries):,} x {len(points):,} x {LATENT_DIM}"
    comparisons = []
    for name, (book, expected) in zip(known, books, strict=True):
        other = int((found[0] != expected[0]).sum())
        words = f"{other} of {len(queries):,} indices"
        comparisons.append(Comparison(what, here, name, book, words, {"other_indices": other}, operations))
    return comparisons


def compare_sampling(sizes: Sizes, device: torch.device, repeats: int) -> list[Comparison]:
    """New images from noise."""
    generator, mapper = make_generator(28, 1, device), make_mapper(device)
    noise = sampling.draw_noise(sizes.samples, NOISE_DIM, seed=0)
    works = [
        lambda _: sampling.sample(generator, mapper, sizes.samples, seed=0),
        lambda _: textbook.sample(generator, mapper, noise),
    ]
    operations = count_operations(lambda: works[0](0))
    (here, ours), (book, theirs) = timed(works, repeats, True, device)
    gap = int((ours[0].int() - theirs[0].int()).abs().max())
    return [
        Comparison(
            f"{sizes.samples:,} samples, 28 px, grey", here, "a loop over batches of 128", book,
            f"{gap} of 255 grey levels", {"grey_levels": gap}, operations,
        )
    ]  # fmt: skip


def compare_inversion(sizes: Sizes, device: torch.device, repeats: int) -> list[Comparison]:
    """The noises of given images, with as many starts and steps on both sides."""
    generator, mapper = make_generator(28, 1, device).eval(), make_mapper(device).eval()
    images = pictures(sizes.inverted, 1, 28)
    candidates = sampling.draw_noise(sizes.candidates, NOISE_DIM, seed=0).to(device)
    precision = resolve_precision("auto", device)
    loss = make_loss("random-vgg16", 28, precision).to(device)
    network = textbook.PlainVGG(features.make_extractor("random-vgg16", 28), 28).to(device)
    arguments = sizes.restarts, sizes.inversion_steps

    def render(codes: Tensor) -> Tensor:
        return generator(mapper(codes))

    works = [
        lambda _: inversion.invert(render, candidates, images, loss, *arguments).loss,
        lambda _: textbook.invert(render, candidates, images, network, *arguments),
    ]
    operations = count_operations(lambda: works[0](0))
    (here, ours), (book, theirs) = timed(works, repeats, True, device)
    gap = float((ours[0] / theirs[0] - 1).abs().max())
    name = str(precision).removeprefix("torch.")
    return [
        Comparison(
            f"inversion of {sizes.inverted} images, {sizes.restarts} starts, {sizes.inversion_steps} steps", here,
            "one image after the other, VGG's gradients built", book, f"loss {gap:.1e} ({name})",
            {"here": ours[0].tolist(), "textbook": theirs[0].tolist()}, operations,
        )
    ]  # fmt: skip


def compare_features(sizes: Sizes, device: torch.device, repeats: int) -> list[Comparison]:
    """Features of images, for scores."""
    images, extractor = pictures(sizes.pooled, 3, 32), features.make_extractor("random-vgg16", 32).to(device)
    network = textbook.PlainVGG(extractor, 32).to(device)
    works = [
        lambda _: features.pooled_features(extractor, images),
        lambda _: textbook.pooled_features(network, images),
    ]
    operations = count_operations(lambda: works[0](0))
    (here, ours), (book, theirs) = timed(works, repeats, True, device)
    gap = float((ours[0] - theirs[0]).abs().max() / theirs[0].abs().max())
    return [
        Comparison(
            f"pooled VGG features of {sizes.pooled:,} images, 32 px, colour", here, "float32, channels first", book,
            f"{gap:.1e} of the largest", {"relative": gap}, operations,
        )
    ]  # fmt: skip


def compare_move(sizes: Sizes, device: torch.device, repeats: int, size: int, channels: int) -> list[Comparison]:
    """A slider's move in the playground, see `moves`."""
    from benchmarks.speed import moves  # here: it needs matplotlib

    return moves.compare_move(sizes, device, repeats, size, channels)


def compare_scores(sizes: Sizes, device: torch.device, repeats: int, score: str) -> list[Comparison]:
    """A score of two sets of features, "frechet" or "prd", on the CPU whatever the device is."""
    from benchmarks.speed import scores  # here: it needs scipy and scikit-learn

    return [getattr(scores, f"compare_{score}")(*_score_features(sizes.features, sizes.width), repeats)]


PATHS: dict[str, Callable[[Sizes, torch.device, int], list[Comparison]]] = {
    "glo-28": functools.partial(compare_glo, size=28, channels=1),
    "glo-32": functools.partial(compare_glo, size=32, channels=3),
    "glo-64": functools.partial(compare_glo, size=64, channels=3),
    "imle": compare_imle,
    "neighbours": compare_neighbours,
    "sampling": compare_sampling,
    "move-28": functools.partial(compare_move, size=28, channels=1),
    "move-64": functools.partial(compare_move, size=64, channels=3),
    "inversion": compare_inversion,
    "features": compare_features,
    "fid": functools.partial(compare_scores, score="frechet"),
    "prd": functools.partial(compare_scores, score="prd"),
}
ON_GPU = ("glo-28", "glo-32", "glo-64", "imle", "neighbours", "sampling", "inversion", "features")  # what it works on


def _epochs() -> Iterator[int]:
    """Numbers of epochs that take no snapshot: 3, 5, 6, 7, 9, ..."""
    return (number for number in itertools.count(3) if number & (number - 1))


@functools.cache
def _score_features(count: int, width: int) -> tuple:
    from benchmarks.speed import scores

    return scores.features(count, width)


def _unnumbered(search: Callable[[Tensor, Tensor], Tensor], queries: Tensor, points: Tensor, _: int) -> Tensor:
    return search(queries, points)


def _relative(value: float, expected: float) -> str:
    return f"{abs(value / expected - 1):.1e}"
