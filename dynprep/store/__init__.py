"""Results, each stored once: found by what decides their bytes, written item by item, resumed."""

from dynprep.store.recipe import Recipe
from dynprep.store.result import ItemWriter, NotFinite, Result
from dynprep.store.seal import Item
from dynprep.store.store import LOCKS, Store

__all__ = ["LOCKS", "Item", "ItemWriter", "NotFinite", "Recipe", "Result", "Store"]
