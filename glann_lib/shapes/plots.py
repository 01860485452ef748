"""Shapes as pictures: shaded surfaces from a fixed view, on a turntable, in rows, and as a view that a mouse turns."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from IPython import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import ArrayLike
from PIL import Image

from glann_lib.records.plots import house_style, plot_images, plot_strips
from glann_lib.records.tables import encodable
from glann_lib.shapes.meshes import EmptyShapeError, surface, turned

if TYPE_CHECKING:
    import trimesh

AZIMUTH, ELEVATION = -140.0, 20.0  # degrees: a chair that faces -x is seen from its front right, from above
PIXELS = 150  # side of a drawn shape
CELL = 1.0  # inches that it takes in a figure
OVERSAMPLING = 3  # drawn so much larger, then shrunk: smooth edges
CLAY = "#a9cdea"
LIGHT = np.array([-0.2, -0.55, 0.8])  # direction towards the light, for the fixed view: from above, a little right
AMBIENT = 0.3  # brightness of what the light does not reach
AWAY = -0.3  # cosine between a triangle's normal and the way to the viewer: what turns away farther is never seen
HALF_WIDTH = 0.44  # of the part of the cube that fills the picture


def render(
    fields: ArrayLike, azimuth: float = AZIMUTH, elevation: float = ELEVATION, pixels: int = PIXELS
) -> np.ndarray:
    """Shapes [N, S, S, S] as shaded surfaces on white, all from one view: uint8 [N, 3, pixels, pixels].

    Fields are as in `meshes.surface`; without a voxel of one half or more the picture is empty. The place looked from
    has its azimuth in degrees about the upright axis, from +x towards +y, its elevation in degrees above the ground.
    """
    return _drawn([(_mesh(field), azimuth) for field in np.asarray(fields)], elevation, pixels)


def turntable(field: ArrayLike, frames: int = 36, elevation: float = ELEVATION, pixels: int = 2 * PIXELS) -> np.ndarray:
    """One shape seen on a way once round, uint8 [frames, 3, pixels, pixels]."""
    mesh, angles = _mesh(np.asarray(field)), AZIMUTH + np.linspace(0, 360, frames, endpoint=False)
    return _drawn([(mesh, angle) for angle in angles], elevation, pixels)


def plot_shapes(fields: ArrayLike, columns: int = 8, title: str = "") -> Figure:
    """A grid of shapes [N, S, S, S], all from one view."""
    return plot_images(render(fields), columns, title, cell=CELL)


def plot_shape_strips(strips: Mapping[str, ArrayLike], title: str = "") -> Figure:
    """Rows of shapes, by name [N, S, S, S], one below the other, all from one view."""
    return plot_strips({name: render(fields) for name, fields in strips.items()}, title, cell=CELL)


def plot_views(fields: ArrayLike, azimuths: Sequence[float], title: str = "") -> Figure:
    """A row for each shape of [N, S, S, S], a column for each azimuth, in degrees from the fixed view."""
    columns = [render(fields, AZIMUTH + turn) for turn in azimuths]
    return plot_images(np.stack(columns, axis=1).reshape(-1, 3, PIXELS, PIXELS), len(azimuths), title, cell=CELL)


def view(field: ArrayLike, height: int = 420) -> display.HTML:
    """A shape [S, S, S] that the mouse turns, in saved pages, too; `height` is in px. ValueError for an empty one."""
    import trimesh
    from trimesh.viewer.notebook import scene_to_notebook

    mesh = surface(np.asarray(field))
    mesh.vertices = (mesh.vertices - 0.5) @ _towards_viewer(AZIMUTH, ELEVATION).T
    mesh.visual.face_colors = [int(255 * part) for part in to_rgb(CLAY)]
    return scene_to_notebook(trimesh.Scene(mesh), height=height)


def animated(path: Path, alt: str) -> display.HTML:
    """An animation that `runs.save_animation` left, for a notebook; `alt` says in words what it shows."""
    # In the page itself: not every program that shows notebooks knows image/gif.
    content = base64.b64encode(Path(path).read_bytes()).decode()
    return display.HTML(f'<img src="data:image/gif;base64,{content}" alt="{html.escape(encodable(alt))}">')


@house_style()
def _drawn(views: list[tuple[trimesh.Trimesh | None, float]], elevation: float, pixels: int) -> np.ndarray:
    """Meshes, each from its azimuth, as uint8 [N, 3, pixels, pixels]; None: an empty picture."""
    side = pixels * OVERSAMPLING / 100
    figure = Figure(figsize=(side, side), dpi=100, facecolor="white")  # one for all: making it takes long
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), projection="3d", proj_type="persp", focal_length=2.5)
    low, high = 0.5 - HALF_WIDTH, 0.5 + HALF_WIDTH
    axes.set(xlim=(low, high), ylim=(low, high), zlim=(low, high))
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    axes.set_axis_off()
    pictures = np.empty((len(views), 3, pixels, pixels), np.uint8)
    for picture, (mesh, azimuth) in zip(pictures, views, strict=True):
        for collection in list(axes.collections):
            collection.remove()
        if mesh is not None:
            seen = mesh.face_normals @ _towards_viewer(azimuth, elevation)[2] > AWAY
            look = {"facecolors": _shaded(mesh, azimuth)[seen], "edgecolors": "none", "antialiased": False}
            axes.add_collection3d(Poly3DCollection(mesh.triangles[seen], **look))
        axes.view_init(elev=elevation, azim=azimuth)
        canvas.draw()
        large = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
        picture[:] = np.asarray(large.resize((pixels, pixels), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    return pictures


def _mesh(field: np.ndarray) -> trimesh.Trimesh | None:
    try:
        return surface(field)
    except EmptyShapeError:
        return None


def _shaded(mesh: trimesh.Trimesh, azimuth: float) -> np.ndarray:
    """A colour a triangle, [F, 3], from smoothed normals; the light goes round with the camera."""
    light = turned(LIGHT / np.linalg.norm(LIGHT), azimuth - AZIMUTH)
    normals = mesh.vertex_normals[mesh.faces].mean(1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(min=1e-9)
    lit = (normals @ light).clip(min=0)
    return np.outer(AMBIENT + (1 - AMBIENT) * lit, to_rgb(CLAY)).clip(0, 1)


def _towards_viewer(azimuth: float, elevation: float) -> np.ndarray:
    """The rotation [3, 3] from x, y, z to right, up and towards a viewer who looks from there (degrees)."""
    side, rise = np.deg2rad(azimuth), np.deg2rad(elevation)
    right = np.array([-np.sin(side), np.cos(side), 0])
    viewer = np.array([np.cos(rise) * np.cos(side), np.cos(rise) * np.sin(side), np.sin(rise)])
    return np.stack([right, np.cross(viewer, right), viewer])
