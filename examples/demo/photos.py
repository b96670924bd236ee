"""The photographs of scikit-image's wheel, its own files, as PNG so that every decoder gives the same bits."""

from importlib.resources import files
from pathlib import Path

from PIL import Image

NAMES = [
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "rocket.jpg",
]


def prepare(folder: Path) -> list[Path]:
    """The photographs in `folder`; JPEG is decoded once here, since its decoders differ in the last bit."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name in NAMES:
        target = (folder / name).with_suffix(".png")
        if not target.exists():
            with Image.open(files("skimage") / "data" / name) as file:
                file.convert("RGB").save(target, compress_level=1)
        made.append(target)
    return made


def boxes(photo: Path, count: int, seed: int) -> list[tuple[int, int, int, int]]:
    """`count` crops of a photograph, all of different sizes: y, x, height, width."""
    with Image.open(photo) as file:
        width, height = file.size
    state = seed * 2654435761 + 12345
    made = []
    for _ in range(count):
        numbers = []
        for _ in range(4):
            state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
            numbers.append(state >> 40)
        crop_height = height // 2 + numbers[0] % (height - height // 2 + 1)
        crop_width = width // 2 + numbers[1] % (width - width // 2 + 1)
        y, x = numbers[2] % (height - crop_height + 1), numbers[3] % (width - crop_width + 1)
        made.append((y, x, crop_height, crop_width))
    return made
