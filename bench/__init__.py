"""Damage × repair × metric on real material, with peers beside us in the same run."""
