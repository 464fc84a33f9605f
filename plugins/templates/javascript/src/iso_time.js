// Times in ISO 8601.

import { Rejected } from "mapper-sdk";

/** The seconds since 1970 of a time; one without an offset is UTC. Throws `Rejected` when it is no time. */
export function epochSeconds(time) {
  const hasZone = /(Z|[+-]\d\d:?\d\d)$/.test(time) || !String(time).includes("T");
  const milliseconds = typeof time === "string" ? Date.parse(hasZone ? time : `${time}Z`) : NaN;
  if (Number.isNaN(milliseconds)) throw new Rejected(`not a time in ISO 8601: ${JSON.stringify(time)}`);
  return Math.trunc(milliseconds / 1000);
}
