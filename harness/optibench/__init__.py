"""The grid: spec, cells, executors, durable results, provenance and the command line."""
