"""One file per question that the bench asks."""
