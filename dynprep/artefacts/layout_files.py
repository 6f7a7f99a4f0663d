"""What a trainer's reader wants in another form than the dataset has it: files that a layout has converted."""

from dynprep.artefacts.base import Artefact


class LayoutFiles(Artefact, is_abstract=True):
    """Converted files of one layout. A dataset does not hold them: they lie in the layout's own folder."""

    unit = ""
    places = ()
    picture = None
    scorers = ()
    agreement = None


class ColmapFiles(LayoutFiles):
    """``sparse/0/*.bin``, ``transforms.json``, depth in millimetres, masks of what stands still."""

    name = "colmap"
    title = "COLMAP"
    what = "a COLMAP model and transforms.json"


class NerfiesFiles(LayoutFiles):
    """Cameras, splits and images as Nerfies and DyCheck have them."""

    name = "nerfies"
    title = "Nerfies"
    what = "a folder of the Nerfies and DyCheck family"


class ShapeOfMotionFiles(LayoutFiles):
    """Cameras and tracks of object pixels as Shape of Motion reads them."""

    name = "shape_of_motion"
    title = "Shape of Motion"
    what = "a folder for Shape of Motion"


class MoscaFiles(LayoutFiles):
    """Depth, long tracks, optical flow and cameras as MoSca reads them."""

    name = "mosca"
    title = "MoSca"
    what = "a folder for MoSca"


class MegasamFiles(LayoutFiles):
    """One .npz as MegaSaM writes it."""

    name = "megasam"
    title = "MegaSaM"
    what = "MegaSaM's .npz"


class VipeFiles(LayoutFiles):
    """Poses, intrinsics, depth, masks and a video as ViPE writes them."""

    name = "vipe"
    title = "ViPE"
    what = "ViPE's artefacts"


class PlyFiles(LayoutFiles):
    """A point cloud as .ply."""

    name = "ply"
    title = "Point cloud (PLY)"
    what = "a point cloud, .ply"


class GlbFiles(LayoutFiles):
    """A point cloud as .glb."""

    name = "glb"
    title = "Point cloud (glTF)"
    what = "a point cloud, .glb"
