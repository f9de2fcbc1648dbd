"""Counting with an exported file where nothing else of the project's packages is installed."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from PIL import Image
from pooling_backend import known_density, noise
from pooling_file import pooling_file

LEFT_OUT = (
    "torch", "torchvision", "timm", "segment_anything", "safetensors", "scipy", "tomli_w", "onnx",
    "accelerate", "huggingface_hub", "matplotlib", "transformers",
)  # fmt: skip
_BLOCKED = f"""
import sys
for name in {LEFT_OUT!r}:
    sys.modules[name] = None
"""

_COMMANDS = """
from sam_mprompt.cli.app import main
codes = []
for words in {commands!r}:
    sys.argv = ["sam-mprompt", *words]
    try:
        main()
    except SystemExit as stopped:
        codes.append(stopped.code)
print(codes)
"""


def run(*commands):
    """What a process prints in which the packages are missing, and the exit codes of the commands."""
    code = _BLOCKED + _COMMANDS.format(commands=[[str(word) for word in words] for words in commands])
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def file(tmp_path):
    return pooling_file(tmp_path / "pooling.onnx")


def test_images_are_counted_with_all_outputs_and_evaluated(file, tmp_path):
    image = noise(60, 80)
    (tmp_path / "photos").mkdir()
    Image.fromarray(image).save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "a.json").write_text(json.dumps({"points": [[3, 4], [20, 30]]}))
    (tmp_path / "photos" / "test.txt").write_text("a.png")
    outline = [[0, 0], [40, 0], [40, 60], [0, 60], [0, 0]]
    left = {"type": "Polygon", "coordinates": [outline]}
    feature = {"type": "Feature", "properties": {"name": "left"}, "geometry": left}
    regions = tmp_path / "regions.json"
    regions.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    photo, out = tmp_path / "photos" / "a.png", tmp_path / "out"
    done = run(
        ["count", file, photo, "--csv", out / "a.csv", "--points", out / "a.geojson", "--overlay", out / "maps"],
        ["count", file, photo, "--regions", regions],
        ["count", file, tmp_path / "photos", "--fps", "1", "--jsonl", out / "film.jsonl", "--plot", out / "film.png"],
        ["evaluate", file, "--data", tmp_path / "photos", "--json", out / "e.json", "--worst", out / "worst"],
        ["evaluate", file, "--data", tmp_path / "photos", "--localise"],
        ["count", file, photo, "--device", "openvino" if find_spec("openvino") else "cpu"],
        ["adapters", "show", file],
        ["count", "adapters/demo", photo],
        ["finetune", "--recipe", "demo"],
        ["doctor", "--no-test"],
    )
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0, 2, 0, 0, 2, 2, 1]", done.stderr
    assert "WRONG: The package 'torch' is not installed" in done.stdout
    expected = known_density(image, 4).sum()
    assert json.loads((out / "e.json").read_text())["rows"][0]["predicted"] == pytest.approx(expected, rel=1e-5)
    assert len(json.loads((out / "a.geojson").read_text())["features"]) == round(expected)
    assert len([line for line in done.stderr.splitlines() if "Install sam-mprompt whole" in line]) == 3
