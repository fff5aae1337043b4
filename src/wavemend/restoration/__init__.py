"""From a damaged recording to a restored one: diagnose, plan, run, guard, report."""
