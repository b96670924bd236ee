"""Takes what `bundle/run-tests` wrote into docs/results: the summary, the JSON and the pictures.

    publish.py GPU-RESULTS            results.json, summary.md and *.png, wherever they lie in that folder

Their name is of the GPU and the day; an earlier file of the same kind of GPU is replaced.
"""

import json
import re
import shutil
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


def main(folder):
    results = json.loads((folder / "results.json").read_text())
    gpu = re.search(r"\b([A-Z]+\d+[A-Z]*)\b", results["machine"]["gpus"][0].split(",")[1]).group(1).lower()
    for old in RESULTS.glob(f"gpu-{gpu}-*"):
        old.unlink()
    name = f"gpu-{gpu}-{results['date'][:10]}"
    shutil.copy(folder / "summary.md", RESULTS / f"{name}.md")
    shutil.copy(folder / "results.json", RESULTS / f"{name}.json")
    for picture in folder.rglob("*-gpu.png"):
        shutil.copy(picture, RESULTS / picture.name)
    print(f"docs/results/{name}.md; see that docs/cuda.md names it")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
