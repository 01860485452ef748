"""GLANN as one object: fit it to images or shapes, sample, reconstruct, interpolate, invert, score, save, load.

Of a model for shapes every method gives fields, uint8 [N, S, S, S], where that of one for images gives images;
`sampling.solid` makes voxels of them, `meshes.surface` a surface.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from glann_lib import inversion, sampling
from glann_lib.beyond.refining import Refinement, fit_refinement
from glann_lib.config import STAGES, Config, RefineConfig
from glann_lib.data.record import ImageData, name_classes
from glann_lib.engine.devices import resolve_precision, select_device
from glann_lib.files import model_files, released
from glann_lib.glo import Embedding, Generator, fit_glo
from glann_lib.imle import Mapping, fit_imle
from glann_lib.losses import ReconstructionLoss, loss_of
from glann_lib.moments import Mapper
from glann_lib.shapes.record import ShapeData
from glann_lib.shapes.training_data import from_array, prepare


class Glann:
    """A trained model: generator G, mapping T, and the latents of the training images.

    Attributes:
        generator: G, latents to images.
        mapper: T, noise to latents.
        latents: [N, latent_dim] on the unit sphere, one row a training image.
        config: the settings that it was trained with.
        record: where it comes from, plain values; travels with the file.
        labels: int64 [N], the class of each training image; None where they have none.
        class_names: by class index; empty where classes have none.
    """

    def __init__(
        self,
        generator: Generator,
        mapper: Mapper,
        latents: Tensor,
        config: Config,
        record: dict[str, Any],
        labels: Tensor | None = None,
        class_names: Sequence[str] = (),
    ):
        self.generator, self.mapper = generator.eval(), mapper.eval()
        self.latents, self.config, self.record = latents, config, record
        self.labels, self.class_names = labels, tuple(class_names)

    @classmethod
    def fit(
        cls,
        images: str | ImageData | ShapeData | ArrayLike,
        profile: str = "quick",
        *,
        seed: int = 0,
        device: str = "auto",
        folder: str | Path | None = None,
        **settings: Any,
    ) -> Glann:
        """Train both stages, and the third where the settings have one.

        Args:
            images: a data set's name ("mnist", "folder:my_photos", "made-chairs"), an ImageData or ShapeData; or an
                array of images, uint8 or floats in [0, 1], [N, S, S], [N, S, S, C] or [N, C, S, S]; or one of voxels,
                bool [N, S, S, S].
            profile: "quick", "full" (all images, hours) or "paper".
            seed: of all stages.
            device: "auto", "cuda", "mps" or "cpu".
            folder: where checkpoints go; a training that was stopped goes on from there. None: nothing is written.
            **settings: override a field of a stage: glo_epochs=50, imle_lr=1e-3, data_image_size=32.

        Raises:
            ValueError: bad images, settings or names; says what to do.
            FloatingPointError: training met a number that is not finite; says where.
        """
        data, place = prepare(images, profile, seed, settings), select_device(device)
        path = {stage: folder and Path(folder) / f"{stage}.safetensors" for stage in STAGES}
        first = fit_glo(data.tensor, data.config.glo, place, path["glo"])
        second = fit_imle(first.latents, data.config.imle, place, path["imle"])
        third = fit_refinement(data.tensor, first, second, data.config.refine, place, path["refine"])
        return cls.join(first, second, data.config, {"data": data.data.describe()}, data.data, third)

    @classmethod
    def join(
        cls,
        embedding: Embedding,
        mapping: Mapping,
        config: Config,
        record: dict[str, Any],
        data: ImageData | ShapeData | None = None,
        refined: Refinement | None = None,
    ) -> Glann:
        """A model from its finished stages; each brings the settings that it was trained with.

        Args:
            embedding, mapping: of stage 1 and 2.
            config: of the run.
            record: where the model comes from, plain values.
            data: what it was trained on, whose labels go along where it has some.
            refined: of stage 3, whose G takes the place of stage 1's; None: there was none.
        """
        refined = refined or Refinement(embedding.generator, [], RefineConfig())
        config = dataclasses.replace(config, glo=embedding.config, imle=mapping.config, refine=refined.config)
        known = data if isinstance(data, ImageData) else None
        classes = (known.labels, known.class_names) if known else ()
        return cls(refined.generator, mapping.mapper, embedding.latents, config, record, *classes)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.generator.parameters()).device

    @property
    def classes(self) -> dict[int, str]:
        """The name of each class of the training images by its label; empty where they have none."""
        return {} if self.labels is None else name_classes(self.labels, self.class_names)

    def sample(self, count: int, seed: int = 0, label: str | int | None = None) -> Tensor:
        """New images G(T(e)), uint8 [count, C, S, S]; image i of a seed is the same whatever `count` is.

        (Fields [count, S, S, S] where the model is one for shapes; so everywhere below.) `label`: as for `codes`.
        """
        return sampling.decode(self.generator, self.codes(count, seed, label))

    def codes(self, count: int, seed: int = 0, label: str | int | None = None) -> Tensor:
        """The codes T(e) [count, latent_dim] of new images: all, or those of a class (see `sampling.class_codes`).

        `label` names the class or is its number. ValueError: count below 1, and a class that is not in `classes`.
        """
        if label is None:
            return sampling.run_blocks(self.mapper, sampling.draw_noise(count, self.mapper.noise_dim, seed))
        named = [number for number, name in self.classes.items() if label in (number, name)]
        if not named:
            known = ", ".join(self.classes.values())
            raise ValueError(f"no class {label!r}: " + (f"choose one of {known}" if known else "there are no labels"))
        return sampling.class_codes(self.mapper, self.latents, self.labels == named[0], count, seed)

    def sample_gaussian(self, count: int, seed: int = 0) -> Tensor:
        """Images of a Gaussian fitted to the latents, uint8 [count, C, S, S]: GLO's, where G had no third stage."""
        return sampling.decode(self.generator, sampling.GaussianSampler(self.latents).sample(count, seed))

    def reconstruct(self, rows: ArrayLike | None = None) -> Tensor:
        """Training images as G(z_i), uint8 [n, C, S, S]: of the numbers `rows`, or all; IndexError without one."""
        latents = self.latents if rows is None else self.latents[torch.atleast_1d(torch.as_tensor(rows))]
        return sampling.decode(self.generator, latents)

    def interpolate(
        self, start: int | Tensor, end: int | Tensor, steps: int = 9, path: str = "noise-spherical"
    ) -> Tensor:
        """Images on the way between two noises, uint8 [steps, C, S, S] (Sec. 4.3).

        Args:
            start, end: noises [noise_dim], or seeds: seed s is the image that `sample(1, s)` gives.
            steps: 2 or more, the ends included.
            path: "noise-linear", "noise-spherical" or "latent-linear".

        Raises:
            ValueError: unknown path; fewer than 2 steps.
        """
        ends = [self._noise(end) for end in (start, end)]
        return sampling.interpolate_images(self.generator, self.mapper, *ends, steps, path)

    def invert(
        self, images: ArrayLike, space: str = "noise", *, restarts: int | None = None, steps: int = 200, seed: int = 0
    ) -> inversion.Inversion:
        """The noises (Eq. 6) or latents whose images come nearest to given ones by the training's loss.

        Args:
            images: of the training images' size; as for `fit`.
            space: "noise": e through G(T(e)); "latent": z through G(z), free of T.
            restarts: starting codes an image; the best result is kept. None: 4, from 128 px on 2.
            steps: of Adam.
            seed: of the candidates among which the starts are chosen.

        Raises:
            ValueError: images of another size or number of channels; unknown space.
        """
        return inversion.invert(*self._problem(space, seed, images), self._restarts(restarts), steps)

    def search(
        self,
        image: ArrayLike,
        space: str = "noise",
        *,
        restarts: int | None = None,
        steps: int = 200,
        seed: int = 0,
        every: int = 5,
    ) -> Iterator[inversion.Inversion]:
        """`invert` of one image, to be watched: the best code at the start and after every `every` steps.

        Args:
            image: [1, C, S, S], as for `invert`.
            space, restarts, steps, seed: as for `invert`, whose result comes last.
            every: steps from one report to the next.

        Raises:
            ValueError: as `invert`; several images at once.
        """
        return inversion.search(*self._problem(space, seed, image), self._restarts(restarts), steps, every=every)

    def score(
        self, images: ArrayLike, extractor: str = "imagenet", count: int | None = None, seed: int = 0
    ) -> dict[str, float]:
        """How far samples are from real images: every measure of notebook 05 (Sec. 4.1 and 4.2).

        Args:
            images: real ones, held out of training, of the training images' size; as for `fit`.
            extractor: whose features are compared: "imagenet", "random-vgg16" or "inception" (the FID's network).
            count: samples to draw; None: as many as there are images.
            seed: of the samples.

        Returns:
            Metric -> value; measures.METRICS says what each is; below 10 images some are left out. "frechet" is FID
            where the extractor is "inception". Of shapes, whatever the extractor, see measures.SHAPE_METRICS.

        Raises:
            ValueError: one image; images of another size or number of channels; unknown extractor.
            FileNotFoundError: the network's weights are not here; says where to put them.
        """
        from glann_lib.scores.evaluate import Reference, caution
        from glann_lib.scores.features import make_score_extractor
        from glann_lib.shapes.metrics import score_shapes

        real = self._checked(images)
        generated = self.sample(count or len(real), seed)
        if real.dtype == torch.bool:
            return score_shapes(sampling.solid(generated), real)
        if min(len(real), len(generated)) < 2:
            raise ValueError(f"{caution(1)}; give 2 or more")
        data = ImageData.from_array(real)
        reference = Reference.of(real, [make_score_extractor(extractor, data, data, self.device, None)])
        scores = reference.score(generated, seed)["scores"]
        return {row["metric"]: row["value"] for row in scores}

    def save(self, path: str | Path) -> Path:
        """Write the model to one safetensors file; an OSError where it cannot be written."""
        parts = self.generator, self.mapper, self.latents, self.config, self.record, self.labels, self.class_names
        return model_files.write(Path(path), *parts)

    @staticmethod
    def available() -> tuple[str, ...]:
        """Names of the released models, sorted; `load` takes them."""
        return released.available()

    @classmethod
    def load(cls, name: str | Path, device: str = "auto") -> Glann:
        """A released model, or one that `save` wrote.

        Args:
            name: one of `available()`, a file's path, or a run's folder.
            device: "auto", "cuda", "mps" or "cpu".

        Raises:
            FileNotFoundError: there is no such model or file; says which there are.
            ValueError: the file is damaged, or no model of this library.
        """
        return cls(*model_files.read(name, device))

    def _checked(self, images: ArrayLike) -> Tensor:
        """Images or voxels of the training's shape, as `fit` takes them."""
        data = from_array(images)
        tensor = data.voxels if isinstance(data, ShapeData) else data.images
        if tuple(tensor.shape[1:]) != self.generator.shape:
            own = self.generator.shape
            raise ValueError(f"images are {tuple(tensor.shape[1:])}, the model's are {own}: resize them first")
        return tensor

    def _problem(
        self, space: str, seed: int, images: ArrayLike
    ) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor, ReconstructionLoss]:
        """What an inversion needs: how codes are drawn, those to start from, the images to find, and the loss."""
        wanted = self._checked(images)
        count = inversion.candidates_of(wanted.shape[-1])
        noise = sampling.draw_noise(count, self.mapper.noise_dim, seed)
        if space == "noise":
            candidates, render = noise, lambda e: self.generator(self.mapper(e))
        elif space == "latent":
            candidates, render = sampling.run_blocks(self.mapper, noise), self.generator
        else:
            raise ValueError(f"unknown space {space!r}: choose noise or latent")
        dtype = resolve_precision(self.config.glo.precision, self.device)
        loss = loss_of(self.config.glo, self.generator.shape[-1], dtype).to(self.device)
        return render, candidates.to(self.device), wanted, loss

    def _restarts(self, given: int | None) -> int:
        return inversion.restarts_of(self.generator.shape[-1]) if given is None else given

    def _noise(self, end: int | Tensor) -> Tensor:
        return sampling.draw_noise(1, self.mapper.noise_dim, int(end))[0] if not isinstance(end, Tensor) else end
