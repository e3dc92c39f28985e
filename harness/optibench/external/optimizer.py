"""An external process as an optimizer, and its entry in the registry."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from optibench.errors import HarnessError
from optibench.external.definitions import External
from optibench.external.process import PROTOCOL, Process, ProcessError, Refusal
from optibench_optimizers import Capabilities, Entry, Fidelity, Observation, Optimizer, OptimizerError, Suggestion
from optibench_optimizers.history import objectives

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class ExternalOptimizer(Optimizer):
    """An optimizer in an external process; subclasses set its definition (:meth:`ExternalEntry.load`).

    Raises:
        OptimizerError: The worker cannot be started, refuses, fails or does not answer in time.
    """

    external: ClassVar[External]

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        fidelity: Fidelity | None = None,
        n_objectives: int = 1,
        n_constraints: int = 0,
        **settings: Any,
    ) -> None:
        self._space, self._several = space, n_objectives > 1 or n_constraints > 0
        self._process = start(self.external)
        params = {
            "space": space.to_serialized_dict(),
            "seed": seed,
            "n_trials": n_trials,
            "settings": {**self.external.settings, **settings},
        }
        if self.external.multi_fidelity:
            params["fidelity"] = None if fidelity is None else dataclasses.asdict(fidelity)
        if self.external.objectives:
            params["n_objectives"] = n_objectives
        if self.external.constraints:
            params["n_constraints"] = n_constraints
        try:
            self._request("start", params, self.external.start_seconds)
        except OptimizerError:
            self.close()
            raise

    def ask(self, n: int = 1) -> list[Suggestion]:
        result = self._request("ask", {"n": n})
        try:
            found = [(item["config"], item.get("fidelity")) for item in result["suggestions"]]
            suggestions = [Suggestion(typed(self._space, config), fidelity) for config, fidelity in found]
        except (TypeError, KeyError, AttributeError) as error:
            raise OptimizerError(
                f"External optimizer {self.external.name!r} answered 'ask' with "
                f"{self._process.redacted(str(result))[:200]!r}; "
                'it must be {"suggestions": [{"config": {...}}, ...]}.'
            ) from error
        if len(suggestions) != n:
            raise OptimizerError(
                f"External optimizer {self.external.name!r} was asked for {n} suggestions and gave {len(suggestions)}."
            )
        return suggestions

    def tell(self, observations: Sequence[Observation]) -> None:
        told = [
            {
                "config": dict(o.config),
                "value": o.value if o.state == "ok" and math.isfinite(o.value) else None,
                "state": "failed" if o.state == "ok" and objectives(o) is None else o.state,
                "fidelity": None if o.fidelity is None else dict(o.fidelity),
                **({"values": o.values, "constraints": o.constraints} if self._several else {}),
            }
            for o in observations
        ]
        self._request("tell", {"observations": told})

    def _request(self, method: str, params: Mapping[str, Any], seconds: float | None = None) -> Any:
        try:
            return self._process.request(method, params, seconds or self.external.seconds)
        except ProcessError as error:
            raise OptimizerError(str(error)) from error
        except Refusal as error:
            raise OptimizerError(f"External optimizer {self.external.name!r}: {method}: {error}") from error

    def close(self) -> None:
        self._process.close()


def start(external: External) -> Process:
    """Start an optimizer's worker and do the handshake.

    Raises:
        OptimizerError: It cannot be run, or is not an optimizer that speaks the protocol.
    """
    return handshake(external, OptimizerError)[0]


def handshake(external: External, error_class: type[Exception]) -> tuple[Process, str]:
    """Start a worker and do the handshake; returns the worker and its stated version.

    Raises:
        error_class: It cannot be run, or does not speak the protocol.
    """
    name = f"External {external.kind} {external.name!r}"
    try:
        process = Process(name, external.command, Path(external.folder), external.variables())
        found = _initialize(process, external)
    except (ProcessError, HarnessError) as error:
        raise error_class(str(error)) from error
    except Refusal as error:
        process.close()
        raise error_class(f"{name} refused the handshake: {error}") from error
    spoken = found.get("protocol") if isinstance(found, dict) else None
    if spoken not in range(1, PROTOCOL + 1):
        process.close()
        raise error_class(
            f"{name} speaks version {process.redacted(repr(spoken))} of the protocol, and this bench speaks 1 to "
            f"{PROTOCOL}."
        )
    if spoken == 1 and (external.objectives or external.constraints):
        process.close()
        raise error_class(
            f"{name} declares several objectives or constraints, which version 1 of the protocol does not have: let "
            f"its worker speak version {PROTOCOL}, or leave the declarations out."
        )
    return process, str(found.get("version", ""))


def _initialize(process: Process, external: External) -> Any:
    """The answer to the handshake; a worker that refuses this version is asked for version 1."""
    params = {"protocol": PROTOCOL, "kind": external.kind}
    try:
        return process.request("initialize", params, external.start_seconds)
    except Refusal:
        return process.request("initialize", {**params, "protocol": 1}, external.start_seconds)


def typed(space: ConfigurationSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with Python's types: JSON has one type of number, and some languages write 1.0 as 1."""
    from ConfigSpace.hyperparameters import FloatHyperparameter, IntegerHyperparameter

    found = dict(config)
    for name, value in config.items():
        hp = space.get(name)
        if isinstance(hp, FloatHyperparameter) and type(value) is int:
            found[name] = float(value)
        elif isinstance(hp, IntegerHyperparameter) and type(value) is float and value.is_integer():
            found[name] = int(value)
    return found


@dataclass(frozen=True)
class ExternalEntry(Entry):
    """An external optimizer in the registry."""

    external: External = field(kw_only=True)

    @classmethod
    def of(cls, external: External) -> ExternalEntry:
        return cls(
            name=external.name,
            summary=external.summary or f"External: {' '.join(external.command)}",
            target="optibench.external.optimizer:ExternalOptimizer",
            capabilities=Capabilities(
                conditional=external.conditional,
                batch=external.batch,
                multi_fidelity=external.multi_fidelity,
                objectives=external.objectives,
                constraints=external.constraints,
                failed="left to its worker",
            ),
            packages=("ConfigSpace",),
            install="",
            external=external,
        )

    def load(self) -> type[Optimizer]:
        """The class of this entry's worker; its signature shows the settings."""
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter("space", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        parameters += [inspect.Parameter(name, keyword) for name in ("seed", "n_trials")]
        parameters += [inspect.Parameter(name, keyword, default=None) for name in ("n_objectives", "n_constraints")]
        settings = self.external.settings
        parameters += [inspect.Parameter(name, keyword, default=value) for name, value in settings.items()]
        return type(
            "ExternalOptimizer",
            (ExternalOptimizer,),
            {
                "external": self.external,
                "capabilities": self.capabilities,
                "__signature__": inspect.Signature(parameters),
                "__module__": __name__,
            },
        )

    def identify(self, settings: Mapping[str, Any]) -> str | None:
        """The worker's stated version and default settings; starts it once.

        Raises:
            OptimizerError: It cannot be started.
        """
        process, version = handshake(self.external, OptimizerError)
        process.close()
        defaults = sorted(self.external.settings.items())
        return f"external {version}; {defaults}"
