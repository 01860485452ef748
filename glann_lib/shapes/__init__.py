"""The same method on voxels (Sec. 4.4). Enters: meshes or a name. Leaves: `ShapeData`, surfaces of samples, scores."""

from glann_lib.engine.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    data="load_shapes",
    record="ShapeData",
    meshes="surface save_mesh",
    metrics="score_shapes",
)
