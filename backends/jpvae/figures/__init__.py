"""What the figures show, as numbers: one file per figure, plain functions that give frozen records.

The report page (``jpvae.report``) and the matplotlib axes (``axes.py``) draw the same records.
"""
