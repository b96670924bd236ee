"""Container code of cvcuda 0.19 and of nvcv 0.15 runs by changing its import."""

import numpy as np
import nvcv_cached as cvcuda
import nvcv_cached.compat as nvcv

CONTAINERS = """
    Resource Container ExternalBuffer Tensor TensorBatch Image ImageBatchVarShape Type TensorLayout RectI Stream Format
    ColorSpec ThreadScope as_tensor as_tensors as_image as_images as_stream reshape clear_cache cache_size
    get_cache_limit_inbytes set_cache_limit_inbytes current_cache_size_inbytes internal __version__
""".split()


def test_every_name_of_cvcuda_is_there():
    for name in CONTAINERS:
        assert hasattr(cvcuda, name), name
    for name in ("nbytes_in_cache", "syncAuxStream", "drain_pending_releases"):
        assert callable(getattr(cvcuda.internal, name))


def test_a_program_of_0_19():
    stream = cvcuda.Stream()
    with stream:
        image = cvcuda.Image.zeros((64, 48), cvcuda.Format.RGB8)
        batch = cvcuda.ImageBatchVarShape(2)
        batch.pushback([image, cvcuda.Image((32, 16), cvcuda.RGB8)])
        frames = cvcuda.Tensor(2, (64, 48), cvcuda.Format.RGB8)
        first = cvcuda.reshape(frames, (96, 64, 3), cvcuda.TensorLayout.HWC)
        wrapped = cvcuda.as_tensor(image)
    stream.sync()
    assert batch.maxsize == (64, 48) and batch.uniqueformat == cvcuda.Format.RGB8
    assert first.shape == (96, 64, 3) and wrapped.layout == "NHWC"
    assert (
        cvcuda.internal.nbytes_in_cache(frames) == cvcuda.Tensor(2, (64, 48), cvcuda.Format.RGB8).cuda().strides[0] * 2
    )


def test_a_program_of_0_15():
    stream = nvcv.cuda.Stream()
    with stream:
        assert nvcv.cuda.Stream.current is stream
        tensor = nvcv.Tensor((4, 5), nvcv.Type.U8, nvcv.TensorLayout.HW)
    nvcv.cuda.internal.syncAuxStream()
    assert nvcv.cuda.as_stream(0).handle == 0 and tensor.dtype == np.uint8
    assert nvcv._2F32 is nvcv.Format._2F32 and nvcv.NV12 == nvcv.Format.NV12
    assert nvcv.internal.nbytes_in_cache(tensor) == 512
