from __future__ import annotations

import os
import resource

import pytest

from cbox_init.system.descriptors import inherit_nothing

from .helpers import isolated


def test_a_missing_standard_descriptor_is_the_null_device() -> None:
    def test() -> None:
        os.close(0)
        os.close(1)
        inherit_nothing()
        for standard in (0, 1):
            assert os.readlink(f"/proc/self/fd/{standard}") == "/dev/null"
            assert os.get_inheritable(standard)
        assert min(os.pipe()) > 2

    isolated(test)


@pytest.mark.parametrize("proc", [True, False])
def test_inherited_descriptors_are_closed_on_exec(monkeypatch: pytest.MonkeyPatch, proc: bool) -> None:
    def test() -> None:
        inherited = os.dup(2)
        os.set_inheritable(inherited, True)
        if not proc:
            resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))

            def absent(_: str) -> list[str]:
                raise FileNotFoundError

            monkeypatch.setattr(os, "listdir", absent)
        inherit_nothing()
        assert not os.get_inheritable(inherited)
        assert os.get_inheritable(2)

    isolated(test)
