"""Tensors and images by value through pickle, as Ray, Dask and multiprocessing send things.

`register()` in each process that sends; who receives needs nothing. The receiver gets an object of its own, borrowed
from the cache of its node. Pixels go out of band where the sender's pickler can take them (protocol 5): an engine's
object store then has the one copy, from which the receiver's object is filled.
"""

import copyreg
from typing import Any

import numpy

from . import _core


def register() -> None:
    """From here on this process pickles Tensor and Image; without it they refuse, as NVCV's do.

    A tensor must lie in host memory: pickling one on a GPU raises TypeError. Images travel from both, with the row
    alignment of the receiver's device.
    """
    copyreg.pickle(_core.Tensor, _reduce_tensor)  # type: ignore[arg-type]
    copyreg.pickle(_core.Image, _reduce_image)  # type: ignore[arg-type]


def _tensor(elements: Any, shape: tuple[int, ...], dtype: numpy.dtype, layout: str | None) -> _core.Tensor:
    made = _core.Tensor(shape, dtype, layout)
    numpy.asarray(made)[...] = elements
    return made


def _reduce_tensor(tensor: _core.Tensor) -> tuple[Any, ...]:
    if tensor.__dlpack_device__()[0] != 1:  # kDLCPU
        raise TypeError(
            "a Tensor on a GPU was to be pickled; do: send torch.from_dlpack(tensor).cpu(), and copy that into a Tensor"
        )
    # NumPy hands out of band what is contiguous; padded rows are not.
    elements = numpy.ascontiguousarray(tensor)
    layout = None if tensor.layout is None else str(tensor.layout)
    return _tensor, (elements, tensor.shape, tensor.dtype, layout)


def _reduce_image(image: _core.Image) -> tuple[Any, ...]:
    return _core.Image, (image.cpu(), image.format)
