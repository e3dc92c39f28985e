"""An external worker that does as its argument says, written without the SDK."""

import json
import os
import sys
import time
from pathlib import Path

X = {"type": "uniform_float", "name": "x", "lower": 0.0, "upper": 1.0, "default_value": 0.5, "log": False, "meta": None}
SPACE = {"name": None, "hyperparameters": [X], "conditions": [], "forbiddens": [], "format_version": 0.4}
REFERENCE = {"f_best": 1.0, "f_ref": 0.5, "f_worst": 0.0, "source": "analytic"}
habit = sys.argv[1]


def reply(message: dict, **result: object) -> None:
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **result}), flush=True)


def initialize(message: dict) -> None:
    if habit == "version":
        reply(message, result={"protocol": 99})
    elif habit == "refuse":
        reply(message, error={"code": 1, "message": "not today"})
    elif habit == "banner":
        print("Welcome to libfoo 1.2!", flush=True)
    else:
        reply(message, result={"protocol": 1, "version": "7"})


def describe(message: dict) -> None:
    space = {"hyperparameters": 3} if habit == "space" else SPACE
    direction = "up" if habit == "direction" else "maximize"
    reply(message, result={"space": space, "direction": direction, "reference": REFERENCE})


def ask_or_evaluate(message: dict) -> None:
    if habit == "hang":
        os.fork()
        with Path(os.environ["PIDS"]).open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(1000)
    elif habit == "die":
        os._exit(3)
    elif habit == "segfault":
        os.kill(os.getpid(), 11)
    elif habit == "nonsense":
        print('{"jsonrpc": "2.0", "id": 0, "result": {}}', flush=True)
    elif habit == "shape":
        reply(message, result=[1, 2])
    elif habit == "error":
        reply(message, error={"code": -32000, "message": "ValueError: x is negative"})
    elif habit == "flood":
        sys.stderr.write("warning\n" * 100000)
        reply(message, result={"value": None})
    elif message["method"] == "evaluate":
        curve = {"epoch": [1, 2], "loss": [0.5] if habit == "ragged" else [None, 0.5]}
        reply(message, result={"value": message["params"]["config"]["x"], "cost_seconds": 2, "curve": curve})
    else:
        reply(message, result={"suggestions": [{"config": {"x": 1}}] * message["params"]["n"]})


print("about to", habit, file=sys.stderr)
METHODS = {"initialize": initialize, "describe": describe}
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] in ("start", "tell"):
        reply(request, result={})
    else:
        METHODS.get(request["method"], ask_or_evaluate)(request)
