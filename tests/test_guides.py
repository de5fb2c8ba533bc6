"""The commands of the guides, run as a reader would: each page is one shell, from its first line to its last.

A block that is not fenced as `sh` is shown only. Its port is the one thing that is changed.
"""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.running import ROOT, free_port, surroundings

GUIDES = ("integrators", "operators")
SECONDS = 600
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_a_guide_do_what_it_says(guide: str, tmp_path: Path, curl: str) -> None:  # D-34
    blocks = COMMANDS.findall((ROOT / "docs" / f"{guide}.md").read_text())
    assert len(blocks) > 5
    script = "set -euxo pipefail\n" + "\n".join(blocks).replace("8080", str(free_port()))
    path = f"{Path(sys.executable).parent}:{Path(curl).parent}:{os.environ['PATH']}"
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=surroundings(PATH=path, HOME=str(tmp_path), no_proxy="*"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = shell.communicate(timeout=SECONDS)
    finally:
        with suppress(ProcessLookupError):  # nothing was
            os.killpg(shell.pid, signal.SIGTERM)  # what a guide left running in the background
    assert shell.returncode == 0, said[-4000:]
