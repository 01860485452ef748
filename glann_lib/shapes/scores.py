"""Held-out shapes as what samples are compared with, for the same ScoreBook as images have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glann_lib.engine import storage
from glann_lib.sampling import solid
from glann_lib.scores.measures import VOXELS
from glann_lib.shapes.metrics import score_shapes

ENOUGH = 450  # shapes, in whole sets: where few are held out, the coverage of one set is mostly chance


def to_draw(held_out: int) -> int:
    """How many shapes to draw for their scores: as many whole sets of the size of the held-out one as come to ENOUGH.

    Of 100 chairs coverage varies by 0.03 from set to set; the mean over five does by less than half of that.
    """
    return max(1, round(ENOUGH / held_out)) * held_out


@dataclass(frozen=True)
class ShapeReference:
    """Held-out shapes."""

    voxels: Tensor  # bool [R, S, S, S]
    digest: str  # equal for equal shapes

    @classmethod
    def of(cls, voxels: Tensor) -> ShapeReference:
        """The reference of voxels bool [R, S, S, S]."""
        return cls(voxels, storage.tensor_digest(voxels))

    def score(self, shapes: Tensor, seed: int = 0) -> dict[str, Any]:
        """Every metric of shapes, bool [G, S, S, S] or fields uint8 as G draws them; errors are `score_shapes`'s.

        All compare sets of one size. So more shapes than are held out are scored as sets of as many each, without what
        is left over: a value is the mean over them, and has a standard error. Fewer are one set.

        "scores" is a list of {extractor, metric, value, standard_error}, "generated" and "real" say how many shapes,
        "sets" how many sets. `seed` is `evaluate.Judge`'s; nothing is drawn here.
        """
        voxels = shapes if shapes.dtype == torch.bool else solid(shapes)
        count = max(1, len(voxels) // len(self.voxels))
        sets = voxels[: count * len(self.voxels)].split(len(self.voxels))
        found = [score_shapes(part, self.voxels) for part in sets]
        rows = [_row(metric, [scores[metric] for scores in found]) for metric in found[0]]
        return {"scores": rows, "generated": sum(map(len, sets)), "real": len(self.voxels), "sets": count}


def _row(metric: str, values: list[float]) -> dict[str, Any]:
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else None
    return {"extractor": VOXELS, "metric": metric, "value": float(np.mean(values)), "standard_error": error}
