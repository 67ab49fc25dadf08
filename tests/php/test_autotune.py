from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.load import examine_text
from cbox_init.config.model.enums import PhpFpmProfile
from cbox_init.container import Capacity, LimitSource
from cbox_init.errors import AutotuneError
from cbox_init.php.autotune import Autotuned, autotuned, remarks_of, wanted
from cbox_init.php.sizing import MIB, VARIABLES

if TYPE_CHECKING:
    from cbox_init.config.model import Config

PROFILE, SHARE, WORKER = (
    "PHP_FPM_AUTOTUNE_PROFILE",
    "PHP_FPM_AUTOTUNE_MEMORY_THRESHOLD",
    "PHP_FPM_AUTOTUNE_WORKER_MB",
)
HERE = Capacity(2048 * MIB, LimitSource.CGROUP_V2, 2.0, LimitSource.CGROUP_V2)


def config(text: str = "", fpm: str = "command: [/usr/sbin/php-fpm8.2, -F]") -> Config:
    found = examine_text(f"global: {{{text}}}\nprocesses: {{fpm: {{{fpm}}}}}\n", "x.yaml", {})
    assert found.config is not None
    assert found.valid, found.problems
    return found.config


def found(environ: dict[str, str], fpm: str = "command: [php-fpm]", capacity: Capacity = HERE) -> Autotuned:
    read = config(fpm=fpm)
    return autotuned(wanted(environ, read, "medium"), PhpFpmProfile.MEDIUM, capacity, environ, read)


def test_option_before_environment_before_file() -> None:
    file = config("php_fpm_profile: heavy, autotune_memory_threshold: 0.5")
    environ = {PROFILE: " Light ", SHARE: "0.6", WORKER: "50"}
    of_option = wanted(environ, file, "dev", 0.7)
    assert (of_option.profile, of_option.share, of_option.worker) == ("dev", 0.7, 50)
    of_environ = wanted(environ, file)
    assert (of_environ.profile, of_environ.share) == ("light", 0.6)
    assert of_environ.sources == {"profile": PROFILE, "share": SHARE, "worker": WORKER}
    of_file = wanted({}, file)
    assert (of_file.profile, of_file.share, of_file.worker) == ("heavy", 0.5, None)
    assert wanted({}, None) == wanted({PROFILE: "", SHARE: "0", WORKER: ""}, config(), "", 0.0)


@pytest.mark.parametrize(
    ("environ", "profile", "share", "said"),
    [
        (
            {PROFILE: "large"},
            None,
            None,
            f"{PROFILE} is 'large': write dev, light, medium, heavy, bursty or auto",
        ),
        ({}, "large", None, "--php-fpm-profile is 'large': write dev"),
        (
            {},
            None,
            75.0,
            "--autotune-memory-threshold is 75: it must be above 0 and at most 10, write 0.75 for 75 %",
        ),
        ({}, None, -1.0, "--autotune-memory-threshold is -1"),
        ({}, None, float("nan"), "--autotune-memory-threshold is nan"),
        ({SHARE: "75"}, None, None, f"{SHARE} is 75"),
        ({SHARE: "75%"}, None, None, f"{SHARE} is '75%': write a share such as 0.75"),
        ({WORKER: "50M"}, None, None, f"{WORKER} is '50M': write the memory of one worker in MiB"),
        ({WORKER: "-1"}, None, None, f"{WORKER} is '-1'"),
    ],
)
def test_what_cannot_be_used(
    environ: dict[str, str], profile: str | None, share: float | None, said: str
) -> None:
    with pytest.raises(AutotuneError) as error:
        wanted(environ, None, profile, share)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_all_variables_are_added() -> None:
    assert set(found({}).added) == set(VARIABLES)
    assert found({}).kept == ()


def test_what_the_user_has_set_is_kept_and_the_rest_fits_to_it() -> None:
    one = found({"PHP_FPM_MAX_CHILDREN": "3", "PHP_FPM_MAX_SPARE": ""})
    assert "PHP_FPM_MAX_CHILDREN" not in one.added
    assert [(kept.name, kept.value, kept.where) for kept in one.kept] == [
        ("PHP_FPM_MAX_CHILDREN", "3", "the environment")
    ]
    assert one.added["PHP_FPM_MAX_SPARE"] == "2"
    of_process = found({}, "command: [php-fpm], env: {PHP_FPM_MAX_CHILDREN: '5'}")
    assert [kept.where for kept in of_process.kept] == ["the variables of fpm"]
    assert of_process.added["PHP_FPM_MAX_SPARE"] == "3"
    assert of_process.added["PHP_FPM_MAX_CHILDREN"] == "8", "other processes get what was found"


def test_remarks() -> None:
    assert list(remarks_of(found({}))) == []
    (clean,) = remarks_of(found({}, "command: [php-fpm], environment: clean"))
    assert clean == "fpm inherits none of the variables: add 'PHP_FPM_*' to its environment"
    assert list(remarks_of(found({}, "command: [php-fpm], environment: ['PHP_FPM_*']"))) == []
    host = Capacity(2048 * MIB, LimitSource.HOST, 2.0, LimitSource.HOST)
    (of_host,) = remarks_of(found({}, capacity=host))
    assert "2048 MiB" in of_host
    assert "set a memory limit" in of_host
