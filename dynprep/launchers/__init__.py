"""How jobs of a multirun are started elsewhere, beyond what Hydra's own plugins do."""
