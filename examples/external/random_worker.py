"""The smallest worker: random search, and a sphere to try it on, in plain Python (3.8 or newer)."""

import random

import optibench_worker as worker


class RandomSearch:
    """Knows ConfigSpace's JSON well enough for spaces without conditions and clauses."""

    def __init__(self, space, seed, n_trials):
        if space["conditions"] or space["forbiddens"]:
            raise worker.Refused("This random search knows neither conditions nor forbidden clauses.")
        self.parameters, self.random = space["hyperparameters"], random.Random(seed)

    def draw(self, p):
        if p["type"] == "constant":
            return p["value"]
        if p["type"] in ("categorical", "ordinal"):
            return self.random.choice(p.get("choices") or p["sequence"])
        value = self.random.uniform(0, 1)
        low, high = p["lower"], p["upper"]
        value = low * (high / low) ** value if p["log"] else low + (high - low) * value
        value = min(max(value, low), high)
        return round(value) if p["type"].endswith("_int") else value

    def ask(self, n):
        return [{p["name"]: self.draw(p) for p in self.parameters} for _ in range(n)]

    def tell(self, observations):
        pass


class Sphere:
    def describe(self, task):
        dimensions = int(task[:-1])  # "2d"
        return {
            "space": worker.space(*[worker.number(f"x{i}", -5.0, 5.0) for i in range(dimensions)]),
            "direction": "minimize",
        }

    def evaluate(self, task, config, seed, fidelity):
        return sum(x * x for x in config.values())


if __name__ == "__main__":
    worker.serve(optimizer=RandomSearch, benchmark=Sphere(), version="1")
