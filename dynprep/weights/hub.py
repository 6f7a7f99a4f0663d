"""The Hugging Face hub: what is in its cache, what is downloaded, what is said when it cannot be."""

from collections.abc import Callable
from pathlib import Path

from dynprep.errors import UserError
from dynprep.files import free_bytes, human_bytes

_TIMEOUT = 10.0  # seconds for the hub's first answer

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")  # of files of weights


def cached(repository: str, revision: str, files: tuple[str, ...]) -> Path | None:
    """The snapshot's folder, named by its commit, if every file of ``files`` is in it."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    folder: Path | None = None
    for entry in files:
        names = entry.split("|")
        try:
            entries = [try_to_load_from_cache(repository, n, revision=revision) for n in names]
        except HFValidationError:
            return None  # ``download`` says it
        paths = [Path(f) for f in entries if isinstance(f, str)]
        if not paths:
            return None
        depth = entry.split("|")[0].count("/")
        folder = paths[0].parents[depth]
    return folder


def download(
    repository: str, revision: str, files: tuple[str, ...], option: str, say: Callable[[str], None]
) -> None:
    """Fetch ``files`` into the hub's cache, with progress bars. Raises UserError, within seconds,
    where the hub cannot be reached or does not have them."""
    import httpx2
    from huggingface_hub import HfApi, constants, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    def missing(why: str) -> UserError:
        wanted = [n for entry in files for n in entry.split("|")]
        weights = [n for n in wanted if n.endswith(SUFFIXES)]
        return absent(repository, weights[0], option, why)

    if constants.is_offline_mode():
        raise missing("HF_HUB_OFFLINE is set")
    cache = Path(constants.HF_HUB_CACHE)
    try:
        about = HfApi().model_info(
            repository, revision=revision, timeout=_TIMEOUT, files_metadata=True
        )
        sizes = {f.rfilename: f.size or 0 for f in about.siblings or []}
        chosen = []
        for entry in files:
            present = [n for n in entry.split("|") if n in sizes]
            if not present:
                raise missing(f"{repository} at {revision} has no {entry.replace('|', ' or ')}")
            chosen.append(present[0])
        need = sum(sizes[name] for name in chosen)
        if need > free_bytes(cache):
            raise UserError(
                f"{cache}: {human_bytes(need)} are needed for {repository}, "
                f"{human_bytes(free_bytes(cache))} are free; free space or set HF_HOME"
            )
        say(f"downloading {repository}, {human_bytes(need)}, to {cache}")
        for name in chosen:
            hf_hub_download(repository, name, revision=revision, etag_timeout=_TIMEOUT)
    except (httpx2.HTTPError, HfHubHTTPError, HFValidationError, OSError, RuntimeError) as error:
        raise missing(_reason(error, repository, revision, cache)) from None
    # the branch may have moved during the download
    if (snapshot := cached(repository, revision, files)) is not None and snapshot.name != about.sha:
        raise missing(f"revision {revision} changed during the download; run again")


def _reason(error: Exception, repository: str, revision: str, cache: Path) -> str:
    """Why a download did not work, and what to do."""
    import httpx2
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{repository}"
    # in this order: those further up derive from some further down
    reasons: list[tuple[type[Exception], str]] = [
        (errors.OfflineModeIsEnabled, "HF_HUB_OFFLINE is set"),
        (
            errors.GatedRepoError,
            f"its licence must be accepted at {page} first, then log in with `hf auth login`",
        ),
        (
            errors.RepositoryNotFoundError,
            "the hub does not know this repository, or it is private; check hub=, or log in with `hf auth login`",
        ),
        (
            errors.DisabledRepoError,
            f"the hub has taken this repository down, see {page}; give another one as hub=",
        ),
        (
            errors.RevisionNotFoundError,
            f"the repository has no revision {revision}; choose one of {page}/commits as revision=",
        ),
        (
            errors.LocalEntryNotFoundError,
            f"the hub cannot be reached ({_first(error)})",
        ),
        (
            errors.EntryNotFoundError,
            f"revision {revision} has no such file ({_first(error)})",
        ),
        (errors.HFValidationError, f"that is no name of a repository ({_first(error)})"),
        (
            errors.HfHubHTTPError,
            f"the hub answered with an error ({_first(error)}); try again later",
        ),
        (httpx2.HTTPError, f"the hub cannot be reached ({_first(error)})"),
    ]
    for kind, why in reasons:
        if isinstance(error, kind):
            return why
    return (
        f"the download to {cache} broke off ({_first(error)}); run again, it goes on, or choose "
        "another place with HF_HOME"
    )


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def absent(repository: str, file: str, option: str, why: str) -> UserError:
    """The one message for weights that are not here and cannot be fetched."""
    return UserError(
        f"weights {repository} ({file}): {why}; fetch them where there is a network (`hf download "
        f"{repository}`) and copy the cache, or give a local copy as {option}=FILE_OR_FOLDER"
    )
