"""No file of the repository holds what a merge left over."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_file_has_the_marks_of_a_conflict() -> None:
    marks = "|".join(f"^{sign * 7} " for sign in "<>")

    found = subprocess.run(["git", "grep", "-lE", marks], cwd=ROOT, capture_output=True, text=True, check=False)

    assert found.stdout == ""
