"""The contest of the paper's tables: every model is trained on the same images and scored in the same way.

What a ScoreBook holds already is neither trained nor scored again, so that a stopped contest goes on where it was.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glann_lib.config import Config
from glann_lib.engine import storage
from glann_lib.rivals import contenders as rivals
from glann_lib.rivals.contenders import Contender, Trained
from glann_lib.scores.evaluate import ScoreBook
from glann_lib.scores.measures import title


@dataclass(frozen=True)
class Contest:
    """What all models of one contest share."""

    images: Tensor  # uint8 [N, C, S, S], the training images; or shapes, bool [N, S, S, S]
    config: Config  # GLANN's; their seed is the first one
    book: ScoreBook  # where the scores go
    samples: int  # images drawn from each model
    device: torch.device
    folder: Path  # work/ of the run, with the first seed's stages; other models go below it

    def score_images(self, model: str, label: str, images: Tensor) -> dict[str, Any]:
        """Score real images or reconstructions, as `images` or as G draws them: a floor for every model."""
        facts = {"model": model, "label": label, "kind": "floor", "budget": "none", "seed": self.config.glo.seed}
        return _told(self.book.add(facts, storage.tensor_digest(images), lambda: (images, {})))

    def score_glann(self, seed: int, loss: str | None = None) -> list[dict[str, Any]]:
        """Train GLANN with one seed, and score it, its GLO with the Gaussian, and what stage 3 makes of it, if any.

        `loss`, a name in config.LOSSES, replaces the run's own in stage 1; an unknown one or the run's own is a
        ValueError.
        """
        config = rivals.with_seed(self.config, seed)
        first = seed == self.config.glo.seed
        folder = self.folder if first else self.folder / "seeds" / f"seed{seed}"
        if loss is not None:
            config = dataclasses.replace(config, glo=dataclasses.replace(config.glo, loss=loss))
            folder = self.folder / "losses" / loss / f"seed{seed}"
        two = {"glo": dataclasses.asdict(config.glo), "imle": dataclasses.asdict(config.imle)}
        settings = {"glo": two, "glann": two}
        if config.refine.epochs:
            settings["glann-refined"] = two | {"refine": dataclasses.asdict(config.refine)}
        contenders = {key: rivals.contender(key, self.config, loss) for key in settings}
        # All share the first stage: trained or read once, and only where a score is missing.
        fit = functools.cache(lambda: rivals.fit_glann(self.images, config, self.device, folder))
        return [
            self.score(shown, seed, "own", settings[key], lambda key=key: fit()[key])
            for key, shown in contenders.items()
        ]

    def score_rivals(self, keys: Sequence[str], budgets: Mapping[str, int], seed: int) -> list[dict[str, Any]]:
        """Train and score rivals, keys in RIVALS (else a ValueError), under each budget, name -> generator steps."""
        config, folder = rivals.with_seed(self.config, seed), self.folder / "rivals"
        plan = []  # made whole first, so that a wrong name costs no training
        for budget, steps in budgets.items():
            for key in keys:
                settings = rivals.rival_settings(key, config, steps, len(self.images))
                fit = functools.partial(rivals.fit_rival, key, self.images, config, budget, steps, self.device, folder)
                own = rivals.decisive(key, settings, config)
                plan.append((rivals.contender(key, self.config), seed, budget, own, fit))
        return [self.score(*planned) for planned in plan]

    def score(
        self, shown: Contender, seed: int, budget: str, settings: dict[str, Any], fit: Callable[[], Trained]
    ) -> dict[str, Any]:
        """The record of one model, from the book, or trained by `fit` and scored now; `settings` decide which."""
        facts = {"model": shown.key, "label": shown.label, "kind": shown.kind, "budget": budget, "seed": seed}

        def make() -> tuple[Tensor, dict[str, Any]]:
            trained = fit()
            return trained.sample(self.samples, seed), trained.facts

        return _told(self.book.add(facts, [settings, self.samples, self.book.provenance["data"]["sha256"]], make))


def _told(record: dict[str, Any]) -> dict[str, Any]:
    main = [f"{title(row['metric'], row['extractor'])} {row['value']:.3g}" for row in record["scores"][:1]]
    steps = f", {record['generator_steps']:,} generator steps" if "generator_steps" in record else ""
    print(f"{record['label']}, seed {record['seed']}{steps}: {''.join(main) or 'not scored'}", flush=True)
    return record
