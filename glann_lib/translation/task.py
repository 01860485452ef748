"""One translation task from its data to its scores (Sec. 4.5): generator, judge, T in every search, and its rivals.

Everything that is trained lies in the task's folder and is not trained again; a translation is made once for its
settings, and a ScoreBook keeps every score.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
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
    """Source and target domain, and what is known of them.

    Attributes:
        config: settings.
        source, source_test: images to learn T from, and unseen ones to translate; uint8 [N, C, S, S].
        target, target_test: images behind the target's generator, and others to test the judge with.
        folder: where everything of this task goes.
        device: where to train.
    """

    config: TranslationConfig
    source: ImageData
    source_test: ImageData
    target: ImageData
    target_test: ImageData
    folder: Path
    device: torch.device

    @classmethod
    def load(cls, config: TranslationConfig, folder: Path, device: torch.device) -> TranslationTask:
        """The task whose domains the settings name.

        Raises:
            ValueError, FileNotFoundError, ConnectionError: as `domains.load_pair`.
        """
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
        path = self.folder / "glo.safetensors"
        embedding = fit_glo(self.target.images, self.config.glo, self.device, path)
        return Target(embedding.generator, embedding.latents)

    @functools.cached_property
    def sampled_domain(self) -> Target:
        """The target with IMLE's mapping from noise."""
        path = self.folder / "imle.safetensors"
        mapping = fit_imle(self.domain.latents, self.config.imle, self.device, path)
        return dataclasses.replace(self.domain, mapper=mapping.mapper)

    def settings(self, search: str, seed: int) -> NAMConfig:
        """NAM's settings for one search and seed."""
        return dataclasses.replace(self.config.nam, search=search, seed=seed)

    def learn(self, search: str, seed: int) -> Translator:
        """Learn T in one way of searching the latents."""
        target = self.sampled_domain if search == "noise" else self.domain
        path = self.folder / f"nam-{search}-seed{seed}.safetensors"
        return fit_nam(self.source.images, target, self.settings(search, seed), self.device, path)

    def translations(self, search: str, seed: int) -> Translation:
        """The unseen images' translations, made once and kept beside T."""
        translator = self.learn(search, seed)
        path = self.folder / f"translations-{search}-seed{seed}.safetensors"
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
        target = self.sampled_domain if search == "noise" else self.domain
        images = [storage.tensor_digest(data.images) for data in (self.source, self.source_test)]
        settings = [vars(self.settings(search, seed)), target.digest(), images]
        facts = _facts(f"nam-{search}", LABELS[search], "non-adversarial", seed)

        def make() -> tuple[Tensor, dict[str, Any]]:
            translator = self.learn(search, seed)
            more = {"seconds": sum(epoch.seconds for epoch in translator.history), "epochs": len(translator.history)}
            return self.translations(search, seed).images, more

        return book.add(facts, settings, make)

    def score_baselines(self, book: ScoreBook) -> list[dict[str, Any]]:
        """Score what needs no T: the target's training image nearest in pixels and, for a loss up to colour, by that.

        Images of different channels are compared in grey.
        """
        images = {"nearest": ("nearest training image, pixels", self._nearest_by_pixels)}
        if self.config.nam.loss == UP_TO_COLOUR:
            images["nearest-up-to-colour"] = ("nearest training image, up to colour", self._nearest_up_to_colour)
        settings = [storage.tensor_digest(data.images) for data in (self.source_test, self.target)]
        return [
            book.add(_facts(key, label, "baseline", self.config.nam.seed), settings, lambda find=find: (find(), {}))
            for key, (label, find) in images.items()
        ]

    def score_floors(self, book: ScoreBook) -> list[dict[str, Any]]:
        """What the judge makes of real target images, and of G's reconstructions of its training images, by their own
        labels: no translation can be expected to do better."""
        rows = []
        for key, label, data, images in (
            ("real", "real images", self.target_test, lambda: self.target_test.images),
            ("reconstructions", "reconstructions G(z)", self.target, lambda: self.domain.memory),
        ):
            own = dataclasses.replace(book, reference=_OwnLabels(self.judge, data))
            settings = [data.sha256, self.domain.digest()]
            rows.append(
                own.add(_facts(key, label, "floor", self.config.nam.seed), settings, lambda m=images: (m(), {}))
            )
        return rows

    def _nearest_by_pixels(self) -> Tensor:
        wanted, offered = (unit(data.images) for data in (self.source_test, self.target))
        if wanted.shape[1] != offered.shape[1]:
            wanted, offered = (images.mean(1, keepdim=True) for images in (wanted, offered))
        return self.target.images[nearest_neighbours(wanted.flatten(1), offered.flatten(1)).index[:, 0]]

    def _nearest_up_to_colour(self) -> Tensor:
        loss, offered = UpToColour(), unit(self.target.images).mean(1, keepdim=True)
        targets = loss.targets(unit(self.source_test.images))
        return self.target.images[loss.distances(offered, targets).argmin(1)]


@dataclass(frozen=True)
class _OwnLabels:
    """A judge that asks of images whether they show what they are labelled with themselves."""

    judge: Judge
    data: ImageData

    @property
    def digest(self) -> str:
        return self.judge.digest

    def score(self, images: Tensor, seed: int = 0) -> dict[str, Any]:
        return self.judge.self_test(images, self.data.labels if self.data.azimuths is None else self.data.azimuths)


def _facts(model: str, label: str, kind: str, seed: int) -> dict[str, Any]:
    return {"model": model, "label": label, "kind": kind, "budget": "none", "seed": seed}
