"""The results of one store taken into another one, such as those that machines made each by itself."""

from dynprep.errors import UserError
from dynprep.store.references import references, remember_as_it_is
from dynprep.store.store import Store
from dynprep.store.tools import complete_results, copy_result


def merge(target: Store, other: Store) -> tuple[int, int]:
    """Copy what ``target`` lacks of ``other``, by hard link where that can be; returns results and bytes.

    What runs and datasets use there is noted here too, so that it stays. ``other`` is left as it is. Raises UserError
    for one and the same store.
    """
    if target.root == other.root:
        raise UserError(f"{other.root}: is this store itself; name another one")
    count = size = 0
    with target.gate(), other.gate():  # nobody cleans either of them meanwhile
        for result in complete_results(other):
            copied = copy_result(result, target)
            count, size = count + (copied > 0), size + copied
        for reference in references(other).values():
            remember_as_it_is(target, reference)
    return count, size
