"""The settings a mapper was started with."""

from mapper_sdk._records import Rejected


class Settings(dict[str, str]):
    """Settings as `--set KEY=VALUE` gave them."""

    def required(self, key: str) -> str:
        """The value of a setting that must be there."""
        if key not in self:
            raise Rejected(f"the setting '{key}' is missing; give it with --set {key}=VALUE")
        return self[key]

    def only(self, *known: str) -> None:
        """Checks that there is no setting but these, so that a mistyped one is seen."""
        for key in self:
            if key not in known:
                known_ones = f"; known are: {', '.join(known)}" if known else ": this mapper has no settings"
                raise Rejected(f"unknown setting '{key}'{known_ones}")
