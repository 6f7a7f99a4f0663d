"""The classes of cases, in the order in which they are run."""

from dataclasses import dataclass

from tests.faults import damage, disks, inputs, names, options, records, stops, together
from tests.faults.case import Campaign


@dataclass(frozen=True)
class Class:
    """A class of cases: what is done, what makes them, and how many of them a whole campaign has."""

    what: str
    cases: Campaign
    count: int


CLASSES = {
    "inputs": Class("files of all formats that are read, spoiled", inputs.fuzz, 3200),
    "records": Class("records of runs, datasets and stores, spoiled", records.records, 300),
    "options": Class("options with values that make no sense", options.options, 500),
    "names": Class("odd names of files and scenes", names.names, 160),
    "damage": Class("damaged stores", damage.damage, 400),
    "kills": Class("SIGKILL at any moment, and the rerun", stops.kills, 60),
    "signals": Class("SIGTERM and SIGINT at any moment, and the rerun", stops.signals, 40),
    "disks": Class("disks that are too small, and the rerun", disks.small, 24),
    "power": Class("power that goes, and the rerun", disks.power, 16),
    "together": Class("several runs at once", together.together, 12),
    "clips": Class("long clips", together.clips, 1),
}
