"""One translation task from its data to its scores (Sec. 4.5): generator, judge, T in every search, and its rivals.

Everything that is trained lies in the task's folder and is not trained again; a translation is made once for its
settings, and a ScoreBook keeps every score.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from glann_lib.data.record import ImageData
from glann_lib.engine import storage
from glann_lib.glo import fit_glo
from glann_lib.imle import fit_imle
from glann_lib.losses import unit
from glann_lib.neighbours import nearest_neighbours
from glann_lib.scores.evaluate import ScoreBook
from glann_lib.translation.config import UP_TO_COLOUR, NAMConfig, TranslationConfig
from glann_lib.translation.domains import load_pair
from glann_lib.translation.judges import Judge, make_judge
from glann_lib.translation.losses import UpToColour
from glann_lib.translation.nam import Translator, fit_nam
from glann_lib.translation.search import Target
from glann_lib.translation.translations import Translation, translate

LABELS = {"memory": "NAM, latents from memory", "sphere": "NAM, latents free", "noise": "NAM, latents T(e)"}


@dataclass(frozen=True)
class TranslationTask:
    """Source and target domain, and what is known of them."""

    config: TranslationConfig
    source: ImageData  # to learn T from
    source_test: ImageData  # unseen, to translate
    target: ImageData  # behind the target's generator
    target_test: ImageData  # others to test the judge with
    folder: Path  # where everything of this task goes
    device: torch.device  # where to train

    @classmethod
    def load(cls, config: TranslationConfig, folder: Path, device: torch.device) -> TranslationTask:
        """The task whose domains the settings name; errors are those of `domains.load_pair`."""
        (source, target), (source_test, target_test) = (load_pair(config.data, split) for split in ("train", "test"))
        return cls(config, source, source_test, target, target_test, folder, device)

    @property
    def name(self) -> str:
        """As the paper writes it: "mnist->svhn"."""
        return f"{self.source.name}->{self.target.name}"

    def describe(self) -> dict[str, Any]:
        """Plain values for the provenance record: settings and all four sets of images."""
        sets = ("source", "source_test", "target", "target_test")
        return {"config": self.config.as_dict(), **{name: getattr(self, name).describe() for name in sets}}

    @functools.cached_property
    def judge(self) -> Judge:
        """Who scores the translations."""
        path = self.folder / "judge.safetensors"
        return make_judge(self.source_test, self.target, self.target_test, device=self.device, path=path)

    @functools.cached_property
    def domain(self) -> Target:
        """The target as GLO's generator and latents know it, without IMLE's mapping."""
        embedding = fit_glo(self.target.images, self.config.glo, self.device, self.folder / "glo.safetensors")
        return Target(embedding.generator, embedding.latents)

    @functools.cached_property
    def sampled_domain(self) -> Target:
        """The target with IMLE's mapping from noise."""
        mapping = fit_imle(self.domain.latents, self.config.imle, self.device, self.folder / "imle.safetensors")
        return dataclasses.replace(self.domain, mapper=mapping.mapper)

    def _target(self, search: str) -> Target:
        return self.sampled_domain if search == "noise" else self.domain

    def settings(self, search: str, seed: int) -> NAMConfig:
        """NAM's settings for one search and seed."""
        return dataclasses.replace(self.config.nam, search=search, seed=seed)

    def learn(self, search: str, seed: int) -> Translator:
        """Learn T in one way of searching the latents."""
        path = self.folder / f"nam-{search}-seed{seed}.safetensors"
        return fit_nam(self.source.images, self._target(search), self.settings(search, seed), self.device, path)

    def translations(self, search: str, seed: int) -> Translation:
        """The unseen images' translations, made once and kept beside T."""
        translator, path = self.learn(search, seed), self.folder / f"translations-{search}-seed{seed}.safetensors"
        weights = [storage.tensor_digest(value) for value in translator.network.state_dict().values()]
        made_by = storage.digest(weights, translator.target.digest(), storage.tensor_digest(self.source_test.images))
        made_by = storage.digest(made_by, vars(translator.config))
        if path.is_file():
            tensors, record = storage.load_tensors(path)
            if record["made_by"] == made_by:
                return Translation(**tensors)
        found = translate(translator, self.source_test.images)
        storage.save_tensors(path, vars(found), {"made_by": made_by})
        return found

    def score_nam(self, book: ScoreBook, search: str, seed: int) -> dict[str, Any]:
        """Translate the unseen images in one way, and score that."""
        images = [storage.tensor_digest(data.images) for data in (self.source, self.source_test)]
        settings = [vars(self.settings(search, seed)), self._target(search).digest(), images]
        facts = self._facts(f"nam-{search}", LABELS[search], "non-adversarial", seed)

        def make() -> tuple[Tensor, dict[str, Any]]:
            translator = self.learn(search, seed)
            more = {"seconds": sum(epoch.seconds for epoch in translator.history), "epochs": len(translator.history)}
            more["precision"] = translator.precision
            return self.translations(search, seed).images, more

        return book.add(facts, settings, make)

    def score_baselines(self, book: ScoreBook) -> list[dict[str, Any]]:
        """Score what needs no T: the target's training image nearest in pixels and, for a loss up to colour, by that.

        Images of different channels are compared in grey.
        """
        settings = [storage.tensor_digest(data.images) for data in (self.source_test, self.target)]
        ways = [("nearest", "nearest training image, pixels", self._nearest_by_pixels)]
        if self.config.nam.loss == UP_TO_COLOUR:
            ways.append(("nearest-up-to-colour", "nearest training image, up to colour", self._nearest_up_to_colour))
        return [
            book.add(self._facts(model, label, "baseline"), settings, lambda find=find: (find(), {}))
            for model, label, find in ways
        ]

    def score_floors(self, book: ScoreBook) -> list[dict[str, Any]]:
        """What the judge makes of real target images, and of G's reconstructions of its training images, by their own
        labels: no translation can be expected to do better."""

        def add(model: str, label: str, data: ImageData, draw: Callable[[], Tensor]) -> dict[str, Any]:
            wanted = data.labels if data.azimuths is None else data.azimuths
            score = functools.partial(self.judge.score, wanted=wanted)
            own = dataclasses.replace(book, reference=SimpleNamespace(digest=self.judge.digest, score=score))
            settings = [data.sha256, self.domain.digest()]
            return own.add(self._facts(model, label, "floor"), settings, lambda: (draw(), {}))

        return [
            add("real", "real images", self.target_test, lambda: self.target_test.images),
            add("reconstructions", "reconstructions G(z)", self.target, lambda: self.domain.memory),
        ]

    def _facts(self, model: str, label: str, kind: str, seed: int | None = None) -> dict[str, Any]:
        seed = self.config.nam.seed if seed is None else seed
        return {"model": model, "label": label, "kind": kind, "budget": "none", "seed": seed}

    def _nearest_by_pixels(self) -> Tensor:
        wanted, offered = (unit(data.images) for data in (self.source_test, self.target))
        if wanted.shape[1] != offered.shape[1]:
            wanted, offered = (images.mean(1, keepdim=True) for images in (wanted, offered))
        return self.target.images[nearest_neighbours(wanted.flatten(1), offered.flatten(1)).index[:, 0]]

    def _nearest_up_to_colour(self) -> Tensor:
        loss, offered = UpToColour(), unit(self.target.images).mean(1, keepdim=True)
        targets = loss.targets_of(self.source_test.images)
        return self.target.images[loss.distances(offered, targets).argmin(1)]
