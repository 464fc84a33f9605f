"""The settings of a mapper."""

from mapper_sdk._records import Rejected


class Settings(dict[str, str]):
    """The settings that the host was started with (`--set KEY=VALUE`), in ascending order of the keys."""

    def required(self, key: str) -> str:
        """Returns the value of a required setting.

        Raises:
            Rejected: The setting was not given. The message names it.
        """
        if key not in self:
            raise Rejected(f"the setting '{key}' is missing; give it with --set {key}=VALUE")
        return self[key]

    def only(self, *known: str) -> None:
        """Checks that there are no settings except these, so that a misspelled one is reported.

        Raises:
            Rejected: There is an unknown setting. The message names it and the known ones.
        """
        for key in self:
            if key not in known:
                known_keys = f"; known are: {', '.join(known)}" if known else ": this mapper has no settings"
                raise Rejected(f"unknown setting '{key}'{known_keys}")
