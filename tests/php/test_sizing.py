from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.config.model.enums import PhpFpmProfile
from cbox_init.errors import PoolDoesNotFit
from cbox_init.php.sizing import MIB, PROFILES, size_pool

SPARE = ("PHP_FPM_MIN_SPARE", "PHP_FPM_START_SERVERS", "PHP_FPM_MAX_SPARE", "PHP_FPM_MAX_CHILDREN")


def numbers(profile: str, memory: int, cpus: float = 64, **keys: float | None) -> list[int]:
    """max_children, start, min spare, max spare; ``memory`` is in MiB."""
    share = keys.get("share")
    worker = keys.get("worker")
    found = size_pool(
        PhpFpmProfile(profile),
        memory=memory * MIB,
        cpus=cpus,
        share=share,
        worker=None if worker is None else int(worker),
    ).variables
    names = ("MAX_CHILDREN", "START_SERVERS", "MIN_SPARE", "MAX_SPARE")
    return [int(found[f"PHP_FPM_{name}"]) for name in names if f"PHP_FPM_{name}" in found]


@pytest.mark.parametrize(
    ("profile", "memory", "cpus", "expected"),
    [
        ("dev", 160, 8, [2]),
        ("dev", 64_000, 8, [2]),
        ("light", 512, 8, [3, 1, 1, 2]),  # (358.4 - 224) / 36 = 3.7
        ("medium", 2048, 8, [28, 10, 7, 14]),  # (1536 - 320) / 42 = 28.95
        ("medium", 2048, 2, [8, 3, 2, 4]),  # four a CPU
        ("medium", 2048, 1.5, [6, 2, 2, 3]),
        ("medium", 2048, 0.1, [4, 2, 1, 2]),  # at least four
        ("medium", 362, 8, [4, 2, 1, 2]),
        ("heavy", 4096, 64, [50, 25, 10, 25]),  # 40 % would be below the start
        ("bursty", 2048, 8, [27, 14, 11, 19]),
        ("auto", 2048, 8, [28, 10, 7, 14]),
    ],
)
def test_figures(profile: str, memory: int, cpus: float, expected: list[int]) -> None:
    assert numbers(profile, memory, cpus) == expected


def test_a_share_and_a_measured_worker() -> None:
    assert numbers("medium", 2048, share=0.5)[0] == 16  # (1024 - 320) / 42
    assert numbers("auto", 2048, worker=100)[0] == 12  # (1536 - 320) / 100
    assert numbers("medium", 2048, share=0.1)[0] == 4


def test_the_other_settings() -> None:
    found = size_pool(PhpFpmProfile.HEAVY, memory=4096 * MIB, cpus=8).variables
    assert (found["PHP_FPM_PM"], found["PHP_FPM_MAX_REQUESTS"]) == ("dynamic", "2000")
    found = size_pool(PhpFpmProfile.DEV, memory=4096 * MIB, cpus=8).variables
    assert found == {"PHP_FPM_PM": "static", "PHP_FPM_MAX_CHILDREN": "2", "PHP_FPM_MAX_REQUESTS": "100"}


@pytest.mark.parametrize("profile", PROFILES)
def test_too_little_memory_is_refused_with_the_figures(profile: PhpFpmProfile) -> None:
    figures = PROFILES[profile]
    least = figures.reserved + figures.opcache + figures.worker
    size_pool(profile, memory=least * MIB, cpus=8)
    with pytest.raises(PoolDoesNotFit) as error:
        size_pool(profile, memory=(least - 1) * MIB, cpus=8)
    for number in (figures.reserved, figures.opcache, figures.worker, least, least - 1):
        assert str(number) in str(error.value)


def test_workers_above_the_memory_are_remarked() -> None:
    tight = size_pool(PhpFpmProfile.MEDIUM, memory=400 * MIB, cpus=8)
    assert (tight.needed, len(tight.remarks)) == (488, 1)
    assert "488 MiB" in tight.remarks[0]
    assert not size_pool(PhpFpmProfile.MEDIUM, memory=2048 * MIB, cpus=8).remarks
    assert any(
        "more memory" in one
        for one in size_pool(PhpFpmProfile.MEDIUM, memory=2**31, cpus=8, share=1.1).remarks
    )


@given(
    st.sampled_from(sorted(PROFILES)),
    st.integers(min_value=700, max_value=1_000_000),
    st.floats(min_value=0.01, max_value=512),
    st.floats(min_value=0.01, max_value=10),
    st.sets(st.sampled_from(SPARE)),
    st.integers(min_value=1, max_value=500),
)
def test_php_fpm_accepts_every_result(
    profile: PhpFpmProfile, memory: int, cpus: float, share: float, fixed: set[str], number: int
) -> None:
    """Also with one setting of the user's own, to which the others are fitted."""
    own = {name: str(number) for name in sorted(fixed)[:1]}
    size = size_pool(profile, memory=memory * MIB, cpus=cpus, share=share, given=own)
    found = {**size.variables, **own}
    if found["PHP_FPM_PM"] == "dynamic":
        low, start, high, most = (int(found[name]) for name in SPARE)
        if not own or number <= most:  # else it contradicts what the memory allows
            assert 1 <= low <= start <= high <= most
    assert all(setting.reason for setting in size.settings)
