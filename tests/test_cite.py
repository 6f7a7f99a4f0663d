"""``dynprep cite``: every network names its papers, and a run what it used."""

import pytest

from dynprep.citations.bibtex import entries
from dynprep.commands.cite import main
from dynprep.conf_folder import CONF, choices_of, read_choice
from tests.conftest import SMALL, RunHere

GROUPS = ("depth", "metric_depth", "masks", "prior", "flow", "normals", "sky")


def test_every_network_names_papers_that_are_known() -> None:
    known, cited = entries(), set()
    for group in GROUPS:
        for choice, path in choices_of(group, [CONF]).items():
            node = read_choice(path)
            if "hub" in node:
                assert node["cite"], f"{group}={choice}"
                assert set(node["cite"]) <= set(known), f"{group}={choice}"
                cited |= set(node["cite"])
    assert set(known) - cited == {"kroeger2016dis", "rother2004grabcut"}  # of what needs no weights
    for key, text in known.items():
        assert text.count("{") == text.count("}") and "title = {" in text and "year = {" in text, (
            key
        )


@pytest.mark.usefixtures("small_store")
def test_a_run_is_cited_by_what_it_used(
    run_here: RunHere, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_here(*SMALL, "stages=[masks]")
    capsys.readouterr()
    assert main([str(run)]) == 0
    told = capsys.readouterr().out
    assert "@software{dynprep," in told
    assert "% for motion.optical_flow\n@inproceedings{kroeger2016dis," in told
    assert "grabcut" not in told
