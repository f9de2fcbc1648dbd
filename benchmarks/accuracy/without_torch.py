"""Counts of exported files without torch against those of their adapters with it, on real photographs.

    python -m benchmarks.accuracy.without_torch --data DIR --adapter adapters/demo --adapter RUN

Makes the environment of `deploy-lite` with the service's packages (or takes that of --python), exports each adapter as
ONNX in float32, and counts the first photographs of ShanghaiTech B's test split below --data: with torch, and without
it by the command line, in Python, and through the service. Prints the largest difference of a count, relative to it (to
one head where there are fewer), and ends with 1 where one is above 1e-4. Beside it: what `count` of one photograph
takes there, of the wall clock, of the processor, and of memory, against an empty Python process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sam_mprompt.adapter.find import find_adapter
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.counting.counter import load
from sam_mprompt.data.formats.read import read_split
from sam_mprompt.data.image import read_image
from sam_mprompt.deploy.export import export

ROOT = Path(__file__).resolve().parents[2]
MOST = 1e-4
_NONE = ("torch", "peft", "timm", "scipy")
_IN_PYTHON = """
import json, sys
from sam_mprompt import load
counter = load(sys.argv[1])
print(json.dumps([counter.count(path).count for path in sys.argv[2:]]))
assert "torch" not in sys.modules
"""
_COLD = """
import resource, runpy, sys
sys.argv = ["sam-mprompt", "count", *sys.argv[1:]]
try:
    runpy.run_module("sam_mprompt", run_name="__main__")
finally:
    with open("/proc/self/status") as status:
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


class Lite:
    """A Python without torch.

    Args:
        python: the program.
        elsewhere: a folder that is no checkout, in which it runs.
    """

    def __init__(self, python: Path, elsewhere: Path) -> None:
        self._python, self._elsewhere = python, elsewhere
        there = self.output(
            "-c", f"import importlib.util as u; print([n for n in {_NONE!r} if u.find_spec(n)])"
        ).strip()
        if there != "[]":
            raise SystemExit(f"Expected a Python without {', '.join(_NONE)}, got one with {there}.")

    def output(self, *arguments: object) -> str:
        """Run it and return what it prints."""
        command = [str(self._python), *map(str, arguments)]
        return subprocess.run(command, cwd=self._elsewhere, check=True, stdout=subprocess.PIPE, text=True).stdout

    def by_the_command(self, file: Path, images: Sequence[Path]) -> list[float]:
        """Count by the command line."""
        told = json.loads(self.output("-m", "sam_mprompt", "count", file, *images, "--json"))
        return [row["count"] for row in told["images"]]

    def in_python(self, file: Path, images: Sequence[Path]) -> list[float]:
        """Count by `sam_mprompt.load`."""
        return [float(count) for count in json.loads(self.output("-c", _IN_PYTHON, file, *images))]

    def by_the_service(self, file: Path, images: Sequence[Path]) -> list[float]:
        """Count over HTTP."""
        command = [str(self._python), "-m", "sam_mprompt", "serve", str(file), "--port", "0", "--timeout", "600"]
        process = subprocess.Popen(command, cwd=self._elsewhere, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            line = next((line for line in process.stderr if '"listening"' in line), None)
            if line is None:
                raise SystemExit("The service ended before it listened.")
            address = f"http://127.0.0.1:{json.loads(line)['port']}/count"
            return [_asked(address, image) for image in images]
        finally:
            process.terminate()
            process.communicate()

    def cold(self, *arguments: object) -> tuple[float, float, str]:
        """Run it; return seconds of the wall clock and of the processor, and what it prints."""
        before, started = os.times(), time.perf_counter()
        said = self.output(*arguments)
        seconds, after = time.perf_counter() - started, os.times()
        busy = after.children_user + after.children_system - before.children_user - before.children_system
        return seconds, busy, said


def _asked(address: str, image: Path) -> float:
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(address, image.read_bytes(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=600) as response:
        return float(json.load(response)["count"])


def environment(folder: Path) -> Path:
    """Make an environment without torch, and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", f"{ROOT / 'deploy-lite'}[serve]"], check=True)
    return python


def exported(adapter: str, folder: Path, images: Sequence[Path]) -> Path:
    """Return a file of an adapter; a file is taken as it is."""
    path = folder / f"{Path(adapter).name}.onnx"
    export(AdapterFolder.read(find_adapter(adapter)), path, images=[read_image(image) for image in images[:2]])
    return path


def difference(expected: Sequence[float], found: Sequence[float]) -> float:
    """Return the largest difference of a count, relative to it, to one head where there are fewer."""
    pairs = zip(expected, found, strict=True)
    return max(abs(one - other) / max(one, 1.0) for one, other in pairs)


def compare(name: str, lite: Lite, adapter: str, file: Path, images: Sequence[Path]) -> float:
    """Print how far counts of a file are from those of its adapter, and return the largest difference."""
    counter = load(adapter, device="cpu")
    expected = [result.count for result in counter.count_many(images)]
    ways = {"command": lite.by_the_command, "Python": lite.in_python, "service": lite.by_the_service}
    worst = {way: difference(expected, count(file, images)) for way, count in ways.items()}
    told = ", ".join(f"{way} {value:.1e}" for way, value in worst.items())
    print(f"{name}: {len(images)} photographs, {min(expected):.1f} to {max(expected):.1f} heads; largest relative "
          f"difference: {told}", flush=True)  # fmt: skip
    return max(worst.values())


def cold_start(name: str, lite: Lite, file: Path, image: Path, rounds: int = 5) -> None:
    """Print what counting one photograph takes a new process, in the best of some rounds."""
    empty, counts = [], []
    for _ in range(rounds):
        empty.append(lite.cold("-c", "pass"))
        counts.append(lite.cold("-c", _COLD, file, image))
    best, least = min(counts), min(empty)
    busy = min(one[1] for one in counts)
    print(f"{name}: `count` of one photograph: {best[0]:.2f} s, {busy:.2f} s of the processor, "
          f"{int(best[2].split()[-1]) * 1024 / 1e6:.0f} MB; an empty process {least[0]:.2f} s, "
          f"{best[0] / least[0]:.0f} times as long", flush=True)  # fmt: skip


def main() -> None:
    """Compare, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with shanghaitech/part_B")
    parser.add_argument("--adapter", action="append", required=True, help="ADAPTER, or ADAPTER=FILE exported before")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--python", type=Path, help="a Python in which deploy-lite[serve] is installed")
    options = parser.parse_args()
    samples = read_split(options.data / "shanghaitech" / "part_B", "test").samples
    images = [Path(sample.image).resolve() for sample in samples[: options.images]]
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lite = Lite(options.python.absolute() if options.python else environment(folder / "lite"), folder)
        for given in options.adapter:
            adapter, _, file = given.partition("=")
            path = Path(file).resolve() if file else exported(adapter, folder, images)
            worst = max(worst, compare(adapter, lite, adapter, path, images))
            with suppress(FileNotFoundError):  # no /proc
                cold_start(adapter, lite, path, images[0])
    if worst > MOST:
        raise SystemExit(f"Expected differences of at most {MOST:.0e}, got {worst:.1e}.")


if __name__ == "__main__":
    main()
