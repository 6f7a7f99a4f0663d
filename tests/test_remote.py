"""Clips and datasets that lie elsewhere: a server that speaks S3, and folders by ``file://``."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import fsspec
import pytest

import dynprep
from dynprep.errors import UserError
from dynprep.remote.address import RemotePath
from dynprep.remote.push import push_scene
from tests.conftest import SMALL, RunHere, sliding, tree, write_frames, write_video

Cli = Callable[..., subprocess.CompletedProcess[str]]
QUICK = ("stages=[masks]", "masks=none", "logger=none", "report.page=false")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The file system of an S3 server on this machine, which has a bucket ``clips``."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # servers of one process share what they hold
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "one",
        "AWS_SECRET_ACCESS_KEY": "two",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    system.mkdir("clips")
    yield system
    fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder of three short clips."""
    (tmp_path / "clips").mkdir()
    for k, name in enumerate(("cat", "dog", "owl")):
        write_video(tmp_path / "clips" / f"{name}.mp4", sliding(4 + k, 48, 64))
    return tmp_path / "clips"


def test_a_part_of_the_clips_is_fetched_and_the_dataset_is_sent(
    bucket: Any, clips: Path, run_here: RunHere, tmp_path: Path
) -> None:
    bucket.put(str(clips) + "/", "clips/raw/", recursive=True)
    options = (*QUICK, "data=video", "data.path=s3://clips/raw", "data.shard=1/2")
    run = run_here(*options, "dataset_dir=s3://clips/out")
    # of three clips, number 1 alone was fetched
    fetched = list((tmp_path / "store" / "downloads").rglob("*.mp4"))
    assert [path.name for path in fetched] == ["dog.mp4"]
    assert sorted(bucket.ls("clips/out")) == ["clips/out/dog"]
    own = run / "dataset" / "dog"
    there = {name.removeprefix("clips/out/dog/") for name in bucket.find("clips/out/dog")}
    assert there == set(tree(own))
    provenance = json.loads(bucket.cat_file("clips/out/dog/dynprep.json"))
    assert provenance["source"]["path"] == "s3://clips/raw/dog.mp4"
    # the same again fetches and sends nothing anew; a clip that changed there is fetched
    before = fetched[0].stat().st_mtime_ns
    run_here(*options, "dataset_dir=s3://clips/out", name="again")
    assert [p.stat().st_mtime_ns for p in fetched] == [before]
    bucket.put_file(str(clips / "owl.mp4"), "clips/raw/dog.mp4")
    changed = run_here(*options, "dataset_dir=s3://clips/out", name="changed")
    assert len(dynprep.open(changed / "dataset" / "dog")) == 6
    bucket.invalidate_cache()
    assert len(bucket.ls("clips/out/dog/images")) == 6


def test_what_cannot_be_fetched_or_sent_is_one_line_before_any_work(
    bucket: Any, run_here: RunHere, tmp_path: Path
) -> None:
    video = ("data=video", *QUICK)
    for path, words in (
        ("s3://clips/no/such.mp4", "s3://clips/no/such.mp4: no such file"),
        ("s3://clips/empty", "s3://clips/empty: no such file or folder"),
        ("s3://nobucket/a.mp4", "s3://nobucket/a.mp4: no such file"),
        ("nope://clips/a.mp4", "nope://clips/a.mp4: Protocol not known"),
    ):
        with pytest.raises(UserError, match=words):
            run_here(*video, f"data.path={path}")
    with pytest.raises(UserError, match=r"s3://nobucket/out: "):
        run_here(*SMALL, *QUICK, "dataset_dir=s3://nobucket/out")
    assert not list((tmp_path / "store").glob("images/*"))


def test_a_clip_that_cannot_be_fetched_is_left_out(
    bucket: Any, clips: Path, run_main: Cli, tmp_path: Path
) -> None:
    bucket.put_file(str(clips / "cat.mp4"), "clips/cat.mp4")
    (tmp_path / "list.txt").write_text("s3://clips/cat.mp4\ns3://clips/gone.mp4\n")
    done = run_main(
        *QUICK, "data=video", "data.path=list.txt", "data.on_scene_error=skip", "dataset_dir=OUT"
    )
    assert done.returncode == 1 and "gone.mp4: no such file" in done.stderr
    assert len(dynprep.open(tmp_path / "OUT" / "cat")) == 4
    (failed,) = (tmp_path / "outputs").rglob("failed.txt")
    assert "s3://clips/gone.mp4" in failed.read_text().splitlines()


def test_folders_of_frames_elsewhere(run_here: RunHere, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_frames(tmp_path / "elsewhere" / name, sliding(3, 48, 64))
    address = (tmp_path / "elsewhere").as_uri()
    run = run_here(*QUICK, "data=frames", f"data.path={address}")
    assert sorted(p.name for p in (run / "dataset").iterdir()) == ["one", "two"]
    single = run_here(*QUICK, "data=frames", f"data.path={address}/two", name="single")
    assert tree(single / "dataset" / "two" / "images") == tree(run / "dataset" / "two" / "images")


@pytest.mark.usefixtures("small_store")
def test_a_dataset_is_pushed_whole_with_a_card(
    run_here: RunHere, run_main: Cli, tmp_path: Path
) -> None:
    run = run_here(*SMALL)
    address = (tmp_path / "there").as_uri()
    first = run_main("push", str(run / "dataset"), address)
    assert first.returncode == 0, first.stderr
    scene, sent = run / "dataset" / "demo", tmp_path / "there" / "demo"
    assert tree(sent, ("dynprep_files.json",)) == tree(scene, ("dynprep_files.json",))
    card = (tmp_path / "there" / "README.md").read_text()
    assert card.startswith("---\n") and "| `alltracker` | dis | no weights | 1 |" in card
    assert "8 frames" in card and str(tmp_path) not in card
    assert run_main("validate", str(sent)).returncode == 0
    again = run_main("push", str(run / "dataset"), address)
    assert "0 files" in again.stdout and "were there" in again.stdout
    # what was interrupted goes on; somebody else's card and files stay
    (sent / "dynprep.json").unlink()
    (sent / "masks" / "00003.png").unlink()
    (sent / "notes.txt").write_text("mine")
    (tmp_path / "there" / "README.md").write_text("my own words")
    (sent / "dynprep_files.json").unlink()
    refused = run_main("push", str(scene), address)  # nothing says that these files are a push's
    assert refused.returncode == 1 and "that dynprep did not send" in refused.stderr
    assert not (sent / "masks" / "00003.png").exists()
    (sent / ".dynprep-unfinished").touch()
    third = run_main("push", str(scene), address)
    assert third.returncode == 0 and "stays as it is" in third.stdout
    assert tree(sent, ("dynprep_files.json", "notes.txt")) == tree(scene, ("dynprep_files.json",))
    assert (tmp_path / "there" / "README.md").read_text() == "my own words"


@pytest.mark.usefixtures("small_store")
def test_a_scene_with_a_fault_is_not_pushed(
    run_here: RunHere, run_main: Cli, tmp_path: Path
) -> None:
    scene = run_here(*SMALL, "dataset.link=copy") / "dataset" / "demo"
    (scene / "masks" / "00002.png").unlink()
    done = run_main("push", str(scene), (tmp_path / "there").as_uri())
    assert done.returncode == 1 and "masks: 1 of 8 files are missing" in done.stdout
    assert not (tmp_path / "there" / "demo").exists()
    with pytest.raises(UserError, match="are gone"):
        push_scene(scene, RemotePath((tmp_path / "there").as_uri()))
    assert "is no address" in run_main("push", str(scene), "there").stderr


@pytest.mark.usefixtures("small_store")
def test_the_hub_gets_one_commit_a_scene_and_a_card(
    run_here: RunHere, run_main: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the hub's client is asked for: there is no hub here."""
    asked: list[tuple[str, dict[str, Any]]] = []

    class Client:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_, **options: asked.append((name, options))

    monkeypatch.setattr("huggingface_hub.HfApi", Client)
    monkeypatch.setattr("dynprep.remote.push.read_file", lambda place: None)
    monkeypatch.setattr("dynprep.commands.push.read_file", lambda place: None)
    scene = run_here(*SMALL) / "dataset" / "demo"
    done = run_main("push", str(scene), "hf://datasets/me/clips")
    assert done.returncode == 0, done.stderr
    assert [name for name, _ in asked] == ["whoami", "create_repo", "upload_folder", "upload_file"]
    upload = asked[2][1]
    assert upload["repo_id"] == "me/clips" and upload["path_in_repo"] == "demo"
    assert set(upload["allow_patterns"]) == set(tree(scene)) and not upload["delete_patterns"]
    assert asked[3][1]["path_in_repo"] == "README.md"
    wrong = run_main("push", str(scene), "hf://me")
    assert "hf://datasets/OWNER/NAME" in wrong.stderr
