"""A package of its own, so that no other one is found for it: ciw installs its tests under the same name."""
