"""The garbage collector rests while a command imports, and only then."""

import subprocess
import sys

import pytest

PROGRAM = """
import gc
from orthontk.cli import importing
try:
    with importing():
        assert not gc.isenabled()
        import mailbox
        {then}
except ZeroDivisionError:
    pass
print(gc.isenabled(), gc.get_freeze_count() > 0)
with importing():
    import mailbox
frozen = gc.get_freeze_count()
made = [[] for _ in range(100)]
with importing():
    import mailbox
print(gc.get_freeze_count() <= frozen)
"""


@pytest.mark.parametrize("then", ["pass", "1 / 0"])
def test_it_goes_on_after_them_and_leaves_later_objects_to_it(then):
    command = [sys.executable, "-c", PROGRAM.format(then=then)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "True", "True"]
