"""Results, each stored once: found by what decides their bytes, written item by item, resumed."""

from dynprep.store.recipe import Recipe
from dynprep.store.result import Item, ItemWriter, Result
from dynprep.store.store import LOCKS, Store

__all__ = ["LOCKS", "Item", "ItemWriter", "Recipe", "Result", "Store"]
