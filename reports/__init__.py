"""From a table of trials to statistics, tables and figures."""
