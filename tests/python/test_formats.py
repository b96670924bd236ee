"""Format, ColorSpec and RectI: NVCV's names, values and planes."""

import copy
import pickle

import nvcv_cached as nvcv
import pytest

# name, value, planes, channels: as NVCV 0.19 declares them, in its order.
FORMATS = [
    ("_2S16", 2305846616986157186, 1, 2),
    ("_2S16_BL", 2305846616986165378, 1, 2),
    ("_2F16", 4611689626199851138, 1, 2),
    ("_2F32", 4611691825223106690, 1, 2),
    ("_2C64", 6917537033460056194, 1, 2),
    ("_2C128", 6917539232483311746, 1, 2),
    ("U8", 171798626433, 1, 1),
    ("U8_BL", 171798634625, 1, 1),
    ("S8", 2305843181012320385, 1, 1),
    ("U16", 1133871300737, 1, 1),
    ("U32", 3332894556289, 1, 1),
    ("S32", 2305846342108250241, 1, 1),
    ("S16", 2305844143084994689, 1, 1),
    ("S16_BL", 2305844143085002881, 1, 1),
    ("F16", 4611687152298688641, 1, 1),
    ("F32", 4611689351321944193, 1, 1),
    ("F64", 4611691550345199745, 1, 1),
    ("C64", 6917534559558893697, 1, 1),
    ("C128", 6917536758582149249, 1, 1),
    ("Y8", 160156352641, 1, 1),
    ("Y8_BL", 160156360833, 1, 1),
    ("Y8_ER", 142976483457, 1, 1),
    ("Y8_ER_BL", 142976491649, 1, 1),
    ("Y16", 1122229026945, 1, 1),
    ("Y16_BL", 1122229035137, 1, 1),
    ("Y16_ER", 1105049157761, 1, 1),
    ("Y16_ER_BL", 1105049165953, 1, 1),
    ("NV12", 422372622073987, 2, 3),
    ("NV12_BL", 422372622082179, 2, 3),
    ("NV12_ER", 422355442204803, 2, 3),
    ("NV12_ER_BL", 422355442212995, 2, 3),
    ("NV21", 422372622073987, 2, 3),
    ("NV21_ER", 422355442204803, 2, 3),
    ("NV24", 422372621418627, 2, 3),
    ("NV24_BL", 422372621426819, 2, 3),
    ("NV24_ER", 422355441549443, 2, 3),
    ("NV24_ER_BL", 422355441557635, 2, 3),
    ("UYVY", 2153021309067, 1, 3),
    ("UYVY_BL", 2153021317259, 1, 3),
    ("UYVY_ER", 2135841439883, 1, 3),
    ("UYVY_ER_BL", 2135841448075, 1, 3),
    ("VYUY", 2153021309070, 1, 3),
    ("VYUY_BL", 2153021317262, 1, 3),
    ("VYUY_ER", 2135841439886, 1, 3),
    ("VYUY_ER_BL", 2135841448078, 1, 3),
    ("YUYV", 2118661570699, 1, 3),
    ("YUYV_BL", 2118661578891, 1, 3),
    ("YUYV_ER", 2101481701515, 1, 3),
    ("YUYV_ER_BL", 2101481709707, 1, 3),
    ("YUV8p", 9077728155271307, 3, 3),
    ("YUV8p_ER", 9077710975402123, 3, 3),
    ("RGB8", 2748780183691, 1, 3),
    ("BGR8", 2748780183695, 1, 3),
    ("RGBA8", 4123169718404, 1, 4),
    ("BGRA8", 4123169718407, 1, 4),
    ("RGB8p", 9077705438986371, 3, 3),
    ("BGR8p", 9077705438986383, 3, 3),
    ("RGBA8p", 2026690338500968580, 4, 4),
    ("BGRA8p", 2026690338500968583, 4, 4),
    ("RGBf16", 4611690966230827147, 1, 3),
    ("BGRf16", 4611690966230827151, 1, 3),
    ("RGBAf16", 4611692340620361860, 1, 4),
    ("BGRAf16", 4611692340620361863, 1, 4),
    ("RGBf16p", 4647997389935804547, 3, 3),
    ("BGRf16p", 4647997389935804559, 3, 3),
    ("RGBAf16p", 4936227766087516292, 4, 4),
    ("BGRAf16p", 4936227766087516295, 4, 4),
    ("RGBf32", 4611693165254082699, 1, 3),
    ("BGRf32", 4611693165254082703, 1, 3),
    ("RGBAf32", 4611694539643617412, 1, 4),
    ("BGRAf32", 4611694539643617415, 1, 4),
    ("RGBf32p", 4720620132950409347, 3, 3),
    ("BGRf32p", 4720620132950409359, 3, 3),
    ("RGBAf32p", 5585311261405544580, 4, 4),
    ("BGRAf32p", 5585311261405544583, 4, 4),
    ("HSV8", 2748783198339, 1, 3),
    ("LAB8", 2748789489795, 1, 3),
    ("LAB8p", 9077705448292483, 3, 3),
    ("LABf16", 4611690966240133251, 1, 3),
    ("LABf16p", 4647997389945110659, 3, 3),
    ("LABf32", 4611693165263388803, 1, 3),
    ("LABf32p", 4720620132959715459, 3, 3),
    ("CMYK8", 4123174830212, 1, 4),
    ("YCCK8", 4123176927364, 1, 4),
    ("RGBA8_UNASSOCIATED_ALPHA", 4123169718468, 1, 4),
    ("RGB8_1U_U8", 143486268538891, 1, 3),
    ("RGB8_7U_U8", 987911198670859, 1, 3),
    ("RGBA8_3U_U16", 1552235541626884, 1, 4),
    ("RGBA8_3POS3D_U32", 3837845337866244, 1, 4),
    ("RGB8_3D_F32", 21834651661303819, 1, 3),
    ("NONE", 0, 0, 0),
]


def test_all_members_in_order_with_their_values():
    members = nvcv.Format.__members__
    assert [(name, m.value, m.planes, m.channels) for name, m in members.items()] == FORMATS
    assert len(members) == 91
    for name, value, *_ in FORMATS:
        member = getattr(nvcv.Format, name)
        assert member is getattr(nvcv.Format, name) and member == nvcv.Format(value)
        assert int(member) == value and hash(member) == hash(value) and member.__index__() == value
        alias = name.replace("NV21", "NV12")
        assert member.name == alias and str(member) == "Format." + alias
        assert repr(member) == "nvcv.Format." + alias.lstrip("_")


def test_members_are_names_of_the_module():
    for name, *_ in FORMATS:
        if name.startswith("_"):
            assert not hasattr(nvcv, name)
        else:
            assert getattr(nvcv, name) is getattr(nvcv.Format, name)


def test_values_without_a_name():
    unnamed = nvcv.Format(12345)
    assert (unnamed.name, unnamed.planes, unnamed.channels, int(unnamed)) == ("???", 0, 0, 12345)
    assert repr(unnamed) == "nvcv.Format(12345)" and unnamed == nvcv.Format(12345)
    for wrong in (-1, 1 << 64, "RGB8", 1.0, None):
        with pytest.raises(TypeError):
            nvcv.Format(wrong)


def test_formats_are_values():
    assert nvcv.Format.RGB8 != nvcv.Format.BGR8 and nvcv.Format.RGB8 != nvcv.Format.RGB8.value
    assert nvcv.Format.NV21 == nvcv.Format.NV12 and not hasattr(nvcv.Format, "YUV8")
    assert {nvcv.Format.RGB8: 1}[nvcv.Format(nvcv.Format.RGB8.value)] == 1
    assert pickle.loads(pickle.dumps(nvcv.Format.RGB8)) == copy.copy(nvcv.Format.RGB8) == nvcv.Format.RGB8
    with pytest.raises(TypeError):
        assert nvcv.Format.RGB8 < nvcv.Format.BGR8
    with pytest.raises(AttributeError):
        nvcv.Format.RGB8 = nvcv.Format.BGR8


COLOR_SPECS = {
    "BT601": 21665, "BT601_ER": 5281, "BT709": 21793, "BT709_ER": 5409, "BT2020": 21930, "BT2020_ER": 5546,
}  # fmt: skip


def test_color_specs():
    assert {name: int(spec) for name, spec in nvcv.ColorSpec.__members__.items()} == COLOR_SPECS
    spec = nvcv.ColorSpec.BT601
    assert repr(spec) == "<ColorSpec.BT601: 21665>" and str(spec) == "ColorSpec.BT601" and spec.name == "BT601"
    assert spec == 21665 and spec == nvcv.ColorSpec(21665) and spec != 5281 and spec != nvcv.ColorSpec.BT709
    assert hash(spec) == 21665 and pickle.loads(pickle.dumps(spec)) == spec and spec != "BT601"
    with pytest.raises(TypeError):
        assert spec < nvcv.ColorSpec.BT709
    with pytest.raises(ValueError, match="7"):
        nvcv.ColorSpec(7)


def test_rectangles():
    rect = nvcv.RectI(x=1, y=-2, width=3, height=4)
    assert repr(rect) == "RectI(x=1,y=-2,width=3,height=4)"
    rect.x, rect.height = 10, 20
    assert (rect.x, rect.y, rect.width, rect.height) == (10, -2, 3, 20)
    assert repr(nvcv.RectI()) == "RectI(x=0,y=0,width=0,height=0)"
    assert rect == rect and rect != nvcv.RectI(10, -2, 3, 20)
    for wrong in ((1,), (1, 2, 3), (1.0, 2, 3, 4), (1 << 31, 0, 0, 0)):
        with pytest.raises(TypeError):
            nvcv.RectI(*wrong)
    for attempt in (copy.copy, pickle.dumps, lambda r: setattr(r, "extra", 1)):
        with pytest.raises((TypeError, AttributeError)):
            attempt(rect)


def test_thread_scope_of_an_unknown_number():
    with pytest.raises(ValueError, match="5"):
        nvcv.ThreadScope(5)
    assert repr(nvcv.ThreadScope.LOCAL) == "<ThreadScope.LOCAL: 1>"


def test_layout_members_cannot_be_assigned():
    with pytest.raises(AttributeError):
        nvcv.TensorLayout.HWC = nvcv.TensorLayout.CHW


@pytest.mark.filterwarnings("ignore:nanobind. attempted to access")
@pytest.mark.parametrize("kind", [nvcv.TensorLayout, nvcv.Format, nvcv.Stream, nvcv.Type])
def test_what_was_never_initialised_is_no_argument(kind):
    raw = kind.__new__(kind)
    uses = {
        nvcv.TensorLayout: [lambda: nvcv.Tensor((3,), "u1", raw), lambda: nvcv.TensorLayout.HWC == raw, lambda: str(raw)],
        nvcv.Format: [lambda: nvcv.Image((3, 3), raw), lambda: raw.name],
        nvcv.Stream: [lambda: nvcv.Tensor((3,), "u1").record_stream(raw), lambda: raw.sync()],  # noqa: PLW0108
        nvcv.Type: [lambda: nvcv.Tensor((3,), raw)],
    }  # fmt: skip
    for use in uses[kind]:
        try:
            assert use() is False
        except TypeError:
            pass
