"""mutmut's changes of the method's code, each against the tests that reach it: `python -m tests.mutation [NAME]...`.

mutmut itself starts pytest anew for each change. Here the tests are collected once, and each change has a fork of that
process, which runs the tests that reach the changed function, quick ones first, up to the first that fails. The
changes, their names and the folder `mutants/` are mutmut's: `mutmut show NAME` shows one, `mutmut results` lists what
is left. A change that was noticed stays noticed; what was not is tried again each time. The table comes at the end.
"""

import argparse
import contextlib
import gc
import importlib
import json
import os
import pickle
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from mutmut.__main__ import create_mutants
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.file_utils import (
    change_cwd,
    copy_also_copy_files,
    copy_src_dir,
    setup_source_paths,
    walk_mutatable_files,
)
from mutmut.utils.format_utils import mangled_name_from_mutant_name

KILLED, SURVIVED, NO_TESTS, BROKEN, TIMEOUT = 1, 0, 33, 35, 36
QUICK = 0.3  # seconds: these tests go first, file by file


class Reached:
    """Which tests reach which function, and how long each computes; what a fixture reaches counts for its users."""

    def __init__(self) -> None:
        self.tests: dict[str, set[str]] = defaultdict(set)
        self.seconds: dict[str, float] = defaultdict(float)
        self._of_fixture: dict[str, set[str]] = defaultdict(set)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
        before = set(state()._stats)
        state()._stats.clear()
        try:
            return (yield)
        finally:
            self._of_fixture[fixturedef.argname] |= state()._stats
            state()._stats |= before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        begun = time.process_time()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.process_time() - begun

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        reached = state()._stats.union(*(self._of_fixture[name] for name in getattr(item, "fixturenames", ())))
        for function in reached:
            self.tests[function].add(item.nodeid)
        state()._stats.clear()


def in_fork(body: Callable[[], int], seconds: float) -> int:
    """Return how a process of its own that runs `body` ends: the code that it returned, TIMEOUT after `seconds`.

    Another signal's number, negative, is neither noticed nor not: another process may have taken the memory.
    """
    gc.freeze()  # else the child's first collection copies the whole process
    child = os.fork()
    if child == 0:
        code = BROKEN
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            code = body()
        finally:
            os._exit(code)
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done or time.monotonic() > end:
            break
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it started, too
    if not done:
        os.waitpid(child, 0)
        return TIMEOUT
    code = os.waitstatus_to_exitcode(status)
    return KILLED if code in (-signal.SIGINT, -signal.SIGTERM) else code  # a test's own, and nothing heard it


class Trials:
    """A pytest plugin that runs the collected tests once for each change, in place of once."""

    def __init__(self, patterns: Sequence[str], limit: float, say: Callable[[str], None]) -> None:
        self.patterns, self.limit, self.say = patterns, limit, say
        self.results: list[SourceFileMutationData] = []
        self.noticed: dict[str, list[str]] = defaultdict(list)
        for path in walk_mutatable_files():
            data = SourceFileMutationData(path=path)
            data.meta_path = data.meta_path.resolve()
            data.load()
            self.results.append(data)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        reached = self.reached(session, list(items.values()))
        left = []
        for data in self.results:
            for name, code in data.exit_code_by_key.items():
                if any(fnmatch(name, pattern) for pattern in self.patterns) and code not in (KILLED, 3, TIMEOUT):
                    found = reached.tests[mangled_name_from_mutant_name(name)]
                    left.append((self.ordered([items[x] for x in found if x in items], reached), name, data))
        left.sort(key=lambda entry: sum(reached.seconds[item.nodeid] for item in entry[0]))
        for number, (tests, name, data) in enumerate(left, 1):
            begun = time.monotonic()
            code = self.tried(session, tests, name, reached) if tests else NO_TESTS
            data.exit_code_by_key[name] = code
            data.durations_by_key[name] = time.monotonic() - begun
            data.save()
            self.say(f"{number}/{len(left)} {code} {time.monotonic() - begun:.1f} s, {len(tests)} tests: {name}")
        return True

    def ordered(self, tests: list[pytest.Item], reached: Reached) -> list[pytest.Item]:
        """Quick tests first, those of a file together, as far as the limit of seconds allows."""
        tests.sort(key=lambda item: reached.seconds[item.nodeid])
        taken, seconds = [], 0.0
        for item in tests:
            seconds += reached.seconds[item.nodeid]
            if seconds > self.limit and taken:
                break
            taken.append(item)
        return sorted(taken, key=lambda item: (reached.seconds[item.nodeid] > QUICK, str(item.path)))

    def reached(self, session: pytest.Session, items: list[pytest.Item]) -> Reached:
        """Run all tests on the code as it is, in a fork: they must pass."""
        with tempfile.TemporaryDirectory() as folder:
            noted = Path(folder, "reached")

            def note() -> int:
                reached = Reached()
                session.config.pluginmanager.register(reached)
                set_mutant_under_test("stats")
                failed = self.failed(session, items, Path(folder, "tests"))
                known = dict(reached.tests), dict(reached.seconds)
                noted.write_bytes(pickle.dumps((*known, failed, list(sys.modules))))
                return 0

            in_fork(note, 3600)
            tests, seconds, failed, modules = pickle.loads(noted.read_bytes())
        if failed:
            raise pytest.UsageError(f"fail on the code as it is: {', '.join(failed)}")
        for name in modules:  # what tests import on their way would be imported anew for each change
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        self.say(f"{len(items)} tests, {sum(seconds.values()):.0f} s")
        reached = Reached()
        reached.tests.update(tests)
        reached.seconds.update(seconds)
        return reached

    def tried(self, session: pytest.Session, tests: list[pytest.Item], name: str, reached: Reached) -> int:
        """Run tests on the code with one change; those go first that noticed changes of the same function before."""
        known = self.noticed[mangled_name_from_mutant_name(name)]
        tests = sorted(tests, key=lambda item: known.index(item.nodeid) if item.nodeid in known else len(known))
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:

            def attempt() -> int:
                set_mutant_under_test(name)
                self.failed(session, tests, Path(folder, "tests"), first=Path(folder, "first"))
                return SURVIVED

            code = in_fork(attempt, 60 + 20 * sum(reached.seconds[item.nodeid] for item in tests))
            if code == KILLED and Path(folder, "first").exists():
                first = Path(folder, "first").read_text(encoding="utf-8")
                known[:] = [first, *(other for other in known if other != first)]
            return code

    @staticmethod
    def failed(
        session: pytest.Session, tests: list[pytest.Item], temporary: Path, *, first: Path | None = None
    ) -> list[str]:
        """Run tests, files below `temporary`; return which failed, or end the process at the `first`, named there."""
        manager = session.config.pluginmanager
        manager.unregister(name="terminalreporter")
        temporary.mkdir()
        session.config._tmp_path_factory._basetemp = temporary  # type: ignore[attr-defined]
        failures = Failures(first)
        manager.register(failures)
        for item, following in pairwise([*tests, None]):
            try:
                session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            except KeyboardInterrupt:  # a test sent Ctrl-C, and nothing heard it
                failures.note(item)
        return failures.found


class Failures:
    """Notes which tests fail, before pytest puts into words how: that takes longer than most tests."""

    def __init__(self, first: Path | None) -> None:
        self.first, self.found = first, []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is not None and not isinstance(call.excinfo.value, pytest.skip.Exception):
            self.note(item)

    def note(self, item: pytest.Item) -> None:
        self.found.append(item.nodeid)
        if self.first is not None:
            self.first.write_text(item.nodeid, encoding="utf-8")
            os._exit(KILLED)


def table() -> str:
    """The table of results for the contributor's page: changes that hang were noticed too."""
    rows, totals = [], [0, 0, 0]
    for path in sorted(walk_mutatable_files()):
        codes = json.loads(Path("mutants", f"{path}.meta").read_text(encoding="utf-8"))["exit_code_by_key"].values()
        figures = [len(codes), sum(code in (KILLED, 3, TIMEOUT) for code in codes), sum(code is None for code in codes)]
        totals = [sum(pair) for pair in zip(totals, figures, strict=True)]
        rows.append((f"`{path.relative_to('sam_mprompt').with_suffix('')}`", *figures))
    lines = ["| module | changes | noticed | left | share |", "|---|---|---|---|---|"]
    for name, changes, noticed, untried in [*rows, ("total", *totals)]:
        note = f", {untried} of them not tried" if untried else ""
        lines.append(
            f"| {name} | {changes} | {noticed} | {changes - noticed}{note} | {noticed / max(changes, 1):.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", default=["*"], help="changes to try, with * and ?; all by default")
    parser.add_argument("--limit", type=float, default=60, help="seconds of tests per change, the quickest first")
    parser.add_argument("--tests", action="append", help="a file of tests to run; those of [tool.mutmut] by default")
    parser.add_argument("--table", action="store_true", help="print the table of what is known, try nothing")
    options, of_pytest = parser.parse_known_args()
    if not options.table:
        os.environ.update(CI="1", OMP_NUM_THREADS="1")
        # A failure is enough: no smaller example of it is looked for.
        found = (Phase.explicit, Phase.generate)
        settings.register_profile(
            "mutation", deadline=None, derandomize=True, max_examples=25, database=None, phases=found
        )
        set_mutant_under_test("mutant_generation")
        Path("mutants").mkdir(exist_ok=True)
        copy_src_dir()
        copy_also_copy_files()
        setup_source_paths()
        create_mutants(os.cpu_count() or 1)
        out = os.fdopen(os.dup(2), "w")  # pytest takes the others
        chosen = options.tests or config().pytest_add_cli_args_test_selection
        arguments = [*config().pytest_add_cli_args, *of_pytest, *chosen]
        sys.modules.pop("tests", None)
        trials = Trials(options.names, options.limit, lambda line: print(line, file=out, flush=True))
        set_mutant_under_test("")
        with change_cwd("mutants"):
            fixed = ["--rootdir=.", "-q", "--assert=plain", "-p", "no:cacheprovider", "--hypothesis-profile=mutation"]
            code = pytest.main([*fixed, *arguments], plugins=[trials])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            sys.exit(code)
    sys.stdout.write(table() + "\n")


if __name__ == "__main__":
    main()
