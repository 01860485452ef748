"""The other half of run_all.sh: arguments, plans, running the notebooks, reports, and what is published.

Enters: a command line. Leaves: executed notebooks and a report under results/, or released models and their pages.
"""
