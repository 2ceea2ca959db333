"""A fitted model on a person's tables as one page: ``jpvae report``, and ``--report`` of fit, impute and evaluate.

content.py gathers what is shown (from ``jpvae.figures``), charts.py has the charts' Vega-Lite specifications, page.py puts
both into one HTML file that needs no network.
"""
