"""Every container name of cvcuda 0.19, in one table: what it is, what it takes, and its value.

Beside them are this package's own names, so that a table that falls behind is seen. Signatures are those of the
stub, which test_stubs.py holds against the module.
"""

import ast
import enum
from pathlib import Path

import nvcv_cached as cvcuda
import pytest
from test_formats import COLOR_SPECS, FORMATS
from test_types import LAYOUTS, MEMBERS

# kind of each member -> name: parameters; several overloads are a list. "property" has none.
ENUM = {"property": ("name", "value"), "method": {"__int__": "", "__index__": "", "__hash__": ""}}
BATCH = {
    "property": ("capacity",),
    "method": {
        "__init__": "capacity",
        "__len__": "",
        "__iter__": "",
        "pushback": "members",
        "popback": "count=1",
        "clear": "",
    },
}
CLASSES = {
    "Resource": {
        "property": ("id",),
        "method": {"submitStreamSync": "stream"},
        "own": ("record_stream",),
    },
    "Container": {},
    "ExternalBuffer": {
        "property": ("shape", "strides", "dtype", "__cuda_array_interface__"),
        "method": {
            "__dlpack__": "stream=None, max_version=None, *, dl_device=None, copy=None",
            "__dlpack_device__": "",
        },
        "own": ("__array_interface__",),
    },
    "Tensor": {
        "property": ("layout", "shape", "dtype", "ndim"),
        "method": {
            "__init__": ["shape, dtype, layout=None, rowalign=0", "nimages, imgsize, format, rowalign=0"],
            "cuda": "",
            "reshape": "shape, layout=None",
            "__repr__": "",
        },
        "own": ("zeros", "__dlpack__", "__dlpack_device__", "__array_interface__", "__cuda_array_interface__"),
    },
    "Image": {
        "property": ("size", "width", "height", "format"),
        "method": {
            "__init__": ["size, format, rowalign=0", "buffer, format=..., rowalign=0"],
            "cuda": "layout=None",
            "cpu": "layout=None",
            "__repr__": "",
        },
        "static": {"zeros": "size, format, rowalign=0"},
    },
    "ImageBatchVarShape": BATCH | {"property": ("capacity", "maxsize", "uniqueformat")},
    "TensorBatch": BATCH
    | {
        "property": ("capacity", "ndim", "dtype", "layout"),
        "method": BATCH["method"] | {"__getitem__": "index, /", "__setitem__": "index, tensor, /"},
    },
    "TensorLayout": {
        "method": dict.fromkeys(("__repr__", "__hash__"), "")
        | {"__init__": "labels, /", "__eq__": "other, /", "__ne__": "other, /"},
        "value": dict.fromkeys([*LAYOUTS, "NONE"]),
    },
    "Type": {
        "property": ("components",),
        "method": dict.fromkeys(("__repr__", "__hash__"), "")
        | {"__init__": ["", "dtype, /"]}
        | dict.fromkeys(("__eq__", "__ne__", "__lt__", "__gt__"), "other, /"),
        "value": dict.fromkeys(MEMBERS),
    },
    "Format": {
        "property": (*ENUM["property"], "planes", "channels"),
        "method": ENUM["method"] | {"__init__": "value, /", "__str__": "", "__repr__": ""},
        "value": {name: value for name, value, *_ in FORMATS},
        "own": ("__members__",),
    },
    "ColorSpec": {"method": ENUM["method"], "value": COLOR_SPECS},
    "ThreadScope": {"method": ENUM["method"], "value": {"GLOBAL": 0, "LOCAL": 1}},
    "RectI": {
        "property": ("x", "y", "width", "height"),
        "method": {"__init__": ["", "x, y, width, height"], "__repr__": ""},
    },
    "Stream": {
        "property": ("handle", "id"),
        "method": {
            "__init__": "",
            "__enter__": "",
            "__exit__": "exc_type, exc_value, traceback",
            "__int__": "",
            "sync": "",
            "wait_stream": "stream",
            "__repr__": "",
        },
        "value": {"default": None, "current": None},
    },
}
FUNCTIONS = {
    "as_tensor": ["buffer, layout=None", "image"],
    "as_tensors": "buffers=[], layout=None",
    "as_image": "buffer=[], format=...",
    "as_images": "buffers=[], format=...",
    "as_stream": "src",
    "reshape": "tensor, shape, layout=None",
    "clear_cache": "scope=...",
    "cache_size": "scope=...",
    "get_cache_limit_inbytes": "",
    "set_cache_limit_inbytes": "limit, /",
    "current_cache_size_inbytes": "",
}
INTERNAL = {"nbytes_in_cache", "syncAuxStream", "drain_pending_releases"}
OWN = {
    "DeadlineExceeded", "Device", "DeviceError", "Error", "ExternalCacheItem", "Forked", "InvalidArgument",
    "NotImplemented", "OutOfMemory", "Overflow", "PermissionDenied", "QuotaExceeded", "Unavailable", "Underflow",
    "VersionMismatch", "connect", "device", "reserve", "stats",
}  # fmt: skip

STUB = ast.parse((Path(cvcuda.__file__).parent / "_core.pyi").read_text())


def parameters(function):
    """As the table writes them, without self."""
    arguments = function.args
    positional = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    written = [
        argument.arg + (f"={ast.unparse(default)}" if default else "")
        for argument, default in zip(positional, defaults, strict=True)
    ]
    if arguments.posonlyargs:
        written.insert(len(arguments.posonlyargs), "/")
    if arguments.kwonlyargs:
        written.append("*")
        written += [
            f"{argument.arg}={ast.unparse(default)}"
            for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        ]
    return ", ".join(name for name in written if name != "self")


def signatures(body, name):
    found = [parameters(node) for node in body if isinstance(node, ast.FunctionDef) and node.name == name]
    return found[0] if len(found) == 1 else found


def stub_of(name):
    return next(node.body for node in STUB.body if isinstance(node, ast.ClassDef) and node.name == name)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_have_their_members(name):
    described, cls, stub = CLASSES[name], getattr(cvcuda, name), stub_of(name)
    assert isinstance(cls, type)
    for member in described.get("property", ()):
        assert type(vars(cls)[member]).__name__ == "property", member
    for kind in ("method", "static"):
        for member, signature in described.get(kind, {}).items():
            assert callable(getattr(cls, member))
            assert signatures(stub, member) == signature, member
            static = [d.id for n in stub if getattr(n, "name", "") == member for d in n.decorator_list]
            assert ("staticmethod" in static) == (kind == "static"), member
    for member, value in described.get("value", {}).items():
        assert getattr(cls, member) is not None
        assert value is None or int(getattr(cls, member)) == value, member


@pytest.mark.parametrize("name", CLASSES)
def test_classes_have_no_public_member_beside(name):
    described, cls = CLASSES[name], getattr(cvcuda, name)
    known = {member for kind in described.values() for member in kind} | {"_members"}
    hidden = set(dir(enum.Enum)) | {"name", "value"} if issubclass(cls, enum.Enum) else set()
    public = {member for member in vars(cls) if not member.startswith("__")} - hidden
    assert {member for member in public if not member.startswith("_") or member[1:2].isdigit()} <= known


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_their_arguments(name):
    assert callable(getattr(cvcuda, name))
    assert signatures(STUB.body, name) == FUNCTIONS[name]


def test_the_module_has_every_name_and_no_other():
    formats = {name for name, *_ in FORMATS if not name.startswith("_")}
    assert formats <= set(dir(cvcuda))
    assert set(cvcuda.__all__) == {*CLASSES, *FUNCTIONS, *OWN, "__version__", "internal"}
    assert all(hasattr(cvcuda, name) for name in cvcuda.__all__)
    assert set(cvcuda.internal.__all__) == INTERNAL
    assert all(callable(getattr(cvcuda.internal, name)) for name in INTERNAL)


def test_classes_stand_where_they_do_in_cvcuda():
    for name in ("Tensor", "TensorBatch", "Image", "ImageBatchVarShape"):
        assert getattr(cvcuda, name).__mro__[1:] == (cvcuda.Container, cvcuda.Resource, object)
    assert cvcuda.Stream.__mro__[1:] == (object,)


@pytest.mark.parametrize("name", ["Resource", "Container", "ExternalBuffer"])
def test_bases_are_not_constructed(name):
    with pytest.raises(TypeError):
        getattr(cvcuda, name)()


MADE = {
    "Tensor": lambda: cvcuda.Tensor((2, 3), "u1"),
    "TensorBatch": lambda: cvcuda.TensorBatch(1),
    "Image": lambda: cvcuda.Image((3, 2), cvcuda.RGB8),
    "ImageBatchVarShape": lambda: cvcuda.ImageBatchVarShape(1),
    "Stream": cvcuda.Stream,
    "ExternalBuffer": lambda: cvcuda.Tensor((2, 3), "u1").cuda(),
    "Format": lambda: cvcuda.RGB8,
    "Type": lambda: cvcuda.Type("u1"),
}


@pytest.mark.parametrize("name", MADE)
def test_properties_are_read_only(name):
    made = MADE[name]()
    inherited = CLASSES["Resource"]["property"] if isinstance(made, cvcuda.Resource) else ()
    for member in (*CLASSES[name].get("property", ()), *inherited):
        with pytest.raises(AttributeError):
            setattr(made, member, 1)


@pytest.mark.parametrize("name", MADE)
def test_only_external_buffers_take_attributes(name):
    made = MADE[name]()
    if name == "ExternalBuffer":
        made.extra = 1
        return
    with pytest.raises(AttributeError):
        made.extra = 1


@pytest.mark.parametrize("name", ["default", "current"])
def test_streams_of_the_class_are_read_only(name):
    with pytest.raises(AttributeError):
        setattr(cvcuda.Stream, name, cvcuda.Stream())
    with pytest.raises(TypeError):
        cvcuda.Stream(0)
    assert not hasattr(cvcuda.Stream, "__index__")


def test_ids_count_on_from_object_to_object():
    cvcuda.clear_cache()
    made = [MADE[name]() for name in ("Tensor", "Image", "TensorBatch", "ImageBatchVarShape")]
    numbers = [each.id for each in made]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
