"use strict";

// Azurite loads this at its start and calls it only where telemetry is on.
function refused() {
  throw new Error("Azurite's telemetry is not installed here; start it with --disableTelemetry.");
}

module.exports = { setup: refused, start: refused, TelemetryClient: refused };
