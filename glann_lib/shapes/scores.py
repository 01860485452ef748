"""Held-out shapes as what samples are compared with, for the same ScoreBook as images have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glann_lib.engine import storage
from glann_lib.sampling import solid
from glann_lib.scores.measures import VOXELS
from glann_lib.shapes.metrics import score_shapes


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

        "scores" is a list of {extractor, metric, value, standard_error}, "generated" and "real" say how many shapes.
        `seed` is `evaluate.Judge`'s; nothing is drawn here.
        """
        voxels = shapes if shapes.dtype == torch.bool else solid(shapes)
        values = score_shapes(voxels, self.voxels).items()
        rows = [{"extractor": VOXELS, "metric": name, "value": value, "standard_error": None} for name, value in values]
        return {"scores": rows, "generated": len(voxels), "real": len(self.voxels)}
