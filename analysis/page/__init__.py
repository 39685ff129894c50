"""One page that shows a store: collected by the modules here, laid out by the templates, page.css and page.js.

Ids that links, scripts and tests may rely on:

    answer          the sentence; budget (slider), budget-text; answer-<number> where there are several data sets
    pareto          the chart; pareto-size chooses its axis
    filter-role, filter-model, filter-objective, filter-recipe, filter-data, filter-text, filter-clear, filter-count
    ranking         the table; its rows are group-<group id>; copy-markdown, copy-csv, copy-latex, copied
    claims, gains, agreement, classes, curves, confusion, confusion-run, mistakes, timeline, sweeps, failures
    runs            the table of runs; its rows are run-<run id>, and what opens below one is detail-<run id>
    data-set, versions, jobs-table
    report-data     all numbers of the page as JSON; a table in it has `columns` and `rows`
    report-charts   Vega-Lite specifications by name, and their configurations for a light and a dark page
    reload, reload-often    only on the page of a sweep that runs

Sections are `<section>`s with these ids: section-answer, section-ranking, section-claims, section-distillation,
section-learning, section-time, section-provenance, section-runs.
"""
