"""Weights that are not here: what is said, and how soon."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import random_weights
from dynprep.errors import UserError
from dynprep.weights import Weights

FILES = ("config.json", "model.safetensors|pytorch_model.bin")


def cached(root: Path, repository: str, commit: str) -> Path:
    """A hub cache that holds one repository, laid out as the hub's library does."""
    folder = root / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    return folder / "snapshots" / commit


def test_the_hubs_cache_is_used_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    weights = Weights("someone/net", "main", FILES, None, "depth.checkpoint")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE"):
        weights.fetch(print)
    random_weights.depth_anything(cached(tmp_path, "someone/net", "c0ffee"))
    weights.fetch(print)
    assert weights.identity() == "hub:someone/net@c0ffee"
    assert (weights.folder() / "config.json").is_file()
    assert weights.file().name == "model.safetensors"
    other = Weights("someone/net", "v2", FILES, None, "depth.checkpoint")
    with pytest.raises(UserError, match="someone/net"):
        other.fetch(print)


@pytest.mark.parametrize("env", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_offline_is_said_before_any_stage_runs(
    env: dict[str, str],
    run_fresh_cli: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    done = run_fresh_cli("experiment=adagar", env={**env, "HF_HOME": str(tmp_path / "hub")})
    assert done.returncode == 1 and not (tmp_path / "outputs" / "store" / "images").exists()
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("dynprep: weights lpiccinelli/unidepth-v2-vitl14 (model.safetensors): ")
    assert "metric_depth.checkpoint=" in last and "Traceback" not in done.stderr
    assert done.stderr.count("CC-BY-NC-4.0") == 2  # one line for each network that is not free


def test_options_of_a_swept_group_reach_every_job() -> None:
    from dynprep.commands.job import let_swept_options_through
    from dynprep.conf_folder import conf_folders

    line = [
        "-m",
        "depth=dpt_large,dpt_hybrid",
        "depth.checkpoint=x",
        "flow.rate=8",
        "depth.nonsense=1",
    ]
    swept = let_swept_options_through(line, conf_folders())
    assert swept == [*line[:2], "++depth.checkpoint=x", *line[3:]]
    assert let_swept_options_through(line[1:], conf_folders()) == line[1:]


def test_a_sweep_over_networks_with_a_local_copy(
    run_main: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    weights = random_weights.dpt(tmp_path / "net")
    done = run_main(
        "-m", "depth=dpt_large,dpt_hybrid", f"depth.checkpoint={weights}", "depth.parameters=null",
        "data.count=2", "data.height=96", "data.width=160", "stages=[depth]", "logger=none", "report.page=false",
        "compare.page=false",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = sorted((tmp_path / "outputs" / "sweeps").rglob("depth_anything_v2"))
    assert len(made) == 2 and all(len(list(folder.iterdir())) == 2 for folder in made)


def test_local_files_are_identified_by_content(tmp_path: Path) -> None:
    folder = random_weights.dpt(tmp_path / "net")
    weights = Weights("x/y", "main", FILES, str(folder), "depth.checkpoint")
    before = weights.identity()
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert weights.identity() != before
    text = tmp_path / "notes.txt"
    text.write_text("no weights")
    with pytest.raises(UserError, match=r"notes.txt: not a file of weights"):
        Weights("x/y", "main", FILES, str(text), "depth.checkpoint").fetch(print)
    with pytest.raises(UserError, match=r"there is no config.json"):
        empty = tmp_path / "empty"
        empty.mkdir()
        Weights("x/y", "main", FILES, str(empty), "depth.checkpoint").folder()


def hub_error(kind: str) -> Exception:
    """An exception as the hub's library raises it."""
    import httpx2
    from huggingface_hub import errors

    response = httpx2.Response(403, request=httpx2.Request("GET", "https://hub.example/x/y"))
    one = getattr(errors, kind, None)
    if kind == "ConnectError":
        return httpx2.ConnectError("no route to host")
    if issubclass(one, errors.HfHubHTTPError):
        return one("the hub's own words", response=response)
    return one("the hub's own words")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("GatedRepoError", r"licence must be accepted at \S+/x/y first, then .*hf auth login"),
        ("RepositoryNotFoundError", r"does not know this repository, or it is private"),
        ("DisabledRepoError", r"has taken this repository down"),
        ("RevisionNotFoundError", r"has no revision v3"),
        ("RemoteEntryNotFoundError", r"revision v3 has no such file"),
        ("LocalEntryNotFoundError", r"the hub cannot be reached"),
        ("HfHubHTTPError", r"the hub answered with an error \(the hub's own words"),
        ("ConnectError", r"the hub cannot be reached \(no route to host\)"),
        ("OfflineModeIsEnabled", r"HF_HUB_OFFLINE is set"),
    ],
)
def test_each_refusal_of_the_hub_is_told_as_what_it_is(
    kind: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi, constants

    def refuse(*_: object, **__: object) -> None:
        raise hub_error(kind)

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(HfApi, "model_info", refuse)
    with pytest.raises(UserError, match=said):
        Weights("x/y", "v3", FILES, None, "depth.checkpoint").fetch(print)
