"""OptiFormer: a transformer that proposes configurations, usable with no harness around it."""
