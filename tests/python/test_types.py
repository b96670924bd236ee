"""Type, TensorLayout and ThreadScope: NVCV's names, values and TypeErrors."""

import copy
import pickle

import numpy as np
import nvcv_cached as nvcv
import pytest

SCALARS = {
    "U8": "u1", "S8": "i1", "U16": "u2", "S16": "i2", "U32": "u4", "S32": "i4", "U64": "u8", "S64": "i8",
    "F16": "f2", "F32": "f4", "F64": "f8", "C64": "c8", "C128": "c16",
}  # fmt: skip
MEMBERS = dict(SCALARS)
for name, base in SCALARS.items():
    for components in (2,) if name == "C128" else (2, 3, 4):
        MEMBERS[f"_{components}{name}"] = (base, (components,))


def test_fifty_members_are_numpy_dtypes():
    assert len(MEMBERS) == 50
    for name, description in MEMBERS.items():
        member = getattr(nvcv.Type, name)
        assert isinstance(member, np.dtype)
        assert member == np.dtype(description), name
        assert getattr(nvcv.Type, name) is member
        assert repr(nvcv.Type(member)) == "nvcv.Type." + name.removeprefix("_")
    named = {name for name in dir(nvcv.Type) if name.lstrip("_")[0].isupper() or name[1].isdigit()}
    assert named == set(MEMBERS)


def test_members_cannot_be_assigned():
    with pytest.raises(AttributeError):
        nvcv.Type.U8 = np.dtype("u2")


@pytest.mark.parametrize("source", ["u1", np.uint8, np.dtype("u1"), nvcv.Type("u1"), "uint8"])
def test_type_converts_and_compares(source):
    made = nvcv.Type(source)
    assert made == np.uint8 and made == "u1" and "u1" == made and np.dtype("u1") == made
    assert not made != "u1" and made != "u2" and made != 7 and made != None  # noqa: E711
    assert made.components == 1
    assert hash(made) == hash(np.dtype("u1"))
    assert str(made) == "nvcv.Type.U8"


def test_python_numbers_are_types():
    assert nvcv.Type(float) == nvcv.Type.F64
    assert nvcv.Type(int) == nvcv.Type.S64
    assert nvcv.Type(complex) == nvcv.Type.C128


def test_no_type():
    assert nvcv.Type().components == 0
    assert repr(nvcv.Type()) == "nvcv.Type.NONE"
    hash(nvcv.Type())
    assert nvcv.Type() == nvcv.Type() and nvcv.Type() != nvcv.Type("u1")


def test_types_have_an_order():
    assert nvcv.Type("u1") < nvcv.Type("u2") and nvcv.Type("u2") > "u1"
    assert not nvcv.Type("u1") < "u1"
    with pytest.raises(TypeError):
        assert nvcv.Type("u1") < "no type"


@pytest.mark.parametrize(
    "wrong",
    [None, bool, ">f4", "invalid", 3, object(), np.dtype([("a", "u1")]), ("u1", (5,)), ("u1", (2, 2)),
     "M8[s]", np.longdouble, ("c16", (3,)), str],
)  # fmt: skip
def test_what_is_no_type(wrong):
    with pytest.raises(TypeError, match="incompatible function arguments"):
        nvcv.Type(wrong)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        nvcv.Tensor((2, 2), wrong)


LAYOUTS = (
    "N C F D H W WC CW NW NWC NCW HW NHW FHW NFHW CHW NCHW HWC NHWC CFHW FCHW FHWC NCFHW NFCHW NFHWC DHW NDHW "
    "CDHW DHWC NCDHW NDHWC FDHW NFDHW CFDHW FCDHW FDHWC NCFDHW NFCDHW NFDHWC"
).split()


def test_forty_layouts():
    assert len(LAYOUTS) + 1 == 40
    for name in LAYOUTS:
        layout = getattr(nvcv.TensorLayout, name)
        assert str(layout) == repr(layout) == name
        assert layout is getattr(nvcv.TensorLayout, name)
    assert {name for name in dir(nvcv.TensorLayout) if name.isupper()} == {*LAYOUTS, "NONE"}
    assert nvcv.TensorLayout("") == nvcv.TensorLayout.NONE and nvcv.TensorLayout.NONE != None  # noqa: E711


def test_layouts_compare_by_value():
    hwc = nvcv.TensorLayout("HWC")
    assert hwc == nvcv.TensorLayout.HWC == "HWC" and "HWC" == hwc
    assert hwc != "CHW" and hwc != 3 and hwc != "x" * 40 and not hwc == "hwc"
    assert {hwc: 1}[nvcv.TensorLayout.HWC] == 1
    assert "HWC" not in {hwc: 1}
    with pytest.raises(TypeError):
        assert hwc < nvcv.TensorLayout.CHW


def test_layout_labels_are_fifteen_at_most():
    assert str(nvcv.TensorLayout("x" * 15)) == "x" * 15
    with pytest.raises(RuntimeError, match=r"NVCV_ERROR_INVALID_ARGUMENT: .*16"):
        nvcv.TensorLayout("x" * 16)
    with pytest.raises(TypeError):
        nvcv.TensorLayout(3)


@pytest.mark.parametrize("value", [nvcv.TensorLayout.HWC, nvcv.Type("u1")])
def test_values_are_not_copied_or_pickled(value):
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(value)
    with pytest.raises(AttributeError):
        value.extra = 1


def test_thread_scope():
    scope = nvcv.ThreadScope
    assert (int(scope.GLOBAL), int(scope.LOCAL)) == (0, 1)
    assert scope.LOCAL.value == 1 and scope.LOCAL.name == "LOCAL" and scope(1) == scope.LOCAL
    assert list(scope.__members__) == ["GLOBAL", "LOCAL"]
    assert scope.LOCAL != 1 and hash(scope.LOCAL) == 1 and [10, 11][scope.LOCAL] == 11
    assert str(scope.LOCAL) == "ThreadScope.LOCAL"
    assert pickle.loads(pickle.dumps(scope.LOCAL)) is scope.LOCAL


def test_functions_take_a_scopes_int():
    assert nvcv.cache_size(0) == nvcv.cache_size(1) == nvcv.cache_size(scope=nvcv.ThreadScope.LOCAL) == 0
    for wrong in (2, -1, "LOCAL", 1.0, None):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            nvcv.cache_size(wrong)
        with pytest.raises(TypeError):
            nvcv.clear_cache(wrong)
